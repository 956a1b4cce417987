// Package debian is the family of Debian: packages and kernel sources come from apt
// archives, the root file system from mmdebstrap. Kernel and disk are built by package
// linux.
//
// External facts: Debian's snapshot of apt's patterns (apt-patterns(7)),
// mmdebstrap(1).
package debian

import (
	"embed"
	"fmt"
	"maps"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"ingot/backend/family"
	"ingot/backend/family/linux"
	"ingot/backend/target"
)

//go:embed scripts/*.sh
var scripts embed.FS

// Family is Debian.
type Family struct{ linux.System }

var _ family.Composer = Family{}

// Name returns "debian".
func (Family) Name() string { return "debian" }

// Systems returns only Debian.
func (Family) Systems() []string { return []string{"debian"} }

// Check requires archives, packages from them, and a kernel source package.
func (Family) Check(r target.Recipe) (ps []target.Problem) {
	ps = append(ps, target.Required("$.kernel.sourcePackage", "kernel.sourcePackage", r.Kernel.SourcePackage == "")...)
	ps = append(ps, target.Required("$.rootfs.packages", "rootfs.packages", len(r.Rootfs.Packages) == 0)...)
	ps = append(ps, target.Required("$.archives", "archives", len(r.Archives) == 0)...)
	return append(ps, linux.Check(r)...)
}

// debArch returns Debian's name for a Go architecture; the supported ones have equal
// names.
func debArch(arch string) string { return arch }

// epoch returns the time for outputs, in seconds of Unix time: the lock's newest suite
// date, so that the same lock gives the same times.
func epoch(l target.Lock) int64 {
	newest := time.Time{}
	for _, s := range l.Suites {
		if t, err := parseReleaseDate(s.Date); err == nil && t.After(newest) {
			newest = t
		}
	}
	if newest.IsZero() {
		return 1 // e2fsprogs treats 0 as unset
	}
	return newest.Unix()
}

// parseReleaseDate parses the Date field of an InRelease file.
func parseReleaseDate(s string) (time.Time, error) { return time.Parse(time.RFC1123, s) }

// stepScripts are the scripts of the steps that are specific to Debian.
var stepScripts = map[string][]string{family.StepRootfs: {"rootfs.sh"}, family.StepTools: {"tools.sh"}}

// Inputs returns scripts and programs, the locked packages that the step uses, and the
// lock's time.
func (Family) Inputs(step string, l target.Lock) map[string]string {
	in := map[string]string{}
	if own, ok := stepScripts[step]; ok {
		maps.Copy(in, family.StepInputs(scripts, own, stepTools[step]))
	} else {
		maps.Copy(in, linux.StepInputs(step, stepTools[step]))
	}
	switch step {
	case family.StepKernel:
		in["source"] = family.PackageInput(l.Kernel)
	case family.StepRootfs:
		in["packages"] = family.PackagesInput(l.Rootfs)
	case family.StepTools:
		in["packages"] = family.PackagesInput(l.Smoke)
	}
	if step != family.StepKernel {
		in["time"] = strconv.FormatInt(epoch(l), 10)
	}
	return in
}

// SourceURLs returns the folder of the package in its archive, which also holds its
// source if it was built there, and Debian's archive of all versions
// (snapshot.debian.org).
func (Family) SourceURLs(r target.Recipe, p target.LockedPackage) []string {
	base := ""
	for _, a := range r.Archives {
		if a.Name == p.Archive {
			base = strings.TrimSuffix(a.URI, "/")
		}
	}
	name, version, _ := strings.Cut(p.Source, "=")
	return []string{base + "/" + filepath.ToSlash(filepath.Dir(p.Filename)) + "/", fmt.Sprintf("https://snapshot.debian.org/package/%s/%s/", name, version)}
}
