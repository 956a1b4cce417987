package event

import (
	"os"
	"path/filepath"
	"testing"
)

// A journal whose last line a crash cut short goes on after its last whole one.
func TestJournalAfterCrash(t *testing.T) {
	path := filepath.Join(t.TempDir(), "b", "journal.ndjson")
	for i, cut := range []bool{true, false} {
		j, err := OpenJournal(path, "t", "b1", nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := j.Add(Event{Kind: Note, Msg: "whole"}); err != nil {
			t.Fatal(err)
		}
		if err := j.Add(Event{Kind: Progress}); err != nil {
			t.Fatal(err)
		}
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
		if cut {
			f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := f.WriteString(`{"id":2,"kind":"no`); err != nil {
				t.Fatal(err)
			}
			_ = f.Close()
		}
		got, err := Read(path)
		if err != nil || len(got) != i+1 || got[i].ID != int64(i+1) || got[i].Target != "t" || got[i].Build != "b1" {
			t.Fatalf("%+v, %v", got, err)
		}
	}
}

// The bus drops a follower that falls behind, and tells it so by closing.
func TestBus(t *testing.T) {
	var b Bus
	events, stop := b.Follow()
	b.Publish(Event{Msg: "one"})
	if e := <-events; e.Msg != "one" {
		t.Errorf("%+v", e)
	}
	stop()
	if _, ok := <-events; ok {
		t.Error("open after stop")
	}
	slow, _ := b.Follow()
	for range 100000 {
		b.Publish(Event{})
	}
	n := 0
	for range slow {
		n++
	}
	if n == 0 || n >= 100000 {
		t.Errorf("a slow follower got %d events and was not dropped", n)
	}
}
