//go:build linux

package owner

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"ingot/backend/api"
	"ingot/backend/cause"
	"ingot/backend/event"
	"ingot/backend/evidence"
	"ingot/backend/jobs"
	"ingot/backend/secret"
)

// small mounts a file system of a few MB at dir, and returns a function that fills
// it. It needs root.
func small(t *testing.T, dir, size string) (fill func() (file string)) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("none", dir, "tmpfs", 0, "size="+size); err != nil {
		t.Skipf("no disk of its own: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return func() string {
		file := filepath.Join(dir, "stuff")
		if err := os.WriteFile(file, make([]byte, 64<<20), 0o600); err == nil {
			t.Fatal("the disk is not full")
		}
		return file
	}
}

// What is written to a full disk fails with the cause of one: events of a journal, a
// document, the queue when it is opened. The control: with room they are written.
func TestFullDisk(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "disk")
	fill := small(t, dir, "8m")
	bd, err := evidence.Ledger{Dir: dir}.Build("t", "b")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(bd.Dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, write := range map[string]func() error{
		"journal": func() error {
			j, err := event.OpenJournal(bd.JournalPath(), "t", "b", &event.Bus{})
			if err != nil {
				return err
			}
			for n := 0; err == nil && n < 20; n++ {
				err = j.Add(event.Event{Kind: event.Note, Msg: strings.Repeat("x", 4<<10)})
			}
			return errors.Join(err, j.Close())
		},
		"evidence": func() error {
			signer, err := secret.LoadOrCreateSigner(secret.Files{Dir: t.TempDir()})
			if err != nil {
				return err
			}
			author := evidence.Author{Signer: signer, Keys: evidence.KeyOf(signer)}
			_, err = bd.Include(t.Context(), author, evidence.Document{ID: "image-0123456789ab", Envelope: []byte(strings.Repeat("x", 64<<10))})
			return err
		},
		"queue": func() error {
			q, err := jobs.Embedded(t.Context(), filepath.Join(dir, "queue"), jobs.Options{})
			if err == nil {
				q.Close()
			}
			return err
		},
	} {
		stuff := fill()
		if err := write(); cause.IDOf(err) != cause.NoSpace || cause.ClassOf(err) != cause.Missing {
			t.Errorf("%s, full: %v, cause %q", name, err, cause.IDOf(err))
		}
		if err := os.Remove(stuff); err != nil {
			t.Fatal(err)
		}
		if err := write(); err != nil {
			t.Errorf("%s, with room: %v", name, err)
		}
	}
}

// A queue whose disk was full takes jobs again as soon as there is room, from the
// same owner. It needs root, for a disk of its own.
func TestQueueAfterFullDisk(t *testing.T) {
	b := ownedHome(t)
	fill := small(t, filepath.Join(b.Home.Data, "queue"), "64m")
	runOwner(t)
	c := ClientOf(b)
	build := func() error {
		id, err := c.Submit(t.Context(), api.Submission{Target: "nowhere"})
		if err == nil {
			err = c.Follow(t.Context(), "nowhere", id, 0, func(api.Event) {})
			if api.ClassOf(err) == api.ClassMissing { // the guest has no such compiler
				err = nil
			}
		}
		return err
	}
	if err := build(); err != nil {
		t.Fatal(err)
	}
	stuff := fill()
	var err error
	for n := 0; err == nil && n < 100; n++ { // some go into the last page
		err = build()
	}
	if err == nil {
		t.Fatal("a hundred jobs were taken on a full disk")
	}
	var remote *api.RemoteError
	if !errors.As(err, &remote) || remote.Cause != "home.no-space" || remote.Fix == "" || remote.Class != api.ClassMissing || strings.Contains(err.Error(), "nats") {
		t.Errorf("the full disk is told as %#v", err)
	}
	if err := os.Remove(stuff); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	if err := build(); err != nil {
		t.Errorf("with room again, after %s: %v", time.Since(began), err)
	}
}
