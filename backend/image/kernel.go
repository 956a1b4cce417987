package image

import (
	"bytes"
	"context"
	"debug/elf"
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"ingot/backend/cause"
	"ingot/backend/guest"
	"ingot/backend/guest/notes"
)

// Kernel is a built kernel. The files lie in the output folder: vmlinuz,
// vmlinux, config, System.map, modules.tar.
type Kernel struct {
	Release  string `json:"release"`
	BuildID  string `json:"buildId"`
	Compiler string `json:"compiler"`
	Symbols  int    `json:"symbols"`
	Objects  int64  `json:"objects"` // lines of make's output, the next build's ETA
}

// KernelFiles are the outputs of BuildKernel.
var KernelFiles = []string{"vmlinuz", "vmlinux", "config", "System.map", "modules.tar"}

// BuildKernel compiles the locked source with the fragments into the folder
// out. key is the step's input key; its first 8 hex digits end the release
// name, so that a running guest tells which inputs its kernel was made from.
func BuildKernel(ctx context.Context, w *Work, key string, fragments []Fragment, out string) (Kernel, error) {
	wanted, err := mergeFragments(fragments)
	if err != nil {
		return Kernel{}, err
	}
	d, err := w.open(ctx, "kernel", "kernel.sh")
	if err != nil {
		return Kernel{}, err
	}
	defer d.close(ctx)
	src, err := w.Input(w.Lock.Kernel)
	if err != nil {
		return Kernel{}, err
	}
	if err := d.put(ctx, src, "source.deb"); err != nil {
		return Kernel{}, fmt.Errorf("kernel source: %w", err)
	}
	if err := d.write(ctx, "wanted.config", allconfig(wanted), 0o644); err != nil {
		return Kernel{}, err
	}
	facts, err := w.Guest.Facts(ctx)
	if err != nil {
		return Kernel{}, cause.With("guest.unreachable", err)
	}
	vars := w.kernelEnv(key, facts)
	if err := d.run(ctx, []string{"kernel.sh", "configure"}, vars, nil); err != nil {
		return Kernel{}, err
	}
	k, err := d.checkConfigured(ctx, wanted)
	if err != nil {
		return k, err
	}
	count := &lineCounter{match: objectLine, total: int64(w.Recipe.Kernel.Objects), progress: w.Progress}
	if err := d.run(ctx, []string{"kernel.sh", "build"}, vars, count); err != nil {
		var exit *guest.ExitError
		if errors.As(err, &exit) && cause.Of(err) == "guest.command-failed" {
			return k, &cause.Error{ID: "kernel.build-failed", Err: err}
		}
		return k, err
	}
	k.Objects = count.done
	return d.collectKernel(ctx, k, out)
}

func (w *Work) kernelEnv(key string, facts guest.Facts) []string {
	k := w.Recipe.Kernel
	cross := k.CrossCompile
	if facts.Arch == w.Recipe.Arch {
		cross = ""
	}
	ccache := []string{"CCACHE_DISABLE=1"}
	if w.Cache != "" {
		ccache = env("CCACHE_DIR", filepath.Join(w.Cache, "ccache"))
	}
	return append(ccache, env("MAKE_ARCH", k.MakeArch, "CROSS", cross, "TARGET", k.Target, "IMAGE", k.Image,
		"LOCALVERSION", "-ingot-"+key[:8],
		"JOBS", strconv.Itoa(max(1, facts.CPUs)))...)
}

// checkConfigured stops the build when a wanted symbol is not in the outcome.
func (d *dir) checkConfigured(ctx context.Context, wanted map[string]symbol) (Kernel, error) {
	final, err := d.read(ctx, "out/config")
	if err != nil {
		return Kernel{}, err
	}
	names, err := d.read(ctx, "out/symbols")
	if err != nil {
		return Kernel{}, err
	}
	compiler, err := d.read(ctx, "out/compiler")
	if err != nil {
		return Kernel{}, err
	}
	k := Kernel{Compiler: strings.TrimSpace(string(compiler)), Symbols: len(wanted)}
	return k, checkConfig(wanted, final, knownSymbols(names))
}

func (d *dir) collectKernel(ctx context.Context, k Kernel, out string) (Kernel, error) {
	for _, name := range KernelFiles {
		if err := d.take(ctx, "out/"+name, filepath.Join(out, name)); err != nil {
			return k, fmt.Errorf("kernel output %s: %w", name, err)
		}
	}
	release, err := d.read(ctx, "out/release")
	if err != nil {
		return k, err
	}
	k.Release = strings.TrimSpace(string(release))
	k.BuildID, err = BuildID(filepath.Join(out, "vmlinux"))
	return k, err
}

// BuildID reads the GNU build-id of an ELF file, as hex.
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
	return "", fmt.Errorf("build-id of %s: it has none: is CONFIG_BUILD_SALT's linker option --build-id in use?", file)
}

// objectLine is make's word on one file made: "  CC      init/main.o".
var objectLine = regexp.MustCompile(`^  [A-Z0-9]+( \[M\])?\s`)

// lineCounter counts the lines of a command's output that match, as progress.
type lineCounter struct {
	match       *regexp.Regexp
	done, total int64 // total is a guess; it grows with done
	partial     []byte
	progress    func(done, total int64)
}

func (c *lineCounter) Write(p []byte) (int, error) {
	rest := p
	for {
		i := bytes.IndexByte(rest, '\n')
		if i < 0 {
			break
		}
		c.line(append(c.partial, rest[:i]...))
		c.partial, rest = c.partial[:0], rest[i+1:]
	}
	if len(c.partial) < 4096 { // a longer line is none of those we count
		c.partial = append(c.partial, rest...)
	}
	return len(p), nil
}

func (c *lineCounter) line(l []byte) {
	if !c.match.Match(l) {
		return
	}
	c.done++
	if c.progress != nil {
		c.progress(c.done, max(c.total, c.done))
	}
}
