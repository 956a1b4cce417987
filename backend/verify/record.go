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

// readRecord returns the content of a file that claims to be a record of mac-proof, else
// nil. A file that cannot be read is none: what reads it next reports why.
func readRecord(file string) []byte {
	if filepath.Ext(file) != ".json" {
		return nil
	}
	data, err := limit.ReadFile(file, limit.Document)
	if err != nil || !macproof.Is(data) {
		return nil
	}
	return data
}

// record checks a record of mac-proof: who signed it, and that it leaves nothing out.
func (v *verification) record(ctx context.Context, data []byte) error {
	if v.opt.Boot || v.opt.Lima {
		return &backend.NothingToDoError{Msg: "a record of mac-proof is no disk: it cannot be booted"}
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
