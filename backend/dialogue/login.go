package dialogue

import (
	"regexp"
	"time"
)

// Prompts are the patterns of a login, matched against the unfinished last line.
type Prompts struct{ Login, Password, Shell *regexp.Regexp }

// UnixPrompts match the prompts of getty, login and a POSIX shell.
var UnixPrompts = Prompts{
	Login:    regexp.MustCompile(`login: ?$`),
	Password: regexp.MustCompile(`(?i)password: ?$`),
	Shell:    regexp.MustCompile(`[$#] ?$`),
}

// Login types user and password and waits for a shell prompt. Messages may appear
// between the prompts; if a prompt is lost, Login requests a new one.
type Login struct {
	d              *Dialogue
	user, password string
	prompts        Prompts
	state          prompt
	typed          time.Time
}

// prompt is the prompt that a login waits for.
type prompt int

const (
	loginPrompt prompt = iota
	passwordPrompt
	shellPrompt
)

// NewLogin returns a login that starts at a login prompt that is already on the
// console.
func (d *Dialogue) NewLogin(user, password string, p Prompts) *Login {
	return &Login{d: d, user: user, password: password, prompts: p}
}

// Step examines the unfinished last line, types the next input, and returns true once
// the shell prompt is there. Call it after every change of the transcript, and at
// intervals without one. After a refused login it starts again: the account may be
// created some time after the prompt appears.
func (l *Login) Step() bool {
	partial, now := l.d.Partial(), time.Now()
	switch p := l.prompts; {
	case l.state == loginPrompt && (l.typed.IsZero() || p.Login.MatchString(partial) && now.Sub(l.typed) > 10*time.Second):
		l.d.Send(l.user)
		l.state, l.typed = passwordPrompt, now
	case l.state == passwordPrompt && p.Password.MatchString(partial):
		l.d.Send(l.password)
		l.state, l.typed = shellPrompt, now
	case l.state == passwordPrompt && l.password == "" && p.Shell.MatchString(partial):
		return true // an account without a password
	case l.state == passwordPrompt && now.Sub(l.typed) > 30*time.Second:
		l.d.Send("") // the prompt was lost between messages: request a new one
		l.state, l.typed = loginPrompt, now
	case l.state == shellPrompt && p.Shell.MatchString(partial):
		return true
	case l.state == shellPrompt && p.Login.MatchString(partial):
		l.state, l.typed = loginPrompt, now // refused: the account does not exist yet
	}
	return false
}
