package build

import (
	"context"

	"ingot/backend/build/outputs"
	"ingot/backend/evidence"
	"ingot/backend/leak"
)

// leaksIn returns the scan of the disk to export; the documents of the exported files
// contain it.
func leaksIn(ctx context.Context, img outputs.Output) (*evidence.Leaks, error) {
	leaks, err := leak.ScanFile(ctx, img.File("disk.raw"), nil)
	if err != nil {
		return nil, err
	}
	leaks.Digest = img.Files["disk.raw"]
	return leaks, nil
}
