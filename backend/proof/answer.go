package proof

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"ingot/backend/dialogue"
	"ingot/backend/evidence"
)

// answer logs in on the console, reads the kernel's identity, and runs the smoke
// checks. A foreign image, of which no particular kernel is expected, passes with its
// prompt alone if it has not created the seed's account.
func (r *run) answer(ctx context.Context) error {
	ours := r.spec.wantsKernel()
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

// promptLate bounds the wait for a login prompt after a separate mark of the login
// phase. The prompt may be lost between messages.
const promptLate = 10 * time.Second

// login logs in to the seed's account and turns off the shell's echo and prompt.
func (r *run) login(ctx context.Context) error {
	prompts := r.dialect.Prompts()
	if r.marks.ownLogin { // a mark may precede the prompt
		shown := func() bool {
			return prompts.Login.MatchString(r.dialogue.Partial()) || time.Since(r.reached) > promptLate
		}
		if err := r.await(ctx, answerPhase, shown); err != nil {
			return err
		}
	}
	l := r.dialogue.NewLogin(r.account.User, r.account.Password, prompts)
	if err := r.await(ctx, answerPhase, l.Step); err != nil {
		return err
	}
	_, _, err := r.command(ctx, r.dialect.Quiet(), time.Minute)
	return err
}

// command runs a shell command in the guest and returns its output and exit status.
func (r *run) command(ctx context.Context, cmd string, limit time.Duration) (string, int, error) {
	out, code, err := r.dialogue.Run(ctx, cmd, limit)
	switch {
	case errors.Is(err, dialogue.ErrLate):
		err = r.failBy(r.reasons(answerPhase, true), "boot.login-timeout", clip(cmd), fmt.Sprintf("%q was not answered within %s", clip(cmd), limit))
	case errors.Is(err, dialogue.ErrEnded):
		r.drainConsole()
		err = r.ended(answerPhase)
	}
	return out, code, err
}

// asks is how often a challenge is sent whose answer is interrupted by other output.
const asks = 3

// challenge sends new nonces, with the command for the kernel's identity, until an
// answer is correct. After three wrong answers it returns the last one.
func (r *run) challenge(ctx context.Context) (got answered, nonce string, err error) {
	for range asks {
		nonce = newNonce()
		out, _, err := r.command(ctx, challengeCommand(r.dialect.Identity().Command, nonce), time.Minute)
		if err != nil {
			return got, nonce, err
		}
		if got = readReply(out); got.fits(nonce) {
			break
		}
	}
	return got, nonce, nil
}

// identity sends the challenge, and compares the running kernel with the one that must
// run. For a foreign image that does not answer, only its prompt is recorded.
func (r *run) identity(ctx context.Context, ours bool) error {
	id, want := r.dialect.Identity(), r.spec.kernel()
	got, nonce, err := r.challenge(ctx)
	if err != nil {
		return err
	}
	if !got.fits(nonce) {
		if !ours {
			return nil
		}
		return r.fail("boot.challenge-failed", id.Asks, "the login worked but the challenge failed: the guest's SHA-256 of nonce, boot id and kernel is wrong")
	}
	r.boot.Challenge = got.evidence(nonce)
	kernel := id.Read(got.identity, want)
	r.proof.KernelRelease, r.proof.KernelBuildID = cmp.Or(kernel.Release, kernel.Token), kernel.BuildID
	if ours && id.Of(kernel) != id.Of(want) {
		return r.fail("boot.wrong-kernel", id.Asks+": "+cmp.Or(kernel.Release, kernel.BuildID, kernel.Token), fmt.Sprintf("the guest runs kernel %s instead of %s", kernel, id.Of(want)))
	}
	return nil
}

// sameBoot sends another challenge after the checks: they count only if the boot that
// answered before them is still running.
func (r *run) sameBoot(ctx context.Context) error {
	got, nonce, err := r.challenge(ctx)
	if err != nil {
		return err
	}
	if !got.fits(nonce) || got.bootID != r.boot.Challenge.BootID {
		return r.fail("boot.challenge-failed", "", fmt.Sprintf("after the checks another system answered: boot %q, before them %q", got.bootID, r.boot.Challenge.BootID))
	}
	return nil
}

const checkTimeout = 3 * time.Minute

// smoke runs the recipe's checks and records each; the first failure ends the boot.
func (r *run) smoke(ctx context.Context) error {
	checks := r.spec.Recipe.Smoke.Checks
	if len(checks) == 0 || r.spec.Tools == "" {
		return nil
	}
	commands := r.dialect.Checks(len(checks))
	out, code, err := r.command(ctx, commands.Mount, time.Minute)
	if err != nil {
		return err
	}
	if code != 0 {
		return r.fail("boot.smoke-failed", lastLine(out), "the disk of the smoke tools could not be mounted: "+lastLine(out))
	}
	for i, c := range checks {
		began := time.Now()
		out, code, err := r.command(ctx, commands.Run[i], checkTimeout)
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
			return r.fail("boot.smoke-failed", lastLine(out), fmt.Sprintf("check %s failed with exit status %d: %s", c.Name, code, lastLine(out)))
		}
	}
	if r.boot.Challenge == nil { // a foreign image
		return nil
	}
	return r.sameBoot(ctx)
}
