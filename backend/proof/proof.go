// Package proof boots an artifact and records what it did.
//
// A proof is two boots of the very file: one with a NoCloud seed, up to a login
// on the console, a command's answer, the running kernel's identity and the
// smoke checks; and one without a seed, up to the login prompt. The file is
// opened read-only under an overlay, and its digest is taken before and after.
//
// A boot is a clock of phases – firmware, loader, kernel, init, login, answer –
// each with its own deadline. It ends early when the rule pack knows a fatal
// line, when a banner comes a second time (a boot loop), or when the machine
// goes away. How a machine is started is the Booter's matter; this package
// declares what it needs of one and starts no process.
package proof

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"ingot/backend/cause"
	"ingot/backend/evidence"
	"ingot/backend/fetch"
	"ingot/backend/target"
)

// Booter starts a machine from an image. The machine's processors must not run
// before its console is connected.
type Booter interface {
	Boot(ctx context.Context, req Request) (Machine, error)
}

// Request says what to start. Seed and Tools are read-only disks, "" for none.
type Request struct {
	Image, Format string
	Seed, Tools   string
	Memory        int64 // bytes
	CPUs          int
	Serial        string // file that the machine itself keeps of its console; "" for none, as in a proof, which keeps its own
	Accel         string // "" lets the booter choose
}

// Machine is a started machine. Console may be read by one goroutine while
// another writes. Kill ends it and frees all it held; it may be called twice.
type Machine interface {
	Console() Console
	Done() <-chan struct{}
	Stderr() string
	Screendump(ctx context.Context, file string) error
	Kill()
	Record() Record
}

// Console is the machine's serial line.
type Console interface {
	Read(p []byte) (int, error)
	Write(p []byte) (int, error)
}

// Record is how the machine was started.
type Record struct {
	Argv        []string
	QEMU        string
	Firmware    string // digest
	Accelerator string
	Tried       []string
}

// LaunchError is the error of a Booter whose machine never ran.
type LaunchError struct {
	Record Record
	Stderr string
	Err    error
}

func (e *LaunchError) Error() string { return fmt.Sprintf("the machine did not start: %v", e.Err) }
func (e *LaunchError) Unwrap() error { return e.Err }

// Spec says what is to be proven of which file.
type Spec struct {
	Image, Format string
	SHA256        string // the digest that the file must have; "" takes it as it is
	Name          string // of the artifact
	Release       string // the kernel release that must run; "" takes any kernel
	BuildID       string
	Tools         string // smoke tools disk, "" for none
	Recipe        target.Proof
	Dir           string // the build's folder in the ledger; logs and screenshots go below it
	Booter        Booter
	Pack          *cause.Pack
	Notify        func(msg string) // may be nil; called from Prove's goroutine
}

// Prove boots the file and returns the record. The error is only about what
// kept the proof from being made (no disk space, cancelled); a file that does
// not boot gives a record with verdict failed.
func Prove(ctx context.Context, s Spec) (evidence.Proof, error) {
	p := evidence.Proof{Artifact: s.Name, WantRelease: s.Release, WantBuildID: s.BuildID}
	digest, err := fetch.Digest(s.Image)
	if errors.Is(err, os.ErrNotExist) {
		return p, cause.With("image.missing", fmt.Errorf("artifact %s is gone: %w", s.Image, err))
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

// boots runs the seeded and the unseeded boot and settles the verdict.
func (s Spec) boots(ctx context.Context, p *evidence.Proof) error {
	for _, seeded := range []bool{true, false} {
		b, err := s.boot(ctx, seeded, p)
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
	p.Proven = "login prompt"
	switch {
	case s.BuildID != "":
		p.Proven = "login, command answer, kernel release and build-id, smoke checks; login prompt without a seed"
	case p.KernelRelease != "":
		p.Proven = "login, command answer; login prompt without a seed"
	}
	return nil
}

// booted is a boot's record with the sentence that goes into the proof.
type booted struct {
	evidence.Boot
	message string
}

// boot runs one boot. A boot that hangs under a hardware accelerator is tried
// again under TCG, and the record says so.
func (s Spec) boot(ctx context.Context, seeded bool, p *evidence.Proof) (booted, error) {
	b, err := s.bootWith(ctx, seeded, "", p)
	if err != nil || b.Verdict == evidence.Passed || b.Accelerator == "tcg" || b.Accelerator == "" {
		return b, err
	}
	switch b.Cause {
	case "kernel.silent", "firmware.silent", "boot.hang", "qemu.crashed", "qemu.failed", "qemu.accel-unavailable":
	default:
		return b, nil
	}
	s.notify("%s under %s; trying again under TCG", b.Cause, b.Accelerator)
	again, err := s.bootWith(ctx, seeded, "tcg", p)
	again.Tried = append(again.Tried, fmt.Sprintf("%s: %s", b.Accelerator, b.Cause))
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

// bootWith runs one boot with the accelerator ("" leaves it to the booter).
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
	account := account{}
	if seeded {
		account = newAccount()
		req.Tools = s.Tools
		req.Seed = filepath.Join(work, "seed.iso")
		if err := writeSeed(req.Seed, account, s.Recipe.Smoke.Checks); err != nil {
			return b, fmt.Errorf("proof seed: %w", err)
		}
	}
	log, err := os.OpenFile(serial, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return b, fmt.Errorf("serial log: %w", err)
	}
	defer log.Close() // a second time, where nothing failed
	m, err := s.Booter.Boot(ctx, req)
	if err != nil {
		return s.launchFailed(b, serial, err)
	}
	defer m.Kill()
	run := &run{spec: s, machine: m, boot: &b, proof: p, started: time.Now(), account: account, script: newTranscript(log), serialFile: serial}
	err = run.watch(ctx, seeded)
	if err == nil {
		err = kept(log)
	}
	b.record(m.Record())
	b.keepFiles(s.Dir, serial, run.screenshot)
	return b, err
}

// kept makes sure that a finished log outlives a power cut.
func kept(log *os.File) error {
	if err := errors.Join(log.Sync(), log.Close()); err != nil {
		return fmt.Errorf("serial log: %w", err)
	}
	return nil
}

// launchFailed settles a boot whose machine never ran.
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
	b.keepFiles(s.Dir, serial, "")
	return b, nil
}

func (b *booted) record(r Record) {
	b.Argv, b.QEMU, b.Firmware, b.Accelerator, b.Tried = r.Argv, r.QEMU, r.Firmware, r.Accelerator, r.Tried
}

// keepFiles names the log and the screenshot with their digests.
func (b *booted) keepFiles(dir, serial, screenshot string) {
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
		f.SHA256, _ = fetch.Digest(file) // an unreadable log has no digest, and says so by that
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
