package desktop

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// The first process of a role gets it; others reach it, and get it when it has
// ended.
func TestBecome(t *testing.T) {
	for name, dir := range map[string]string{"short": t.TempDir(), "too long for a socket": filepath.Join(t.TempDir(), strings.Repeat("x", 90))} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("INGOT_HOME", dir)
			if _, err := Ask(t.Context(), MenuRole, "show reality"); err == nil {
				t.Error("nobody answered")
			}
			var mu sync.Mutex
			var asked []string
			first, _, err := Become(t.Context(), MenuRole, "", func(r string) string {
				mu.Lock()
				defer mu.Unlock()
				asked = append(asked, r)
				return "ok\nand more"
			})
			if err != nil || first == nil {
				t.Fatalf("%v %v", first, err)
			}
			second, answer, err := Become(t.Context(), MenuRole, "show settings", nil)
			if err != nil || second != nil || answer != "ok and more" {
				t.Errorf("%v %q %v", second, answer, err)
			}
			window, _, err := Become(t.Context(), WindowRole, "", nil)
			if err != nil || window == nil {
				t.Fatalf("another role: %v %v", window, err)
			}
			if _, err := Ask(t.Context(), MenuRole, strings.Repeat("x", 1<<20)); err == nil {
				t.Error("a request without an end was taken")
			}
			if err := window.Close(); err != nil {
				t.Error(err)
			}
			if err := first.Close(); err != nil {
				t.Error(err)
			}
			if len(asked) != 1 || asked[0] != "show settings" {
				t.Errorf("asked: %q", asked)
			}
			again, _, err := Become(t.Context(), MenuRole, "", nil)
			if err != nil || again == nil {
				t.Fatalf("after the first ended: %v %v", again, err)
			}
			if err := again.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// Of many that start at once, one gets the role and answers all others.
func TestBecomeAtOnce(t *testing.T) {
	t.Setenv("INGOT_HOME", t.TempDir())
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	const many = 20
	got := make(chan *Instance, many)
	var all sync.WaitGroup
	for range many {
		all.Go(func() {
			i, answer, err := Become(ctx, WindowRole, "show builds", func(string) string { return "ok" })
			if err != nil || i == nil && answer != "ok" {
				t.Errorf("%q %v", answer, err)
			}
			got <- i
		})
	}
	all.Wait()
	close(got)
	n := 0
	for i := range got {
		if i == nil {
			continue
		}
		n++
		if err := i.Close(); err != nil {
			t.Error(err)
		}
	}
	if n != 1 {
		t.Errorf("%d have the role", n)
	}
}

// A role that has taken its place and hangs is no reason to wait for ever.
func TestBecomeHangs(t *testing.T) {
	t.Setenv("INGOT_HOME", t.TempDir())
	one, _, err := Become(t.Context(), MenuRole, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = one.l.Close() // it holds the place and does not listen
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, _, err := Become(ctx, MenuRole, "show reality", nil); err == nil || !strings.Contains(err.Error(), "does not answer") {
		t.Errorf("%v", err)
	}
	_ = one.Close() // its listener is closed already
}

// The log of a crash is kept aside at the next start; a clean end leaves none.
func TestCrashLog(t *testing.T) {
	dir := t.TempDir()
	l, last, err := StartCrashLog(dir, "menu")
	if err != nil || last != "" {
		t.Fatalf("%q %v", last, err)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "*")); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
	if err := os.WriteFile(filepath.Join(dir, "crash-menu.log"), []byte("panic: x"), 0o600); err != nil {
		t.Fatal(err)
	}
	l, last, err = StartCrashLog(dir, "menu")
	if err != nil || last == "" {
		t.Fatalf("%q %v", last, err)
	}
	if text, err := os.ReadFile(last); err != nil || string(text) != "panic: x" {
		t.Errorf("%q %v", text, err)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
}

// Exported files overwrite none.
func TestFreeName(t *testing.T) {
	home := t.TempDir()
	t.Setenv("HOME", home)
	for _, want := range []string{"a.raw", "a-2.raw", "a-3.raw"} {
		got, err := FreeName("a", "raw")
		if err != nil || got != filepath.Join(home, want) {
			t.Errorf("%q %v, want %s", got, err, want)
		}
		if err := os.WriteFile(got, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(home, "Downloads"), 0o700); err != nil {
		t.Fatal(err)
	}
	if got, err := FreeName("a", "raw"); err != nil || got != filepath.Join(home, "Downloads", "a.raw") {
		t.Errorf("%q %v", got, err)
	}
}

func TestDragFiles(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "a")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := dragFiles([]string{file, dir}); err != nil || len(got) != 2 {
		t.Errorf("%v %v", got, err)
	}
	for name, files := range map[string][]string{"none": nil, "gone": {file, filepath.Join(dir, "gone")}, "device": {"/dev/null"}} {
		if _, err := dragFiles(files); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
