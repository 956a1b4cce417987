//go:build e2e

package e2e

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// The artifact is published to an endpoint of the configuration, with
// credentials from the environment: neither of them is in an argument list, in
// what the program says, in the ledger, or in what is published.
func TestJ_SecretsStaySecret(t *testing.T) {
	home := filepath.Join(work, "home")
	secret, err := os.ReadFile(filepath.Join(home, "data", "keys", "store-secret"))
	if err != nil {
		t.Fatal(err)
	}
	serve := exec.Command(filepath.Join(root, "bin", "ingot"), "store", "serve")
	serve.Env = environment(home)
	out, err := serve.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := serve.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = serve.Process.Signal(os.Interrupt); _ = serve.Wait() }()
	line := make([]byte, 256)
	n, err := out.Read(line)
	if n == 0 {
		t.Fatal(err)
	}
	url, _, _ := strings.Cut(strings.TrimPrefix(string(line[:n]), "http://"), "/")
	cfg := fmt.Sprintf("publish: {endpoint: \"http://%s\", bucket: ingot, prefix: elsewhere, credentials: env}\n", url)
	if err := os.WriteFile(filepath.Join(work, "config.yaml"), []byte(cfg), 0o600); err != nil {
		t.Fatal(err)
	}
	defer os.Remove(filepath.Join(work, "config.yaml"))

	env := append(environment(home), "AWS_ACCESS_KEY_ID=ingot", "AWS_SECRET_ACCESS_KEY="+string(secret))
	seen := watchArguments(secret)
	_, stderr, code := ingotWith(t, env, "-v", "publish", lean)
	if code != 0 {
		t.Fatalf("publish: exit %d\n%s", code, stderr)
	}
	if looked, found := seen(); looked == 0 || found != "" {
		t.Errorf("%d argument lists looked at; the secret is in %q", looked, found)
	}
	if c := status(t, lean)["published"]; c.State != "passed" || !strings.Contains(c.Note, url+"/ingot/elsewhere") || !strings.Contains(c.Note, "local store") {
		t.Errorf("published: %+v", c)
	}
	if strings.Contains(stderr, string(secret)) {
		t.Error("the secret is in what the program said")
	}
	for _, dir := range []string{"builds", "owner.log", "store/objects", "queue", "children"} {
		if where := holds(t, filepath.Join(home, "data", dir), secret); where != "" {
			t.Errorf("%s holds the secret", where)
		}
	}
	if holds(t, filepath.Join(home, "data", "keys"), secret) == "" {
		t.Error("the look-up finds nothing where the secret is kept: it cannot fail")
	}
	// wrong credentials: a clear failure, recorded as evidence
	env[len(env)-1] = "AWS_SECRET_ACCESS_KEY=not-the-secret"
	_, stderr, code = ingotWith(t, env, "publish", lean)
	if code != 6 || !strings.Contains(stderr, "cause: publish.") || strings.Contains(stderr, "not-the-secret") {
		t.Errorf("wrong credentials: exit %d\n%s", code, stderr)
	}
	if c := status(t, lean)["published"]; c.State != "failed" || !strings.HasPrefix(c.Cause, "publish.") || c.Evidence == "" {
		t.Errorf("published after wrong credentials: %+v", c)
	}
	if err := os.Remove(filepath.Join(work, "config.yaml")); err != nil {
		t.Fatal(err)
	}
	if _, stderr, code := ingot(t, "publish", lean); code != 0 {
		t.Fatalf("publish to the local store again: exit %d\n%s", code, stderr)
	}
}

// watchArguments looks at the argument lists of all processes until the
// function that it returns is called.
func watchArguments(secret []byte) func() (looked int, found string) {
	stop := make(chan struct{})
	var wait sync.WaitGroup
	looked, found := 0, ""
	wait.Add(1)
	go func() {
		defer wait.Done()
		for {
			procs, _ := filepath.Glob("/proc/[0-9]*/cmdline")
			for _, p := range procs {
				args, err := os.ReadFile(p)
				if err != nil {
					continue
				}
				looked++
				if bytes.Contains(args, secret) {
					found = string(bytes.ReplaceAll(args, []byte{0}, []byte{' '}))
				}
			}
			select {
			case <-stop:
				return
			case <-time.After(20 * time.Millisecond):
			}
		}
	}()
	return func() (int, string) {
		close(stop)
		wait.Wait()
		return looked, found
	}
}

// holds names a file below path that holds the bytes.
func holds(t *testing.T, path string, what []byte) (where string) {
	t.Helper()
	err := filepath.WalkDir(path, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !d.Type().IsRegular() || strings.HasSuffix(p, ".qcow2") {
			return err
		}
		data, err := os.ReadFile(p)
		if bytes.Contains(data, what) {
			where = p
		}
		return err
	})
	if err != nil && !os.IsNotExist(err) {
		t.Error(err)
	}
	return where
}
