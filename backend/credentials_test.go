package backend

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ingot/backend/build"
	"ingot/backend/publish/s3"
)

// What is kept is what publishing finds.
func TestKeepCredentials(t *testing.T) {
	t.Setenv("INGOT_HOME", t.TempDir())
	t.Setenv("INGOT_KEYCHAIN", "off")
	b, err := Open(Options{})
	if err != nil {
		t.Fatal(err)
	}
	const endpoint = "https://s3.example.org:9000"
	if _, err := s3.Credentials("keychain", "", endpoint, b.Secrets); err == nil {
		t.Fatal("credentials were found before there were any")
	}
	if name, err := b.KeepCredentials(context.Background(), endpoint, "ACCESS", "se:cret/+="); err != nil || name != "s3:s3.example.org:9000" {
		t.Fatalf("%q, %v", name, err)
	}
	c, err := s3.Credentials("keychain", "", endpoint, b.Secrets)
	if err != nil {
		t.Fatal(err)
	}
	if v, err := c.GetWithContext(nil); err != nil || v.AccessKeyID != "ACCESS" || v.SecretAccessKey != "se:cret/+=" {
		t.Errorf("%+v, %v", v, err)
	}
	var bad *build.OptionError
	for _, wrong := range [][3]string{{"", "A", "s"}, {"s3.example.org", "A", "s"}, {endpoint, "", "s"}, {endpoint, "A", ""}, {endpoint, "A:B", "s"}, {endpoint, "A", "s t"}} {
		if _, err := b.KeepCredentials(context.Background(), wrong[0], wrong[1], wrong[2]); !errors.As(err, &bad) {
			t.Errorf("%q: %v", wrong, err)
		}
	}
}

// A stored token is taken before that of the environment, and that before gh's; without
// one the publisher says what can be done.
func TestGitHubToken(t *testing.T) {
	t.Setenv("INGOT_HOME", t.TempDir())
	t.Setenv("INGOT_KEYCHAIN", "off")
	t.Setenv("GITHUB_TOKEN", "")
	bin := t.TempDir()
	t.Setenv("PATH", bin)
	b, err := Open(Options{})
	if err != nil {
		t.Fatal(err)
	}
	want := func(token, from string) {
		t.Helper()
		if got, of, err := githubToken(b)(t.Context()); err != nil || got != token || of != from {
			t.Errorf("%q of %q, %v; want %q of %q", got, of, err, token, from)
		}
	}
	gh := filepath.Join(bin, "gh")
	for _, script := range []string{"#!/bin/sh\nexit 1\n", "#!/bin/sh\n[ \"$1 $2\" = 'auth token' ] && echo of-gh\n"} {
		if err := os.WriteFile(gh, []byte(script), 0o755); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(script, "of-gh") {
			want("of-gh", "gh")
		} else {
			want("", "")
		}
	}
	t.Setenv("GITHUB_TOKEN", "of-env")
	want("of-env", "GITHUB_TOKEN")
	for _, bad := range []string{"", "a b", "a\n"} {
		if _, err := b.KeepGitHubToken(t.Context(), bad); err == nil {
			t.Errorf("%q is stored", bad)
		}
	}
	if _, err := b.KeepGitHubToken(t.Context(), "stored"); err != nil {
		t.Fatal(err)
	}
	want("stored", b.KeysWhere())
}
