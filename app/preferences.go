package app

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"ingot/backend"
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
	if err == nil {
		err = backend.WriteFile(preferencesFile(config), append(b, '\n'))
	}
	if err != nil {
		return fmt.Errorf("preferences: %w", err)
	}
	return nil
}
