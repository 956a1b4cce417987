package retention

import (
	"context"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"ingot/backend"
	"ingot/backend/home"
)

// Leftover is a file or folder that an uninstall removes or keeps.
type Leftover struct {
	Path  string `json:"path"`
	Bytes int64  `json:"bytes"` // on disk, without holes
	What  string `json:"what"`
	Kept  bool   `json:"kept"`
}

// The contents of a home, by folder. Names may be patterns of path.Match. Only
// what is listed here is removed, since the home's folder may contain other
// files.
var (
	cacheEntries = map[string]string{"inputs": "downloaded packages", "ccache": "compiler cache", "outputs": "root file systems", "accel-arm64.json": "probe results", "accel-amd64.json": "probe results", "derived.json": "digests of recipes", "pulled": "disks of releases", "verify-*": "half-done verification", ".tmp-*": "half-done run"}
	dataEntries  = map[string]string{"outputs": "images", "store": "local store", "builds": "evidence and logs", "keys": "signing key and credentials", "children": "records of processes", "backup": "backups of older schemas", "digests.json": "digest cache", "schema": "schema version", "lock": "lock", "queue": "queue", "pins": "pinned builds", "owner.log": "log of the owner", "owner.log.1": "older log of the owner",
		"uploads": "parts of uploads that were cut off", "handout": "disks under the names that they are handed out by", "window.json": "the window's place", "window.log": "log of the window", "menu.log": "log of the menu", "menu.1.log": "older log of the menu", ".metadata_never_index": "mark for Spotlight"}
	configEntries = map[string]string{"config.yaml": "configuration", "targets": "your recipes and locks"}
)

// UninstallPlan lists what Uninstall removes: the caches, and with purge
// everything, including the evidence and the signing key.
func UninstallPlan(b *backend.Backend, purge bool) []Leftover {
	var plan []Leftover
	for _, part := range []struct {
		dir     string
		entries map[string]string
		kept    bool
	}{{b.Home.Cache, cacheEntries, false}, {b.Home.Data, dataEntries, !purge}, {b.Home.Config, configEntries, !purge}} {
		for _, name := range slices.Sorted(maps.Keys(part.entries)) {
			found, err := filepath.Glob(filepath.Join(literal(part.dir), name))
			if err != nil { // the names above are valid patterns
				continue
			}
			for _, path := range found {
				_, size := home.Usage(path)
				plan = append(plan, Leftover{path, size, part.entries[name], part.kept})
			}
		}
	}
	return plan
}

// literal returns the pattern that matches only the path.
func literal(path string) string {
	return strings.NewReplacer(`\`, `\\`, "*", `\*`, "?", `\?`, "[", `\[`).Replace(path)
}

// Uninstall removes what the plan lists, and folders that are empty afterwards.
// With purge it also removes the secrets in the OS keychain.
func Uninstall(ctx context.Context, b *backend.Backend, purge bool) error {
	lock, err := b.Lock(ctx, home.LockOptions{Purpose: "uninstall", Wait: false})
	if err != nil {
		return err
	}
	if purge {
		err = b.Secrets.Forget()
	}
	for _, l := range UninstallPlan(b, purge) {
		if !l.Kept {
			err = errors.Join(err, os.RemoveAll(l.Path))
		}
	}
	for _, dir := range []string{b.Home.Cache, b.Home.Config, b.Home.Data} {
		_ = os.Remove(dir) // a folder with other files is kept
	}
	return errors.Join(err, lock.Unlock())
}
