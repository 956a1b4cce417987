package app

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
)

// Preferences are what a person has chosen of the app itself: app.json in the
// configuration folder, which the window writes and the menu reads. A file that
// is missing or broken counts as none.
type Preferences struct {
	Quiet bool `json:"quiet,omitempty"` // no notifications
}

func preferencesFile(config string) string { return filepath.Join(config, "app.json") }

// LoadPreferences reads those of a configuration folder.
func LoadPreferences(config string) Preferences {
	var p Preferences
	if b, err := os.ReadFile(preferencesFile(config)); err != nil || json.Unmarshal(b, &p) != nil {
		return Preferences{}
	}
	return p
}

// Keep writes them.
func (p Preferences) Keep(config string) error {
	b, err := json.Marshal(p)
	if err != nil {
		return fmt.Errorf("preferences: %w", err)
	}
	file := preferencesFile(config)
	tmp, err := os.CreateTemp(config, ".tmp-app-")
	if err != nil {
		return fmt.Errorf("preferences: %w", err)
	}
	_, err = tmp.Write(append(b, '\n'))
	if cerr := tmp.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(tmp.Name(), file)
	}
	if err != nil {
		_ = os.Remove(tmp.Name())
		return fmt.Errorf("preferences: %w", err)
	}
	return nil
}
