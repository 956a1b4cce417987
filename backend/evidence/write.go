package evidence

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"ingot/backend/home"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// Author writes to a ledger: it signs documents and heads, and accepts the heads
// that keys signed.
type Author struct {
	Signer Signer
	Keys   Keys
}

// lockTarget takes the flock(2) of the target's ledger, exclusive for a writer. It
// waits: a writer holds it for some milliseconds.
func (l Ledger) lockTarget(target string, how int) (unlock func() error, err error) {
	dir := filepath.Join(l.Dir, target)
	if how == unix.LOCK_EX {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, fmt.Errorf("ledger: %w", err)
		}
	}
	f, err := home.LockFile(filepath.Join(dir, "head.lock"), 0o600, how)
	if err != nil {
		return nil, fmt.Errorf("ledger: %w", err)
	}
	return f.Close, nil
}

// change changes the target's head under its lock: begun is the head with all
// documents that are on disk and count.
func (l Ledger) change(ctx context.Context, a Author, target string, edit func(*head) error) (err error) {
	unlock, err := l.lockTarget(target, unix.LOCK_EX)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	h, err := l.begun(ctx, a, target)
	if err != nil {
		return err
	}
	if err := edit(h); err != nil {
		return err
	}
	return l.writeHead(ctx, a, h)
}

func (l Ledger) writeHead(ctx context.Context, a Author, h *head) error {
	h.APIVersion = apiVersion
	if n := len(h.Removed) - removedLimit; n > 0 {
		h.Removed = h.Removed[n:]
	}
	payload, err := json.Marshal(h)
	if err != nil {
		return fmt.Errorf("ledger: head of %s: %w", h.Target, err)
	}
	data, err := envelope(ctx, a.Signer, headType, payload, true)
	if err == nil {
		err = home.WriteFileAtomic(l.headPath(h.Target), data, 0o600)
	}
	if err != nil {
		return fmt.Errorf("ledger: head of %s: %w", h.Target, err)
	}
	return nil
}

// begun returns the head to go on with: the one that is there, with documents that a
// killed process wrote and did not list; or a new one. Without a head, documents
// that have no numbers get them now; documents that have numbers show that a head
// was lost, and none of them counts any more.
func (l Ledger) begun(ctx context.Context, a Author, target string) (*head, error) {
	found, err := l.readHead(ctx, target, a.Keys)
	var broken *HeadError
	var unread *fs.PathError
	if err != nil && (!errors.As(err, &broken) || errors.As(err, &unread)) {
		return nil, err // it may be read another time: do not replace it
	}
	if found != nil {
		h := found.clone()
		return h, l.listLeftovers(ctx, a, h)
	}
	docs, err := l.unordered(ctx, a.Keys, target)
	if err != nil {
		return nil, err
	}
	h := &head{Target: target, Builds: []headBuild{}}
	for _, d := range docs {
		h.Lost = max(h.Lost, d.Head.Number)
	}
	if h.Number = h.Lost; h.Lost > 0 || broken != nil {
		return h, nil
	}
	for _, d := range docs {
		h.add(d.Head.Build, d.ID, h.Number+1)
	}
	return h, nil
}

// listLeftovers adds the documents that were written and not listed. Folders that did not change since the head was
// written have none.
func (l Ledger) listLeftovers(ctx context.Context, a Author, h *head) error {
	written, err := os.Stat(l.headPath(h.Target))
	if err != nil {
		return fmt.Errorf("ledger: %w", err)
	}
	builds, err := l.folders(h.Target)
	if err != nil {
		return err
	}
	for _, b := range builds {
		dir, err := os.Stat(filepath.Join(b.Dir, "evidence"))
		if err != nil || dir.ModTime().Before(written.ModTime().Add(-2*time.Second)) {
			continue
		}
		docs, err := b.readAll(ctx, a.Keys, h, anyKind)
		if err != nil {
			return err
		}
		for _, d := range docs {
			if _, listed := h.numbers(b.ID)[d.ID]; !listed && h.leftover(d) {
				h.add(b.ID, d.ID, d.Head.Number)
			}
		}
	}
	return nil
}

// unordered reads all documents of a target that has no head, oldest build first.
func (l Ledger) unordered(ctx context.Context, keys Keys, target string) ([]Document, error) {
	builds, err := l.folders(target)
	if err != nil {
		return nil, err
	}
	var all []Document
	for _, b := range builds {
		docs, err := b.readAll(ctx, keys, nil, anyKind)
		if err != nil {
			return nil, err
		}
		all = append(all, docs...)
	}
	return all, nil
}

// Begin lists the build in the head of its target: builds are ordered by it.
func (b Build) Begin(ctx context.Context, a Author) error {
	return b.ledger().change(ctx, a, b.Target, func(h *head) error {
		h.add(b.ID, "", 0)
		return nil
	})
}

// Record seals a document with the target's next number and writes it, see Seal.
func (b Build) Record(ctx context.Context, a Author, subject Subject, about Head, predicate any) (d Document, err error) {
	err = b.ledger().change(ctx, a, b.Target, func(h *head) error {
		about.Number = h.Number + 1
		if d, err = Seal(ctx, a.Signer, subject, about, predicate); err != nil {
			return err
		}
		return b.include(h, &d, about.Number)
	})
	return d, err
}

// Include writes a document that was sealed elsewhere, as by a worker, and gives it
// the target's next number. One that is listed already is left as it is.
func (b Build) Include(ctx context.Context, a Author, d Document) (Document, error) {
	err := b.ledger().change(ctx, a, b.Target, func(h *head) error {
		if _, listed := h.numbers(b.ID)[d.ID]; listed {
			d.Path = b.evidencePath(d.ID)
			if _, err := os.Stat(d.Path); err == nil {
				return nil
			}
		}
		return b.include(h, &d, h.Number+1)
	})
	return d, err
}

func (b Build) include(h *head, d *Document, number int) error {
	d.Path = b.evidencePath(d.ID)
	if err := os.MkdirAll(filepath.Dir(d.Path), 0o700); err != nil {
		return fmt.Errorf("ledger: %w", err)
	}
	if err := home.WriteFileAtomic(d.Path, d.Envelope, 0o600); err != nil {
		return fmt.Errorf("ledger: keep %s: %w", d.ID, err)
	}
	h.add(b.ID, d.ID, number)
	return nil
}

// Forget replaces builds by tombstones in the target's head, after which their
// folders can be removed.
func (l Ledger) Forget(ctx context.Context, a Author, target string, builds []string, why string) error {
	return l.change(ctx, a, target, func(h *head) error {
		for _, id := range builds {
			if !h.isRemoved(id) {
				h.Removed = append(h.Removed, removed{Build: id, Documents: len(h.numbers(id)), At: time.Now().UTC(), Why: why})
			}
		}
		h.Builds = slices.DeleteFunc(h.Builds, func(b headBuild) bool { return slices.Contains(builds, b.ID) })
		return nil
	})
}

// Resign signs the heads of all targets with the author's key, so that they do not
// depend on an earlier key. A head that is not valid is left as it is.
func (l Ledger) Resign(ctx context.Context, a Author) error {
	targets, err := l.Targets()
	for _, t := range targets {
		h, rerr := l.readHead(ctx, t, a.Keys)
		if rerr != nil || h == nil || h.keyID == a.Signer.KeyID() {
			continue
		}
		err = errors.Join(err, l.change(ctx, a, t, func(*head) error { return nil }))
	}
	return err
}
