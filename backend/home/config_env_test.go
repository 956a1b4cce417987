package home

import (
	"os"
	"strings"
	"testing"
)

func TestEnvironmentOfConfig(t *testing.T) {
	for _, name := range settable { // restored when the test ends
		t.Setenv(name, "")
		t.Setenv(strings.ToLower(name), "")
	}
	t.Setenv("AWS_PROFILE", "of-the-shell")
	t.Setenv("no_proxy", "localhost")
	set := func(env map[string]string) {
		t.Helper()
		if err := (Config{Environment: env}).SetEnvironment(); err != nil {
			t.Fatal(err)
		}
	}
	want := func(name, value string) {
		t.Helper()
		if got := os.Getenv(name); got != value {
			t.Errorf("%s is %q, want %q", name, got, value)
		}
	}
	set(map[string]string{"HTTPS_PROXY": "http://proxy.example.org:3128", "AWS_PROFILE": "of-the-file", "NO_PROXY": "example.org", "LIMA_HOME": "/l"})
	want("HTTPS_PROXY", "http://proxy.example.org:3128")
	want("AWS_PROFILE", "of-the-shell") // what the process was started with counts
	want("NO_PROXY", "")                // the shell has it in lower case
	want("LIMA_HOME", "/l")
	set(map[string]string{"LIMA_HOME": "/m"})
	want("HTTPS_PROXY", "")
	want("LIMA_HOME", "/m")
	set(nil)
	want("LIMA_HOME", "")
	want("AWS_PROFILE", "of-the-shell")
}

func TestEnvironmentRefused(t *testing.T) {
	for name, c := range map[string]struct{ key, value, says string }{
		"a secret":            {"AWS_SECRET_ACCESS_KEY", "x", "ingot store login"},
		"another":             {"PATH", "/bin", "accepted: HTTP_PROXY"},
		"a proxy's password":  {"HTTPS_PROXY", "http://user:word@proxy.example.org", "user or password"},
		"a path from nowhere": {"LIMA_HOME", "lima", "absolute"},
	} {
		err := Config{Environment: map[string]string{c.key: c.value}}.check("config.yaml")
		if err == nil || !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), "environment."+c.key) {
			t.Errorf("%s: %v", name, err)
		}
		if err != nil && strings.Contains(err.Error(), "word@") {
			t.Errorf("%s: the message has the password: %v", name, err)
		}
	}
	if err := (Config{Environment: map[string]string{"HTTPS_PROXY": "http://proxy.example.org:3128", "SSL_CERT_FILE": "/etc/ssl/ca.pem"}}).check("config.yaml"); err != nil {
		t.Error(err)
	}
}
