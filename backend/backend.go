// Package backend opens a home and holds what the packages that work on it
// share.
//
// A Backend is one open home. Its methods are safe for concurrent use. Those
// that change the home take its lock, so that only one process builds at a
// time. The package imports no user interface and stores no status: package
// status derives it from the ledger at every call.
package backend

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"time"

	"ingot/backend/api"
	"ingot/backend/build"
	"ingot/backend/build/outputs"
	"ingot/backend/build/recovery"
	"ingot/backend/cause"
	"ingot/backend/client"
	"ingot/backend/event"
	"ingot/backend/evidence"
	families "ingot/backend/family/all"
	"ingot/backend/guest"
	"ingot/backend/guest/all"
	"ingot/backend/guest/forge"
	"ingot/backend/guest/lima"
	"ingot/backend/home"
	"ingot/backend/publish"
	publishers "ingot/backend/publish/all"
	"ingot/backend/publish/s3"
	"ingot/backend/secret"
	"ingot/backend/target"
	"ingot/resources"
)

// Backend is an open home.
type Backend struct {
	Home       home.Home
	Config     home.Config
	Targets    *target.Set
	Ledger     evidence.Ledger
	Digests    *evidence.Digests
	Secrets    secret.Store
	Signer     *secret.Signer
	OwnKeys    evidence.Keys // public keys of this home: the current and the retired ones
	WorkerKeys evidence.Keys // public keys of the team's workers
	Keys       evidence.Keys // all accepted keys: OwnKeys and WorkerKeys
	Pack       *cause.Pack
	Bus        *event.Bus
	Making     *outputs.Making // outputs under construction, shared by the builds of an owner; nil disables the tracking
	Log        *slog.Logger
	guest      string
	forge      *forge.VM
}

// Options configure Open.
type Options struct {
	Guest string // name of a guest in config.yaml; "" is the default
	// Forge starts the forge VM when a guest is opened there. Without it, which is nil,
	// the VM must be running.
	Forge *forge.VM
	Log   io.Writer // for diagnostics; nil discards them
}

// Open opens this user's home. It creates the home if there is none.
func Open(opt Options) (*Backend, error) {
	h, err := home.Open()
	if err != nil {
		return nil, err
	}
	b := &Backend{Home: h, Bus: &event.Bus{}, guest: opt.Guest, forge: opt.Forge, Ledger: evidence.Ledger{Dir: filepath.Join(h.Data, "builds")}}
	if opt.Log == nil {
		opt.Log = io.Discard
	}
	b.Log = slog.New(slog.NewTextHandler(opt.Log, nil))
	if b.Config, err = h.LoadConfig(); err != nil {
		return nil, err
	}
	if err := b.Config.SetEnvironment(); err != nil {
		return nil, err
	}
	if err := all.Check(b.Config.Guests, h.ConfigFile()); err != nil {
		return nil, err
	}
	if b.Targets, err = target.Load(resources.FS, filepath.Join(h.Config, "targets"), families.Check); err != nil {
		return nil, err
	}
	if b.Pack, err = cause.Shipped(); err != nil {
		return nil, err
	}
	b.Digests = evidence.OpenDigests(filepath.Join(h.Data, "digests.json"))
	if b.Secrets, err = secret.Open(filepath.Join(h.Data, "keys"), os.Getenv); err != nil {
		return nil, err
	}
	if b.Signer, err = secret.LoadOrCreateSigner(b.Secrets); err != nil {
		return nil, err
	}
	retired, err := secret.Retired(b.Secrets)
	if err != nil {
		return nil, err
	}
	b.OwnKeys = evidence.KeyOf(b.Signer)
	maps.Copy(b.OwnKeys, retired)
	if b.WorkerKeys, err = workerKeys(b.Config.Team, h.ConfigFile()); err != nil {
		return nil, err
	}
	b.Keys = maps.Clone(b.OwnKeys)
	maps.Copy(b.Keys, b.WorkerKeys)
	return b, nil
}

// workerKeys returns the public keys of the team's workers.
func workerKeys(t home.TeamConfig, file string) (evidence.Keys, error) {
	keys := evidence.Keys{}
	for i, text := range t.Workers {
		id, key, err := secret.ParsePublic(text)
		if err != nil {
			return nil, &home.ConfigError{File: file, Msg: fmt.Sprintf("key team.workers[%d]: %v", i, err)}
		}
		keys[id] = key
	}
	return keys, nil
}

// PublicKey returns the home's public key as a minisign key file.
func (b *Backend) PublicKey() string { return b.Signer.MinisignPublic() }

// Follow returns events from now on; see event.Bus.
func (b *Backend) Follow() (<-chan event.Event, func()) { return b.Bus.Follow() }

// Line returns a build line for this home.
func (b *Backend) Line() *build.Line {
	return &build.Line{Home: b.Home, Config: b.Config, Targets: b.Targets, Ledger: b.Ledger, Digests: b.Digests, Signer: b.Signer, Keys: b.Keys, Workers: b.WorkerKeys, Pack: b.Pack,
		Bus: b.Bus, Making: b.Making, Classify: func(err error) string { return cause.ClassOf(err).String() }, Log: b.Log, Children: b.Children(), Version: api.Version, Guest: b.OpenGuest, OwnGuest: b.opensForge(), Publisher: b.openPublisher,
		Publish: func(ctx context.Context, to publish.Publisher, r publish.Release, o publish.Options) (publish.Receipt, error) {
			o.Signer, o.Keys, o.Unfinished = b.Signer, b.OwnKeys, filepath.Join(b.Home.Data, "uploads")
			return to.Publish(ctx, r, o)
		}}
}

// Recover removes what killed processes left in this home, except for the
// builds in resumed, by id. The caller holds the home's lock.
func (b *Backend) Recover(resumed map[string]bool) error {
	return recovery.Home{Home: b.Home, Ledger: b.Ledger, Children: b.Children(), Bus: b.Bus, Log: b.Log}.Recover(resumed)
}

// Children returns the record of processes and folders that have to be ended if
// this process is killed.
func (b *Backend) Children() event.Children {
	return event.Children{Dir: filepath.Join(b.Home.Data, "children")}
}

// GuestError reports that no guest of that name is configured.
type GuestError struct{ Name, File string }

func (e *GuestError) Error() string {
	return fmt.Sprintf("there is no guest %q: add it under guests: in %s, or name a Lima instance, lima:NAME", e.Name, e.File)
}

// ErrorClass sorts the error; see package cause.
func (*GuestError) ErrorClass() cause.Class { return cause.Input }

// OpenGuest connects to the guest that this home was opened with. The caller
// closes it. note gets what takes time, such as the start of the forge VM.
func (b *Backend) OpenGuest(ctx context.Context, note func(string)) (guest.Guest, error) {
	c, err := b.GuestConfig(b.guest)
	if err != nil {
		return nil, err
	}
	if b.forge == nil || !forge.Is(c) {
		return all.Open(ctx, c)
	}
	release, err := b.forge.Use(ctx, note)
	if err != nil {
		return nil, fmt.Errorf("guest %s: %w", c.Name, err)
	}
	g, err := all.Open(ctx, c)
	if err != nil {
		release()
		return nil, err
	}
	return usedGuest{g, release}, nil
}

// usedGuest keeps the forge VM running until it is closed.
type usedGuest struct {
	guest.Guest
	release func()
}

// Close closes the guest and lets the VM stop.
func (g usedGuest) Close() error {
	defer g.release()
	return g.Guest.Close()
}

// NewForge returns the forge VM of this home, for Options.
func (b *Backend) NewForge() *forge.VM {
	return &forge.VM{Dir: b.Home.Data, Log: b.Log.Warn, Config: func() home.ForgeConfig {
		c, err := b.Home.LoadConfig()
		if err != nil {
			b.Log.Warn("forge VM", "err", err) // Open reports the mistake to the user
		}
		return c.Forge
	}}
}

// opensForge reports whether OpenGuest opens the forge VM.
func (b *Backend) opensForge() bool {
	c, err := b.OpensGuest()
	return err == nil && forge.Is(c)
}

// OpensGuest returns the guest that OpenGuest opens.
func (b *Backend) OpensGuest() (home.GuestConfig, error) { return b.GuestConfig(b.guest) }

// DefaultGuest returns the name of the guest of builds that name none: the
// configured one, else this host, or the forge VM where this host is no guest.
func (b *Backend) DefaultGuest() string {
	switch {
	case b.Config.Guest != "":
		return b.Config.Guest
	case guest.LocalOff():
		return lima.GuestName(forge.Name)
	}
	return "local"
}

// GuestConfig returns a guest of the configuration, or one that needs no
// configuration, such as lima:NAME; "" is the default guest.
func (b *Backend) GuestConfig(name string) (home.GuestConfig, error) {
	name = cmp.Or(name, b.DefaultGuest())
	c, ok := all.Find(b.Config.Guests, name)
	if !ok {
		return c, &GuestError{name, b.Home.ConfigFile()}
	}
	return c, nil
}

// openPublisher opens the publisher that to names, such as dir:/srv/images, or
// for "" the configured endpoint or the local store.
func (b *Backend) openPublisher(ctx context.Context, to string) (publish.Publisher, func(), error) {
	if to != "" {
		p, err := publishers.Open(to, publishers.Access{GitHub: githubToken(b)})
		return p, func() {}, err
	}
	if b.Config.Publish.Endpoint == "" {
		s, err := b.OpenStore(ctx, 0)
		if err != nil {
			return nil, nil, err
		}
		return s3.Publisher{Endpoint: s.Endpoint()}, func() {
			if err := s.Close(); err != nil {
				b.Log.Warn("local store", "err", err)
			}
		}, nil
	}
	p, err := publishers.Configured(b.Config.Publish, b.Secrets)
	return p, func() {}, err
}

// Endpoint returns a configured endpoint with its credentials.
func (b *Backend) Endpoint(c home.PublishConfig) (s3.Endpoint, error) {
	return s3.Configured(c, b.Secrets)
}

// OpenStore serves the local store until it is closed.
func (b *Backend) OpenStore(ctx context.Context, port int) (*s3.LocalStore, error) {
	return s3.OpenLocalStore(ctx, filepath.Join(b.Home.Data, "store"), port, b.Secrets)
}

// Lock takes the home's lock for work that does not run in an owner. It first
// asks an owner to end, which does so once it has no builds.
func (b *Backend) Lock(ctx context.Context, opt home.LockOptions) (*home.Lock, error) {
	idle, err := client.New(b.Home).Leave(ctx)
	var silent *api.SilentOwnerError
	if errors.As(err, &silent) {
		return nil, err
	}
	if err == nil && idle && !opt.Wait { // the owner is ending
		short, cancel := context.WithTimeout(ctx, leaveLimit)
		defer cancel()
		opt.Wait = true
		l, err := b.Home.Lock(short, opt)
		if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
			opt.Wait = false
			return b.Home.Lock(ctx, opt)
		}
		return l, err
	}
	return b.Home.Lock(ctx, opt)
}

// leaveLimit bounds the wait for an idle owner to end.
const leaveLimit = 10 * time.Second

// UpdateLock renews a target's lock and returns the path of its file.
func (b *Backend) UpdateLock(ctx context.Context, name string, log io.Writer) (target.Lock, string, error) {
	lock, err := b.Lock(ctx, home.LockOptions{Purpose: "target update " + name, Wait: true})
	if err != nil {
		return target.Lock{}, "", err
	}
	l, path, err := b.Line().UpdateLock(ctx, name, log)
	return l, path, errors.Join(err, lock.Unlock())
}

// KeysWhere describes where keys and credentials are stored.
func (b *Backend) KeysWhere() string { return b.Secrets.Where() }

// Evidence returns a document by its id, or by an unambiguous start of it.
func (b *Backend) Evidence(ctx context.Context, id string) (evidence.Document, error) {
	return b.Ledger.Find(ctx, b.Keys, id)
}

// Describe returns the meaning and the fix of a cause id.
func (b *Backend) Describe(id string) (cause.Finding, bool) { return b.Pack.Describe(id) }

// GuestNames lists the guests of config.yaml in order.
func (b *Backend) GuestNames() (names []string) {
	for _, g := range b.Config.Guests {
		names = append(names, g.Name)
	}
	return names
}
