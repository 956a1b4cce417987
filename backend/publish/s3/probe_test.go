package s3

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"

	"ingot/backend/publish"
)

func failed(found []publish.Ability) []string {
	var names []string
	for _, a := range found {
		if !a.OK {
			names = append(names, a.Name)
		}
	}
	return names
}

// careless is a server that ignores conditions, as old services do, and refuses to
// delete.
func careless(t *testing.T) http.Handler {
	t.Helper()
	kept := []byte{}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		sum := md5.Sum(kept)
		w.Header().Set("ETag", `"`+hex.EncodeToString(sum[:])+`"`)
		w.Header().Set("Last-Modified", time.Unix(1e9, 0).UTC().Format(http.TimeFormat))
		switch {
		case strings.HasPrefix(r.URL.Path, "/elsewhere"):
			http.NotFound(w, r)
		case r.URL.Query().Has("list-type"):
			fmt.Fprint(w, `<?xml version="1.0"?><ListBucketResult><Name>ingot</Name></ListBucketResult>`)
		case r.Method == http.MethodPut:
			kept, _ = io.ReadAll(r.Body)
		case r.Method == http.MethodDelete:
			w.WriteHeader(http.StatusForbidden)
		default:
			_, _ = w.Write(kept)
		}
	})
}

// The local store passes all tests; a server that ignores conditions or is not public
// is detected.
func TestProbe(t *testing.T) {
	e := at(t)
	found, err := Probe(context.Background(), e)
	if err != nil || len(failed(found)) > 0 || len(found) != 7 {
		t.Fatalf("local store: %+v, %v", found, err)
	}
	srv := httptest.NewServer(careless(t))
	defer srv.Close()
	bad := e
	bad.URL, bad.PublicURL = srv.URL, srv.URL+"/elsewhere"
	found, err = Probe(context.Background(), bad)
	if got := failed(found); err != nil || !slices.Equal(got, []string{"create only", "read back", "refuse a lost update", "public"}) {
		t.Errorf("a careless server: %q, %v", got, err)
	}
	for _, a := range found {
		if !a.OK && a.Name != "read back" && a.Seen == "" {
			t.Errorf("%s: nothing is said of why", a.Name)
		}
	}
	c, err := newClient(e)
	if err != nil {
		t.Fatal(err)
	}
	for o := range c.s3.ListObjects(context.Background(), e.Bucket, minio.ListObjectsOptions{Recursive: true}) {
		if strings.Contains(o.Key, "ingot-probe-") {
			t.Errorf("%s is left", o.Key)
		}
	}
	bad = e
	bad.Bucket = "no-such-bucket"
	var perr *publish.Error
	if _, err := Probe(context.Background(), bad); !errors.As(err, &perr) || perr.Cause != "publish.no-bucket" {
		t.Errorf("no bucket: %v", err)
	}
}
