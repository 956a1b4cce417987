// Package run starts an artifact, or any disk, as a machine for interactive use
// or for one command, with QEMU or as a Lima instance.
package run

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	"ingot/backend"
	"ingot/backend/api"
	"ingot/backend/cause"
	"ingot/backend/disk"
	"ingot/backend/guest"
	"ingot/backend/machine"
	"ingot/backend/proof"
	"ingot/backend/qemu"
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
type NoAnswerError struct{ Err error }

func (e *NoAnswerError) Error() string { return e.Err.Error() }

// ErrorClass sorts the error; see package cause.
func (*NoAnswerError) ErrorClass() cause.Class { return cause.Unproven }
func (e *NoAnswerError) Unwrap() error         { return e.Err }

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
	l, err := newLogin(dir)
	if err != nil {
		return err
	}
	m, err := power(ctx, b, a, l)
	if err != nil {
		return err
	}
	defer m.Kill()
	return l.serveLogin(ctx, m, o)
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
	board              qemu.Board
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

// login is the ssh access to this run's machine.
type login struct {
	dir, user string
	port      int
	key       string // the private key's file
	hosts     string // known_hosts file
	host      qemu.Login
}

// newLogin makes the keys of one run and chooses a free port.
func newLogin(dir string) (*login, error) {
	l := &login{dir: dir, user: loginName(), key: filepath.Join(dir, "key"), hosts: filepath.Join(dir, "known_hosts")}
	private, public, err := newSSHKey("ingot run")
	if err != nil {
		return nil, err
	}
	hostPrivate, hostPublic, err := newSSHKey("ingot run, host")
	if err != nil {
		return nil, err
	}
	if l.port, err = freePort(); err != nil {
		return nil, err
	}
	l.host = qemu.Login{Hostname: "ingot", User: l.user, Keys: append(userKeys(), public), HostKey: hostPrivate, HostPublic: hostPublic}
	host, _, _, _, err := ssh.ParseAuthorizedKey([]byte(hostPublic))
	if err != nil {
		return nil, fmt.Errorf("host key: %w", err)
	}
	line := knownhosts.Line([]string{knownhosts.Normalize(l.address())}, host) + "\n"
	if err := errors.Join(os.WriteFile(l.key, []byte(private), 0o600), os.WriteFile(l.hosts, []byte(line), 0o600)); err != nil {
		return nil, &backend.FileError{File: dir, Err: err}
	}
	return l, nil
}

// address is the host and port of the machine's sshd.
func (l *login) address() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(l.port)) }

// command returns the ssh command that logs in.
func (l *login) command() string {
	return fmt.Sprintf("ssh -p %d -i %s -o IdentitiesOnly=no -o UserKnownHostsFile=%s %s@127.0.0.1", l.port, shellWord(l.key), shellWord(l.hosts), l.user)
}

// plainWord matches words that need no quotes in a shell.
var plainWord = regexp.MustCompile(`^[A-Za-z0-9_./=@:-]+$`)

func shellWord(s string) string {
	if plainWord.MatchString(s) {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
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

// newSSHKey makes an ed25519 key. private is in OpenSSH's format, public is a
// line of authorized_keys.
func newSSHKey(comment string) (private, public string, err error) {
	pub, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return "", "", fmt.Errorf("ssh key: %w", err)
	}
	block, err := ssh.MarshalPrivateKey(key, comment)
	if err != nil {
		return "", "", fmt.Errorf("ssh key: %w", err)
	}
	sshPub, err := ssh.NewPublicKey(pub)
	if err != nil {
		return "", "", fmt.Errorf("ssh key: %w", err)
	}
	return string(pem.EncodeToMemory(block)), strings.TrimSpace(string(ssh.MarshalAuthorizedKey(sshPub))), nil
}

// freePort returns a port that is free now. If another program takes it before
// QEMU does, QEMU reports the error.
func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("port: %w", err)
	}
	return l.Addr().(*net.TCPAddr).Port, l.Close()
}

// power starts the machine with a seed for the login.
func power(ctx context.Context, b *backend.Backend, a startable, l *login) (*machine.Machine, error) {
	seed := filepath.Join(l.dir, "seed.iso")
	if err := qemu.WriteLoginSeed(seed, l.host); err != nil {
		return nil, err
	}
	q := machine.QEMU{Arch: a.arch, Board: a.board, Cache: b.Home.Cache, Children: b.Children(), SSHPort: l.port}
	// not cancelled with ctx, so that the guest can shut down in order
	return q.Start(context.WithoutCancel(ctx), proof.Request{Image: a.path, Format: a.format, Seed: seed, Memory: a.memory, CPUs: a.cpus, Serial: l.serial()})
}

func (l *login) serial() string { return filepath.Join(l.dir, "serial.log") }

// serveLogin waits until the machine answers, and returns when it has ended.
func (l *login) serveLogin(ctx context.Context, m *machine.Machine, o Options) error {
	began := time.Now()
	go func() { _, _ = io.Copy(io.Discard, m.Console()) }() // QEMU writes the log; the copy ends with the machine
	o.Notify("the machine is starting; its console log: " + l.serial())
	g, err := l.dial(ctx, m, o.Wait)
	if err != nil {
		return err
	}
	defer g.Close()
	if o.Ready != nil {
		o.Ready(Ready{l.command(), l.serial(), time.Since(began)})
	}
	if len(o.Command) > 0 {
		err = g.Run(ctx, guest.Cmd{Argv: o.Command, Stdin: o.Stdin, Stdout: o.Stdout, Stderr: o.Stderr})
	} else {
		select {
		case <-m.Done(): // the guest has shut down
			return nil
		case <-ctx.Done():
		}
	}
	o.Notify("the machine is shutting down")
	down, cancel := context.WithTimeoutCause(context.WithoutCancel(ctx), downLimit, errors.New("the guest did not shut down in time"))
	defer cancel()
	if derr := m.PowerDown(down); derr != nil {
		o.Notify(fmt.Sprintf("%v: the machine is powered off", derr))
	}
	return err
}

// dial tries to connect until the machine accepts the login. QEMU accepts
// connections to the port from the start, so only a finished handshake shows
// that the guest's sshd is running.
func (l *login) dial(ctx context.Context, m *machine.Machine, wait time.Duration) (*guest.SSH, error) {
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	opt := guest.SSHOptions{Name: "run", Addr: l.address(), User: l.user, KeyFile: l.key, KnownHostsFile: l.hosts}
	for {
		attempt, stop := context.WithTimeout(ctx, 20*time.Second)
		g, err := guest.DialSSH(attempt, opt)
		stop()
		if err == nil {
			return g, nil
		}
		select {
		case <-m.Done():
			return nil, &NoAnswerError{cause.With("boot.ended", fmt.Errorf("the machine ended before ssh answered: %s", strings.TrimSpace(m.Stderr()+"\n"+l.consoleEnd())))}
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.Canceled) {
				return nil, context.Cause(ctx)
			}
			return nil, &NoAnswerError{cause.With("boot.no-ssh", fmt.Errorf("ssh did not answer within %s: %w; the console's end:\n%s", wait, err, l.consoleEnd()))}
		case <-time.After(time.Second): // slirp accepts every connection, so there is no event to wait for
		}
	}
}

// consoleEnd returns the end of the console's log.
func (l *login) consoleEnd() string {
	text, err := os.ReadFile(l.serial())
	if err != nil {
		return err.Error()
	}
	lines := cause.Lines(string(text))
	return strings.Join(lines[max(0, len(lines)-5):], "\n")
}
