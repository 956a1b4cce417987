// Package notes parses ELF notes: they contain the GNU build-id, which identifies a
// kernel. The format is that of the System V ABI's note section, for little-endian
// machines.
package notes

import (
	"bytes"
	"encoding/hex"
)

// BuildID returns the GNU build-id (type 3, owner "GNU") in ELF notes of a
// little-endian machine, such as a guest's /sys/kernel/notes. It returns "" if there is
// none.
func BuildID(notes []byte) string {
	const header = 12
	for len(notes) >= header {
		name, desc := le32(notes), le32(notes[4:])
		kind := le32(notes[8:])
		nameEnd := header + align4(name)
		descEnd := nameEnd + align4(desc)
		if name > 1<<16 || desc > 1<<20 || descEnd > len(notes) {
			return ""
		}
		if kind == 3 && bytes.Equal(notes[header:header+name], []byte("GNU\x00")) {
			return hex.EncodeToString(notes[nameEnd : nameEnd+desc])
		}
		notes = notes[descEnd:]
	}
	return ""
}

func le32(b []byte) int {
	return int(uint32(b[0]) | uint32(b[1])<<8 | uint32(b[2])<<16 | uint32(b[3])<<24)
}

func align4(n int) int { return (n + 3) &^ 3 }
