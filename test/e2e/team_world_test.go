//go:build e2e

package e2e

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nkeys"
)

// The worker's own network: it reaches this computer's end of the cable, and
// nothing else.
const (
	hostEnd   = "10.231.77.1"
	workerEnd = "10.231.77.2"
)

// network makes the network namespace and returns its name.
func network(t *testing.T) string {
	t.Helper()
	name := fmt.Sprintf("ingot-%d", os.Getpid())
	cable := fmt.Sprintf("ingot%d", os.Getpid()%100000)
	if out, err := exec.Command("ip", "netns", "add", name).CombinedOutput(); err != nil {
		t.Skipf("a network namespace needs root and iproute2: %v: %s", err, out)
	}
	t.Cleanup(func() { _ = exec.Command("ip", "netns", "del", name).Run() }) // the cable goes with it
	sh(t, fmt.Sprintf(`ip link add %[2]s type veth peer name far0 netns %[1]s
		ip addr add %[3]s/30 dev %[2]s; ip link set %[2]s up
		ip -n %[1]s addr add %[4]s/30 dev far0; ip -n %[1]s link set far0 up; ip -n %[1]s link set lo up`, name, cable, hostEnd, workerEnd))
	return name
}

// reachable waits until a connection from the worker's network to an address succeeds:
// a cable that was just plugged in may carry nothing for seconds.
func reachable(t *testing.T, space, addr string) {
	t.Helper()
	host, port, _ := strings.Cut(addr, ":")
	var out []byte
	var err error
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		if out, err = exec.Command("ip", "netns", "exec", space, "timeout", "2", "bash", "-c", "exec 3<>/dev/tcp/"+host+"/"+port).CombinedOutput(); err == nil {
			return
		}
	}
	t.Fatalf("%s is not reached from the worker's network: %v: %s", addr, err, out)
}

// started starts a program that ends with the test.
func started(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		_ = cmd.Wait() // judged by what it did
	})
}

// natsServer runs a server with TLS and credentials, as docs/team.md says, and
// returns its address with the files that its clients need.
func natsServer(t *testing.T) (url, creds, ca string) {
	t.Helper()
	dir := filepath.Join(work, "nats")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(dir, "nats-server")
	build := exec.Command("go", "build", "-o", program, "github.com/nats-io/nats-server/v2")
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("nats-server: %v\n%s", err, out)
	}
	ca = filepath.Join(dir, "server.pem")
	certificate(t, ca, filepath.Join(dir, "server.key"))
	creds = filepath.Join(dir, "team.creds")
	text := fmt.Sprintf("listen: \"%s:4222\"\ntls { cert_file: %q, key_file: %q }\njetstream { store_dir: %q, sync_interval: always, max_file: 4G }\n%s",
		hostEnd, ca, filepath.Join(dir, "server.key"), filepath.Join(dir, "js"), account(t, creds))
	conf := filepath.Join(dir, "nats.conf")
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "-c", conf)
	cmd.Stderr = testWriter{t}
	started(t, cmd)
	for end := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) { // it says nothing when it is ready
		c, err := net.DialTimeout("tcp", hostEnd+":4222", time.Second)
		if err == nil {
			_ = c.Close()
			return "tls://" + hostEnd + ":4222", creds, ca
		}
		if time.Now().After(end) {
			t.Fatal(err)
		}
	}
}

// certificate writes a certificate for this computer's end that vouches for
// itself.
func certificate(t *testing.T, certFile, keyFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "ingot e2e"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IPAddresses: []net.IP{net.ParseIP(hostEnd)}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for file, block := range map[string]*pem.Block{certFile: {Type: "CERTIFICATE", Bytes: der}, keyFile: {Type: "PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// account writes the credentials of a team's user, and returns the server's
// configuration for them: what `nsc generate config --mem-resolver` prints.
func account(t *testing.T, creds string) string {
	t.Helper()
	key := func(make func() (nkeys.KeyPair, error)) (nkeys.KeyPair, string) {
		pair, err := make()
		if err != nil {
			t.Fatal(err)
		}
		public, err := pair.PublicKey()
		if err != nil {
			t.Fatal(err)
		}
		return pair, public
	}
	operator, operatorID := key(nkeys.CreateOperator)
	acc, accID := key(nkeys.CreateAccount)
	_, sysID := key(nkeys.CreateAccount)
	user, userID := key(nkeys.CreateUser)
	oc, ac, sc, uc := jwt.NewOperatorClaims(operatorID), jwt.NewAccountClaims(accID), jwt.NewAccountClaims(sysID), jwt.NewUserClaims(userID)
	oc.SystemAccount = sysID
	ac.Limits.JetStreamLimits = jwt.JetStreamLimits{DiskStorage: -1, Streams: -1, Consumer: -1}
	sign := func(c interface {
		Encode(nkeys.KeyPair) (string, error)
	}, by nkeys.KeyPair) string {
		text, err := c.Encode(by)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	seed, err := user.Seed()
	if err != nil {
		t.Fatal(err)
	}
	text, err := jwt.FormatUserConfig(sign(uc, acc), seed)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(creds, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("operator: %s\nsystem_account: %s\nresolver: MEMORY\nresolver_preload: {\n%s: %s\n%s: %s\n}\n",
		sign(oc, operator), sysID, accID, sign(ac, operator), sysID, sign(sc, operator))
}

// bucket serves the store of a home of its own at this computer's end, and
// returns the address and the store's secret.
func bucket(t *testing.T) (endpoint, secret string) {
	t.Helper()
	home := filepath.Join(work, "bucket")
	cmd := exec.Command(filepath.Join(root, "bin", "ingot"), "store", "serve")
	cmd.Env = environment(home)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	started(t, cmd)
	if n, err := out.Read(make([]byte, 256)); n == 0 {
		t.Fatal(err)
	}
	var cfg struct{ Port int }
	text, err := os.ReadFile(filepath.Join(home, "data", "store", "store.json"))
	if err == nil {
		err = json.Unmarshal(text, &cfg)
	}
	if err != nil {
		t.Fatal(err)
	}
	key, err := os.ReadFile(filepath.Join(home, "data", "keys", "store-secret"))
	if err != nil {
		t.Fatal(err)
	}
	return "http://" + forward(t, fmt.Sprintf("127.0.0.1:%d", cfg.Port)), string(key)
}

// forward lets the worker's network reach a port of the loopback interface.
func forward(t *testing.T, to string) string {
	t.Helper()
	l, err := net.Listen("tcp", hostEnd+":0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				d, err := net.Dial("tcp", to)
				if err != nil {
					return
				}
				defer d.Close()
				go func() { _, _ = io.Copy(d, c); _ = d.Close() }()
				_, _ = io.Copy(c, d)
			}()
		}
	}()
	return l.Addr().String()
}
