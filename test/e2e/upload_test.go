//go:build e2e

package e2e

import (
	"encoding/json"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"ingot/backend/publish/github/githubtest"
)

// TestQ_GitHub publishes the image to a stand-in for GitHub by the script that does it with
// the real one, which verifies and fetches the release; then one byte of it is changed
// there. It comes after all tests that read the newest receipt.
func TestQ_GitHub(t *testing.T) {
	if _, _, code := ingot(t, "owner", "stop"); code != 0 { // the next one gets the variables
		t.Fatalf("owner stop: exit code %d", code)
	}
	h := githubtest.Start(t)
	env := append(environment(filepath.Join(work, "home")), "GITHUB_TOKEN="+h.Token)
	t.Cleanup(func() { _, _, _ = ingot(t, "owner", "stop") })
	if _, said, code := ingotWith(t, append(env, "GITHUB_TOKEN=wrong"), "publish", lean, "--to", "github:owner/images"); code == 0 || !strings.Contains(said, "publish.credentials") {
		t.Errorf("with a wrong token: exit code %d\n%s", code, said)
	}
	_, _, _ = ingot(t, "owner", "stop")
	proof := exec.Command(filepath.Join(root, "scripts", "github-proof.sh"), "owner/images", lean)
	proof.Env = env
	if out, err := proof.CombinedOutput(); err != nil || !strings.Contains(string(out), "passed: "+h.URL) {
		t.Fatalf("%v\n%s", err, out)
	}
	out, _, _ := ingot(t, "status", lean, "--json")
	var rows []struct {
		Published struct{ State, Note, Evidence string }
	}
	if err := json.Unmarshal([]byte(out), &rows); err != nil || len(rows) != 1 || rows[0].Published.State != "passed" || !strings.Contains(rows[0].Published.Note, "owner/images") {
		t.Fatalf("%v\n%s", err, out)
	}
	shown, _, _ := ingot(t, "evidence", "show", rows[0].Published.Evidence)
	var receipt struct{ Predicate struct{ URL, Disk string } }
	if err := json.Unmarshal([]byte(shown), &receipt); err != nil {
		t.Fatal(err)
	}
	tag := filepath.Base(receipt.Predicate.URL)
	h.Alter(tag, filepath.Base(receipt.Predicate.Disk), func(b []byte) []byte { b[len(b)/2] ^= 1; return b })
	if _, said, code := ingotWith(t, env, "verify", "github:owner/images@"+tag); code != 7 || !strings.Contains(said, "image.digest-changed") {
		t.Errorf("a changed disk: exit code %d\n%s", code, said)
	}
}
