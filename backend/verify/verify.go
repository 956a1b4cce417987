// Package verify checks a file or a published release again: digests, signatures and
// evidence, optionally with a boot on this computer or by Lima, and the scan for
// secrets.
package verify

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"strings"

	"ingot/backend"
	"ingot/backend/cause"
	"ingot/backend/evidence"
	"ingot/backend/fetch"
	"ingot/backend/macproof"
	"ingot/backend/proof"
	"ingot/backend/publish"
	"ingot/backend/publish/folder"
	"ingot/backend/publish/github"
	"ingot/backend/secret"
)

// Options are the options of Check.
type Options struct {
	Subject string // a file, or the address of a published release
	KeyFile string // the publisher's ingot.pub; "" accepts this home's keys, including earlier ones
	Boot    bool   // boot the disk again
	Lima    bool   // boot it by limactl, from the release's own template: Subject must be an address

	Unproven bool // accept a release without a proof that its disk boots
	Notify   func(msg string)
}

// Verified is the result of a verification.
type Verified struct {
	Subject string            `json:"subject"`
	SHA256  string            `json:"sha256"`
	Key     string            `json:"key"`
	Files   int               `json:"files"` // number of files whose digests were compared
	Proofs  []string          `json:"proofs"`
	Docs    map[string]string `json:"evidence"`         // id → kind
	Booted  string            `json:"booted,omitempty"` // evidence id of the boot of this verification
	Record  *macproof.Record  `json:"record,omitempty"` // the subject itself, if it is a record of mac-proof
}

// Check checks the digests, signatures and proof of a file or a release.
func Check(ctx context.Context, b *backend.Backend, opt Options) (Verified, error) {
	v, address, err := begin(b, opt)
	if err != nil {
		return Verified{}, err
	}
	if opt.Lima && !address {
		return Verified{}, &backend.NothingToDoError{Msg: "limactl can start only a published release: give its address"}
	}
	if address {
		err = v.release(ctx)
	} else if record := readRecord(v.opt.Subject); record != nil {
		err = v.record(ctx, record)
	} else {
		err = v.file(ctx)
	}
	return v.out, err
}

// begin opens the subject; release is false if that is a single file.
func begin(b *backend.Backend, opt Options) (v *verification, release bool, err error) {
	if opt.Notify == nil {
		opt.Notify = func(string) {}
	}
	id, keys, err := trustedKeys(b, opt.KeyFile)
	if err != nil {
		return nil, false, err
	}
	v = &verification{Backend: b, opt: opt, keys: keys, out: Verified{Subject: opt.Subject, Key: id, Docs: map[string]string{}}}
	if release, err = v.open(); err != nil {
		return nil, false, err
	}
	if release && opt.KeyFile == "" {
		v.keys = b.OwnKeys // workers publish nothing
	}
	return v, release, nil
}

// open opens the release that the subject names by an http or https address, a file
// address, or a folder. It returns false if the subject is a single file.
func (v *verification) open() (release bool, err error) {
	subject := v.opt.Subject
	if dir, ok := strings.CutPrefix(subject, "file://"); ok {
		if subject, err = url.PathUnescape(dir); err != nil {
			return false, &backend.FileError{File: v.opt.Subject, Err: err}
		}
	}
	if name, ok := strings.CutPrefix(subject, github.Scheme+":"); ok {
		r, err := github.OpenRelease(name)
		if err != nil {
			return false, err
		}
		v.base, v.reader, v.names = r.Base(), r, r.Names
		return true, nil
	}
	if strings.HasPrefix(subject, "http://") || strings.HasPrefix(subject, "https://") {
		u, err := url.Parse(subject)
		if err != nil {
			return false, &backend.VerifyError{Cause: "publish.unreachable", Msg: err.Error()}
		}
		if !strings.HasSuffix(u.Path, "/") && path.Ext(u.Path) != "" {
			u.Path = path.Dir(u.Path)
		}
		v.base = strings.TrimSuffix(u.String(), "/") + "/"
		v.reader, v.path = publish.HTTPReader{Base: v.base}, u.Path
		return true, nil
	}
	if info, err := os.Stat(subject); err == nil && info.IsDir() {
		v.base = strings.TrimSuffix(v.opt.Subject, "/") + "/"
		v.reader, v.path = folder.Reader{Dir: subject}, filepath.ToSlash(subject)
		if abs, err := filepath.Abs(subject); err == nil {
			v.path = filepath.ToSlash(abs)
		}
		return true, nil
	}
	v.opt.Subject = subject
	return false, nil
}

// trustedKeys returns the keys to verify with: the one in the file, or all keys of this
// home. id is the key to report as long as no signature was checked.
func trustedKeys(b *backend.Backend, file string) (id string, keys evidence.Keys, err error) {
	if file == "" {
		return b.Signer.KeyID(), b.Keys, nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return "", nil, &backend.VerifyError{Cause: "evidence.foreign-key", Msg: fmt.Sprintf("the key file cannot be read: %v", err)}
	}
	id, pub, err := secret.ParsePublic(string(text))
	if err != nil {
		return "", nil, &backend.VerifyError{Cause: "evidence.foreign-key", Msg: fmt.Sprintf("%s: %v", file, err)}
	}
	return id, evidence.Keys{id: pub}, nil
}

type verification struct {
	*backend.Backend
	opt    Options
	keys   evidence.Keys
	out    Verified
	disk   releasedDisk          // the disk of the proof
	base   string                // address of the release, with the final slash; "" for a file
	path   string                // path of the release's address
	names  func(dir string) bool // reports whether a release's folder fits the address; nil compares it with the end of path
	reader publish.Reader        // of the release
	proof  *evidence.Proof
	pull   bool // leave large files out; see files
}

// file verifies a local file against this home's evidence.
func (v *verification) file(ctx context.Context) error {
	sum, err := fetch.Digest(v.opt.Subject)
	if err != nil {
		return &backend.FileError{File: v.opt.Subject, Err: cause.With("image.missing", err)}
	}
	v.out.SHA256, v.out.Files = sum, 1
	names, err := v.Ledger.Targets()
	if err != nil {
		return err
	}
	for _, n := range names {
		past, err := v.Ledger.History(ctx, n, v.keys)
		if err != nil {
			return err
		}
		docs, err := past.Evidence(ctx)
		if err != nil {
			return err
		}
		v.take(docs, sum)
	}
	if v.opt.Boot {
		return v.boot(ctx, v.opt.Subject)
	}
	if len(v.out.Proofs) == 0 {
		return &backend.VerifyError{Cause: "image.digest-changed", Msg: fmt.Sprintf("no signed proof of SHA-256 %s is known here, so it is unknown whether this file boots: run `ingot prove %s`", sum, v.opt.Subject)}
	}
	return nil
}

// take adds the signed documents about the digest to the result.
func (v *verification) take(docs []evidence.Document, sum string) {
	for _, d := range docs {
		if d.Trust != evidence.Signed || d.Subject().SHA256() != sum {
			continue
		}
		v.out.Docs[d.ID] = string(d.Head.Kind)
		var p evidence.Proof
		if evidence.Boots(d) && d.Decode(&p) == nil {
			v.out.Proofs = append(v.out.Proofs, d.ID)
			v.proof = &p
			if v.base == "" { // the key of a release is that of its list
				v.out.Key = d.KeyID
			}
		}
	}
}

// boot boots the file now. If a known proof is about a certain kernel, that kernel must
// run.
func (v *verification) boot(ctx context.Context, file string) error {
	spec := proof.Spec{SHA256: v.out.SHA256, Notify: v.opt.Notify}
	if v.proof != nil {
		spec.Release, spec.BuildID = v.proof.WantRelease, v.proof.WantBuildID
	}
	d, p, err := ProveFile(ctx, v.Backend, file, "", spec)
	if err != nil {
		return err
	}
	v.out.Booted = d.ID
	if p.Verdict != evidence.Passed {
		return &backend.VerifyError{Cause: p.Cause, Msg: fmt.Sprintf("%s did not boot: %s", filepath.Base(file), p.Message)}
	}
	return nil
}

// Believable returns nil for a document that is intact, and signed if its verdict is a
// pass.
func Believable(d evidence.Document) error {
	if d.Trust == evidence.Tampered || d.Trust == evidence.Foreign {
		return &backend.VerifyError{Cause: d.ProblemCause(), Msg: d.ID + ": " + d.Problem}
	}
	return nil
}
