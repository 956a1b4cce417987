package leak

import (
	"context"
	"errors"
	"path"
	"strings"

	"ingot/backend/disk/ext4"
	"ingot/backend/evidence"
)

// headSize is how much of a file a path rule's content is looked for in.
const headSize = 64 << 10

// walk judges all files by their paths, and keeps the paths for what is found
// by its bytes.
func (s *scan) walk(ctx context.Context, a *area) error {
	var lists []ext4.Inode
	for f, err := range a.fs.Walk() {
		if err != nil && !errors.Is(err, ext4.ErrCorrupt) {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if err != nil {
			a.Note = "it is damaged: not all of its files were seen"
			continue
		}
		names := a.paths
		if f.Gone {
			names = a.gone
		}
		if _, known := names[f.Inode.Number]; !known && f.Inode.Number != 0 {
			names[f.Inode.Number] = f.Path
		}
		if f.Gone || f.Inode.IsDir() {
			continue
		}
		a.Files++
		if dir, name := path.Split(f.Path); dir == "/var/lib/dpkg/info/" && strings.HasSuffix(name, ".list") {
			lists = append(lists, f.Inode)
		}
		if err := s.judgeFile(a, f); err != nil {
			return err
		}
	}
	return a.readLists(lists)
}

// judgeFile tries the path rules on a file. Only regular files hold secrets.
func (s *scan) judgeFile(a *area, f ext4.File) error {
	if !f.Inode.IsFile() {
		return nil
	}
	var head []byte
	for _, r := range s.pack.Paths {
		if !r.path.MatchString(f.Path) {
			continue
		}
		if head == nil {
			var err error
			if head, err = a.fs.Read(f.Inode, headSize); err != nil && !errors.Is(err, ext4.ErrCorrupt) {
				return err
			}
		}
		if r.fits(f.Path, head) {
			s.report(&r.Rule, evidence.Leak{In: "file", Area: a.Name, Path: printable(f.Path)})
		}
	}
	return nil
}

// maxList bounds one package's list of files.
const maxList = 16 << 20

// readLists reads dpkg's lists of what packages own.
func (a *area) readLists(lists []ext4.Inode) error {
	for _, i := range lists {
		b, err := a.fs.Read(i, maxList)
		if err != nil && !errors.Is(err, ext4.ErrCorrupt) {
			return err
		}
		if a.owned == nil {
			a.owned = map[string]bool{}
		}
		for line := range strings.Lines(string(b)) {
			a.owned[strings.TrimSuffix(line, "\n")] = true
		}
	}
	return nil
}

// fromPackage tells whether everybody has the file: it belongs to a package of
// the distribution, which has keys for its own tests and examples. Lists may
// name a file under /usr by its old place.
func (a *area) fromPackage(p string) bool {
	if !strings.HasPrefix(p, "/usr/") || strings.HasPrefix(p, "/usr/local/") {
		return false
	}
	return a.owned == nil || a.owned[p] || a.owned[strings.TrimPrefix(p, "/usr")]
}

// leakAt says whose the byte of the area is.
func (a *area) leakAt(off int64) (evidence.Leak, error) {
	if a.fs == nil {
		return evidence.Leak{In: "bytes"}, nil
	}
	w, err := a.owners.At(off)
	if err != nil && !errors.Is(err, ext4.ErrCorrupt) {
		return evidence.Leak{}, err
	}
	live := printable(a.paths[w.Inode])
	switch {
	case w.Free:
		return evidence.Leak{In: "a deleted file", Path: printable(a.gone[w.Inode])}, nil
	case w.Inode == ext4.Journal:
		return evidence.Leak{In: "the journal"}, nil
	case w.Meta || w.Inode == 0:
		return evidence.Leak{In: "metadata"}, nil
	case live == "":
		return evidence.Leak{In: "a file without a name"}, nil
	case w.Past:
		return evidence.Leak{In: "behind the end of", Path: live}, nil
	case a.fromPackage(a.paths[w.Inode]):
		return evidence.Leak{In: "file", Path: live, Severity: evidence.LeakNote}, nil
	}
	return evidence.Leak{In: "file", Path: live}, nil
}
