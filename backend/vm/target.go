package vm

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"strings"
	"time"

	"ingot/backend"
	"ingot/backend/build/vmdisk"
	"ingot/backend/cause"
	"ingot/backend/disk"
	"ingot/backend/disk/files"
	"ingot/backend/family/all"
	"ingot/backend/guest/lima"
	"ingot/backend/home"
	"ingot/backend/qemu"
	"ingot/backend/sanitise"
	"ingot/backend/target"
)

// TargetOf returns the target that is made of an instance's disk: the first by name; ""
// if there is none.
func TargetOf(b *backend.Backend, instance string) string {
	for _, n := range b.Targets.Names() {
		if r, err := b.Targets.Get(n); err == nil && r.How() == target.VM && r.SourceInstance() == instance {
			return n
		}
	}
	return ""
}

// KernelError reports that a target's recipe has another kernel than the requested one.
type KernelError struct{ Target, File, Have, Want string }

func (e *KernelError) Error() string {
	have := "keeps the VM's own kernel"
	if e.Have != "" {
		have = "installs the kernel of " + e.Have
	}
	return fmt.Sprintf("target %s %s: for that of %s change vm.kernel in %s, or give a new target another name with --name", e.Target, have, e.Want, e.File)
}

// ErrorClass returns the class of the error; see package cause.
func (*KernelError) ErrorClass() cause.Class { return cause.Input }

// ImageOptions describe the target that is made of an instance's disk.
type ImageOptions struct {
	Instance string
	Name     string         // of the target; "" is the one that is made of the instance's disk, else the instance's name
	Kernel   string         // target whose kernel is installed; "" keeps the VM's own
	Format   string         // of a new target's file; "" is qcow2
	Sanitise SanitiseChoice // of a new target
	Stop     bool           // the running instance may be shut down for the copy, and is started again
}

// SanitiseError reports that a target's recipe has another choice than the requested one.
type SanitiseError struct{ Target, File string }

func (e *SanitiseError) Error() string {
	return fmt.Sprintf("target %s has a recipe already: change its key sanitise in %s instead, or give a new target another name with --name", e.Target, e.File)
}

// ErrorClass returns the class of the error; see package cause.
func (*SanitiseError) ErrorClass() cause.Class { return cause.Input }

// EnsureTarget returns the target of the options. It writes the recipe if there is none;
// file is then its path. An existing recipe must be of that instance and, unless Kernel is
// "", of that kernel, and unless Sanitise is zero have that choice.
func EnsureTarget(ctx context.Context, b *backend.Backend, o ImageOptions) (target, file string, err error) {
	if _, err := Find(o.Instance); err != nil {
		return "", "", err
	}
	o.Name = cmp.Or(o.Name, TargetOf(b, o.Instance), targetName(o.Instance))
	r, err := b.Targets.Get(o.Name)
	if err != nil || r.SourceInstance() != o.Instance {
		file, err = NewTarget(ctx, b, o) // it refuses a name that is taken
		return o.Name, file, err
	}
	if o.Kernel != "" && r.VM.Kernel != o.Kernel {
		return "", "", &KernelError{o.Name, r.Origin(), r.VM.Kernel, o.Kernel}
	}
	if len(o.Sanitise.Keep)+len(o.Sanitise.Also) > 0 && !reflect.DeepEqual(r.SanitiseChoice(), o.Sanitise) {
		return "", "", &SanitiseError{o.Name, r.Origin()}
	}
	return o.Name, "", nil
}

// targetName returns a target's name for an instance: names of instances may have
// capitals and underscores.
func targetName(instance string) string {
	return strings.ReplaceAll(strings.ToLower(instance), "_", "-")
}

// NewTarget writes the recipe of a target that is made of an instance's disk, and returns
// its file. System and release are read from the running system, or from the disk of a
// stopped instance.
func NewTarget(ctx context.Context, b *backend.Backend, o ImageOptions) (string, error) {
	i, err := Find(o.Instance)
	if err != nil {
		return "", err
	}
	id, release, err := systemOf(ctx, i)
	if err != nil {
		return "", fmt.Errorf("the system of %s: %w", i.Name, err)
	}
	d := target.FromVM{Name: o.Name, Instance: i.Name, Kernel: o.Kernel, Format: o.Format, Title: strings.ToUpper(id[:1]) + id[1:] + " " + release + " of the VM " + i.Name, OS: id, Release: release, Arch: i.Arch, CPUs: max(1, min(2, i.CPUs)), Sanitise: o.Sanitise}
	if i.LegacyBIOS {
		d.Firmware = qemu.BIOS
	}
	lock, err := b.Lock(ctx, home.LockOptions{Purpose: "target of the VM " + i.Name, Wait: true})
	if err != nil {
		return "", err
	}
	file, err := b.Targets.WriteFromVM(d)
	return file, errors.Join(err, lock.Unlock())
}

// CopyDirect is the method of a copy of a stopped instance's disk.
const CopyDirect = lima.CopyDirect

// ImagePlan is what making an image of an instance's disk would take. Sizes are in bytes.
type ImagePlan struct {
	Target string // that is made of the instance's disk already; "" for none
	Name   string // of the target that would be made
	Method string // how its disk would be copied, see lima.Copier
	Stops  bool   // its disk can be copied only while it is stopped, and it runs
	Room   uint64 // the most that is needed at home
	Free   uint64 // there now

	Rules []SanitiseRule // of what is taken out
	Found *Sanitised     // what the rules find now; nil if the instance does not run, or cannot be asked
}

// SanitiseRule is one rule of package sanitise.
type SanitiseRule = sanitise.Rule

// measureWait bounds the measuring of a running instance, for which a person waits.
const measureWait = 20 * time.Second

// PlanImage tells what making an image would take. A VM whose disk cannot be copied is an
// error; see lima.Instance.CopyMethod. A running instance is asked what there
// is to take out, for measureWait at most.
func PlanImage(ctx context.Context, b *backend.Backend, instance string) (ImagePlan, error) {
	i, err := Find(instance)
	if err != nil {
		return ImagePlan{}, err
	}
	p := ImagePlan{Target: TargetOf(b, instance), Name: targetName(instance)}
	if p.Method, err = i.CopyMethod(false, nil); cause.IDOf(err) == "vm.must-stop" {
		p.Stops = true
		p.Method, err = i.CopyMethod(true, nil)
	}
	if err != nil {
		return p, err
	}
	if s, err := all.System(i.OS); err == nil {
		if rules, err := s.SanitiseRules(); err == nil {
			p.Rules = rules.Rules
		}
	}
	if i.Status == Running {
		ctx, cancel := context.WithTimeout(ctx, measureWait)
		defer cancel()
		if found, err := MeasureSanitise(ctx, instance, SanitiseChoice{}, io.Discard); err == nil {
			p.Found = &found
		}
	}
	p.Room = vmdisk.Room(i, p.Method)
	p.Free, err = home.FreeSpace(b.Home.Data)
	return p, err
}

// releaseLimit bounds an os-release file, in bytes.
const releaseLimit = 64 << 10

// systemOf returns ID and version of an instance's system, as its os-release(5) says.
func systemOf(ctx context.Context, i Instance) (id, release string, err error) {
	if i.Status == Running {
		g, err := lima.Open(ctx, i)
		if err != nil {
			return "", "", err
		}
		f, err := g.Facts(ctx)
		return f.DistroID, cmp.Or(f.DistroVersion, "rolling"), errors.Join(err, g.Close(), known(f.DistroID))
	}
	if i.Disk == "" {
		return "", "", cause.With("vm.no-disk", fmt.Errorf("there is no disk in %s", i.Dir))
	}
	im, err := disk.Open(i.Disk, i.Base)
	if err != nil {
		return "", "", disk.WithCause(err)
	}
	defer im.Close()
	text, err := files.ReadFile(im, "/usr/lib/os-release", releaseLimit)
	if errors.Is(err, os.ErrNotExist) {
		return "", "", cause.With("vm.unread", fmt.Errorf("its disk has no file system that can be read and that has /usr/lib/os-release: start %s, so that its system can be asked", i.Name))
	}
	if err != nil {
		return "", "", err
	}
	values := map[string]string{}
	for line := range strings.Lines(string(text)) {
		if key, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok {
			values[key] = strings.Trim(value, `"'`)
		}
	}
	return values["ID"], cmp.Or(values["VERSION_ID"], values["VERSION_CODENAME"], "rolling"), known(values["ID"])
}

// known refuses a system without a name.
func known(id string) error {
	if id == "" {
		return cause.With("vm.unread", errors.New("its os-release names no ID"))
	}
	return nil
}
