package home

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml"

	"ingot/backend/cause"
	"ingot/backend/limit"
)

// Config is the user's config.yaml. Every field may be left out.
type Config struct {
	Mirrors map[string]string `yaml:"mirrors"` // archive name → base address
	Guests  []GuestConfig     `yaml:"guests"`
	Guest   string            `yaml:"guest"` // where builds run without --guest; "" is this host on Linux, else the forge VM
	Forge   ForgeConfig       `yaml:"forge"`
	Publish PublishConfig     `yaml:"publish"`
	Workers int               `yaml:"workers"` // builds that the owner runs at once; 0 means what the machine's size allows
	Team    TeamConfig        `yaml:"team"`
	// Environment are variables for programs that no shell has started; see SetEnvironment.
	Environment map[string]string `yaml:"environment"`
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

// ForgeConfig configures the forge VM: the Lima instance in which builds run on a
// computer that is not Linux. Package guest/lima makes it. What is left out is chosen by
// the computer's size.
type ForgeConfig struct {
	Template string `yaml:"template"` // file with a whole Lima template; the other keys are ignored then
	Image    string `yaml:"image"`    // address or file of the disk image; "" is Debian's, as Lima's template names it
	Digest   string `yaml:"digest"`   // sha256:… or sha512:… of image
	CPUs     int    `yaml:"cpus"`
	Memory   string `yaml:"memory"` // like 4GiB
	Disk     string `yaml:"disk"`   // like 40GiB; it grows as needed up to that
	Idle     string `yaml:"idle"`   // how long it goes on without a build, like 5m
}

// forgeSize matches a size as Lima's templates have it, forgeDigest a digest.
var (
	forgeSize   = regexp.MustCompile(`^[1-9][0-9]*(MiB|GiB|TiB)$`)
	forgeDigest = regexp.MustCompile(`^(sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128})$`)
)

func (f ForgeConfig) check(file string) error {
	bad := func(key, value, accepted string) error {
		return &ConfigError{file, fmt.Sprintf("key forge.%s: %q is not allowed; accepted: %s", key, value, accepted)}
	}
	for key, size := range map[string]string{"memory": f.Memory, "disk": f.Disk} {
		if size != "" && !forgeSize.MatchString(size) {
			return bad(key, size, "a size like 4GiB")
		}
	}
	idle, err := time.ParseDuration(cmp.Or(f.Idle, "0s"))
	switch {
	case err != nil || idle < 0:
		return bad("idle", f.Idle, "a time like 5m or 1h")
	case f.CPUs < 0:
		return bad("cpus", strconv.Itoa(f.CPUs), "1 or more, or 0 to choose by the computer's size")
	case f.Digest != "" && !forgeDigest.MatchString(f.Digest):
		return bad("digest", f.Digest, "sha256: or sha512: and the digest in hexadecimal")
	case f.Digest != "" && f.Image == "":
		return bad("digest", f.Digest, "a digest beside forge.image, whose it is")
	}
	return nil
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
	data, err := h.readConfig()
	if err != nil {
		return Config{}, err
	}
	return parseConfig(h.ConfigFile(), data)
}

// readConfig returns the text of config.yaml; that of a missing file is empty.
func (h Home) readConfig() ([]byte, error) {
	data, err := limit.ReadFile(h.ConfigFile(), limit.Settings)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("config: %w", err)
	}
	return data, nil
}

// parseConfig parses and checks the text of config.yaml, which was read from file.
func parseConfig(file string, data []byte) (Config, error) {
	var c Config
	err := limit.Parse(data, limit.TextDepth, func() error {
		return yaml.NewDecoder(bytes.NewReader(data), yaml.DisallowUnknownField()).Decode(&c)
	})
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
	if err := c.Forge.check(file); err != nil {
		return err
	}
	if err := c.checkEnvironment(file); err != nil {
		return err
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
