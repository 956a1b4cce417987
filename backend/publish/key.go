package publish

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"fmt"
	"path"
	"time"

	"ingot/backend/secret"
)

const (
	publicKeyName = "ingot.pub"
	keyMedia      = "text/plain"
)

// signature signs a checksum list. An existing signature is kept if one of the
// publisher's keys made it, so that an interrupted publish can be repeated after a
// change of the key.
func (p *publishing) signature(ctx context.Context, list string, text []byte) ([]byte, error) {
	there, _, ok, err := p.Get(ctx, path.Join(p.dir, list+".minisig"))
	if err != nil {
		return nil, fmt.Errorf("%s.minisig: %w", list, err)
	}
	keys := p.opt.Keys
	if _, draft := p.Store.(Draft); draft { // its ingot.pub is that of the present key
		id, key, err := secret.ParsePublic(p.opt.Signer.MinisignPublic())
		if err != nil {
			return nil, err
		}
		keys = map[string]ed25519.PublicKey{id: key}
	}
	if _, ours := secret.VerifyMinisignAny(keys, text, there); ok && ours {
		return there, nil
	}
	return p.opt.Signer.MinisignSign(text, p.dir+" "+list), nil
}

// publicKey writes ingot.pub to the prefix; readers trust it for every release. An
// earlier key of the publisher is replaced, and kept for the releases that it signed;
// another publisher's key there is a conflict.
func (p *publishing) publicKey(ctx context.Context) error {
	ours := []byte(p.opt.Signer.MinisignPublic())
	if err := p.keep(ctx, publicKeyName, ours); err != nil {
		return err
	}
	err := p.update(ctx, publicKeyName, keyMedia, func(there []byte) ([]byte, error) {
		if len(there) == 0 || bytes.Equal(there, ours) { // a store of files may have no object while another publish writes it
			return ours, nil
		}
		return ours, p.retire(ctx, there)
	})
	if err != nil {
		return fmt.Errorf("%s: %w", publicKeyName, err)
	}
	return p.holds(ctx, publicKeyName, ours)
}

// retire keeps an earlier key of the publisher as keys/<key id>.pub.
func (p *publishing) retire(ctx context.Context, text []byte) error {
	id, key, err := secret.ParsePublic(string(text))
	if err != nil || !p.opt.Keys[id].Equal(key) {
		return &Error{Cause: "publish.conflict", Msg: "the prefix has the ingot.pub of another publisher", Fix: "publish under another prefix, or with that publisher's home"}
	}
	name := path.Join("keys", id+".pub")
	if err := p.keep(ctx, name, text); err != nil {
		return err
	}
	return p.holds(ctx, name, text)
}

// keep writes a key create-only; an existing object is kept.
func (p *publishing) keep(ctx context.Context, name string, text []byte) error {
	f := File{Name: name, Data: text, MediaType: keyMedia}
	want, err := DigestFile(f)
	if err == nil {
		_, err = p.Create(ctx, name, f, want, nil)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// absentTries and absentPause bound the wait for an object that another publish is
// writing.
const (
	absentTries = 10
	absentPause = 50 * time.Millisecond
)

// holds reads an object back and compares it with the bytes that were written.
func (p *publishing) holds(ctx context.Context, name string, want []byte) error {
	got, _, ok, err := p.Get(ctx, name)
	for try := 1; err == nil && !ok && try < absentTries; try++ {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(absentPause):
		}
		got, _, ok, err = p.Get(ctx, name)
	}
	if err != nil {
		return fmt.Errorf("read back %s: %w", name, err)
	}
	if !ok || !bytes.Equal(got, want) {
		return &Error{Cause: "publish.conflict", Msg: name + " does not have the bytes that were written: another publisher uses this prefix", Fix: "publish under another prefix"}
	}
	return nil
}
