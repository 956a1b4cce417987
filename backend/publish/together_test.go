package publish_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"ingot/backend/publish"
	"ingot/backend/publish/folder"
	"ingot/backend/publish/publishtest"
)

// slowStore is a store whose uploads take a while; it sees which ones overlap.
type slowStore struct {
	publish.Store

	mu     sync.Mutex
	open   []string
	beside map[string][]string // name → the others during its upload
}

func (s *slowStore) Create(ctx context.Context, name string, f publish.File, want publish.Published, sent func(int64)) (bool, error) {
	s.mu.Lock()
	for _, o := range s.open {
		s.beside[o], s.beside[f.Name] = append(s.beside[o], f.Name), append(s.beside[f.Name], o)
	}
	s.open = append(s.open, f.Name)
	s.mu.Unlock()
	time.Sleep(50 * time.Millisecond)
	made, err := s.Store.Create(ctx, name, f, want, sent)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open = slices.DeleteFunc(s.open, func(o string) bool { return o == f.Name })
	return made, err
}

// Small files are sent several at once; a disk, and the manifest that names files, are
// not sent beside others. The receipt lists the files in the same order each time.
func TestSmallFilesTogether(t *testing.T) {
	var lists [2][]string
	for i := range lists {
		f, err := folder.Open(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		s := &slowStore{Store: f.(*folder.Folder), beside: map[string][]string{}}
		r := publishtest.Release(t, "1")
		for _, name := range []string{"evidence/a.json", "evidence/b.json", "evidence/c.json"} {
			r.Files = append(r.Files, publish.File{Name: name, Data: []byte(name), MediaType: "application/json"})
		}
		large := publish.File{Name: "logs/large.log", Data: make([]byte, 2<<20), MediaType: "text/plain"}
		r.Files = append(r.Files, large)
		rec, err := publish.ToStore(t.Context(), s, r, publish.Options{Signer: publishtest.Signer(t)})
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range rec.Files {
			lists[i] = append(lists[i], p.Name)
		}
		for _, f := range r.Files {
			if (f.Disk || f.Name == large.Name) && len(s.beside[f.Name]) > 0 {
				t.Errorf("%s was sent beside %v", f.Name, s.beside[f.Name])
			}
		}
		if others := s.beside["manifest.json"]; len(others) > 0 {
			t.Errorf("the manifest was sent beside %v", others)
		}
		for small, other := range map[string]string{"evidence/a.json": "evidence/b.json", "SHA256SUMS": "SHA512SUMS.minisig"} {
			if !slices.Contains(s.beside[small], other) {
				t.Errorf("%s was not sent beside %s, but beside %v", small, other, s.beside[small])
			}
		}
	}
	if len(lists[0]) == 0 || !slices.Equal(lists[0], lists[1]) {
		t.Errorf("the receipts list %v and %v", lists[0], lists[1])
	}
}
