package qemu

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	"ingot/backend/guest"
	emulator "ingot/backend/qemu"
)

// Login is how commands reach a machine: over ssh, through a port of 127.0.0.1, with a
// key.
type Login struct {
	User, KeyFile string
	KnownHosts    string // known_hosts file; "" accepts any host key, for a machine whose key is not known
	Port          int
}

// NewLogin makes the keys of one machine in dir, chooses a free port, and returns the
// login with the seed's part of it. Whoever has one of keys, lines of authorized_keys,
// may log in too.
func NewLogin(dir, user string, keys ...string) (Login, emulator.Login, error) {
	l := Login{User: user, KeyFile: filepath.Join(dir, "key"), KnownHosts: filepath.Join(dir, "known_hosts")}
	private, public, err := newKey("ingot")
	if err != nil {
		return l, emulator.Login{}, err
	}
	hostPrivate, hostPublic, err := newKey("ingot, host")
	if err != nil {
		return l, emulator.Login{}, err
	}
	if l.Port, err = FreePort(); err != nil {
		return l, emulator.Login{}, err
	}
	seed := emulator.Login{Hostname: "ingot", User: user, Keys: append(keys, public), HostKey: hostPrivate, HostPublic: hostPublic}
	host, _, _, _, err := ssh.ParseAuthorizedKey([]byte(hostPublic))
	if err != nil {
		return l, seed, fmt.Errorf("host key: %w", err)
	}
	line := knownhosts.Line([]string{knownhosts.Normalize(l.Address())}, host) + "\n"
	if err := errors.Join(os.WriteFile(l.KeyFile, []byte(private), 0o600), os.WriteFile(l.KnownHosts, []byte(line), 0o600)); err != nil {
		return l, seed, fmt.Errorf("ssh key: %w", err)
	}
	return l, seed, nil
}

// Address returns the host and port of the machine's sshd.
func (l Login) Address() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(l.Port)) }

// Command returns the ssh command that logs in.
func (l Login) Command() string {
	hosts := "-o UserKnownHostsFile=" + shellWord(l.KnownHosts)
	if l.KnownHosts == "" {
		hosts = "-o UserKnownHostsFile=/dev/null -o StrictHostKeyChecking=no"
	}
	return fmt.Sprintf("ssh -p %d -i %s -o IdentitiesOnly=no %s %s@127.0.0.1", l.Port, shellWord(l.KeyFile), hosts, l.User)
}

func (l Login) options(name string) guest.SSHOptions {
	return guest.SSHOptions{Name: name, Kind: "qemu", Addr: l.Address(), User: l.User, KeyFile: l.KeyFile, KnownHostsFile: l.KnownHosts, AnyHostKey: l.KnownHosts == ""}
}

// plainWord matches words that need no quotes in a shell.
var plainWord = regexp.MustCompile(`^[A-Za-z0-9_./=@:-]+$`)

func shellWord(s string) string {
	if plainWord.MatchString(s) {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// newKey makes an ed25519 key. private is in OpenSSH's format, public is a line of
// authorized_keys.
func newKey(comment string) (private, public string, err error) {
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

// FreePort returns a port of 127.0.0.1 that is free now. If another program takes it
// before QEMU does, QEMU reports the error.
func FreePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("port: %w", err)
	}
	return l.Addr().(*net.TCPAddr).Port, l.Close()
}
