package verify

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"ingot/backend"
	"ingot/backend/disk"
	"ingot/backend/evidence"
	"ingot/backend/limit"
	"ingot/backend/publish"
	"ingot/backend/secret"
)

// release verifies a published folder: the signature of SHA256SUMS, the digest of every
// file, the signature of every document, and that a proof is about the disk.
func (v *verification) release(ctx context.Context) error {
	sums, err := v.get(ctx, sumsName, limit.Document)
	if err != nil {
		return err
	}
	sig, err := v.get(ctx, sumsName+".minisig", limit.Settings)
	if err != nil {
		return err
	}
	id, ok := secret.VerifyMinisignAny(v.keys, sums, sig)
	if !ok {
		return &backend.VerifyError{Cause: "evidence.foreign-key", Msg: fmt.Sprintf("SHA256SUMS of %s is not signed by key %s: give the publisher's key with --key", v.base, strings.Join(slices.Sorted(maps.Keys(v.keys)), " or "))}
	}
	v.out.Key = id
	if err := v.checkPath(secret.MinisignComment(sig)); err != nil {
		return err
	}
	if err := v.files(ctx, sums); err != nil {
		return err
	}
	if len(v.out.Proofs) == 0 && !v.opt.Unproven {
		return &backend.VerifyError{Cause: "publish.unproven", Msg: v.base + " holds no signed proof that its disk boots"}
	}
	switch {
	case v.opt.Lima:
		return v.bootLima(ctx)
	case v.opt.Boot:
		return v.bootRemote(ctx)
	}
	return nil
}

const sumsName = "SHA256SUMS"

// checkPath compares the path in the signed comment of the signature with the path of
// the release. A release that was copied to the path of another target or version is
// refused.
func (v *verification) checkPath(comment string) error {
	dir, ok := strings.CutSuffix(comment, " "+sumsName)
	if !ok {
		return &backend.VerifyError{Cause: "evidence.misplaced", Msg: fmt.Sprintf("the signature of %s%s has the comment %.120q, which does not name a release", v.base, sumsName, comment)}
	}
	fits := strings.HasSuffix("/"+strings.Trim(v.path, "/"), "/"+dir)
	if v.names != nil {
		fits = v.names(dir)
	}
	if !fits {
		return &backend.VerifyError{Cause: "evidence.misplaced", Msg: fmt.Sprintf("%s is a copy of the release %s: verify it at a path that ends in that name", v.base, dir)}
	}
	return nil
}

// sizes returns the sizes of the release's files by name, from its manifest. sums is
// the signed list of digests, which must hold the manifest's.
func (v *verification) sizes(ctx context.Context, sums []byte) (map[string]int64, error) {
	text, err := v.get(ctx, manifestName, limit.Document)
	if err != nil {
		return nil, err
	}
	var m struct {
		Files []struct {
			Name string
			Size int64
		}
	}
	listed := strings.Contains("\n"+string(sums), fmt.Sprintf("\n%x  %s\n", sha256.Sum256(text), manifestName))
	if err := json.Unmarshal(text, &m); err != nil || !listed {
		return nil, &backend.VerifyError{Cause: "image.digest-changed", Msg: fmt.Sprintf("the digest of %s%s is not in the signed list", v.base, manifestName)}
	}
	out := map[string]int64{}
	for _, f := range m.Files {
		if f.Size < 0 || f.Size > largest {
			return nil, &backend.VerifyError{Cause: "evidence.unreadable", Msg: fmt.Sprintf("%s%s gives %.200q a size of %d bytes", v.base, manifestName, f.Name, f.Size)}
		}
		out[f.Name] = f.Size
	}
	return out, nil
}

const manifestName = "manifest.json"

// largest is the size in bytes of the largest file of a release that is believed.
const largest = 1 << 50

// files checks every file of the list and reads the evidence among them. For a pull,
// large files are left out: the disk that is proven is read later, and once.
func (v *verification) files(ctx context.Context, sums []byte) error {
	sizes, err := v.sizes(ctx, sums)
	if err != nil {
		return err
	}
	kept := map[string][]byte{} // documents and keys by name
	var disks []releasedDisk
	for _, line := range strings.Split(strings.TrimSpace(string(sums)), "\n") {
		want, name, ok := strings.Cut(line, "  ")
		if !ok || !filepath.IsLocal(filepath.FromSlash(name)) || !publish.IsSHA256(want) {
			return &backend.VerifyError{Cause: "evidence.unreadable", Msg: fmt.Sprintf("SHA256SUMS has a line %.200q", line)}
		}
		isDoc := strings.HasPrefix(name, "evidence/") && (strings.HasSuffix(name, ".json") || strings.HasSuffix(name, keySuffix))
		size, ok := sizes[name]
		if !ok || isDoc { // lists and the manifest itself have no size; a document is kept in memory
			size = limit.Document
		}
		if disk.BootableFile(name) {
			disks = append(disks, releasedDisk{name, want, size})
		}
		if v.pull && (size > limit.Document || disk.BootableFile(name)) {
			continue
		}
		text, err := v.compare(ctx, name, want, size, isDoc)
		if err != nil {
			return err
		}
		if isDoc {
			kept[name] = text
		}
	}
	docs, err := v.documents(ctx, kept)
	if err != nil {
		return err
	}
	v.disk = proven(disks, docs)
	v.out.SHA256 = v.disk.sha256
	v.take(docs, v.out.SHA256)
	return nil
}

// compare reads a file of at most size bytes and compares its digest. It returns the
// bytes if keep is set.
func (v *verification) compare(ctx context.Context, name, want string, size int64, keep bool) ([]byte, error) {
	var kept bytes.Buffer
	w := io.Discard
	if keep {
		w = &kept
	}
	got, err := v.fetch(ctx, name, size, w)
	if err != nil {
		return nil, err
	}
	if got != want {
		return nil, v.changed(name, got, want)
	}
	v.out.Files++
	return kept.Bytes(), nil
}

// changed is the error of a file with another digest than that of the signed list.
func (v *verification) changed(name, got, want string) error {
	return &backend.VerifyError{Cause: "image.digest-changed", Msg: fmt.Sprintf("%s%s has SHA-256 %s, the signed list says %s", v.base, name, got, want)}
}

const keySuffix = ".pub"

// documents parses the evidence of a release whose list is signed. Documents may be
// signed by earlier keys of the publisher: the signed list covers the public keys in
// the release.
func (v *verification) documents(ctx context.Context, kept map[string][]byte) ([]evidence.Document, error) {
	keys := maps.Clone(v.keys)
	for name, text := range kept {
		if !strings.HasSuffix(name, keySuffix) {
			continue
		}
		id, key, err := secret.ParsePublic(string(text))
		if err != nil {
			return nil, &backend.VerifyError{Cause: "evidence.unreadable", Msg: fmt.Sprintf("%s%s: %v", v.base, name, err)}
		}
		keys[id] = key
	}
	var docs []evidence.Document
	for _, name := range slices.Sorted(maps.Keys(kept)) {
		id, ok := strings.CutSuffix(path.Base(name), ".json")
		if !ok {
			continue
		}
		d := evidence.Open(ctx, kept[name], keys, id)
		if d.Unbelievable() { // a failure has no signature of its own; the signed list covers its bytes
			return nil, &backend.VerifyError{Cause: d.ProblemCause(), Msg: fmt.Sprintf("%s: %s", d.ID, d.Problem)}
		}
		v.out.Docs[d.ID] = string(d.Head.Kind)
		docs = append(docs, d)
	}
	return docs, nil
}

// releasedDisk is a disk of a release, by its name in the sums.
type releasedDisk struct {
	name, sha256 string
	size         int64 // upper bound, bytes
}

// proven returns the disk that a passed proof is about: a release may hold the same
// disk in several formats, of which one was booted. Without such a proof it returns the
// first disk.
func proven(disks []releasedDisk, docs []evidence.Document) releasedDisk {
	for _, one := range disks {
		for _, d := range docs {
			if evidence.Boots(d) && d.Subject().SHA256() == one.sha256 {
				return one
			}
		}
	}
	if len(disks) == 0 {
		return releasedDisk{}
	}
	return disks[0]
}

func (v *verification) get(ctx context.Context, name string, max int64) ([]byte, error) {
	var b bytes.Buffer
	_, err := v.fetch(ctx, name, max, &b)
	return b.Bytes(), err
}

// fetch writes a file of the release, of at most max bytes, to w and returns its
// digest.
func (v *verification) fetch(ctx context.Context, name string, max int64, w io.Writer) (string, error) {
	r, err := v.reader.Get(ctx, name, 0, max)
	if err != nil {
		return "", unread(err.Error(), err)
	}
	defer r.Close()
	sum := sha256.New()
	if _, err := io.Copy(io.MultiWriter(w, sum), r); err != nil {
		return "", v.cutOff(name, err)
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

// cutOff is the error of a file that was not read to its end.
func (v *verification) cutOff(name string, err error) error {
	message := fmt.Sprintf("%s%s: %v", v.base, name, err)
	if odd := (*limit.AnswerError)(nil); errors.As(err, &odd) {
		message = odd.Error() // it has the address
	}
	return unread(message, err)
}

// unread is the error of a file of a release that was not read: the server does not
// answer as it should, or answers more than such a file can be.
func unread(message string, err error) error {
	id := "publish.unreachable"
	if odd := (*limit.AnswerError)(nil); errors.As(err, &odd) && odd.TooLong {
		id = "publish.oversized"
	}
	return &backend.VerifyError{Cause: id, Msg: message}
}

// bootRemote downloads the disk and boots it on this computer.
func (v *verification) bootRemote(ctx context.Context) error {
	dir, err := os.MkdirTemp(v.Home.Cache, "verify-")
	if err != nil {
		return fmt.Errorf("verify: %w", err)
	}
	defer os.RemoveAll(dir)
	local := filepath.Join(dir, path.Base(v.disk.name))
	f, err := os.Create(local)
	if err != nil {
		return fmt.Errorf("verify: %w", err)
	}
	got, err := v.fetch(ctx, v.disk.name, v.disk.size, f)
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	if got != v.out.SHA256 {
		return &backend.VerifyError{Cause: "image.digest-changed", Msg: v.disk.name + " had other bytes when it was read again"}
	}
	return v.boot(ctx, local)
}
