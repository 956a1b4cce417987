package retention

import (
	"os"
	"path/filepath"
	"time"

	"ingot/backend"
)

// planCache adds to the plan what can be built or downloaded again.
func planCache(b *backend.Backend, plan *Collection, n needed) error {
	for pattern, want := range map[string]map[string]bool{"inputs/*": n.Inputs, "outputs/*-*": n.keys} {
		found, err := filepath.Glob(filepath.Join(b.Home.Cache, filepath.FromSlash(pattern)))
		if err != nil {
			return err
		}
		for _, f := range found {
			if !want[filepath.Base(f)] {
				plan.add(f, "no lock needs it")
			}
		}
	}
	found, err := filepath.Glob(filepath.Join(b.Home.Pulled(), "*"))
	if err != nil {
		return err
	}
	for _, f := range found {
		if time.Since(lastUse(f)) > pulledFor {
			plan.add(f, "the disk of a release, which `ingot run` fetches again")
		}
	}
	return nil
}

// pulledFor is how long a disk of a release is kept after its last use: its transfer may
// be going on.
const pulledFor = 24 * time.Hour

// lastUse is when a folder of a pulled disk was used: a use sets its time, a transfer
// those of its files.
func lastUse(dir string) (last time.Time) {
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil { // the name is a digest
		return time.Now()
	}
	for _, f := range append(files, dir) {
		if info, err := os.Stat(f); err == nil && info.ModTime().After(last) {
			last = info.ModTime()
		}
	}
	return last
}
