package home

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestMain lets the test binary be the second process of the lock tests.
func TestMain(m *testing.M) {
	if dir := os.Getenv("HOME_TEST_HOLD"); dir != "" {
		l, err := Home{Data: dir}.Lock(context.Background(), LockOptions{Purpose: "test holder"})
		if err != nil {
			fmt.Println("error", err)
			os.Exit(1)
		}
		fmt.Println("held", os.Getpid())
		_, _ = os.Stdin.Read(make([]byte, 1))
		_ = l.Unlock()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func TestLocate(t *testing.T) {
	env := func(m map[string]string) func(string) string { return func(k string) string { return m[k] } }
	cases := []struct {
		name, os string
		env      map[string]string
		want     Home
		fails    bool
	}{
		{"linux", "linux", nil, Home{"/u/.local/share/ingot", "/u/.config/ingot", "/u/.cache/ingot"}, false},
		{"xdg", "linux", map[string]string{"XDG_DATA_HOME": "/d", "XDG_CACHE_HOME": "relative"}, Home{"/d/ingot", "/u/.config/ingot", "/u/.cache/ingot"}, false},
		{"darwin", "darwin", nil, Home{"/u/Library/Application Support/Ingot", "/u/Library/Application Support/Ingot/config", "/u/Library/Caches/Ingot"}, false},
		{"home", "linux", map[string]string{"INGOT_HOME": "/x", "INGOT_CACHE": "/c"}, Home{"/x/data", "/x/config", "/c"}, false},
		{"relative", "linux", map[string]string{"INGOT_HOME": "x"}, Home{}, true},
		{"relative cache", "linux", map[string]string{"INGOT_CACHE": "x"}, Home{}, true},
	}
	for _, c := range cases {
		got, err := Locate(env(c.env), c.os, "/u")
		if got != c.want || (err != nil) != c.fails {
			t.Errorf("%s: %+v, %v", c.name, got, err)
		}
	}
}

// hold starts a second process that holds the lock.
func hold(t *testing.T, dir string) (pid string, release func(), kill func()) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "HOME_TEST_HOLD="+dir)
	in, _ := cmd.StdinPipe()
	out, _ := cmd.StdoutPipe()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil || !strings.HasPrefix(line, "held ") {
		t.Fatalf("holder said %q, %v", line, err)
	}
	return strings.TrimSpace(line[5:]), func() { _ = in.Close(); _ = cmd.Wait() }, func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }
}

func TestLockIsHeldByAnother(t *testing.T) {
	h := Home{Data: t.TempDir()}
	pid, release, _ := hold(t, h.Data)
	var held *HeldError
	if _, err := h.Lock(context.Background(), LockOptions{}); !errors.As(err, &held) || !strings.Contains(err.Error(), pid) || !strings.Contains(err.Error(), "test holder") {
		t.Fatalf("%v, want HeldError with pid %s", err, pid)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
	defer cancel()
	if _, err := h.Lock(ctx, LockOptions{Wait: true}); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("waiting with a deadline: %v", err)
	}
	l, err := h.Lock(context.Background(), LockOptions{Wait: true, OnWait: func(Holder) { release() }})
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Unlock(); err != nil {
		t.Fatal(err)
	}
}

func TestLockOfAKilledHolderIsFree(t *testing.T) {
	h := Home{Data: t.TempDir()}
	_, _, kill := hold(t, h.Data)
	kill()
	l, err := h.Lock(context.Background(), LockOptions{})
	if err != nil {
		t.Fatal(err)
	}
	_ = l.Unlock()
}

func TestMigrate(t *testing.T) {
	dir := t.TempDir()
	version := func() string { b, _ := os.ReadFile(filepath.Join(dir, "schema")); return strings.TrimSpace(string(b)) }
	if err := migrate(dir, 1, nil); err != nil || version() != "1" {
		t.Fatalf("fresh: %v, %s", err, version())
	}
	if err := os.WriteFile(filepath.Join(dir, "thing"), []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	steps := []Migration{
		{1, "rewrite", func(d string) error { return os.WriteFile(filepath.Join(d, "thing"), []byte("new"), 0o600) }},
		{2, "broken", func(string) error { return errors.New("no luck") }},
	}
	if err := migrate(dir, 2, steps); err != nil || version() != "2" {
		t.Fatalf("1→2: %v, %s", err, version())
	}
	kept, _ := filepath.Glob(filepath.Join(dir, "backup", "schema-1-*", "thing"))
	if b, _ := os.ReadFile(strings.Join(kept, "")); string(b) != "old" {
		t.Errorf("backup %v holds %q, want old", kept, b)
	}
	if err := migrate(dir, 3, steps); err == nil || version() != "2" {
		t.Errorf("failing migration: %v, version %s", err, version())
	}
	var newer *NewerSchemaError
	if err := migrate(dir, 1, nil); !errors.As(err, &newer) || version() != "2" {
		t.Errorf("newer: %v", err)
	}
}

func TestLookTool(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "mytool"), []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir)
	if p, err := LookTool("mytool"); err != nil || p != filepath.Join(dir, "mytool") {
		t.Errorf("%s, %v", p, err)
	}
	if _, err := LookTool("sh"); err != nil { // not in this PATH, but in /bin
		t.Errorf("bare PATH: %v", err)
	}
	var missing *ToolMissingError
	if _, err := LookTool("no-such-tool"); !errors.As(err, &missing) {
		t.Errorf("%v", err)
	}
}

func TestNeedSpace(t *testing.T) {
	var no *NoSpaceError
	if err := NeedSpace(filepath.Join(t.TempDir(), "not", "yet"), 1<<62, "test"); !errors.As(err, &no) {
		t.Errorf("%v, want NoSpaceError", err)
	}
	if err := NeedSpace(t.TempDir(), 1, "test"); err != nil {
		t.Error(err)
	}
}

func TestConfig(t *testing.T) {
	h := Home{Config: t.TempDir()}
	cases := map[string]string{
		"":                                       "",
		"mirrors: {debian: http://x/debian}":     "",
		"nonsense: 1":                            "line 1",
		"workers: -1":                            "key workers",
		"publish: {endpoint: s3.org, bucket: b}": "https://",
		"publish: {endpoint: 'https://s3.org'}":  "publish.bucket",
		"publish: {credentials: sesame}":         "accepted: env",
		"mirrors: [":                             "line 1",
	}
	for text, want := range cases {
		if err := os.WriteFile(h.ConfigFile(), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := h.LoadConfig()
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

// A password in an address is refused, and the refusal does not tell it.
func TestConfigRefusesPasswordsInAddresses(t *testing.T) {
	h := Home{Config: t.TempDir()}
	cases := map[string]string{
		"publish: {endpoint: 'https://me:sesame@s3.example.org', bucket: b}":                                           "publish.endpoint: contains",
		"publish: {endpoint: 'me:sesame@s3.example.org', bucket: b}":                                                   "publish.endpoint: contains",
		"publish: {endpoint: 'https://me:ses%ame@s3.example.org', bucket: b}":                                          "publish.endpoint: contains",
		"publish: {endpoint: 'https://me:sesame/x@s3.example.org', bucket: b}":                                         "publish.endpoint: is not an address",
		"publish: {endpoint: 'https://sesame@s3.example.org', bucket: b}":                                              "publish.endpoint: contains",
		"publish: {publicURL: 'https://me:sesame@images.example.org/x'}":                                               "publish.publicURL: contains",
		"mirrors: {debian: 'http://me:sesame@mirror.example.org/debian'}":                                              "mirrors.debian: contains",
		"mirrors: {debian: 'http://mirror.example.org/debian@2026'}":                                                   "",
		"publish: {endpoint: 'https://s3.example.org:9000', bucket: b, publicURL: 'https://images.example.org/a@b?c'}": "",
	}
	for text, want := range cases {
		if err := os.WriteFile(h.ConfigFile(), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := h.LoadConfig()
		var conf *ConfigError
		switch {
		case want == "" && err != nil:
			t.Errorf("%s: %v", text, err)
		case want != "" && (!errors.As(err, &conf) || !strings.Contains(err.Error(), want)):
			t.Errorf("%s: %v, want %q", text, err, want)
		case err != nil && strings.Contains(err.Error(), "sesame"):
			t.Errorf("the error tells the password: %v", err)
		}
	}
}
