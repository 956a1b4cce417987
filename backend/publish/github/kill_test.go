package github

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"ingot/backend/publish"
	"ingot/backend/publish/github/githubtest"
	"ingot/backend/publish/publishtest"
	"ingot/backend/secret"
)

// publisherDir names the folder of a process that publishes once; see publishOnce.
const publisherDir = "INGOT_TEST_PUBLISHER"

func TestMain(m *testing.M) {
	if dir := os.Getenv(publisherDir); dir != "" {
		os.Exit(publishOnce(dir))
	}
	os.Exit(m.Run())
}

// publishOnce publishes the release in a folder with the key that lies there.
func publishOnce(dir string) int {
	var r publish.Release
	text, err := os.ReadFile(filepath.Join(dir, "release.json"))
	if err == nil {
		err = json.Unmarshal(text, &r)
	}
	var signer *secret.Signer
	if err == nil {
		signer, err = secret.LoadOrCreateSigner(secret.Files{Dir: filepath.Join(dir, "keys")})
	}
	var to publish.Publisher
	if err == nil {
		to, err = Open(githubtest.Owner+"/"+githubtest.Repo, func(context.Context) (string, string, error) { return os.Getenv("GITHUB_TOKEN"), "the test", nil })
	}
	if err == nil {
		_, err = to.Publish(context.Background(), r, publish.Options{Signer: signer, Keys: map[string]ed25519.PublicKey{signer.KeyID(): signer.Public()}})
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// A publisher that is killed at random moments, whose uploads are slow and cut at random,
// ends with one release of each version, public, with the right bytes, and no draft.
// INGOT_PUBLISH_KILLS is the number of kills, INGOT_PUBLISH_SEED their seed.
func TestUploadKilled(t *testing.T) {
	kills, seed := 3, uint64(1)
	if n, err := strconv.Atoi(os.Getenv("INGOT_PUBLISH_KILLS")); err == nil {
		kills = n
	}
	if n, err := strconv.ParseUint(os.Getenv("INGOT_PUBLISH_SEED"), 10, 64); err == nil {
		seed = n
	}
	rng := rand.New(rand.NewPCG(seed, 0))
	h := githubtest.Start(t)
	h.SetFault(poorLine(rand.New(rand.NewPCG(seed, 1))))
	dir := t.TempDir()
	var versions []publish.Release
	next := func() {
		r := publishtest.ReleaseOf(t, fmt.Sprintf("20261130-%04d", len(versions)), bytes.Repeat([]byte{byte(len(versions)), 1, 2, 3}, 1<<18))
		versions = append(versions, r)
		text, err := json.Marshal(r)
		if err := errors.Join(err, os.WriteFile(filepath.Join(dir, "release.json"), text, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	run := func(after time.Duration) ([]byte, error) {
		ctx, cancel := context.WithTimeout(t.Context(), after)
		defer cancel()
		cmd := exec.CommandContext(ctx, os.Args[0])
		cmd.Env = append(os.Environ(), publisherDir+"="+dir, "GITHUB_TOKEN="+h.Token)
		return cmd.CombinedOutput()
	}
	finish := func() time.Duration {
		var out []byte
		var err error
		for range 10 {
			began := time.Now()
			if out, err = run(time.Minute); err == nil {
				return time.Since(began)
			}
		}
		t.Fatalf("it does not pass in 10 attempts: %v\n%s", err, out)
		return 0
	}
	next()
	span := finish() // the first one is not killed, and says how long one takes
	next()
	killed := 0
	for tries := 0; killed < kills; tries++ {
		out, err := run(time.Duration(rng.Float64() * float64(span)))
		var exit *exec.ExitError
		switch {
		case err == nil:
			next()
		case errors.As(err, &exit) && exit.ExitCode() < 0:
			killed++
		case tries > 20*kills:
			t.Fatalf("it fails without end: %v\n%s", err, out)
		}
	}
	finish()
	t.Logf("%d kills, %d releases, a publish took %s", killed, len(versions), span.Round(time.Millisecond))
	if h.Drafts() != 0 || h.Releases() != len(versions) {
		t.Errorf("%d releases and %d drafts for %d versions", h.Releases(), h.Drafts(), len(versions))
	}
	for _, r := range versions {
		files := h.Public(Tag(r.Dir()))
		if got, err := publish.SHA256Of(bytes.NewReader(files[r.Files[0].Name])); err != nil || got.SHA256 != r.Files[0].SHA256 || len(files) != 9 {
			t.Errorf("release %s: %+v instead of %s, %d assets, %v", r.Version, got, r.Files[0].SHA256, len(files), err)
		}
	}
}

// poorLine answers after a delay; it loses one request of thirty.
func poorLine(rng *rand.Rand) func(http.ResponseWriter, *http.Request) bool {
	var mu sync.Mutex
	return func(w http.ResponseWriter, r *http.Request) bool {
		mu.Lock()
		lost := rng.IntN(30) == 0
		mu.Unlock()
		time.Sleep(10 * time.Millisecond)
		if lost && (r.Method != http.MethodPost || uploads(r)) {
			cut(nil)(w, r)
			return true
		}
		return false
	}
}
