package status

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"ingot/backend/cause"
	"ingot/backend/evidence"
	"ingot/backend/limit"
)

// Bounds of what is read to be explained, in bytes and files. Of a log that is longer
// the end is read.
const (
	logLimit     = 32 << 20
	archiveLimit = 256 << 20
	logCount     = 200
)

// logFile is one log of a folder or an archive.
type logFile struct {
	name string // with slashes, below the folder or in the archive
	text []byte
}

// ExplainAt explains what is at a path: a log, which may be in gzip; the folder of a
// Lima instance, or another one with logs; an archive of them (tar, tar.gz, zip), such
// as a bundle of `ingot support`; "-" is stdin. Of several logs every finding names
// its file. A path that cannot be read, or holds no log, is a *InputError.
func ExplainAt(name string, stdin io.Reader) (Explanation, error) {
	pack, err := cause.Shipped()
	if err != nil {
		return Explanation{}, err
	}
	var logs []logFile
	info, err := os.Stat(name)
	switch {
	case name == "-":
		logs, err = readLogs(stdin, "")
	case err != nil:
	case info.IsDir():
		logs, err = folderLogs(name)
	default:
		logs, err = fileLogs(name, info)
	}
	if err == nil && len(logs) == 0 {
		err = fmt.Errorf("%s: there is no log in it (looked for names like serial.log, ha.stderr.log, *.log)", name)
	}
	if err != nil {
		return Explanation{}, &InputError{err}
	}
	if len(logs) == 1 && logs[0].name == "" {
		return pack.Explain(string(logs[0].text)), nil
	}
	return explainAll(pack, logs), nil
}

// InputError says that a path given by the user cannot be explained.
type InputError struct{ Err error }

func (e *InputError) Error() string         { return e.Err.Error() }
func (e *InputError) Unwrap() error         { return e.Err }
func (*InputError) ErrorClass() cause.Class { return cause.Input }

func fileLogs(name string, info fs.FileInfo) ([]logFile, error) {
	f, err := os.Open(name) // a pipe too: the user named it
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if info.Mode().IsRegular() && info.Size() > logLimit && !isArchive(f) {
		if _, err := f.Seek(-logLimit, io.SeekEnd); err != nil {
			return nil, err
		}
	}
	return readLogs(f, "")
}

func isArchive(f *os.File) bool {
	head := make([]byte, 512)
	n, err := f.ReadAt(head, 0)
	return (err == nil || errors.Is(err, io.EOF)) && kindOf(head[:n]) != ""
}

// kindOf names the container that bytes begin; "" for a text.
func kindOf(head []byte) string {
	switch {
	case bytes.HasPrefix(head, []byte("\x1f\x8b")):
		return "gzip"
	case bytes.HasPrefix(head, []byte("PK\x03\x04")):
		return "zip"
	case len(head) > 262 && string(head[257:262]) == "ustar":
		return "tar"
	}
	return ""
}

// readLogs takes a log, or the logs of an archive, from r.
func readLogs(r io.Reader, name string) ([]logFile, error) {
	data, err := io.ReadAll(io.LimitReader(r, archiveLimit))
	if err != nil {
		return nil, err
	}
	switch kindOf(data) {
	case "gzip":
		z, err := gzip.NewReader(bytes.NewReader(data))
		if err != nil {
			return nil, err
		}
		defer z.Close()
		inner, err := io.ReadAll(io.LimitReader(z, archiveLimit))
		if len(inner) == 0 && err != nil {
			return nil, err
		}
		if kindOf(inner) == "tar" { // a gzip file that is cut off holds what it holds
			return tarLogs(inner)
		}
		return []logFile{{name, end(inner)}}, nil
	case "zip":
		return zipLogs(data)
	case "tar":
		return tarLogs(data)
	}
	return []logFile{{name, end(data)}}, nil
}

func end(text []byte) []byte { return text[max(0, len(text)-logLimit):] }

func tarLogs(data []byte) (logs []logFile, err error) {
	t := tar.NewReader(bytes.NewReader(data))
	for len(logs) < logCount {
		h, err := t.Next()
		if errors.Is(err, io.EOF) || err != nil && len(logs) > 0 {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("the archive: %w", err)
		}
		if h.Typeflag != tar.TypeReg || !isLog(h.Name) {
			continue
		}
		text, err := io.ReadAll(t)
		if err != nil && len(text) == 0 {
			break
		}
		logs = append(logs, logFile{h.Name, end(text)})
	}
	return logs, nil
}

func zipLogs(data []byte) (logs []logFile, err error) {
	z, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		return nil, fmt.Errorf("the archive: %w", err)
	}
	for _, f := range z.File {
		if len(logs) == logCount || !f.Mode().IsRegular() || !isLog(f.Name) {
			continue
		}
		r, err := f.Open()
		if err != nil {
			return nil, err
		}
		text, err := io.ReadAll(io.LimitReader(r, logLimit))
		if cerr := r.Close(); err != nil || cerr != nil {
			return nil, errors.Join(err, cerr)
		}
		logs = append(logs, logFile{f.Name, text})
	}
	return logs, nil
}

// folderLogs reads the logs of a folder, up to three folders deep. What is no regular
// file is left out.
func folderLogs(dir string) (logs []logFile, err error) {
	err = filepath.WalkDir(dir, func(file string, d fs.DirEntry, err error) error {
		rel, rerr := filepath.Rel(dir, file)
		switch {
		case err != nil && file == dir:
			return err
		case err != nil || rerr != nil:
			return nil
		case d.IsDir() && strings.Count(filepath.ToSlash(rel), "/") >= 3:
			return fs.SkipDir
		case !d.Type().IsRegular() || !isLog(filepath.ToSlash(rel)):
			return nil
		case len(logs) == logCount:
			return fs.SkipAll
		}
		f, err := limit.Open(file)
		if err != nil {
			return nil //nolint:nilerr // another user's file is left out
		}
		defer f.Close()
		if info, err := f.Stat(); err == nil && info.Size() > logLimit {
			if _, err := f.Seek(-logLimit, io.SeekEnd); err != nil {
				return err
			}
		}
		text, err := io.ReadAll(io.LimitReader(f, logLimit))
		if err != nil {
			return err
		}
		logs = append(logs, logFile{filepath.ToSlash(rel), text})
		return nil
	})
	return logs, err
}

// bundleRoot is the folder in a bundle of `ingot support`.
const bundleRoot = "ingot-support/"

// isLog tells by its name whether a file may tell of a boot. Of Ingot's bundles that
// is the consoles and the evidence: steps print much that only looks like a cause.
func isLog(name string) bool {
	base := path.Base(name)
	if strings.HasPrefix(name, bundleRoot) {
		return strings.HasPrefix(base, "serial-") || isEvidence(name)
	}
	if strings.HasPrefix(base, ".") {
		return false
	}
	for _, ext := range []string{".log", ".txt", ".out", ".err"} {
		if strings.HasSuffix(base, ext) {
			return true
		}
	}
	return strings.HasPrefix(base, "serial") || strings.Contains(base, "stderr") || strings.HasPrefix(base, "console")
}

func isEvidence(name string) bool {
	return strings.Contains(name, "/evidence/") && strings.HasSuffix(name, ".json")
}

// explainAll explains several logs. The newest build of a bundle comes first (their
// ids begin with the time), and QEMU's own messages before consoles.
func explainAll(pack *cause.Pack, logs []logFile) Explanation {
	groups := map[string][]logFile{}
	for _, l := range logs {
		groups[groupOf(l.name)] = append(groups[groupOf(l.name)], l)
	}
	var names []string
	for n := range groups {
		names = append(names, n)
	}
	slices.SortFunc(names, func(a, b string) int { return strings.Compare(path.Base(b), path.Base(a)) })
	out := Explanation{Finding: Finding{ID: cause.Unknown}}
	for _, n := range names {
		g := explainGroup(pack, groups[n])
		out.Findings = append(out.Findings, g.Findings...)
		if g.ID == cause.None {
			out.ID = cause.None
		} else if out.Tail == nil {
			out.Tail = g.Tail
		}
	}
	if len(out.Findings) > 0 {
		out.Finding, out.Tail = out.Findings[0], nil
	} else if out.ID == cause.None {
		out.Tail = nil
	}
	return out
}

// groupOf is the folder of a bundle's build; "" for other logs.
func groupOf(name string) string {
	rest, ok := strings.CutPrefix(name, bundleRoot)
	if parts := strings.SplitN(rest, "/", 3); ok && len(parts) == 3 {
		return parts[0] + "/" + parts[1]
	}
	return ""
}

// Finding is a cause found in a log.
type Finding = cause.Finding

// explainGroup explains the logs of one machine. Consoles of a build whose newest proof
// passed tell of attempts before.
func explainGroup(pack *cause.Pack, logs []logFile) Explanation {
	newest := map[evidence.Kind]evidence.Head{}
	files := map[evidence.Kind]string{}
	var texts []logFile
	for _, l := range logs {
		if !strings.HasPrefix(l.name, bundleRoot) || !isEvidence(l.name) {
			texts = append(texts, l)
			continue
		}
		var s evidence.Statement
		var h evidence.Head
		if json.Unmarshal(l.text, &s) == nil && json.Unmarshal(s.Predicate, &h) == nil && h.At.After(newest[h.Kind].At) {
			newest[h.Kind], files[h.Kind] = h, l.name
		}
	}
	out := Explanation{Finding: Finding{ID: cause.Unknown}}
	add := func(f Finding) {
		if !slices.ContainsFunc(out.Findings, func(g Finding) bool { return g.ID == f.ID }) {
			out.Findings = append(out.Findings, f)
		}
	}
	if newest[evidence.KindProof].Verdict == evidence.Passed {
		out.ID, texts = cause.None, nil
	}
	slices.SortStableFunc(texts, func(a, b logFile) int {
		if c := rank(a.name) - rank(b.name); c != 0 {
			return c
		}
		return strings.Compare(a.name, b.name)
	})
	for _, l := range texts {
		e := pack.Explain(string(l.text))
		for _, f := range e.Findings {
			f.File = l.name
			add(f)
		}
		switch {
		case e.ID == cause.None:
			out.ID = cause.None
		case len(e.Findings) == 0:
			out.Tail = e.Tail
		}
	}
	for _, k := range []evidence.Kind{evidence.KindKernel, evidence.KindImage, evidence.KindProof, evidence.KindReceipt} {
		if h := newest[k]; h.Verdict == evidence.Failed && h.Cause != "" {
			f, _ := pack.Describe(h.Cause)
			f.ID, f.Line, f.File = h.Cause, h.Message, files[k]
			add(f)
		}
	}
	return out
}

// rank orders logs: QEMU's messages, then consoles, then others.
func rank(name string) int {
	base := path.Base(name)
	switch {
	case strings.Contains(base, "stderr"), strings.Contains(base, "qemu"):
		return 0
	case strings.HasPrefix(base, "serial"), strings.HasPrefix(base, "console"):
		return 1
	}
	return 2
}
