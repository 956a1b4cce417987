package evidence

import "testing"

// Only findings of the blocking severity forbid a publish.
func TestBlocking(t *testing.T) {
	key, note := Leak{Severity: LeakBlocks, Path: "/root/key"}, Leak{Severity: LeakNote, Path: "/var/log/auth.log"}
	for name, c := range map[string]struct {
		leaks *Leaks
		want  int
	}{
		"not scanned":    {nil, 0},
		"nothing found":  {&Leaks{}, 0},
		"notes alone":    {&Leaks{Findings: []Leak{note, note}}, 0},
		"one blocks":     {&Leaks{Findings: []Leak{note, key}}, 1},
		"no severity":    {&Leaks{Findings: []Leak{{Path: "/x"}}}, 0},
		"several blocks": {&Leaks{Findings: []Leak{key, note, key}}, 2},
	} {
		got := c.leaks.Blocking()
		if len(got) != c.want {
			t.Errorf("%s: %d findings block, want %d", name, len(got), c.want)
		}
		for _, f := range got {
			if f.Path != key.Path {
				t.Errorf("%s: %s blocks", name, f.Path)
			}
		}
	}
}

// The place is a path where one is known, else a byte of the disk.
func TestWhere(t *testing.T) {
	for want, f := range map[string]Leak{
		"/root/.ssh/id_ed25519":               {In: "file", Path: "/root/.ssh/id_ed25519", Offset: 7},
		"a deleted file /srv/key":             {In: "a deleted file", Path: "/srv/key"},
		"byte 4096 of the disk (partition 2)": {In: "bytes", Area: "partition 2", Offset: 4096},
		"the journal (byte 512 of the disk)":  {In: "the journal", Offset: 512},
	} {
		if got := f.Where(); got != want {
			t.Errorf("%+v: %q, want %q", f, got, want)
		}
	}
}
