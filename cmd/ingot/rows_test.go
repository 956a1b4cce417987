package main

import (
	"strings"
	"testing"

	"ingot/backend/api"
)

// shown are rows of each kind: passed, failed at one cell, without evidence,
// with a long name, and with a message that a hostile guest could have written.
func shown() []api.Row {
	passed := api.Row{
		Target:     "debian-12-arm64",
		Configured: api.Cell{State: api.Passed, Evidence: "config-6aa70a16ab05"},
		Guest:      api.Cell{State: api.Passed, Evidence: "guest-267056be4616"},
		Kernel:     api.Cell{State: api.Passed, Evidence: "kernel-b23f9adcc64e"},
		Exported:   api.Cell{State: api.Passed, Evidence: "artifact-b895d3782a45"},
		Boots:      api.Cell{State: api.Passed, Evidence: "proof-cc6e4bff5fc6"},
		Published:  api.Cell{State: api.Passed, Evidence: "receipt-177d38bd3841", Note: "local only"},
	}
	failed := passed
	failed.Target = "debian-13-arm64"
	failed.Boots = api.Cell{State: api.Failed, Evidence: "proof-000000000001", Cause: "boot.no-root", Message: "the kernel found no root file system on /dev/vda2"}
	failed.Published = api.Cell{}
	return []api.Row{passed, failed, {Target: "netbsd-10-arm64"}}
}

func fixOf(cause string) string {
	if cause == "boot.no-root" {
		return "compare root= on the kernel command line with the partitions of the image: `ingot logs debian-13-arm64 --step prove`"
	}
	return ""
}

func TestRender(t *testing.T) {
	const wide = `TARGET           RECIPE               BUILDER             KERNEL               DISK                   BOOTS               PUBLISHED
debian-12-arm64  ✓ passed             ✓ passed            ✓ passed             ✓ passed               ✓ passed            ✓ passed (local only)
                 config-6aa70a16ab05  guest-267056be4616  kernel-b23f9adcc64e  artifact-b895d3782a45  proof-cc6e4bff5fc6  receipt-177d38bd3841
debian-13-arm64  ✓ passed             ✓ passed            ✓ passed             ✓ passed               ✗ failed            · unknown
                 config-6aa70a16ab05  guest-267056be4616  kernel-b23f9adcc64e  artifact-b895d3782a45  proof-000000000001  ` + `
netbsd-10-arm64  · unknown            · unknown           · unknown            · unknown              · unknown           · unknown

debian-13-arm64, boots: boot.no-root: the kernel found no root file system on /dev/vda2
`
	const narrow = `marks: recipe, builder, kernel, disk, boots, published
✓ ✓ ✓ ✓ ✓ ✓  debian-12-arm64  passed (local only)
✓ ✓ ✓ ✓ ✗ ·  debian-13-arm64  boots failed
· · · · · ·  netbsd-10-arm64  unknown

debian-13-arm64, boots: boot.no-root: the kernel found no root file system on /dev/vda2
`
	for _, c := range []struct {
		name    string
		columns int
		want    string
	}{
		{"no terminal", 0, wide + "  next: compare root= on the kernel command line with the partitions of the image: `ingot logs debian-13-arm64 --step prove`\n"},
		{"as wide as the table", 143, wide + "  next: compare root= on the kernel command line with the partitions of the image: `ingot logs debian-13-arm64 --step prove`\n"},
		{"one column less", 142, narrow + "  next: compare root= on the kernel command line with the partitions of the image: `ingot logs debian-13-arm64 --step prove`\n"},
		{"80 columns", 80, `marks: recipe, builder, kernel, disk, boots, published
✓ ✓ ✓ ✓ ✓ ✓  debian-12-arm64  passed (local only)
✓ ✓ ✓ ✓ ✗ ·  debian-13-arm64  boots failed
· · · · · ·  netbsd-10-arm64  unknown

debian-13-arm64, boots: boot.no-root: the kernel found no root file system on
    /dev/vda2
  next: compare root= on the kernel command line with the partitions of the
` + "    image: `ingot logs debian-13-arm64 --step prove`\n"},
		{"60 columns", 60, `marks: recipe, builder, kernel, disk, boots, published
✓ ✓ ✓ ✓ ✓ ✓  debian-12-arm64  passed (local only)
✓ ✓ ✓ ✓ ✗ ·  debian-13-arm64  boots failed
· · · · · ·  netbsd-10-arm64  unknown

debian-13-arm64, boots: boot.no-root: the kernel found no
    root file system on /dev/vda2
  next: compare root= on the kernel command line with the
    partitions of the image: ` + "`ingot logs debian-13-arm64\n    --step prove`\n"},
	} {
		if got := render(shown(), c.columns, fixOf); got != c.want {
			t.Errorf("%s: got\n%s\nwant\n%s", c.name, got, c.want)
		}
	}
}

// No line is longer than the width, whatever the names and messages are, and
// nothing of a message reaches the terminal that it would obey.
func TestRenderFits(t *testing.T) {
	rows := append(shown(),
		api.Row{Target: strings.Repeat("very-long-name-", 20), Guest: api.Cell{State: api.Running}},
		api.Row{Target: "wide", Kernel: api.Cell{State: api.Failed, Note: strings.Repeat("note ", 40), Cause: "kernel.x", Message: strings.Repeat("漢字", 200)}},
		api.Row{Target: "hostile", Boots: api.Cell{State: api.Failed, Cause: "boot.x", Message: "\x1b[2J" + strings.Repeat("x", 500) + "\n\ty\u0301"}},
	)
	for columns := minWidth; columns <= 400; columns++ {
		text := render(rows, columns, fixOf)
		for line := range strings.Lines(text) {
			if n := textWidth(strings.TrimSuffix(line, "\n")); n > columns {
				t.Fatalf("width %d: a line takes %d columns: %q", columns, n, line)
			}
		}
		if strings.Contains(text, "\x1b") {
			t.Fatalf("width %d: an escape character was printed", columns)
		}
	}
	if n := widest(table(rows)); n <= 80 {
		t.Errorf("the table takes %d columns: this test would see no compact form", n)
	}
}

// A row without evidence says unknown in both forms.
func TestRenderUnknown(t *testing.T) {
	rows := []api.Row{{Target: "new"}}
	for columns, want := range map[int]int{0: 6, 60: 1} {
		if got := strings.Count(render(rows, columns, fixOf), "unknown"); got != want {
			t.Errorf("width %d: %d times unknown, want %d", columns, got, want)
		}
	}
}

func TestSummary(t *testing.T) {
	all := func(state api.State) api.Row {
		c := api.Cell{State: state}
		return api.Row{Configured: c, Guest: c, Kernel: c, Exported: c, Boots: c, Published: c}
	}
	part := all(api.Passed)
	part.Boots, part.Published = api.Cell{State: api.Stale}, api.Cell{}
	failed := part
	failed.Published.State = api.Failed
	for want, row := range map[string]api.Row{
		"unknown": {}, "passed": all(api.Passed), "cancelled": all(api.Cancelled), "boots stale": part, "published failed": failed,
	} {
		if got := summary(row); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
