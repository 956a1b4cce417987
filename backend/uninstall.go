package backend

import (
	"context"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"ingot/backend/home"
)

// Leftover is a folder or file that an uninstall removes or keeps.
type Leftover struct {
	Path  string `json:"path"`
	Bytes int64  `json:"bytes"` // apparent
	What  string `json:"what"`
	Kept  bool   `json:"kept"`
}

// What lies in a home, by folder; names may be patterns of path.Match. Only what is named here is ever removed: a
// home may have been put into a folder with other things in it.
var (
	cacheEntries = map[string]string{"inputs": "downloaded packages", "ccache": "compiler cache", "outputs": "root file systems", "accel-arm64.json": "probe results", "accel-amd64.json": "probe results", "verify-*": "half-done verification", ".tmp-*": "half-done run"}
	dataEntries  = map[string]string{"outputs": "images", "store": "local store", "builds": "evidence and logs", "keys": "signing key and credentials", "children": "records of processes", "backup": "backups of older schemas", "digests.json": "digest cache", "schema": "schema version", "lock": "lock", "queue": "queue", "pins": "pinned builds", "owner.log": "log of the owner", "owner.log.1": "older log of the owner",
		"uploads": "parts of uploads that were cut off", "handout": "disks under the names that they are handed out by", "window.json": "the window's place", "window.log": "log of the window"}
	configEntries = map[string]string{"config.yaml": "configuration", "targets": "your recipes and locks"}
)

// UninstallPlan lists what Uninstall removes: the caches, and with purge
// everything, the evidence and the signing key too.
func (b *Backend) UninstallPlan(purge bool) []Leftover {
	var plan []Leftover
	for _, part := range []struct {
		dir     string
		entries map[string]string
		kept    bool
	}{{b.Home.Cache, cacheEntries, false}, {b.Home.Data, dataEntries, !purge}, {b.Home.Config, configEntries, !purge}} {
		for _, name := range slices.Sorted(maps.Keys(part.entries)) {
			found, err := filepath.Glob(filepath.Join(literal(part.dir), name))
			if err != nil { // the names above are patterns that hold
				continue
			}
			for _, path := range found {
				size, _ := home.Usage(path)
				plan = append(plan, Leftover{path, size, part.entries[name], part.kept})
			}
		}
	}
	return plan
}

// literal is a path as a pattern that fits it alone.
func literal(path string) string {
	return strings.NewReplacer(`\`, `\\`, "*", `\*`, "?", `\?`, "[", `\[`).Replace(path)
}

// Uninstall removes what the plan says, and the folders that are empty then.
// Secrets in the OS keychain are removed with purge.
func (b *Backend) Uninstall(ctx context.Context, purge bool) error {
	lock, err := b.lock(ctx, home.LockOptions{Purpose: "uninstall", Wait: false})
	if err != nil {
		return err
	}
	if purge {
		err = b.secrets.Forget()
	}
	for _, l := range b.UninstallPlan(purge) {
		if !l.Kept {
			err = errors.Join(err, os.RemoveAll(l.Path))
		}
	}
	for _, dir := range []string{b.Home.Cache, b.Home.Config, b.Home.Data} {
		_ = os.Remove(dir) // stays when something else lies in it
	}
	return errors.Join(err, lock.Unlock())
}
