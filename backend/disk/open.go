package disk

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// Errors of Open besides those of Inspect.
var (
	// ErrInUse: a QEMU has the image open for writing.
	ErrInUse = errors.New("the image is in use")
	// ErrNoBacking: a backing file of the image is not there.
	ErrNoBacking = errors.New("the backing file is missing")
	// ErrChanged: a file of the chain was written to while it was read.
	ErrChanged = errors.New("the image was changed while it was read")
)

// maxDepth is the length of the longest chain that is read; Lima makes chains
// of two.
const maxDepth = 8

// asifMagic is the magic number of Apple's sparse image format (macOS 26),
// according to github.com/lima-vm/go-qcow2reader image/asif.
const asifMagic = "shdw"

// Layer describes one file of a chain, for the record.
type Layer struct {
	File   string `json:"file"`   // base name
	Format string `json:"format"` // qcow2 or raw
	Bytes  int64  `json:"bytes"`  // size of the file
}

// Image is a disk image with its backing files, opened read-only. It is a
// Source; ReadAt is safe for concurrent use.
type Image struct {
	layers []layer // the newest first
	names  []string
	was    []os.FileInfo
}

// Open opens a raw image or a qcow2 chain; the format is detected from the
// content, never from the name. A backing file is opened only if, with all
// symbolic links resolved, it is one of allowed or lies in one of them. The
// caller names there the files that belong to the chain. A chain that QEMU has
// open for writing is refused with ErrInUse.
//
// QEMU locks images with OFD locks, which macOS does not have. There the caller
// has to check whether a machine is running.
func Open(path string, allowed ...string) (*Image, error) {
	im := &Image{}
	if err := im.openChain(path, allowed); err != nil {
		return nil, fmt.Errorf("open disk %s: %w", path, errors.Join(err, im.Close()))
	}
	return im, nil
}

func (im *Image) openChain(path string, allowed []string) error {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0) // does not block on a FIFO
	if err != nil {
		return err
	}
	format := ""
	for {
		h, err := im.add(f, path, format)
		if err != nil || h.backing == "" {
			return err
		}
		if len(im.layers) == maxDepth {
			return fmt.Errorf("%w: a chain of more than %d files", ErrHostile, maxDepth)
		}
		if path, err = backingPath(path, h.backing); err != nil {
			return err
		}
		if f, err = openInside(path, allowed); err != nil {
			return err
		}
		format = h.backingType
	}
}

// add adds f as the lowest layer. It closes f if it fails.
func (im *Image) add(f *os.File, path, format string) (qcow2Head, error) {
	info, err := f.Stat()
	if err == nil {
		err = usable(f, info)
	}
	if err == nil && format == "" {
		format, err = formatOf(f, info.Size())
	}
	if err != nil {
		return qcow2Head{}, errors.Join(err, f.Close())
	}
	im.names, im.was = append(im.names, path), append(im.was, info)
	switch format {
	case "raw":
		size := info.Size() / 512 * 512
		if len(im.layers) == 0 && (size == 0 || size != info.Size()) {
			return qcow2Head{}, errors.Join(fmt.Errorf("%w: the size of a raw disk must be a multiple of 512 bytes, and not 0", ErrUnreadable), f.Close())
		}
		im.layers = append(im.layers, &rawLayer{rawFile{f, size}})
		return qcow2Head{}, nil
	case "qcow2":
		l, err := openQcow2Layer(f, info.Size())
		if err != nil {
			return qcow2Head{}, errors.Join(err, f.Close())
		}
		im.layers = append(im.layers, l)
		return l.head, nil
	}
	return qcow2Head{}, errors.Join(fmt.Errorf("%w: a backing file of format %q", ErrUnreadable, format), f.Close())
}

// usable refuses a file that is not regular, and one that is open for writing.
func usable(f *os.File, info os.FileInfo) error {
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%w: %s is not a regular file", ErrUnreadable, f.Name())
	}
	busy, err := lockedForWriting(f)
	if err == nil && busy {
		err = fmt.Errorf("%w: a virtual machine has %s open for writing", ErrInUse, f.Name())
	}
	return err
}

// formatOf is qcow2 or raw, by the file's content; other containers are a
// *ContainerError.
func formatOf(f io.ReaderAt, size int64) (string, error) {
	b := make([]byte, 4)
	if _, err := f.ReadAt(b, 0); ignoreEOF(err) != nil {
		return "", err
	}
	if binary.BigEndian.Uint32(b) == qcow2Magic {
		return "qcow2", nil
	}
	return "raw", notContainer(f, size)
}

// flatten is the advice for an image whose backing file is not opened. qemu-img
// opens any file that the header names, so it must only be used on an image
// that the user trusts.
const flatten = "if you trust the image, flatten it where it was made: qemu-img convert -O qcow2 IMAGE flat.qcow2"

// backingPath returns the path of a backing file as QEMU resolves it: relative
// to the file that names it. A name with a colon before its first slash is a
// protocol.
func backingPath(overlay, name string) (string, error) {
	colon, slash := strings.IndexByte(name, ':'), strings.IndexByte(name, '/')
	if strings.ContainsRune(name, 0) || colon >= 0 && (slash < 0 || colon < slash) {
		return "", fmt.Errorf("%w: its backing file %q is an address, not a path: %s", ErrHostile, name, flatten)
	}
	if !filepath.IsAbs(name) {
		name = filepath.Join(filepath.Dir(overlay), name)
	}
	return name, nil
}

// openInside opens path if it is one of allowed or lies in one of them. os.Root
// prevents that the open leaves the folder.
func openInside(path string, allowed []string) (*os.File, error) {
	hostile := fmt.Errorf("%w: its backing file %s is outside its folder: %s", ErrHostile, path, flatten)
	within := func(real string) bool {
		for _, a := range allowed {
			if rel, err := filepath.Rel(resolved(a), real); err == nil && filepath.IsLocal(rel) {
				return true
			}
		}
		return false
	}
	real, err := filepath.EvalSymlinks(path)
	if errors.Is(err, os.ErrNotExist) {
		// only report a missing file inside the allowed folders
		if within(resolved(path)) {
			return nil, fmt.Errorf("%w: %s", ErrNoBacking, path)
		}
		return nil, hostile
	}
	if err != nil {
		return nil, fmt.Errorf("backing file: %w", err)
	}
	if !within(real) {
		return nil, hostile
	}
	root, err := os.OpenRoot(filepath.Dir(real))
	if err != nil {
		return nil, fmt.Errorf("backing file: %w", err)
	}
	defer root.Close()
	f, err := root.OpenFile(filepath.Base(real), os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("backing file: %w", err)
	}
	return f, nil
}

// resolved returns a path with symbolic links resolved; for a missing file,
// those of its folder.
func resolved(path string) string {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		return real
	}
	if dir, err := filepath.EvalSymlinks(filepath.Dir(path)); err == nil {
		return filepath.Join(dir, filepath.Base(path))
	}
	return path
}

// Size returns the virtual size in bytes, rounded up to whole sectors of 512
// bytes.
func (im *Image) Size() int64 { return ceil(im.layers[0].size(), 512) * 512 }

// Layers describes the chain's files, the newest first.
func (im *Image) Layers() []Layer {
	var out []Layer
	for i, l := range im.layers {
		format := "qcow2"
		if _, raw := l.(*rawLayer); raw {
			format = "raw"
		}
		out = append(out, Layer{filepath.Base(im.names[i]), format, im.was[i].Size()})
	}
	return out
}

// Close closes all files.
func (im *Image) Close() error {
	var errs []error
	for _, l := range im.layers {
		errs = append(errs, l.file().Close())
	}
	return errors.Join(errs...)
}

// Unchanged returns an error if a file of the chain was modified since it was
// opened, or is open for writing now. Otherwise everything read in between is
// one state of the disk.
func (im *Image) Unchanged() error {
	for i, l := range im.layers {
		now, err := l.file().Stat()
		if err == nil {
			err = usable(l.file(), now)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", im.names[i], err)
		}
		if was := im.was[i]; now.Size() != was.Size() || !now.ModTime().Equal(was.ModTime()) {
			return fmt.Errorf("%s: %w (%s)", im.names[i], ErrChanged, now.ModTime().Format(time.TimeOnly))
		}
	}
	return nil
}

// find returns the uppermost layer that has the byte at off.
func (im *Image) find(off int64) (layer, stretch, error) {
	n := im.Size() - off
	for _, l := range im.layers {
		if off >= l.size() {
			break // the layer below is shorter
		}
		s, err := l.at(off)
		if err != nil {
			return nil, s, err
		}
		if n = min(n, s.length); s.kind != absent {
			s.length = n
			return l, s, nil
		}
	}
	return nil, stretch{kind: zeros, length: n}, nil
}

// ReadAt reads the disk as the guest does.
func (im *Image) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, errors.New("disk: negative offset")
	}
	done := 0
	for done < len(p) && off < im.Size() {
		l, s, err := im.find(off)
		if err != nil {
			return done, err
		}
		part := p[done:min(int64(len(p)), int64(done)+s.length)]
		if s.kind == zeros {
			clear(part)
		} else if err := l.read(part, off, s); err != nil {
			return done, err
		}
		done, off = done+len(part), off+int64(len(part))
	}
	if done < len(p) {
		return done, io.EOF
	}
	return done, nil
}

// Extents yields the ranges for which a layer has data.
func (im *Image) Extents() iter.Seq2[Extent, error] {
	return func(yield func(Extent, error) bool) {
		var e Extent
		for off := int64(0); off < im.Size(); {
			_, s, err := im.find(off)
			if err != nil {
				yield(Extent{}, err)
				return
			}
			if s.kind != zeros {
				if e.Length > 0 && e.Offset+e.Length == off {
					e.Length += s.length
				} else {
					if e.Length > 0 && !yield(e, nil) {
						return
					}
					e = Extent{Offset: off, Length: s.length}
				}
			}
			off += s.length
		}
		if e.Length > 0 {
			yield(e, nil)
		}
	}
}

// Look returns the format of one file, detected from its content, also of a
// file in use.
func Look(file string) (Layer, error) {
	f, err := os.OpenFile(file, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return Layer{}, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return Layer{}, err
	}
	format, err := formatOf(f, info.Size())
	return Layer{filepath.Base(file), format, info.Size()}, err
}
