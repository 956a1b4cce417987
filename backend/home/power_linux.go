package home

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// ReadBattery reads the first battery in /sys/class/power_supply
// (Documentation/ABI/testing/sysfs-class-power).
func ReadBattery() Battery { return readSysfs("/sys/class/power_supply") }

func readSysfs(dir string) Battery {
	read := func(path string) string {
		text, _ := os.ReadFile(path) // a missing file gives an empty text
		return strings.TrimSpace(string(text))
	}
	types, _ := filepath.Glob(filepath.Join(dir, "*", "type"))
	for _, t := range types {
		if at := filepath.Dir(t); read(t) == "Battery" && read(filepath.Join(at, "scope")) != "Device" {
			percent, err := strconv.Atoi(read(filepath.Join(at, "capacity")))
			if err == nil {
				return Battery{Discharging: read(filepath.Join(at, "status")) == "Discharging", Percent: percent}
			}
		}
	}
	return Battery{}
}

// StayAwake does nothing on Linux: a server does not sleep, and a desktop
// session has its own settings.
func StayAwake() (release func()) { return func() {} }
