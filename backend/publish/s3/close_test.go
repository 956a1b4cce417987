package s3

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"ingot/backend/limit"
)

// closesStore makes the test's process one that ends its store; see closeStore.
const closesStore = "INGOT_TEST_CLOSE"

// closeStore leaves a connection to the store over which nothing was sent – the second of
// two requests takes that of the first one while its own is made –, ends the store, and
// prints how long that took.
func closeStore() int {
	t, ok := limit.Client().Transport.(*http.Transport)
	if !ok {
		fmt.Println("limit.Client has another transport")
		return 1
	}
	var dials atomic.Int32
	dialed := make(chan struct{})
	dial := t.DialContext
	t.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		if dials.Add(1) == 2 {
			defer close(dialed)
			time.Sleep(300 * time.Millisecond)
		}
		return dial(context.WithoutCancel(ctx), network, addr)
	}
	get := func() (*http.Response, error) {
		return limit.Client().Get(store.Endpoint().URL + "/" + localBucket + "/" + markerName)
	}
	first, err := get()
	if err != nil {
		fmt.Println(err)
		return 1
	}
	second := make(chan error, 1)
	go func() {
		r, err := get()
		if err == nil {
			_, _ = io.Copy(io.Discard, r.Body)
			err = r.Body.Close()
		}
		second <- err
	}()
	time.Sleep(100 * time.Millisecond)
	_, _ = io.Copy(io.Discard, first.Body)
	_ = first.Body.Close()
	if err := <-second; err != nil {
		fmt.Println(err)
		return 1
	}
	<-dialed
	time.Sleep(100 * time.Millisecond) // the connection goes to those that are not in use
	began := time.Now()
	err = store.Close()
	fmt.Printf("%d connections, closed within %s, %v\n", dials.Load(), time.Since(began).Round(time.Second), err)
	return 0
}

// The store's server ends at once, also with a connection over which nothing was sent.
// Before, each such publish waited for ten seconds.
func TestCloseAtOnce(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), closesStore+"=1")
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "2 connections, closed within 0s, <nil>") {
		t.Errorf("%v: %s", err, out)
	}
}
