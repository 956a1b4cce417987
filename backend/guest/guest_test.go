package guest_test

import (
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"ingot/backend/guest"
	"ingot/backend/guest/all"
	"ingot/backend/guest/guesttest"
	"ingot/backend/home"
)

func TestLocal(t *testing.T) {
	guesttest.Run(t, func(t *testing.T) guest.Guest {
		return &guest.Local{WorkRoot: filepath.Join(t.TempDir(), "not", "made yet")}
	})
}

// A build command must not get the user's credentials.
func TestLocalKeepsSecretsOut(t *testing.T) {
	for _, name := range []string{"AWS_SECRET_ACCESS_KEY", "MINIO_ROOT_PASSWORD", "GITHUB_TOKEN", "MY_API_KEY"} {
		t.Setenv(name, "sesame-open")
	}
	t.Setenv("HARMLESS", "seen")
	var out strings.Builder
	if err := (&guest.Local{}).Run(context.Background(), guest.Cmd{Argv: []string{"env"}, Stdout: &out}); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(out.String(), "sesame-open") || !strings.Contains(out.String(), "HARMLESS=seen") {
		t.Errorf("environment of a build command:\n%s", out.String())
	}
}

// Variables that affect make, compilers and archivers are not part of the steps' input
// keys: a build command must not get them, unless the step sets them.
func TestLocalKeepsSteeringOut(t *testing.T) {
	for _, name := range []string{"KCFLAGS", "KAFLAGS", "MAKEFLAGS", "GNUMAKEFLAGS", "MFLAGS", "CFLAGS", "CPPFLAGS", "LDFLAGS", "HOSTCFLAGS", "KBUILD_BUILD_USER", "KBUILD_EXTRA_SYMBOLS",
		"KCONFIG_CONFIG", "CCACHE_SLOPPINESS", "LOCALVERSION", "ARCH", "CROSS_COMPILE", "LLVM", "CC", "CPATH", "TAR_OPTIONS", "XZ_OPT", "MKE2FS_CONFIG", "SOURCE_DATE_EPOCH", "INSTALL_MOD_STRIP"} {
		t.Setenv(name, "from-outside")
	}
	t.Setenv("http_proxy", "http://proxy.example.org:3128")
	t.Setenv("HTTPS_PROXY", "http://me:sesame@proxy.example.org:3128")
	t.Setenv("FTP_PROXY", "me:sesame@proxy.example.org:3128")
	t.Setenv("SEARCH", "seen") // contains the name of a variable that is left out
	var out strings.Builder
	if err := (&guest.Local{}).Run(context.Background(), guest.Cmd{Argv: []string{"env"}, Env: []string{"SOURCE_DATE_EPOCH=1", "CCACHE_DIR=/c"}, Stdout: &out}); err != nil {
		t.Fatal(err)
	}
	for _, no := range []string{"from-outside", "sesame"} {
		if strings.Contains(out.String(), no) {
			t.Errorf("%s reached a build command:\n%s", no, out.String())
		}
	}
	for _, want := range []string{"SOURCE_DATE_EPOCH=1\n", "CCACHE_DIR=/c\n", "http_proxy=http://proxy.example.org:3128\n", "SEARCH=seen\n"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%s is missing:\n%s", strings.TrimSpace(want), out.String())
		}
	}
}

func TestSSH(t *testing.T) {
	s := guesttest.StartSSHD(t)
	guesttest.Run(t, func(t *testing.T) guest.Guest {
		o := s.Options()
		o.WorkDir = filepath.Join(t.TempDir(), "not", "made yet")
		g, err := guest.DialSSH(context.Background(), o)
		if err != nil {
			t.Fatal(err)
		}
		return g
	})
}

func TestSSHRefusals(t *testing.T) {
	s := guesttest.StartSSHD(t)
	other, _ := guesttest.NewKey(t)
	cases := map[string]struct {
		change func(*guest.SSHOptions)
		want   string
	}{
		"wrong key":    {func(o *guest.SSHOptions) { o.KeyFile = other }, "log in as"},
		"unknown host": {func(o *guest.SSHOptions) { o.KnownHostsFile = empty(t) }, "SHA256:"},
		"no host file": {func(o *guest.SSHOptions) { o.KnownHostsFile = "/no/such" }, "known_hosts"},
		"refused":      {func(o *guest.SSHOptions) { o.Addr = "127.0.0.1:1" }, "is it running"},
		"no key file":  {func(o *guest.SSHOptions) { o.KeyFile = "/no/such" }, "/no/such"},
	}
	t.Setenv("SSH_AUTH_SOCK", "")
	for name, c := range cases {
		o := s.Options()
		c.change(&o)
		if _, err := guest.DialSSH(context.Background(), o); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

func TestSSHConnectionLost(t *testing.T) {
	s := guesttest.StartSSHD(t)
	g, err := guest.DialSSH(context.Background(), s.Options())
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	out := make(chanWriter, 10)
	go func() {
		done <- g.Run(context.Background(), guest.Cmd{Argv: []string{"sh", "-c", "echo up; sleep 30"}, Stdout: out})
	}()
	<-out
	// the session's own sshd process has the connection
	if err := exec.Command("pkill", "-KILL", "-P", strconv.Itoa(s.PID)).Run(); err != nil {
		t.Fatal(err)
	}
	var lost *guest.LostError
	select {
	case err := <-done:
		if !errors.As(err, &lost) {
			t.Errorf("%v, want LostError", err)
		}
	case <-time.After(time.Minute):
		t.Fatal("Run does not notice that the server is gone")
	}
}

// A server that accepts the connection and sends nothing, like QEMU before its guest
// listens, must not block a caller whose context is done.
func TestSSHSilence(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		if c, err := l.Accept(); err == nil {
			defer c.Close()
			cancel()
			_, _ = c.Read(make([]byte, 1<<10)) // the client's greeting; then the end
			_, _ = c.Read(make([]byte, 1))
		}
	}()
	key, _ := guesttest.NewKey(t)
	done := make(chan error, 1)
	go func() {
		_, err := guest.DialSSH(ctx, guest.SSHOptions{Name: "silent", Addr: l.Addr().String(), User: "x", KeyFile: key, AnyHostKey: true})
		done <- err
	}()
	select {
	case err := <-done:
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%v", err)
		}
	case <-time.After(time.Minute):
		t.Fatal("DialSSH does not return")
	}
}

func TestOpen(t *testing.T) {
	if g, err := all.Open(context.Background(), home.GuestConfig{Kind: "local"}); err != nil || g.Name() != "local" {
		t.Error(err)
	}
	if _, err := all.Open(context.Background(), home.GuestConfig{Kind: "boat"}); err == nil {
		t.Error("an unknown kind was opened")
	}
}

type chanWriter chan struct{}

func (c chanWriter) Write(p []byte) (int, error) { c <- struct{}{}; return len(p), nil }

func empty(t *testing.T) string {
	p := filepath.Join(t.TempDir(), "empty")
	if err := os.WriteFile(p, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	return p
}
