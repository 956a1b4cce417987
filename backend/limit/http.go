package limit

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"sync"
	"sync/atomic"
	"time"
)

// Time limits of an HTTP answer. The whole body may take as long as it needs, as long
// as no pause is longer than Stall: a disk has gigabytes. Both are short enough for a
// message within ten seconds.
const (
	Answer = 8 * time.Second // until the response headers
	Stall  = 8 * time.Second // without a byte of the body
)

// dialTime bounds the connection, a part of Answer: a host that is down has an error
// of its own.
const dialTime = 5 * time.Second

// redirects is the number of redirects that are followed.
const redirects = 5

// AnswerError reports an HTTP answer that was refused, with the reason.
type AnswerError struct {
	URL, Msg string
	TooLong  bool // the body exceeds its bound
	Silent   bool // the server sent nothing within the time limit
	Status   int  // the HTTP status that was refused; 0 for another reason
}

func (e *AnswerError) Error() string { return e.URL + ": " + e.Msg }

// Client returns the HTTP client for untrusted servers. It does not decompress bodies
// (a few bytes of gzip may expand to gigabytes, and some S3 servers declare an encoding
// that they do not use), follows no redirect to another scheme, and waits at most
// Answer for the connection, the TLS handshake and the headers. Goroutines may share
// it.
func Client() *http.Client { return client }

var client = func() *http.Client {
	t := http.DefaultTransport.(*http.Transport).Clone() // it is one: see http.DefaultTransport
	t.DisableCompression = true
	t.DialContext = (&net.Dialer{Timeout: dialTime}).DialContext
	t.MaxIdleConnsPerHost = rangesAtOnce
	return &http.Client{Transport: t, CheckRedirect: func(req *http.Request, via []*http.Request) error {
		if first := via[0].URL.Scheme; req.URL.Scheme != first {
			return fmt.Errorf("redirect from %s to %s is not followed", first, req.URL.Scheme)
		}
		if len(via) > redirects {
			return fmt.Errorf("more than %d redirects", redirects)
		}
		return nil
	}}
}()

// Get requests url and returns the body of a 200 answer. A read beyond max bytes, or
// one that gets no byte within stall, returns an *AnswerError; so does any other
// status. The caller closes the body.
func Get(ctx context.Context, c *http.Client, url string, max int64, stall time.Duration) (*Body, error) {
	b, resp, err := ask(ctx, c, url, "", max, stall)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = errors.Join(badStatus(url, resp, ""), b.Close())
	}
	if err != nil {
		return nil, err
	}
	return b, nil
}

// ask sends a GET request, for a range of the file unless that is "". The body is the
// caller's to close if there is no error; the response is there for its head.
func ask(ctx context.Context, c *http.Client, url, bytes string, max int64, stall time.Duration) (*Body, *http.Response, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	ctx, connected := watched(ctx)
	late := time.AfterFunc(Answer, func() { cancel(errStall) }) // connection, redirects and head together
	defer late.Stop()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		cancel(nil)
		return nil, nil, err
	}
	req.Header.Set("Accept-Encoding", "identity")
	if bytes != "" {
		req.Header.Set("Range", bytes)
	}
	resp, err := c.Do(req) //nolint:bodyclose // Body closes it
	if err != nil {
		if errors.Is(context.Cause(ctx), errStall) {
			err = silent(url, Answer, connected())
		}
		cancel(nil)
		return nil, nil, err
	}
	b := &Body{ContentType: resp.Header.Get("Content-Type"), url: url, from: resp.Body, left: max, max: max, stall: stall, cancel: cancel, ctx: ctx}
	if resp.StatusCode < http.StatusMultipleChoices && resp.ContentLength > max {
		return nil, nil, errors.Join(tooMany(url, max), b.Close())
	}
	return b, resp, nil
}

// badStatus is the error of an answer with another status than was asked for.
func badStatus(url string, resp *http.Response, what string) error {
	return &AnswerError{URL: url, Msg: "HTTP status " + resp.Status + what, Status: resp.StatusCode}
}

func tooMany(url string, max int64) error {
	return &AnswerError{URL: url, Msg: fmt.Sprintf("the answer is larger than its bound of %d bytes", max), TooLong: true}
}

// watched returns a context for a request, and whether a server has accepted its
// connection by now.
func watched(ctx context.Context) (context.Context, func() bool) {
	var connected atomic.Bool
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(httptrace.GotConnInfo) { connected.Store(true) }, // one of before, too
		ConnectDone: func(_, _ string, err error) {
			if err == nil {
				connected.Store(true)
			}
		},
	}), connected.Load
}

func silent(url string, d time.Duration, connected bool) *AnswerError {
	if !connected {
		return &AnswerError{URL: url, Silent: true, Msg: fmt.Sprintf("the server did not accept a connection within %s: check the address, and the network or firewall between", d)}
	}
	return &AnswerError{URL: url, Silent: true, Msg: fmt.Sprintf("the server accepted the connection and sent nothing for %s: try again later, or ask who runs it", d)}
}

// Transport is a RoundTripper for a server whose answers are read whole: it ends an
// answer that has no headers within Answer, or no byte of its body within Stall, with
// an *AnswerError. For Rest it then returns the same error without a request, so that a
// client that retries reports it soon. Requests that send more than Upload bytes, and
// POST, with which a server joins the parts of an upload, wait as long as Base does.
type Transport struct {
	Base          http.RoundTripper
	Answer, Stall time.Duration // 0 is that of the package

	mu    sync.Mutex
	until time.Time // no request is sent until then
	last  *AnswerError
}

// Bounds of a Transport.
const (
	Rest   = 5 * time.Second
	Upload = 1 << 20 // bytes
)

// RoundTrip requests within the bounds.
func (t *Transport) RoundTrip(req *http.Request) (*http.Response, error) {
	if err := t.silent(); err != nil {
		return nil, err
	}
	answer, stall := cmp.Or(t.Answer, Answer), cmp.Or(t.Stall, Stall)
	ctx, cancel := context.WithCancelCause(req.Context())
	ctx, connected := watched(ctx)
	late := time.AfterFunc(answer, func() { cancel(errStall) })
	if req.ContentLength > Upload || req.ContentLength < 0 || req.Method == http.MethodPost {
		late.Stop()
	}
	resp, err := t.Base.RoundTrip(req.WithContext(ctx))
	late.Stop()
	if err != nil {
		if context.Cause(ctx) == errStall { //nolint:errorlint // it is that value
			err = t.note(silent(address(req.URL), answer, connected()))
		}
		cancel(nil)
		return nil, err
	}
	resp.Body = &stalling{Body{url: address(req.URL), from: resp.Body, left: math.MaxInt64 - 1, stall: stall, cancel: cancel, ctx: ctx}, t}
	return resp, nil
}

// address is a URL without its query, which may have a signature.
func address(u *url.URL) string {
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String()
}

func (t *Transport) silent() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if time.Now().Before(t.until) {
		return t.last
	}
	return nil
}

func (t *Transport) note(e *AnswerError) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.last, t.until = e, time.Now().Add(Rest)
	return e
}

// stalling is the body of an answer of a Transport.
type stalling struct {
	Body
	t *Transport
}

func (s *stalling) Read(p []byte) (int, error) {
	n, err := s.Body.Read(p)
	var odd *AnswerError
	if errors.As(err, &odd) && odd.Silent {
		return n, s.t.note(odd)
	}
	return n, err
}

// Body is the body of an HTTP answer, read within its bounds. It is used by one
// goroutine at a time.
type Body struct {
	ContentType string // from the response headers

	url       string
	from      io.ReadCloser
	left, max int64
	stall     time.Duration
	ctx       context.Context
	cancel    context.CancelCauseFunc
}

var errStall = errors.New("no data")

// Read reads within the bounds of size and pause; see Get.
func (b *Body) Read(p []byte) (int, error) {
	if b.left < 0 {
		return 0, tooMany(b.url, b.max)
	}
	if b.left < int64(len(p)) { // one byte more than the bound shows that the body is too long
		p = p[:b.left+1]
	}
	late := time.AfterFunc(b.stall, func() { b.cancel(errStall) })
	n, err := b.from.Read(p)
	late.Stop()
	if err != nil && !errors.Is(err, io.EOF) && context.Cause(b.ctx) == errStall {
		err = silent(b.url, b.stall, true)
	}
	if b.left -= int64(n); b.left < 0 {
		return n - 1, tooMany(b.url, b.max)
	}
	return n, err
}

// Close closes the body and cancels the request.
func (b *Body) Close() error {
	err := b.from.Close()
	b.cancel(nil)
	return err
}
