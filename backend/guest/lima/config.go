package lima

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/docker/go-units"
	"github.com/goccy/go-yaml"
	"github.com/lima-vm/lima/v2/pkg/limatype/filenames"

	"ingot/backend/home"
	"ingot/backend/limit"
)

// config is the part of a lima.yaml that Ingot uses. It does not use Lima's own type,
// which refuses a file of a later Lima whose fields have other types, and imports the
// drivers' packages.
type config struct {
	VMType *string `yaml:"vmType"`
	OS     *string `yaml:"os"`
	Arch   *string `yaml:"arch"`
	CPUs   *int    `yaml:"cpus"`
	Memory *string `yaml:"memory"`
	Disk   *string `yaml:"disk"`
	SSH    struct {
		LocalPort *int `yaml:"localPort"`
	} `yaml:"ssh"`
	User struct {
		Name *string `yaml:"name"`
	} `yaml:"user"`
	Firmware struct {
		LegacyBIOS *bool `yaml:"legacyBIOS"`
	} `yaml:"firmware"`
}

// mixed are the user's files that Lima merges into every instance.
type mixed struct{ defaults, override config }

func readMixed(root string) mixed {
	dir := filepath.Join(root, filenames.ConfigDir)
	var m mixed
	m.defaults, _ = readConfig(filepath.Join(dir, filenames.Default)) // usually absent; Lima reports one that it cannot read
	m.override, _ = readConfig(filepath.Join(dir, filenames.Override))
	return m
}

// smallBytes bounds the files that are read completely: a lima.yaml of more than a MiB
// is invalid, and opening a named pipe must not block.
const smallBytes = 1 << 20

func readSmall(file string) ([]byte, error) {
	info, err := os.Stat(file)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file", filepath.Base(file))
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, smallBytes+1))
	if err == nil && len(b) > smallBytes {
		return nil, fmt.Errorf("%s is larger than %d MiB", filepath.Base(file), smallBytes>>20)
	}
	return b, err
}

// readConfig parses a lima.yaml. It ignores unknown fields.
func readConfig(file string) (c config, err error) {
	b, err := readSmall(file)
	if err != nil {
		return c, err
	}
	return parseConfig(b)
}

func parseConfig(b []byte) (c config, err error) {
	err = limit.Parse(b, limit.LimaDepth, func() error { return yaml.Unmarshal(b, &c) })
	var refused *limit.ParserError
	switch {
	case errors.As(err, &refused):
		return config{}, err
	case err != nil:
		line, _, _ := strings.Cut(err.Error(), "\n")
		return config{}, fmt.Errorf("is not valid YAML: %s", line)
	}
	return c, nil
}

// configure sets the fields from lima.yaml, with Lima's defaults for missing values:
// override.yaml before lima.yaml before default.yaml (pkg/limayaml/defaults.go,
// FillDefault).
func (i *Instance) configure(c config, m mixed) {
	pick := func(get func(config) *string) string { return first(get(m.override), get(c), get(m.defaults)) }
	i.OS = pick(func(c config) *string { return c.OS })
	if i.OS == "" || i.OS == "default" {
		i.OS = "Linux"
	}
	i.Arch = goArch(pick(func(c config) *string { return c.Arch }))
	if i.VMType = pick(func(c config) *string { return c.VMType }); i.VMType == "" || i.VMType == "default" {
		i.VMType = i.defaultDriver()
	}
	if i.CPUs = first(m.override.CPUs, c.CPUs, m.defaults.CPUs); i.CPUs == 0 {
		i.CPUs = min(4, runtime.NumCPU())
	}
	i.LegacyBIOS = first(m.override.Firmware.LegacyBIOS, c.Firmware.LegacyBIOS, m.defaults.Firmware.LegacyBIOS)
	i.MemBytes = i.size("memory", pick(func(c config) *string { return c.Memory }), defaultMemory)
	i.DiskBytes = i.size("disk", pick(func(c config) *string { return c.Disk }), func() uint64 { return 100 << 30 })
}

func defaultMemory() uint64 { return min(4<<30, home.Memory()/2) }

// size parses a size as Lima does, where "4GB" has binary units too.
func (i *Instance) size(key, text string, def func() uint64) uint64 {
	if text == "" {
		return def()
	}
	n, err := units.RAMInBytes(text)
	if err != nil || n < 0 {
		i.Problem = fmt.Sprintf("lima.yaml: %s: %q is not a size; write it like 4GiB", key, text)
		return 0
	}
	return uint64(n)
}

// defaultDriver returns the driver for a lima.yaml that names none: the one of which an
// earlier start left files, else the default of this computer's limactl.
func (i *Instance) defaultDriver() string {
	for _, f := range []string{filenames.VzIdentifier, filenames.VzEfi} {
		if _, err := os.Lstat(filepath.Join(i.Dir, f)); err == nil {
			return "vz"
		}
	}
	if runtime.GOOS == "darwin" && i.Arch == runtime.GOARCH {
		return "vz"
	}
	return "qemu"
}

// goArch returns Go's name of one of Lima's architectures; for "" that of this
// computer.
func goArch(lima string) string {
	switch lima {
	case "", "default":
		return runtime.GOARCH
	case "x86_64":
		return "amd64"
	case "aarch64":
		return "arm64"
	case "armv7l":
		return "arm"
	}
	return lima // riscv64, ppc64le, s390x have the same name in both
}

// first returns the first value that is set, or the zero value.
func first[T any](values ...*T) T {
	for _, v := range values {
		if v != nil {
			return *v
		}
	}
	var zero T
	return zero
}
