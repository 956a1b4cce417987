package verify

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"path/filepath"

	"ingot/backend"
	"ingot/backend/limit"
	"ingot/backend/macproof"
)

// isRecord reports whether a file is a record of mac-proof. One that cannot be read is
// none: what reads it next reports why.
func isRecord(file string) bool {
	if filepath.Ext(file) != ".json" {
		return false
	}
	data, err := limit.ReadFile(file, limit.Document)
	return err == nil && macproof.Is(data)
}

// record checks a record of mac-proof: who signed it, and that it leaves nothing out.
func (v *verification) record(ctx context.Context) error {
	if v.opt.Boot || v.opt.Lima {
		return &backend.NothingToDoError{Msg: "a record of mac-proof is no disk: it cannot be booted"}
	}
	data, err := limit.ReadFile(v.opt.Subject, limit.Document)
	if err != nil {
		return &backend.FileError{File: v.opt.Subject, Err: err}
	}
	r, d, err := macproof.Open(ctx, data, v.keys)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(data)
	v.out.SHA256, v.out.Key, v.out.Files, v.out.Record = hex.EncodeToString(sum[:]), d.KeyID, 1, &r
	v.out.Docs[d.ID] = string(d.Head.Kind)
	return nil
}
