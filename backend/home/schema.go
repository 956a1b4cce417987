package home

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"ingot/backend/cause"
	"ingot/backend/limit"
)

// SchemaVersion is the version of the data folder's layout that this program
// writes.
const SchemaVersion = 1

// Migration changes a data folder from schema version From to From+1.
type Migration struct {
	From  int
	Name  string
	Apply func(dataDir string) error
}

// migrations, in order; there is none yet.
var migrations []Migration

// NewerSchemaError reports that a newer Ingot has written the data folder.
type NewerSchemaError struct {
	Path       string
	Have, Know int
}

func (e *NewerSchemaError) Error() string {
	return fmt.Sprintf("%s has schema version %d, and this Ingot supports versions up to %d: use the newer Ingot, or set INGOT_HOME to another folder; nothing was changed", e.Path, e.Have, e.Know)
}

// ErrorClass sorts the error; see package cause.
func (*NewerSchemaError) ErrorClass() cause.Class { return cause.InUse }

// migrate runs the steps that bring the data folder to version. Before that it
// copies everything except build outputs to backup/.
func migrate(data string, version int, steps []Migration) error {
	path := filepath.Join(data, "schema")
	b, err := limit.ReadFile(path, limit.Settings)
	if errors.Is(err, fs.ErrNotExist) {
		return WriteFileAtomic(path, []byte(strconv.Itoa(version)+"\n"), 0o644)
	}
	if err != nil {
		return fmt.Errorf("schema: %w", err)
	}
	have, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		return fmt.Errorf("schema: %s holds %q, which is not a version number: restore it from a backup", path, strings.TrimSpace(string(b)))
	}
	if have > version {
		return &NewerSchemaError{path, have, version}
	}
	if have == version {
		return nil
	}
	if err := backup(data, have); err != nil {
		return fmt.Errorf("schema: backup before migration: %w", err)
	}
	for ; have < version; have++ {
		if err := applyFrom(have, data, steps); err != nil {
			return err
		}
		if err := WriteFileAtomic(path, []byte(strconv.Itoa(have+1)+"\n"), 0o644); err != nil {
			return fmt.Errorf("schema: %w", err)
		}
	}
	return nil
}

func applyFrom(version int, data string, steps []Migration) error {
	for _, m := range steps {
		if m.From == version {
			if err := m.Apply(data); err != nil {
				return fmt.Errorf("schema: migration %d → %d (%s): %w: the backup is in %s", version, version+1, m.Name, err, filepath.Join(data, "backup"))
			}
			return nil
		}
	}
	return fmt.Errorf("schema: there is no migration from version %d to %d", version, version+1)
}

// backupLimit is the size in bytes above which a file is not backed up: it
// excludes disk images, which no migration changes.
const backupLimit = 64 << 20

func backup(data string, version int) error {
	dst := filepath.Join(data, "backup", fmt.Sprintf("schema-%d-%s", version, time.Now().UTC().Format("20060102-150405")))
	return filepath.WalkDir(data, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(data, path)
		if err != nil {
			return err
		}
		if e.IsDir() {
			if rel == "backup" || rel == "outputs" || rel == "store" {
				return fs.SkipDir
			}
			return os.MkdirAll(filepath.Join(dst, rel), 0o700)
		}
		info, err := e.Info()
		if err != nil || !info.Mode().IsRegular() || info.Size() > backupLimit {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(dst, rel), b, info.Mode().Perm())
	})
}
