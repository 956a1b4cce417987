package leak

import (
	"cmp"
	"fmt"
	"slices"

	"ingot/backend/disk"
	"ingot/backend/disk/ext4"
	"ingot/backend/disk/files"
)

// AllRead reports whether every partition of a disk is an ext4 that can be read, or has no
// files of a system: swap, an EFI system partition, boot code, nothing.
func AllRead(src disk.Source) (bool, error) {
	parts, err := files.Partitions(src)
	if err != nil {
		return false, err
	}
	for _, p := range parts {
		if _, err := ext4.Open(p.Reader(src), p.Length); err == nil {
			continue
		}
		name, err := sniff(src, p)
		if err != nil {
			return false, err
		}
		if !searched[name] && !p.Boot {
			return false, nil
		}
	}
	return true, nil
}

// Free returns the ranges of a disk that no file has, of those file systems that can be
// read: ext4 that was unmounted. They may contain what was deleted.
func Free(src disk.Source) (out []disk.Extent, err error) {
	parts, err := files.Partitions(src)
	if err != nil {
		return nil, err
	}
	slices.SortFunc(parts, func(a, b files.Partition) int { return cmp.Compare(a.Start, b.Start) })
	end := int64(0)
	for _, p := range parts {
		f, err := ext4.Open(p.Reader(src), p.Length)
		if err != nil || p.Start < end { // another file system, or partitions that overlap
			continue
		}
		free, err := f.Free()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", p.Name, err)
		}
		for _, r := range free {
			out = append(out, disk.Extent{Offset: p.Start + r.Start, Length: r.Length})
		}
		end = p.Start + p.Length
	}
	return out, nil
}
