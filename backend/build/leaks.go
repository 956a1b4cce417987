package build

import (
	"context"

	"ingot/backend/build/outputs"
	"ingot/backend/disk"
	"ingot/backend/evidence"
	"ingot/backend/leak"
)

// Scan searches a disk image, qcow2 or raw and without a backing file, for leaks. An
// image that cannot be read is an error with its cause. progress may be nil.
func Scan(ctx context.Context, file string, progress func(done, total int64)) (*evidence.Leaks, error) {
	pack, err := leak.Shipped()
	if err != nil {
		return nil, err
	}
	src, err := disk.Open(file)
	if err != nil {
		return nil, disk.WithCause(err)
	}
	defer src.Close()
	return pack.Scan(ctx, src, progress)
}

// leaksIn returns the scan of the disk to export; the documents of the exported files
// contain it.
func leaksIn(ctx context.Context, img outputs.Output) (*evidence.Leaks, error) {
	leaks, err := Scan(ctx, img.File("disk.raw"), nil)
	if err != nil {
		return nil, err
	}
	leaks.Digest = img.Files["disk.raw"]
	return leaks, nil
}

// leakRules returns the version of the rules, an input of the export step.
func leakRules() string {
	pack, err := leak.Shipped()
	if err != nil {
		return "unreadable: " + err.Error()
	}
	return pack.ID()
}
