package linux

import (
	"archive/tar"
	"bufio"
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"ingot/backend/family"
	"ingot/backend/target"
)

// Compare describes the first difference between two versions of an output file, at the
// paths a and b; "" if their bytes are equal. It looks inside archives, file lists and
// disks of the recipe: "usr/bin/x: size 1, then 2".
func (System) Compare(r target.Recipe, a, b string) (string, error) {
	at, err := firstDifference(a, b)
	if err != nil || at < 0 {
		return "", err
	}
	name := filepath.Base(a)
	what := ""
	switch {
	case filepath.Ext(name) == ".tar":
		what, err = tarDifference(a, b)
	case name == family.TreeFile:
		what, err = lineDifference(a, b, treeLine)
	case name == "config" || name == "System.map":
		what, err = lineDifference(a, b, func(x, y string) string { return fmt.Sprintf("%q, then %q", x, y) })
	case name == "disk.raw":
		what = diskRegion(r, at)
	}
	if what == "" {
		what = fmt.Sprintf("byte %d", at)
	}
	return name + ": " + what, err
}

// firstDifference returns the offset of the first byte that differs, or at which one of
// the files ends; -1 if there is none.
func firstDifference(a, b string) (int64, error) {
	fa, err := os.Open(a)
	if err != nil {
		return 0, err
	}
	defer fa.Close()
	fb, err := os.Open(b)
	if err != nil {
		return 0, err
	}
	defer fb.Close()
	const chunk = 1 << 20
	x, y := make([]byte, chunk), make([]byte, chunk)
	for at := int64(0); ; at += chunk {
		n, errA := io.ReadFull(fa, x)
		m, errB := io.ReadFull(fb, y)
		if !bytes.Equal(x[:n], y[:m]) {
			i := 0
			for i < min(n, m) && x[i] == y[i] {
				i++
			}
			return at + int64(i), nil
		}
		for _, err := range []error{errA, errB} {
			if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
				return 0, err
			}
		}
		if errA != nil {
			return -1, nil
		}
	}
}

// lineDifference describes the first two lines that differ.
func lineDifference(a, b string, show func(x, y string) string) (string, error) {
	x, err := os.ReadFile(a)
	if err != nil {
		return "", err
	}
	y, err := os.ReadFile(b)
	if err != nil {
		return "", err
	}
	sa, sb := bufio.NewScanner(bytes.NewReader(x)), bufio.NewScanner(bytes.NewReader(y))
	for {
		moreA, moreB := sa.Scan(), sb.Scan()
		switch {
		case !moreA && !moreB:
			return "", errors.Join(sa.Err(), sb.Err())
		case sa.Text() != sb.Text():
			return show(sa.Text(), sb.Text()), nil
		}
	}
}

// treeFields are the columns of family.TreeFile after the path.
var treeFields = []string{"mode", "owner", "group", "size", "time", "link", "content"}

func treeLine(x, y string) string {
	a, b := strings.Split(x, "\t"), strings.Split(y, "\t")
	if a[0] != b[0] {
		first := a[0] // the lines are sorted: the lesser one is missing in the other file
		if first == "" || b[0] != "" && b[0] < first {
			first = b[0]
		}
		return first + ": is in only one of the two"
	}
	var fields []string
	for i, name := range treeFields {
		var p, q string
		if i+1 < len(a) {
			p = a[i+1]
		}
		if i+1 < len(b) {
			q = b[i+1]
		}
		if p != q {
			fields = append(fields, fmt.Sprintf("%s %s, then %s", name, short(p), short(q)))
		}
	}
	return a[0] + ": " + strings.Join(fields, "; ")
}

func short(s string) string {
	if len(s) == 2*sha256.Size {
		return s[:12]
	}
	return s
}

// tarDifference describes the first entry of two archives that differs.
func tarDifference(a, b string) (string, error) {
	fa, err := os.Open(a)
	if err != nil {
		return "", err
	}
	defer fa.Close()
	fb, err := os.Open(b)
	if err != nil {
		return "", err
	}
	defer fb.Close()
	ta, tb := tar.NewReader(fa), tar.NewReader(fb)
	for {
		x, errA := tarLine(ta)
		y, errB := tarLine(tb)
		if errA == io.EOF && errB == io.EOF {
			return "", nil
		}
		if err := errors.Join(notEOF(errA), notEOF(errB)); err != nil {
			return "", err
		}
		if x != y {
			return treeLine(x, y), nil
		}
	}
}

func notEOF(err error) error {
	if err == io.EOF {
		return nil
	}
	return err
}

// tarLine returns the next entry in the format of family.TreeFile; "" at the end.
func tarLine(t *tar.Reader) (string, error) {
	h, err := t.Next()
	if err != nil {
		return "", err
	}
	sum := sha256.New()
	if _, err := io.Copy(sum, t); err != nil {
		return "", err
	}
	return strings.Join([]string{h.Name, h.FileInfo().Mode().String(), strconv.Itoa(h.Uid), strconv.Itoa(h.Gid), strconv.FormatInt(h.Size, 10),
		h.ModTime.UTC().Format("2006-01-02T15:04:05.999999999Z"), h.Linkname, fmt.Sprintf("%x", sum.Sum(nil))}, "\t"), nil
}

// diskRegion describes the part of the recipe's disk that contains an offset.
func diskRegion(r target.Recipe, at int64) string {
	esp := int64(r.Disk.ESP)
	switch size := int64(r.Disk.Size); {
	case at < firstBytes:
		return fmt.Sprintf("partition table, byte %d", at)
	case at < firstBytes+esp:
		return fmt.Sprintf("ESP, byte %d of the file system", at-firstBytes)
	case at < size-tailBytes:
		return fmt.Sprintf("root file system, byte %d", at-firstBytes-esp)
	default:
		return fmt.Sprintf("backup partition table, byte %d", at)
	}
}
