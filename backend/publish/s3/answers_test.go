package s3

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/minio/minio-go/v7/pkg/credentials"

	"ingot/backend/cause"
	"ingot/backend/publish"
	"ingot/backend/secret"
)

func errorXML(code, msg, extra string) string {
	return `<?xml version="1.0" encoding="UTF-8"?>` + "\n<Error><Code>" + code + "</Code><Message>" + msg + "</Message>" + extra + "<RequestId>1</RequestId></Error>"
}

// quirk is a storage that gives an error response to the requests for which on is nil
// or true.
type quirk struct {
	status int
	body   string
	on     func(r *http.Request) bool
	want   string
}

func method(names ...string) func(r *http.Request) bool {
	return func(r *http.Request) bool {
		for _, n := range names {
			if r.Method == n {
				return true
			}
		}
		return false
	}
}

func lists(r *http.Request) bool { return r.URL.Query().Has("list-type") }

// Error responses of services, by code and by body, get the cause that a person can act
// on.
func TestAnswers(t *testing.T) {
	pack, err := cause.Shipped()
	if err != nil {
		t.Fatal(err)
	}
	for name, q := range map[string]quirk{
		"skew":            {403, errorXML("RequestTimeTooSkewed", "The difference between the request time and the current time is too large.", "<ServerTime>2026-11-28T20:00:00Z</ServerTime>"), nil, "publish.clock-skew"},
		"skew of others":  {403, errorXML("AccessDenied", "Request time too skewed", ""), nil, "publish.clock-skew"},
		"expired":         {400, errorXML("ExpiredToken", "The provided token has expired.", ""), nil, "publish.expired"},
		"session":         {403, errorXML("AccessDenied", "Your session has expired, please log in", ""), nil, "publish.expired"},
		"cap":             {403, errorXML("AccessDenied", "Cannot upload files, storage cap exceeded. See the Caps &amp; Alerts page to increase your cap.", ""), method("PUT"), "publish.no-space"},
		"cap, bad XML":    {403, errorXML("AccessDenied", "Cannot upload files, storage cap exceeded. See the Caps & Alerts page to increase your cap.", ""), method("PUT"), "publish.no-space"},
		"quota":           {400, errorXML("XMinioAdminBucketQuotaExceeded", "Bucket quota exceeded", ""), method("PUT"), "publish.no-space"},
		"full":            {507, errorXML("XMinioStorageFull", "Storage backend has reached its minimum free drive threshold.", ""), method("PUT"), "publish.no-space"},
		"region":          {400, errorXML("AuthorizationHeaderMalformed", "The authorization header is malformed; the region 'us-east-1' is wrong; expecting 'eu-central-1'", "<Region>eu-central-1</Region>"), nil, "publish.region"},
		"redirect":        {301, errorXML("PermanentRedirect", "The bucket you are attempting to access must be addressed using the specified endpoint.", ""), nil, "publish.region"},
		"no conditions":   {501, errorXML("NotImplemented", "A header you provided implies functionality that is not implemented", "<Header>If-None-Match</Header>"), func(r *http.Request) bool { return r.Header.Get("If-None-Match") != "" }, "publish.no-conditions"},
		"path style":      {400, errorXML("InvalidRequest", "Virtual-hosted-style only.", ""), nil, "publish.path-style"},
		"checksums":       {400, errorXML("InvalidArgument", "Unsupported header x-amz-checksum-algorithm received for this API call.", ""), method("PUT"), "publish.no-checksums"},
		"suspended":       {403, errorXML("AccountProblem", "There is a problem with your account that prevents the operation from completing successfully.", ""), nil, "publish.account"},
		"no bucket":       {404, errorXML("NoSuchBucket", "The specified bucket does not exist", ""), nil, "publish.no-bucket"},
		"no such key":     {403, errorXML("InvalidAccessKeyId", "The AWS Access Key Id you provided does not exist in our records.", ""), nil, "publish.credentials"},
		"wrong signature": {403, errorXML("SignatureDoesNotMatch", "The request signature we calculated does not match the signature you provided.", ""), nil, "publish.credentials"},
		"may not list":    {403, errorXML("AccessDenied", "Access Denied", ""), lists, "publish.not-allowed"},
		"may not write":   {403, errorXML("AccessDenied", "Access Denied", ""), method("PUT", "DELETE"), "publish.not-allowed"},
		"a login page":    {200, "<!DOCTYPE html><html><head><title>Log in</title></head><body></body></html>", nil, "publish.not-s3"},
		"a console":       {400, "<html><body>Client sent an unknown request</body></html>", nil, "publish.not-s3"},
		"TLS port":        {400, "Client sent an HTTP request to an HTTPS server.\n", nil, "publish.scheme"},
		"nginx TLS port":  {400, "<html><head><title>400 The plain HTTP request was sent to HTTPS port</title></head></html>", nil, "publish.scheme"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			good := careless(t)
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if q.on != nil && !q.on(r) {
					good.ServeHTTP(w, r)
					return
				}
				_, _ = io.Copy(io.Discard, r.Body)
				w.Header().Set("Content-Type", "application/xml")
				if strings.Contains(q.body, "<html") {
					w.Header().Set("Content-Type", "text/html")
				}
				w.WriteHeader(q.status)
				fmt.Fprint(w, q.body)
			}))
			defer srv.Close()
			_, err := Probe(t.Context(), endpointAt(srv.URL))
			var perr *publish.Error
			if !errors.As(err, &perr) || perr.Cause != q.want {
				t.Fatalf("%v (%s), want %s", err, cause.IDOf(err), q.want)
			}
			if f, ok := pack.Describe(perr.Cause); !ok || f.Means == "" || f.Fix == "" {
				t.Errorf("%s: it is not said what to do", perr.Cause)
			}
		})
	}
}

func endpointAt(url string) Endpoint {
	return Endpoint{URL: url, Region: "us-east-1", Bucket: "releases", PathStyle: true, Credentials: credentials.NewStaticV4("key", "secret-key-77", "")}
}

// A key without the right to delete can publish, and does not fail the test.
func TestNoRightToDelete(t *testing.T) {
	good := careless(t)
	srv := httptest.NewServer(good) // refuses every DELETE
	defer srv.Close()
	found, err := Probe(t.Context(), endpointAt(srv.URL))
	if err != nil {
		t.Fatal(err)
	}
	last := found[len(found)-1]
	if last.Name != "delete" || !last.OK || !strings.Contains(last.Seen, "was not deleted") {
		t.Errorf("%+v", last)
	}
}

// An endpoint that accepts a connection and sends nothing is reported soon, whether it
// is silent from the start, from the first write on, or within an answer.
func TestSilentEndpoint(t *testing.T) {
	before := answerLimit
	answerLimit = 200 * time.Millisecond
	defer func() { answerLimit = before }()
	const list = `<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>b</Name><KeyCount>0</KeyCount><IsTruncated>false</IsTruncated></ListBucketResult>`
	for name, said := range map[string]func(r *http.Request) string{
		"from the start":   func(*http.Request) string { return "" },
		"at a write":       func(r *http.Request) string { return map[bool]string{true: list}[r.URL.Query().Has("list-type")] },
		"within an answer": func(*http.Request) string { return list[:20] },
	} {
		wait := make(chan struct{})
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			text := said(r)
			_, _ = io.WriteString(w, text)
			if text == list {
				return
			}
			if text != "" {
				_ = http.NewResponseController(w).Flush()
			}
			select {
			case <-wait:
			case <-r.Context().Done():
			}
		}))
		began := time.Now()
		_, err := Probe(t.Context(), endpointAt(srv.URL))
		var perr *publish.Error
		if !errors.As(err, &perr) || perr.Cause != "publish.endpoint-down" || !strings.Contains(err.Error(), "sent nothing for") || time.Since(began) > time.Minute {
			t.Errorf("%s: %v after %s", name, err, time.Since(began))
		}
		close(wait) // a handler whose request has a body that is not read is not told that the client left
		srv.Close()
	}
}

// https:// with a port that does not use TLS.
func TestHTTPSAtPlainPort(t *testing.T) {
	srv := httptest.NewServer(http.NotFoundHandler())
	defer srv.Close()
	_, err := Probe(t.Context(), endpointAt(strings.Replace(srv.URL, "http:", "https:", 1)))
	var perr *publish.Error
	if !errors.As(err, &perr) || perr.Cause != "publish.scheme" {
		t.Errorf("%v", err)
	}
}

// An AWS profile that does not exist is reported by name.
func TestMistypedProfile(t *testing.T) {
	for _, k := range []string{"AWS_ACCESS_KEY_ID", "AWS_ACCESS_KEY", "AWS_SECRET_ACCESS_KEY", "AWS_SECRET_KEY", "MINIO_ROOT_USER", "MINIO_ROOT_PASSWORD", "MINIO_ACCESS_KEY", "MINIO_SECRET_KEY", "AWS_PROFILE"} {
		t.Setenv(k, "")
	}
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", t.TempDir()+"/credentials")
	for _, kind := range []string{"", "aws-profile"} {
		_, err := Credentials(kind, "wrok", "https://s3.example.org", secret.Files{Dir: t.TempDir()})
		var perr *publish.Error
		if !errors.As(err, &perr) || perr.Cause != "publish.profile" || !strings.Contains(err.Error(), `"wrok"`) {
			t.Errorf("%q: %v", kind, err)
		}
	}
}
