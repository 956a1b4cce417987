//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// The same recipe, built and booted by another process in a network of its own,
// over a nats-server with TLS and credentials and an S3 server; the submitter
// checks what comes back and publishes it.
func TestO_Team(t *testing.T) {
	space := network(t)
	url, creds, ca := natsServer(t)
	endpoint, secret := bucket(t)
	lead, far := filepath.Join(work, "lead"), filepath.Join(work, "remote")
	farConfig := filepath.Join(work, "remote-config")
	if err := os.MkdirAll(farConfig, 0o700); err != nil {
		t.Fatal(err)
	}
	farEnv := append(environment(far), "INGOT_CONFIG="+farConfig)
	config := fmt.Sprintf("team:\n  nats: %s\n  creds: %s\n  caFile: %s\n  store: {endpoint: %q, bucket: ingot, prefix: team}\n", url, creds, ca, endpoint)
	write := func(dir, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, "config.yaml"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(farConfig, fmt.Sprintf("team:\n  store: {endpoint: %q, bucket: ingot, prefix: team}\n", endpoint)) // the rest by flags
	t.Cleanup(func() { _ = os.Remove(filepath.Join(work, "config.yaml")) })
	for _, env := range [][]string{environment(lead), farEnv} {
		login := exec.Command(filepath.Join(root, "bin", "ingot"), "store", "login", endpoint)
		login.Env, login.Stdin = env, strings.NewReader("ingot\n"+secret+"\n")
		if out, err := login.CombinedOutput(); err != nil {
			t.Fatalf("store login: %v\n%s", err, out)
		}
	}
	public, _, _ := ingotWith(t, farEnv, "evidence", "key")
	key := strings.Fields(public)
	write(work, config+"  workers: ["+key[len(key)-1]+"]\n")

	reachable(t, space, strings.TrimPrefix(endpoint, "http://"))
	worker := exec.Command("ip", "netns", "exec", space, filepath.Join(root, "bin", "ingot"), "worker", "--nats", url, "--creds", creds, "--ca", ca)
	worker.Env, worker.Stderr = farEnv, testWriter{t}
	said, err := worker.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	started(t, worker)
	if n, err := said.Read(make([]byte, 256)); n == 0 {
		t.Fatalf("the worker did not start: %v", err)
	}
	out, _, code := ingotIn(t, lead, "workers", "--json")
	var workers []struct {
		ID     string
		Builds []string
	}
	if err := json.Unmarshal([]byte(out), &workers); code != 0 || err != nil || len(workers) != 1 || !slices.Contains(workers[0].Builds, "arm64") {
		t.Fatalf("workers: exit %d, %v: %s", code, err, out)
	}
	table, _, _ := ingotIn(t, lead, "workers")
	t.Logf("\n%s", table)

	c := startClientIn(t, lead, "build", lean, "--team", "--json")
	begun := c.until(t, time.Minute, "the start", func(e event) bool { return e.Kind == "build-started" })
	c.until(t, time.Minute, "a step at the worker", func(e event) bool { return e.Kind == "step-started" && e.Step == "kernel" })
	folder := filepath.Join("data", "builds", lean, begun.Build, "logs")
	stop := make(chan struct{})
	late := make(chan []time.Duration)
	go func() {
		late <- latencies(filepath.Join(far, folder, "kernel.log"), filepath.Join(lead, folder, "kernel."+workers[0].ID+".log"), stop)
	}()
	end := c.until(t, 30*time.Minute, "the kernel", func(e event) bool {
		return e.Kind == "build-finished" || e.Kind == "step-finished" && e.Step == "kernel"
	})
	close(stop)
	lag := <-late
	if len(lag) == 0 {
		t.Error("no line of the log was seen to come")
	} else {
		slices.Sort(lag)
		t.Logf("a log line is at the follower after %s (median of %d), %s at most", lag[len(lag)/2].Round(100*time.Microsecond), len(lag), lag[len(lag)-1].Round(100*time.Microsecond))
	}
	if end.Kind != "build-finished" {
		end = c.until(t, 30*time.Minute, "the end", func(e event) bool { return e.Kind == "build-finished" })
	}
	if err := c.cmd.Wait(); err != nil || end.Outcome != "passed" {
		t.Fatalf("%+v, %v: %s", end, err, c.errs.String())
	}
	out, _, _ = ingotIn(t, lead, "status", lean, "--json")
	var rows []map[string]json.RawMessage
	if err := json.Unmarshal([]byte(out), &rows); err != nil || len(rows) != 1 {
		t.Fatalf("status: %v: %s", err, out)
	}
	for _, name := range []string{"configured", "guest", "kernel", "exported", "boots", "published"} {
		var s cell
		if err := json.Unmarshal(rows[0][name], &s); err != nil || s.State != "passed" {
			t.Errorf("%s: %+v, %v", name, s, err)
		}
	}
	for _, step := range []string{"kernel", "image"} { // nothing of it was made here
		if found, _ := filepath.Glob(filepath.Join(lead, "data", "outputs", step+"-*")); len(found) > 0 {
			t.Errorf("here: %v", found)
		}
	}
	theirs, _ := os.ReadFile(filepath.Join(far, folder, "kernel.log"))
	ours, err := os.ReadFile(filepath.Join(lead, folder, "kernel."+workers[0].ID+".log"))
	if err != nil || len(theirs) == 0 || string(theirs) != string(ours) {
		t.Errorf("the log has %d bytes here, %d there: %v", len(ours), len(theirs), err)
	}
	if found, _ := filepath.Glob(filepath.Join(far, "data", "store", "*")); len(found) > 0 {
		t.Errorf("the worker has published: %v", found)
	}
}

// latencies looks every millisecond how long two copies of a log are, until
// stopped: how long after the first one had grown the second one had as much.
func latencies(first, second string, stop <-chan struct{}) (out []time.Duration) {
	type grown struct {
		size int64
		at   time.Time
	}
	size := func(file string) int64 {
		info, err := os.Stat(file)
		if err != nil {
			return 0
		}
		return info.Size()
	}
	var waiting []grown
	last := int64(-1)
	ticker := time.NewTicker(time.Millisecond)
	defer ticker.Stop()
	for {
		select {
		case <-stop:
			return out
		case now := <-ticker.C:
			n := size(first)
			if last >= 0 && n > last {
				waiting = append(waiting, grown{n, now})
			}
			last = n
			there := size(second)
			for len(waiting) > 0 && waiting[0].size <= there {
				out = append(out, time.Since(waiting[0].at))
				waiting = waiting[1:]
			}
		}
	}
}
