package evidence

import "fmt"

// Leaks is the result of a scan of a file for secrets and personal traces. It
// has the places of findings, never the content.
type Leaks struct {
	Rules       int        `json:"rules"` // version of the rule pack
	RulesDigest string     `json:"rulesDigest"`
	Digest      string     `json:"digest,omitempty"` // of the file that was scanned
	Bytes       int64      `json:"bytes"`            // allocated bytes, all of which were read
	Areas       []LeakArea `json:"areas"`
	Findings    []Leak     `json:"findings"`
	More        int        `json:"more,omitempty"` // number of findings that are not listed
}

// LeakArea is a part of the disk and how the scan read it.
type LeakArea struct {
	Name       string `json:"name"`       // "partition 2", "the whole disk"
	FileSystem string `json:"fileSystem"` // files are read of ext4 only; others are searched as bytes
	Files      int    `json:"files,omitempty"`
	Note       string `json:"note,omitempty"`
}

// Severities of a leak.
const (
	LeakBlocks = "blocks" // must not be published
	LeakNote   = "note"
)

// LeakUnread is the rule for a file system that the scan cannot read, so that
// its files may contain secrets.
const LeakUnread = "leak.unread"

// Leak is one finding.
type Leak struct {
	Rule     string `json:"rule"`
	Severity string `json:"severity"`
	Title    string `json:"title"`
	Area     string `json:"area"`             // of Areas, or "outside of the partitions"
	In       string `json:"in"`               // file, deleted file, the journal, metadata, bytes, file system
	Path     string `json:"path,omitempty"`   // of the file, or the last known path of a deleted one
	Offset   int64  `json:"offset,omitempty"` // on the disk, in bytes, of a finding in raw bytes
	Fix      string `json:"fix,omitempty"`
}

// Blocking returns the findings that prevent publishing.
func (l *Leaks) Blocking() []Leak {
	var out []Leak
	if l != nil {
		for _, f := range l.Findings {
			if f.Severity == LeakBlocks {
				out = append(out, f)
			}
		}
	}
	return out
}

// OnlyUnread reports whether there are blocking findings, and all of them are
// file systems that could not be read.
func (l *Leaks) OnlyUnread() bool {
	blocking := l.Blocking()
	for _, f := range blocking {
		if f.Rule != LeakUnread {
			return false
		}
	}
	return len(blocking) > 0
}

// Where describes the place of the finding.
func (f Leak) Where() string {
	switch {
	case f.In == "file":
		return f.Path
	case f.Path != "":
		return f.In + " " + f.Path
	case f.In == "bytes":
		return fmt.Sprintf("byte %d of the disk (%s)", f.Offset, f.Area)
	}
	return fmt.Sprintf("%s (byte %d of the disk)", f.In, f.Offset)
}
