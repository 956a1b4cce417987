package limit

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

// Sizes of GetRanges. What was read ahead is in memory: rangesAtOnce times rangeSize.
const (
	rangeSize    = 4 << 20 // bytes
	rangesAtOnce = 16
)

// GetRanges returns the same body as Get, without its first from bytes, but requests the
// file in ranges, several at a time: on a line with a delay one connection uses a
// fraction of it. A server that answers the first request with the whole file is read as
// by Get. The file must have more than from bytes, unless that is 0. max counts from the
// beginning of the file.
func GetRanges(ctx context.Context, c *http.Client, url string, from, max int64, stall time.Duration) (*Body, error) {
	first, resp, err := ask(ctx, c, url, byteRange(from, rangeSize), max, stall)
	if err != nil {
		return nil, err
	}
	var total int64
	switch {
	case resp.StatusCode == http.StatusOK:
		if n, err := io.CopyN(io.Discard, first, from); err != nil {
			return nil, errors.Join(ended(url, n, from, err), first.Close())
		}
		return first, nil
	case resp.StatusCode == http.StatusRequestedRangeNotSatisfiable && from == 0: // an empty file
		if err := first.Close(); err != nil {
			return nil, err
		}
		return Get(ctx, c, url, max, stall)
	case resp.StatusCode == http.StatusPartialContent:
		if total, err = wholeSize(resp, from, rangeSize); err == nil && total > max {
			err = tooMany(url, max)
		}
	default:
		err = badStatus(url, resp, "")
	}
	if err != nil {
		return nil, errors.Join(err, first.Close())
	}
	// the pieces have their own bounds: the whole waits as long as they do
	ctx, cancel := context.WithCancelCause(ctx)
	a := &ahead{url: url, first: first, size: min(rangeSize, total-from), pieces: make(chan chan piece, rangesAtOnce-1), ctx: ctx}
	go a.fetch(ctx, c, url, from+rangeSize, total, stall)
	return &Body{ContentType: first.ContentType, url: url, from: a, left: max - from, max: max, stall: forever, cancel: cancel, ctx: ctx}, nil
}

// forever is no time limit.
const forever = 1 << 62

func byteRange(from, size int64) string { return fmt.Sprintf("bytes=%d-%d", from, from+size-1) }

// wholeSize returns the size of the whole file in bytes, from the answer to a request
// for a range; the range in it must be the one that was asked for.
func wholeSize(resp *http.Response, from, size int64) (total int64, err error) {
	var begin, last int64
	head := resp.Header.Get("Content-Range") // RFC 9110, 14.4
	if n, err := fmt.Sscanf(head, "bytes %d-%d/%d", &begin, &last, &total); err != nil || n != 3 || begin != from || last != min(from+size, total)-1 || total <= from {
		return 0, &AnswerError{URL: address(resp.Request.URL), Msg: fmt.Sprintf("the answer has the range %q, and not the one that was asked for, %s", head, byteRange(from, size))}
	}
	return total, nil
}

// piece is a range that was read, or why it was not.
type piece struct {
	data []byte
	err  error
}

// ahead is a body whose first range is read from its answer, and the others from pieces
// that were requested meanwhile, in their order.
type ahead struct {
	url    string
	first  *Body
	size   int64           // bytes of the first range
	got    int64           // bytes of it that were read
	pieces chan chan piece // closed after the last one
	now    piece
	ctx    context.Context
}

// fetch requests the ranges after the first one, in order, as fast as they are read. The
// capacity of pieces bounds those that are not read yet.
func (a *ahead) fetch(ctx context.Context, c *http.Client, url string, begin, total int64, stall time.Duration) {
	defer close(a.pieces)
	for from := begin; from < total; from += rangeSize {
		p := make(chan piece, 1)
		select {
		case a.pieces <- p:
		case <-ctx.Done():
			return
		}
		go func() {
			data, err := getRangeAgain(ctx, c, url, from, min(rangeSize, total-from), total, stall)
			p <- piece{data, err}
		}()
	}
}

// Of a large file there are hundreds of ranges: one that fails by the line, or because
// the server is busy, is requested again.
const (
	rangeTries = 3
	rangePause = 500 * time.Millisecond // before the second try; the next one is twice as long
)

func getRangeAgain(ctx context.Context, c *http.Client, url string, from, size, total int64, stall time.Duration) (data []byte, err error) {
	for try := 1; ; try++ {
		if data, err = getRange(ctx, c, url, from, size, total, stall); err == nil || !passing(err) || try == rangeTries {
			return data, err
		}
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-time.After(rangePause << (try - 1)):
		}
	}
}

// passing reports whether a request that failed may pass when it is repeated. A silent
// server was waited for already.
func passing(err error) bool {
	var odd *AnswerError
	if !errors.As(err, &odd) {
		return !errors.Is(err, context.Canceled)
	}
	return odd.Status == http.StatusTooManyRequests || odd.Status >= http.StatusInternalServerError
}

// ended is the error of an answer that ended after n bytes of size.
func ended(url string, n, size int64, err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%s: the answer ended after %d of %d bytes", url, n, size)
	}
	return err
}

// getRange reads one range of a file of total bytes.
func getRange(ctx context.Context, c *http.Client, url string, from, size, total int64, stall time.Duration) (data []byte, err error) {
	b, resp, err := ask(ctx, c, url, byteRange(from, size), size, stall)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, b.Close()) }()
	if resp.StatusCode != http.StatusPartialContent {
		return nil, badStatus(url, resp, " for a part of the file")
	}
	if now, err := wholeSize(resp, from, size); err != nil {
		return nil, err
	} else if now != total {
		return nil, &AnswerError{URL: url, Msg: fmt.Sprintf("the file had %d bytes, and has %d while it is read", total, now)}
	}
	data = make([]byte, size)
	if n, err := io.ReadFull(b, data); err != nil {
		return nil, ended(url, int64(n), size, err)
	}
	return data, nil
}

// Read reads the ranges in order.
func (a *ahead) Read(p []byte) (int, error) {
	if a.first != nil {
		n, err := a.first.Read(p)
		a.got += int64(n)
		if !errors.Is(err, io.EOF) {
			return n, err
		}
		if a.got != a.size {
			return n, ended(a.url, a.got, a.size, io.EOF)
		}
		err, a.first = a.first.Close(), nil
		if n > 0 || err != nil {
			return n, err
		}
	}
	for len(a.now.data) == 0 {
		if a.now.err != nil {
			return 0, a.now.err
		}
		next, more := <-a.pieces
		if err := context.Cause(a.ctx); !more && err != nil {
			return 0, err
		}
		if !more {
			return 0, io.EOF
		}
		a.now = <-next
	}
	n := copy(p, a.now.data)
	a.now.data = a.now.data[n:]
	return n, nil
}

// Close closes the first range; the caller ends the others by their context.
func (a *ahead) Close() error {
	if a.first == nil {
		return nil
	}
	return a.first.Close()
}
