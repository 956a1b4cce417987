package home

import (
	"net/url"
	"slices"
	"strings"
)

// secretNames are parts of environment names that hold secrets.
var secretNames = []string{"AWS_", "MINIO_", "MC_HOST_", "GITHUB_TOKEN", "GH_TOKEN", "SECRET", "PASSWORD", "_KEY", "TOKEN"}

// WithoutSecrets is an environment, as os.Environ gives it, for child processes: without
// variables that hold credentials, and without the addresses of proxies that hold a
// user or a password. What a child is given, its own children and a core dump have too.
func WithoutSecrets(environ []string) []string {
	var out []string
	for _, kv := range environ {
		name, value, _ := strings.Cut(kv, "=")
		upper := strings.ToUpper(name)
		within := func(part string) bool { return strings.Contains(upper, part) }
		if !slices.ContainsFunc(secretNames, within) && (!strings.HasSuffix(upper, "_PROXY") || PlainProxy(value)) {
			out = append(out, kv)
		}
	}
	return out
}

// PlainProxy tells whether the address of a proxy holds neither user nor password.
// What is no address is a list of hosts, or is judged by its text: curl and apt
// take "user:password@host" without a scheme.
func PlainProxy(value string) bool {
	u, err := url.Parse(value)
	return (err != nil || u.User == nil) && !strings.Contains(value, "@")
}
