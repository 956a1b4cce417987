package backend

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"

	"ingot/backend/home"
	"ingot/backend/image"
	"ingot/backend/qemu"
	"ingot/backend/target"
	"ingot/backend/team"
)

// probe looks what this computer can build and boot: for each architecture a
// guest with the programs that a recipe of it needs, and QEMU with firmware and
// an accelerator that works. cannot says what stands against the others.
func (b *Backend) probe(ctx context.Context) (w team.Worker, cannot []string) {
	host, _ := os.Hostname() // for people only
	w = team.Worker{ID: b.signer.KeyID(), Key: keyLine(b.PublicKey()), Host: host, Version: Version, OS: runtime.GOOS, Arch: runtime.GOARCH,
		Builds: []string{}, Tools: []string{}, Accels: []string{}, Slots: capacity() / slots()}
	for _, tool := range []string{"limactl", "docker", "qemu-system-aarch64", "qemu-system-x86_64"} {
		if _, err := home.LookTool(tool); err == nil {
			w.Tools = append(w.Tools, tool)
		}
	}
	for _, arch := range b.arches() {
		accel, err := b.canBoot(ctx, arch)
		if err == nil {
			w.Accels = append(w.Accels, arch+"/"+accel)
			err = b.canBuild(ctx, arch)
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

// keyLine is the line of a minisign key file that holds the key.
func keyLine(public string) string {
	lines := strings.Fields(public)
	return lines[len(lines)-1]
}

// arches are those that recipes are for.
func (b *Backend) arches() []string {
	var out []string
	for _, n := range b.targets.Names() {
		if r, err := b.targets.Get(n); err == nil && !slices.Contains(out, r.Arch) {
			out = append(out, r.Arch)
		}
	}
	slices.Sort(out)
	return out
}

func (b *Backend) canBoot(ctx context.Context, arch string) (accel string, err error) {
	host, err := qemu.FindHost(ctx, arch)
	if err != nil {
		return "", err
	}
	a, err := qemu.ChooseAccel(ctx, host, b.Home.Cache)
	return a.Name, err
}

// canBuild looks for the programs of the first recipe of the architecture; those
// of another one may differ, and then its build says what is missing.
func (b *Backend) canBuild(ctx context.Context, arch string) error {
	g, err := b.openGuest(ctx)
	if err != nil {
		return err
	}
	f, err := g.Facts(ctx)
	if err == nil {
		var missing []image.Tool
		if missing, err = image.MissingTools(ctx, g, f, b.recipeFor(arch)); err == nil && len(missing) > 0 {
			err = fmt.Errorf("guest %s lacks %s", g.Name(), missing[0].Name)
		}
	}
	return errors.Join(err, g.Close())
}

func (b *Backend) recipeFor(arch string) target.Recipe {
	for _, n := range b.targets.Names() {
		if r, err := b.targets.Get(n); err == nil && r.Arch == arch {
			return r
		}
	}
	return target.Recipe{}
}

// CannotBuildError says why a computer is of no use to a team.
type CannotBuildError struct{ Reasons []string }

func (e *CannotBuildError) Error() string {
	return "this computer can build and boot no target (" + strings.Join(e.Reasons, "; ") + "): `ingot doctor` prints the commands that mend it"
}
