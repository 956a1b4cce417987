package event

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"
)

func TestChildren(t *testing.T) {
	c := Children{filepath.Join(t.TempDir(), "children")}
	cmd := exec.Command("sleep", "600")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	mine, err := c.Add(Child{PID: cmd.Process.Pid})
	if err != nil {
		t.Fatal(err)
	}
	if o, err := c.Orphans(); err != nil || len(o) != 0 {
		t.Fatalf("this process is alive: %v, %v", o, err)
	}
	// as a process that was killed would have left it
	if err := mine.Forget(); err != nil {
		t.Fatal(err)
	}
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(c.Dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("1-a.json", `{"owner": 1, "ownerStart": "never", "pid": `+strconv.Itoa(cmd.Process.Pid)+`, "start": "`+mine.Start+`"}`)
	write("1-b.json", `{"owner": 1, "ownerStart": "never", "pid": `+strconv.Itoa(cmd.Process.Pid)+`, "start": "another process of that id"}`)
	write("1-c.json", `{"own`)
	o, err := c.Orphans()
	if err != nil || len(o) != 2 {
		t.Fatalf("%+v, %v", o, err)
	}
	if o[1].End() {
		t.Fatal("ended a process with another start time")
	}
	select {
	case <-ended:
		t.Fatal("the process is gone")
	case <-time.After(100 * time.Millisecond):
	}
	if !o[0].End() {
		t.Fatal("nothing to end")
	}
	select {
	case <-ended:
	case <-time.After(time.Minute):
		t.Fatal("the process still runs")
	}
	for _, child := range o {
		if err := child.Forget(); err != nil {
			t.Error(err)
		}
	}
	if left, _ := os.ReadDir(c.Dir); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
}
