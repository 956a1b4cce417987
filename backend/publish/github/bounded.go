package github

import (
	"context"
	"io"
	"net/http"
	"strings"
	"time"

	"ingot/backend/limit"
)

// Bounds of one answer of the API: a list of a hundred releases with their assets is
// smaller, and takes less time. Uploads and downloads of assets have neither.
const (
	answerBytes = 32 << 20
	answerTime  = time.Minute
)

// silent returns a transport that gives up on a server that sends nothing; see
// limit.Transport.
func silent() http.RoundTripper { return &limit.Transport{Base: limit.Client().Transport} }

// bounded is a transport that bounds the answers of the API.
type bounded struct{ http.RoundTripper }

func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Method == http.MethodPost && r.URL.Query().Has("name") || strings.Contains(r.Header.Get("Accept"), "octet-stream") {
		return b.RoundTripper.RoundTrip(r)
	}
	ctx, cancel := context.WithTimeout(r.Context(), answerTime)
	resp, err := b.RoundTripper.RoundTrip(r.WithContext(ctx))
	if err != nil {
		cancel()
		return nil, err
	}
	resp.Body = &boundedBody{io.LimitReader(resp.Body, answerBytes), resp.Body, cancel}
	return resp, nil
}

// boundedBody ends after answerBytes, and frees its deadline when it is closed.
type boundedBody struct {
	io.Reader
	body   io.Closer
	cancel func()
}

func (b *boundedBody) Close() error {
	defer b.cancel()
	return b.body.Close()
}
