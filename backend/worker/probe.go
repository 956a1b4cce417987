package worker

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"

	"ingot/backend"
	"ingot/backend/api"
	"ingot/backend/cause"
	"ingot/backend/family"
	"ingot/backend/family/all"
	"ingot/backend/home"
	"ingot/backend/qemu"
	"ingot/backend/remote"
	"ingot/backend/target"
	"ingot/backend/team"
)

// probe determines which architectures this computer can build and boot. For
// each one it needs a guest with the programs that a recipe needs, and QEMU
// with firmware and a working accelerator. reasons has a line for every other
// architecture.
func probe(ctx context.Context, b *backend.Backend) (w team.Worker, cannot []string) {
	host, _ := os.Hostname() // for display only
	w = team.Worker{ID: b.Signer.KeyID(), Key: keyLine(b.PublicKey()), Host: host, Version: api.Version, OS: runtime.GOOS, Arch: runtime.GOARCH,
		Builds: []string{}, Tools: []string{}, Accels: []string{}, Slots: remote.Capacity() / remote.Slots()}
	for _, tool := range []string{"limactl", "docker", "qemu-system-aarch64", "qemu-system-x86_64"} {
		if _, err := home.LookTool(tool); err == nil {
			w.Tools = append(w.Tools, tool)
		}
	}
	for _, arch := range arches(b) {
		accel, err := canBoot(ctx, b, arch)
		if err == nil {
			w.Accels = append(w.Accels, arch+"/"+accel)
			err = canBuild(ctx, b, arch)
		}
		if err != nil {
			line, _, _ := strings.Cut(err.Error(), "\n")
			cannot = append(cannot, fmt.Sprintf("%s: %s", arch, line))
			continue
		}
		w.Builds = append(w.Builds, arch)
	}
	return w, cannot
}

// keyLine returns the line of a minisign public key file that has the key.
func keyLine(public string) string {
	lines := strings.Fields(public)
	return lines[len(lines)-1]
}

// arches returns the architectures of the recipes, sorted.
func arches(b *backend.Backend) []string {
	var out []string
	for _, n := range b.Targets.Names() {
		if r, err := b.Targets.Get(n); err == nil && !slices.Contains(out, r.Arch) {
			out = append(out, r.Arch)
		}
	}
	slices.Sort(out)
	return out
}

func canBoot(ctx context.Context, b *backend.Backend, arch string) (accel string, err error) {
	host, err := qemu.FindHost(ctx, arch)
	if err != nil {
		return "", err
	}
	a, err := qemu.ChooseAccel(ctx, host, b.Home.Cache)
	return a.Name, err
}

// canBuild checks the programs that the first recipe of the architecture needs.
// Another recipe may need others; its build reports what is missing.
func canBuild(ctx context.Context, b *backend.Backend, arch string) error {
	g, err := b.OpenGuest(ctx, func(string) {})
	if err != nil {
		return err
	}
	r := recipeFor(b, arch)
	composer, err := all.Composer(r)
	if err != nil {
		return errors.Join(err, g.Close())
	}
	f, err := g.Facts(ctx)
	if err == nil {
		var missing []family.Tool
		if missing, err = composer.MissingTools(ctx, g, f, r); err == nil && len(missing) > 0 {
			err = fmt.Errorf("guest %s lacks %s", g.Name(), missing[0].Name)
		}
	}
	return errors.Join(err, g.Close())
}

func recipeFor(b *backend.Backend, arch string) target.Recipe {
	for _, n := range b.Targets.Names() {
		if r, err := b.Targets.Get(n); err == nil && r.Arch == arch && r.How() == target.Compose && r.Buildable() == nil {
			return r
		}
	}
	return target.Recipe{}
}

// CannotBuildError lists why this computer cannot build for a team.
type CannotBuildError struct{ Reasons []string }

func (e *CannotBuildError) Error() string {
	return "this computer can build and boot no target (" + strings.Join(e.Reasons, "; ") + "): `ingot doctor` prints the commands that install what is missing"
}

// ErrorClass sorts the error; see package cause.
func (*CannotBuildError) ErrorClass() cause.Class { return cause.Missing }
