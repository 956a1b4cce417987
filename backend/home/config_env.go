package home

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
)

// settable are the environment variables that the key environment of config.yaml may
// set: those that a program started from Finder or a desktop's menu lacks, since no shell
// has set them. None holds a secret.
var settable = []string{"HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "AWS_PROFILE", "AWS_REGION", "AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE", "LIMA_HOME", "SSL_CERT_FILE", "SSL_CERT_DIR"}

// pathsOf are those whose values are paths.
var pathsOf = []string{"AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE", "LIMA_HOME", "SSL_CERT_FILE", "SSL_CERT_DIR"}

func (c Config) checkEnvironment(file string) error {
	for _, name := range slices.Sorted(maps.Keys(c.Environment)) {
		value := c.Environment[name]
		switch {
		case !slices.Contains(settable, name):
			return &ConfigError{file, fmt.Sprintf("key environment.%s: cannot be set here; accepted: %s. Secrets belong into none of them: `ingot store login` keeps those of an endpoint", name, strings.Join(settable, ", "))}
		case strings.HasSuffix(name, "_PROXY") && !PlainProxy(value):
			return &ConfigError{file, fmt.Sprintf("key environment.%s: contains a user or password, which every program that is started could read: use a proxy that asks for none, such as one on this computer that logs in", name)}
		case slices.Contains(pathsOf, name) && !filepath.IsAbs(value):
			return &ConfigError{file, fmt.Sprintf("key environment.%s: %q must be an absolute path", name, value)}
		}
	}
	return nil
}

// setHere are the variables that this process has from config.yaml.
var setHere struct {
	mu  sync.Mutex
	has map[string]string
}

// SetEnvironment gives this process, and what it starts, the variables of the key
// environment that it does not have: what it was started with counts more. What an
// earlier call has set and the configuration does not have any more is taken away. Go's
// HTTP client reads proxies once, so a change of those needs a new process.
func (c Config) SetEnvironment() error {
	setHere.mu.Lock()
	defer setHere.mu.Unlock()
	if setHere.has == nil {
		setHere.has = map[string]string{}
	}
	for name, value := range setHere.has {
		if _, still := c.Environment[name]; !still && os.Getenv(name) == value {
			if err := os.Unsetenv(name); err != nil {
				return fmt.Errorf("environment: %w", err)
			}
			delete(setHere.has, name)
		}
	}
	for name, value := range c.Environment {
		given := os.Getenv(name)
		if given == "" && strings.HasSuffix(name, "_PROXY") {
			given = os.Getenv(strings.ToLower(name))
		}
		if given == value || given != "" && setHere.has[name] != given {
			continue
		}
		if err := os.Setenv(name, value); err != nil {
			return fmt.Errorf("environment: %w", err)
		}
		setHere.has[name] = value
	}
	return nil
}
