// Package image makes kernels, root file systems and disks inside a guest.
//
// Four pieces of work: Resolve renews a target's lock, BuildKernel compiles
// the locked source, BuildRootfs installs the locked packages, BuildDisk puts
// them together. Every command and file of theirs goes through guest.Guest, so
// that they run unchanged on the local Linux host, over ssh, in Lima. They get
// verified inputs as files and leave outputs in a folder of the caller's; they
// know nothing of caches, evidence or queues.
//
// External facts: Debian's snapshot of apt's patterns (apt-patterns(7)),
// mmdebstrap(1), the GPT types of the Discoverable Partitions Specification,
// systemd-boot's entries (Boot Loader Specification, type 1).
package image

import (
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"ingot/backend/cause"
	"ingot/backend/guest"
	"ingot/backend/target"
)

//go:embed scripts/*.sh
var scripts embed.FS

// Work is what every piece of work needs. One Work is used by one goroutine at
// a time; different ones may run side by side in one guest.
type Work struct {
	Guest    guest.Guest
	Recipe   target.Recipe
	Lock     target.Lock
	Input    func(target.LockedPackage) (string, error) // the verified file of a locked package, on this computer
	Cache    string                                     // folder in the guest for ccache; "" compiles everything
	Log      io.Writer                                  // everything the commands say
	Progress func(done, total int64)                    // may be nil
	Keep     bool                                       // leave the work directory for a look after a failure
}

// debArch is Debian's name for a Go architecture; the two sets agree here.
func debArch(arch string) string { return arch }

// Epoch is the time, in seconds of Unix time, stamped into outputs: the lock's newest suite date, so
// that the same lock gives the same times.
func Epoch(l target.Lock) int64 {
	newest := time.Time{}
	for _, s := range l.Suites {
		if t, err := parseReleaseDate(s.Date); err == nil && t.After(newest) {
			newest = t
		}
	}
	if newest.IsZero() {
		return 1 // 0 counts as unset for e2fsprogs
	}
	return newest.Unix()
}

// parseReleaseDate reads the Date field of an InRelease file.
func parseReleaseDate(s string) (time.Time, error) { return time.Parse(time.RFC1123, s) }

// dir is a work directory in the guest with a script in it.
type dir struct {
	w    *Work
	path string
}

// open makes a fresh work directory and puts the named scripts into it.
func (w *Work) open(ctx context.Context, label string, names ...string) (*dir, error) {
	p, err := w.Guest.TempDir(ctx, label)
	if err != nil {
		return nil, cause.With("guest.unreachable", fmt.Errorf("%s: work directory in guest %s: %w", label, w.Guest.Name(), err))
	}
	d := &dir{w, p}
	for _, n := range names {
		data, err := scripts.ReadFile("scripts/" + n)
		if err == nil {
			err = d.write(ctx, n, data, 0o755)
		}
		if err != nil {
			d.close(ctx)
			return nil, err
		}
	}
	return d, nil
}

// removeLimit bounds the removal of a work directory: a kernel's tree took more
// than a minute on a busy disk.
const removeLimit = 15 * time.Minute

// close removes the directory, also when ctx was cancelled.
func (d *dir) close(ctx context.Context) {
	if d.w.Keep {
		return
	}
	limit := removeLimit
	if ctx.Err() != nil { // somebody waits for the end; what stays is taken back by the next owner
		limit = time.Minute
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), limit)
	defer cancel()
	if err := d.w.Guest.Remove(ctx, d.path); err != nil {
		fmt.Fprintf(d.w.Log, "ingot: the work directory stays: %v\n", err)
	}
}

// write puts bytes into a file of the directory.
func (d *dir) write(ctx context.Context, name string, data []byte, mode os.FileMode) error {
	tmp, err := os.CreateTemp("", "ingot-put-")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	if _, err = tmp.Write(data); err == nil {
		err = tmp.Close()
	}
	if err != nil {
		return err
	}
	return putCause(d.w.Guest.Put(ctx, tmp.Name(), path.Join(d.path, name), mode))
}

// put copies a file of this computer into the directory.
func (d *dir) put(ctx context.Context, src, name string) error {
	return putCause(d.w.Guest.Put(ctx, src, path.Join(d.path, name), 0o644))
}

// putCause names the cause of a file that a guest did not take, where the
// guest's own commands tell it.
func putCause(err error) error {
	var exit *guest.ExitError
	if errors.As(err, &exit) {
		return cause.With(exitCause(exit), err)
	}
	return err
}

// take brings a file of the directory to this computer; it may be gone there.
func (d *dir) take(ctx context.Context, name, dst string) error {
	return d.w.Guest.Take(ctx, path.Join(d.path, name), dst)
}

// read returns a small file of the directory.
func (d *dir) read(ctx context.Context, name string) ([]byte, error) {
	var out strings.Builder
	err := d.w.Guest.Run(ctx, guest.Cmd{Argv: []string{"cat", path.Join(d.path, name)}, Stdout: &out, Stderr: d.w.Log})
	return []byte(out.String()), err
}

// run runs one of the scripts; what it says goes to the log, and to also.
func (d *dir) run(ctx context.Context, argv []string, env []string, also io.Writer) error {
	out := d.w.Log
	if also != nil {
		out = io.MultiWriter(out, also)
	}
	err := d.w.Guest.Run(ctx, guest.Cmd{Argv: append([]string{"sh"}, argv...), Dir: d.path, Env: env, Stdout: out, Stderr: d.w.Log})
	var exit *guest.ExitError
	if errors.As(err, &exit) {
		return cause.With(exitCause(exit), fmt.Errorf("%s in guest %s: %w", argv[0], d.w.Guest.Name(), err))
	}
	return err
}

// exitCause reads the cause that a script named itself, or that its tools'
// messages tell.
func exitCause(e *guest.ExitError) string {
	tail := e.Tail
	for _, known := range []struct{ sign, id string }{
		{"ingot: image.leftover", "image.leftover"},
		{"ingot: image.failed", "image.failed"},
		{"ingot: guest.no-root", "guest.no-root"},
		{"ingot: guest.no-loader", "guest.no-loader"},
		{"sudo: a password is required", "guest.no-root"},
		{"No space left on device", "guest.no-space"},
		{"not found", "guest.tool-missing"},
		{"unshare failed", "guest.no-userns"},
		{"unable to unshare", "guest.no-userns"},
		{"newuidmap", "guest.no-userns"},
		{"Operation not permitted", "guest.no-userns"},
	} {
		if strings.Contains(tail, known.sign) && (known.id != "guest.tool-missing" || e.Code == 127) {
			return known.id
		}
	}
	return "guest.command-failed"
}

// deriveUUID makes a fixed UUID (RFC 9562 version 8) of a key and a label.
func deriveUUID(key, label string) string {
	sum := sha256.Sum256([]byte("ingot-uuid\x00" + key + "\x00" + label))
	b := sum[:16]
	b[6] = b[6]&0x0f | 0x80
	b[8] = b[8]&0x3f | 0x80
	h := hex.EncodeToString(b)
	return strings.Join([]string{h[:8], h[8:12], h[12:16], h[16:20], h[20:]}, "-")
}

// putPackages puts locked packages as repo/*.deb into the work directory.
func (d *dir) putPackages(ctx context.Context, pkgs []target.LockedPackage) error {
	if err := d.w.Guest.Run(ctx, guest.Cmd{Argv: []string{"mkdir", "-p", path.Join(d.path, "repo")}, Stdout: d.w.Log, Stderr: d.w.Log}); err != nil {
		return err
	}
	for _, p := range pkgs {
		src, err := d.w.Input(p)
		if err != nil {
			return err
		}
		if err := d.put(ctx, src, "repo/"+filepath.Base(p.Filename)); err != nil {
			return fmt.Errorf("package %s: %w", p.Name, err)
		}
	}
	return nil
}

func env(pairs ...string) []string {
	out := make([]string, 0, len(pairs)/2)
	for i := 0; i+1 < len(pairs); i += 2 {
		out = append(out, pairs[i]+"="+pairs[i+1])
	}
	return out
}
