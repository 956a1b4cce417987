package proof

import (
	"context"
	"encoding/hex"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"ingot/backend/evidence"
	"ingot/backend/guest/notes"
)

var (
	passwordPrompt = regexp.MustCompile(`(?i)password: ?$`)
	loginPrompt    = regexp.MustCompile(`login: ?$`)
	shellPrompt    = regexp.MustCompile(`[$#] ?$`)
)

// answer logs in on the console, asks the kernel who it is, and runs the smoke
// checks. A foreign image (no kernel identity wanted) passes with its prompt
// alone when the seed's account does not exist in it.
func (r *run) answer(ctx context.Context) error {
	ours := r.spec.BuildID != ""
	r.linesThen = r.consumed
	if err := r.login(ctx); err != nil {
		if !ours && r.boot.Cause == "boot.login-timeout" {
			r.boot.Cause, r.boot.Line, r.boot.message = "", "", ""
			return nil
		}
		return err
	}
	r.reached = time.Now()
	r.boot.Phases = append(r.boot.Phases, evidence.Phase{Name: answerPhase, Seconds: seconds(time.Since(r.started))})
	r.spec.notify("%s boot: a command answered at %.0f s", r.boot.Name, time.Since(r.started).Seconds())
	if err := r.identity(ctx, ours); err != nil {
		return err
	}
	return r.smoke(ctx)
}

// login types user and password and waits for a command's answer. Messages of
// kernel and cloud-init may fall between; a lost prompt is asked for again.
func (r *run) login(ctx context.Context) error {
	typed := time.Time{}
	state := loginPrompt
	err := r.await(ctx, answerPhase, func() bool {
		_, partial := r.script.since(r.consumed)
		now := time.Now()
		switch {
		case state == loginPrompt && (typed.IsZero() || loginPrompt.MatchString(partial) && now.Sub(typed) > 10*time.Second):
			r.typeLine(r.account.user)
			state, typed = passwordPrompt, now
		case state == passwordPrompt && passwordPrompt.MatchString(partial):
			r.typeLine(r.account.password)
			state, typed = shellPrompt, now
		case state == passwordPrompt && now.Sub(typed) > 30*time.Second:
			r.typeLine("") // the prompt was lost between messages: get a new one
			state, typed = loginPrompt, now
		case state == shellPrompt && shellPrompt.MatchString(partial):
			return true
		case state == shellPrompt && loginPrompt.MatchString(partial):
			state, typed = loginPrompt, now // refused: the account is not there yet
		}
		return false
	})
	if err != nil {
		return err
	}
	_, _, err = r.command(ctx, "stty -echo; PS1=; export PS1", time.Minute)
	return err
}

func (r *run) typeLine(s string) {
	_, _ = r.machine.Console().Write([]byte(s + "\n")) // a dead console shows as the machine's end
}

// command runs a shell command in the guest and returns its output and exit
// status. The echoed command line does not fit the sentinel's pattern.
func (r *run) command(ctx context.Context, cmd string, limit time.Duration) (string, int, error) {
	id := strconv.FormatInt(time.Now().UnixNano()%1e9, 10)
	sentinel := regexp.MustCompile(`__S_` + id + `_(\d+)_E__`)
	mark := r.script.mark()
	r.typeLine(fmt.Sprintf(`%s; echo "__S_%s_""$?""_E__"`, cmd, id))
	ctx, cancel := context.WithTimeoutCause(ctx, limit, errLate)
	defer cancel()
	for {
		text := r.script.textSince(mark)
		if m := sentinel.FindStringSubmatchIndex(text); m != nil {
			code, err := strconv.Atoi(text[m[2]:m[3]])
			return strings.ReplaceAll(text[:m[0]], "\r", ""), code, err
		}
		select {
		case <-ctx.Done():
			if context.Cause(ctx) == errLate {
				return text, -1, r.settleBy(r.reasons(answerPhase, true), "boot.login-timeout", clip(cmd), fmt.Sprintf("%q was not answered within %s", clip(cmd), limit))
			}
			return text, -1, context.Cause(ctx)
		case <-r.machine.Done():
			return text, -1, r.ended(answerPhase)
		case <-r.script.changed:
		}
	}
}

var errLate = fmt.Errorf("the guest did not answer in time")

var hexLine = regexp.MustCompile(`N:([0-9a-f]{24,}):`)
var releaseLine = regexp.MustCompile(`R:(\S+):`)

// identity reads release and build-id from the running kernel. Console
// messages may cut into an answer; it is asked up to three times.
func (r *run) identity(ctx context.Context, ours bool) error {
	var release, buildID string
	for range 3 {
		out, _, err := r.command(ctx, `echo; echo "R:$(uname -r):"; echo "N:$(od -An -v -tx1 /sys/kernel/notes | tr -d ' \n'):"`, time.Minute)
		if err != nil {
			return err
		}
		if m := releaseLine.FindStringSubmatch(out); m != nil {
			release = m[1]
		}
		if m := hexLine.FindStringSubmatch(strings.ReplaceAll(out, "\n", "")); m != nil {
			if raw, err := hex.DecodeString(m[1]); err == nil {
				buildID = notes.BuildID(raw)
			}
		}
		if release == r.spec.Release && buildID == r.spec.BuildID || !ours && release != "" {
			break
		}
	}
	r.proof.KernelRelease, r.proof.KernelBuildID = release, buildID
	if ours && (release != r.spec.Release || buildID != r.spec.BuildID) {
		return r.settle("boot.wrong-kernel", "uname -r: "+release, fmt.Sprintf("the guest runs kernel %s with build-id %s; built was %s with %s", release, buildID, r.spec.Release, r.spec.BuildID))
	}
	return nil
}

const (
	toolsDir     = "/run/ingot-tools"
	seedDir      = "/run/ingot-seed"
	checkTimeout = 3 * time.Minute
)

// smoke runs the recipe's checks, each recorded; the first failure settles.
func (r *run) smoke(ctx context.Context) error {
	checks := r.spec.Recipe.Smoke.Checks
	if len(checks) == 0 || r.spec.Tools == "" {
		return nil
	}
	mount := fmt.Sprintf("sudo -n mkdir -p %[1]s %[2]s && sudo -n mount -o ro /dev/disk/by-label/INGOT-TOOLS %[1]s && sudo -n mount -o ro /dev/disk/by-label/cidata %[2]s", toolsDir, seedDir)
	out, code, err := r.command(ctx, mount, time.Minute)
	if err != nil {
		return err
	}
	if code != 0 {
		return r.settle("boot.smoke-failed", lastLine(out), "the tools' disk could not be mounted: "+lastLine(out))
	}
	for i, c := range checks {
		began := time.Now()
		out, code, err := r.command(ctx, checkCommand(i), checkTimeout)
		if err != nil {
			return err
		}
		ended := evidence.CheckEnded{Name: c.Name, Verdict: evidence.Passed, Seconds: seconds(time.Since(began))}
		if code != 0 {
			ended.Verdict, ended.Detail = evidence.Failed, clip(lastLine(out))
		}
		r.boot.Checks = append(r.boot.Checks, ended)
		r.spec.notify("check %s: %s", c.Name, ended.Verdict)
		if code != 0 {
			return r.settle("boot.smoke-failed", lastLine(out), fmt.Sprintf("check %s ended with %d: %s", c.Name, code, lastLine(out)))
		}
	}
	return nil
}

// checkCommand runs check i as root with the tools in reach.
func checkCommand(i int) string {
	const t = toolsDir
	return fmt.Sprintf("sudo -n env TOOLS=%s PATH=%s/usr/sbin:%s/usr/bin:%s/sbin:%s/bin:$PATH:/usr/sbin:/sbin LD_LIBRARY_PATH=$(echo %s/usr/lib/*-linux-gnu*):$(echo %s/lib/*-linux-gnu*) bash %s/%s",
		t, t, t, t, t, t, t, seedDir, checkFile(i))
}
