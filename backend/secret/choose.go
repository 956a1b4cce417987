package secret

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/zalando/go-keyring"

	"ingot/backend/limit"
)

// choice is where a home's secrets are. It is made at the home's first start and written
// down: a keychain that does not answer later is an error, since another key would make
// the home's evidence that of a stranger.
type choice struct {
	Store   string `json:"store"`             // keychain or files
	Service string `json:"service,omitempty"` // the keychain's service
	Older   bool   `json:"older,omitempty"`   // see keychain
}

const (
	inKeychain = "keychain"
	inFiles    = "files"
	choiceFile = "store.json"
)

// Open returns the store of the home whose folder of secrets is dir: the OS keychain if
// it kept a secret at the home's first start, else files in dir. INGOT_KEYCHAIN=off
// selects the files in any case.
func Open(dir string, getenv func(string) string) (Store, error) {
	if getenv("INGOT_KEYCHAIN") == "off" {
		return Files{dir}, nil
	}
	c, err := readChoice(dir)
	if errors.Is(err, fs.ErrNotExist) {
		c, err = firstChoice(dir)
	}
	if err != nil {
		return nil, err
	}
	if c.Store == inFiles {
		return Files{dir}, nil
	}
	return remembered{keychain{dir, c.Service, c.Older}, dir, c.Service}, nil
}

func readChoice(dir string) (choice, error) {
	var c choice
	file := filepath.Join(dir, choiceFile)
	data, err := limit.ReadFile(file, limit.Settings)
	if err != nil {
		return c, err
	}
	err = json.Unmarshal(data, &c)
	if err == nil && c.Store != inFiles && (c.Store != inKeychain || c.Service == "") {
		err = fmt.Errorf("its store is %q", c.Store)
	}
	if err != nil {
		return c, fmt.Errorf("secret: %s does not say where this home's secrets are: %w: restore it, or write {\"store\":\"files\"} there for those in its folder", file, err)
	}
	return c, nil
}

// firstChoice chooses and writes it down, once for all processes that start.
func firstChoice(dir string) (choice, error) {
	creating.Lock()
	defer creating.Unlock()
	lock, err := lockIn(dir)
	if err != nil {
		return choice{}, err
	}
	defer lock.Close()
	if c, err := readChoice(dir); !errors.Is(err, fs.ErrNotExist) {
		return c, err
	}
	id := make([]byte, 8)
	if _, err := rand.Read(id); err != nil {
		return choice{}, fmt.Errorf("secret: %w", err)
	}
	c := choice{Store: inFiles}
	service := common + "-" + hex.EncodeToString(id)
	kept, err := keeps(runtime.GOOS, func() error { return tryOut(service) })
	if err != nil {
		return c, err
	}
	if kept {
		c = choice{inKeychain, service, older(dir)}
	}
	data, err := json.Marshal(c)
	if err != nil {
		return c, err
	}
	_, err = Files{dir}.Create(choiceFile, data)
	return c, err
}

// older reports whether the home has evidence already.
func older(dir string) bool {
	entries, err := os.ReadDir(filepath.Join(filepath.Dir(dir), "builds"))
	return err == nil && len(entries) > 0
}

// How long a keychain may take for its first answer. A session bus of Linux without a
// keyring daemon may never answer; a Mac has a keychain, and is only busy.
var (
	linuxLimit = 2 * time.Second
	macLimit   = time.Minute
)

// keeps reports whether the keychain keeps secrets. One that refuses, as a Mac's does
// over ssh, is not used; that a Mac's does not answer is an error.
func keeps(goos string, try func() error) (bool, error) {
	wait := linuxLimit
	if goos == "darwin" {
		wait = macLimit
	}
	answered := make(chan error, 1)
	go func() { answered <- try() }()
	select {
	case err := <-answered:
		return err == nil, nil
	case <-time.After(wait):
		if goos == "darwin" {
			return false, &KeychainError{"the first entry", fmt.Errorf("it did not answer within %s", wait)}
		}
		return false, nil
	}
}

// tryOut writes an entry, reads it back and deletes it.
func tryOut(service string) error {
	if err := (keychain{service: service}).set("probe", "probe"); err != nil {
		return err
	}
	return keyring.Delete(service, "probe")
}
