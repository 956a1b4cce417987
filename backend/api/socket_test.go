package api

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"ingot/backend/home"
)

func TestSocketPath(t *testing.T) {
	short, long := home.Home{Data: "/tmp/x"}, home.Home{Data: "/tmp/" + strings.Repeat("x", 120)}
	if p := OwnerSocket(short); p != "/tmp/x/owner.sock" {
		t.Error(p)
	}
	if p := OwnerSocket(long); len(p) > socketLimit || p == OwnerSocket(home.Home{Data: long.Data + "y"}) {
		t.Error(p)
	}
	if !allowedPeer(5, 5) || !allowedPeer(0, 5) || allowedPeer(6, 5) {
		t.Error("peers")
	}
	l, err := Listen(filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		if c, err := l.Accept(); err == nil {
			_, _ = c.Write([]byte("hello"))
			_ = c.Close()
		}
	}()
	c, err := net.Dial("unix", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if b, err := io.ReadAll(c); err != nil || string(b) != "hello" {
		t.Errorf("%q, %v", b, err)
	}
}

// listenAs names the socket on which the test binary listens as another user.
const listenAs = "INGOT_TEST_LISTEN"

func TestMain(m *testing.M) {
	if path := os.Getenv(listenAs); path != "" {
		l, err := net.Listen("unix", path)
		if err == nil {
			fmt.Println("listening")
			var c net.Conn
			if c, err = l.Accept(); err == nil {
				b, _ := io.ReadAll(c)
				fmt.Printf("read %q\n", b)
			}
		}
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// A process of another user that listens on the socket of a home is not its owner:
// nothing is sent to it.
func TestDialOtherUser(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can start a process of another user")
	}
	dir, err := os.MkdirTemp("/tmp", "ingot-peer-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	self, err := os.Executable()
	var text []byte
	if err == nil {
		text, err = os.ReadFile(self)
	}
	program := filepath.Join(dir, "listener")
	if err := errors.Join(err, os.Chmod(dir, 0o777), os.WriteFile(program, text, 0o755)); err != nil {
		t.Fatal(err)
	}
	listen := func(name string, uid uint32) (path string, out *bufio.Reader) {
		path = filepath.Join(dir, name)
		cmd := exec.Command(program)
		cmd.Env = []string{listenAs + "=" + path}
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
		pipe, err := cmd.StdoutPipe()
		if err == nil {
			err = cmd.Start()
		}
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
		out = bufio.NewReader(pipe)
		if line, err := out.ReadString('\n'); err != nil || line != "listening\n" {
			t.Fatalf("%q, %v", line, err)
		}
		return path, out
	}
	path, _ := listen("own", 0)
	c, err := Dial(t.Context(), path)
	if err != nil {
		t.Fatalf("a process of this user: %v", err)
	}
	_ = c.Close()
	path, out := listen("other", 65534)
	var other *PeerError
	if _, err := Dial(t.Context(), path); !errors.As(err, &other) || other.UID != 65534 {
		t.Errorf("a process of another user: %v", err)
	}
	if line, err := out.ReadString('\n'); err != nil || line != "read \"\"\n" {
		t.Errorf("it received %s, %v", line, err)
	}
}
