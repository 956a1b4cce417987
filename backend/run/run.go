// Package run starts an artifact, or any disk, as a machine for interactive use
// or for one command, with QEMU or as a Lima instance.
package run

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/user"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	"ingot/backend"
	"ingot/backend/api"
	"ingot/backend/cause"
	"ingot/backend/disk"
	"ingot/backend/guest"
	"ingot/backend/guest/qemu"
	emulator "ingot/backend/qemu"
	"ingot/backend/status"
	"ingot/backend/target"
)

// Options select the disk and configure the machine.
type Options struct {
	Subject string            // a target, whose newest disk is started; or a qcow2 or raw file
	Arch    string            // of a file; "" derives it from the name
	Memory  int64             // bytes; 0 means that of the target's proof
	Wait    time.Duration     // limit for ssh to answer; 0 means ten minutes
	Command []string          // runs in the machine, which is then shut down; empty: the machine runs until ctx is done
	Ready   func(r Ready)     // called once when ssh answers; may be nil
	Notify  func(text string) // may be nil
	Stdin   io.Reader
	Stdout  io.Writer
	Stderr  io.Writer
}

// NoAnswerError reports that a started machine did not answer over ssh.
type NoAnswerError = qemu.NoAnswerError

// ExitError is the failure of a command in a guest.
type ExitError = guest.ExitError

// Ready describes a machine that answers over ssh.
type Ready struct {
	SSH    string // command that logs in
	Serial string // path of the console's log
	After  time.Duration
}

// Default limits: until ssh answers, and for an orderly shutdown.
const (
	answerLimit = 10 * time.Minute
	downLimit   = 30 * time.Second
)

// Run starts a machine from an artifact with QEMU. The file is opened
// read-only, and the machine's writes are discarded. The user's public keys,
// and one made for this run, may log in through a port of 127.0.0.1. A failed
// Command gives a *guest.ExitError.
func Run(ctx context.Context, b *backend.Backend, o Options) (err error) {
	if o.Notify == nil {
		o.Notify = func(string) {}
	}
	if o.Wait == 0 {
		o.Wait = answerLimit
	}
	a, err := findDisk(ctx, b, o)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp(b.Home.Cache, ".tmp-run-") // home.Sweep removes it if this process is killed
	if err != nil {
		return &backend.FileError{File: b.Home.Cache, Err: err}
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	began := time.Now()
	o.Notify("the machine is starting; its console log: " + filepath.Join(dir, consoleLog))
	g, err := power(ctx, b, a, dir, o.Wait)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, g.Close()) }()
	if o.Ready != nil {
		o.Ready(Ready{g.Login().Command(), filepath.Join(dir, consoleLog), time.Since(began)})
	}
	return serve(ctx, g, o)
}

// ParseSize parses a size such as 2GiB, in bytes; "" is 0.
func ParseSize(text string) (int64, error) {
	if text == "" {
		return 0, nil
	}
	n, err := target.ParseSize(text)
	return int64(n), err
}

// startable is a disk to start a machine from.
type startable struct {
	path, format, arch string
	memory             int64
	cpus               int
	board              emulator.Board
}

// findDisk returns the disk that the options select: the newest disk of a
// target, if it is unchanged since its evidence was made, or a file.
func findDisk(ctx context.Context, b *backend.Backend, o Options) (startable, error) {
	if slices.Contains(b.Targets.Names(), o.Subject) {
		return findTarget(ctx, b, o)
	}
	info, err := disk.Inspect(o.Subject)
	if err != nil {
		if errors.Is(err, os.ErrNotExist) {
			err = errors.New("it is neither a target (`ingot target list`) nor a file")
		}
		return startable{}, &backend.FileError{File: o.Subject, Err: cause.With("image.unreadable", err)}
	}
	p := b.ProofRecipe()
	a := startable{path: o.Subject, format: info.Format, arch: backend.ArchOf(o.Subject, o.Arch), memory: int64(p.Memory), cpus: p.CPUs}
	if o.Memory > 0 {
		a.memory = o.Memory
	}
	if a.path, err = filepath.Abs(a.path); err != nil {
		return startable{}, &backend.FileError{File: o.Subject, Err: err}
	}
	return a, nil
}

func findTarget(ctx context.Context, b *backend.Backend, o Options) (startable, error) {
	r, err := b.Targets.Get(o.Subject)
	if err != nil {
		return startable{}, err
	}
	docs, err := b.Ledger.Newest(ctx, o.Subject, b.Keys)
	if err != nil {
		return startable{}, err
	}
	for _, i := range status.ArtifactsOf(b, docs) {
		if !slices.Contains(disk.BootableNames(), i.Format) {
			continue
		}
		if i.Problem != "" {
			return startable{}, &backend.FileError{File: i.Path, Err: errors.New(i.Problem + ": `ingot build " + o.Subject + "` makes it again")}
		}
		if i.Boots != api.Passed {
			o.Notify("this disk has not been booted yet: `ingot build " + o.Subject + "` proves it")
		}
		a := startable{path: i.Path, format: i.Format, arch: r.Arch, memory: int64(r.Proof.Memory), cpus: r.Proof.CPUs, board: r.Board()}
		if o.Memory > 0 {
			a.memory = o.Memory
		}
		return a, b.Digests.Save()
	}
	return startable{}, &backend.NothingToDoError{Msg: fmt.Sprintf("%s has no disk yet: `ingot build %s` makes one", o.Subject, o.Subject)}
}

// linuxName matches the names that useradd accepts.
var linuxName = regexp.MustCompile(`^[a-z_][a-z0-9_-]{0,30}$`)

// loginName returns this user's name if a Linux system accepts it and the image
// has no user of that name, or else a fixed name.
func loginName() string {
	if u, err := user.Current(); err == nil && linuxName.MatchString(u.Username) && u.Uid != "0" {
		return u.Username
	}
	return "ingot"
}

// userKeys returns this user's public keys.
func userKeys() []string {
	dir, err := os.UserHomeDir()
	if err != nil {
		return nil
	}
	files, _ := filepath.Glob(filepath.Join(dir, ".ssh", "id_*.pub")) // the pattern is valid
	var out []string
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			continue // the other keys may be readable
		}
		if key, comment, _, _, err := ssh.ParseAuthorizedKey(text); err == nil {
			out = append(out, strings.TrimSpace(string(bytes.TrimSpace(ssh.MarshalAuthorizedKey(key)))+" "+strings.Join(strings.Fields(comment), " ")))
		}
	}
	return out
}

// consoleLog is the name of the console's log in a run's folder.
const consoleLog = "serial.log"

// power starts the machine with a seed for the login, and waits until it answers.
func power(ctx context.Context, b *backend.Backend, a startable, dir string, wait time.Duration) (*qemu.Guest, error) {
	login, host, err := qemu.NewLogin(dir, loginName(), userKeys()...)
	if err != nil {
		return nil, err
	}
	seed := filepath.Join(dir, "seed.iso")
	if err := emulator.WriteLoginSeed(seed, host); err != nil {
		return nil, err
	}
	return qemu.Open(ctx, "run", qemu.Options{Arch: a.arch, Board: a.board, Cache: b.Home.Cache, Children: b.Children(), CPUs: a.cpus, Memory: a.memory,
		Image: a.path, Format: a.format, Media: []string{seed}, Console: filepath.Join(dir, consoleLog)}, login, wait)
}

// serve runs the command, or waits until the machine or ctx ends, and shuts it down.
func serve(ctx context.Context, g *qemu.Guest, o Options) (err error) {
	if len(o.Command) > 0 {
		err = g.Run(ctx, guest.Cmd{Argv: o.Command, Stdin: o.Stdin, Stdout: o.Stdout, Stderr: o.Stderr})
	} else {
		select {
		case <-g.Done(): // the guest has shut down
			return nil
		case <-ctx.Done():
		}
	}
	o.Notify("the machine is shutting down")
	if herr := g.Halt(context.WithoutCancel(ctx), downLimit); herr != nil {
		o.Notify(fmt.Sprintf("%v: the machine is powered off", herr))
	}
	return err
}
