package guesttest

import (
	"crypto/ed25519"
	"encoding/pem"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	"ingot/backend/guest"
	"ingot/backend/home"
)

// NewKey creates a key file and returns it with its authorized_keys line.
func NewKey(t *testing.T) (file, public string) {
	t.Helper()
	pub, priv, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(priv, "")
	if err != nil {
		t.Fatal(err)
	}
	file = filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
		t.Fatal(err)
	}
	sp, err := ssh.NewPublicKey(pub)
	if err != nil {
		t.Fatal(err)
	}
	return file, string(ssh.MarshalAuthorizedKey(sp))
}

// SSHD is a real OpenSSH server on loopback.
type SSHD struct {
	Addr, Key, Known string // host:port, and files
	User             string
	PID              int
}

// Options returns the options for a login.
func (s SSHD) Options() guest.SSHOptions {
	return guest.SSHOptions{Name: "loopback", Addr: s.Addr, User: s.User, KeyFile: s.Key, KnownHostsFile: s.Known}
}

// StartSSHD starts a server that ends with the test; without an installed sshd it skips
// the test.
func StartSSHD(t *testing.T) SSHD {
	t.Helper()
	bin, err := home.LookTool("sshd")
	if err != nil {
		t.Skip("sshd is not installed: apt-get install openssh-server")
	}
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	if os.Getuid() == 0 {
		_ = os.MkdirAll("/run/sshd", 0o755) // required by a server that root starts
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	_ = l.Close()
	dir := t.TempDir()
	hostKey, hostPub := NewKey(t)
	key, pub := NewKey(t)
	write := func(name, text string) string {
		p := filepath.Join(dir, name)
		if err := os.WriteFile(p, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return p
	}
	_, port, _ := net.SplitHostPort(addr)
	auth := write("authorized_keys", pub)
	cfg := write("sshd_config", fmt.Sprintf("Port %s\nListenAddress 127.0.0.1\nHostKey %s\nAuthorizedKeysFile %s\nStrictModes no\nUsePAM no\nPasswordAuthentication no\nPermitRootLogin prohibit-password\nPidFile none\nMaxStartups 100\nMaxSessions 100\n", port, hostKey, auth))
	parsed, _, _, _, err := ssh.ParseAuthorizedKey([]byte(hostPub))
	if err != nil {
		t.Fatal(err)
	}
	known := write("known_hosts", knownhosts.Line([]string{addr}, parsed)+"\n")
	cmd := exec.Command(bin, "-D", "-e", "-f", cfg)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	for range 100 {
		if c, err := net.Dial("tcp", addr); err == nil {
			_ = c.Close()
			return SSHD{addr, key, known, me.Username, cmd.Process.Pid}
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatal("sshd does not listen")
	return SSHD{}
}
