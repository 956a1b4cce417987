package record

import (
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"io"
	"os"
	"path/filepath"

	"ingot/backend/evidence"
)

// KeepTaken records a file that was exported from a VM: its digests, the method of the
// export, and the result of the leak scan.
func (h Home) KeepTaken(ctx context.Context, file string, a evidence.Artifact) (evidence.Document, evidence.Artifact, error) {
	folder, err := h.FilesFolder()
	if err != nil {
		return evidence.Document{}, a, err
	}
	sum, err := sums(ctx, file, &a)
	if err != nil {
		return evidence.Document{}, a, err
	}
	a.Name = filepath.Base(file)
	if a.Leaks != nil {
		a.Leaks.Digest = sum
	}
	a.Head = h.FileHead(folder, evidence.Head{Kind: evidence.KindArtifact, Verdict: evidence.Passed, InputKey: Key("take/1", sum)})
	d, err := h.KeepFile(ctx, folder, evidence.Subject{Name: a.Name, Digest: map[string]string{"sha256": sum, "sha512": a.SHA512}}, a.Head, a)
	return d, a, err
}

// sums reads the file once for both digests and its size.
func sums(ctx context.Context, file string, a *evidence.Artifact) (string, error) {
	f, err := os.Open(file)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h256, h512 := sha256.New(), sha512.New()
	stop := context.AfterFunc(ctx, func() { _ = f.Close() })
	defer stop()
	if a.Size, err = io.Copy(io.MultiWriter(h256, h512), f); err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return "", err
	}
	a.SHA512 = hex.EncodeToString(h512.Sum(nil))
	return hex.EncodeToString(h256.Sum(nil)), nil
}
