package build

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"ingot/backend/evidence"
	"ingot/backend/image"
	"ingot/backend/target"
)

// Inputs is all that a step's outcome depends on: a value for each name, long
// values by their digest. "step" names the step and the version of its way of
// working: it is raised when the same inputs give other outputs.
type Inputs map[string]string

// Key is the step's input key: the digest of all names and values.
func (in Inputs) Key() string { return key(in) }

// key is the digest of plain data.
func key(parts ...any) string {
	h := sha256.New()
	enc := json.NewEncoder(h) // maps are written in the order of their keys
	for _, p := range parts {
		_ = enc.Encode(p) // plain data into a hash: cannot fail
	}
	return hex.EncodeToString(h.Sum(nil))
}

// Keys are the inputs of those steps of a target that follow from recipe and
// lock alone.
type Keys struct{ Kernel, Rootfs, Tools, Image Inputs }

// KeysOf computes them. fragments are the kernel's, in the recipe's order.
func KeysOf(r target.Recipe, l target.Lock, fragments []image.Fragment) Keys {
	epoch := strconv.FormatInt(image.Epoch(l), 10)
	k := Keys{
		Kernel: Inputs{"step": "kernel/2", "arch": r.Arch, "recipe's kernel": key(r.Kernel), "source": packageInput(l.Kernel)},
		Rootfs: Inputs{"step": "rootfs/2", "arch": r.Arch, "packages": digests(l.Rootfs), "time": epoch},
		Tools:  Inputs{"step": "tools/2", "packages": digests(l.Smoke), "time": epoch},
	}
	for i, f := range fragments {
		name := fmt.Sprintf("config %d", i+1)
		if i < len(r.Kernel.Configs) {
			name = "config " + r.Kernel.Configs[i]
		}
		k.Kernel[name] = key(string(f.Data))
	}
	k.Image = Inputs{"step": "image/2", "kernel": k.Kernel.Key(), "rootfs": k.Rootfs.Key(), "time": epoch,
		"recipe's files": key(r.Rootfs.Files, r.Rootfs.Links, r.Rootfs.Remove), "recipe's disk": key(r.Disk), "recipe's archives": key(r.Archives),
		"tar.zst": strconv.FormatBool(slices.Contains(r.Export.Formats, "tar.zst"))}
	return k
}

func packageInput(p target.LockedPackage) string {
	return p.Name + "=" + p.Version + " " + p.SHA256
}

func digests(pkgs []target.LockedPackage) string {
	out := make([]string, len(pkgs))
	for i, p := range pkgs {
		out[i] = p.SHA256
	}
	slices.Sort(out)
	return key(out)
}

// why says in a few words what makes a step run: the inputs that changed since
// the newest signed pass of its kind, or what is missing although none did.
func (r *run) why(name string, kind evidence.Kind, in Inputs) string {
	if r.rebuilds(name) {
		return "made again to compare"
	}
	if r.forced(name) {
		return "asked for by --force"
	}
	pass, _ := r.records.pass(kind, func(d evidence.Document) bool { return d.Head.Inputs != nil })
	last := Inputs(pass.Head.Inputs)
	switch {
	case kind == "":
		return "no output of these inputs is in the cache"
	case last == nil:
		return "there is no signed pass yet"
	case last.Key() == in.Key():
		return "no input changed, but an output file is missing or was changed"
	}
	return in.changedSince(last)
}

// changedSince lists the inputs that differ.
func (in Inputs) changedSince(old Inputs) string {
	var diff []string
	for name, v := range in {
		switch was, ok := old[name]; {
		case !ok:
			diff = append(diff, name+" is new")
		case was != v && len(was) < 40 && len(v) < 40:
			diff = append(diff, fmt.Sprintf("%s changed from %s to %s", name, was, v))
		case was != v:
			diff = append(diff, name+" changed")
		}
	}
	for name := range old {
		if _, ok := in[name]; !ok {
			diff = append(diff, name+" is gone")
		}
	}
	slices.Sort(diff)
	return strings.Join(diff, ", ")
}
