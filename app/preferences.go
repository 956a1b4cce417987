package app

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"ingot/backend/api"
)

// Preferences are the user's settings of the app: app.json in the configuration
// folder, written by the window and read by the menu. A missing or damaged file
// means the defaults.
type Preferences struct {
	Quiet bool `json:"quiet,omitempty"` // show no notifications
}

func preferencesFile(config string) string { return filepath.Join(config, "app.json") }

// LoadPreferences reads the preferences from a configuration folder.
func LoadPreferences(config string) Preferences {
	var p Preferences
	if b, err := os.ReadFile(preferencesFile(config)); err != nil || json.Unmarshal(b, &p) != nil {
		return Preferences{}
	}
	return p
}

// Keep writes the preferences.
func (p Preferences) Keep(config string) error {
	b, err := json.Marshal(p)
	if err == nil {
		err = api.WriteFile(preferencesFile(config), append(b, '\n'))
	}
	if err != nil {
		return fmt.Errorf("preferences: %w", err)
	}
	return nil
}
