package family

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"regexp"
	"strings"
	"time"

	"ingot/backend/cause"
	"ingot/backend/guest"
	"ingot/backend/target"
)

// Work holds the parameters of a family's work in a guest. A Work is used by one
// goroutine at a time; several may run concurrently in one guest.
type Work struct {
	Guest    guest.Guest
	Recipe   target.Recipe
	Lock     target.Lock
	Input    func(target.LockedPackage) (string, error) // returns the verified file of a locked package, on this computer
	Cache    string                                     // folder in the guest for ccache; "" compiles everything
	Log      io.Writer                                  // gets all output of the commands
	Progress func(done, total int64)                    // may be nil
	Keep     bool                                       // leave the work directory in the guest for inspection after a failure
}

// Dir is a work directory in the guest. The caller of Open closes it.
type Dir struct {
	Work *Work
	Path string
}

// Open creates a new work directory and copies the named files of the folder scripts to
// it.
func (w *Work) Open(ctx context.Context, label string, scripts fs.ReadFileFS, names ...string) (*Dir, error) {
	p, err := w.Guest.TempDir(ctx, label)
	if err != nil {
		return nil, cause.With("guest.unreachable", fmt.Errorf("%s: work directory in guest %s: %w", label, w.Guest.Name(), err))
	}
	d := &Dir{w, p}
	for _, n := range names {
		data, err := scripts.ReadFile("scripts/" + n)
		if err == nil {
			err = d.Write(ctx, n, data, 0o755)
		}
		if err != nil {
			d.Close(ctx)
			return nil, err
		}
	}
	return d, nil
}

// removeLimit bounds the removal of a work directory: the removal of a kernel's tree
// has taken more than a minute on a busy disk.
const removeLimit = 15 * time.Minute

// cancelLimit is removeLimit after a cancellation. A minute was too short: two builds side
// by side on a slow computer with two processors left a kernel's tree behind.
const cancelLimit = 5 * time.Minute

// Close removes the directory, even if ctx was cancelled.
func (d *Dir) Close(ctx context.Context) {
	if d.Work.Keep {
		return
	}
	limit := removeLimit
	if ctx.Err() != nil { // the user waits for the cancellation; the next build in the guest removes what is left
		limit = cancelLimit
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), limit)
	defer cancel()
	if err := d.Work.Guest.Remove(ctx, d.Path); err != nil {
		fmt.Fprintf(d.Work.Log, "ingot: the work directory was not removed: %v\n", err)
	}
}

// Write writes bytes to a file of the directory.
func (d *Dir) Write(ctx context.Context, name string, data []byte, mode os.FileMode) error {
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
	return putCause(d.Work.Guest.Put(ctx, tmp.Name(), path.Join(d.Path, name), mode))
}

// Put copies a file of this computer to the directory.
func (d *Dir) Put(ctx context.Context, src, name string) error {
	return putCause(d.Work.Guest.Put(ctx, src, path.Join(d.Path, name), 0o644))
}

// putCause returns the cause of a failed copy to the guest, if the guest's commands
// indicate one.
func putCause(err error) error {
	var exit *guest.ExitError
	if errors.As(err, &exit) {
		return cause.With(ExitCause(exit), err)
	}
	return err
}

// Take moves a file of the directory to this computer; it may be removed there.
func (d *Dir) Take(ctx context.Context, name, dst string) error {
	return d.Work.Guest.Take(ctx, path.Join(d.Path, name), dst)
}

// Read returns the content of a small file of the directory.
func (d *Dir) Read(ctx context.Context, name string) ([]byte, error) {
	var out strings.Builder
	err := d.Work.Guest.Run(ctx, guest.Cmd{Argv: []string{"cat", path.Join(d.Path, name)}, Stdout: &out, Stderr: d.Work.Log})
	return []byte(out.String()), err
}

// Run runs one of the scripts; its output goes to the log and to also.
func (d *Dir) Run(ctx context.Context, argv []string, env []string, also io.Writer) error {
	out := d.Work.Log
	if also != nil {
		out = io.MultiWriter(out, also)
	}
	err := d.Work.Guest.Run(ctx, guest.Cmd{Argv: append([]string{"sh"}, argv...), Dir: d.Path, Env: env, Stdout: out, Stderr: d.Work.Log})
	var exit *guest.ExitError
	if errors.As(err, &exit) {
		return cause.With(ExitCause(exit), fmt.Errorf("%s in guest %s: %w", argv[0], d.Work.Guest.Name(), err))
	}
	return err
}

// ExitCause returns the cause that a script printed, or that its tools' messages
// indicate.
func ExitCause(e *guest.ExitError) string {
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

// Env returns an environment of names and values.
func Env(pairs ...string) []string {
	out := make([]string, 0, len(pairs)/2)
	for i := 0; i+1 < len(pairs); i += 2 {
		out = append(out, pairs[i]+"="+pairs[i+1])
	}
	return out
}

// LineCounter is an io.Writer that counts the matching lines of a command's output, as
// progress.
type LineCounter struct {
	Match       *regexp.Regexp
	Done, Total int64                   // Total is an estimate; the reported total grows with Done
	Progress    func(done, total int64) // may be nil
	partial     []byte
}

func (c *LineCounter) Write(p []byte) (int, error) {
	rest := p
	for {
		i := bytes.IndexByte(rest, '\n')
		if i < 0 {
			break
		}
		c.line(append(c.partial, rest[:i]...))
		c.partial, rest = c.partial[:0], rest[i+1:]
	}
	if len(c.partial) < 4096 { // longer lines never match
		c.partial = append(c.partial, rest...)
	}
	return len(p), nil
}

func (c *LineCounter) line(l []byte) {
	if !c.Match.Match(l) {
		return
	}
	c.Done++
	if c.Progress != nil {
		c.Progress(c.Done, max(c.Total, c.Done))
	}
}
