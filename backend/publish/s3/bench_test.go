package s3

import (
	"cmp"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"ingot/backend/publish"
	"ingot/backend/publish/publishtest"
)

// What the slow line does to each connection, in each direction.
const (
	lineDelay = 20 * time.Millisecond // 40 there and back
	lineRate  = 12_000_000            // bytes a second
)

// slowLine serves the endpoint through a TCP proxy with lineDelay and lineRate.
func slowLine(b *testing.B, e Endpoint) Endpoint {
	b.Helper()
	to, err := url.Parse(e.URL)
	if err != nil {
		b.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			near, err := l.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("tcp", to.Host)
			if err != nil {
				_ = near.Close()
				continue
			}
			go slowly(far, near)
			go slowly(near, far)
		}
	}()
	e.URL, e.Local = "http://"+l.Addr().String(), false
	return e
}

// slowly copies what one direction of a connection sends.
func slowly(to io.WriteCloser, from io.Reader) {
	type packet struct {
		data []byte
		due  time.Time
	}
	on := make(chan packet, 4096)
	go func() {
		defer close(on)
		for free := time.Now(); ; {
			buf := make([]byte, 32<<10)
			n, err := from.Read(buf)
			if n > 0 {
				if now := time.Now(); free.Before(now) {
					free = now
				}
				free = free.Add(time.Duration(n) * time.Second / lineRate)
				time.Sleep(time.Until(free))
				on <- packet{buf[:n], free.Add(lineDelay)}
			}
			if err != nil {
				return
			}
		}
	}()
	broken := false
	for p := range on {
		time.Sleep(time.Until(p.due))
		if !broken {
			_, err := to.Write(p.data)
			broken = err != nil
		}
	}
	_ = to.Close()
}

// BenchmarkPublish compares a whole publish of 109 MB, with its check, with `aws s3 cp`
// and `rclone copyto` of the disk alone, which check nothing by reading; alternating, in
// one run. bench/publish.sh prints what it says.
func BenchmarkPublish(b *testing.B) {
	e := store.Endpoint()
	disk := filepath.Join(b.TempDir(), "disk.qcow2")
	data := make([]byte, 109_000_000)
	_, _ = rand.Read(data)
	if err := os.WriteFile(disk, data, 0o600); err != nil {
		b.Fatal(err)
	}
	want, err := publish.DigestFile(publish.File{Path: disk})
	if err != nil {
		b.Fatal(err)
	}
	for _, line := range []struct {
		name string
		e    Endpoint
	}{{"loopback", e}, {fmt.Sprintf("%s there and back, %d MB/s a connection", 2*lineDelay, lineRate/1_000_000), slowLine(b, e)}} {
		took := map[string][]time.Duration{}
		names := []string{"ingot", "aws s3 cp", "rclone"}
		for i := range 3 {
			for _, name := range names {
				e := line.e
				e.Prefix = fmt.Sprintf("bench-%d-%d", len(line.name), i)
				began := time.Now()
				err := send(b, name, e, disk, want.SHA256)
				if errors.Is(err, exec.ErrNotFound) {
					continue
				}
				if err != nil {
					b.Fatalf("%s: %v", name, err)
				}
				took[name] = append(took[name], time.Since(began))
			}
		}
		ours := median(took["ingot"])
		fmt.Printf("%s: ingot %.1f s (%v)\n", line.name, ours.Seconds(), took["ingot"])
		for _, name := range names[1:] {
			if len(took[name]) == 0 {
				fmt.Printf("  %s is not installed\n", name)
				continue
			}
			fmt.Printf("  %s %.1f s (%v): ingot takes %.2f times as long\n", name, median(took[name]).Seconds(), took[name], ours.Seconds()/median(took[name]).Seconds())
		}
	}
}

func median(d []time.Duration) time.Duration {
	if len(d) == 0 {
		return 0
	}
	return slices.Sorted(slices.Values(d))[len(d)/2]
}

// send uploads the disk by a program.
func send(b *testing.B, name string, e Endpoint, disk, sum string) error {
	b.Helper()
	target := fmt.Sprintf("%s/%s/%s.qcow2", e.Bucket, e.Prefix, strings.ReplaceAll(name, " ", "-"))
	env := append(os.Environ(), "AWS_ACCESS_KEY_ID=ingot", "AWS_SECRET_ACCESS_KEY="+storeSecret, "AWS_DEFAULT_REGION="+e.Region, "AWS_CONFIG_FILE=/dev/null", "AWS_CA_BUNDLE=")
	var cmd *exec.Cmd
	switch name {
	case "aws s3 cp":
		cmd = exec.Command("aws", "--endpoint-url", e.URL, "s3", "cp", "--no-progress", disk, "s3://"+target)
	case "rclone":
		cmd = exec.Command("rclone", "--config", "/dev/null", "--s3-provider", "Other", "--s3-env-auth", "--s3-endpoint", e.URL, "--s3-region", e.Region, "--s3-no-check-bucket", "copyto", disk, ":s3:"+target)
	default:
		r := publish.Release{OS: "debian", Release: "12", Variant: "server", Arch: "arm64", Version: "1", Proven: true, Proof: "proof-1",
			Files: []publish.File{{Name: "disk.qcow2", Path: disk, SHA256: sum, MediaType: "application/octet-stream", Disk: true}}}
		_, err := Publish(b.Context(), e, r, publish.Options{Signer: publishtest.Signer(b), Unfinished: b.TempDir()})
		return err
	}
	cmd.Env = env
	out, err := cmd.CombinedOutput()
	if err != nil && !errors.Is(err, exec.ErrNotFound) {
		err = fmt.Errorf("%w: %s", err, cmp.Or(strings.TrimSpace(string(out)), "nothing was said"))
	}
	return err
}
