package githubtest

import (
	"net/http"
	"strings"
	"testing"
)

// watched is a test whose failures are kept.
type watched struct {
	testing.TB
	said []string
}

func (w *watched) Errorf(format string, args ...any) { w.said = append(w.said, format) }

// What GitHub's description does not allow is a failure of the test: a request with a
// field of another type, one without a field, and an operation that does not exist.
func TestHeldToDescription(t *testing.T) {
	w := &watched{TB: t}
	h := Start(w)
	send := func(method, path, body string) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), method, h.URL+"/api/repos/owner/images"+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+h.Token)
		r.Header.Set("Content-Type", "application/json")
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = answer.Body.Close()
	}
	send(http.MethodPost, "/releases", `{"tag_name": "v1", "draft": true}`)
	send(http.MethodGet, "/releases", "")
	if len(w.said) > 0 {
		t.Fatalf("good requests: %q", w.said)
	}
	for _, bad := range [][3]string{{http.MethodPost, "/releases", `{"tag_name": 1}`}, {http.MethodPost, "/releases", `{"name": "x"}`}, {http.MethodPut, "/releases", ""}, {http.MethodGet, "/releases/latests/x/y", ""}} {
		w.said = nil
		if send(bad[0], bad[1], bad[2]); len(w.said) == 0 {
			t.Errorf("%q is not noticed", bad)
		}
	}
	// an answer that GitHub would not give
	w.said = nil
	h.releases[0].assets = []*asset{{id: 5, name: "x", media: "text/plain", whole: true}}
	bent = func(out map[string]any) { delete(out, "digest") }
	defer func() { bent = nil }()
	if send(http.MethodGet, "/releases", ""); len(w.said) == 0 {
		t.Error("an asset without the field digest is not noticed")
	}
}
