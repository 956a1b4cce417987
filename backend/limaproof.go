package backend

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"ingot/backend/build"
	"ingot/backend/cause"
	"ingot/backend/evidence"
	"ingot/backend/fetch"
	"ingot/backend/guest/lima"
	"ingot/backend/guest/notes"
)

// ProveLima starts the published disk of a target by limactl; see VerifyOptions.
// The local store is up meanwhile.
func (b *Backend) ProveLima(ctx context.Context, target string, notify func(string)) (Verified, error) {
	template, err := b.template(ctx, target)
	if err != nil {
		return Verified{}, err
	}
	store, err := b.OpenStore(ctx, 0)
	if err != nil {
		b.log.Warn("local store", "err", err) // another process may serve it, or the release lies elsewhere
	} else {
		defer func() { _ = store.Close() }()
	}
	return b.Verify(ctx, VerifyOptions{Subject: strings.TrimSuffix(template, "lima.yaml"), Lima: true, Notify: notify})
}

// bootLima starts the release's disk by limactl from the release's template,
// and records what came of it.
func (v *verification) bootLima(ctx context.Context) error {
	l, err := lima.Find(ctx, lima.Store{})
	if err != nil {
		return err
	}
	folder, err := v.line().FilesFolder()
	if err != nil {
		return err
	}
	t := &limaBoot{limactl: l, template: v.base + "lima.yaml", name: "ingot-proof-" + strings.ToLower(rand.Text()[:6]), dir: folder.Dir, notify: v.opt.Notify, began: time.Now()}
	t.proof.Artifact, t.proof.DigestAfter = v.disk.name, v.out.SHA256
	if v.proof != nil {
		t.proof.WantRelease, t.proof.WantBuildID = v.proof.WantRelease, v.proof.WantBuildID
	}
	if err := t.run(ctx); err != nil {
		return err
	}
	d, err := v.keepLima(ctx, folder, t.proof)
	if err != nil {
		return err
	}
	v.out.Booted = d.ID
	if t.proof.Verdict != evidence.Passed {
		return &VerifyError{t.proof.Cause, fmt.Sprintf("%s did not start under Lima: %s", v.disk.name, t.proof.Message)}
	}
	return nil
}

// keepLima seals the proof. It stands beside those of files, not in the target's
// line: what limactl lacks is no fault of the image.
func (v *verification) keepLima(ctx context.Context, folder evidence.Build, p evidence.Proof) (evidence.Document, error) {
	if f, ok := v.pack.Describe(p.Cause); ok {
		p.Fix = f.Fix
	}
	line := v.line()
	p.Head = line.ProofHead(folder, p, build.Inputs{"step": "prove-lima/1", "artifact": v.out.SHA256}.Key())
	return line.KeepFile(ctx, folder, evidence.Subject{Name: p.Artifact, Digest: map[string]string{"sha256": v.out.SHA256}}, p.Head, p)
}

// plain leaves out Lima's guest agent, and with it mounts and port forwards,
// which are Lima's own and nothing of the image; under emulation the agent comes
// too late for Lima's deadlines.
const plain = "--plain"

// limaBoot is one start of a disk by limactl, in an instance of its own.
type limaBoot struct {
	limactl        *lima.Limactl
	template, name string
	dir            string // of the build's folder; logs go below it
	notify         func(string)
	began          time.Time
	proof          evidence.Proof
	boot           evidence.Boot
}

// run sets the proof's verdict; its error is about what kept the proof from
// being made. The instance is gone afterwards.
func (t *limaBoot) run(ctx context.Context) (err error) {
	defer func() {
		if derr := t.limactl.Delete(context.WithoutCancel(ctx), t.name, true, nil); derr != nil {
			var none *lima.NotFoundError
			if !errors.As(derr, &none) {
				err = errors.Join(err, derr)
			}
		}
	}()
	t.boot = evidence.Boot{Name: "lima", QEMU: fmt.Sprintf("limactl %d.%d", t.limactl.Major, t.limactl.Minor), Argv: []string{t.limactl.Path, "start", "--name=" + t.name, plain, t.template}}
	failed := t.start(ctx)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	var unable *lima.Error
	if errors.As(failed, &unable) && slices.Contains([]string{"lima.missing", "lima.too-old", "lima.root"}, unable.ID) {
		return failed // nothing was tried
	}
	if err := t.keepSerial(); err != nil {
		return err
	}
	t.boot.Verdict = evidence.Passed
	if failed != nil {
		t.boot.Verdict, t.boot.Cause, t.proof.Message = evidence.Failed, cmp.Or(cause.Of(failed), "lima.failed"), failed.Error()
	}
	t.proof.Verdict, t.proof.Cause, t.proof.Boots = t.boot.Verdict, t.boot.Cause, []evidence.Boot{t.boot}
	if failed == nil {
		t.proof.Proven = "limactl start --plain until ready; limactl shell answers, kernel release and build-id"
	}
	return nil
}

func (t *limaBoot) start(ctx context.Context) error {
	said := func(l lima.Line) { t.notify("limactl: " + l.Text) }
	if err := t.limactl.Create(ctx, t.name, t.template, said, plain); err != nil {
		return err
	}
	t.reached("created", "")
	if err := t.limactl.Start(ctx, t.name, said); err != nil {
		return err
	}
	t.reached("ready", "")
	var err error
	p := &t.proof
	if p.KernelRelease, p.KernelBuildID, err = kernelIn(ctx, t.limactl, t.name); err != nil {
		return err
	}
	t.reached("shell", p.KernelRelease)
	return sameKernel(t.name, p.KernelRelease, p.KernelBuildID, p.WantRelease, p.WantBuildID)
}

// kernelIn asks an instance which kernel it runs.
func kernelIn(ctx context.Context, l *lima.Limactl, name string) (release, buildID string, err error) {
	out, err := l.Shell(ctx, name, "uname", "-r")
	if err != nil {
		return "", "", err
	}
	raw, err := l.Shell(ctx, name, "cat", "/sys/kernel/notes")
	return strings.TrimSpace(string(out)), notes.BuildID(raw), err
}

// sameKernel compares the kernel that an instance runs with the one that it is to
// run; an empty wish takes any.
func sameKernel(instance, release, buildID, wantRelease, wantBuildID string) error {
	if wantRelease != "" && release != wantRelease || wantBuildID != "" && buildID != wantBuildID {
		return cause.With("boot.wrong-kernel", fmt.Errorf("instance %s runs %s (build-id %s), and is to run %s (%s)", instance, release, buildID, wantRelease, wantBuildID))
	}
	return nil
}

func (t *limaBoot) reached(phase, line string) {
	after := time.Since(t.began)
	t.boot.Phases = append(t.boot.Phases, evidence.Phase{Name: phase, Seconds: float64(after.Milliseconds()) / 1000, Line: line})
	t.notify(fmt.Sprintf("lima: %s at %.0f s", phase, after.Seconds()))
}

// keepSerial copies the console logs that Lima kept, one after the other: their
// names depend on driver and device (serial.log, serialp.log, serialv.log).
func (t *limaBoot) keepSerial() error {
	i, err := t.limactl.Store.Instance(t.name)
	if err != nil {
		return nil // it was never made
	}
	logs, _ := filepath.Glob(filepath.Join(i.Dir, "serial*.log")) // the pattern is good
	name := filepath.Join("logs", "serial-lima.log")
	path := filepath.Join(t.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return &FileError{path, err}
	}
	out, err := os.Create(path)
	if err != nil {
		return &FileError{path, err}
	}
	for _, l := range logs {
		in, err := os.Open(l)
		if err != nil {
			continue
		}
		t.boot.Serial.Size += copied(out, in)
	}
	if err := out.Close(); err != nil {
		return &FileError{path, err}
	}
	t.boot.Serial.Name = filepath.ToSlash(name)
	t.boot.Serial.SHA256, err = fetch.Digest(path)
	return err
}

// copied copies what can be read, closes the source, and counts.
func copied(to io.Writer, from io.ReadCloser) int64 {
	n, _ := io.Copy(to, from) // a log that is cut short has its digest all the same
	_ = from.Close()
	return n
}
