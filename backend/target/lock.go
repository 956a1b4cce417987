package target

import (
	"bytes"
	"fmt"
	"sort"
	"time"

	"github.com/goccy/go-yaml"

	"ingot/backend/cause"
)

// Lock pins a target's inputs. It contains no host name: a package is fetched by
// Filename below any mirror of its archive and accepted only by SHA256.
type Lock struct {
	APIVersion string         `yaml:"apiVersion" json:"apiVersion"`
	Kind       string         `yaml:"kind" json:"kind"`
	Target     string         `yaml:"target" json:"target"`
	Asked      string         `yaml:"asked" json:"asked"` // Recipe.Asked of the resolved recipe
	Created    time.Time      `yaml:"created" json:"-"`
	Suites     []LockedSuite  `yaml:"suites" json:"suites"`
	Kernel     LockedPackage  `yaml:"kernel,flow" json:"kernel"`
	Rootfs     LockedPackages `yaml:"rootfs" json:"rootfs"`
	Smoke      LockedPackages `yaml:"smoke" json:"smoke"`
}

// LockedSuite is one suite of an archive whose signature apt verified.
type LockedSuite struct {
	Archive   string `yaml:"archive" json:"archive"`
	Suite     string `yaml:"suite" json:"suite"`
	Date      string `yaml:"date" json:"date"`
	InRelease string `yaml:"inRelease" json:"inRelease"` // SHA-256 of the InRelease file
}

// LockedPackage is one .deb. Size is in bytes; Filename is relative to the archive's
// base address.
type LockedPackage struct {
	Name     string `yaml:"name" json:"name"`
	Version  string `yaml:"version" json:"version"`
	Arch     string `yaml:"arch" json:"arch"`
	Archive  string `yaml:"archive" json:"archive"`
	Source   string `yaml:"source" json:"source"` // source package "name=version", for the licences
	Size     int64  `yaml:"size" json:"size"`
	SHA256   string `yaml:"sha256" json:"sha256"`
	Filename string `yaml:"filename" json:"filename"`
}

// LockedPackages is marshalled as one package per line.
type LockedPackages []LockedPackage

// MarshalYAML writes each package in flow style, so that a diff of two locks shows one
// changed package per line.
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

// Digest returns the SHA-256 of what the lock pins, without the time of its creation.
func (l Lock) Digest() string { return digestJSON(l) }

// Asked returns the digest of the names and suites that a lock must have resolved for
// this recipe. A lock with another value is stale: the recipe's packages were changed.
func (r Recipe) Asked() string {
	if r.kernel != nil {
		return r.kernel.Asked()
	}
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

// OwnsLock returns an error for a recipe whose lock cannot be renewed by its name: one
// without a lock, and one with the lock of another target, which would be resolved for this
// one's packages.
func (r Recipe) OwnsLock() error {
	wrong := func(format string, args ...any) error {
		return &Error{File: r.Origin(), Key: "lock", Msg: fmt.Sprintf(format, args...)}
	}
	switch {
	case !r.Locked():
		return wrong("target %s has no lock: its disk is that of a VM", r.Name)
	case r.kernel != nil:
		return wrong("target %s has no lock of its own: its kernel is that of %s: `ingot target update %s`", r.Name, r.kernel.Name, r.LockName())
	case r.LockName() != r.Name:
		return wrong("target %s uses the lock of %s: remove the key to give it its own lock, or renew the shared one: `ingot target update %s`", r.Name, r.LockName(), r.LockName())
	}
	return nil
}

// StaleLockError reports that a lock does not fit its recipe or its archives.
type StaleLockError struct {
	Target string
	Why    string
}

func (e *StaleLockError) Error() string {
	return fmt.Sprintf("lock of %s is stale: %s: run `ingot target update %s`", e.Target, e.Why, e.Target)
}

// CauseID returns the cause.
func (*StaleLockError) CauseID() string { return "config.lock-stale" }

// ErrorClass returns the class of the error; see package cause.
func (*StaleLockError) ErrorClass() cause.Class { return cause.Input }

// Check reports whether the lock fits the recipe.
func (l Lock) Check(r Recipe) error {
	switch {
	case !r.Locked():
		return nil
	case l.Kind == "":
		return &StaleLockError{r.Name, "there is no lock yet"}
	case l.Asked != r.Asked():
		return &StaleLockError{r.Name, "the recipe's packages or suites differ from those of the lock"}
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

// ParseLock parses a lock; file is used only in messages.
func ParseLock(file string, data []byte) (Lock, error) {
	var l Lock
	if err := decodeStrict(file, data, &l); err != nil {
		return Lock{}, err
	}
	if l.APIVersion != APIVersion || l.Kind != "Lock" {
		return Lock{}, positioned(file, data, "$.kind", "kind", fmt.Sprintf("apiVersion %q kind %q is not a lock: accepted are apiVersion %q, kind %q", l.APIVersion, l.Kind, APIVersion, "Lock"))
	}
	return l, nil
}
