package status

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"ingot/backend/cause"
)

const (
	denied = `{"level":"debug","msg":"qemu[stderr]: qemu-system-aarch64: Error: HV_DENIED","time":"2026-03-02T08:11:02+01:00"}` + "\n"
	noRoot = "Linux version 6.1\nKernel panic - not syncing: VFS: Unable to mount root fs on unknown-block(0,0)\n"
	login  = "Linux version 6.1\n\nDebian GNU/Linux 12 deb ttyAMA0\n\ndeb login: "
)

func proofOf(verdict, at, id string) string {
	return `{"_type":"x","subject":[],"predicateType":"x","predicate":{"kind":"Proof","at":"` + at + `","verdict":"` + verdict + `","cause":"` + id + `","message":"it was so"}}`
}

// What people have at hand: folders, archives, standard input.
func TestExplainAt(t *testing.T) {
	bundle := func(files ...string) []logFile {
		var out []logFile
		for i := 0; i < len(files); i += 2 {
			out = append(out, logFile{"ingot-support/" + files[i], []byte(files[i+1])})
		}
		return out
	}
	for name, c := range map[string]struct {
		files []logFile
		want  string // ids, with the files that told
	}{
		"a Lima instance that QEMU ended": {[]logFile{{"ha.stderr.log", []byte(denied)}, {"serial.log", nil}, {"lima.yaml", []byte("Kernel panic - not syncing: x")}}, "qemu.accel-unavailable in ha.stderr.log"},
		"a Lima instance without a root":  {[]logFile{{"ha.stderr.log", []byte("{}\n")}, {"serial.log", []byte(noRoot)}, {"serialv.log", []byte(noRoot)}}, "kernel.no-root in serial.log"},
		"a Lima instance that runs":       {[]logFile{{"ha.stderr.log", []byte("{}\n")}, {"serial.log", []byte(login)}}, "none"},
		"QEMU first":                      {[]logFile{{"a/serial0.log", []byte(noRoot)}, {"qemu.log", []byte("qemu-kvm: -drive file=x: Failed to get \"write\" lock\n")}}, "qemu.disk-locked in qemu.log, kernel.no-root in a/serial0.log"},
		"a bundle of two builds": {bundle("status.json", noRoot, "deb/20261101-1000-a/logs/serial-tcg-1.log", noRoot, "deb/20261101-1000-a/logs/kernel.log", "qemu-img: Could not open 'x': No such file or directory\n",
			"bsd/20261102-1000-b/logs/serial-tcg-1.log", "Welcome to GRUB!\nerror: unknown filesystem.\ngrub rescue> "),
			"loader.disk-unreadable in ingot-support/bsd/20261102-1000-b/logs/serial-tcg-1.log, loader.prompt in ingot-support/bsd/20261102-1000-b/logs/serial-tcg-1.log, kernel.no-root in ingot-support/deb/20261101-1000-a/logs/serial-tcg-1.log"},
		"a bundle whose newest proof passed": {bundle("deb/1/evidence/proof-a.json", proofOf("failed", "2026-11-01T10:00:00Z", "kernel.no-root"), "deb/1/evidence/proof-b.json", proofOf("passed", "2026-11-01T11:00:00Z", ""), "deb/1/logs/serial-a.log", noRoot), "none"},
		"a bundle with evidence alone":       {bundle("deb/1/evidence/proof-a.json", proofOf("failed", "2026-11-01T10:00:00Z", "boot.wrong-kernel")), "boot.wrong-kernel in ingot-support/deb/1/evidence/proof-a.json"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			for _, f := range c.files {
				p := filepath.Join(dir, "folder", f.name)
				if err := errors.Join(os.MkdirAll(filepath.Dir(p), 0o700), os.WriteFile(p, f.text, 0o600)); err != nil {
					t.Fatal(err)
				}
			}
			paths := map[string][]byte{"x.tar": tarOf(t, c.files), "x.tar.gz": gzipOf(t, tarOf(t, c.files)), "x.zip": zipOf(t, c.files)}
			for p, data := range paths {
				if err := os.WriteFile(filepath.Join(dir, p), data, 0o600); err != nil {
					t.Fatal(err)
				}
				if p != "x.zip" {
					e, err := ExplainAt("-", bytes.NewReader(data))
					check(t, "- with "+p, e, err, c.want)
				}
				e, err := ExplainAt(filepath.Join(dir, p), nil)
				check(t, p, e, err, c.want)
			}
			if !strings.HasPrefix(c.files[0].name, bundleRoot) {
				if err := syscall.Mkfifo(filepath.Join(dir, "folder", "serialp.log"), 0o600); err != nil {
					t.Fatal(err)
				}
				e, err := ExplainAt(filepath.Join(dir, "folder"), nil)
				check(t, "folder", e, err, c.want)
			}
		})
	}
	e, err := ExplainAt("-", strings.NewReader(noRoot))
	check(t, "text", e, err, "kernel.no-root")
	e, err = ExplainAt("-", bytes.NewReader(gzipOf(t, []byte(noRoot))))
	check(t, "gzip", e, err, "kernel.no-root")
	var wrong *InputError
	for _, p := range []string{t.TempDir(), "/no/such/file"} {
		if _, err := ExplainAt(p, nil); !errors.As(err, &wrong) {
			t.Errorf("%s: %v", p, err)
		}
	}
}

func check(t *testing.T, from string, e Explanation, err error, want string) {
	t.Helper()
	var got []string
	for _, f := range e.Findings {
		if f.File != "" {
			f.ID += " in " + f.File
		}
		got = append(got, f.ID)
	}
	if len(got) == 0 {
		got = []string{e.ID}
	} else if e.ID != e.Findings[0].ID || e.Means == "" {
		t.Errorf("%s: first %+v, findings %q", from, e.Finding, got)
	}
	if all := strings.Join(got, ", "); err != nil || all != want {
		t.Errorf("%s: %q, %v; want %q", from, all, err, want)
	}
}

func tarOf(t *testing.T, files []logFile) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, f := range files {
		err := w.WriteHeader(&tar.Header{Name: f.name, Mode: 0o600, Size: int64(len(f.text)), Typeflag: tar.TypeReg})
		if _, werr := w.Write(f.text); err != nil || werr != nil {
			t.Fatal(err, werr)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func gzipOf(t *testing.T, data []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func zipOf(t *testing.T, files []logFile) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, f := range files {
		e, err := w.Create(f.name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := e.Write(f.text); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// A bundle's Finding keeps its id where the pack does not hold it.
func TestUnknownCauseOfEvidence(t *testing.T) {
	pack, err := cause.Shipped()
	if err != nil {
		t.Fatal(err)
	}
	e := explainAll(pack, []logFile{{"ingot-support/deb/1/evidence/proof-a.json", []byte(proofOf("failed", "2026-11-01T10:00:00Z", "boot.of-tomorrow"))}})
	if e.ID != "boot.of-tomorrow" {
		t.Errorf("%+v", e)
	}
}
