// Package backend is Ingot's front door: the one package that app and cmd
// import, with its plain data types.
//
// A Backend stands for one home. Its methods may be called from several
// goroutines; those that change the home take its lock, so that one process at
// a time builds. It imports no user interface and holds no status: Status is
// folded afresh from the ledger at every call.
package backend

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"time"

	"ingot/backend/build"
	"ingot/backend/cause"
	"ingot/backend/event"
	"ingot/backend/evidence"
	"ingot/backend/guest"
	"ingot/backend/home"
	"ingot/backend/publish"
	"ingot/backend/secret"
	"ingot/backend/target"
	"ingot/resources"
)

// Version is set when a release is built.
var Version = "dev"

// Backend is one home with everything in it.
type Backend struct {
	Home    home.Home
	config  home.Config
	targets *target.Set
	ledger  evidence.Ledger
	digests *evidence.Digests
	secrets secret.Store
	signer  *secret.Signer
	own     evidence.Keys // the signer's and those before it: those of a publisher
	workers evidence.Keys // of the team
	keys    evidence.Keys // accepted for evidence: all of them
	pack    *cause.Pack
	bus     *event.Bus
	making  *build.Making // shared in an owner; nil alone
	log     *slog.Logger
	guest   string
}

// Options say how to open a home.
type Options struct {
	Guest string    // name of a guest in config.yaml; "" is the local host
	Log   io.Writer // where diagnostics go; nil throws them away
}

// Open opens the home of this user, making it at the first time.
func Open(opt Options) (*Backend, error) {
	h, err := home.Open()
	if err != nil {
		return nil, err
	}
	b := &Backend{Home: h, bus: &event.Bus{}, guest: opt.Guest, ledger: evidence.Ledger{Dir: filepath.Join(h.Data, "builds")}}
	if opt.Log == nil {
		opt.Log = io.Discard
	}
	b.log = slog.New(slog.NewTextHandler(opt.Log, nil))
	if b.config, err = h.LoadConfig(); err != nil {
		return nil, err
	}
	if b.targets, err = target.Load(resources.FS, filepath.Join(h.Config, "targets")); err != nil {
		return nil, err
	}
	if b.pack, err = cause.Shipped(); err != nil {
		return nil, err
	}
	b.digests = evidence.OpenDigests(filepath.Join(h.Data, "digests.json"))
	b.secrets = secret.Open(filepath.Join(h.Data, "keys"), os.Getenv)
	if b.signer, err = secret.LoadOrCreateSigner(b.secrets); err != nil {
		return nil, err
	}
	retired, err := secret.Retired(b.secrets)
	if err != nil {
		return nil, err
	}
	b.own = evidence.KeyOf(b.signer)
	maps.Copy(b.own, retired)
	if b.workers, err = workerKeys(b.config.Team, h.ConfigFile()); err != nil {
		return nil, err
	}
	b.keys = maps.Clone(b.own)
	maps.Copy(b.keys, b.workers)
	return b, nil
}

// workerKeys are the keys of the team's workers.
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

// Keys are the public keys whose evidence this home accepts: its own, those that
// were its own before, and those of the team's workers.
func (b *Backend) Keys() evidence.Keys { return b.keys }

// PublicKey is the home's public key as a minisign key file.
func (b *Backend) PublicKey() string { return b.signer.MinisignPublic() }

// Follow returns events from now on; see event.Bus.
func (b *Backend) Follow() (<-chan event.Event, func()) { return b.bus.Follow() }

// line wires the rooms for builds.
func (b *Backend) line() *build.Line {
	return &build.Line{Home: b.Home, Config: b.config, Targets: b.targets, Ledger: b.ledger, Digests: b.digests, Signer: b.signer, Keys: b.keys, Workers: b.workers, Pack: b.pack,
		Bus: b.bus, Making: b.making, Classify: func(err error) string { return ClassOf(err).String() }, Log: b.log, Children: b.children(), Version: Version, Guest: b.openGuest, Endpoint: b.openEndpoint,
		Publish: func(ctx context.Context, e publish.Endpoint, r publish.Release, o publish.Options) (publish.Receipt, error) {
			o.Signer, o.Keys, o.Unfinished = b.signer, b.own, filepath.Join(b.Home.Data, "uploads")
			return publish.Publish(ctx, e, r, o)
		}}
}

// children records what a killed process must not leave running.
func (b *Backend) children() event.Children {
	return event.Children{Dir: filepath.Join(b.Home.Data, "children")}
}

// GuestError says that no guest of that name is configured.
type GuestError struct{ Name, File string }

func (e *GuestError) Error() string {
	return fmt.Sprintf("there is no guest %q: add it under guests: in %s, or name a Lima instance, lima:NAME", e.Name, e.File)
}

func (b *Backend) openGuest(ctx context.Context) (guest.Guest, error) {
	if b.guest == "" || b.guest == "local" {
		return guest.Open(ctx, home.GuestConfig{Kind: "local"})
	}
	c, err := b.guestConfig(b.guest)
	if err != nil {
		return nil, err
	}
	if g, ok, err := b.openLima(ctx, c); ok {
		return g, err
	}
	return guest.Open(ctx, c)
}

// guestConfig is a guest of the configuration, or a Lima instance by its name.
func (b *Backend) guestConfig(name string) (home.GuestConfig, error) {
	for _, c := range b.config.Guests {
		if c.Name == name {
			return c, nil
		}
	}
	if instance, ok := strings.CutPrefix(name, limaPrefix); ok && instance != "" {
		return home.GuestConfig{Name: name, Kind: "lima", Instance: instance}, nil
	}
	return home.GuestConfig{}, &GuestError{name, b.Home.ConfigFile()}
}

// openEndpoint opens the configured endpoint, or the local store.
func (b *Backend) openEndpoint(ctx context.Context) (publish.Endpoint, func(), error) {
	if b.config.Publish.Endpoint == "" {
		s, err := b.OpenStore(ctx, 0)
		if err != nil {
			return publish.Endpoint{}, nil, err
		}
		return s.Endpoint(), func() {
			if err := s.Close(); err != nil {
				b.log.Warn("local store", "err", err)
			}
		}, nil
	}
	e, err := b.endpoint(b.config.Publish)
	return e, func() {}, err
}

// endpoint is a configured endpoint with its credentials.
func (b *Backend) endpoint(c home.PublishConfig) (publish.Endpoint, error) {
	creds, err := publish.FromConfig(c.Credentials, c.Profile, c.Endpoint, b.secrets)
	if err != nil {
		return publish.Endpoint{}, err
	}
	pathStyle := c.PathStyle == nil || *c.PathStyle
	return publish.Endpoint{URL: c.Endpoint, Region: c.Region, Bucket: c.Bucket, Prefix: c.Prefix, PathStyle: pathStyle, CAFile: c.CAFile, PublicURL: c.PublicURL, Credentials: creds}, nil
}

// OpenStore serves the local store until it is closed.
func (b *Backend) OpenStore(ctx context.Context, port int) (*publish.LocalStore, error) {
	return publish.OpenLocalStore(ctx, filepath.Join(b.Home.Data, "store"), port, b.secrets)
}

// lock takes the home's lock for work that is not an owner's. An owner is asked
// to leave first, and does so when it has no work.
func (b *Backend) lock(ctx context.Context, opt home.LockOptions) (*home.Lock, error) {
	idle, err := b.Client().Leave(ctx)
	if err == nil && idle && !opt.Wait { // it is on its way
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

// UpdateLock renews a target's lock; it returns where it was written.
func (b *Backend) UpdateLock(ctx context.Context, name string, log io.Writer) (target.Lock, string, error) {
	lock, err := b.lock(ctx, home.LockOptions{Purpose: "target update " + name, Wait: true})
	if err != nil {
		return target.Lock{}, "", err
	}
	l, path, err := b.line().UpdateLock(ctx, name, log)
	return l, path, errors.Join(err, lock.Unlock())
}

// KeysWhere says where keys and credentials are kept.
func (b *Backend) KeysWhere() string { return b.secrets.Where() }
