// Package proof boots an artifact and records the result.
//
// A proof consists of two boots of the same file. The first has a seed: it logs in on
// the console, runs a command, reads the identity of the running kernel, and runs the
// smoke checks. The second has no seed and ends at the login prompt. The file is opened
// read-only under an overlay, and its digest is computed before and after.
//
// A Dialect describes how to log in to a system, read its kernel's identity and run
// checks.
//
// A boot has phases – firmware, loader, kernel, init, login, answer – each with its own
// deadline. It ends early if the rule pack matches a fatal line, if a banner appears a
// second time (a boot loop), or if the machine exits. The Booter starts the machine;
// this package declares the interface and starts no process.
package proof

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"ingot/backend/cause"
	"ingot/backend/dialogue"
	"ingot/backend/evidence"
	"ingot/backend/fetch"
	machine "ingot/backend/guest/qemu"
	"ingot/backend/qemu"
	"ingot/backend/target"
)

// Booter starts a machine from an image. The machine's CPUs must not run before its
// console is connected.
type Booter interface {
	Boot(ctx context.Context, req Request) (Machine, error)
	// Distrust is told that a boot failed with an accelerator that the booter chose, and
	// passed under TCG: the accelerator is not chosen again for some time.
	Distrust(ctx context.Context, accelerator, cause string)
}

// Request describes the machine to start. Seed and Tools are read-only disks, "" for
// none.
type Request struct {
	Image, Format string
	Seed, Tools   string
	Memory        int64 // bytes
	CPUs          int
	Serial        string // file to which the machine writes its console; "" for none, as in a proof, which writes its own log
	Accel         string // "" lets the booter choose
}

// Machine is a started machine. One goroutine may read Console while another writes it.
// Kill ends the machine and frees its resources; it may be called twice.
type Machine interface {
	Console() Console
	Done() <-chan struct{}
	Stderr() string
	Screendump(ctx context.Context, file string) error
	Kill()
	Record() Record
}

// Console is the machine's serial console.
type Console interface {
	Read(p []byte) (int, error)
	Write(p []byte) (int, error)
}

// Record describes how the machine was started.
type Record = machine.Record

// LaunchError is a Booter's error if the machine did not start.
type LaunchError = machine.LaunchError

// Spec describes a proof: the file and what is checked.
type Spec struct {
	Image, Format string
	SHA256        string // the digest that the file must have; "" accepts any
	Name          string // of the artifact
	Release       string // the kernel release that must run; "" accepts any kernel
	BuildID       string
	Tools         string // smoke tools disk, "" for none
	Recipe        target.Proof
	Dir           string           // the build's evidence folder; logs and screenshots are written below it
	Token         string           // see Kernel; "" means Release
	Dialect       Dialect          // of the image's system; nil means Linux
	Console       *target.Console  // the recipe's description of the console; may be nil
	Identity      *target.Identity // how the recipe reads the kernel's identity; nil means the dialect's way
	Booter        Booter
	Pack          *cause.Pack
	Notify        func(msg string) // may be nil; called from Prove's goroutine

	stuckAfter time.Duration // for tests; 0 means the constant
}

// Prove boots the file and returns the record. It returns an error only if no proof
// could be made (no disk space, cancelled); a file that does not boot gives a record
// with the verdict failed.
func Prove(ctx context.Context, s Spec) (evidence.Proof, error) {
	p := evidence.Proof{Artifact: s.Name, WantRelease: s.Release, WantBuildID: s.BuildID}
	digest, err := fetch.Digest(s.Image)
	if errors.Is(err, os.ErrNotExist) {
		return p, cause.With("image.missing", fmt.Errorf("artifact %s cannot be read: %w", s.Image, err))
	}
	if err != nil {
		return p, cause.With("image.unreadable", err)
	}
	p.DigestAfter = digest
	if s.SHA256 != "" && digest != s.SHA256 {
		fail(&p, "image.digest-changed", fmt.Sprintf("%s has SHA-256 %s, the evidence is about %s", s.Name, digest, s.SHA256), s.Pack)
		return p, nil
	}
	if err := s.boots(ctx, &p); err != nil {
		return p, err
	}
	if p.DigestAfter, err = fetch.Digest(s.Image); err != nil {
		return p, cause.With("image.unreadable", err)
	}
	if p.DigestAfter != digest {
		fail(&p, "image.digest-changed", "the file's bytes changed while it was booted", s.Pack)
	}
	return p, nil
}

// boots runs the seeded and the unseeded boot and sets the verdict.
func (s Spec) boots(ctx context.Context, p *evidence.Proof) error {
	for _, seeded := range []bool{true, false} {
		b, err := s.boot(ctx, seeded, p)
		if err == nil && b.Verdict != evidence.Passed {
			err = ctx.Err() // a boot that was interrupted says nothing about the image
		}
		if err != nil {
			return err
		}
		p.Boots = append(p.Boots, b.Boot)
		if b.Verdict != evidence.Passed {
			fail(p, b.Cause, b.message, s.Pack)
			return nil
		}
	}
	p.Verdict = evidence.Passed
	p.Proven = "printed a login prompt"
	switch {
	case s.wantsKernel():
		dialect, err := s.dialect()
		if err != nil {
			return err
		}
		p.Proven = "login, an answer to a challenge, " + dialect.Identity().Proves + ", smoke checks; login prompt without a seed"
	case p.KernelRelease != "":
		p.Proven = "login, an answer to a challenge; login prompt without a seed"
	}
	return nil
}

// wantsKernel reports whether a particular kernel must run.
func (s Spec) wantsKernel() bool { return s.BuildID != "" || s.Token != "" }

// kernel returns the kernel that must run.
func (s Spec) kernel() Kernel {
	return Kernel{Release: s.Release, BuildID: s.BuildID, Token: cmp.Or(s.Token, s.Release)}
}

// booted is a boot's record with the message for the proof.
type booted struct {
	evidence.Boot
	message string
}

// boot runs one boot. If it hangs under a hardware accelerator it is repeated under
// TCG, and the record has both.
func (s Spec) boot(ctx context.Context, seeded bool, p *evidence.Proof) (booted, error) {
	b, err := s.bootWith(ctx, seeded, "", p)
	if err != nil || b.Verdict == evidence.Passed || b.Accelerator == "tcg" || b.Accelerator == "" {
		return b, err
	}
	switch b.Cause {
	case "kernel.silent", "firmware.silent", "boot.hang", "qemu.crashed", "qemu.failed", "qemu.accel-unavailable", "qemu.accel-stopped":
	default:
		return b, nil
	}
	s.notify("%s under %s; trying again under TCG", b.Cause, b.Accelerator)
	again, err := s.bootWith(ctx, seeded, "tcg", p)
	again.Tried = append(again.Tried, fmt.Sprintf("%s: %s", b.Accelerator, b.Cause))
	if err == nil && again.Verdict == evidence.Passed {
		s.Booter.Distrust(ctx, b.Accelerator, b.Cause)
	}
	return again, err
}

func (s Spec) notify(format string, args ...any) {
	if s.Notify != nil {
		s.Notify(fmt.Sprintf(format, args...))
	}
}

func fail(p *evidence.Proof, id, message string, pack *cause.Pack) {
	p.Verdict, p.Cause, p.Message = evidence.Failed, id, message
	if f, ok := pack.Describe(id); ok {
		p.Fix = f.Fix
	}
}

// bootWith runs one boot with the accelerator; "" lets the booter choose.
func (s Spec) bootWith(ctx context.Context, seeded bool, accel string, p *evidence.Proof) (booted, error) {
	name := "unseeded"
	if seeded {
		name = "seeded"
	}
	b := booted{Boot: evidence.Boot{Name: name}}
	work, err := os.MkdirTemp("", "ingot-proof-")
	if err != nil {
		return b, fmt.Errorf("proof: %w", err)
	}
	defer os.RemoveAll(work)
	req := Request{Image: s.Image, Format: s.Format, Memory: int64(s.Recipe.Memory), CPUs: s.Recipe.CPUs, Accel: accel}
	serial := filepath.Join(s.Dir, "logs", "serial-"+name+"-"+time.Now().UTC().Format("150405.000")+".log")
	if err := os.MkdirAll(filepath.Dir(serial), 0o700); err != nil {
		return b, fmt.Errorf("proof: %w", err)
	}
	dialect, err := s.dialect()
	if err != nil {
		return b, err
	}
	marks, err := s.marks()
	if err != nil {
		return b, err
	}
	account := qemu.Account{}
	if seeded {
		req.Tools = s.Tools
		req.Seed = filepath.Join(work, "seed.iso")
		if account, err = dialect.Seed(req.Seed, s.Recipe.Smoke.Checks); err != nil {
			return b, fmt.Errorf("proof seed: %w", err)
		}
	}
	log, err := os.OpenFile(serial, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return b, fmt.Errorf("serial log: %w", err)
	}
	defer log.Close() // closes it again if no error occurred, which has no effect
	m, err := s.Booter.Boot(ctx, req)
	if err != nil {
		return s.launchFailed(b, serial, err)
	}
	defer m.Kill()
	run := &run{spec: s, machine: m, boot: &b, proof: p, started: time.Now(), account: account, dialect: dialect, marks: marks, dialogue: dialogue.New(m.Console(), m.Done(), log), serialFile: serial}
	err = run.watch(ctx, seeded)
	if err == nil {
		err = syncLog(log)
	}
	b.record(m.Record())
	b.recordFiles(s.Dir, serial, run.screenshot)
	return b, err
}

// syncLog writes a finished log to stable storage, so that it survives a power failure.
func syncLog(log *os.File) error {
	if err := errors.Join(log.Sync(), log.Close()); err != nil {
		return fmt.Errorf("serial log: %w", err)
	}
	return nil
}

// launchFailed records a boot whose machine did not start.
func (s Spec) launchFailed(b booted, serial string, err error) (booted, error) {
	var launch *LaunchError
	if !errors.As(err, &launch) {
		return b, err
	}
	b.record(launch.Record)
	b.Verdict, b.Cause, b.message = evidence.Failed, "qemu.failed", "QEMU did not start: "+lastLine(launch.Stderr)
	b.Line = lastLine(launch.Stderr)
	if f, ok := s.Pack.Find(cause.Stderr, launch.Stderr); ok {
		b.Cause, b.Line, b.message = f.ID, f.Line, "QEMU did not start: "+f.Line
	}
	b.recordFiles(s.Dir, serial, "")
	return b, nil
}

func (b *booted) record(r Record) {
	b.Argv, b.QEMU, b.Firmware, b.Accelerator, b.Tried = r.Argv, r.QEMU, r.Firmware, r.Accelerator, r.Tried
}

// recordFiles records the log and the screenshot with their digests.
func (b *booted) recordFiles(dir, serial, screenshot string) {
	b.Serial = fileRecord(dir, serial)
	if screenshot != "" {
		f := fileRecord(dir, screenshot)
		if f.Size > 0 {
			b.Screenshot = &f
		}
	}
}

func fileRecord(dir, file string) evidence.File {
	rel, err := filepath.Rel(dir, file)
	if err != nil {
		rel = file
	}
	f := evidence.File{Name: filepath.ToSlash(rel)}
	if info, err := os.Stat(file); err == nil {
		f.Size = info.Size()
		f.SHA256, _ = fetch.Digest(file) // a log that cannot be read is recorded without a digest
	}
	return f
}

func lastLine(text string) string {
	lines := cause.Lines(text)
	if len(lines) == 0 {
		return ""
	}
	return lines[len(lines)-1]
}
