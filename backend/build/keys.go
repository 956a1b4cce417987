package build

import (
	"fmt"
	"maps"
	"strconv"

	"ingot/backend/build/record"
	"ingot/backend/family"
	"ingot/backend/family/all"
	"ingot/backend/target"
)

// Keys are the inputs of those steps of a target that depend only on recipe and lock.
type Keys struct{ Kernel, Rootfs, Tools, Image record.Inputs }

// KeysOf computes the keys. fragments are the kernel's, in the recipe's order. The
// error reports that no family has the recipe's system.
func KeysOf(r target.Recipe, l target.Lock, fragments []family.Fragment) (Keys, error) {
	if r.How() == target.VM {
		return vmKeys(r, l, fragments)
	}
	f, err := all.Of(r)
	if err != nil {
		return Keys{}, err
	}
	k := Keys{
		Kernel: record.Inputs{"step": "kernel/2", "arch": r.Arch, "recipe's kernel": record.Key(r.Kernel)},
		Rootfs: record.Inputs{"step": "rootfs/2", "arch": r.Arch},
		Tools:  record.Inputs{"step": "tools/2"},
	}
	maps.Copy(k.Kernel, f.Inputs(family.StepKernel, l))
	maps.Copy(k.Rootfs, f.Inputs(family.StepRootfs, l))
	maps.Copy(k.Tools, f.Inputs(family.StepTools, l))
	for i, f := range fragments {
		name := fmt.Sprintf("config %d", i+1)
		if i < len(r.Kernel.Configs) {
			name = "config " + r.Kernel.Configs[i]
		}
		k.Kernel[name] = record.Key(string(f.Data))
	}
	k.Image = record.Inputs{"step": "image/2", "kernel": k.Kernel.Key(), "rootfs": k.Rootfs.Key(),
		"recipe's files": record.Key(r.Rootfs.Files, r.Rootfs.Links, r.Rootfs.Remove), "recipe's disk": record.Key(r.Disk), "recipe's archives": record.Key(r.Archives),
		"tar.zst": strconv.FormatBool(fromTree(r))}
	maps.Copy(k.Image, f.Inputs(family.StepImage, l))
	return k, nil
}
