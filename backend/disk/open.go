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
	// ErrNoBacking: a file that the image stands on is not there.
	ErrNoBacking = errors.New("the backing file is missing")
	// ErrChanged: a file of the chain was written to while it was read.
	ErrChanged = errors.New("the image was changed while it was read")
)

// maxDepth is the longest chain that is read; Lima makes chains of two.
const maxDepth = 8

// asifMagic starts Apple's sparse image format (macOS 26), as
// github.com/lima-vm/go-qcow2reader image/asif knows it.
const asifMagic = "shdw"

// Layer tells of one file of a chain, for the record.
type Layer struct {
	File   string `json:"file"`   // base name
	Format string `json:"format"` // qcow2 or raw
	Bytes  int64  `json:"bytes"`  // allocated in the file system or not
}

// Image is a disk image with all that it stands on, opened read-only. It is a
// Source; ReadAt may be called from several goroutines.
type Image struct {
	layers []layer // the newest first
	names  []string
	was    []os.FileInfo
}

// Open opens a qcow2 chain or a raw image, told apart by what they start with
// and never by name. A backing file is followed only when it, with all symbolic
// links resolved, is one of allowed or lies in one of them: the chain's own
// files, named by who knows the layout. A chain that QEMU has open for writing
// is refused with ErrInUse.
//
// QEMU locks images with OFD locks, which macOS has not: there a running
// machine is known by its process alone, and the caller has to ask.
func Open(path string, allowed ...string) (*Image, error) {
	im := &Image{}
	if err := im.openChain(path, allowed); err != nil {
		return nil, fmt.Errorf("open disk %s: %w", path, errors.Join(err, im.Close()))
	}
	return im, nil
}

func (im *Image) openChain(path string, allowed []string) error {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0) // a fifo must not hold us
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

// add takes over f as the next layer down.
func (im *Image) add(f *os.File, path, format string) (qcow2Head, error) {
	info, err := f.Stat()
	if err == nil {
		err = usable(f, info)
	}
	if err == nil && format == "" {
		format, err = formatOf(f)
	}
	if err != nil {
		return qcow2Head{}, errors.Join(err, f.Close())
	}
	im.names, im.was = append(im.names, path), append(im.was, info)
	switch format {
	case "raw":
		size := info.Size() / 512 * 512
		if len(im.layers) == 0 && (size == 0 || size != info.Size()) {
			return qcow2Head{}, errors.Join(fmt.Errorf("%w: a raw disk has a size that is a multiple of 512 bytes, and not 0", ErrUnreadable), f.Close())
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

// usable refuses what is no regular file, and one that is being written to.
func usable(f *os.File, info os.FileInfo) error {
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%w: %s is no regular file", ErrUnreadable, f.Name())
	}
	busy, err := lockedForWriting(f)
	if err == nil && busy {
		err = fmt.Errorf("%w: a virtual machine has %s open for writing", ErrInUse, f.Name())
	}
	return err
}

func formatOf(f io.ReaderAt) (string, error) {
	b := make([]byte, 4)
	if _, err := f.ReadAt(b, 0); ignoreEOF(err) != nil {
		return "", err
	}
	switch {
	case binary.BigEndian.Uint32(b) == qcow2Magic:
		return "qcow2", nil
	case string(b) == asifMagic:
		return "", fmt.Errorf("%w: it is in Apple's sparse format (ASIF), which only macOS reads: `diskutil image create from --format RAW` makes a raw copy of it", ErrUnreadable)
	}
	return "raw", nil
}

// backingPath is the path of a backing file as QEMU finds it: beside the file
// that names it. A name with a colon before its first slash is a protocol.
func backingPath(overlay, name string) (string, error) {
	colon, slash := strings.IndexByte(name, ':'), strings.IndexByte(name, '/')
	if strings.ContainsRune(name, 0) || colon >= 0 && (slash < 0 || colon < slash) {
		return "", fmt.Errorf("%w: it stands on %q, which is no plain file name", ErrHostile, name)
	}
	if !filepath.IsAbs(name) {
		name = filepath.Join(filepath.Dir(overlay), name)
	}
	return name, nil
}

// openInside opens path if it is one of allowed or lies in one of them. The
// open itself cannot leave the folder: os.Root holds it there.
func openInside(path string, allowed []string) (*os.File, error) {
	hostile := fmt.Errorf("%w: it stands on %s", ErrHostile, path)
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
		// tell of a missing file only where we may look
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

// resolved is a path with links followed; of a file that is not there, those of
// its folder.
func resolved(path string) string {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		return real
	}
	if dir, err := filepath.EvalSymlinks(filepath.Dir(path)); err == nil {
		return filepath.Join(dir, filepath.Base(path))
	}
	return path
}

// Size is the virtual size, rounded up to whole sectors.
func (im *Image) Size() int64 { return ceil(im.layers[0].size(), 512) * 512 }

// Layers tells of the chain's files, the newest first.
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

// Unchanged tells whether all files are as they were opened and still not open
// for writing: what was read in between is one state of the disk.
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

// find asks the layers from the top who has the byte at off.
func (im *Image) find(off int64) (layer, stretch, error) {
	n := im.Size() - off
	for _, l := range im.layers {
		if off >= l.size() {
			break // what the layer below has here was cut off
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

// ReadAt reads the disk as the machine sees it.
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

// Extents are the stretches that some layer holds data for.
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

// Look tells of one file what it is by its first bytes, also of one that is in
// use.
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
	format, err := formatOf(f)
	return Layer{filepath.Base(file), format, info.Size()}, err
}
