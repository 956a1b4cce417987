package backend_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Every link of the README and of the pages under docs/ leads to a file, and to
// a heading where it names one; the index of docs/ names every page.
func TestDocsLinks(t *testing.T) {
	pages, err := filepath.Glob("../docs/*.md")
	if err != nil || len(pages) < 10 {
		t.Fatalf("%d pages: %v", len(pages), err)
	}
	for _, page := range append(pages, "../README.md", "../CONTRIBUTING.md") {
		for _, fault := range linkFaults(page, read(t, page)) {
			t.Error(fault)
		}
	}
	index := read(t, "../docs/README.md")
	for _, page := range pages {
		if name := filepath.Base(page); name != "README.md" && !strings.Contains(index, "]("+name) {
			t.Errorf("docs/README.md has no link to %s", name)
		}
	}
}

// The check must fail for a page, and for a heading, that are not there.
func TestDocsLinksCanFail(t *testing.T) {
	for text, want := range map[string]int{
		"[a](cli.md) [b](cli.md#exit-codes) [c](https://example.org/x)": 0,
		"[a](no-such-page.md)":                                 1,
		"[a](cli.md#no-such-heading)":                          1,
		"```\n[a](no-such-page.md)\n```\n[a](#here)\n\n# Here": 0,
	} {
		if got := linkFaults("../docs/page.md", text); len(got) != want {
			t.Errorf("%q: got %q, want %d faults", text, got, want)
		}
	}
}

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

var (
	link  = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	fence = regexp.MustCompile("(?ms)^```.*?^```$")
)

// linkFaults returns the links of a page's text that lead nowhere.
func linkFaults(page, text string) (faults []string) {
	for _, m := range link.FindAllStringSubmatch(fence.ReplaceAllString(text, ""), -1) {
		if strings.Contains(m[1], "://") {
			continue
		}
		name, heading, _ := strings.Cut(m[1], "#")
		target := text
		if name != "" {
			file := filepath.Join(filepath.Dir(page), name)
			if _, err := os.Stat(file); err != nil {
				faults = append(faults, fmt.Sprintf("%s: %s: no such file", page, m[1]))
				continue
			}
			b, _ := os.ReadFile(file) // a folder has no text, and no headings
			target = string(b)
		}
		if heading != "" && !hasHeading(target, heading) {
			faults = append(faults, fmt.Sprintf("%s: %s: no such heading", page, m[1]))
		}
	}
	return faults
}

var notInAnchor = regexp.MustCompile(`[^\p{L}\p{N}\- ]`)

// hasHeading says whether a page has a heading with this anchor: in lower case,
// without punctuation, with - for a space, as GitHub makes them.
func hasHeading(text, anchor string) bool {
	for line := range strings.Lines(fence.ReplaceAllString(text, "")) {
		title := strings.TrimLeft(line, "#")
		if title == line {
			continue
		}
		if strings.ReplaceAll(notInAnchor.ReplaceAllString(strings.ToLower(strings.TrimSpace(title)), ""), " ", "-") == anchor {
			return true
		}
	}
	return false
}
