package s3

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
	"github.com/versity/versitygw/auth"
	"github.com/versity/versitygw/backend/meta"
	"github.com/versity/versitygw/backend/posix"
	"github.com/versity/versitygw/embedgw"
	"golang.org/x/sys/unix"

	"ingot/backend/home"
	"ingot/backend/limit"
	"ingot/backend/publish"
	"ingot/backend/secret"
)

// LocalStore is an S3 server for a folder, reachable only from this computer. It is the
// default destination, which needs no account. Its gateway uses the process's current
// directory: once a store is open, the process must use absolute paths. A process can
// open only one.
type LocalStore struct {
	endpoint Endpoint
	stop     context.CancelFunc
	done     chan error // nil if another process serves the store
}

// storeConfig is the configuration beside the objects. The port is chosen once, since
// published addresses contain it.
type storeConfig struct {
	Port int    `json:"port"`
	ID   string `json:"id"` // random; earlier versions identify the store by it, see markerName
}

const (
	localBucket = "ingot"
	markerName  = "ingot-store-id" // object with the id, which earlier versions request; this one uses challenge
	localRegion = "us-east-1"
)

// lockStore ensures that only one process at a time looks for a server and starts one.
// Closing the file releases the lock.
func lockStore(dir string) (*os.File, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("local store: %w", err)
	}
	f, err := home.LockFile(filepath.Join(dir, "lock"), 0o600, unix.LOCK_EX)
	if err != nil {
		return nil, fmt.Errorf("local store: %w", err)
	}
	return f, nil
}

// OpenLocalStore serves the store in dir, or uses the process that already serves it.
// port 0 means the previous port, or a free one.
func OpenLocalStore(ctx context.Context, dir string, port int, secrets secret.Store) (*LocalStore, error) {
	lock, err := lockStore(dir)
	if err != nil {
		return nil, err
	}
	defer lock.Close()
	cfg, err := loadStore(dir, port)
	if err != nil {
		return nil, err
	}
	password, err := secrets.Get("store-secret")
	if errors.Is(err, secret.ErrNotFound) {
		password, err = secrets.Create("store-secret", []byte(rand.Text()))
	}
	if err != nil {
		return nil, fmt.Errorf("local store: %w", err)
	}
	addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(cfg.Port))
	s := &LocalStore{endpoint: Endpoint{URL: "http://" + addr, Region: localRegion, Bucket: localBucket, PathStyle: true, Local: true,
		Credentials: credentials.NewStaticV4("ingot", string(password), "")}}
	switch ours, err := challenge(ctx, s.endpoint.URL, dir); {
	case err != nil:
		return nil, err
	case ours == servesFolder:
		return s, nil
	case ours == servesOther:
		return nil, portTaken(cfg.Port)
	}
	if err := s.serve(dir, addr, string(password), cfg); err != nil {
		return nil, err
	}
	err = s.ready(ctx, cfg)
	if err == nil {
		err = saveStore(dir, cfg) // the port is stored only after it could be used
	}
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func saveStore(dir string, cfg storeConfig) error {
	b, err := json.Marshal(cfg)
	if err != nil {
		return err
	}
	return home.WriteFileAtomic(filepath.Join(dir, "store.json"), b, 0o644)
}

func portTaken(port int) error {
	return &publish.Error{Cause: "publish.port-in-use", Msg: fmt.Sprintf("port %d of the local store is used by another program", port), Fix: "stop that program, or choose another port with `ingot store serve --port N`"}
}

// loadStore reads or creates the store's folders and configuration.
func loadStore(dir string, port int) (storeConfig, error) {
	for _, d := range []string{"objects", "meta"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			return storeConfig{}, fmt.Errorf("local store: %w", err)
		}
	}
	file := filepath.Join(dir, "store.json")
	var cfg storeConfig
	if b, err := limit.ReadFile(file, limit.Settings); err == nil {
		if err := json.Unmarshal(b, &cfg); err != nil {
			return cfg, fmt.Errorf("local store: %s: %w", file, err)
		}
	}
	if cfg.ID != "" && (port == 0 || port == cfg.Port) {
		return cfg, nil
	}
	if cfg.ID == "" {
		cfg.ID = rand.Text()
	}
	if cfg.Port = port; port == 0 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return cfg, fmt.Errorf("local store: %w", err)
		}
		cfg.Port = l.Addr().(*net.TCPAddr).Port
		if err := l.Close(); err != nil {
			return cfg, err
		}
	}
	return cfg, nil
}

// listener is the result of a challenge to what listens on the store's port.
type listener int

const (
	silent       listener = iota // nothing listens
	servesFolder                 // it serves the store's folder
	servesOther                  // it does not
)

// challengeTime bounds the wait for an answer.
const challengeTime = 2 * time.Second

// challenge reports whether the server at url serves the folder dir: it puts an object
// there that only this user can read, and requests it. The store's id and port are
// public, so that the program of another user could present them.
func challenge(ctx context.Context, url, dir string) (listener, error) {
	bucket := filepath.Join(dir, "objects", localBucket)
	if err := os.MkdirAll(bucket, 0o755); err != nil {
		return silent, fmt.Errorf("local store: %w", err)
	}
	name, nonce := challengePrefix+rand.Text(), rand.Text()
	file := filepath.Join(bucket, name)
	if err := os.WriteFile(file, []byte(nonce), 0o600); err != nil {
		return silent, fmt.Errorf("local store: %w", err)
	}
	got, err := askFor(ctx, url+"/"+localBucket+"/"+name)
	switch rerr := os.Remove(file); {
	case rerr != nil:
		return silent, fmt.Errorf("local store: %w", rerr)
	case isDial(err):
		return silent, nil
	case err != nil && ctx.Err() != nil:
		return silent, context.Cause(ctx)
	case err == nil && subtle.ConstantTimeCompare([]byte(got), []byte(nonce)) == 1:
		return servesFolder, nil
	}
	return servesOther, nil
}

// isDial reports whether no connection could be made.
func isDial(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial"
}

// challengePrefix begins the names of objects that exist only during a challenge.
const challengePrefix = ".ingot-challenge-"

func askFor(ctx context.Context, address string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, challengeTime)
	defer cancel()
	client := &http.Client{Transport: &http.Transport{}} // loopback: no proxy
	defer client.CloseIdleConnections()
	body, err := limit.Get(ctx, client, address, 256, challengeTime)
	if err != nil {
		return "", err
	}
	defer body.Close()
	text, err := io.ReadAll(body)
	return string(text), err
}

// serve starts the gateway. Attributes are stored in files beside the objects, since
// not all file systems have extended attributes.
func (s *LocalStore) serve(dir, addr, password string, cfg storeConfig) error {
	l, err := net.Listen("tcp", addr)
	if errors.Is(err, syscall.EADDRINUSE) {
		return portTaken(cfg.Port)
	}
	if err != nil {
		return fmt.Errorf("local store: %w", err)
	}
	if err := l.Close(); err != nil {
		return err
	}
	side, err := meta.NewSideCar(filepath.Join(dir, "meta"))
	if err != nil {
		return fmt.Errorf("local store: %w", err)
	}
	be, err := posix.New(filepath.Join(dir, "objects"), side, posix.PosixOpts{Concurrency: 64})
	if err != nil {
		return fmt.Errorf("local store: %w", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	s.stop, s.done = cancel, make(chan error, 1)
	gw := &embedgw.Config{RootUserAccess: "ingot", RootUserSecret: password, Region: localRegion, Ports: []string{addr},
		MaxConnections: 256, MaxRequests: 128, MultipartMaxParts: 10000, Quiet: true, KeepAlive: true,
		IAMService: auth.NewIAMServiceSingle(auth.Account{Access: "ingot", Secret: password, Role: auth.RoleAdmin})} // set, since the default prints to stdout
	go func() { s.done <- embedgw.RunVersityGW(ctx, be, gw) }()
	return nil
}

// ready waits until the store answers, and creates bucket, policy and marker.
func (s *LocalStore) ready(ctx context.Context, cfg storeConfig) error {
	c, err := newClient(s.endpoint)
	if err != nil {
		return err
	}
	defer c.close()
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	for {
		ok, err := c.s3.BucketExists(ctx, localBucket)
		if err == nil && !ok {
			err = c.s3.MakeBucket(ctx, localBucket, minio.MakeBucketOptions{})
		}
		if err == nil {
			break
		}
		select {
		case gerr := <-s.done:
			s.done <- gerr
			return fmt.Errorf("local store: the server ended: %w", gerr)
		case <-ctx.Done():
			return fmt.Errorf("local store: it does not answer: %w", err)
		case <-time.After(20 * time.Millisecond): // the server does not report when it is ready
		}
	}
	policy := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":["s3:GetObject"],"Resource":["arn:aws:s3:::` + localBucket + `/*"]}]}`
	if err := c.s3.SetBucketPolicy(ctx, localBucket, policy); err != nil {
		return fmt.Errorf("local store: anonymous reading: %w", err)
	}
	_, err = c.s3.PutObject(ctx, localBucket, markerName, strings.NewReader(cfg.ID), int64(len(cfg.ID)), minio.PutObjectOptions{ContentType: "text/plain"})
	return err
}

// Endpoint returns the endpoint for publishing to the store.
func (s *LocalStore) Endpoint() Endpoint { return s.endpoint }

// Served reports whether this process serves the store.
func (s *LocalStore) Served() bool { return s.done != nil }

// Done returns a channel that is closed, or gets the server's error, when the server
// has ended. It is nil if another process serves.
func (s *LocalStore) Done() <-chan error { return s.done }

// Close stops the server if this process runs it.
func (s *LocalStore) Close() error {
	if s.done == nil {
		return nil
	}
	limit.Client().CloseIdleConnections() // see client.close
	s.stop()
	select {
	case err := <-s.done:
		s.done <- nil
		if errors.Is(err, context.Canceled) {
			return nil
		}
		return err
	case <-time.After(10 * time.Second):
		return errors.New("local store: the server does not stop")
	}
}
