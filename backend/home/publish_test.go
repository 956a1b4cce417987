package home

import (
	"errors"
	"os"
	"strings"
	"testing"
)

// Setting the destination writes one key: what is around it stays, and so do the keys of
// it that were given.
func TestSetPublish(t *testing.T) {
	no := false
	s3 := PublishConfig{Endpoint: "https://s3.example.org", Bucket: "images"}
	const block = "publish:\n  endpoint: https://s3.example.org\n  bucket: images\n"
	const rest = "# mine\nworkers: 2 # two\n"
	for name, c := range map[string]struct {
		before string
		to     PublishConfig
		after  string
	}{
		"no file":       {"", s3, block},
		"new key":       {rest, s3, rest + block},
		"no newline":    {"workers: 2", s3, "workers: 2\n" + block},
		"in the middle": {rest + "publish:\n  endpoint: http://old\n  bucket: b\n\n# the guest\nguest: local\n", s3, rest + block + "\n# the guest\nguest: local\n"},
		"flow":          {"publish: {endpoint: 'http://old', bucket: b,\n  region: r}\nguest: local\n", PublishConfig{Endpoint: "https://s3.example.org", Region: "r", Bucket: "images"}, "publish:\n  endpoint: https://s3.example.org\n  region: r\n  bucket: images\nguest: local\n"},
		"all keys":      {"", PublishConfig{Endpoint: "https://e", Region: "r", Bucket: "b", Prefix: "p/q", PathStyle: &no, CAFile: "/ca", PublicURL: "https://u", Profile: "x", Credentials: "env"}, "publish:\n  endpoint: https://e\n  region: r\n  bucket: b\n  prefix: p/q\n  pathStyle: false\n  caFile: /ca\n  publicURL: https://u\n  profile: x\n  credentials: env\n"},
		"local store":   {rest + block + "guest: local\n", PublishConfig{}, rest + "guest: local\n"},
		"same":          {"publish: {endpoint: 'https://s3.example.org', bucket: images} # it\n", s3, "publish: {endpoint: 'https://s3.example.org', bucket: images} # it\n"},
		"at the end":    {block + "# end\n", PublishConfig{Endpoint: "http://x", Bucket: "z"}, "publish:\n  endpoint: http://x\n  bucket: z\n# end\n"},
	} {
		t.Run(name, func(t *testing.T) {
			h := Home{Config: t.TempDir()}
			if c.before != "" {
				write(t, h.ConfigFile(), c.before, 0o600)
			}
			if err := h.SetPublish(c.to); err != nil {
				t.Fatal(err)
			}
			got, err := os.ReadFile(h.ConfigFile())
			if err != nil || string(got) != c.after {
				t.Errorf("%v\n%s\nwant\n%s", err, got, c.after)
			}
		})
	}
}

// A file that cannot be changed safely stays as it is, and a value that is wrong is
// refused before anything is written.
func TestSetPublishRefuses(t *testing.T) {
	s3 := PublishConfig{Endpoint: "https://s3.example.org", Bucket: "images"}
	for name, c := range map[string]struct {
		before string
		to     PublishConfig
		want   string
	}{
		"a mistake":  {"wrokers: 1\n", s3, "has a mistake"},
		"comments":   {"publish:\n  endpoint: http://old # the old one\n  bucket: b\n", s3, "comments, which would be lost"},
		"no address": {"workers: 1\n", PublishConfig{Endpoint: "s3.example.org", Bucket: "b"}, "is not an address"},
		"no bucket":  {"workers: 1\n", PublishConfig{Endpoint: "https://s3.example.org"}, "publish.bucket"},
		"an anchor":  {"publish: &p {endpoint: 'http://old', bucket: b}\nteam: {store: *p}\n", s3, ""},
	} {
		t.Run(name, func(t *testing.T) {
			h := Home{Config: t.TempDir()}
			write(t, h.ConfigFile(), c.before, 0o600)
			err := h.SetPublish(c.to)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %q", err, c.want)
			}
			var bad *ConfigError
			if name != "a mistake" && name != "an anchor" && !errors.As(err, &bad) {
				t.Errorf("%T", err)
			}
			if got, rerr := os.ReadFile(h.ConfigFile()); rerr != nil || string(got) != c.before {
				t.Errorf("the file was changed: %s, %v", got, rerr)
			}
		})
	}
}
