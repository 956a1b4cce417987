package leak

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"ingot/backend/disk"
)

// partition is a range of the disk.
type partition struct {
	name          string
	start, length int64
	boot          bool // GRUB's code in a BIOS boot partition of GPT: no file system
}

const sector = 512

// biosBoot is the partition type 21686148-6449-6E6F-744E-656564454649 in GPT's
// byte order (GRUB manual, "BIOS installation").
var biosBoot = [16]byte([]byte("Hah!IdontNeedEFI"))

// partitions reads the partition table: GPT (UEFI specification, chapter 5) or
// the four primary entries of MBR. A disk without a table, or with an invalid
// one, is returned as a single partition.
func partitions(src disk.Source) ([]partition, error) {
	head := make([]byte, 2*sector)
	if _, err := src.ReadAt(head, 0); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	var out []partition
	add := func(n int, start, sectors uint64, boot bool) {
		size := uint64(src.Size()) / sector
		if start > 0 && start < size && sectors > 0 && sectors <= size-start {
			out = append(out, partition{fmt.Sprintf("partition %d", n), int64(start) * sector, int64(sectors) * sector, boot})
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
				add(i+1, uint64(le.Uint32(e[8:])), uint64(le.Uint32(e[12:])), false)
			}
		}
	}
	if len(out) == 0 {
		out = []partition{{name: "the whole disk", length: src.Size()}}
	}
	return out, nil
}

func gpt(src disk.Source, head []byte, add func(n int, start, sectors uint64, boot bool)) error {
	le := binary.LittleEndian
	at, count, size := le.Uint64(head[72:]), le.Uint32(head[80:]), le.Uint32(head[84:])
	if at > uint64(src.Size())/sector || count > 1024 || size < 128 || size > 4096 {
		return nil // invalid: the whole disk is one area
	}
	table := make([]byte, count*size)
	if _, err := src.ReadAt(table, int64(at)*sector); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	for i := range int(count) {
		e := table[i*int(size):]
		first, last := le.Uint64(e[32:]), le.Uint64(e[40:])
		if [16]byte(e[:16]) != [16]byte{} && last >= first {
			add(i+1, first, last-first+1, [16]byte(e[:16]) == biosBoot)
		}
	}
	return nil
}
