package lima

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// If two Ingot processes start one instance, limactl runs once at a time, and the
// second process reports that it waits. A forced stop does not wait.
func TestTwoIngots(t *testing.T) {
	s := store(t, map[string]string{"vm/lima.yaml": sized, "other/lima.yaml": sized})
	log := filepath.Join(t.TempDir(), "log")
	fake(t, v2+`echo "$1 begins" >>`+log+`; [ "$1" != start ] || sleep 1; echo "$1 ends" >>`+log+`; exit 1`)
	var mu sync.Mutex
	var messages []string
	ingot := func(do func(l *Limactl, onLine func(Line)) error) error {
		l, err := Find(context.Background(), s) // two processes have two of them
		if err != nil {
			t.Error(err)
			return err
		}
		return do(l, func(l Line) {
			mu.Lock()
			defer mu.Unlock()
			messages = append(messages, l.Text)
		})
	}
	start := func(l *Limactl, onLine func(Line)) error { return l.Start(context.Background(), "vm", onLine) }
	lines := func() string {
		b, err := os.ReadFile(log)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
		return strings.ReplaceAll(strings.TrimSpace(string(b)), "\n", ", ")
	}
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() { _ = ingot(start) }) // the script fails
	}
	wg.Wait()
	if got := lines(); got != "start begins, start ends, start begins, start ends" {
		t.Errorf("limactl's calls: %s", got)
	}
	if all := strings.Join(messages, "|"); strings.Count(all, "another Ingot process is changing vm") != 1 {
		t.Errorf("messages: %s", all)
	}

	_ = os.Remove(log)
	wg.Go(func() { _ = ingot(start) })
	for end := time.Now().Add(time.Minute); lines() == "" && time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
	}
	gone, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if err := ingot(func(l *Limactl, onLine func(Line)) error { return l.Clone(gone, "vm", "copy", onLine) }); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a clone meanwhile: %v", err)
	}
	_ = ingot(func(l *Limactl, onLine func(Line)) error { return l.Delete(context.Background(), "vm", true, onLine) })
	_ = ingot(func(l *Limactl, onLine func(Line)) error {
		return l.Start(context.Background(), "other", func(Line) {})
	})
	wg.Wait()
	if got := lines(); !strings.HasPrefix(got, "start begins, delete begins, delete ends, start begins") {
		t.Errorf("limactl's calls: %s", got)
	}
}
