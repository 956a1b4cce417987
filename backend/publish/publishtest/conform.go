package publishtest

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"io"
	"strings"
	"testing"

	"ingot/backend/cause"
	"ingot/backend/publish"
	"ingot/backend/secret"
)

// Destination is an empty destination of releases.
type Destination struct {
	Publisher publish.Publisher
	// Reader returns a reader of the release with this folder, as anybody has.
	Reader func(dir string) publish.Reader
}

// Conform tests a kind of publisher; open returns a new empty destination.
func Conform(t *testing.T, open func(t *testing.T) Destination) {
	data := bytes.Repeat([]byte("a disk that boots "), 20000)
	publisher := func(t *testing.T) publish.Options {
		s := Signer(t)
		return publish.Options{Signer: s, Keys: map[string]ed25519.PublicKey{s.KeyID(): s.Public()}}
	}
	absent := func(t *testing.T, p Destination, dir string) {
		t.Helper()
		for _, name := range []string{"SHA256SUMS", "disk-20261130-1200.qcow2"} {
			if r, err := p.Reader(dir).Get(t.Context(), name, 0, 1<<20); err == nil {
				_ = r.Close()
				t.Errorf("%s can be read", name)
			}
		}
	}
	t.Run("published and read", func(t *testing.T) {
		p, opt, rel := open(t), publisher(t), ReleaseOf(t, "20261130-1200", data)
		rec, err := p.Publisher.Publish(t.Context(), rel, opt)
		if err != nil {
			t.Fatal(err)
		}
		if rec.DiskSHA256 != rel.Files[0].SHA256 || rec.DiskSize != int64(len(data)) || rec.Version != rel.Version || !rec.Anonymous || rec.Local != p.Publisher.Local() || rec.URL == "" || len(rec.Files) < 4 {
			t.Errorf("the receipt: %+v", rec)
		}
		reads(t, p.Reader(rel.Dir()), rel, opt)
		again, err := p.Publisher.Publish(t.Context(), rel, opt)
		if err != nil || again.DiskURL != rec.DiskURL || again.DiskSHA256 != rec.DiskSHA256 {
			t.Errorf("again: %+v, %v", again, err)
		}
		if _, err := p.Publisher.Publish(t.Context(), ReleaseOf(t, "20261130-1200", append([]byte("other "), data...)), opt); cause.IDOf(err) != "publish.conflict" {
			t.Errorf("other bytes of the same version: %v (%s)", err, cause.IDOf(err))
		}
		reads(t, p.Reader(rel.Dir()), rel, opt)
	})
	t.Run("a file that is not that of its evidence", func(t *testing.T) {
		p, opt, rel := open(t), publisher(t), ReleaseOf(t, "20261130-1200", data)
		rel.Files[0].SHA256 = strings.Repeat("0", 64)
		if _, err := p.Publisher.Publish(t.Context(), rel, opt); cause.IDOf(err) != "image.digest-changed" {
			t.Errorf("%v (%s)", err, cause.IDOf(err))
		}
		absent(t, p, rel.Dir())
	})
	t.Run("not proven, not scanned", func(t *testing.T) {
		p, opt, rel := open(t), publisher(t), ReleaseOf(t, "20261130-1200", data)
		rel.Proven, rel.Unscanned = false, true
		if _, err := p.Publisher.Publish(t.Context(), rel, opt); cause.IDOf(err) != "publish.unproven" {
			t.Errorf("%v (%s)", err, cause.IDOf(err))
		}
		absent(t, p, rel.Dir())
		opt.AllowUnproven = true
		rec, err := p.Publisher.Publish(t.Context(), rel, opt)
		if err != nil || rec.Version != "20261130-1200-unproven-unscanned" || !strings.HasSuffix(rel.Dir(), rec.Version) {
			t.Errorf("marked: %+v, %v", rec, err)
		}
	})
	t.Run("cancelled", func(t *testing.T) {
		p, opt, rel := open(t), publisher(t), ReleaseOf(t, "20261130-1200", data)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := p.Publisher.Publish(ctx, rel, opt); !errors.Is(err, context.Canceled) {
			t.Errorf("%v", err)
		}
		absent(t, p, rel.Dir())
	})
	t.Run("a name that leads elsewhere", func(t *testing.T) {
		p, opt, rel := open(t), publisher(t), ReleaseOf(t, "20261130-1200", data)
		rel.Files[1].Name = "../x"
		if _, err := p.Publisher.Publish(t.Context(), rel, opt); cause.IDOf(err) != "publish.failed" {
			t.Errorf("%v (%s)", err, cause.IDOf(err))
		}
	})
	t.Run("what it can do", func(t *testing.T) {
		p := open(t)
		found, err := p.Publisher.Probe(t.Context())
		if err != nil || len(found) == 0 {
			t.Errorf("%+v, %v", found, err)
		}
		for _, a := range found {
			if !a.OK || a.Why == "" {
				t.Errorf("%+v", a)
			}
		}
	})
}

// reads reads a release as anybody would: its signed list, and every file that it names.
func reads(t *testing.T, r publish.Reader, rel publish.Release, opt publish.Options) {
	t.Helper()
	get := func(name string) []byte {
		t.Helper()
		body, err := r.Get(t.Context(), name, 0, 64<<20)
		if err != nil {
			t.Fatal(err)
		}
		defer body.Close()
		data, err := io.ReadAll(body)
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	list := get("SHA256SUMS")
	if _, ok := secret.VerifyMinisignAny(opt.Keys, list, get("SHA256SUMS.minisig")); !ok {
		t.Error("the list is not signed by the publisher")
	}
	names := map[string]bool{}
	for line := range strings.Lines(string(list)) {
		want, name, _ := strings.Cut(strings.TrimSpace(line), "  ")
		names[name] = true
		if got, err := publish.SHA256Of(bytes.NewReader(get(name))); err != nil || got.SHA256 != want {
			t.Errorf("%s: %v, %v", line, got, err)
		}
	}
	for _, f := range rel.Files {
		if !names[f.Name] {
			t.Errorf("%s is not in the list", f.Name)
		}
	}
	for _, name := range []string{"lima.yaml", "manifest.json"} {
		if !names[name] {
			t.Errorf("%s is not in the list", name)
		}
	}
	// the end of a file, as a transfer that goes on reads it
	disk := rel.Files[0]
	body, err := r.Get(t.Context(), disk.Name, 5, 64<<20)
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	if end, err := io.ReadAll(body); err != nil || !bytes.Equal(end, get(disk.Name)[5:]) {
		t.Errorf("the end of the disk: %d bytes, %v", len(end), err)
	}
}
