package log

import (
	"bufio"
	"errors"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"
)

// machineReadable begins what Packer writes for programs. It is in the log whether or not
// Packer was run with -machine-readable.
const machineReadable = "machine readable: "

// Bounds of what is kept of artifacts and errors.
const (
	maxArtifacts = 200
	maxFiles     = 1000 // of one artifact
	maxErrors    = 20
)

// Artifact is what a build made, as Packer lists it at the end.
type Artifact struct {
	Build string   // its name, as Packer writes it: qemu.NAME, or BUILD.qemu.NAME
	Files []string // as Packer writes them: relative ones are from its working folder
}

// Artifacts returns the artifacts of the builds that Packer finished. A build with
// post-processors may have several.
func (l *Log) Artifacts() (out []Artifact) {
	for _, a := range l.builds {
		out = append(out, Artifact{a.Build, slices.Clone(a.Files)})
	}
	return out
}

// Errors returns what Packer wrote of the builds that failed, as BUILD: MESSAGE.
func (l *Log) Errors() []string { return slices.Clone(l.failed) }

// reported is a line for programs: the build and the kind of the line, and a list. Packer
// writes the time before it; what a guest prints has the name of its build there.
var reported = regexp.MustCompile(`^\d{4}/\d\d/\d\d \d\d:\d\d:\d\d ` + machineReadable + `(?:(\S+),)?(artifact|error) (\[\]string\{.*\})\s*$`)

// report takes over a line for programs.
func (l *Log) report(text string) {
	m := reported.FindStringSubmatch(text)
	if m == nil {
		return
	}
	values, ok := goStrings(m[3])
	switch {
	case !ok || len(values) == 0:
	case m[2] == "error" && len(l.failed) < maxErrors:
		l.failed = append(l.failed, m[1]+": "+strings.TrimSpace(values[0]))
	case m[2] == "artifact" && len(values) > 1:
		l.artifact(m[1], values)
	}
}

// artifact takes over a line of an artifact: its number, a key, and values.
func (l *Log) artifact(build string, values []string) {
	switch {
	case values[1] == "builder-id" && len(l.builds) < maxArtifacts:
		l.builds = append(l.builds, &Artifact{Build: build})
	case values[1] == "file" && len(values) > 3 && len(l.builds) > 0:
		if a := l.builds[len(l.builds)-1]; len(a.Files) < maxFiles {
			a.Files = append(a.Files, values[3])
		}
	}
}

// ending is a reason for which Packer ended.
type ending struct {
	message
	id string
}

// endings are lines with which Packer ends apart from those of QEMU's start. The texts of
// packer.output-exists are those of Packer 1.6.6 and of packer-plugin-qemu 1.1, those of
// packer.plugin-missing of Packer 1.7 and 1.11.
var endings = []struct {
	id   string
	line *regexp.Regexp
}{
	{"packer.output-exists", regexp.MustCompile(`Output directory '.*' already exists\. It must not exist|Output directory exists: `)},
	{"packer.plugin-missing", regexp.MustCompile(`Did you run packer init for this project|is unknown by Packer, and is likely part of a plugin that is not installed`)},
	{"packer.variable-unset", regexp.MustCompile(`Error: Unset variable `)},
	{"packer.no-space", regexp.MustCompile(`(?i)^(?:stderr: |.*qemu-img: |.*Error (?:creating|copying|converting|resizing) |Error: ).*no space left on device`)},
}

// guestOutput is a line of a provisioner, which shows what the guest wrote.
var guestOutput = regexp.MustCompile(`^ui: {4,}`)

// endBefore takes over a line that reports another end.
func (l *Log) endBefore(m message) {
	text := plain(m.text)
	if guestOutput.MatchString(text) {
		return
	}
	for _, e := range endings {
		same := func(known ending) bool { return known.id == e.id }
		if e.line.MatchString(text) && !slices.ContainsFunc(l.ended, same) {
			l.ended = append(l.ended, ending{m, e.id})
		}
	}
}

// FirstError returns the first error of a file with Packer's plain output, with the line
// that follows "N error(s) occurred:"; "" if there is none.
func FirstError(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", &logError{err}
	}
	defer f.Close()
	in := bufio.NewReaderSize(io.LimitReader(f, maxLog), 64<<10)
	for found := ""; ; {
		line, err := boundedLine(in)
		text := strings.TrimSpace(plain(line))
		switch {
		case found != "" && text != "":
			return found + " " + strings.TrimPrefix(text, "* "), nil
		case found != "":
		case strings.HasSuffix(text, "occurred:"):
			found = text
		case strings.HasPrefix(text, "Error: "), strings.HasPrefix(text, "Build '") && strings.Contains(text, "' errored"):
			return text, nil
		}
		if errors.Is(err, io.EOF) {
			return found, nil
		}
		if err != nil {
			return "", &logError{err}
		}
	}
}
