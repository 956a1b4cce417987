package backend

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"ingot/backend/cause"
	"ingot/backend/evidence"
	"ingot/backend/fetch"
	"ingot/backend/proof"
	"ingot/backend/secret"
	"ingot/backend/target"
)

// VerifyOptions say what to verify.
type VerifyOptions struct {
	Subject string // a file, or the address of a published release
	KeyFile string // the publisher's ingot.pub; "" accepts this home's keys, the earlier ones too
	Boot    bool   // boot the disk again
	Lima    bool   // by limactl, from the release's own template: the Subject must be an address
	Notify  func(msg string)
}

// Verified is what a verification found to be so.
type Verified struct {
	Subject string            `json:"subject"`
	SHA256  string            `json:"sha256"`
	Key     string            `json:"key"`
	Files   int               `json:"files"` // whose digests were compared
	Proofs  []string          `json:"proofs"`
	Docs    map[string]string `json:"evidence"`         // id → kind
	Booted  string            `json:"booted,omitempty"` // evidence id of the boot made now
}

// VerifyError says what does not fit.
type VerifyError struct{ Cause, Msg string }

func (e *VerifyError) Error() string { return e.Msg }

// CauseID is the cause's id, for package build's table.
func (e *VerifyError) CauseID() string { return e.Cause }

// Verify checks digests, signatures and proof of a file or a release.
func (b *Backend) Verify(ctx context.Context, opt VerifyOptions) (Verified, error) {
	if opt.Notify == nil {
		opt.Notify = func(string) {}
	}
	id, keys, err := b.believed(opt.KeyFile)
	if err != nil {
		return Verified{}, err
	}
	address := strings.HasPrefix(opt.Subject, "http://") || strings.HasPrefix(opt.Subject, "https://")
	if opt.Lima && !address {
		return Verified{}, &NothingToDoError{"limactl starts what is published: give the address of a release"}
	}
	if address && opt.KeyFile == "" {
		keys = b.own // a worker of the team publishes nothing
	}
	v := &verification{Backend: b, opt: opt, keys: keys, out: Verified{Subject: opt.Subject, Key: id, Docs: map[string]string{}}}
	if address {
		err = v.release(ctx)
	} else {
		err = v.file(ctx)
	}
	return v.out, err
}

// believed are the keys to verify with: the one in the file, or all of this
// home; and the id of the one that is named before a signature tells better.
func (b *Backend) believed(file string) (id string, keys evidence.Keys, err error) {
	if file == "" {
		return b.signer.KeyID(), b.Keys(), nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return "", nil, &VerifyError{"evidence.foreign-key", fmt.Sprintf("the key file cannot be read: %v", err)}
	}
	id, pub, err := secret.ParsePublic(string(text))
	if err != nil {
		return "", nil, &VerifyError{"evidence.foreign-key", fmt.Sprintf("%s: %v", file, err)}
	}
	return id, evidence.Keys{id: pub}, nil
}

type verification struct {
	*Backend
	opt   VerifyOptions
	keys  evidence.Keys
	out   Verified
	disk  releasedDisk // the one that is proven
	base  string
	proof *evidence.Proof
}

// file verifies a local file against this home's ledger.
func (v *verification) file(ctx context.Context) error {
	sum, err := fetch.Digest(v.opt.Subject)
	if err != nil {
		return &FileError{v.opt.Subject, cause.With("image.missing", err)}
	}
	v.out.SHA256, v.out.Files = sum, 1
	names, err := v.ledger.Targets()
	if err != nil {
		return err
	}
	for _, n := range names {
		builds, err := v.ledger.Builds(n)
		if err != nil {
			return err
		}
		for _, bd := range builds {
			docs, err := bd.Evidence(ctx, v.keys)
			if err != nil {
				return err
			}
			v.take(docs, sum)
		}
	}
	if v.opt.Boot {
		return v.boot(ctx, v.opt.Subject)
	}
	if len(v.out.Proofs) == 0 {
		return &VerifyError{"image.digest-changed", fmt.Sprintf("no signed proof of SHA-256 %s is known here: nobody can say that this file boots; `ingot prove %s` finds out", sum, v.opt.Subject)}
	}
	return nil
}

// take collects signed documents about the digest.
func (v *verification) take(docs []evidence.Document, sum string) {
	for _, d := range docs {
		if d.Trust != evidence.Signed || d.Subject().SHA256() != sum {
			continue
		}
		v.out.Docs[d.ID] = string(d.Head.Kind)
		var p evidence.Proof
		if isProof(d) && d.Decode(&p) == nil {
			v.out.Proofs = append(v.out.Proofs, d.ID)
			v.proof = &p
			if v.base == "" { // a release's key is that of its sums
				v.out.Key = d.KeyID
			}
		}
	}
}

// release verifies a published folder: signature of the sums, every file's
// digest, every document's signature, and that a proof is about the disk.
func (v *verification) release(ctx context.Context) error {
	u, err := url.Parse(v.opt.Subject)
	if err != nil {
		return &VerifyError{"publish.unreachable", err.Error()}
	}
	if !strings.HasSuffix(u.Path, "/") && path.Ext(u.Path) != "" {
		u.Path = path.Dir(u.Path)
	}
	v.base = strings.TrimSuffix(u.String(), "/") + "/"
	sums, err := v.get(ctx, "SHA256SUMS")
	if err != nil {
		return err
	}
	sig, err := v.get(ctx, "SHA256SUMS.minisig")
	if err != nil {
		return err
	}
	id, ok := secret.VerifyMinisignAny(v.keys, sums, sig)
	if !ok {
		return &VerifyError{"evidence.foreign-key", fmt.Sprintf("SHA256SUMS of %s is not signed by key %s: give the publisher's key with --key", v.base, strings.Join(slices.Sorted(maps.Keys(v.keys)), " or "))}
	}
	v.out.Key = id
	if err := v.files(ctx, sums); err != nil {
		return err
	}
	if len(v.out.Proofs) == 0 {
		return &VerifyError{"publish.unproven", v.base + " holds no signed proof that its disk boots"}
	}
	switch {
	case v.opt.Lima:
		return v.bootLima(ctx)
	case v.opt.Boot:
		return v.bootRemote(ctx)
	}
	return nil
}

// files compares every file of the sums and reads the evidence among them.
func (v *verification) files(ctx context.Context, sums []byte) error {
	kept := map[string][]byte{} // documents and keys by name
	var disks []releasedDisk
	for _, line := range strings.Split(strings.TrimSpace(string(sums)), "\n") {
		want, name, ok := strings.Cut(line, "  ")
		if !ok || !filepath.IsLocal(filepath.FromSlash(name)) {
			return &VerifyError{"evidence.unreadable", fmt.Sprintf("SHA256SUMS has a line %q", line)}
		}
		var keep bytes.Buffer
		isDoc := strings.HasPrefix(name, "evidence/") && (strings.HasSuffix(name, ".json") || strings.HasSuffix(name, keySuffix))
		w := io.Discard
		if isDoc {
			w = &keep
		}
		got, err := v.fetch(ctx, name, w)
		if err != nil {
			return err
		}
		if got != want {
			return &VerifyError{"image.digest-changed", fmt.Sprintf("%s%s has SHA-256 %s, the signed list says %s", v.base, name, got, want)}
		}
		v.out.Files++
		if isDoc {
			kept[name] = keep.Bytes()
		}
		if strings.HasSuffix(name, ".qcow2") || strings.HasSuffix(name, ".raw") {
			disks = append(disks, releasedDisk{name, got})
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

const keySuffix = ".pub"

// documents opens the evidence of a release whose list is signed. Documents may
// be signed by keys that the publisher had before: the list vouches for those
// that the release holds.
func (v *verification) documents(ctx context.Context, kept map[string][]byte) ([]evidence.Document, error) {
	keys := maps.Clone(v.keys)
	for name, text := range kept {
		if !strings.HasSuffix(name, keySuffix) {
			continue
		}
		id, key, err := secret.ParsePublic(string(text))
		if err != nil {
			return nil, &VerifyError{"evidence.unreadable", fmt.Sprintf("%s%s: %v", v.base, name, err)}
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
		if d.Unbelievable() { // a failure carries no signature; the list vouches for its bytes
			return nil, &VerifyError{d.ProblemCause(), fmt.Sprintf("%s: %s", d.ID, d.Problem)}
		}
		v.out.Docs[d.ID] = string(d.Head.Kind)
		docs = append(docs, d)
	}
	return docs, nil
}

// releasedDisk is a disk of a release, by its name in the sums.
type releasedDisk struct{ name, sha256 string }

// proven picks the disk that a passed proof is about: a release may hold the
// same disk in several formats, and one of them was booted. Where none was, it
// is the first.
func proven(disks []releasedDisk, docs []evidence.Document) releasedDisk {
	for _, one := range disks {
		for _, d := range docs {
			if isProof(d) && d.Subject().SHA256() == one.sha256 {
				return one
			}
		}
	}
	if len(disks) == 0 {
		return releasedDisk{}
	}
	return disks[0]
}

// isProof tells whether the document is signed evidence of a boot.
func isProof(d evidence.Document) bool {
	return d.Trust == evidence.Signed && d.Head.Kind == evidence.KindProof && d.Head.Verdict == evidence.Passed
}

func (v *verification) get(ctx context.Context, name string) ([]byte, error) {
	var b bytes.Buffer
	_, err := v.fetch(ctx, name, &b)
	return b.Bytes(), err
}

// fetch reads a file of the release into w and returns its digest.
func (v *verification) fetch(ctx context.Context, name string, w io.Writer) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, v.base+name, nil)
	if err != nil {
		return "", err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", &VerifyError{"publish.unreachable", fmt.Sprintf("%s%s cannot be read: %v", v.base, name, err)}
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return "", &VerifyError{"publish.unreachable", fmt.Sprintf("%s%s answers %s", v.base, name, resp.Status)}
	}
	sum := sha256.New()
	if _, err := io.Copy(io.MultiWriter(w, sum), resp.Body); err != nil {
		return "", &VerifyError{"publish.unreachable", fmt.Sprintf("%s%s: %v", v.base, name, err)}
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

// bootRemote downloads the disk and boots it here.
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
	got, err := v.fetch(ctx, v.disk.name, f)
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	if got != v.out.SHA256 {
		return &VerifyError{"image.digest-changed", v.disk.name + " gave other bytes at the second reading"}
	}
	return v.boot(ctx, local)
}

// boot makes a proof of the file now, asking for the kernel that the known
// proof is about.
func (v *verification) boot(ctx context.Context, file string) error {
	spec := proof.Spec{SHA256: v.out.SHA256, Notify: v.opt.Notify}
	if v.proof != nil {
		spec.Release, spec.BuildID = v.proof.WantRelease, v.proof.WantBuildID
	}
	d, p, err := v.ProveFile(ctx, file, "", spec)
	if err != nil {
		return err
	}
	v.out.Booted = d.ID
	if p.Verdict != evidence.Passed {
		return &VerifyError{p.Cause, fmt.Sprintf("%s did not boot: %s", filepath.Base(file), p.Message)}
	}
	return nil
}

// ProveFile boots any qcow2 or raw image. arch "" is read from its name, else
// arm64. spec's image, booter and folder are filled in.
func (b *Backend) ProveFile(ctx context.Context, file, arch string, spec proof.Spec) (evidence.Document, evidence.Proof, error) {
	if spec.Recipe.Memory == 0 {
		spec.Recipe = b.proofRecipe()
	}
	return b.line().ProveFile(ctx, file, archOf(file, arch), spec)
}

// proofRecipe is memory and deadlines for images of no target: those of the
// shipped one, without its smoke checks.
func (b *Backend) proofRecipe() target.Proof {
	for _, n := range b.targets.Names() {
		if r, err := b.targets.Get(n); err == nil {
			p := r.Proof
			p.Smoke = target.Smoke{}
			return p
		}
	}
	return target.Proof{Memory: 1 << 30, CPUs: 2}
}
