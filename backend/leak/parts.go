package leak

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"ingot/backend/disk"
)

// partition is a stretch of the disk.
type partition struct {
	name          string
	start, length int64
}

const sector = 512

// partitions reads the partition table, GPT (UEFI specification, chapter 5) or
// MBR with its four primary entries. A disk without one is one area; so is, as
// a whole, what a table says of stretches that cannot be.
func partitions(src disk.Source) ([]partition, error) {
	head := make([]byte, 2*sector)
	if _, err := src.ReadAt(head, 0); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	var out []partition
	add := func(n int, start, sectors uint64) {
		size := uint64(src.Size()) / sector
		if start > 0 && start < size && sectors > 0 && sectors <= size-start {
			out = append(out, partition{fmt.Sprintf("partition %d", n), int64(start) * sector, int64(sectors) * sector})
		}
	}
	le := binary.LittleEndian
	switch {
	case string(head[sector:sector+8]) == "EFI PART":
		if err := gpt(src, head[sector:], add); err != nil {
			return nil, err
		}
	case head[510] == 0x55 && head[511] == 0xaa:
		for i := range 4 {
			e := head[446+16*i:]
			if e[4] != 0 {
				add(i+1, uint64(le.Uint32(e[8:])), uint64(le.Uint32(e[12:])))
			}
		}
	}
	if len(out) == 0 {
		out = []partition{{"the whole disk", 0, src.Size()}}
	}
	return out, nil
}

func gpt(src disk.Source, head []byte, add func(n int, start, sectors uint64)) error {
	le := binary.LittleEndian
	at, count, size := le.Uint64(head[72:]), le.Uint32(head[80:]), le.Uint32(head[84:])
	if at > uint64(src.Size())/sector || count > 1024 || size < 128 || size > 4096 {
		return nil // bent: the whole disk is one area
	}
	table := make([]byte, count*size)
	if _, err := src.ReadAt(table, int64(at)*sector); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	for i := range int(count) {
		e := table[i*int(size):]
		first, last := le.Uint64(e[32:]), le.Uint64(e[40:])
		if [16]byte(e[:16]) != [16]byte{} && last >= first {
			add(i+1, first, last-first+1)
		}
	}
	return nil
}

// sniff names a file system that is not read here, by its magic.
func sniff(src disk.Source, p partition) string {
	b := make([]byte, 70<<10)
	n, _ := section{src, p.start}.ReadAt(b[:min(int64(len(b)), p.length)], 0)
	for _, m := range []struct {
		at    int
		magic string
		name  string
	}{{82, "FAT32", "vfat"}, {54, "FAT1", "vfat"}, {0, "XFSB", "xfs"}, {0x10040, "_BHRfS_M", "btrfs"}, {0, "LUKS\xba\xbe", "LUKS, encrypted"},
		{536, "LVM2", "LVM"}, {0, "hsqs", "squashfs"}, {0x8001, "CD001", "iso9660"}, {4086, "SWAPSPACE2", "swap"}, {1372, "\x19\x01\x54\x19", "UFS"}} {
		if end := m.at + len(m.magic); end <= n && string(b[m.at:end]) == m.magic {
			return m.name
		}
	}
	return "unknown"
}
