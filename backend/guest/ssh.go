package guest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
	"golang.org/x/crypto/ssh/knownhosts"
)

// SSHOptions describe a machine and how to log in to it.
type SSHOptions struct {
	Name           string
	Kind           string // kind of the guest, the first part of its name; "" means ssh
	Addr           string // host:port
	User           string
	KeyFile        string // "" uses only the agent
	KnownHostsFile string // "" means ~/.ssh/known_hosts
	WorkDir        string // "" means /var/tmp
	// AnyHostKey accepts any host key. It is for machines that this computer runs
	// itself, on its loopback interface.
	AnyHostKey bool
}

// SSH is a machine over ssh. It needs a POSIX shell there, but neither bash nor rsync.
type SSH struct {
	opt    SSHOptions
	client *ssh.Client
	made   made
	stop   chan struct{}
	close  sync.Once
}

const (
	dialTimeout = 20 * time.Second
	keepalive   = 15 * time.Second
)

// DialSSH connects and keeps the connection alive until Close.
func DialSSH(ctx context.Context, opt SSHOptions) (*SSH, error) {
	auth, err := authMethods(opt.KeyFile)
	if err != nil {
		return nil, err
	}
	hostKey, err := hostKeyCheck(opt)
	if err != nil {
		return nil, err
	}
	conn, err := (&net.Dialer{Timeout: dialTimeout}).DialContext(ctx, "tcp", opt.Addr)
	if err != nil {
		return nil, fmt.Errorf("guest %s: %w: is it running, and is the address right?", opt.name(), err)
	}
	cfg := &ssh.ClientConfig{User: opt.User, Auth: auth, HostKeyCallback: hostKey, Timeout: dialTimeout}
	c, chans, reqs, err := handshake(ctx, conn, opt.Addr, cfg)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("guest %s: log in as %s: %w", opt.name(), opt.User, err), conn.Close())
	}
	s := &SSH{opt: opt, client: ssh.NewClient(c, chans, reqs), stop: make(chan struct{})}
	go s.keepAlive()
	return s, nil
}

// handshake is ssh.NewClientConn with a timeout: QEMU accepts connections to a
// forwarded port long before the guest listens, and sends nothing.
func handshake(ctx context.Context, conn net.Conn, addr string, cfg *ssh.ClientConfig) (ssh.Conn, <-chan ssh.NewChannel, <-chan *ssh.Request, error) {
	if err := conn.SetDeadline(time.Now().Add(dialTimeout)); err != nil {
		return nil, nil, nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	c, chans, reqs, err := ssh.NewClientConn(conn, addr, cfg)
	if !stop() && ctx.Err() != nil {
		return nil, nil, nil, context.Cause(ctx)
	}
	if err == nil {
		err = conn.SetDeadline(time.Time{})
	}
	return c, chans, reqs, err
}

// keepAlive closes a connection whose other end does not answer any more.
func (s *SSH) keepAlive() {
	t := time.NewTicker(keepalive)
	defer t.Stop()
	for {
		select {
		case <-s.stop:
			return
		case <-t.C:
			answered := make(chan error, 1)
			go func() {
				_, _, err := s.client.SendRequest("keepalive@openssh.com", true, nil)
				answered <- err
			}()
			select {
			case err := <-answered:
				if err != nil {
					return
				}
			case <-time.After(keepalive):
				_ = s.client.Close() // every waiting Run returns a LostError
				return
			}
		}
	}
}

func authMethods(keyFile string) ([]ssh.AuthMethod, error) {
	var methods []ssh.AuthMethod
	if keyFile != "" {
		pem, err := os.ReadFile(keyFile)
		if err != nil {
			return nil, fmt.Errorf("ssh key: %w", err)
		}
		signer, err := ssh.ParsePrivateKey(pem)
		if err != nil {
			return nil, fmt.Errorf("ssh key %s: %w: add a key with a passphrase to the agent (ssh-add)", keyFile, err)
		}
		methods = append(methods, ssh.PublicKeys(signer))
	}
	if sock := os.Getenv("SSH_AUTH_SOCK"); sock != "" {
		if conn, err := net.Dial("unix", sock); err == nil {
			methods = append(methods, ssh.PublicKeysCallback(agent.NewClient(conn).Signers))
		}
	}
	return methods, nil
}

// hostKeyCheck accepts only hosts of known_hosts; for an unknown one the error has the
// line to add.
func hostKeyCheck(opt SSHOptions) (ssh.HostKeyCallback, error) {
	if opt.AnyHostKey {
		return ssh.InsecureIgnoreHostKey(), nil
	}
	file := opt.KnownHostsFile
	if file == "" {
		user, err := os.UserHomeDir()
		if err != nil {
			return nil, fmt.Errorf("known_hosts: %w", err)
		}
		file = path.Join(user, ".ssh", "known_hosts")
	}
	check, err := knownhosts.New(file)
	if err != nil {
		return nil, fmt.Errorf("known_hosts: %w: connect once by hand, `ssh %s@%s`, and check the fingerprint", err, opt.User, opt.Addr)
	}
	return func(host string, addr net.Addr, key ssh.PublicKey) error {
		err := check(host, addr, key)
		var kerr *knownhosts.KeyError
		if errors.As(err, &kerr) && len(kerr.Want) == 0 {
			return fmt.Errorf("the host key of %s is not known (%s): if it is right, add this line to %s:\n%s", host, ssh.FingerprintSHA256(key), file, knownhosts.Line([]string{host}, key))
		}
		return err
	}, nil
}

// Name returns "ssh:NAME", or "KIND:NAME".
func (s *SSH) Name() string { return s.opt.name() }

func (o SSHOptions) name() string {
	if o.Kind != "" {
		return o.Kind + ":" + o.Name
	}
	return "ssh:" + o.Name
}

// Close closes the connection. Later calls do nothing.
func (s *SSH) Close() (err error) {
	s.close.Do(func() {
		close(s.stop)
		err = s.client.Close()
	})
	return err
}

// Facts reads the facts of the machine.
func (s *SSH) Facts(ctx context.Context) (Facts, error) { return readFacts(ctx, s, s.workRoot()) }

func (s *SSH) workRoot() string {
	if s.opt.WorkDir != "" {
		return s.opt.WorkDir
	}
	return "/var/tmp"
}

// Run runs the command in a new session and process group. The shell first prints the
// group's id, so that a second ssh session can kill the whole group.
func (s *SSH) Run(ctx context.Context, c Cmd) error {
	if len(c.Argv) == 0 {
		return fmt.Errorf("guest %s: an empty command", s.Name())
	}
	sess, err := s.client.NewSession()
	if err != nil {
		return &LostError{s.Name(), err}
	}
	defer sess.Close()
	stdout, stderr, report := outputs(c)
	useless, give := context.WithCancel(ctx) // a session whose output is not read never ends
	defer give()
	stdout.give, stderr.give = give, give
	group := &groupReader{w: stderr, got: make(chan int, 1)}
	sess.Stdin, sess.Stdout, sess.Stderr = c.Stdin, stdout, group
	if err := sess.Start(remoteCommand(c)); err != nil {
		return &LostError{s.Name(), err}
	}
	done := make(chan error, 1)
	go func() { done <- sess.Wait() }()
	select {
	case err = <-done:
	case <-useless.Done():
		s.endGroup(group.got)
		select {
		case <-done:
		case <-time.After(stopGrace):
		}
		if ctx.Err() == nil {
			return errors.Join(stdout.failed(), stderr.failed())
		}
		return context.Cause(ctx)
	}
	var exit *ssh.ExitError
	if errors.As(err, &exit) {
		select {
		case id := <-group.got: // processes that the command left running, as a shell does that is killed
			s.killGroup(id)
		default: // it never began
		}
		code := exit.ExitStatus()
		if exit.Signal() != "" {
			code = -1
		}
		return &ExitError{Argv: c.Argv, Code: code, Tail: report()}
	}
	if failed := errors.Join(stdout.failed(), stderr.failed()); failed != nil {
		return failed
	}
	if err != nil {
		return &LostError{s.Name(), err}
	}
	return nil
}

// groupMark begins the line on stderr with the process group's id.
const groupMark = "__INGOT_PGID_"

// remoteCommand returns the line for the remote login shell: it starts a new session,
// prints its id, and then executes the command in its place. stdin stays the command's.
func remoteCommand(c Cmd) string {
	inner := "echo " + groupMark + "$$ >&2; "
	if c.Dir != "" {
		inner += "cd " + quote(c.Dir) + " || exit 126; "
	}
	inner += "exec env"
	for _, kv := range c.Env {
		inner += " " + quote(kv)
	}
	for _, a := range c.Argv {
		inner += " " + quote(a)
	}
	// sbin: on Debian it is not in a user's PATH
	return "PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin; export PATH; exec setsid -w sh -c " + quote(inner)
}

// quote quotes a string as one word of a POSIX shell.
func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

// groupReader removes the first line of a stream and passes on the rest.
type groupReader struct {
	w    io.Writer
	head []byte
	done bool
	got  chan int
}

func (g *groupReader) Write(p []byte) (int, error) {
	if g.done {
		return g.w.Write(p)
	}
	g.head = append(g.head, p...)
	i := strings.IndexByte(string(g.head), '\n')
	if i < 0 {
		return len(p), nil
	}
	g.done = true
	rest := g.head[i+1:]
	if id, ok := strings.CutPrefix(string(g.head[:i]), groupMark); ok {
		if n, err := strconv.Atoi(id); err == nil {
			g.got <- n
		}
	} else {
		rest = g.head
	}
	if _, err := g.w.Write(rest); err != nil {
		return 0, err
	}
	return len(p), nil
}

// endGroup ends a remote process group through a second session.
func (s *SSH) endGroup(group <-chan int) {
	var id int
	select {
	case id = <-group:
	case <-time.After(stopGrace):
		return // it was not started
	}
	s.killGroup(id)
}

func (s *SSH) killGroup(id int) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*stopGrace)
	defer cancel()
	script := fmt.Sprintf("kill -TERM -%[1]d 2>/dev/null; i=0; while kill -0 -%[1]d 2>/dev/null && [ $i -lt 20 ]; do sleep 0.2; i=$((i+1)); done; kill -KILL -%[1]d 2>/dev/null; true", id)
	_ = s.Run(ctx, Cmd{Argv: []string{"sh", "-c", script}}) // through a lost connection nothing can be ended
}

// Put streams the file through cat and renames it to its name.
func (s *SSH) Put(ctx context.Context, src, dst string, mode os.FileMode) error {
	f, err := os.Open(src)
	if err != nil {
		return fmt.Errorf("put to guest %s: %w", s.Name(), err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return fmt.Errorf("put to guest %s: %w", s.Name(), err)
	}
	script := `mkdir -p "$1" && t="$2.part$$" && cat > "$t" && [ "$(wc -c < "$t")" -eq "$3" ] && chmod "$4" "$t" && mv -f "$t" "$2"`
	err = s.Run(ctx, Cmd{Argv: []string{"sh", "-c", script, "put", path.Dir(dst), dst, strconv.FormatInt(info.Size(), 10), strconv.FormatUint(uint64(mode.Perm()), 8)}, Stdin: f})
	if err != nil {
		return fmt.Errorf("put %s to guest %s: %w", dst, s.Name(), err)
	}
	return nil
}

// Get streams the file through cat.
func (s *SSH) Get(ctx context.Context, src, dst string) error {
	r, w := io.Pipe()
	done := make(chan error, 1)
	go func() {
		err := s.Run(ctx, Cmd{Argv: []string{"cat", "--", src}, Stdout: w})
		done <- err
		_ = w.CloseWithError(err) // nil gives the reader its end of file
	}()
	err := receive(ctx, r, dst, 0o644)
	_ = r.Close() // ends the writer when receiving failed
	if runErr := <-done; runErr != nil {
		return fmt.Errorf("get %s from guest %s: %w", src, s.Name(), runErr)
	}
	return err
}

// Take is Get: a file cannot be moved over a network.
func (s *SSH) Take(ctx context.Context, src, dst string) error { return s.Get(ctx, src, dst) }

// TempDir creates a directory with mktemp.
func (s *SSH) TempDir(ctx context.Context, label string) (string, error) {
	var out strings.Builder
	script := `mkdir -p "$1" && d=$(mktemp -d "$1/ingot-$2-XXXXXXXX") && chmod 755 "$d" && echo "$d"`
	if err := s.Run(ctx, Cmd{Argv: []string{"sh", "-c", script, "tempdir", s.workRoot(), label}, Stdout: &out}); err != nil {
		return "", fmt.Errorf("work directory in guest %s: %w", s.Name(), err)
	}
	dir := strings.TrimSpace(out.String())
	s.made.add(dir)
	return dir, nil
}

// Remove deletes a work directory.
func (s *SSH) Remove(ctx context.Context, dir string) error {
	if err := s.made.check(dir); err != nil {
		return err
	}
	return remove(ctx, s, dir)
}
