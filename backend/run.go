package backend

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

	"ingot/backend/build"
	"ingot/backend/cause"
	"ingot/backend/disk"
	"ingot/backend/guest"
	"ingot/backend/proof"
	"ingot/backend/target"
)

// RunOptions say what to start for a person, and how.
type RunOptions struct {
	Subject string            // a target, whose newest disk is taken; or a qcow2 or raw file
	Arch    string            // of a file; "" is read from its name
	Memory  int64             // bytes; 0 is that of the target's proof
	Wait    time.Duration     // for ssh; 0 is ten minutes
	Command []string          // runs in the machine, which then ends; empty: it runs until ctx ends
	Ready   func(r Ready)     // called once, when ssh answers; may be nil
	Notify  func(text string) // may be nil
	Stdin   io.Reader
	Stdout  io.Writer
	Stderr  io.Writer
}

// NoAnswerError is a machine that was started and did not come to answer.
type NoAnswerError struct{ Err error }

func (e *NoAnswerError) Error() string { return e.Err.Error() }
func (e *NoAnswerError) Unwrap() error { return e.Err }

// ExitError is the end of a command that failed in a guest.
type ExitError = guest.ExitError

// Ready is a machine that answers.
type Ready struct {
	SSH    string // the command that logs in
	Serial string // file of the console's log
	After  time.Duration
}

// Times of a machine that is started for a person: until ssh answers, and from
// the power button to the end.
const (
	answerLimit = 10 * time.Minute
	downLimit   = 30 * time.Second
)

// Run starts a machine from an artifact with QEMU: the file itself is only
// read, what the machine writes is gone with it. The user's public keys, and
// one made for this run, may log in on a port of 127.0.0.1. A Command's failure
// is a *guest.ExitError.
func (b *Backend) Run(ctx context.Context, o RunOptions) (err error) {
	if o.Notify == nil {
		o.Notify = func(string) {}
	}
	if o.Wait == 0 {
		o.Wait = answerLimit
	}
	a, err := b.startable(ctx, o)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp(b.Home.Cache, ".tmp-run-") // swept like other temporary files, if we are killed
	if err != nil {
		return &FileError{b.Home.Cache, err}
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	l, err := newLogin(dir)
	if err != nil {
		return err
	}
	m, err := b.power(ctx, a, l)
	if err != nil {
		return err
	}
	defer m.Kill()
	return l.use(ctx, m, o)
}

// ParseSize reads a size like 2GiB, in bytes; "" is 0.
func ParseSize(text string) (int64, error) {
	if text == "" {
		return 0, nil
	}
	n, err := target.ParseSize(text)
	return int64(n), err
}

// startable is a disk that can be started.
type startable struct {
	path, format, arch string
	memory             int64
	cpus               int
}

// startable finds what the options name: the newest disk of a target, whose
// bytes are still those that its evidence is about, or a file.
func (b *Backend) startable(ctx context.Context, o RunOptions) (startable, error) {
	if slices.Contains(b.targets.Names(), o.Subject) {
		return b.startableTarget(ctx, o)
	}
	info, err := disk.Inspect(o.Subject)
	if err != nil {
		if errors.Is(err, os.ErrNotExist) {
			err = errors.New("it is neither a target (`ingot target list`) nor a file")
		}
		return startable{}, &FileError{o.Subject, cause.With("image.unreadable", err)}
	}
	p := b.proofRecipe()
	a := startable{path: o.Subject, format: info.Format, arch: archOf(o.Subject, o.Arch), memory: int64(p.Memory), cpus: p.CPUs}
	if o.Memory > 0 {
		a.memory = o.Memory
	}
	if a.path, err = filepath.Abs(a.path); err != nil {
		return startable{}, &FileError{o.Subject, err}
	}
	return a, nil
}

func (b *Backend) startableTarget(ctx context.Context, o RunOptions) (startable, error) {
	r, err := b.targets.Get(o.Subject)
	if err != nil {
		return startable{}, err
	}
	docs, err := b.ledger.Newest(ctx, o.Subject, b.Keys())
	if err != nil {
		return startable{}, err
	}
	for _, i := range b.artifactsOf(docs) {
		if i.Format != "qcow2" && i.Format != "raw" {
			continue
		}
		if i.Problem != "" {
			return startable{}, &FileError{i.Path, errors.New(i.Problem + ": `ingot build " + o.Subject + "` makes it again")}
		}
		if i.Boots != Passed {
			o.Notify("nobody has seen this disk boot yet: `ingot build " + o.Subject + "` proves it")
		}
		a := startable{path: i.Path, format: i.Format, arch: r.Arch, memory: int64(r.Proof.Memory), cpus: r.Proof.CPUs}
		if o.Memory > 0 {
			a.memory = o.Memory
		}
		return a, b.digests.Save()
	}
	return startable{}, &NothingToDoError{fmt.Sprintf("%s has no disk yet: `ingot build %s` makes one", o.Subject, o.Subject)}
}

// archOf is the architecture of an image: as it was said, else by its name,
// else arm64.
func archOf(file, said string) string {
	if said != "" {
		return said
	}
	if base := filepath.Base(file); strings.Contains(base, "amd64") || strings.Contains(base, "x86_64") {
		return "amd64"
	}
	return "arm64"
}

// login is how this run's machine is reached.
type login struct {
	dir, user string
	port      int
	key       string // the private key's file
	hosts     string // known_hosts file
	host      proof.Login
}

// newLogin makes the keys of one run and takes a free port.
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
	l.host = proof.Login{Hostname: "ingot", User: l.user, Keys: append(userKeys(), public), HostKey: hostPrivate, HostPublic: hostPublic}
	host, _, _, _, err := ssh.ParseAuthorizedKey([]byte(hostPublic))
	if err != nil {
		return nil, fmt.Errorf("host key: %w", err)
	}
	line := knownhosts.Line([]string{knownhosts.Normalize(l.address())}, host) + "\n"
	if err := errors.Join(os.WriteFile(l.key, []byte(private), 0o600), os.WriteFile(l.hosts, []byte(line), 0o600)); err != nil {
		return nil, &FileError{dir, err}
	}
	return l, nil
}

func (l *login) address() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(l.port)) }

// command is what a person types in another terminal.
func (l *login) command() string {
	return fmt.Sprintf("ssh -p %d -i %s -o IdentitiesOnly=no -o UserKnownHostsFile=%s %s@127.0.0.1", l.port, shellWord(l.key), shellWord(l.hosts), l.user)
}

// plainWord needs no quotes in a shell.
var plainWord = regexp.MustCompile(`^[A-Za-z0-9_./=@:-]+$`)

func shellWord(s string) string {
	if plainWord.MatchString(s) {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// linuxName is what useradd takes.
var linuxName = regexp.MustCompile(`^[a-z_][a-z0-9_-]{0,30}$`)

// loginName is this user's name, where a Linux system takes it and it is not
// one that the image has.
func loginName() string {
	if u, err := user.Current(); err == nil && linuxName.MatchString(u.Username) && u.Uid != "0" {
		return u.Username
	}
	return "ingot"
}

// userKeys are this user's public keys.
func userKeys() []string {
	dir, err := os.UserHomeDir()
	if err != nil {
		return nil
	}
	files, _ := filepath.Glob(filepath.Join(dir, ".ssh", "id_*.pub")) // the pattern is good
	var out []string
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			continue // one of several
		}
		if key, comment, _, _, err := ssh.ParseAuthorizedKey(text); err == nil {
			out = append(out, strings.TrimSpace(string(bytes.TrimSpace(ssh.MarshalAuthorizedKey(key)))+" "+strings.Join(strings.Fields(comment), " ")))
		}
	}
	return out
}

// newSSHKey makes an ed25519 key: private in OpenSSH's format, and the line of
// its public half.
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

// freePort asks the system for a port; it is QEMU's a moment later, unless
// another program is quicker, and then QEMU says so.
func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("port: %w", err)
	}
	return l.Addr().(*net.TCPAddr).Port, l.Close()
}

// power starts the machine with a seed for the login.
func (b *Backend) power(ctx context.Context, a startable, l *login) (*build.Machine, error) {
	seed := filepath.Join(l.dir, "seed.iso")
	if err := proof.WriteLoginSeed(seed, l.host); err != nil {
		return nil, err
	}
	q := build.QEMU{Arch: a.arch, Cache: b.Home.Cache, Children: b.children(), SSHPort: l.port}
	// the machine outlives ctx, to go down in good order
	return q.Start(context.WithoutCancel(ctx), proof.Request{Image: a.path, Format: a.format, Seed: seed, Memory: a.memory, CPUs: a.cpus, Serial: l.serial()})
}

func (l *login) serial() string { return filepath.Join(l.dir, "serial.log") }

// use waits until the machine answers, and stays with it to its end.
func (l *login) use(ctx context.Context, m *build.Machine, o RunOptions) error {
	began := time.Now()
	go func() { _, _ = io.Copy(io.Discard, m.Console()) }() // QEMU keeps the log; ends with the machine
	o.Notify("the machine starts; its console: " + l.serial())
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
		case <-m.Done(): // it was shut down from inside
			return nil
		case <-ctx.Done():
		}
	}
	o.Notify("the machine goes down")
	down, cancel := context.WithTimeoutCause(context.WithoutCancel(ctx), downLimit, errors.New("the guest does not go down"))
	defer cancel()
	if derr := m.PowerDown(down); derr != nil {
		o.Notify(fmt.Sprintf("%v: it is switched off", derr))
	}
	return err
}

// dial tries until the machine lets us in. The port answers at once, being
// QEMU's; only a finished handshake is the guest.
func (l *login) dial(ctx context.Context, m *build.Machine, wait time.Duration) (*guest.SSH, error) {
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
		case <-time.After(time.Second): // slirp takes every connection: nothing tells when the guest's sshd is up
		}
	}
}

// consoleEnd is the last of what the machine said.
func (l *login) consoleEnd() string {
	text, err := os.ReadFile(l.serial())
	if err != nil {
		return err.Error()
	}
	lines := cause.Lines(string(text))
	return strings.Join(lines[max(0, len(lines)-5):], "\n")
}
