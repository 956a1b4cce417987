package evidence

import "fmt"

// Leaks is what a scan for secrets and traces found in a file's bytes. It
// names places, never what lies there.
type Leaks struct {
	Rules       int        `json:"rules"` // version of the rule pack
	RulesDigest string     `json:"rulesDigest"`
	Digest      string     `json:"digest,omitempty"` // of the file that was scanned
	Bytes       int64      `json:"bytes"`            // allocated, all of them read
	Areas       []LeakArea `json:"areas"`
	Findings    []Leak     `json:"findings"`
	More        int        `json:"more,omitempty"` // findings left out of the list
}

// LeakArea is a part of the disk, and how much the scan knew of it.
type LeakArea struct {
	Name       string `json:"name"`       // "partition 2", "the whole disk"
	FileSystem string `json:"fileSystem"` // ext4; others are known by their bytes alone
	Files      int    `json:"files,omitempty"`
	Note       string `json:"note,omitempty"`
}

// Severities of a leak.
const (
	LeakBlocks = "blocks" // must not be published
	LeakNote   = "note"
)

// Leak is one finding.
type Leak struct {
	Rule     string `json:"rule"`
	Severity string `json:"severity"`
	Title    string `json:"title"`
	Area     string `json:"area"`             // of Areas, or "outside of the partitions"
	In       string `json:"in"`               // file, deleted file, the journal, metadata, bytes, file system
	Path     string `json:"path,omitempty"`   // of the file, or the last that the deleted one had
	Offset   int64  `json:"offset,omitempty"` // on the disk, for what was found by its bytes
	Fix      string `json:"fix,omitempty"`
}

// Blocking are the findings that forbid to publish.
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

// Where says in words where the leak is.
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
