package home

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
)

// Config is the user's config.yaml. Every field may be left out.
type Config struct {
	Mirrors map[string]string `yaml:"mirrors"` // archive name → base address
	Guests  []GuestConfig     `yaml:"guests"`
	Publish PublishConfig     `yaml:"publish"`
	Workers int               `yaml:"workers"`
	Team    TeamConfig        `yaml:"team"`
}

// TeamConfig names what several computers build with: a NATS server, a bucket
// that inputs and artifacts travel through, and the keys of the workers whose
// evidence is believed.
type TeamConfig struct {
	NATS    string        `yaml:"nats"`   // nats:// or tls://host[:port]
	Creds   string        `yaml:"creds"`  // credentials file
	CAFile  string        `yaml:"caFile"` // for the server's certificate
	Store   PublishConfig `yaml:"store"`
	Workers []string      `yaml:"workers"` // public keys, as `ingot evidence key` prints them: the second line
}

// GuestConfig names a place where builds may run.
type GuestConfig struct {
	Name       string `yaml:"name"`
	Kind       string `yaml:"kind"`     // local, ssh or lima
	Instance   string `yaml:"instance"` // of kind lima; "" is name
	Host       string `yaml:"host"`
	Port       int    `yaml:"port"`
	User       string `yaml:"user"`
	KeyFile    string `yaml:"keyFile"`
	KnownHosts string `yaml:"knownHostsFile"`
	WorkDir    string `yaml:"workDir"`
	CacheDir   string `yaml:"cacheDir"` // of the compiler cache, in the guest; "" is /var/tmp/ingot-cache
}

// PublishConfig names an S3-compatible endpoint; without one the local store
// is used. It holds no secret: Credentials says where those are read from.
type PublishConfig struct {
	Endpoint    string `yaml:"endpoint"` // https://host[:port]
	Region      string `yaml:"region"`
	Bucket      string `yaml:"bucket"`
	Prefix      string `yaml:"prefix"`
	PathStyle   *bool  `yaml:"pathStyle"`
	CAFile      string `yaml:"caFile"`
	PublicURL   string `yaml:"publicURL"`
	Profile     string `yaml:"profile"`
	Credentials string `yaml:"credentials"` // env, aws-profile, minio-env, keychain; empty tries them in this order
}

// CredentialKinds are the accepted values of publish.credentials.
var CredentialKinds = []string{"", "env", "aws-profile", "minio-env", "keychain"}

// ConfigError is a mistake in config.yaml.
type ConfigError struct{ File, Msg string }

func (e *ConfigError) Error() string { return e.File + ": " + e.Msg }

// ConfigFile is where the user's configuration lies.
func (h Home) ConfigFile() string { return filepath.Join(h.Config, "config.yaml") }

// LoadConfig reads config.yaml; a missing file is an empty configuration.
func (h Home) LoadConfig() (Config, error) {
	var c Config
	file := h.ConfigFile()
	data, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return c, nil
	}
	if err != nil {
		return c, fmt.Errorf("config: %w", err)
	}
	err = yaml.NewDecoder(bytes.NewReader(data), yaml.DisallowUnknownField()).Decode(&c)
	if err != nil && !errors.Is(err, io.EOF) {
		return c, &ConfigError{file, describeYAML(err)}
	}
	return c, c.check(file)
}

func describeYAML(err error) string {
	var y yaml.Error
	if errors.As(err, &y) {
		if tok := y.GetToken(); tok != nil {
			return fmt.Sprintf("line %d: %s (at %q)", tok.Position.Line, y.GetMessage(), tok.Value)
		}
	}
	line, _, _ := strings.Cut(err.Error(), "\n")
	return line
}

func (c Config) check(file string) error {
	for i, g := range c.Guests {
		if g.Kind != "local" && g.Kind != "ssh" && g.Kind != "lima" {
			return &ConfigError{file, fmt.Sprintf("key guests[%d].kind: %q is not known; accepted: local, ssh, lima", i, g.Kind)}
		}
		if g.Kind == "lima" && g.Instance == "" && g.Name == "" {
			return &ConfigError{file, fmt.Sprintf("key guests[%d].instance: is required for kind lima", i)}
		}
		if g.Kind == "ssh" && g.Host == "" {
			return &ConfigError{file, fmt.Sprintf("key guests[%d].host: is required for kind ssh", i)}
		}
	}
	if !slices.Contains(CredentialKinds, c.Publish.Credentials) {
		return &ConfigError{file, fmt.Sprintf("key publish.credentials: %q is not known; accepted: env, aws-profile, minio-env, keychain", c.Publish.Credentials)}
	}
	if err := c.checkAddresses(file); err != nil {
		return err
	}
	if e := c.Publish.Endpoint; e != "" && !strings.HasPrefix(e, "https://") && !strings.HasPrefix(e, "http://") {
		return &ConfigError{file, fmt.Sprintf("key publish.endpoint: %q is no address; write it like https://s3.example.org", e)}
	}
	if c.Publish.Endpoint != "" && c.Publish.Bucket == "" {
		return &ConfigError{file, "key publish.bucket: is required with publish.endpoint"}
	}
	return c.Team.check(file)
}

// checkAddresses refuses addresses with a user or password in them: addresses
// stand in logs, journals, evidence and published files. The messages leave the
// address out for the same reason.
func (c Config) checkAddresses(file string) error {
	addresses := []struct{ key, address, instead string }{
		{"publish.endpoint", c.Publish.Endpoint, "publish.credentials says where they are read from"},
		{"publish.publicURL", c.Publish.PublicURL, "it is the address for readers without credentials"},
		{"team.nats", c.Team.NATS, "team.creds names a credentials file"},
		{"team.store.endpoint", c.Team.Store.Endpoint, "team.store.credentials says where they are read from"},
	}
	for _, name := range slices.Sorted(maps.Keys(c.Mirrors)) {
		addresses = append(addresses, struct{ key, address, instead string }{"mirrors." + name, c.Mirrors[name], "name a mirror that asks for none"})
	}
	for _, a := range addresses {
		if hasUser(a.address) {
			return &ConfigError{file, fmt.Sprintf("key %s: holds a user or password, which would stand in logs and evidence: leave it out; %s", a.key, a.instead)}
		}
		if _, err := url.Parse(a.address); err != nil {
			return &ConfigError{file, fmt.Sprintf("key %s: is no address; write it like https://host.example.org/path", a.key)}
		}
	}
	return nil
}

// hasUser tells whether an address names a user. It looks at the text: what
// url.Parse refuses may hold a password as well.
func hasUser(address string) bool {
	_, rest, found := strings.Cut(address, "//")
	if !found {
		rest = address
	}
	if end := strings.IndexAny(rest, "/?#"); end >= 0 {
		rest = rest[:end]
	}
	return strings.Contains(rest, "@")
}
