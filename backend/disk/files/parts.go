package files

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"

	"ingot/backend/disk"
	"ingot/backend/disk/ext4"
)

// Partition is a range of a disk, in bytes.
type Partition struct {
	Name          string
	Start, Length int64
	Boot          bool // GRUB's code in a BIOS boot partition of GPT: no file system
}

// Sector is the size of a sector in partition tables, in bytes.
const Sector = 512

// biosBoot is the partition type 21686148-6449-6E6F-744E-656564454649 in GPT's
// byte order (GRUB manual, "BIOS installation").
var biosBoot = [16]byte([]byte("Hah!IdontNeedEFI"))

// Partitions reads the partition table: GPT (UEFI specification, chapter 5) or
// the four primary entries of MBR. A disk without a table, or with an invalid
// one, is returned as a single partition.
func Partitions(src disk.Source) ([]Partition, error) {
	head := make([]byte, 2*Sector)
	if _, err := src.ReadAt(head, 0); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	var out []Partition
	add := func(n int, start, sectors uint64, boot bool) {
		size := uint64(src.Size()) / Sector
		if start > 0 && start < size && sectors > 0 && sectors <= size-start {
			out = append(out, Partition{fmt.Sprintf("partition %d", n), int64(start) * Sector, int64(sectors) * Sector, boot})
		}
	}
	le := binary.LittleEndian
	switch {
	case string(head[Sector:Sector+8]) == "EFI PART":
		if err := gpt(src, head[Sector:], add); err != nil {
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
		out = []Partition{{Name: "the whole disk", Length: src.Size()}}
	}
	return out, nil
}

// Reader returns the bytes of the partition.
func (p Partition) Reader(src disk.Source) io.ReaderAt { return section{src, p.Start} }

type section struct {
	src   disk.Source
	start int64
}

func (s section) ReadAt(p []byte, off int64) (int, error) { return s.src.ReadAt(p, s.start+off) }

// Stored returns the ranges of the partition that the disk stores, in bytes from its
// start; extents are all of the disk, ascending.
func (p Partition) Stored(extents []disk.Extent) []ext4.Range {
	out := []ext4.Range{}
	end := p.Start + p.Length
	i, _ := slices.BinarySearchFunc(extents, p.Start, func(e disk.Extent, at int64) int { return cmp.Compare(e.Offset+e.Length, at+1) })
	for ; i < len(extents) && extents[i].Offset < end; i++ {
		start := max(extents[i].Offset, p.Start)
		out = append(out, ext4.Range{Start: start - p.Start, Length: min(end, extents[i].Offset+extents[i].Length) - start})
	}
	return out
}

func gpt(src disk.Source, head []byte, add func(n int, start, sectors uint64, boot bool)) error {
	le := binary.LittleEndian
	at, count, size := le.Uint64(head[72:]), le.Uint32(head[80:]), le.Uint32(head[84:])
	if at > uint64(src.Size())/Sector || count > 1024 || size < 128 || size > 4096 {
		return nil // invalid: the whole disk is one area
	}
	table := make([]byte, count*size)
	if _, err := src.ReadAt(table, int64(at)*Sector); err != nil && !errors.Is(err, io.EOF) {
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
