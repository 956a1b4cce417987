package home

import (
	"os"
	"path/filepath"
	"testing"
)

func TestReadSysfs(t *testing.T) {
	dir := t.TempDir()
	supply := func(name string, files map[string]string) {
		for f, text := range files {
			p := filepath.Join(dir, name, f)
			if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(p, []byte(text+"\n"), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	supply("AC", map[string]string{"type": "Mains", "online": "0"})
	supply("ABC-mouse", map[string]string{"type": "Battery", "scope": "Device", "capacity": "3", "status": "Discharging"})
	if b := readSysfs(dir); b != (Battery{}) {
		t.Errorf("without a battery: %+v", b)
	}
	supply("BAT0", map[string]string{"type": "Battery", "capacity": "15", "status": "Discharging"})
	if b := readSysfs(dir); !b.Low() || b.Percent != 15 {
		t.Errorf("%+v", b)
	}
	supply("BAT0", map[string]string{"status": "Charging"})
	if b := readSysfs(dir); b.Low() {
		t.Errorf("charging: %+v", b)
	}
}
