package leak

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"

	"ingot/backend/disk"
	"ingot/backend/disk/files"
)

// magic is the magic number of a file system, or of a container of file
// systems, at an offset of its partition.
type magic struct {
	at    int64
	bytes string
	name  string
}

// magics are tried in order. Sources: Linux's headers
// (include/uapi/linux/magic.h, fs/), FreeBSD's sys/ufs/ffs/fs.h, OpenZFS's
// uberblock_impl.h, Apple's and Microsoft's format references.
var magics = []magic{
	{0, "LUKS\xba\xbe", "LUKS, encrypted"}, {512 + 24, "LVM2", "LVM"}, {0, "XFSB", "xfs"}, {0x10040, "_BHRfS_M", "btrfs"}, {0, "hsqs", "squashfs"},
	{0x8001, "CD001", "iso9660"}, {4086, "SWAPSPACE2", "swap"}, {4086, "SWAP-SPACE", "swap"}, {1024, "\x10\x20\xf5\xf2", "f2fs"}, {1024, "\xe2\xe1\xf5\xe0", "erofs"},
	{32, "NXSB", "APFS"}, {1024, "H+", "HFS+"}, {1024, "HX", "HFS+"}, {3, "NTFS    ", "NTFS"}, {3, "EXFAT   ", "exFAT"}, {3, "-FVE-FS-", "BitLocker, encrypted"},
	{4096, "\xfc\x4e\x2b\xa9", "Linux RAID"}, {0x1018, "\xc6\x85\x73\xf6", "bcachefs"}, {0, "ReIsErFs", "reiserfs"}, {0x10034, "ReIsEr", "reiserfs"}, {0x8000, "JFS1", "jfs"},
	{82, "FAT32", "vfat"}, {54, "FAT1", "vfat"}, {52, "FAT12", "vfat"},
	{0x20000, "\x0c\xb1\xba\x00", "ZFS"}, {0x20000, "\x00\x00\x00\x00\x00\xba\xb1\x0c", "ZFS"},
}

// superblocks are the offsets at which FFS searches its superblock
// (SBLOCKSEARCH in FreeBSD's sys/ufs/ffs/fs.h); ufsMagic is the offset of the
// magic number in it.
var superblocks = []int64{65536, 8192, 0, 262144}

const ufsMagic = 1372

// ufsMagics are UFS1's 0x011954 and UFS2's 0x19540119, in both byte orders.
var ufsMagics = []string{"\x54\x19\x01\x00", "\x00\x01\x19\x54", "\x19\x01\x54\x19", "\x19\x54\x01\x19"}

// sniff names a file system other than ext4 by its magic number, also in the
// slices of a BSD disklabel. It returns "empty" for a partition of zeros and
// "unknown" for anything else.
func sniff(src disk.Source, p files.Partition) (string, error) {
	if name, err := sniffAt(src, p.Start, p.Start+p.Length); name != "" || err != nil {
		return name, err
	}
	for _, start := range labelled(src, p) {
		if name, err := sniffAt(src, start, p.Start+p.Length); name != "" || err != nil {
			return name, err
		}
	}
	empty, err := isEmpty(src, p)
	if empty {
		return "empty", err
	}
	return "unknown", err
}

// sniffAt names the file system that starts at start, or returns "".
func sniffAt(src disk.Source, start, end int64) (string, error) {
	has := func(at int64, text string) (bool, error) {
		b := make([]byte, len(text))
		if start+at+int64(len(b)) > end {
			return false, nil
		}
		_, err := src.ReadAt(b, start+at)
		if err == io.EOF {
			err = nil
		}
		return err == nil && string(b) == text, err
	}
	for _, m := range magics {
		if ok, err := has(m.at, m.bytes); ok || err != nil {
			return m.name, err
		}
	}
	for i := range int64(128) { // an array of uberblocks of at least 1 KiB each
		if ok, err := has(0x20000+i<<10, "\x0c\xb1\xba\x00"); ok || err != nil {
			return "ZFS", err
		}
	}
	for _, at := range superblocks {
		for _, m := range ufsMagics {
			if ok, err := has(at+ufsMagic, m); ok || err != nil {
				return "UFS", err
			}
		}
	}
	return "", nil
}

// labelled returns the offsets of the partitions of a BSD disklabel. They count
// from the start of the disk, or on some systems from the start of the slice
// (FreeBSD's sys/disk/bsd.h).
func labelled(src disk.Source, p files.Partition) (starts []int64) {
	const (
		labelMagic = 0x82564557
		count      = 138 // d_npartitions
		table      = 148 // d_partitions, 16 bytes each: sectors, first sector, …
	)
	label := make([]byte, files.Sector)
	if _, err := src.ReadAt(label, p.Start+files.Sector); err != nil {
		return nil
	}
	le := binary.LittleEndian
	if le.Uint32(label) != labelMagic || le.Uint32(label[132:]) != labelMagic {
		return nil
	}
	for i := range min(int(le.Uint16(label[count:])), (files.Sector-table)/16) {
		e := label[table+16*i:]
		if le.Uint32(e) == 0 {
			continue
		}
		off := int64(le.Uint32(e[4:])) * files.Sector
		for _, start := range []int64{off, p.Start + off} {
			if start >= p.Start && start < p.Start+p.Length {
				starts = append(starts, start)
			}
		}
	}
	return starts
}

// isEmpty reports whether a partition contains only zeros. It skips holes, and
// stops at the first other byte.
func isEmpty(src disk.Source, p files.Partition) (bool, error) {
	zeros, buf := make([]byte, 1<<20), make([]byte, 1<<20)
	for e, err := range src.Extents() {
		if err != nil {
			return false, fmt.Errorf("look for data: %w", err)
		}
		from, to := max(e.Offset, p.Start), min(e.Offset+e.Length, p.Start+p.Length)
		for off := from; off < to; off += int64(len(buf)) {
			b := buf[:min(int64(len(buf)), to-off)]
			if _, err := src.ReadAt(b, off); err != nil && err != io.EOF {
				return false, err
			}
			if !bytes.Equal(b, zeros[:len(b)]) {
				return false, nil
			}
		}
	}
	return true, nil
}
