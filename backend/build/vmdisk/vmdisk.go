// Package vmdisk makes the disk of a target with the strategy vm: a copy of the disk of a
// Lima instance that the user has is changed in a machine of Ingot's own, sanitised, and
// shut down.
//
// The instance is only read. The machine starts from an overlay of the copy, with the
// instance's seed and network address, so that the system finds what it knows, and is
// entered with Lima's own key.
//
// External facts: Lima matches the network device by its MAC address in the seed's
// network-config (lima-vm/lima@v2.2.0 pkg/cidata/cidata.TEMPLATE.d/network-config).
package vmdisk

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"ingot/backend/cause"
	"ingot/backend/disk"
	"ingot/backend/disk/files"
	"ingot/backend/event"
	"ingot/backend/evidence"
	"ingot/backend/family"
	"ingot/backend/guest"
	"ingot/backend/guest/lima"
	"ingot/backend/guest/notes"
	"ingot/backend/guest/pause"
	machine "ingot/backend/guest/qemu"
	"ingot/backend/home"
	"ingot/backend/leak"
	"ingot/backend/qemu"
	"ingot/backend/target"
)

// Work makes one disk. A Work is used by one goroutine.
type Work struct {
	Recipe target.Recipe
	System family.System // that the VM runs

	KernelDir string        // folder with the files of a kernel to install; "" keeps the VM's own
	Kernel    family.Kernel // that kernel

	Stop     bool   // shut a running VM down for the copy, and start it again
	Cache    string // folder of the results of accelerator probes
	Children event.Children
	Console  string    // file for the console of the machine
	Log      io.Writer // gets the output of the commands
	Note     func(format string, args ...any)
	Progress func(done, total int64) // bytes of the disk that is copied
}

// Disk describes a disk that Make has written.
type Disk struct {
	family.Kernel                    // the kernel that the machine ran
	Size          int64              `json:"size"` // as the guest sees it, in bytes
	Taken         evidence.Taken     `json:"taken"`
	State         string             `json:"state,omitempty"` // of the VM's disk, see StateOf
	Facts         guest.Facts        `json:"facts"`           // of the machine
	Packages      []string           `json:"packages,omitempty"`
	Sanitised     evidence.Sanitised `json:"sanitised"`
}

// StateOf identifies the content of an instance's disk by the names, sizes and times of
// its files. It returns "" for an instance that is not stopped: its disk may change at any
// time.
func StateOf(i lima.Instance) string {
	if i.Status != lima.Stopped || i.Disk == "" {
		return ""
	}
	var parts []any
	for _, f := range []string{i.Disk, i.Base} {
		if f == "" {
			continue
		}
		info, err := os.Stat(f)
		if err != nil {
			return ""
		}
		parts = append(parts, f, info.Size(), info.ModTime().UnixNano())
	}
	return family.Digest(parts...)
}

// Room returns the most bytes that Make needs for an instance's disk that is copied by the
// method: for the copy, for what the machine writes, and for the result.
func Room(i lima.Instance, method string) uint64 { return 3 * i.CopyRoom(method) }

// StateNow is StateOf for the instance of a recipe; "" if there is none.
func StateNow(r target.Recipe) string {
	i, err := lima.Store{}.Instance(r.SourceInstance())
	if err != nil {
		return ""
	}
	return StateOf(i)
}

// Times that a step of the work may take, chosen for emulation without an accelerator.
const (
	answerWait = 15 * time.Minute
	haltWait   = 5 * time.Minute
)

// Make writes the disk to disk.raw in the folder out. Its working files are in a folder
// below out, which is removed.
func (w Work) Make(ctx context.Context, out string) (d Disk, err error) {
	i, err := lima.Store{}.Instance(w.Recipe.SourceInstance())
	if err != nil {
		return d, cause.With("lima.no-instance", err)
	}
	if i.Arch != w.Recipe.Arch {
		return d, cause.With("guest.other-arch", fmt.Errorf("target %s is for %s, the instance %s has %s", w.Recipe.Name, w.Recipe.Arch, i.Name, i.Arch))
	}
	method, err := i.CopyMethod(w.Stop, nil)
	if err != nil {
		return d, err
	}
	t := &taking{Work: w, vm: i, dir: filepath.Join(out, "work")}
	if w.KernelDir != "" {
		if err := t.loader(ctx, method); err != nil {
			return d, err
		}
	}
	if err := os.Mkdir(t.dir, 0o700); err != nil {
		return d, fmt.Errorf("disk of %s: %w", i.Name, err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(t.dir)) }()
	if err := home.NeedSpace(out, Room(i, method), "image of "+i.Name); err != nil {
		return d, err
	}
	if err := t.copy(ctx, method, &d); err != nil {
		return d, fmt.Errorf("copy of %s: %w", i.Name, disk.WithCause(err))
	}
	if err := t.change(ctx, &d); err != nil {
		return d, err
	}
	w.Note("writing the disk")
	im, err := disk.OpenOverlay(t.path("overlay.qcow2"), t.path("copy.raw"))
	if err != nil {
		return d, err
	}
	defer func() { err = errors.Join(err, im.Close()) }()
	d.Size = im.Size()
	// what was deleted is still in blocks of no file
	free, err := leak.Free(im)
	if err != nil {
		return d, fmt.Errorf("the disk after the shutdown: %w", err)
	}
	return d, disk.Raw{Path: filepath.Join(out, "disk.raw")}.Take(ctx, disk.Without(im, free), w.Progress)
}

// taking is one running Make.
type taking struct {
	Work
	vm  lima.Instance
	dir string
}

func (t *taking) path(name string) string { return filepath.Join(t.dir, name) }

// grubMenu is where update-grub writes, on the root's file system or on one of its own.
var grubMenu = []string{"/boot/grub/grub.cfg", "/grub/grub.cfg"}

// loader refuses a system in which no kernel can be installed: it is asked if it runs,
// else its disk is read.
func (t *taking) loader(ctx context.Context, method string) error {
	unsupported := func(err error) error {
		return cause.With("kernel.loader-unsupported", fmt.Errorf("no kernel can be installed in %s: it has no GRUB with a menu of update-grub: %w", t.vm.Name, err))
	}
	if method != lima.CopyDirect {
		g, err := lima.Open(ctx, t.vm)
		if err != nil {
			return err
		}
		err = g.Run(ctx, guest.Cmd{Argv: guest.AsRoot("test", "-e", grubMenu[0])})
		if cerr := g.Close(); cerr != nil {
			return errors.Join(err, cerr)
		}
		var exit *guest.ExitError
		if errors.As(err, &exit) {
			return unsupported(err)
		}
		return err
	}
	im, err := disk.Open(t.vm.Disk, t.vm.Base)
	if err != nil {
		return disk.WithCause(err)
	}
	defer im.Close()
	for _, name := range grubMenu {
		if _, err = files.ReadFile(im, name, 1); err == nil {
			return nil
		}
	}
	return unsupported(err)
}

// copy copies the instance's disk to copy.raw and its seed to seed.iso.
func (t *taking) copy(ctx context.Context, method string, d *Disk) error {
	d.State = StateOf(t.vm)
	c := lima.Copier{Instance: t.vm, Work: t.dir, Notify: func(msg string) { t.Note("%s", msg) }, Write: func(ctx context.Context, src disk.Source) error {
		return disk.Raw{Path: t.path("copy.raw")}.Take(ctx, src, t.Progress)
	}}
	t.Note("copying the disk of %s", t.vm.Name)
	copied, err := pause.Copy(ctx, c, method, 0)
	if err != nil {
		return err
	}
	d.Taken = evidence.Taken{Name: t.vm.Name, Driver: t.vm.VMType, Method: copied.Method, Why: copied.Why}
	for _, l := range copied.Layers {
		d.Taken.Layers = append(d.Taken.Layers, evidence.TakenLayer(l))
	}
	seed, err := os.ReadFile(t.vm.Seed())
	if errors.Is(err, os.ErrNotExist) {
		return cause.With("lima.not-running", fmt.Errorf("it was never started: start it once, so that its system has an account for Ingot to log in"))
	}
	if err != nil {
		return err
	}
	return os.WriteFile(t.path("seed.iso"), seed, 0o600)
}

// address matches the MAC address in a network configuration.
var address = regexp.MustCompile(`macaddress: ['"]?([0-9a-fA-F:]{17})`)

// addressIn returns the MAC address that the seed's network configuration names first; ""
// if it names none.
func addressIn(seed string) (string, error) {
	text, err := qemu.ReadISO(seed, "network-config")
	if err != nil {
		return "", fmt.Errorf("cloud-init's seed: %w", err)
	}
	m := address.FindStringSubmatch(text)
	if m == nil {
		return "", nil
	}
	mac, err := net.ParseMAC(m[1])
	if err != nil {
		return "", fmt.Errorf("cloud-init's seed: %w", err)
	}
	return mac.String(), nil
}

// change starts a machine from an overlay of the copy, changes and sanitises its system,
// and shuts it down.
func (t *taking) change(ctx context.Context, d *Disk) error {
	mac, err := addressIn(t.path("seed.iso"))
	if err != nil {
		return err
	}
	user, key, err := t.vm.Login()
	if err != nil {
		return err
	}
	port, err := machine.FreePort()
	if err != nil {
		return err
	}
	opt := machine.Options{Arch: t.Recipe.Arch, Board: t.Recipe.Board(), CPUs: max(1, t.Recipe.Proof.CPUs), Memory: max(int64(t.Recipe.Proof.Memory), machineMemory), Cache: t.Cache, Children: t.Children,
		Image: t.path("copy.raw"), Format: "raw", Overlay: t.path("overlay.qcow2"), Media: []string{t.path("seed.iso")}, Console: t.Console, MAC: mac}
	t.Note("starting a machine from the copy")
	g, err := machine.Open(ctx, t.vm.Name+"'s copy", opt, machine.Login{User: user, KeyFile: key, Port: port}, answerWait)
	if err != nil {
		return fmt.Errorf("the copy of %s: %w", t.vm.Name, err)
	}
	defer g.Close()
	if err := t.booted(ctx, g); err != nil {
		return err
	}
	if d.Facts, err = g.Facts(ctx); err != nil {
		return err
	}
	if d.Kernel, err = kernelOf(ctx, g); err != nil {
		return err
	}
	t.Note("it runs %s %s with the kernel %s", d.Facts.DistroID, d.Facts.DistroVersion, d.Release)
	if t.KernelDir != "" {
		if d.Kernel, err = t.install(ctx, g); err != nil {
			return err
		}
	}
	if err := t.apply(ctx, g); err != nil {
		return err
	}
	d.Packages = packagesOf(ctx, g)
	halt, err := g.Parting(ctx)
	if err != nil {
		return cause.With("guest.no-root", err)
	}
	t.Note("removing what identifies %s and its users", t.vm.Name)
	free, err := t.freeBlocks()
	if err == nil {
		d.Sanitised, err = t.System.Sanitise(ctx, g, family.SanitiseOptions{Choice: t.Recipe.SanitiseChoice(), Free: free, Log: t.Log})
	}
	if err != nil {
		_ = g.Close() // ends the shell that waits to shut it down
		return err
	}
	for _, i := range d.Sanitised.Removed {
		if i.Files > 0 {
			t.Note("%s: %d files, %d KiB: %s", i.Rule, i.Files, i.Size>>10, i.What)
		}
	}
	t.Note("shutting it down")
	return halt(ctx, haltWait)
}

// install installs the kernel for one start, restarts the machine, and makes the kernel
// the default once it runs.
func (t *taking) install(ctx context.Context, g *machine.Guest) (family.Kernel, error) {
	t.Note("installing the kernel %s, and restarting with it", t.Kernel.Release)
	if err := t.System.Install(ctx, g, t.KernelDir, t.Kernel.Release, t.Log); err != nil {
		return family.Kernel{}, err
	}
	if err := g.Reboot(ctx, answerWait); err != nil {
		return family.Kernel{}, fmt.Errorf("with the kernel %s: %w", t.Kernel.Release, err)
	}
	if err := t.booted(ctx, g); err != nil {
		return family.Kernel{}, err
	}
	k, err := kernelOf(ctx, g)
	if err != nil {
		return k, err
	}
	if k.Release != t.Kernel.Release || k.BuildID != t.Kernel.BuildID {
		return k, cause.With("boot.wrong-kernel", fmt.Errorf("after the restart it runs the kernel %s (build-id %s) instead of %s (%s)", k.Release, k.BuildID, t.Kernel.Release, t.Kernel.BuildID))
	}
	return t.Kernel, t.System.KeepKernel(ctx, g, k.Release, t.Log)
}

// bootedScript waits until the system has started all that it starts: the last scripts of
// Lima and cloud-init, which run after sshd, would otherwise write again what is removed,
// and hold the lock of the package manager.
const bootedScript = `limit() { if command -v timeout >/dev/null; then timeout "$@"; else shift; "$@"; fi; }
if command -v cloud-init >/dev/null; then limit 600 cloud-init status --wait; fi
if command -v systemctl >/dev/null; then limit 600 systemctl is-system-running --wait; fi
exit 0`

// booted waits for the end of the machine's start.
func (t *taking) booted(ctx context.Context, g guest.Guest) error {
	t.Note("waiting until all of its system has started")
	return t.run(ctx, g, bootedScript, "")
}

// freeBlocks returns who clears the free blocks: Make leaves them out of the result where
// it can read every file system of the disk, else the system overwrites them.
func (t *taking) freeBlocks() (family.FreeBlocks, error) {
	im, err := disk.Open(t.path("copy.raw"))
	if err != nil {
		return "", err
	}
	defer im.Close()
	known, err := leak.AllRead(im)
	if err == nil && known {
		return family.KeepFree, nil
	}
	return family.OverwriteFree, err
}

// machineMemory is the least memory of the machine in bytes: package managers need more
// than a system that only runs.
const machineMemory = 1 << 30

// kernelOf returns the kernel that a guest runs, as Linux reports it.
func kernelOf(ctx context.Context, g guest.Guest) (k family.Kernel, err error) {
	var release, raw bytes.Buffer
	if err = g.Run(ctx, guest.Cmd{Argv: []string{"uname", "-r"}, Stdout: &release}); err == nil {
		err = g.Run(ctx, guest.Cmd{Argv: []string{"cat", "/sys/kernel/notes"}, Stdout: &raw})
	}
	return family.Kernel{Release: strings.TrimSpace(release.String()), BuildID: notes.BuildID(raw.Bytes())}, err
}

// packagesOf lists the packages of a guest as name=version:arch; nil if it has no dpkg.
func packagesOf(ctx context.Context, g guest.Guest) []string {
	var out bytes.Buffer
	if g.Run(ctx, guest.Cmd{Argv: []string{"dpkg-query", "-W", "-f", `${Package}=${Version}:${Architecture}\n`}, Stdout: &out}) != nil {
		return nil
	}
	list := strings.Fields(out.String())
	slices.Sort(list)
	return list
}

// apply makes the recipe's changes.
func (t *taking) apply(ctx context.Context, g guest.Guest) error {
	c := t.Recipe.Changes
	if c == nil {
		return nil
	}
	if len(c.Packages) > 0 {
		t.Note("installing %s", strings.Join(c.Packages, ", "))
		if err := guest.Install(ctx, g, "apt-get update -q -o DPkg::Lock::Timeout=300 && DEBIAN_FRONTEND=noninteractive apt-get install -o DPkg::Lock::Timeout=300 -q -y --no-install-recommends "+strings.Join(c.Packages, " "), t.Log); err != nil {
			return err
		}
	}
	for _, f := range c.Files {
		if err := t.write(ctx, g, f); err != nil {
			return err
		}
	}
	for n, command := range c.Commands {
		first, _, _ := strings.Cut(strings.TrimSpace(command), "\n")
		t.Note("running %s", first)
		if err := t.run(ctx, g, command, ""); err != nil {
			return fmt.Errorf("%s: key %q: %w", t.Recipe.Origin(), fmt.Sprintf("changes.commands[%d]", n), err)
		}
	}
	return nil
}

// write writes a file of the recipe, which root owns.
func (t *taking) write(ctx context.Context, g guest.Guest, f target.File) error {
	mode := f.Mode
	if mode == "" {
		mode = "0644"
	}
	err := t.run(ctx, g, `set -eu
mkdir -p "$(dirname "$1")"
cat >"$1.ingot"
chmod "$2" "$1.ingot"
mv "$1.ingot" "$1"`, f.Content, f.Path, mode)
	if err != nil {
		return fmt.Errorf("%s: key %q: %s: %w", t.Recipe.Origin(), "changes.files", f.Path, err)
	}
	return nil
}

// run runs a script as root.
func (t *taking) run(ctx context.Context, g guest.Guest, script, stdin string, args ...string) error {
	argv := append([]string{"sh", "-c", script, "change"}, args...)
	err := g.Run(ctx, guest.Cmd{Argv: guest.AsRoot(argv...), Stdin: strings.NewReader(stdin), Stdout: t.Log, Stderr: t.Log})
	var exit *guest.ExitError
	if errors.As(err, &exit) {
		return cause.With(family.ExitCause(exit), err)
	}
	return err
}
