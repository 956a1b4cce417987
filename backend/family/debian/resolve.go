package debian

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/textproto"
	"net/url"
	"os"
	"path"
	"sort"
	"strconv"
	"strings"
	"time"

	"ingot/backend/cause"
	"ingot/backend/family"
	"ingot/backend/guest"
	"ingot/backend/target"
)

// Mirrors returns an address for each archive: the user's mirror (configured), else the
// one that the guest's own apt uses for one of the same suites, else the archive's
// public address.
func (Family) Mirrors(ctx context.Context, g guest.Guest, r target.Recipe, configured map[string]string) family.Mirrors {
	m := family.Mirrors{}
	var hosts map[string]string
	for _, a := range r.Archives {
		if u := configured[a.Name]; u != "" {
			m[a.Name] = strings.TrimSuffix(u, "/")
			continue
		}
		if hosts == nil {
			hosts = guestRepositories(ctx, g)
		}
		m[a.Name] = strings.TrimSuffix(a.URI, "/")
		for _, s := range a.Suites {
			if u := hosts[s]; u != "" {
				m[a.Name] = u
				break
			}
		}
	}
	return m
}

// guestRepositories maps a Debian suite to the address that the guest's apt uses for
// it. It is empty if the guest has no apt.
func guestRepositories(ctx context.Context, g guest.Guest) map[string]string {
	var out strings.Builder
	found := map[string]string{}
	err := g.Run(ctx, guest.Cmd{Argv: []string{"apt-get", "indextargets", "--format", "$(ORIGIN)|$(RELEASE)|$(REPO_URI)", "Created-By: Packages"}, Stdout: &out, Stderr: io.Discard})
	if err != nil {
		return found
	}
	for _, line := range strings.Split(out.String(), "\n") {
		f := strings.Split(line, "|")
		if len(f) == 3 && f[0] == "Debian" && strings.HasPrefix(f[2], "http") {
			found[f[1]] = strings.TrimSuffix(f[2], "/")
		}
	}
	return found
}

// Resolve fetches the archives' indexes, resolves the recipe's packages with all
// dependencies, and returns the new lock.
func (Family) Resolve(ctx context.Context, w *family.Work, mirrors family.Mirrors, now time.Time) (target.Lock, error) {
	d, err := w.Open(ctx, "resolve", scripts, "resolve.sh")
	if err != nil {
		return target.Lock{}, err
	}
	defer d.Close(ctx)
	r := w.Recipe
	inputs := map[string]string{
		"sources.list": resolveSources(r, mirrors),
		"rootfs.txt":   strings.Join(r.Rootfs.Packages, "\n"),
		"smoke.txt":    strings.Join(r.Proof.Smoke.Packages, "\n"),
		"kernel.txt":   r.Kernel.SourcePackage,
	}
	for name, text := range inputs {
		if err := d.Write(ctx, name, []byte(text+"\n"), 0o644); err != nil {
			return target.Lock{}, err
		}
	}
	if err := d.Run(ctx, []string{"resolve.sh"}, append(guest.ProxyEnv(os.Environ()), family.Env("DEB_ARCH", debArch(r.Arch))...), nil); err != nil {
		return target.Lock{}, resolveError(err)
	}
	return readLock(ctx, d, mirrors, now)
}

// resolveError gives an error of apt the cause that its message indicates, instead of
// the general cause of a failed command.
func resolveError(err error) error {
	var exit *guest.ExitError
	if !errors.As(err, &exit) {
		return err
	}
	switch {
	case strings.Contains(exit.Tail, "is expired"):
		return &cause.Error{ID: "fetch.unreachable", Err: fmt.Errorf("the Release file of the mirror has expired, so it is not updated any more: set mirrors in config.yaml to a current one: %w", err)}
	case strings.Contains(exit.Tail, "Failed to fetch") || strings.Contains(exit.Tail, "Could not resolve"):
		return &cause.Error{ID: "fetch.unreachable", Err: err}
	case strings.Contains(exit.Tail, "Unable to locate package"):
		return &cause.Error{ID: "config.invalid", Err: fmt.Errorf("a package of the recipe is not in its suites: %w", err)}
	}
	return err
}

func resolveSources(r target.Recipe, mirrors family.Mirrors) string {
	var b strings.Builder
	for _, a := range r.Archives {
		for _, s := range a.Suites {
			fmt.Fprintf(&b, "deb [arch=%s signed-by=%s] %s %s %s\n", debArch(r.Arch), a.Keyring, mirrors[a.Name], s, strings.Join(a.Components, " "))
		}
	}
	return b.String()
}

// readLock builds the lock from the script's output.
func readLock(ctx context.Context, d *family.Dir, mirrors family.Mirrors, now time.Time) (target.Lock, error) {
	r := d.Work.Recipe
	l := target.Lock{APIVersion: target.APIVersion, Kind: "Lock", Target: r.Name, Asked: r.Asked(), Created: now.UTC().Truncate(time.Second)}
	text := map[string][]byte{}
	for _, name := range []string{"rootfs.uris", "all.uris", "kernel.uris", "packages.txt", "releases.txt"} {
		b, err := d.Read(ctx, name)
		if err != nil {
			return l, err
		}
		text[name] = b
	}
	index, err := readPackages(text["packages.txt"], archiveOf(r, mirrors))
	if err != nil {
		return l, err
	}
	rootfs, err := pick(text["rootfs.uris"], index)
	if err != nil {
		return l, err
	}
	all, err := pick(text["all.uris"], index)
	if err != nil {
		return l, err
	}
	if l.Kernel, err = kernelSource(r.Kernel.SourcePackage, text["kernel.uris"], index); err != nil {
		return l, err
	}
	l.Rootfs, l.Smoke = rootfs, without(all, rootfs)
	l.Suites, err = readReleases(text["releases.txt"], r)
	return l, err
}

// kernelSource returns the only package that apt downloads for the kernel source.
func kernelSource(name string, uris []byte, index map[string]target.LockedPackage) (target.LockedPackage, error) {
	found, err := pick(uris, index)
	if err != nil {
		return target.LockedPackage{}, fmt.Errorf("kernel source %s: %w", name, err)
	}
	if len(found) != 1 {
		return target.LockedPackage{}, cause.With("config.invalid", fmt.Errorf("kernel.sourcePackage %s: apt downloads %d packages for it instead of one: name a package like linux-source-6.1", name, len(found)))
	}
	return found[0], nil
}

// archiveOf returns a function that finds an archive's name by the mirror address in
// apt's output.
func archiveOf(r target.Recipe, mirrors family.Mirrors) func(uri string) string {
	return func(uri string) string {
		for _, a := range r.Archives {
			if strings.TrimSuffix(uri, "/") == mirrors[a.Name] {
				return a.Name
			}
		}
		return ""
	}
}

// readPackages indexes deb822 stanzas by the file name that apt gives to a download:
// name_version_arch.deb.
func readPackages(text []byte, archive func(string) string) (map[string]target.LockedPackage, error) {
	index := map[string]target.LockedPackage{}
	current := ""
	tr := textproto.NewReader(bufio.NewReader(bytes.NewReader(text)))
	for {
		h, err := tr.ReadMIMEHeader()
		if uri := h.Get("Ingot-Repository"); uri != "" {
			current = archive(uri)
		} else if name := h.Get("Package"); name != "" {
			p, perr := packageOf(h, current)
			if perr != nil {
				return nil, perr
			}
			index[p.Name+"\x00"+p.Version+"\x00"+p.Arch] = p
		}
		if errors.Is(err, io.EOF) {
			return index, nil
		}
		if err != nil {
			return nil, fmt.Errorf("package index: %w", err)
		}
	}
}

func packageOf(h textproto.MIMEHeader, archive string) (target.LockedPackage, error) {
	size, err := strconv.ParseInt(h.Get("Size"), 10, 64)
	if err != nil {
		return target.LockedPackage{}, fmt.Errorf("package index: %s has size %q", h.Get("Package"), h.Get("Size"))
	}
	p := target.LockedPackage{Name: h.Get("Package"), Version: h.Get("Version"), Arch: h.Get("Architecture"),
		Archive: archive, Size: size, SHA256: h.Get("Sha256"), Filename: h.Get("Filename")}
	src, ver := h.Get("Source"), p.Version
	if src == "" {
		src = p.Name
	}
	if name, in, ok := strings.Cut(src, " ("); ok { // "gcc-12 (12.2.0-14)" if the source's version differs
		src, ver = name, strings.TrimSuffix(in, ")")
	}
	p.Source = src + "=" + ver
	return p, nil
}

// pick returns the packages that apt would download. Its input has lines of 'URI'
// name_version_arch.deb size hash, with the version's colon as %3a.
func pick(uris []byte, index map[string]target.LockedPackage) (target.LockedPackages, error) {
	var out target.LockedPackages
	for _, line := range strings.Split(string(uris), "\n") {
		if !strings.HasPrefix(line, "'") {
			continue
		}
		fields := strings.Fields(line)
		if len(fields) < 3 {
			return nil, fmt.Errorf("apt printed %q, which is not a download", line)
		}
		parts := strings.SplitN(strings.TrimSuffix(path.Base(fields[1]), ".deb"), "_", 3)
		if len(parts) != 3 {
			return nil, fmt.Errorf("apt printed the file name %q, which is not a package", fields[1])
		}
		version, err := url.PathUnescape(parts[1])
		if err != nil {
			return nil, fmt.Errorf("apt printed the file name %q: %w", fields[1], err)
		}
		p, ok := index[parts[0]+"\x00"+version+"\x00"+parts[2]]
		if !ok || p.SHA256 == "" || p.Archive == "" {
			return nil, fmt.Errorf("package %s %s is not in the index that apt verified", parts[0], version)
		}
		out = append(out, p)
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Name < out[j].Name })
	return out, nil
}

func without(all, some target.LockedPackages) target.LockedPackages {
	have := map[string]bool{}
	for _, p := range some {
		have[p.Name] = true
	}
	var out target.LockedPackages
	for _, p := range all {
		if !have[p.Name] {
			out = append(out, p)
		}
	}
	return out
}

// readReleases parses lines of digest|date|codename|file.
func readReleases(text []byte, r target.Recipe) ([]target.LockedSuite, error) {
	var out []target.LockedSuite
	for _, a := range r.Archives {
		for _, s := range a.Suites {
			found := false
			for _, line := range strings.Split(string(text), "\n") {
				f := strings.Split(line, "|")
				if len(f) == 4 && f[2] == s {
					out = append(out, target.LockedSuite{Archive: a.Name, Suite: s, Date: f[1], InRelease: f[0]})
					found = true
				}
			}
			if !found {
				return nil, fmt.Errorf("suite %s of archive %s: apt stored no InRelease file", s, a.Name)
			}
		}
	}
	return out, nil
}
