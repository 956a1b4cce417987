package home

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
)

// check returns an error for a setting that cannot be used. No settings at all
// are valid.
func (t TeamConfig) check(file string) error {
	wrong := func(key, format string, args ...any) error {
		return &ConfigError{file, "key team." + key + ": " + fmt.Sprintf(format, args...)}
	}
	if t.NATS != "" && !strings.HasPrefix(t.NATS, "nats://") && !strings.HasPrefix(t.NATS, "tls://") {
		return wrong("nats", "%q is not an address; write it like tls://nats.example.org:4222", t.NATS)
	}
	for key, path := range map[string]string{"creds": t.Creds, "caFile": t.CAFile} {
		if path != "" && !filepath.IsAbs(path) {
			return wrong(key, "%q must be an absolute path: builds run in another working directory", path)
		}
	}
	s := t.Store
	switch {
	case s.Endpoint == "":
		return nil
	case !strings.HasPrefix(s.Endpoint, "https://") && !strings.HasPrefix(s.Endpoint, "http://"):
		return wrong("store.endpoint", "%q is not an address; write it like https://s3.example.org", s.Endpoint)
	case s.Bucket == "":
		return wrong("store.bucket", "is required with team.store.endpoint")
	case !slices.Contains(CredentialKinds, s.Credentials):
		return wrong("store.credentials", "%q is not known; accepted: env, aws-profile, minio-env, keychain", s.Credentials)
	}
	return nil
}
