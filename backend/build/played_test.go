package build

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"ingot/backend/build/outputs"
	"ingot/backend/cause"
	"ingot/backend/event"
	"ingot/backend/evidence"
	"ingot/backend/family/all"
	"ingot/backend/guest"
	"ingot/backend/home"
	"ingot/backend/publish"
	"ingot/backend/publish/s3"
	"ingot/backend/target"
	"ingot/resources"
)

// played is a guest whose scripts write small files at once. It replaces an hour of
// compiling in tests of what the line does with the files. Real kernels and disks are
// made in test/e2e.
type played struct {
	guest.Local
	mu   sync.Mutex
	ran  []string          // scripts, in order
	fail string            // the script that fails
	hang string            // the script that runs until it is cancelled
	say  map[string]string // content of a script's output that differs from the default
}

const playedConfig = "CONFIG_PLAYED=y\n"

// playedDisk is the start of a disk that passes the leak scan: a FAT without files.
var playedDisk = strings.Repeat("\x00", 82) + "FAT32   "

// playedFiles are the files that each script writes in its work directory.
var playedFiles = map[string][]string{
	"kernel.sh configure": {"out/config", "out/symbols", "out/compiler"},
	"kernel.sh build":     {"out/vmlinuz", "out/vmlinux", "out/System.map", "out/modules.tar", "out/release"},
	"rootfs.sh":           {"rootfs.tar"},
	"disk.sh":             {"out/disk.raw"},
	"contents.sh":         {"out/tree.txt", "out/root.tar"},
	"tools.sh":            {"out/tools.iso"},
}

func (p *played) Run(ctx context.Context, c guest.Cmd) error {
	argv := strings.Join(c.Argv, " ")
	switch {
	case strings.Contains(argv, "command -v make"):
		return nil // nothing is missing
	case strings.HasPrefix(argv, "apt-get "):
		return &guest.ExitError{Argv: c.Argv, Code: 1}
	}
	for script, files := range playedFiles {
		if !strings.Contains(argv, script) {
			continue
		}
		if p.hang == script {
			<-ctx.Done()
			return context.Cause(ctx)
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		p.ran = append(p.ran, script)
		if p.fail == script {
			return &guest.ExitError{Argv: c.Argv, Code: 2, Tail: "it broke"}
		}
		for _, f := range files {
			if err := p.leave(c, f); err != nil {
				return err
			}
		}
		return nil
	}
	return p.Local.Run(ctx, c)
}

func (p *played) leave(c guest.Cmd, name string) error {
	text := map[string]string{"out/config": playedConfig, "out/symbols": "PLAYED\n", "out/compiler": "gcc 12\n", "out/vmlinux": string(vmlinux()), "rootfs.tar": tarOf("usual"), "out/disk.raw": playedDisk}[name]
	if output, ok := p.say[name]; ok {
		text = output
	} else if text == "" {
		text = "the usual " + name
	}
	for _, e := range c.Env {
		if v, ok := strings.CutPrefix(e, "LOCALVERSION="); ok && name == "out/release" {
			text = "6.1.192" + v + "\n"
		}
	}
	file := filepath.Join(c.Dir, name)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil || name != "out/disk.raw" {
		return err
	}
	return os.Truncate(file, 290<<20)
}

// since returns the scripts that ran since the last call, in alphabetical order: kernel
// and root file system are built concurrently.
func (p *played) since() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	slices.Sort(p.ran)
	out := strings.Join(p.ran, ", ")
	p.ran = nil
	return out
}

// tarOf returns a tar of one file.
func tarOf(text string) string {
	var b bytes.Buffer
	t := tar.NewWriter(&b)
	_ = t.WriteHeader(&tar.Header{Name: "etc/x", Mode: 0o644, Size: int64(len(text))})
	_, _ = t.Write([]byte(text))
	_ = t.Close()
	return b.String()
}

const playedID = "aabbccddeeff00112233445566778899aabbccdd"

// vmlinux returns an ELF file with only a GNU build-id.
func vmlinux() []byte {
	id := bytes.NewBuffer(nil)
	for _, v := range []uint32{4, 20, 3} { // lengths of name and id; NT_GNU_BUILD_ID
		_ = binary.Write(id, binary.LittleEndian, v)
	}
	fmt.Fprintf(id, "GNU\x00")
	for i := 0; i < len(playedID); i += 2 {
		var b byte
		_, _ = fmt.Sscanf(playedID[i:i+2], "%02x", &b)
		id.WriteByte(b)
	}
	names := "\x00.note\x00.shstrtab\x00"
	const head, section = 64, 64
	var out bytes.Buffer
	_ = binary.Write(&out, binary.LittleEndian, elf.Header64{Ident: [elf.EI_NIDENT]byte{0x7f, 'E', 'L', 'F', byte(elf.ELFCLASS64), byte(elf.ELFDATA2LSB), byte(elf.EV_CURRENT)},
		Type: uint16(elf.ET_EXEC), Machine: uint16(elf.EM_AARCH64), Version: uint32(elf.EV_CURRENT), Shoff: head, Ehsize: head, Shentsize: section, Shnum: 3, Shstrndx: 2})
	at := uint64(head + 3*section)
	for _, s := range []elf.Section64{{}, {Name: 1, Type: uint32(elf.SHT_NOTE), Off: at, Size: uint64(id.Len())}, {Name: 7, Type: uint32(elf.SHT_STRTAB), Off: at + uint64(id.Len()), Size: uint64(len(names))}} {
		_ = binary.Write(&out, binary.LittleEndian, s)
	}
	out.Write(id.Bytes())
	out.WriteString(names)
	return out.Bytes()
}

// playedLine returns a line whose targets "played", and "twin" with the same kernel,
// have locks of packages that are in the cache.
func playedLine(t *testing.T, g guest.Guest) *Line {
	t.Helper()
	l := line(t, g)
	if free, err := home.FreeSpace(t.TempDir()); err != nil || free < 6<<30 {
		t.Skipf("%d bytes are free, the steps ask for 6 GiB: %v", free, err)
	}
	dir := filepath.Dir(l.Targets.LockPath(target.Recipe{Name: "x"}))
	write(t, filepath.Join(dir, "kernel", "played.config"), playedConfig)
	const text = "apiVersion: ingot/v1\nkind: Target\nname: %s\nextends: debian-12-arm64\nlock: played\nvariant: %[1]s\nkernel: {configs: [played.config]}\nrootfs: {packages: [p]}\ndisk: {esp: 34MiB, size: 290MiB}\nexport: {formats: [qcow2, tar.zst]}\n" +
		"proof: {memory: 256MiB, cpus: 1, deadlines: {firmware: 1s, loader: 1s, kernel: 1s, init: 1s, login: 1s, answer: 1s}, smoke: {packages: [t], checks: [{name: c, why: w, run: 'true'}]}}\n"
	for _, name := range []string{"played", "twin"} {
		write(t, filepath.Join(dir, name+".yaml"), fmt.Sprintf(text, name))
	}
	load := func() {
		var err error
		if l.Targets, err = target.Load(resources.FS, dir, all.Check); err != nil {
			t.Fatal(err)
		}
	}
	load()
	r, err := l.Targets.Get("played")
	if err != nil {
		t.Fatal(err)
	}
	pin := func(name string) target.LockedPackage {
		deb := "the package " + name
		sum := fmt.Sprintf("%x", sha256.Sum256([]byte(deb)))
		write(t, filepath.Join(l.Home.Cache, "inputs", sum), deb)
		return target.LockedPackage{Name: name, Version: "1", Arch: "arm64", Archive: "debian", Source: name + "=1", Size: int64(len(deb)), SHA256: sum, Filename: "pool/" + name + ".deb"}
	}
	lock := target.Lock{APIVersion: target.APIVersion, Kind: "Lock", Target: "played", Asked: r.Asked(), Suites: []target.LockedSuite{{Archive: "debian", Suite: "bookworm", Date: "Sat, 11 Oct 2025 10:00:00 UTC", InRelease: sha("5")}},
		Kernel: pin("linux-source-6.1"), Rootfs: target.LockedPackages{pin("p")}, Smoke: target.LockedPackages{pin("t")}}
	b, err := lock.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	write(t, l.Targets.LockPath(r), string(b))
	load()
	return l
}

// steps returns how the steps of a build ended, from its journal.
func steps(t *testing.T, l *Line, name, id string) string {
	t.Helper()
	b, err := l.Ledger.Build(name, id)
	if err != nil {
		t.Fatal(err)
	}
	events, err := b.Journal()
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, e := range events {
		switch e.Kind {
		case event.StepSkipped:
			out = append(out, e.Step+" skipped")
		case event.StepFinished:
			out = append(out, e.Step+" "+string(e.Outcome))
		}
	}
	slices.Sort(out)
	return strings.Join(out, ", ")
}

// A build signs evidence of each step about the files that it writes; a second build
// finds all steps done, until a file is changed.
func TestBuildToTheExport(t *testing.T) {
	g := &played{Local: guest.Local{WorkRoot: t.TempDir()}}
	l := playedLine(t, g)
	opt := Options{Target: "played", Until: StepExport}
	first, err := l.Run(t.Context(), opt)
	if err != nil {
		t.Fatal(err)
	}
	if got := g.since(); got != "contents.sh, disk.sh, kernel.sh build, kernel.sh configure, rootfs.sh" {
		t.Errorf("ran %s", got)
	}
	docs := documents(t, l, "played")
	for _, k := range []evidence.Kind{evidence.KindConfig, evidence.KindGuest, evidence.KindKernel, evidence.KindImage, evidence.KindArtifact} {
		if d := docs[k]; d.Trust != evidence.Signed || d.Head.Verdict != evidence.Passed || d.Head.Build != first {
			t.Errorf("%s: trust %d, %+v", k, d.Trust, d.Head)
		}
	}
	var a evidence.Artifact
	if err := docs[evidence.KindArtifact].Decode(&a); err != nil || a.Leaks == nil || a.ImageDigest != docs[evidence.KindImage].Subject().SHA256() || a.KernelBuildID != playedID {
		t.Fatalf("%+v, %v", a, err)
	}
	if sum, err := l.Digests.Of(filepath.Join(l.Home.Data, a.File)); err != nil || sum != docs[evidence.KindArtifact].Subject().SHA256() {
		t.Errorf("%s has SHA-256 %s, %v", a.File, sum, err)
	}
	second, err := l.Run(t.Context(), opt)
	if err != nil || g.since() != "" {
		t.Fatalf("a second build: %v", err)
	}
	if got := steps(t, l, "played", second); got != "export skipped, image skipped, kernel skipped" {
		t.Errorf("a second build: %s", got)
	}
	r, err := l.Targets.Get("played")
	if err != nil {
		t.Fatal(err)
	}
	dir, err := l.ImageDir(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(filepath.Join(dir, "disk.raw"), 289<<20); err != nil {
		t.Fatal(err)
	}
	if _, err := l.ImageDir(t.Context(), r); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a changed image is given away: %v", err)
	}
	if _, err := l.Run(t.Context(), opt); err != nil || g.since() != "contents.sh, disk.sh" {
		t.Errorf("after a change of the image: %v", err)
	}
	opt.Force = []string{StepKernel}
	if _, err := l.Run(t.Context(), opt); err != nil || g.since() != "kernel.sh build, kernel.sh configure" {
		t.Errorf("forced: %v", err)
	}
}

// The guest is opened for a step that runs commands there, and for no other: an
// unchanged build, an export or a proof needs none, and does not fail without it.
func TestGuestOnlyWhenNeeded(t *testing.T) {
	g := &played{Local: guest.Local{WorkRoot: t.TempDir()}}
	l := playedLine(t, g)
	opened, gone := 0, error(nil)
	l.Guest = func(context.Context, func(string)) (guest.Guest, error) { opened++; return g, gone }
	run := func(what string, want int, opt Options) {
		t.Helper()
		opened, opt.Target = 0, "played"
		id, err := l.Run(t.Context(), opt)
		if opened != want {
			t.Errorf("%s: opened %d times, %v: %s", what, opened, err, steps(t, l, "played", id))
		}
		if failed := cause.IDOf(err); want == 0 && strings.HasPrefix(failed, "guest.") {
			t.Errorf("%s: %v", what, err)
		}
	}
	run("the first build", 1, Options{Until: StepExport})
	if _, err := home.LookTool("qemu-system-aarch64"); err == nil {
		run("tools", 1, Options{Until: StepProve}) // fails after them: the image is not real
	}
	gone = cause.With("guest.unreachable", errors.New("it is away"))
	run("nothing to do", 0, Options{Until: StepExport})
	run("export", 0, Options{Until: StepExport, Force: []string{StepExport}})
	run("proof", 0, Options{Until: StepProve, Force: []string{StepProve}})
	if d := documents(t, l, "played")[evidence.KindGuest]; d.Head.Verdict != evidence.Passed {
		t.Errorf("the guest's cell is %+v", d.Head)
	}
	run("the kernel", 1, Options{Until: StepKernel, Force: []string{StepKernel}})
	if d := documents(t, l, "played")[evidence.KindGuest]; d.Head.Verdict != evidence.Failed || d.Head.Cause != "guest.unreachable" {
		t.Errorf("the guest's cell is %+v", d.Head)
	}
}

// A kernel that another target built from the same inputs is used with a new document
// for this target; not if one of its files was changed.
func TestKernelOfAnotherTarget(t *testing.T) {
	g := &played{Local: guest.Local{WorkRoot: t.TempDir()}}
	l := playedLine(t, g)
	if _, _, ok, err := l.BuiltKernel(t.Context(), "played"); ok || err != nil {
		t.Errorf("a kernel of no build: %v, %v", ok, err)
	}
	if _, err := l.Run(t.Context(), Options{Target: "played", Until: StepKernel}); err != nil || g.since() != "kernel.sh build, kernel.sh configure" {
		t.Fatal(err)
	}
	if _, err := l.Run(t.Context(), Options{Target: "twin", Until: StepKernel}); err != nil || g.since() != "" {
		t.Errorf("it was built again: %v", err)
	}
	own := documents(t, l, "twin")[evidence.KindKernel]
	if other := documents(t, l, "played")[evidence.KindKernel]; own.Trust != evidence.Signed || own.Head.Target != "twin" || own.Subject().SHA256() != other.Subject().SHA256() {
		t.Errorf("%+v", own.Head)
	}
	dir, k, ok, err := l.BuiltKernel(t.Context(), "twin")
	if err != nil || !ok || k.BuildID != playedID || !strings.HasPrefix(k.Release, "6.1.192-ingot-") {
		t.Fatalf("%+v, %v, %v", k, ok, err)
	}
	if err := os.Remove(filepath.Join(dir, "System.map")); err != nil {
		t.Fatal(err)
	}
	if _, _, ok, err := l.BuiltKernel(t.Context(), "twin"); ok || err != nil {
		t.Errorf("a kernel with a lost file: %v, %v", ok, err)
	}
}

// A step that fails ends the build with its cause, and evidence without a signature.
func TestFailedSteps(t *testing.T) {
	for name, c := range map[string]struct {
		fail  string
		say   map[string]string
		cause string
		kind  evidence.Kind
	}{
		"compiler":    {"kernel.sh build", nil, "kernel.build-failed", evidence.KindKernel},
		"symbol":      {"", map[string]string{"out/config": "# CONFIG_PLAYED is not set\n"}, "config.symbol", evidence.KindKernel},
		"no build-id": {"", map[string]string{"out/vmlinux": "no ELF"}, "", evidence.KindKernel},
		"rootfs":      {"rootfs.sh", nil, "guest.command-failed", evidence.KindImage},
		"disk":        {"disk.sh", nil, "guest.command-failed", evidence.KindImage},
		"contents":    {"contents.sh", nil, "guest.command-failed", evidence.KindImage},
	} {
		l := playedLine(t, &played{Local: guest.Local{WorkRoot: t.TempDir()}, fail: c.fail, say: c.say})
		id, err := l.Run(t.Context(), Options{Target: "played"})
		if err == nil || cause.IDOf(err) != c.cause {
			t.Errorf("%s: %v, cause %q", name, err, cause.IDOf(err))
		}
		d := documents(t, l, "played")[c.kind]
		if d.Trust != evidence.Unsigned || d.Head.Verdict != evidence.Failed || d.Head.Cause != c.cause || d.Head.Message == "" {
			t.Errorf("%s: recorded %+v", name, d.Head)
		}
		if got := steps(t, l, "played", id); !strings.Contains(got, " failed") || strings.Contains(got, "export") {
			t.Errorf("%s: %s", name, got)
		}
		if left, err := filepath.Glob(filepath.Join(l.Home.Data, "outputs", "*image*")); err != nil || len(left) > 0 {
			t.Errorf("%s: outputs %v, %v", name, left, err)
		}
	}
}

// A step that was stopped by the failure of another has not failed: only the other's
// cell shows a failure.
func TestStoppedStepHasNotFailed(t *testing.T) {
	l := playedLine(t, &played{Local: guest.Local{WorkRoot: t.TempDir()}, fail: "kernel.sh build", hang: "rootfs.sh"})
	id, err := l.Run(t.Context(), Options{Target: "played"})
	if cause.IDOf(err) != "kernel.build-failed" {
		t.Errorf("%v", err)
	}
	docs := documents(t, l, "played")
	if d, ok := docs[evidence.KindImage]; ok {
		t.Errorf("the image has evidence: %+v", d.Head)
	}
	if d := docs[evidence.KindKernel]; d.Head.Verdict != evidence.Failed {
		t.Errorf("kernel: %+v", d.Head)
	}
	if got := steps(t, l, "played", id); got != "kernel failed, rootfs cancelled" {
		t.Errorf("%s", got)
	}
}

// An unknown guest name is a mistake in the command: the guest's cell does not change.
func TestMistypedGuestLeavesNoEvidence(t *testing.T) {
	l := line(t, &guest.Local{})
	l.Guest = func(context.Context, func(string)) (guest.Guest, error) {
		return nil, &OptionError{"there is no guest lima:TYPO"}
	}
	if _, err := l.Run(t.Context(), Options{Target: "debian-12-arm64"}); cause.ClassOf(err) != cause.Input {
		t.Errorf("%v", err)
	}
	if d, ok := documents(t, l, "debian-12-arm64")[evidence.KindGuest]; ok {
		t.Errorf("recorded: %+v", d.Head)
	}
}

// A check makes the outputs again and compares them; it changes neither outputs nor
// evidence.
func TestCheck(t *testing.T) {
	g := &played{Local: guest.Local{WorkRoot: t.TempDir()}}
	l := playedLine(t, g)
	opt := Options{Target: "played", Check: true}
	if _, err := l.Run(t.Context(), opt); err != nil {
		t.Fatal(err)
	}
	if got := strings.Count(g.since(), "disk.sh"); got != 2 {
		t.Errorf("the disk was made %d times", got)
	}
	before := documents(t, l, "played")[evidence.KindImage]
	for name, c := range map[string]struct {
		file, text, want string
		force            []string
	}{
		"kernel": {"out/vmlinuz", "Other", "the kernel step is not reproducible: made again from the same inputs, its output differs: vmlinuz: byte 0", nil},
		"rootfs": {"rootfs.tar", tarOf("Other"), "the rootfs step is not reproducible: made again from the same inputs, its output differs: rootfs.tar: etc/x: ", []string{StepRootfs}},
		"image":  {"out/disk.raw", "Other", "the image step is not reproducible: made again from the same inputs, its output differs: disk.raw: ", []string{StepImage}},
	} {
		g.say = map[string]string{c.file: c.text}
		opt.Force = c.force
		_, err := l.Run(t.Context(), opt)
		var other *outputs.NotReproducibleError
		if !errors.As(err, &other) || !strings.HasPrefix(other.Error(), c.want) || cause.IDOf(err) != "image.not-reproducible" || cause.ClassOf(err) != cause.Verify {
			t.Errorf("%s: %v, want %s", name, err, c.want)
		}
	}
	if after := documents(t, l, "played")[evidence.KindImage]; after.ID != before.ID {
		t.Errorf("the check left evidence %s", after.ID)
	}
	if left, err := filepath.Glob(filepath.Join(l.Home.Data, "outputs", ".checking*")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// published records the releases that it gets and returns receipts for them.
func published(l *Line) *[]publish.Release {
	var got []publish.Release
	l.Publisher = func(context.Context, string) (publish.Publisher, func(), error) {
		return s3.Publisher{Endpoint: s3.Endpoint{URL: "https://s3.example.org", Bucket: "b"}}, func() {}, nil
	}
	l.Publish = func(_ context.Context, _ publish.Publisher, r publish.Release, o publish.Options) (publish.Receipt, error) {
		if !r.Proven && !o.AllowUnproven {
			return publish.Receipt{}, &publish.Error{Cause: "publish.unproven", Msg: "not proven"}
		}
		got = append(got, r)
		rec := publish.Receipt{URL: "https://s3.example.org/b/1/", DiskURL: "https://s3.example.org/b/1/" + r.Files[0].Name, Version: r.Version, Anonymous: true}
		for _, f := range r.Files {
			data := f.Data
			if f.Path != "" {
				var err error
				if data, err = os.ReadFile(f.Path); err != nil {
					return rec, err
				}
			}
			sum := fmt.Sprintf("%x", sha256.Sum256(data))
			rec.Files = append(rec.Files, publish.Published{Name: f.Name, SHA256: sum, Size: int64(len(data))})
			if f.Disk && rec.DiskSHA256 == "" {
				rec.DiskSHA256, rec.DiskSize = sum, int64(len(data))
			}
		}
		return rec, nil
	}
	return &got
}
