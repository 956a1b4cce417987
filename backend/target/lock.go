package target

import (
	"bytes"
	"fmt"
	"sort"
	"time"

	"github.com/goccy/go-yaml"
)

// Lock pins a target's inputs. It holds no host name: a package is found below
// any mirror of its archive by Filename and accepted by SHA256 alone.
type Lock struct {
	APIVersion string         `yaml:"apiVersion" json:"apiVersion"`
	Kind       string         `yaml:"kind" json:"kind"`
	Target     string         `yaml:"target" json:"target"`
	Asked      string         `yaml:"asked" json:"asked"` // digest of the package names and suites that were resolved
	Created    time.Time      `yaml:"created" json:"-"`
	Suites     []LockedSuite  `yaml:"suites" json:"suites"`
	Kernel     LockedPackage  `yaml:"kernel,flow" json:"kernel"`
	Rootfs     LockedPackages `yaml:"rootfs" json:"rootfs"`
	Smoke      LockedPackages `yaml:"smoke" json:"smoke"`
}

// LockedSuite is one suite as apt verified it by the archive's signature.
type LockedSuite struct {
	Archive   string `yaml:"archive" json:"archive"`
	Suite     string `yaml:"suite" json:"suite"`
	Date      string `yaml:"date" json:"date"`
	InRelease string `yaml:"inRelease" json:"inRelease"` // SHA-256 of the InRelease file
}

// LockedPackage is one .deb. Size is in bytes; Filename is relative to the
// archive's base address.
type LockedPackage struct {
	Name     string `yaml:"name" json:"name"`
	Version  string `yaml:"version" json:"version"`
	Arch     string `yaml:"arch" json:"arch"`
	Archive  string `yaml:"archive" json:"archive"`
	Source   string `yaml:"source" json:"source"` // source package "name=version", for the licences' sake
	Size     int64  `yaml:"size" json:"size"`
	SHA256   string `yaml:"sha256" json:"sha256"`
	Filename string `yaml:"filename" json:"filename"`
}

// LockedPackages is a list that is written one package a line.
type LockedPackages []LockedPackage

// MarshalYAML writes each package in flow style, so that a diff of two locks
// reads as a list of changed packages.
func (p LockedPackages) MarshalYAML() ([]byte, error) {
	sort.Slice(p, func(i, j int) bool { return p[i].Name < p[j].Name })
	var b bytes.Buffer
	for _, pkg := range p {
		line, err := yaml.MarshalWithOptions(pkg, yaml.Flow(true))
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(&b, "- %s", line)
	}
	if len(p) == 0 {
		b.WriteString("[]")
	}
	return b.Bytes(), nil
}

// Digest is the SHA-256 of what the lock pins; when it was made plays no part.
func (l Lock) Digest() string { return digestJSON(l) }

// Asked is the digest of what a lock must have resolved for this recipe. A
// lock with another value is stale: the recipe asks for other packages.
func (r Recipe) Asked() string {
	return digestJSON(struct {
		Archives []Archive
		Kernel   string
		Rootfs   []string
		Smoke    []string
		Arch     string
	}{r.Archives, r.Kernel.SourcePackage, sorted(r.Rootfs.Packages), sorted(r.Proof.Smoke.Packages), r.Arch})
}

func sorted(in []string) []string {
	out := append([]string(nil), in...)
	sort.Strings(out)
	return out
}

// StaleLockError says that a lock does not fit its recipe or its archives.
type StaleLockError struct {
	Target string
	Why    string
}

func (e *StaleLockError) Error() string {
	return fmt.Sprintf("lock of %s is stale: %s: run `ingot target update %s`", e.Target, e.Why, e.Target)
}

// Check reports whether the lock fits the recipe.
func (l Lock) Check(r Recipe) error {
	switch {
	case l.Kind == "":
		return &StaleLockError{r.Name, "there is no lock yet"}
	case l.Asked != r.Asked():
		return &StaleLockError{r.Name, "the recipe asks for other packages or suites than the lock holds"}
	case l.Kernel.SHA256 == "" || len(l.Rootfs) == 0:
		return &StaleLockError{r.Name, "it pins no kernel source or no packages"}
	}
	return nil
}

// Marshal writes the lock as YAML.
func (l Lock) Marshal() ([]byte, error) {
	b, err := yaml.Marshal(l)
	if err != nil {
		return nil, fmt.Errorf("write lock of %s: %w", l.Target, err)
	}
	head := "# Made by `ingot target update " + l.Target + "`; pins every input of the target. Do not edit.\n"
	return append([]byte(head), b...), nil
}

// ParseLock reads a lock; file is used in messages only.
func ParseLock(file string, data []byte) (Lock, error) {
	var l Lock
	if err := decodeStrict(file, data, &l); err != nil {
		return Lock{}, err
	}
	if l.APIVersion != APIVersion || l.Kind != "Lock" {
		return Lock{}, positioned(file, data, "$.kind", "kind", fmt.Sprintf("apiVersion %q kind %q is no lock: accepted are apiVersion %q, kind %q", l.APIVersion, l.Kind, APIVersion, "Lock"))
	}
	return l, nil
}
