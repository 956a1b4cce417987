package lima

import (
	"bytes"
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
)

// config is what Ingot needs of a lima.yaml. Lima's own type is not used here:
// it refuses a file of a later Lima whose fields have other shapes, and drags
// the drivers' packages along.
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
}

// mixed are the user's files that Lima mixes into every instance.
type mixed struct{ defaults, override config }

func readMixed(root string) mixed {
	dir := filepath.Join(root, filenames.ConfigDir)
	var m mixed
	m.defaults, _ = readConfig(filepath.Join(dir, filenames.Default)) // mostly absent; one that Lima cannot read, it says itself
	m.override, _ = readConfig(filepath.Join(dir, filenames.Override))
	return m
}

// smallBytes bounds the files that are read whole: a lima.yaml of more than a MiB
// is none, and a fifo in its place must not be waited for.
const smallBytes = 1 << 20

func readSmall(file string) ([]byte, error) {
	info, err := os.Stat(file)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is no file", filepath.Base(file))
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

// readConfig reads a lima.yaml. Fields that are not known are passed over.
func readConfig(file string) (c config, err error) {
	b, err := readSmall(file)
	if err != nil {
		return c, err
	}
	return parseConfig(b)
}

// maxDepth bounds how deep a lima.yaml may nest. goccy/go-yaml 1.19 takes memory by
// the square of it: 2.6 GB for 50,000 open brackets.
const maxDepth = 100

// depth is how many brackets are open at once, at the most, in a text, and how
// many blocks can be: each is indented further, or begins with a dash. Brackets in
// strings count too: no lima.yaml comes near the bound.
func depth(b []byte) int {
	most, open := 0, 0
	for _, line := range bytes.Split(b, []byte("\n")) {
		start := 0
		for _, c := range line {
			if c != ' ' && c != '-' && c != '?' {
				break
			}
			start++
		}
		most = max(most, start/2)
		for _, c := range line {
			switch c {
			case '[', '{':
				open++
				most = max(most, open)
			case ']', '}':
				open = max(0, open-1)
			}
		}
	}
	return most
}

func parseConfig(b []byte) (c config, err error) {
	if n := depth(b); n > maxDepth {
		return c, fmt.Errorf("is no YAML that Ingot reads: it nests %d levels deep, %d at the most", n, maxDepth)
	}
	defer func() { // goccy/go-yaml 1.19 panics on some broken documents
		if p := recover(); p != nil {
			err = fmt.Errorf("is no YAML: %v", p)
		}
	}()
	if err := yaml.Unmarshal(b, &c); err != nil {
		line, _, _ := strings.Cut(err.Error(), "\n")
		return config{}, fmt.Errorf("is no YAML that Ingot can read: %s", line)
	}
	return c, nil
}

// configure fills in what lima.yaml says, with Lima's defaults where it says
// nothing: override.yaml before lima.yaml before default.yaml
// (pkg/limayaml/defaults.go, FillDefault).
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
	i.MemBytes = i.size("memory", pick(func(c config) *string { return c.Memory }), defaultMemory)
	i.DiskBytes = i.size("disk", pick(func(c config) *string { return c.Disk }), func() uint64 { return 100 << 30 })
}

func defaultMemory() uint64 { return min(4<<30, home.Memory()/2) }

// size reads a size as Lima does, where "4GB" has binary units too.
func (i *Instance) size(key, text string, def func() uint64) uint64 {
	if text == "" {
		return def()
	}
	n, err := units.RAMInBytes(text)
	if err != nil || n < 0 {
		i.Problem = fmt.Sprintf("lima.yaml: %s: %q is no size; write it like 4GiB", key, text)
		return 0
	}
	return uint64(n)
}

// defaultDriver is the driver of a lima.yaml that names none. What an earlier
// start left tells it; else it is what this computer's limactl takes.
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

// goArch is Go's name of an architecture of Lima's; "" is this computer's.
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
	return lima // riscv64, ppc64le, s390x have one name in both
}

// first is the first value that is set, or the zero value.
func first[T any](values ...*T) T {
	for _, v := range values {
		if v != nil {
			return *v
		}
	}
	var zero T
	return zero
}
