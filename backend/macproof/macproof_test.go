package macproof_test

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"ingot/backend/evidence"
	"ingot/backend/macproof"
	"ingot/backend/secret"
)

var at = time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)

func signer(t *testing.T) *secret.Signer {
	t.Helper()
	s, err := secret.LoadOrCreateSigner(secret.Files{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// complete is a record of a Mac in which everything passed.
func complete() macproof.Record {
	r := macproof.Record{Commit: "80b27eb", Programs: map[string]string{"ingot": strings.Repeat("ab", 32)},
		Computer: macproof.Computer{System: "darwin", Version: "26.1", Model: "Mac16,1", CPU: "Apple M4", Cores: 10, Memory: 16 << 30}}
	for _, c := range macproof.Checks {
		r.Results = append(r.Results, macproof.Result{ID: c.ID, By: c.By, Verdict: macproof.Passed})
	}
	return r
}

func seal(t *testing.T, s *secret.Signer, r macproof.Record) []byte {
	t.Helper()
	d, err := macproof.Seal(context.Background(), s, "ingot test", at, r)
	if err != nil {
		t.Fatal(err)
	}
	return d.Envelope
}

func TestRecord(t *testing.T) {
	s := signer(t)
	data := seal(t, s, complete())
	if !macproof.Is(data) || macproof.Is([]byte("{}")) || macproof.Is(nil) {
		t.Error("a record is not told from other files")
	}
	r, d, err := macproof.Open(context.Background(), data, evidence.KeyOf(s))
	if err != nil {
		t.Fatal(err)
	}
	if r.Count(macproof.Passed) != len(macproof.Checks) || !r.OnMac() || d.KeyID != s.KeyID() || r.Name() != "2026-11-29-Mac16_1-darwin26.1.json" {
		t.Errorf("%+v, signed by %s, named %s", r, d.KeyID, r.Name())
	}
}

// What is changed, incomplete or failed is refused, each with its cause.
func TestRefused(t *testing.T) {
	s := signer(t)
	for name, c := range map[string]struct {
		spoil func(r *macproof.Record)
		cause string
		says  string
	}{
		"a check is left out":       {func(r *macproof.Record) { r.Results = r.Results[1:] }, macproof.CauseIncomplete, macproof.Checks[0].ID},
		"a check is answered twice": {func(r *macproof.Record) { r.Results = append(r.Results, r.Results[0]) }, macproof.CauseIncomplete, "twice"},
		"a check is not known": {func(r *macproof.Record) {
			r.Results = append(r.Results, macproof.Result{ID: "line.luck", Verdict: macproof.Passed})
		}, macproof.CauseIncomplete, "line.luck"},
		"no reason":            {func(r *macproof.Record) { r.Results[0].Verdict = macproof.Skipped }, macproof.CauseIncomplete, "without a reason"},
		"no verdict":           {func(r *macproof.Record) { r.Results[0].Verdict = "" }, macproof.CauseIncomplete, "verdict"},
		"another verdict":      {func(r *macproof.Record) { r.Results[0].Verdict = "perfect" }, macproof.CauseIncomplete, "perfect"},
		"answered by a script": {func(r *macproof.Record) { r.Results[len(r.Results)-1].By = macproof.ByScript }, macproof.CauseIncomplete, "person must answer"},
		"not a Mac":            {func(r *macproof.Record) { r.Computer.System = "linux" }, macproof.CauseIncomplete, "only pass on a Mac"},
		"no computer":          {func(r *macproof.Record) { r.Computer.Model = "" }, macproof.CauseIncomplete, "on which computer"},
		"no commit":            {func(r *macproof.Record) { r.Commit = "" }, macproof.CauseIncomplete, "which commit"},
		"a check failed":       {func(r *macproof.Record) { r.Results[2].Verdict, r.Results[2].Why = macproof.Failed, "exit status 1" }, macproof.CauseFailed, macproof.Checks[2].ID + ": exit status 1"},
	} {
		r := complete()
		c.spoil(&r)
		data := seal(t, s, r)
		_, d, err := macproof.Open(context.Background(), data, evidence.KeyOf(s))
		var refused *macproof.Error
		if !errors.As(err, &refused) || refused.ID != c.cause || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want %s with %q", name, err, c.cause, c.says)
		}
		if d.Trust != evidence.Unsigned {
			t.Errorf("%s: it is signed", name)
		}
	}
}

func TestChanged(t *testing.T) {
	s := signer(t)
	data := seal(t, s, complete())
	open := func(data []byte, keys evidence.Keys) string {
		_, _, err := macproof.Open(context.Background(), data, keys)
		var refused *macproof.Error
		if !errors.As(err, &refused) {
			return ""
		}
		return refused.ID
	}
	if got := open(data, evidence.KeyOf(signer(t))); got != evidence.CauseForeign {
		t.Errorf("another key: %q", got)
	}
	var env map[string]any
	if err := json.Unmarshal(data, &env); err != nil {
		t.Fatal(err)
	}
	payload := env["payload"].(string)
	env["payload"] = payload[:200] + string(payload[200]^1) + payload[201:]
	bent, err := json.Marshal(env)
	if err != nil {
		t.Fatal(err)
	}
	if got := open(bent, evidence.KeyOf(s)); got == "" {
		t.Error("a changed record is accepted")
	}
	env["payload"], env["signatures"] = payload, []any{}
	if bent, err = json.Marshal(env); err != nil {
		t.Fatal(err)
	}
	if got := open(bent, evidence.KeyOf(s)); got != evidence.CauseSignature {
		t.Errorf("no signature: %q", got)
	}
	// a document of another kind, signed by the same key
	other, err := evidence.Seal(context.Background(), s, evidence.Subject{Name: "x", Digest: map[string]string{"sha256": "00"}}, evidence.Head{Kind: evidence.KindConfig, Verdict: evidence.Passed}, evidence.Config{Head: evidence.Head{Kind: evidence.KindConfig, Verdict: evidence.Passed}})
	if err != nil {
		t.Fatal(err)
	}
	if macproof.Is(other.Envelope) || open(other.Envelope, evidence.KeyOf(s)) != evidence.CauseUnreadable {
		t.Error("another document is taken for a record")
	}
}

// Every check is in the script or in the app's own list, and in the page for Mac owners.
func TestEveryCheckIsMade(t *testing.T) {
	read := func(file string) string {
		text, err := os.ReadFile(filepath.Join("../..", file))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	script, app, page := read("scripts/mac-proof.sh"), read("app/desktop/selfcheck.go"), read("docs/macos-checklist.md")
	made := map[macproof.By][]string{}
	for _, m := range regexp.MustCompile(`(?m)^\t*(?:if .*then )?(?:p run|check) ([a-z]+\.[a-z-]+) `).FindAllStringSubmatch(script, -1) {
		made[macproof.ByScript] = append(made[macproof.ByScript], m[1])
	}
	for _, m := range regexp.MustCompile(`p ask ([a-z.-]+) `).FindAllStringSubmatch(script, -1) {
		made[macproof.ByPerson] = append(made[macproof.ByPerson], m[1])
	}
	for _, m := range regexp.MustCompile(`\{"([a-z.-]+)", `).FindAllStringSubmatch(app, -1) {
		made[macproof.ByApp] = append(made[macproof.ByApp], m[1])
	}
	known := 0
	for _, c := range macproof.Checks {
		if !slices.Contains(made[c.By], c.ID) {
			t.Errorf("%s, which is the task of %s, is made nowhere", c.ID, c.By)
		}
		if row := "| `" + c.ID + "` | " + c.Title + " |"; !strings.Contains(page, row) {
			t.Errorf("docs/macos-checklist.md has no row %s", row)
		}
	}
	for by, ids := range made {
		slices.Sort(ids)
		for _, id := range slices.Compact(ids) {
			known++
			if !slices.ContainsFunc(macproof.Checks, func(c macproof.Check) bool { return c.ID == id && c.By == by }) {
				t.Errorf("%s is made by %s, and no record has it", id, by)
			}
		}
	}
	if known < 30 {
		t.Errorf("found only %d checks", known)
	}
}

// The README says which record is the newest, or that there is none; and every record
// that is kept is signed by the key beside it.
func TestREADMESaysWhatRanOnAMac(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob("../../docs/mac-proof/*.json")
	if err != nil {
		t.Fatal(err)
	}
	newest := ""
	for _, f := range files {
		data, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		pub, err := os.ReadFile(strings.TrimSuffix(f, ".json") + ".pub")
		if err != nil {
			t.Fatal(err)
		}
		id, key, err := secret.ParsePublic(string(pub))
		if err != nil {
			t.Fatal(err)
		}
		r, _, err := macproof.Open(context.Background(), data, evidence.Keys{id: key})
		if err != nil {
			t.Errorf("%s: %v", f, err)
		}
		if r.OnMac() {
			newest = max(newest, filepath.Base(f))
		}
	}
	const none = "**Nothing was run on a Mac**"
	if (newest == "") != strings.Contains(string(readme), none) || newest != "" && !strings.Contains(string(readme), "docs/mac-proof/"+newest) {
		t.Errorf("the newest record of a Mac is %q; the README must name it, or say %q", newest, none)
	}
}
