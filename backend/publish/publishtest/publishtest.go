// Package publishtest has helpers for the tests of publishers.
package publishtest

import (
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"ingot/backend/publish"
	"ingot/backend/secret"
)

// Signer returns a signer with a new key.
func Signer(t testing.TB) *secret.Signer {
	t.Helper()
	s, err := secret.LoadOrCreateSigner(secret.Files{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// Counted counts the bytes of an answer's body in N.
type Counted struct {
	http.ResponseWriter
	N *atomic.Int64
}

func (c Counted) Write(p []byte) (int, error) {
	n, err := c.ResponseWriter.Write(p)
	c.N.Add(int64(n))
	return n, err
}

// DiskSize is the size of a release's disk in bytes: three parts of an upload.
const DiskSize = 20 << 20

// Release returns a proven release of the version with a disk of random bytes.
func Release(t *testing.T, version string) publish.Release {
	t.Helper()
	data := make([]byte, DiskSize)
	_, _ = rand.Read(data)
	return ReleaseOf(t, version, data)
}

// ReleaseOf returns a proven release of the version whose disk has the data.
func ReleaseOf(t *testing.T, version string, data []byte) publish.Release {
	t.Helper()
	disk := filepath.Join(t.TempDir(), "disk.qcow2")
	if err := os.WriteFile(disk, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return publish.Release{OS: "debian", Release: "12", Variant: "server", Arch: "arm64", Version: version, KernelRelease: "6.1-ingot", Proven: true, Proof: "proof-1",
		Sources: []publish.Source{{Package: "linux=6.1", URLs: []string{"http://deb.debian.org/debian/pool/main/l/linux/"}}},
		Files: []publish.File{{Name: "disk-" + version + ".qcow2", Path: disk, SHA256: fmt.Sprintf("%x", sha256.Sum256(data)), MediaType: "application/octet-stream", Disk: true},
			{Name: "evidence/proof-1.json", Data: []byte("{}"), MediaType: "application/json"}}}
}
