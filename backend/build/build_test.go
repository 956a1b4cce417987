package build

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ingot/backend/build/outputs"
	"ingot/backend/build/record"
	"ingot/backend/cause"
	"ingot/backend/event"
	"ingot/backend/evidence"
	"ingot/backend/family"
	"ingot/backend/family/all"
	"ingot/backend/guest"
	"ingot/backend/home"
	"ingot/backend/secret"
	"ingot/backend/target"
	"ingot/resources"
)

// bare is a guest without any tool, like a fresh machine; the real ones are in
// test/e2e.
type bare struct{ guest.Local }

func (b *bare) Run(ctx context.Context, c guest.Cmd) error {
	if len(c.Argv) == 3 && strings.Contains(c.Argv[2], "command -v make") {
		_, err := io.WriteString(c.Stdout, "0\n3\nbinfmt\n")
		return err
	}
	return b.Local.Run(ctx, c)
}

func line(t *testing.T, g guest.Guest) *Line {
	t.Helper()
	dir := t.TempDir()
	keys, err := secret.LoadOrCreateSigner(secret.Files{Dir: filepath.Join(dir, "keys")})
	if err != nil {
		t.Fatal(err)
	}
	user := filepath.Join(dir, "targets")
	if err := os.MkdirAll(user, 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(user, "fragment.yaml"), "apiVersion: ingot/v1\nkind: Target\nname: fragment\nextends: debian-12-arm64\nlock: debian-12-arm64\nkernel: {configs: [bad.config]}\n")
	write(t, filepath.Join(user, "kernel", "bad.config"), "CONFIG_A=y\nnonsense\n")
	set, err := target.Load(resources.FS, user, all.Check)
	if err != nil {
		t.Fatal(err)
	}
	pack, err := cause.Shipped()
	if err != nil {
		t.Fatal(err)
	}
	return &Line{Home: home.Home{Data: filepath.Join(dir, "data"), Cache: filepath.Join(dir, "cache")}, Targets: set, Ledger: evidence.Ledger{Dir: filepath.Join(dir, "builds")},
		Digests: evidence.OpenDigests(filepath.Join(dir, "digests.json")), Signer: keys, Keys: evidence.KeyOf(keys), Pack: pack, Log: slog.New(slog.DiscardHandler), Children: event.Children{Dir: filepath.Join(dir, "children")}, Version: "test",
		Guest: func(context.Context, func(string)) (guest.Guest, error) { return g, nil }}
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// documents returns a build's documents in the ledger, by kind.
func documents(t *testing.T, l *Line, name string) map[evidence.Kind]evidence.Document {
	t.Helper()
	docs, err := l.Records().Evidence(context.Background(), name)
	if err != nil {
		t.Fatal(err)
	}
	out := map[evidence.Kind]evidence.Document{}
	for _, d := range docs {
		out[d.Head.Kind] = d
	}
	return out
}

// A failure is recorded as evidence with its cause and fix, without a signature.
func TestFailuresAreRecorded(t *testing.T) {
	l := line(t, &bare{})
	_, err := l.Run(context.Background(), Options{Target: "fragment"})
	if cause.IDOf(err) != "config.symbol" || !strings.Contains(err.Error(), "bad.config:2") {
		t.Errorf("bad fragment: %v", err)
	}
	d := documents(t, l, "fragment")[evidence.KindConfig]
	if d.Trust != evidence.Unsigned || d.Head.Verdict != evidence.Failed || d.Head.Cause != "config.symbol" || d.Head.Fix == "" {
		t.Errorf("recorded: %+v", d.Head)
	}
	var tools *family.MissingToolsError
	id, err := l.Run(context.Background(), Options{Target: "debian-12-arm64"})
	if !errors.As(err, &tools) || cause.IDOf(err) != "guest.tool-missing" || len(tools.Tools) != 3 || tools.Tools[0].Name != "make" {
		t.Errorf("missing tools: %v", err)
	}
	docs := documents(t, l, "debian-12-arm64")
	if d := docs[evidence.KindConfig]; d.Trust != evidence.Signed || d.Head.Verdict != evidence.Passed {
		t.Errorf("config: %+v", d.Head)
	}
	if d := docs[evidence.KindGuest]; d.Trust != evidence.Unsigned || d.Head.Cause != "guest.tool-missing" {
		t.Errorf("guest: %+v", d.Head)
	}
	b, err := l.Ledger.Build("debian-12-arm64", id)
	if err != nil {
		t.Fatal(err)
	}
	events, err := b.Journal()
	if err != nil || len(events) < 3 || events[0].Kind != event.BuildStarted || events[0].PID != os.Getpid() {
		t.Fatalf("journal: %+v, %v", events, err)
	}
	if last := events[len(events)-1]; last.Kind != event.BuildFinished || last.Outcome != event.Failed || last.Cause != "guest.tool-missing" {
		t.Errorf("last event: %+v", last)
	}
}

func TestCancelledIsNotFailed(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	l := line(t, &guest.Local{})
	if _, err := l.Run(ctx, Options{Target: "debian-12-arm64"}); !errors.Is(err, context.Canceled) {
		t.Fatalf("%v", err)
	}
	if d := documents(t, l, "debian-12-arm64")[evidence.KindGuest]; d.Head.Verdict != evidence.Cancelled {
		t.Errorf("recorded: %+v", d.Head)
	}
}

func TestOptions(t *testing.T) {
	var bad *OptionError
	for _, o := range []Options{{Until: "lunch"}, {Force: []string{"kernel", "lunch"}}} {
		if err := o.Validate(); !errors.As(err, &bad) {
			t.Errorf("%+v: %v", o, err)
		}
	}
	if err := (Options{Until: "prove", Force: []string{"export"}}).Validate(); err != nil {
		t.Error(err)
	}
}

// What a step depends on must change its key, and nothing else may.
func TestKeys(t *testing.T) {
	l := line(t, &bare{})
	r, err := l.Targets.Get("debian-12-arm64")
	if err != nil {
		t.Fatal(err)
	}
	lock, err := l.Targets.Lock(r)
	if err != nil {
		t.Fatal(err)
	}
	frags := []family.Fragment{{File: "a", Data: []byte("CONFIG_A=y")}}
	base := keys(KeysOf(r, lock, frags))
	kernel := keys(KeysOf(r, lock, []family.Fragment{{File: "a", Data: []byte("CONFIG_A=m")}}))
	if kernel[0] == base[0] || kernel[1] != base[1] || kernel[3] == base[3] {
		t.Error("a changed fragment must change kernel and image alone")
	}
	if moved := keys(KeysOf(r, lock, []family.Fragment{{File: "b", Data: []byte("CONFIG_A=y")}})); moved != base {
		t.Error("a fragment's place must change nothing")
	}
	r2 := r
	r2.Title, r2.Kernel.Objects = "x", 1
	if keys(KeysOf(r2, lock, frags)) != base {
		t.Error("title and ETA hint must change nothing")
	}
	r2.Disk.Cmdline += " quiet"
	if k := keys(KeysOf(r2, lock, frags)); k[3] == base[3] || k[0] != base[0] {
		t.Error("the command line must change the image alone")
	}
	l2 := lock
	l2.Rootfs = append(target.LockedPackages{{Name: "new", SHA256: "z"}}, lock.Rootfs...)
	if k := keys(KeysOf(r, l2, frags)); k[1] == base[1] || k[3] == base[3] || k[0] != base[0] {
		t.Error("another package must change rootfs and image")
	}
	l3 := lock
	l3.Suites = append([]target.LockedSuite{{Date: "Fri, 01 Jan 2100 00:00:00 UTC"}}, lock.Suites...)
	if k := keys(KeysOf(r, l3, frags)); k[1] == base[1] || k[3] == base[3] || k[0] != base[0] {
		t.Error("another time must change rootfs and image")
	}
}

// A step's scripts and programs are inputs of its key: a changed script or another
// program makes the step run again.
func TestScriptsAreInputs(t *testing.T) {
	l := line(t, &bare{})
	r, err := l.Targets.Get("debian-12-arm64")
	if err != nil {
		t.Fatal(err)
	}
	k, err := KeysOf(r, target.Lock{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		in      record.Inputs
		scripts []string
	}{"kernel": {k.Kernel, []string{"kernel.sh"}}, "rootfs": {k.Rootfs, []string{"rootfs.sh"}}, "tools": {k.Tools, []string{"tools.sh"}}, "image": {k.Image, []string{"disk.sh", "contents.sh"}}} {
		before := c.in.Key()
		for _, input := range append([]string{"programs"}, prefixed("script ", c.scripts)...) {
			was, ok := c.in[input]
			if !ok {
				t.Errorf("%s: %q is no input of the step", name, input)
			}
			c.in[input] = record.Key(was)
			if c.in.Key() == before {
				t.Errorf("%s: another %q does not change the key", name, input)
			}
			c.in[input] = was
		}
	}
}

func prefixed(prefix string, names []string) []string {
	out := make([]string, len(names))
	for i, n := range names {
		out[i] = prefix + n
	}
	return out
}

// keys returns the keys of kernel, rootfs, tools and image.
func keys(k Keys, err error) [4]string {
	if err != nil {
		panic(err)
	}
	return [4]string{k.Kernel.Key(), k.Rootfs.Key(), k.Tools.Key(), k.Image.Key()}
}

// Why names the inputs that changed since the newest signed pass.
func TestWhy(t *testing.T) {
	old := record.Inputs{"step": "image/2", "kernel": strings.Repeat("a", 64), "time": "1", "lost": "x"}
	now := record.Inputs{"step": "image/2", "kernel": strings.Repeat("b", 64), "time": "2", "found": "y"}
	pass := evidence.Document{Trust: evidence.Signed, Head: evidence.Head{Kind: evidence.KindImage, Verdict: evidence.Passed, Inputs: old}}
	failed, unsigned := pass, pass
	failed.Head.Verdict, failed.Head.Inputs = evidence.Failed, now
	unsigned.Trust, unsigned.Head.Inputs = evidence.Unsigned, now
	r := withDocuments([]evidence.Document{pass, failed, unsigned})
	for _, c := range []struct {
		name string
		kind evidence.Kind
		in   record.Inputs
		want string
	}{
		{StepImage, evidence.KindImage, now, "found is new, kernel changed, lost is gone, time changed from 1 to 2"},
		{StepImage, evidence.KindImage, old, "no input changed, but an output file is missing or was changed"},
		{StepKernel, evidence.KindKernel, now, "there is no signed pass yet"},
		{StepRootfs, "", now, "no output of these inputs is in the cache"},
	} {
		if got := r.why(Step{Name: c.name, Evidence: c.kind, Inputs: c.in}); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
	r.opt.Force = []string{StepImage}
	if got := r.why(Step{Name: StepImage, Evidence: evidence.KindImage, Inputs: now}); got != "asked for by --force" {
		t.Error(got)
	}
}

// An output is loaded only if it is complete and unchanged.
func TestOutputs(t *testing.T) {
	o := outputs.Store{Dir: filepath.Join(t.TempDir(), "outputs"), Digests: evidence.OpenDigests(filepath.Join(t.TempDir(), "d.json"))}
	k := record.Key("x")
	if _, err := o.Make("kernel", k, "b1", func(dir string) (any, error) {
		write(t, filepath.Join(dir, "half"), "x")
		return nil, errors.New("no luck")
	}); err == nil {
		t.Fatal("a failed step was kept")
	}
	if left, _ := os.ReadDir(o.Dir); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
	if _, err := o.Make("kernel", k, "b1", func(dir string) (any, error) {
		write(t, filepath.Join(dir, "vmlinuz"), "good")
		return map[string]string{"release": "6.1"}, nil
	}); err != nil {
		t.Fatal(err)
	}
	out, ok := o.Load("kernel", k)
	if !ok || out.Build != "b1" || len(out.Files) != 1 {
		t.Fatalf("%+v, %v", out, ok)
	}
	if _, ok := o.Load("kernel", k[:16]+strings.Repeat("0", 48)); ok {
		t.Error("another key with the same beginning was taken")
	}
	time.Sleep(20 * time.Millisecond)
	write(t, out.File("vmlinuz"), "evil")
	if _, ok := o.Load("kernel", k); ok {
		t.Error("a changed output was taken")
	}
	if err := os.Remove(out.File("vmlinuz")); err != nil {
		t.Fatal(err)
	}
	if _, ok := o.Load("kernel", k); ok {
		t.Error("an output without its file was taken")
	}
}

func TestNeedSpace(t *testing.T) {
	l := line(t, &guest.Local{})
	r := &Session{Line: l, guest: &opened{guest: &guest.Local{}}}
	var no *home.NoSpaceError
	if err := r.needSpace(context.Background(), Step{Name: StepKernel, room: 1 << 62}); !errors.As(err, &no) || cause.IDOf(err) != "home.no-space" {
		t.Errorf("%v", err)
	}
}
