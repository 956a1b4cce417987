package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"ingot/backend"
	"ingot/backend/macproof"
)

type fixture struct {
	run
	out bytes.Buffer
}

// newRun is a run in a folder of its own, with a home of its own, in a folder like a
// clone's.
func newRun(t *testing.T) *fixture {
	t.Helper()
	t.Setenv("INGOT_HOME", t.TempDir())
	t.Setenv("INGOT_KEYCHAIN", "off")
	t.Chdir(t.TempDir())
	if err := os.Mkdir("bin", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile("bin/ingot", []byte("program"), 0o700); err != nil {
		t.Fatal(err)
	}
	f := &fixture{run: run{dir: t.TempDir(), to: "docs/mac-proof"}}
	f.run.out = &f.out
	return f
}

func (f *fixture) must(t *testing.T, args ...string) {
	t.Helper()
	if err := f.do(context.Background(), args); err != nil {
		t.Fatalf("%q: %v", args, err)
	}
}

func (f *fixture) answer(t *testing.T, id string) macproof.Result {
	t.Helper()
	all, err := f.results()
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(all, func(r macproof.Result) bool { return r.ID == id })
	if i < 0 {
		t.Fatalf("no answer to %s among %v", id, all)
	}
	return all[i]
}

func TestRun(t *testing.T) {
	f := newRun(t)
	f.must(t, "run", "build.vet", "sh", "-c", "echo fine")
	f.must(t, "run", "build.unit", "sh", "-c", "echo one; echo the reason >&2; exit 3")
	f.must(t, "run", "host.doctor", "sh", "-c", "echo no such thing; exit 77")
	f.must(t, "run", "line.build", "/no/such/program")
	for id, want := range map[string]macproof.Result{
		"build.vet":   {Verdict: macproof.Passed},
		"build.unit":  {Verdict: macproof.Failed, Why: "exit status 3"},
		"host.doctor": {Verdict: macproof.Skipped, Why: "no such thing"},
		"line.build":  {Verdict: macproof.Failed, Why: "no such file"},
	} {
		got := f.answer(t, id)
		if got.Verdict != want.Verdict || !strings.Contains(got.Why, want.Why) || got.By != macproof.ByScript {
			t.Errorf("%s: %+v, want %+v", id, got, want)
		}
	}
	if text, err := os.ReadFile(f.log("build.unit")); err != nil || !strings.Contains(string(text), "the reason") {
		t.Errorf("the log: %q, %v", text, err)
	}
	for _, args := range [][]string{{"run", "line.luck", "true"}, {"skip", "build.vet"}, {"dance"}, {}} {
		if err := f.do(context.Background(), args); err == nil {
			t.Errorf("%q is accepted", args)
		}
	}
}

func TestAsk(t *testing.T) {
	f := newRun(t)
	f.in = strings.NewReader("perhaps\nyes\n")
	f.must(t, "ask", "asked.icon", "Is it there?")
	f.in = strings.NewReader("no\n")
	f.must(t, "ask", "asked.drag", "Does it move?")
	f.in = strings.NewReader("")
	f.must(t, "ask", "asked.live", "Is it alive?")
	f.answers = filepath.Join(f.dir, "answers")
	if err := os.WriteFile(f.answers, []byte("asked.focus yes\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	f.must(t, "ask", "asked.focus", "In front?")
	f.must(t, "ask", "asked.buttons", "Buttons?")
	for id, want := range map[string]macproof.Verdict{"asked.icon": macproof.Passed, "asked.drag": macproof.Failed, "asked.live": macproof.Skipped, "asked.focus": macproof.Passed, "asked.buttons": macproof.Skipped} {
		if got := f.answer(t, id); got.Verdict != want || got.By != macproof.ByPerson {
			t.Errorf("%s: %+v, want %s", id, got, want)
		}
	}
	if strings.Count(f.out.String(), "Is it there?") != 2 {
		t.Errorf("an answer that is none is not asked again: %s", f.out.String())
	}
	if f.answer(t, "asked.focus").Why != "answered by a file" {
		t.Error("a file's answer looks like a person's")
	}
}

// A whole run makes a record that verifies; the logs beside it name neither the computer
// nor the user.
func TestFinish(t *testing.T) {
	f := newRun(t)
	t.Setenv("USER", "margarethe")
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	f.must(t, "run", "build.vet", "sh", "-c", "echo on $(hostname) by margarethe in $HOME/x")
	taken := filepath.Join(f.dir, "app.json")
	if err := os.WriteFile(taken, []byte(`[{"id":"app.note","by":"app","verdict":"passed","seconds":1.5}]`), 0o600); err != nil {
		t.Fatal(err)
	}
	f.must(t, "take", taken)
	f.must(t, "left", "only a Mac can answer it")
	// outside of a clone there is no commit, and the record is incomplete
	if err := f.do(context.Background(), []string{"finish"}); err == nil || !strings.Contains(err.Error(), "of which commit") {
		t.Fatalf("without a commit: %v", err)
	}
	clone(t)
	f.must(t, "finish")
	files, err := filepath.Glob("docs/mac-proof/*.json")
	if err != nil || len(files) != 1 {
		t.Fatalf("%v, %v", files, err)
	}
	data, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	b, err := backend.Open(backend.Options{})
	if err != nil {
		t.Fatal(err)
	}
	r, d, err := macproof.Open(context.Background(), data, b.OwnKeys)
	if err != nil {
		t.Fatal(err)
	}
	if r.Count(macproof.Passed) != 2 || r.Count(macproof.Skipped) != len(macproof.Checks)-2 || r.OnMac() || d.Subject().SHA256() != digest([]byte("program")) {
		t.Errorf("%+v", r)
	}
	log, err := f.logs(slices.Clone(r.Results))
	if err != nil || len(log) != 1 {
		t.Fatalf("%v, %v", log, err)
	}
	if text := string(log[0].Data); strings.Contains(text, "margarethe") || strings.Contains(text, "on "+host) || !strings.Contains(text, "USER") || !strings.Contains(text, "~/x") {
		t.Errorf("the log: %s", text)
	}
	if digest(log[0].Data) != r.Results[0].Log {
		t.Error("the digest of the log is not that of the archive's")
	}
	for _, beside := range []string{".pub", ".logs.tar.gz"} {
		if _, err := os.Stat(strings.TrimSuffix(files[0], ".json") + beside); err != nil {
			t.Error(err)
		}
	}
}

func TestFailedRun(t *testing.T) {
	f := newRun(t)
	clone(t)
	f.must(t, "run", "line.kill", "sh", "-c", "echo process 12 is left; exit 1")
	f.must(t, "left", "only a Mac can answer it")
	if err := f.do(context.Background(), []string{"finish"}); err == nil || !strings.Contains(err.Error(), "line.kill: ") {
		t.Errorf("a failed check: %v", err)
	}
	if keys, err := filepath.Glob("docs/mac-proof/*.pub"); err != nil || len(keys) > 0 {
		t.Errorf("a failed record has a key: %v, %v", keys, err)
	}
}

func clone(t *testing.T) {
	t.Helper()
	for _, args := range [][]string{{"init", "-q"}, {"-c", "user.name=n", "-c", "user.email=e@example.org", "commit", "-q", "--allow-empty", "-m", "first"}} {
		cmd := exec.Command("git", args...)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("git %q: %v: %s", args, err, out)
		}
	}
}

func TestCells(t *testing.T) {
	row := func(state string) string {
		cells := map[string]any{}
		for _, c := range []string{"configured", "guest", "kernel", "exported", "boots"} {
			cells[c] = map[string]string{"state": "passed", "evidence": "id-of-" + c}
		}
		cells["published"] = map[string]string{"state": state}
		text, err := json.Marshal([]any{cells})
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	var out bytes.Buffer
	ticks := func(in string, args ...string) error {
		out.Reset()
		return run{in: strings.NewReader(in), out: &out}.do(context.Background(), args)
	}
	if err := ticks(row("passed"), "ticks"); err != nil {
		t.Error(err)
	}
	for _, in := range []string{row("stale"), row("unknown"), "[]", "", `[{},{}]`} {
		if err := ticks(in, "ticks"); err == nil {
			t.Errorf("%s has six ticks", in)
		}
	}
	if err := ticks(row("unknown"), "cell", "boots"); err != nil || out.String() != "id-of-boots\n" {
		t.Errorf("%q, %v", out.String(), err)
	}
	if err := ticks(row("unknown"), "cell", "published"); err == nil {
		t.Error("a cell without evidence has one")
	}
}
