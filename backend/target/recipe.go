// Package target holds recipes and locks.
//
// A target is a recipe for one OS, release, arch and variant, written in YAML.
// Recipes ship in resources/targets; a file of the same name in the user's
// config folder (targets/NAME.yaml) overrides one, and "extends: NAME" builds
// on another: maps are merged key by key, lists are replaced whole.
//
// A lock pins everything a target takes from outside: the InRelease digest of
// each suite, the version and SHA-256 of each package, and the kernel source.
// A build uses the lock and does not check whether newer packages exist.
//
// The package parses and checks data; it runs no programs and fetches nothing.
package target

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"
)

// APIVersion is the schema version of recipes and locks.
const APIVersion = "ingot/v1"

// Recipe describes how one target is made. Sizes are in bytes after parsing.
type Recipe struct {
	APIVersion string    `yaml:"apiVersion" json:"apiVersion"`
	Kind       string    `yaml:"kind" json:"kind"`
	Name       string    `yaml:"name" json:"name"`
	Extends    string    `yaml:"extends,omitempty" json:"extends,omitempty"`
	Title      string    `yaml:"title" json:"title"`
	OS         string    `yaml:"os" json:"os"`
	Release    string    `yaml:"release" json:"release"`
	Arch       string    `yaml:"arch" json:"arch"` // Go's name: arm64, amd64
	Variant    string    `yaml:"variant" json:"variant"`
	Lock       string    `yaml:"lock,omitempty" json:"lock,omitempty"` // name of the lock to use; default: the target's own name
	Archives   []Archive `yaml:"archives" json:"archives"`
	Kernel     Kernel    `yaml:"kernel" json:"kernel"`
	Rootfs     Rootfs    `yaml:"rootfs" json:"rootfs"`
	Disk       Disk      `yaml:"disk" json:"disk"`
	Export     Export    `yaml:"export" json:"export"`
	Proof      Proof     `yaml:"proof" json:"proof"`

	Further `yaml:",inline"`

	origin string  // file from which the recipe was read, for messages
	kernel *Recipe // of the target that vm.kernel names
}

// Archive is one apt archive. URI is its public address; the address of a user's mirror
// of the same name is used instead for downloads, and does not appear in evidence.
type Archive struct {
	Name       string   `yaml:"name" json:"name"`
	URI        string   `yaml:"uri" json:"uri"`
	Suites     []string `yaml:"suites" json:"suites"`
	Components []string `yaml:"components" json:"components"`
	Keyring    string   `yaml:"keyring" json:"keyring"`
}

// Kernel selects the kernel's source and configuration.
type Kernel struct {
	SourcePackage string   `yaml:"sourcePackage" json:"sourcePackage"`
	Configs       []string `yaml:"configs" json:"configs"` // fragments; later ones override earlier ones
	MakeArch      string   `yaml:"makeArch" json:"makeArch"`
	CrossCompile  string   `yaml:"crossCompile" json:"crossCompile"` // prefix, used if the guest's arch differs
	Image         string   `yaml:"image" json:"image"`               // path below the source tree
	Target        string   `yaml:"target" json:"target"`             // make target of the image
	Objects       int      `yaml:"objects" json:"-"`                 // number of objects, for the first ETA; does not change the output
}

// Rootfs lists packages by name and the files that Ingot adds.
type Rootfs struct {
	Packages []string `yaml:"packages" json:"packages"`
	Files    []File   `yaml:"files" json:"files"`
	Links    []Link   `yaml:"links" json:"links"`
	Remove   []string `yaml:"remove" json:"remove"` // shell globs below /
}

// File is one text file of the image.
type File struct {
	Path    string `yaml:"path" json:"path"`
	Mode    string `yaml:"mode,omitempty" json:"mode,omitempty"` // octal, default 0644
	Content string `yaml:"content" json:"content"`
}

// Link is one symbolic link of the image.
type Link struct {
	Path string `yaml:"path" json:"path"`
	To   string `yaml:"to" json:"to"`
}

// Disk is the disk layout: GPT, an EFI system partition, one ext4 root.
type Disk struct {
	Size    Size   `yaml:"size" json:"size"`
	ESP     Size   `yaml:"esp" json:"esp"`
	Loader  string `yaml:"loader" json:"loader"`   // path of the EFI loader inside the rootfs
	EFIName string `yaml:"efiName" json:"efiName"` // removable-media name, BOOTAA64.EFI
	Cmdline string `yaml:"cmdline" json:"cmdline"` // root= is added by the image step
}

// Export lists the artifact formats of a build: those of disk.Formats.
type Export struct {
	Formats []string `yaml:"formats" json:"formats"`
}

// Proof describes how the artifact is booted and what is checked.
type Proof struct {
	Memory    Size      `yaml:"memory" json:"memory"`
	CPUs      int       `yaml:"cpus" json:"cpus"`
	Deadlines Deadlines `yaml:"deadlines" json:"deadlines"`
	Smoke     Smoke     `yaml:"smoke" json:"smoke"`
}

// Deadlines bound the phases. They are not multiplied under TCG: they are chosen for
// TCG and generous elsewhere.
type Deadlines struct {
	Firmware Duration `yaml:"firmware" json:"firmware"`
	Loader   Duration `yaml:"loader" json:"loader"`
	Kernel   Duration `yaml:"kernel" json:"kernel"`
	Init     Duration `yaml:"init" json:"init"`
	Login    Duration `yaml:"login" json:"login"`
	Answer   Duration `yaml:"answer" json:"answer"`
}

// Smoke lists checks that run inside the proof guest. Their tools are on a second
// read-only disk, so that the image is not changed.
type Smoke struct {
	Packages []string `yaml:"packages" json:"packages"`
	Checks   []Check  `yaml:"checks" json:"checks"`
}

// Check is one smoke check: a POSIX shell script run as root; exit status 0 is a pass.
type Check struct {
	Name string `yaml:"name" json:"name"`
	Why  string `yaml:"why" json:"why"`
	Run  string `yaml:"run" json:"run"`
}

// LockName returns the name of the lock of this recipe.
func (r Recipe) LockName() string {
	if r.kernel != nil {
		return r.kernel.LockName()
	}
	if r.Lock != "" {
		return r.Lock
	}
	return r.Name
}

// Origin returns the file from which the recipe was read.
func (r Recipe) Origin() string { return r.origin }

// Shipped reports whether the recipe is embedded in the program and cannot be edited.
func (r Recipe) Shipped() bool { return strings.HasPrefix(r.origin, shippedFolder) }

// Digest returns the SHA-256 of the resolved recipe's JSON form, so that comments and
// layout of the YAML do not change it. It includes the recipe of its kernel.
func (r Recipe) Digest() string {
	if r.kernel != nil {
		return digestJSON([]string{digestJSON(r), r.kernel.Digest()})
	}
	return digestJSON(r)
}

func digestJSON(v any) string {
	b, err := json.Marshal(v)
	if err != nil { // plain data types only: an error is a bug
		return fmt.Sprintf("unmarshalable:%v", err)
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// Duration is a time.Duration written as "90s" in YAML and JSON.
type Duration time.Duration

// UnmarshalYAML parses Go's duration syntax.
func (d *Duration) UnmarshalYAML(n ast.Node) error {
	v, err := time.ParseDuration(scalar(n))
	if err != nil || v <= 0 {
		return valueError(n, fmt.Errorf("%q is not a duration: write it like 90s or 2m", scalar(n)))
	}
	*d = Duration(v)
	return nil
}

// MarshalText writes Go's duration syntax.
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }
