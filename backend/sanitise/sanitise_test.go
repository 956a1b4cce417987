package sanitise

import (
	"bytes"
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"ingot/backend/guest"
)

// below runs commands on this computer without root: the rules of the tests name only
// files of a folder.
type below struct{ guest.Local }

func (b *below) Run(ctx context.Context, c guest.Cmd) error {
	c.Argv = c.Argv[len(guest.AsRoot()):]
	return b.Local.Run(ctx, c)
}

// in returns the rules with all paths below a folder, and without calls.
func in(t *testing.T, root string) *Rules {
	t.Helper()
	r, err := load("linux") // of its own: they are changed
	if err != nil {
		t.Fatal(err)
	}
	move := func(patterns []string) {
		for i, p := range patterns {
			if !strings.HasPrefix(p, "~/") {
				patterns[i] = root + p
			}
		}
	}
	move(r.Homes)
	for i := range r.Rules {
		rule := &r.Rules[i]
		rule.Call = ""
		move(rule.Remove)
		move(rule.Empty)
		move(rule.Below)
		for j := range rule.Cut {
			rule.Cut[j].File = root + rule.Cut[j].File
		}
	}
	for i := range r.Stays {
		move(r.Stays[i].Find)
	}
	return r
}

// plant writes a file for each pattern of the rules, and others that stay. It returns
// the paths of both.
func plant(t *testing.T, root string, r *Rules) (gone, stay []string) {
	t.Helper()
	write := func(path, text string) string {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for _, rule := range r.Rules {
		for _, p := range rule.Remove {
			p = strings.ReplaceAll(p, "*", "a name with spaces [x]*")
			for _, home := range []string{"/root", "/home/ann"} {
				if strings.HasPrefix(p, "~/") {
					gone = append(gone, write(root+home+p[1:], "secret\n"))
				}
			}
			if !strings.HasPrefix(p, "~/") {
				gone = append(gone, write(p, "secret\n"))
			}
		}
		for _, p := range rule.Empty {
			write(p, "0123\n")
		}
		for _, p := range rule.Below {
			write(p+"/sub/app.log", "secret\n")
		}
	}
	write(root+"/etc/hosts", "127.0.0.1 localhost\n192.168.5.2 host.lima.internal\n")
	write(root+"/etc/fstab", "/dev/sda1 / ext4\n#LIMA-START\nx\n#LIMA-END\n")
	for _, p := range []string{"/etc/ssh/sshd_config", "/home/ann/notes", "/root/.bashrc", "/srv/site/index.html", "/usr/local/bin/tool", "/etc/passwd", "/etc/environment"} {
		stay = append(stay, write(root+p, "stays\n"))
	}
	return gone, stay
}

func content(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// All that the rules name is taken out, nothing else, and the report counts it. What the
// choice keeps stays, and so does what only a request takes out.
func TestApply(t *testing.T) {
	for _, c := range []Choice{{}, {Keep: []string{"logs", "histories"}, Also: []string{"package-cache", "containers"}}} {
		root := t.TempDir()
		r := in(t, root)
		gone, stay := plant(t, root, r)
		var log bytes.Buffer
		s := System{Guest: &below{}, Log: &log}
		before := tree(t, root)
		measured, err := r.Measure(t.Context(), s, c)
		if err != nil {
			t.Fatalf("%v\n%s", err, log.String())
		}
		if after := tree(t, root); after != before {
			t.Fatalf("measuring changed\n%s\nto\n%s", before, after)
		}
		report, err := r.Apply(t.Context(), s, c)
		if err != nil {
			t.Fatalf("%v\n%s", err, log.String())
		}
		kept := func(id string) bool {
			rule := r.Rules[slices.IndexFunc(r.Rules, func(r Rule) bool { return r.ID == id })]
			return !c.applies(rule)
		}
		of := map[string]string{}
		for _, rule := range r.Rules {
			for _, p := range rule.Remove {
				of[strings.ReplaceAll(strings.TrimPrefix(p, "~"), "*", "a name with spaces [x]*")] = rule.ID
			}
		}
		for _, path := range gone {
			id := of[path]
			for _, home := range []string{"/root", "/home/ann"} {
				if rest, ok := strings.CutPrefix(path, root+home); ok && id == "" {
					id = of[rest]
				}
			}
			_, err := os.Lstat(path)
			if (err == nil) != kept(id) {
				t.Errorf("%+v: %s of rule %q: %v", c, path, id, err)
			}
		}
		for _, path := range stay {
			if content(t, path) != "stays\n" {
				t.Errorf("%s was changed", path)
			}
		}
		if got := content(t, root+"/etc/machine-id"); got != "" {
			t.Errorf("machine-id %q", got)
		}
		if got := content(t, root+"/var/log/sub/app.log"); (got == "") == kept("logs") {
			t.Errorf("a log: %q", got)
		}
		if got := content(t, root+"/etc/hosts"); got != "127.0.0.1 localhost\n" {
			t.Errorf("hosts: %q", got)
		}
		if got := content(t, root+"/etc/fstab"); got != "/dev/sda1 / ext4\n" {
			t.Errorf("fstab: %q", got)
		}
		for _, rep := range []struct {
			name           string
			removed, stays int
		}{{"logs", 2, 0}, {"histories", 46, 0}, {"package-cache", 0, 7}, {"containers", 0, 3}, {"host-keys", 2, 0}, {"lima", 8, 0}, {"homes", 0, -1}, {"services-data", 0, 2}} {
			if slices.Contains(c.Keep, rep.name) || slices.Contains(c.Also, rep.name) {
				rep.removed, rep.stays = rep.stays, rep.removed
			}
			find := func(items []Item) int {
				for _, i := range items {
					if i.Rule == rep.name {
						return int(i.Files)
					}
				}
				return 0
			}
			got := [2]int{find(report.Removed), find(report.Stays)}
			if rep.stays < 0 && got[1] > 0 {
				continue
			}
			if got != [2]int{rep.removed, rep.stays} {
				t.Errorf("%+v: %s: %v files removed, stayed; want %d, %d", c, rep.name, got, rep.removed, rep.stays)
			}
		}
		if len(measured.Removed) != len(report.Removed) || len(report.Removed)+len(report.Stays) != len(r.Rules)+len(r.Stays) {
			t.Errorf("%d rules were measured, %d applied, %d stay, of %d", len(measured.Removed), len(report.Removed), len(report.Stays), len(r.Rules)+len(r.Stays))
		}
		for i, m := range measured.Removed {
			if a := report.Removed[i]; m.Rule != a.Rule || m.Files != a.Files {
				t.Errorf("%s: %d files were measured, %d removed", m.Rule, m.Files, a.Files)
			}
		}
	}
}

// tree lists the files below a folder with their sizes.
func tree(t *testing.T, root string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			info, ierr := d.Info()
			b.WriteString(path + " " + info.ModTime().String() + "\n")
			return ierr
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// A step that fails is an error, after all others were done.
func TestApplyFails(t *testing.T) {
	root := t.TempDir()
	r := in(t, root)
	plant(t, root, r)
	r.Rules[0].Call = "broken"
	var log bytes.Buffer
	_, err := r.Apply(t.Context(), System{Guest: &below{}, Functions: "rule_broken() { try false; }", Log: &log}, Choice{})
	if err == nil || !strings.Contains(log.String(), "sanitise: services: false: exit status 1") {
		t.Errorf("%v\n%s", err, log.String())
	}
	if _, err := os.Lstat(root + "/root/.ssh"); err == nil {
		t.Error("the rules after the failed one were not applied")
	}
}

// A report without a rule's line, or with a changed one, is an error: it is not known
// whether the rule was applied.
func TestReport(t *testing.T) {
	r := &Rules{Rules: []Rule{{ID: "a"}, {ID: "b"}}, Stays: []Stay{{ID: "c"}}}
	if s, err := r.report("noise\ningot-found\ta\t1\t10\ningot-found\tb\t0\t0\ningot-found\tc\t2\t5\n", Choice{}); err != nil || len(s.Removed) != 2 || s.Removed[0].Size != 10 || s.Stays[0].Files != 2 {
		t.Errorf("%+v, %v", s, err)
	}
	for _, bad := range []string{"", "ingot-found\ta\t1\t10\n", "ingot-found\ta\tx\t10\n", "ingot-found\ta\t1\t10\ningot-found\tb\t1\t1\n"} {
		if _, err := r.report(bad, Choice{}); err == nil {
			t.Errorf("%q is accepted", bad)
		}
	}
}

// The ids of the rules are unique, and each rule says what it takes out.
func TestRules(t *testing.T) {
	r, err := For("linux")
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, rule := range r.Rules {
		if seen[rule.ID] || rule.What == "" || rule.Optional && rule.Always {
			t.Errorf("%+v", rule)
		}
		if len(rule.Remove)+len(rule.Empty)+len(rule.Below) == 0 && rule.Call == "" {
			t.Errorf("rule %s does nothing", rule.ID)
		}
		seen[rule.ID] = true
	}
	for _, s := range r.Stays {
		if seen[s.ID] || s.What == "" || s.Why == "" {
			t.Errorf("%+v", s)
		}
		seen[s.ID] = true
	}
	if _, err := For("plan9"); err == nil || !strings.Contains(err.Error(), "plan9") {
		t.Errorf("%v", err)
	}
}
