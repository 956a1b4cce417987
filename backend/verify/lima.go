package verify

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

	"ingot/backend"
	"ingot/backend/build/record"
	"ingot/backend/cause"
	"ingot/backend/evidence"
	"ingot/backend/fetch"
	"ingot/backend/guest/lima"
	"ingot/backend/status"
)

// ProveLima starts the published disk of a target by limactl; see Options.Lima. The
// local store serves meanwhile.
func ProveLima(ctx context.Context, b *backend.Backend, target string, notify func(string)) (Verified, error) {
	template, err := status.Template(ctx, b, target)
	if err != nil {
		return Verified{}, err
	}
	store, err := b.OpenStore(ctx, 0)
	if err != nil {
		b.Log.Warn("local store", "err", err) // another process may serve it, or the release is elsewhere
	} else {
		defer func() { _ = store.Close() }()
	}
	return Check(ctx, b, Options{Subject: strings.TrimSuffix(template, "lima.yaml"), Lima: true, Notify: notify})
}

// bootLima starts the release's disk by limactl from the release's template, and
// records the result.
func (v *verification) bootLima(ctx context.Context) error {
	l, err := lima.Find(ctx, lima.Store{})
	if err != nil {
		return err
	}
	folder, err := v.Line().Records().FilesFolder()
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
		return &backend.VerifyError{Cause: t.proof.Cause, Msg: fmt.Sprintf("%s did not start under Lima: %s", v.disk.name, t.proof.Message)}
	}
	return nil
}

// keepLima seals the proof. It is recorded with the proofs of files, not with those of
// the target: a fault of limactl is not a fault of the image.
func (v *verification) keepLima(ctx context.Context, folder evidence.Build, p evidence.Proof) (evidence.Document, error) {
	if f, ok := v.Pack.Describe(p.Cause); ok {
		p.Fix = f.Fix
	}
	line := v.Line()
	p.Head = line.Records().ProofHead(folder, p, record.Inputs{"step": "prove-lima/1", "artifact": v.out.SHA256}.Key())
	return line.Records().KeepFile(ctx, folder, evidence.Subject{Name: p.Artifact, Digest: map[string]string{"sha256": v.out.SHA256}}, p.Head, p)
}

// plain disables Lima's guest agent, and with it mounts and port forwards, which belong
// to Lima and not to the image. Under emulation the agent would start after Lima's
// deadlines.
const plain = "--plain"

// limaBoot is one start of a disk by limactl, in a temporary instance.
type limaBoot struct {
	limactl        *lima.Limactl
	template, name string
	dir            string // the build's folder; logs are written below it
	notify         func(string)
	began          time.Time
	proof          evidence.Proof
	boot           evidence.Boot
}

// run boots the disk and sets the proof's verdict; it returns an error only if no proof
// could be made. It deletes the instance.
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
		return failed // nothing was started
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
	onLine := func(l lima.Line) { t.notify("limactl: " + l.Text) }
	if err := t.limactl.Create(ctx, t.name, t.template, onLine, plain); err != nil {
		return err
	}
	t.reached("created", "")
	if err := t.limactl.Start(ctx, t.name, onLine); err != nil {
		return err
	}
	t.reached("ready", "")
	i, err := t.limactl.Store.Instance(t.name)
	if err != nil {
		return err
	}
	t.boot.VMType = i.VMType
	p := &t.proof
	if p.KernelRelease, p.KernelBuildID, err = lima.KernelIn(ctx, t.limactl, t.name); err != nil {
		return err
	}
	t.reached("shell", p.KernelRelease)
	return lima.SameKernel(t.name, p.KernelRelease, p.KernelBuildID, p.WantRelease, p.WantBuildID)
}

func (t *limaBoot) reached(phase, line string) {
	after := time.Since(t.began)
	t.boot.Phases = append(t.boot.Phases, evidence.Phase{Name: phase, Seconds: float64(after.Milliseconds()) / 1000, Line: line})
	t.notify(fmt.Sprintf("lima: %s at %.0f s", phase, after.Seconds()))
}

// keepSerial concatenates the console logs that Lima wrote. Their names depend on
// driver and device (serial.log, serialp.log, serialv.log).
func (t *limaBoot) keepSerial() error {
	i, err := t.limactl.Store.Instance(t.name)
	if err != nil {
		return nil // the instance was not created
	}
	logs, _ := filepath.Glob(filepath.Join(i.Dir, "serial*.log")) // the pattern is valid
	name := filepath.Join("logs", "serial-lima.log")
	path := filepath.Join(t.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return &backend.FileError{File: path, Err: err}
	}
	out, err := os.Create(path)
	if err != nil {
		return &backend.FileError{File: path, Err: err}
	}
	for _, l := range logs {
		in, err := os.Open(l)
		if err != nil {
			continue
		}
		t.boot.Serial.Size += copied(out, in)
	}
	if err := out.Close(); err != nil {
		return &backend.FileError{File: path, Err: err}
	}
	t.boot.Serial.Name = filepath.ToSlash(name)
	t.boot.Serial.SHA256, err = fetch.Digest(path)
	return err
}

// copied copies from until its end or an error, closes it, and returns the number of
// bytes.
func copied(to io.Writer, from io.ReadCloser) int64 {
	n, _ := io.Copy(to, from) // a log that is cut short gets its digest nevertheless
	_ = from.Close()
	return n
}
