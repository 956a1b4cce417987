package dialogue

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// with starts a dialogue with a guest that the function play simulates.
func with(t *testing.T, play func(c net.Conn)) (*Dialogue, chan struct{}) {
	t.Helper()
	ours, guest := net.Pipe()
	ended := make(chan struct{})
	d := New(ours, ended, io.Discard)
	followed := make(chan struct{})
	go func() {
		defer close(followed)
		d.Follow()
	}()
	go play(guest)
	t.Cleanup(func() {
		_, _ = ours.Close(), guest.Close()
		<-followed
	})
	return d, ended
}

// say writes text and discards all input.
func say(text string) func(net.Conn) {
	return func(c net.Conn) {
		_, _ = io.WriteString(c, text)
		_, _ = io.Copy(io.Discard, c)
	}
}

// An installer asks one question after another, with other output between them.
func TestExpect(t *testing.T) {
	d, _ := with(t, func(c net.Conn) {
		in := bufio.NewScanner(c)
		_, _ = io.WriteString(c, "\x1b[2J\x1b[1;1HWelcome\r\nold question? no\r\n\x1b[1mHostname?\x1b[0m [none] ")
		for in.Scan() {
			if in.Text() == "box" {
				_, _ = io.WriteString(c, "box\r\nkernel: noise\r\nTimezone? ")
			}
			if in.Text() == "UTC" {
				_, _ = io.WriteString(c, "UTC\r\nDone.\r\n")
			}
		}
	})
	for _, step := range [][3]string{{`Hostname\?`, "box", "Hostname? [none]"}, {`Timezone\?`, "UTC", "Timezone?"}, {`^Done`, "", "Done."}} {
		got, err := d.Expect(t.Context(), regexp.MustCompile(step[0]), 10*time.Second)
		if err != nil || strings.TrimSpace(got) != step[2] {
			t.Fatalf("%s: %q, %v", step[0], got, err)
		}
		if step[1] != "" {
			d.Send(step[1])
		}
	}
}

// Expect finds output that arrived before the call, but only once. An Expect that fails
// consumes no output.
func TestExpectFindsWhatWasSaid(t *testing.T) {
	d, _ := with(t, say("one\r\ntwo\r\nthree\r\n"))
	expect := func(p string, limit time.Duration) error {
		_, err := d.Expect(t.Context(), regexp.MustCompile(p), limit)
		return err
	}
	if err := expect("three?$|nothing", 0); err != nil && !errors.Is(err, ErrLate) {
		t.Fatal(err)
	}
	if err := expect("four", 50*time.Millisecond); !errors.Is(err, ErrLate) {
		t.Errorf("four: %v", err)
	}
	d.matched = 0
	for _, p := range []string{"one", "three"} {
		if err := expect(p, 10*time.Second); err != nil {
			t.Errorf("%s: %v", p, err)
		}
	}
	if err := expect("two", 50*time.Millisecond); !errors.Is(err, ErrLate) {
		t.Errorf("two stands before what was matched: %v", err)
	}
}

// A wait ends when the machine exits, and when its context is cancelled.
func TestWaitsEnd(t *testing.T) {
	d, ended := with(t, say("last words\r\n"))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := d.Run(ctx, "true", time.Minute); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if _, err := d.Expect(t.Context(), regexp.MustCompile("last words"), 10*time.Second); err != nil {
		t.Error(err)
	}
	close(ended)
	if _, err := d.Expect(t.Context(), regexp.MustCompile("more"), time.Minute); !errors.Is(err, ErrEnded) {
		t.Errorf("ended: %v", err)
	}
	if _, _, err := d.Run(t.Context(), "true", time.Minute); !errors.Is(err, ErrEnded) {
		t.Errorf("ended: %v", err)
	}
}

var typed = regexp.MustCompile(`^(.*); echo "__S_(\d+)_""\$\?""_E__"`)

// shell simulates a system that refuses the first login, and answers a command with its
// own text and exit status 3.
func shell(c net.Conn) {
	_, _ = io.WriteString(c, "host login: ")
	in := bufio.NewScanner(c)
	var user string
	refused := false
	for in.Scan() {
		switch m := typed.FindStringSubmatch(in.Text()); {
		case m != nil:
			_, _ = io.WriteString(c, in.Text()+"\r\nran "+m[1]+"\r\n__S_"+m[2]+"_3_E__\r\n# ")
		case user == "":
			user = in.Text()
			_, _ = io.WriteString(c, user+"\r\nPassword: ")
		case in.Text() == "right" && user == "root" && refused:
			_, _ = io.WriteString(c, "\r\n# ")
		default:
			user, refused = "", true
			_, _ = io.WriteString(c, "\r\nLogin incorrect\r\nhost login: ")
		}
	}
}

// A refused login is tried again. Afterwards Run returns a command's output and exit
// status.
func TestLoginAndRun(t *testing.T) {
	d, _ := with(t, shell)
	if _, err := d.Expect(t.Context(), regexp.MustCompile("login:"), 10*time.Second); err != nil {
		t.Fatal(err)
	}
	l := d.NewLogin("root", "right", UnixPrompts)
	for limit := time.Now().Add(time.Minute); !l.Step(); {
		if time.Now().After(limit) {
			t.Fatalf("no login: %q", d.Text())
		}
		if l.state == loginPrompt && !l.typed.IsZero() {
			l.typed = time.Now().Add(-time.Minute) // the wait after a refusal is over
			continue
		}
		select {
		case <-d.Changed():
		case <-time.After(20 * time.Millisecond):
		}
	}
	out, code, err := d.Run(t.Context(), "uname", 10*time.Second)
	if err != nil || code != 3 || !strings.Contains(out, "ran uname\n") {
		t.Errorf("%q, %d, %v", out, code, err)
	}
}

func TestLoginPromptThatIsLost(t *testing.T) {
	d, _ := with(t, say("host login: "))
	l := d.NewLogin("root", "x", UnixPrompts)
	if l.Step(); l.state != passwordPrompt {
		t.Fatalf("state %d after the user was typed", l.state)
	}
	l.typed = time.Now().Add(-31 * time.Second)
	if l.Step(); l.state != loginPrompt {
		t.Errorf("state %d: no new prompt was asked for", l.state)
	}
}

// An account without a password is logged in after its name is typed; one with a
// password is not.
func TestLoginWithoutPassword(t *testing.T) {
	for password, want := range map[string]bool{"": true, "x": false} {
		d, _ := with(t, func(c net.Conn) {
			_, _ = io.WriteString(c, "host login: ")
			if in := bufio.NewScanner(c); in.Scan() {
				_, _ = io.WriteString(c, "root\r\nWelcome\r\n# ")
			}
		})
		if _, err := d.Expect(t.Context(), regexp.MustCompile("login:"), 10*time.Second); err != nil {
			t.Fatal(err)
		}
		l := d.NewLogin("root", password, UnixPrompts)
		l.Step()
		if _, err := d.Expect(t.Context(), regexp.MustCompile("^# "), 10*time.Second); err != nil {
			t.Fatal(err)
		}
		if got := l.Step(); got != want {
			t.Errorf("password %q: in is %v", password, got)
		}
	}
}

// full accepts a limited number of bytes.
type full struct{ room int }

func (f *full) Write(p []byte) (int, error) {
	n := min(len(p), f.room)
	f.room -= n
	if n < len(p) {
		return n, syscall.ENOSPC
	}
	return n, nil
}

// Failed returns the error of a log that could not be written; the transcript is
// complete nevertheless.
func TestTranscript(t *testing.T) {
	tr := NewTranscript(&full{room: 10})
	tr.Follow(strings.NewReader("\x1b[0mfirst line\r\nsecond\r\n\r\nlogin: "))
	if err := tr.Failed(); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("the log: %v", err)
	}
	lines, partial := tr.Since(1)
	if len(lines) != 1 || lines[0] != "second" || strings.TrimSpace(partial) != "login:" || tr.Partial() != partial {
		t.Errorf("%q, %q", lines, partial)
	}
	mark := tr.Mark()
	tr.Follow(strings.NewReader("root"))
	if got := tr.TextSince(mark); got != "root" || !strings.HasSuffix(tr.Text(), "login: root") {
		t.Errorf("%q", got)
	}
	if whole := NewTranscript(io.Discard); whole.Failed() != nil {
		t.Error("a log that takes all has failed")
	}
}
