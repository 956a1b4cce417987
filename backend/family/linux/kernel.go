package linux

import (
	"context"
	"debug/elf"
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"ingot/backend/cause"
	"ingot/backend/family"
	"ingot/backend/guest"
	"ingot/backend/guest/notes"
)

// BuildKernel compiles the locked source with the fragments into the folder out. The
// release's name ends with the first 8 hex digits of key. The source is a Debian
// package, linux-source-VERSION, which kernel.sh unpacks with dpkg-deb.
func (System) BuildKernel(ctx context.Context, w *family.Work, key string, fragments []family.Fragment, out string) (family.Kernel, error) {
	wanted, err := mergeFragments(fragments)
	if err != nil {
		return family.Kernel{}, err
	}
	d, err := w.Open(ctx, "kernel", scripts, stepScripts[family.StepKernel]...)
	if err != nil {
		return family.Kernel{}, err
	}
	defer d.Close(ctx)
	src, err := w.Input(w.Lock.Kernel)
	if err != nil {
		return family.Kernel{}, err
	}
	if err := d.Put(ctx, src, "source.deb"); err != nil {
		return family.Kernel{}, fmt.Errorf("kernel source: %w", err)
	}
	if err := d.Write(ctx, "wanted.config", allconfig(wanted), 0o644); err != nil {
		return family.Kernel{}, err
	}
	facts, err := w.Guest.Facts(ctx)
	if err != nil {
		return family.Kernel{}, cause.With("guest.unreachable", err)
	}
	vars := kernelEnv(w, key, facts)
	if err := d.Run(ctx, []string{"kernel.sh", "configure"}, vars, nil); err != nil {
		return family.Kernel{}, err
	}
	k, err := checkConfigured(ctx, d, wanted)
	if err != nil {
		return k, err
	}
	count := &family.LineCounter{Match: objectLine, Total: int64(w.Recipe.Kernel.Objects), Progress: w.Progress}
	if err := d.Run(ctx, []string{"kernel.sh", "build"}, vars, count); err != nil {
		var exit *guest.ExitError
		if errors.As(err, &exit) && cause.Of(err) == "guest.command-failed" {
			return k, &cause.Error{ID: "kernel.build-failed", Err: err}
		}
		return k, err
	}
	k.Objects = count.Done
	return collectKernel(ctx, d, k, out)
}

func kernelEnv(w *family.Work, key string, facts guest.Facts) []string {
	k := w.Recipe.Kernel
	cross := k.CrossCompile
	if facts.Arch == w.Recipe.Arch {
		cross = ""
	}
	ccache := []string{"CCACHE_DISABLE=1"}
	if w.Cache != "" {
		// depend mode: ccache takes the list of headers from the compiler, and does not run
		// the preprocessor first; see "The depend mode" in ccache(1)
		ccache = family.Env("CCACHE_DIR", filepath.Join(w.Cache, "ccache"), "CCACHE_DEPEND", "1")
	}
	return append(ccache, family.Env("MAKE_ARCH", k.MakeArch, "CROSS", cross, "TARGET", k.Target, "IMAGE", k.Image,
		"LOCALVERSION", "-ingot-"+key[:8],
		"JOBS", strconv.Itoa(max(1, facts.CPUs)))...)
}

// checkConfigured returns an error if the final configuration lacks a wanted symbol.
func checkConfigured(ctx context.Context, d *family.Dir, wanted map[string]symbol) (family.Kernel, error) {
	final, err := d.Read(ctx, "out/config")
	if err != nil {
		return family.Kernel{}, err
	}
	names, err := d.Read(ctx, "out/symbols")
	if err != nil {
		return family.Kernel{}, err
	}
	compiler, err := d.Read(ctx, "out/compiler")
	if err != nil {
		return family.Kernel{}, err
	}
	k := family.Kernel{Compiler: strings.TrimSpace(string(compiler)), Symbols: len(wanted)}
	return k, checkConfig(wanted, final, knownSymbols(names))
}

func collectKernel(ctx context.Context, d *family.Dir, k family.Kernel, out string) (family.Kernel, error) {
	for _, name := range family.KernelFiles {
		if err := d.Take(ctx, "out/"+name, filepath.Join(out, name)); err != nil {
			return k, fmt.Errorf("kernel output %s: %w", name, err)
		}
	}
	release, err := d.Read(ctx, "out/release")
	if err != nil {
		return k, err
	}
	k.Release = strings.TrimSpace(string(release))
	k.BuildID, err = BuildID(filepath.Join(out, "vmlinux"))
	return k, err
}

// BuildID returns the GNU build-id of an ELF file, as hex.
func BuildID(file string) (string, error) {
	f, err := elf.Open(file)
	if err != nil {
		return "", fmt.Errorf("build-id of %s: %w", file, err)
	}
	defer f.Close()
	for _, s := range f.Sections {
		if s.Type != elf.SHT_NOTE {
			continue
		}
		data, err := s.Data()
		if err != nil {
			return "", fmt.Errorf("build-id of %s: %w", file, err)
		}
		if id := notes.BuildID(data); id != "" {
			return id, nil
		}
	}
	return "", fmt.Errorf("build-id of %s: the file has none: the kernel must be linked with --build-id", file)
}

// objectLine matches make's line for one compiled file: "  CC      init/main.o".
var objectLine = regexp.MustCompile(`^  [A-Z0-9]+( \[M\])?\s`)
