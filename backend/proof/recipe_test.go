package proof

import (
	"bufio"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"ingot/backend/evidence"
	"ingot/backend/target"
)

// rare is a boot of a system whose loader, kernel and init print nothing that matches
// the common marks.
const rare = "UEFI firmware (version x)\r\nRARE LOADER 1\r\nRare 7.1 (GENERIC)\r\nrc: starting\r\n"

var rareMarks = map[string][]string{"loader": {"^RARE LOADER"}, "kernel": {`^Rare \d`}, "init": {"^rc: "}, "login": {`^Rare/arm64 \(\S+\)`}}

// proved runs a proof without expecting a particular kernel.
func proved(t *testing.T, m *script, c *target.Console) evidence.Proof {
	t.Helper()
	s := spec(t, m)
	s.Console, s.stuckAfter = c, 600*time.Millisecond
	p, err := Prove(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func names(p evidence.Proof) string {
	var out []string
	for _, ph := range p.Boots[0].Phases {
		out = append(out, ph.Name)
	}
	return strings.Join(out, " ")
}

// Each key of console: changes the result of a boot, compared with the same boot
// without the key.
func TestConsoleKeys(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for deadlines")
	}
	up := upToKernel + "Linux version 6.1\r\n"
	for name, c := range map[string]struct {
		output         string
		console        target.Console
		without, with  string // the cause
		phases, detail string // with the key
	}{
		"marks":         {rare + "Rare/arm64 (box) (console)\r\n", target.Console{Marks: rareMarks}, "boot.hang", "", "firmware loader kernel init login", ""},
		"early login":   {rare[:len(rare)-len("rc: starting\r\n")] + "Rare/arm64 (box) (console)\r\n", target.Console{Marks: rareMarks}, "boot.hang", "", "firmware loader kernel login", ""},
		"panic":         {up + "RAREPANIC: trap\r\n", target.Console{Panic: []string{"^RAREPANIC"}}, "boot.hang", "kernel.panic", "firmware loader kernel", "RAREPANIC: trap"},
		"debugger":      {up + "rdb{0}> ", target.Console{Panic: []string{`^rdb\{\d\}> $`}}, "boot.hang", "kernel.panic", "firmware loader kernel", "rdb{0}>"},
		"stuck":         {up + "root device: ", target.Console{Stuck: []string{"^root device"}}, "boot.hang", "boot.hang", "firmware loader kernel", `no output follows "root device`},
		"one reboot":    {up + "systemd[1]: growing\r\n" + up + "systemd[1]: x\r\nhost login: ", target.Console{Reboots: 1}, "boot.loop", "", "firmware loader kernel init reboot firmware loader kernel init login", ""},
		"two of one":    {up + "\r\n" + up + "\r\n" + up, target.Console{Reboots: 1}, "boot.loop", "boot.loop", "", ""},
		"longer":        {up, target.Console{Deadlines: map[string]target.Duration{"init": target.Duration(3 * time.Second)}}, "boot.hang", "boot.hang", "", "within 3s"},
		"nothing of it": {up + "systemd[1]: x\r\nhost login: ", target.Console{Panic: []string{"^RAREPANIC"}, Stuck: []string{"^root device"}}, "", "", "firmware loader kernel init login", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := proved(t, &script{play: say(c.output)}, nil)
			if p.Cause != c.without {
				t.Errorf("without the key: %q (%s), want %q", p.Cause, p.Message, c.without)
			}
			p = proved(t, &script{play: say(c.output)}, &c.console)
			if p.Cause != c.with || c.phases != "" && names(p) != c.phases || !strings.Contains(p.Message, c.detail) {
				t.Errorf("with it: %q (%s), phases %s", p.Cause, p.Message, names(p))
			}
		})
	}
}

// A kernel and init that print nothing reach no mark. The login prompt is accepted
// within the time of all phases up to it. A loader that prints nothing more gets no
// more time. An init that prints nothing has the time of its own phase.
func TestQuietKernel(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for deadlines")
	}
	grub := "UEFI firmware (version x)\r\nWelcome to GRUB!\r\n"
	late := func(text string, after time.Duration, more string) func(net.Conn) {
		return func(c net.Conn) {
			say(text)(c)
			time.Sleep(after)
			_, _ = io.WriteString(c, more)
		}
	}
	for name, c := range map[string]struct {
		play          func(net.Conn)
		cause, phases string
	}{
		"prompt at once":    {say(grub + "\r\nDebian GNU/Linux 12 box ttyS0\r\n\r\nbox login: "), "", "firmware loader login"},
		"prompt later":      {late(grub+"/dev/vda2: clean, 9 files\r\n", 3*time.Second, "\r\nbox login: "), "", "firmware loader login"},
		"no mark of loader": {say("UEFI firmware (version x)\r\n\r\nbox login: "), "", "firmware login"},
		"never":             {say(grub + "/dev/vda2: clean, 9 files\r\n"), "boot.no-login", "firmware loader"},
		"only its loader":   {late(grub+"\r\n", 3*time.Second, "\r\nbox login: "), "kernel.silent", "firmware loader"},
		"silent init":       {say(grub + "Linux version 6.1.0\r\n\r\nbox login: "), "", "firmware loader kernel login"},
		"init never speaks": {say(grub + "Linux version 6.1.0\r\napp: last login: never\r\n"), "boot.hang", "firmware loader kernel"},
		"a word of login":   {say(grub + "app: last login: never\r\n"), "boot.no-login", "firmware loader"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := proved(t, &script{play: c.play}, nil)
			if p.Cause != c.cause || names(p) != c.phases {
				t.Errorf("%q (%s), phases %s; want %q, %s", p.Cause, p.Message, names(p), c.cause, c.phases)
			}
		})
	}
}

// If the machine exits after a panic of the recipe, the panic is the cause.
func TestEndAfterPanic(t *testing.T) {
	for want, c := range map[string]*target.Console{"boot.ended": nil, "kernel.panic": {Panic: []string{"^RAREPANIC"}}} {
		p := proved(t, &script{play: say(upToKernel + "Linux version 6.1\r\nRAREPANIC: trap\r\ngone\r\n"), exits: true}, c)
		if p.Cause != want {
			t.Errorf("%q (%s), want %s", p.Cause, p.Message, want)
		}
	}
}

// A stuck system is reported long before its deadline.
func TestStuckIsToldEarly(t *testing.T) {
	s := spec(t, &script{play: say(upToKernel + "Linux version 6.1\r\nmountroot> ")})
	s.Console, s.stuckAfter = &target.Console{Stuck: []string{"^mountroot>"}}, 100*time.Millisecond
	s.Recipe.Deadlines.Init = target.Duration(time.Hour)
	began := time.Now()
	p, err := Prove(t.Context(), s)
	if err != nil || p.Cause != "boot.hang" || time.Since(began) > time.Minute {
		t.Errorf("%q (%s) after %s, %v", p.Cause, p.Message, time.Since(began), err)
	}
}

// odd simulates a system with its own shell prompt and an account without a password;
// its kernel answers only one command.
func odd(command, reply string) func(net.Conn) {
	return func(c net.Conn) {
		_, _ = io.WriteString(c, upToKernel+"Linux version 6.1\r\nsystemd[1]: x\r\nhost login: ")
		in := bufio.NewScanner(c)
		for in.Scan() {
			m := sentinelCmd.FindStringSubmatch(in.Text())
			switch {
			case in.Text() == "admin":
				_, _ = io.WriteString(c, "admin\r\nodd> ")
			case m == nil:
				_, _ = io.WriteString(c, "\r\nPassword: ")
			default:
				question, out, _ := respond(m[1], reply, "one boot")
				if question != command {
					_, out, _ = respond(m[1], "what?", "one boot")
				}
				_, _ = io.WriteString(c, out+"__S_"+m[2]+"_0_E__\r\n")
			}
		}
	}
}

// The recipe's account, prompt and identity replace those of the dialect.
func TestPromptLoginAndIdentity(t *testing.T) {
	const id = "fc8ce430649d670f20ac7bb986d43a19a5247ca3"
	console := &target.Console{Prompt: `^odd> ?$`, Login: &target.Account{User: "admin"}}
	for name, c := range map[string]struct {
		reply    string
		console  *target.Console
		identity *target.Identity
		cause    string
		proves   string
	}{
		"build-id":         {id, console, &target.Identity{Run: "ask", Want: "buildId"}, "", "kernel build-id,"},
		"notes":            {"04 00 00 00 14 00 00 00 03 00 00 00 47 4e 55 00 fc 8c e4 30\r\n 64 9d 67 0f 20 ac 7b b9 86 d4 3a 19 a5 24 7c a3", console, &target.Identity{Run: "ask", Want: "buildId"}, "", "kernel build-id,"},
		"another id":       {strings.Repeat("ab", 20), console, &target.Identity{Run: "ask", Want: "buildId"}, "boot.wrong-kernel", ""},
		"no id":            {"what?", console, &target.Identity{Run: "ask", Want: "buildId"}, "boot.wrong-kernel", ""},
		"release":          {"Rare 6.1-ingot arm64", console, &target.Identity{Run: "ask", Want: "release"}, "", "kernel release,"},
		"longer release":   {"Rare 6.1-ingot-2 arm64", console, &target.Identity{Run: "ask", Want: "release"}, "boot.wrong-kernel", ""},
		"token":            {"Rare 7 (TOKEN-17.MP) #1", console, &target.Identity{Run: "ask", Want: "token"}, "", "kernel token,"},
		"another token":    {"Rare 7 (TOKEN-18.MP) #1", console, &target.Identity{Run: "ask", Want: "token"}, "boot.wrong-kernel", ""},
		"identity of none": {id, console, nil, "boot.wrong-kernel", ""}, // this system does not answer Linux's question
		"no such prompt":   {id, &target.Console{Login: &target.Account{User: "admin"}}, &target.Identity{Run: "ask", Want: "buildId"}, "boot.login-timeout", ""},
		"no such account":  {id, &target.Console{Prompt: `^odd> ?$`}, &target.Identity{Run: "ask", Want: "buildId"}, "boot.login-timeout", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := spec(t, &script{play: odd("ask", c.reply)})
			s.Release, s.BuildID, s.Token, s.Console, s.Identity = "6.1-ingot", id, "TOKEN-17", c.console, c.identity
			p, err := Prove(t.Context(), s)
			if err != nil || p.Cause != c.cause || !strings.Contains(p.Proven, c.proves) {
				t.Errorf("%q (%s), proven %q, %v", p.Cause, p.Message, p.Proven, err)
			}
		})
	}
}

// Invalid patterns give an error and no proof: recipes are checked when they are read.
func TestBadPatterns(t *testing.T) {
	for _, c := range []target.Console{{Panic: []string{"("}}, {Stuck: []string{"("}}, {Marks: map[string][]string{"init": {"("}}}, {Prompt: "("}} {
		s := spec(t, &script{play: func(net.Conn) { t.Error("it was booted") }})
		s.Console = &c
		if _, err := Prove(t.Context(), s); err == nil || !strings.Contains(err.Error(), "console.") {
			t.Errorf("%+v: %v", c, err)
		}
	}
	s := spec(t, &script{play: func(net.Conn) { t.Error("it was booted") }})
	s.Identity = &target.Identity{Run: "x", Want: "y"}
	if _, err := Prove(t.Context(), s); err == nil {
		t.Error("an unknown identity was taken")
	}
}
