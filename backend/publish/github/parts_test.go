package github

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"

	"ingot/backend/cause"
	"ingot/backend/publish"
	"ingot/backend/publish/github/githubtest"
	"ingot/backend/publish/publishtest"
)

// small is a repository in which assets of 300 bytes are the largest.
func small(t *testing.T, h *githubtest.Hub) *Repository {
	r := opened(t, h)
	r.part, r.limit = 300, 301
	return r
}

// A disk that is larger than an asset can be is stored in parts, which readers join; their
// list is no secret, since the signed list has the digest of the whole. A publish that was
// interrupted keeps the parts that are whole, and replaces the others; a second one sends
// nothing.
func TestParts(t *testing.T) {
	h := githubtest.Start(t)
	disk := bytes.Repeat([]byte("0123456789"), 100) // 4 parts, the last of 100 bytes
	rel, opt := publishtest.ReleaseOf(t, "20261130-1200", disk), options(t)
	name, tag := rel.Files[0].Name, Tag(rel.Dir())
	uploaded := func() (names []string) {
		for _, q := range h.Requests {
			if _, after, ok := strings.Cut(q, "name="); ok && strings.HasPrefix(q, "POST") {
				name, _, _ := strings.Cut(after, "&")
				names = append(names, name)
			}
		}
		return names
	}
	h.SetFault(fault(1, func(r *http.Request) bool { return strings.HasSuffix(r.URL.Query().Get("name"), ".part003") }, says(422, "no")))
	if _, err := small(t, h).Publish(t.Context(), rel, opt); err == nil {
		t.Fatal("a part was refused, and the publish passed")
	}
	h.SetFault(nil)
	first := uploaded()
	h.Requests = nil
	rec, err := small(t, h).Publish(t.Context(), rel, opt)
	if err != nil {
		t.Fatal(err)
	}
	if again := uploaded(); slices.Contains(again, name+".part001") || !slices.Contains(again, name+".part003") || !slices.Contains(first, name+".part001") {
		t.Errorf("sent first %q, then %q", first, again)
	}
	files := h.Public(tag)
	var joinedBytes []byte
	for i := 1; i <= 4; i++ {
		joinedBytes = append(joinedBytes, files[fmt.Sprintf("%s.part%03d", name, i)]...)
	}
	if !bytes.Equal(joinedBytes, disk) || files[name] != nil || files["lima.yaml"] != nil || len(files) != 12 {
		t.Errorf("%d bytes in parts, %d assets", len(joinedBytes), len(files))
	}
	if sums := string(files["SHA256SUMS"]); !strings.Contains(sums, rel.Files[0].SHA256+"  "+name+"\n") {
		t.Errorf("SHA256SUMS:\n%s", sums)
	}
	if rec.DiskSHA256 != rel.Files[0].SHA256 || !strings.HasSuffix(rec.DiskURL, name+".parts") || rec.DiskSize != 1000 {
		t.Errorf("%+v", rec)
	}
	h.Requests = nil
	if _, err := small(t, h).Publish(t.Context(), rel, opt); err != nil || len(uploaded()) > 0 {
		t.Errorf("again: %v, sent %q", err, uploaded())
	}

	r, err := OpenRelease(githubtest.Owner + "/" + githubtest.Repo + "@" + tag)
	if err != nil {
		t.Fatal(err)
	}
	for _, from := range []int64{0, 1, 299, 300, 650, 999} {
		body, err := r.Get(t.Context(), name, from, 1000)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(body)
		if err = errors.Join(err, body.Close()); err != nil || !bytes.Equal(got, disk[from:]) {
			t.Errorf("from %d: %d bytes, %v", from, len(got), err)
		}
	}
	if _, err := r.Get(t.Context(), name, 0, 999); err == nil {
		t.Error("more bytes than were expected")
	}
	h.Alter(tag, name+".parts", func(text []byte) []byte { return bytes.Replace(text, []byte("  300  "), []byte("  299  "), 1) })
	if body, err := r.Get(t.Context(), name, 0, 1000); err == nil { // the digest of the whole decides
		if got, err := io.ReadAll(body); err == nil && bytes.Equal(got, disk) {
			t.Error("a changed list gives the same bytes")
		}
	}
}

// What is not the file of its evidence is refused before a part is sent.
func TestPartsOfOtherBytes(t *testing.T) {
	h := githubtest.Start(t)
	rel := publishtest.ReleaseOf(t, "20261130-1200", bytes.Repeat([]byte("x"), 1000))
	repo := small(t, h)
	d := &draft{repo: repo, parts: map[string]inParts{}}
	f := rel.Files[0]
	want, err := publish.DigestFile(f)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(f.Path, bytes.Repeat([]byte("y"), 1000), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := createParts(t.Context(), d, f.Name, f, want, nil); cause.IDOf(err) != "image.digest-changed" {
		t.Errorf("%v", err)
	}
	if len(h.Requests) > 0 {
		t.Errorf("asked for %q", h.Requests)
	}
	if _, err := split(t.Context(), f.Name, f, publish.Published{Size: maxFile + 1}, 300); cause.IDOf(err) != "publish.too-large" {
		t.Errorf("too large: %v", err)
	}
}

// A list of parts that cannot be one is an error, whatever it says.
func TestParseIndex(t *testing.T) {
	sha := strings.Repeat("a", 64)
	if parts, size, err := parseIndex("d", []byte(sha+"  10  d.part001\n"+sha+"  5  d.part002\n")); err != nil || len(parts) != 2 || size != 15 || parts[1].offset != 10 {
		t.Errorf("%+v, %d, %v", parts, size, err)
	}
	for _, bad := range []string{"", "\n", sha + "  10  d.part002\n", sha + "  0  d.part001\n", sha + "  -1  d.part001\n", "x  10  d.part001\n", sha + "  10  ../d.part001\n", sha + "  9223372036854775807  d.part001\n",
		sha + "  214748364800  d.part001\n" + sha + "  1  d.part002\n"} {
		if _, _, err := parseIndex("d", []byte(bad)); err == nil {
			t.Errorf("%q is accepted", bad)
		}
	}
}
