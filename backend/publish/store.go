package publish

import (
	"context"
	"crypto/rand"
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
	"ingot/backend/secret"
)

// LocalStore is an S3 server over a folder, on this computer alone. It is the
// default place to publish to, so that no account is needed. Its gateway works
// in the process's current directory: once one is open, the process must use
// absolute paths. There can be one in a process.
type LocalStore struct {
	endpoint Endpoint
	stop     context.CancelFunc
	done     chan error // nil when another process serves the store
}

// storeConfig is kept beside the objects; the port is chosen once, since
// published addresses hold it.
type storeConfig struct {
	Port int    `json:"port"`
	ID   string `json:"id"` // random; tells this store from others on the same port
}

const (
	localBucket = "ingot"
	markerName  = "ingot-store-id"
	localRegion = "us-east-1"
)

// lockStore makes sure that one process at a time looks for a server and starts
// one. The lock ends with the file.
func lockStore(dir string) (*os.File, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("local store: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("local store: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX); err != nil {
		return nil, errors.Join(fmt.Errorf("local store: %w", err), f.Close())
	}
	return f, nil
}

// OpenLocalStore serves the store in dir, or uses the process that already
// does. port 0 keeps the port of before, or chooses a free one.
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
	if served, err := askStore(ctx, s.endpoint.URL); err == nil {
		if served != cfg.ID {
			return nil, portTaken(cfg.Port)
		}
		return s, nil
	}
	if err := s.serve(dir, addr, string(password), cfg); err != nil {
		return nil, err
	}
	err = s.ready(ctx, cfg)
	if err == nil {
		err = saveStore(dir, cfg) // only a port that was got is kept
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
	return &Error{Cause: "publish.port-in-use", Msg: fmt.Sprintf("port %d of the local store is taken by another program", port), Fix: "end it, or choose another port with `ingot store serve --port N`"}
}

// loadStore reads or makes the store's folders and configuration.
func loadStore(dir string, port int) (storeConfig, error) {
	for _, d := range []string{"objects", "meta"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			return storeConfig{}, fmt.Errorf("local store: %w", err)
		}
	}
	file := filepath.Join(dir, "store.json")
	var cfg storeConfig
	if b, err := os.ReadFile(file); err == nil {
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

// askStore returns the id of the store that answers at the address.
func askStore(ctx context.Context, url string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/"+localBucket+"/"+markerName, nil)
	if err != nil {
		return "", err
	}
	resp, err := (&http.Client{Transport: &http.Transport{}}).Do(req) // loopback: no proxy
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, 256))
	return strings.TrimSpace(string(b)), err
}

// serve starts the gateway. Attributes are kept in files beside the objects:
// extended attributes do not work on every file system.
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
		IAMService: auth.NewIAMServiceSingle(auth.Account{Access: "ingot", Secret: password, Role: auth.RoleAdmin})} // given, since the default prints to stdout
	go func() { s.done <- embedgw.RunVersityGW(ctx, be, gw) }()
	return nil
}

// ready waits until the store answers, and makes bucket, policy and marker.
func (s *LocalStore) ready(ctx context.Context, cfg storeConfig) error {
	c, err := newClient(s.endpoint)
	if err != nil {
		return err
	}
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
		case <-time.After(20 * time.Millisecond): // the server says nothing when it is ready
		}
	}
	policy := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":["s3:GetObject"],"Resource":["arn:aws:s3:::` + localBucket + `/*"]}]}`
	if err := c.s3.SetBucketPolicy(ctx, localBucket, policy); err != nil {
		return fmt.Errorf("local store: anonymous reading: %w", err)
	}
	_, err = c.s3.PutObject(ctx, localBucket, markerName, strings.NewReader(cfg.ID), int64(len(cfg.ID)), minio.PutObjectOptions{ContentType: "text/plain"})
	return err
}

// Endpoint is where to publish to.
func (s *LocalStore) Endpoint() Endpoint { return s.endpoint }

// Served tells whether this process serves the store, and not another one.
func (s *LocalStore) Served() bool { return s.done != nil }

// Done is closed, or gets the server's error, when the server ended. It is nil
// when another process serves.
func (s *LocalStore) Done() <-chan error { return s.done }

// Close stops the server if this process runs it.
func (s *LocalStore) Close() error {
	if s.done == nil {
		return nil
	}
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
