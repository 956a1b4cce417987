package s3

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/minio/minio-go/v7/pkg/credentials"

	"ingot/backend/publish"
	"ingot/backend/secret"
)

// publisherDir names the folder of a process that publishes once; see publishOnce.
const publisherDir = "INGOT_TEST_PUBLISHER"

// order is what such a process publishes, and where.
type order struct {
	URL, Bucket, Prefix, Region, Password string
	Release                               publish.Release
}

// publishOnce publishes the order in a folder, with the key and the notes that lie there,
// and prints the receipt.
func publishOnce(dir string) int {
	var o order
	text, err := os.ReadFile(filepath.Join(dir, "order.json"))
	if err == nil {
		err = json.Unmarshal(text, &o)
	}
	var signer *secret.Signer
	if err == nil {
		signer, err = secret.LoadOrCreateSigner(secret.Files{Dir: filepath.Join(dir, "keys")})
	}
	if err == nil {
		e := Endpoint{URL: o.URL, Bucket: o.Bucket, Prefix: o.Prefix, Region: o.Region, PathStyle: true, Credentials: credentials.NewStaticV4("ingot", o.Password, "")}
		var receipt publish.Receipt
		receipt, err = Publish(context.Background(), e, o.Release, publish.Options{Signer: signer, Unfinished: filepath.Join(dir, "notes")})
		fmt.Println(receipt.DiskSHA256)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// poorLine serves the endpoint with a delay; it loses one request of forty, and the answer
// to another one of forty, whose request was obeyed.
func poorLine(t *testing.T, e Endpoint, rng *rand.Rand) Endpoint {
	t.Helper()
	proxy := reverse(t, e.URL)
	var mu sync.Mutex
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		cut := rng.IntN(40)
		mu.Unlock()
		time.Sleep(10 * time.Millisecond)
		if cut == 0 {
			panic(http.ErrAbortHandler)
		}
		if cut == 1 {
			proxy.ServeHTTP(httptest.NewRecorder(), r)
			panic(http.ErrAbortHandler)
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	e.URL, e.Local = s.URL, false
	return e
}

// A publisher that is killed at random moments, over a line that is cut at random, ends
// with the right bytes, one entry in the catalogue, and no unfinished upload.
// INGOT_PUBLISH_KILLS is the number of kills, INGOT_PUBLISH_SEED their seed.
func TestUploadKilled(t *testing.T) {
	kills, seed := 5, uint64(1)
	if n, err := strconv.Atoi(os.Getenv("INGOT_PUBLISH_KILLS")); err == nil {
		kills = n
	}
	if n, err := strconv.ParseUint(os.Getenv("INGOT_PUBLISH_SEED"), 10, 64); err == nil {
		seed = n
	}
	rng := rand.New(rand.NewPCG(seed, 0))
	e := at(t)
	poor := poorLine(t, e, rand.New(rand.NewPCG(seed, 1)))
	dir := t.TempDir()
	var versions []publish.Release
	next := func() {
		r := fourParts(t)
		r.Version = fmt.Sprint(len(versions) + 1)
		r.Files[0].Name = "disk-" + r.Version + ".qcow2"
		versions = append(versions, r)
		text, err := json.Marshal(order{URL: poor.URL, Bucket: e.Bucket, Prefix: e.Prefix, Region: e.Region, Password: storeSecret, Release: r})
		if err := errors.Join(err, os.WriteFile(filepath.Join(dir, "order.json"), text, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	// the first one is not killed, and says how long one takes
	finish := func() (took time.Duration) {
		for range 20 {
			began := time.Now()
			out, err := publisher(t, dir, time.Minute)
			if err == nil {
				return time.Since(began)
			}
			t.Logf("%v: %s", err, out)
		}
		t.Fatal("it does not pass in 20 attempts")
		return 0
	}
	next()
	span := finish()
	next()
	killed, failed := 0, 0
	for killed < kills {
		out, err := publisher(t, dir, time.Duration(rng.Float64()*float64(span)))
		var exit *exec.ExitError
		switch {
		case err == nil:
			next()
		case errors.As(err, &exit) && exit.ExitCode() < 0:
			killed++
		default: // the line was cut once too often
			if failed++; failed > 10*kills {
				t.Fatalf("it fails without end: %v\n%s", err, out)
			}
		}
	}
	finish()
	t.Logf("%d kills, %d publishes ended by the line, %d releases", killed, failed, len(versions))
	resp, err := http.Get(e.public() + "/index.json")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var index publish.Index
	if err := json.NewDecoder(resp.Body).Decode(&index); err != nil {
		t.Fatal(err)
	}
	listed := map[string]int{}
	for _, i := range index.Images {
		listed[i.Version]++
	}
	for _, r := range versions {
		got, err := (&client{endpoint: e, http: http.DefaultClient}).ReadPublic(t.Context(), "debian/12/arm64/"+r.Version+"/"+r.Files[0].Name, 1<<30)
		if err != nil || got.SHA256 != r.Files[0].SHA256 {
			t.Errorf("release %s: SHA-256 %s instead of %s, %v", r.Version, got.SHA256, r.Files[0].SHA256, err)
		}
		if n := listed[r.Version]; n != 1 {
			t.Errorf("release %s is %d times in the catalogue: %+v", r.Version, n, index)
		}
	}
	if n := unfinished(t, e); n != 0 {
		t.Errorf("%d uploads are left", n)
	}
	if n := notes(t, filepath.Join(dir, "notes")); n != 0 {
		t.Errorf("%d notes are left", n)
	}
}

// publisher runs the process that publishes the order in dir, and kills it after a time.
func publisher(t *testing.T, dir string, after time.Duration) (out []byte, err error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), after)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0])
	cmd.Env = append(os.Environ(), publisherDir+"="+dir)
	return cmd.CombinedOutput()
}
