//go:build e2e_lima

package lima

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// What was published starts by its address: limactl takes the release's own
// template, and its shell answers with the kernel that was proven. The evidence
// is this home's; nothing of the instance stays.
func TestReleaseStarts(t *testing.T) {
	release, key := need(t, "INGOT_E2E_RELEASE"), need(t, "INGOT_E2E_KEY")
	valid(t, release)
	before := instances()
	out := must(t, "verify", release, "--key", key, "--lima", "--json")
	var v struct{ SHA256, Booted string }
	if err := json.Unmarshal([]byte(out), &v); err != nil || v.Booted == "" {
		t.Fatalf("no boot: %v\n%s", err, out)
	}
	var st struct {
		Subject   []struct{ Digest struct{ SHA256 string } }
		Predicate struct {
			Verdict                    string
			KernelRelease, WantRelease string
			KernelBuildID, WantBuildID string
			Boots                      []struct {
				Name   string
				VMType string
				Phases []struct {
					Name    string
					Seconds float64
				}
				Serial struct{ Size int64 }
			}
		}
	}
	if err := json.Unmarshal([]byte(must(t, "evidence", "show", v.Booted)), &st); err != nil {
		t.Fatal(err)
	}
	p := st.Predicate
	if p.Verdict != "passed" || p.WantRelease == "" || p.KernelRelease != p.WantRelease || len(p.WantBuildID) != 40 || p.KernelBuildID != p.WantBuildID {
		t.Errorf("%+v", p)
	}
	if len(st.Subject) != 1 || st.Subject[0].Digest.SHA256 != v.SHA256 {
		t.Errorf("the evidence is about %+v, the disk is %s", st.Subject, v.SHA256)
	}
	if len(p.Boots) != 1 || p.Boots[0].VMType != "qemu" || len(p.Boots[0].Phases) != 3 || p.Boots[0].Serial.Size < 1000 {
		t.Fatalf("boots: %+v", p.Boots)
	}
	t.Logf("phases: %+v", p.Boots[0].Phases)
	if after := instances(); strings.Join(after, " ") != strings.Join(before, " ") {
		t.Errorf("instances were %v and are %v", before, after)
	}
}

// valid: limactl takes the release's template for one; the same without its images
// is the control.
func valid(t *testing.T, release string) {
	t.Helper()
	template := tool(t, "curl", "-fsS", strings.TrimSuffix(release, "/")+"/lima.yaml")
	for text, want := range map[string]bool{template: true, strings.Replace(template, "\nimages:", "\nnoimages:", 1): false} {
		file := filepath.Join(t.TempDir(), "lima.yaml")
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.Command("limactl", "template", "validate", file).CombinedOutput(); (err == nil) != want {
			t.Errorf("limactl template validate: %v\n%s", err, out)
		}
	}
}
