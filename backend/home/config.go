package home

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/url"
	"path/filepath"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"

	"ingot/backend/cause"
	"ingot/backend/limit"
)

// Config is the user's config.yaml. Every field may be left out.
type Config struct {
	Mirrors map[string]string `yaml:"mirrors"` // archive name → base address
	Guests  []GuestConfig     `yaml:"guests"`
	Publish PublishConfig     `yaml:"publish"`
	Workers int               `yaml:"workers"` // builds that the owner runs at once; 0 means what the machine's size allows
	Team    TeamConfig        `yaml:"team"`
}

// TeamConfig configures building with several computers: the NATS server, the
// bucket for inputs and artifacts, and the public keys of the workers whose
// evidence is accepted.
type TeamConfig struct {
	NATS    string        `yaml:"nats"`   // nats:// or tls://host[:port]
	Creds   string        `yaml:"creds"`  // credentials file
	CAFile  string        `yaml:"caFile"` // PEM file of the CAs that may sign the server's certificate
	Store   PublishConfig `yaml:"store"`
	Workers []string      `yaml:"workers"` // public keys, as `ingot evidence key` prints them: the second line
}

// GuestConfig configures a place where builds may run. Package guest/all lists
// the kinds and checks what each one needs.
type GuestConfig struct {
	Name       string `yaml:"name"`
	Kind       string `yaml:"kind"`     // see package guest/all
	Instance   string `yaml:"instance"` // for kind lima; "" means the guest's name
	Host       string `yaml:"host"`
	Port       int    `yaml:"port"`
	User       string `yaml:"user"`
	KeyFile    string `yaml:"keyFile"`
	KnownHosts string `yaml:"knownHostsFile"`
	WorkDir    string `yaml:"workDir"`
	CacheDir   string `yaml:"cacheDir"` // folder of the compiler cache in the guest; "" means /var/tmp/ingot-cache
}

// PublishConfig configures an S3-compatible endpoint; without one the local
// store is used. It holds no secret: Credentials says where those are read
// from.
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

// ConfigError reports a mistake in config.yaml.
type ConfigError struct{ File, Msg string }

func (e *ConfigError) Error() string { return e.File + ": " + e.Msg }

// ErrorClass sorts the error; see package cause.
func (*ConfigError) ErrorClass() cause.Class { return cause.Input }

// ConfigFile returns the path of the user's configuration file.
func (h Home) ConfigFile() string { return filepath.Join(h.Config, "config.yaml") }

// LoadConfig reads config.yaml; a missing file is an empty configuration.
func (h Home) LoadConfig() (Config, error) {
	var c Config
	file := h.ConfigFile()
	data, err := limit.ReadFile(file, limit.Settings)
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
	if c.Workers < 0 {
		return &ConfigError{file, fmt.Sprintf("key workers: %d is not allowed; accepted: 1 or more builds at once, or 0 to choose by the machine's size", c.Workers)}
	}
	if !slices.Contains(CredentialKinds, c.Publish.Credentials) {
		return &ConfigError{file, fmt.Sprintf("key publish.credentials: %q is not known; accepted: env, aws-profile, minio-env, keychain", c.Publish.Credentials)}
	}
	if err := c.checkAddresses(file); err != nil {
		return err
	}
	if e := c.Publish.Endpoint; e != "" && !strings.HasPrefix(e, "https://") && !strings.HasPrefix(e, "http://") {
		return &ConfigError{file, fmt.Sprintf("key publish.endpoint: %q is not an address; write it like https://s3.example.org", e)}
	}
	if c.Publish.Endpoint != "" && c.Publish.Bucket == "" {
		return &ConfigError{file, "key publish.bucket: is required with publish.endpoint"}
	}
	return c.Team.check(file)
}

// checkAddresses refuses addresses that contain a user or password, because
// addresses appear in logs, journals, evidence and published files. For the
// same reason the messages do not quote the address.
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
			return &ConfigError{file, fmt.Sprintf("key %s: contains a user or password, which would appear in logs and evidence: leave it out; %s", a.key, a.instead)}
		}
		if _, err := url.Parse(a.address); err != nil {
			return &ConfigError{file, fmt.Sprintf("key %s: is not an address; write it like https://host.example.org/path", a.key)}
		}
	}
	return nil
}

// hasUser reports whether an address contains a user. It searches the text,
// since an address that url.Parse refuses may contain a password too.
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
