package run

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"ingot/backend/event"
)

const (
	// stopGrace is how long Packer may clean up after an interrupt. It ends the machine
	// and deletes its folder.
	stopGrace = time.Minute
	// killGrace is how long a killed Packer may take to end: only a program that waits in
	// the kernel takes longer.
	killGrace = 10 * time.Second
	// readEvery is the time between two looks at Packer's output.
	readEvery = 100 * time.Millisecond
	// maxLine is how many bytes of a line of the output are shown.
	maxLine = 64 << 10
)

// UnkillableError is a Packer that goes on after it was killed.
type UnkillableError struct{ PID int }

func (e *UnkillableError) Error() string {
	return fmt.Sprintf("packer (process %d) goes on after SIGKILL: it waits for a device or a network file system; the next Ingot ends what is left of it", e.PID)
}

// process runs Packer until it ends, and gives each line of its output to line. Its
// output goes into a file: a pipe would end Packer together with this process, and leave
// its QEMU. ended tells how it ended; "" is a success.
func (r *Run) process(ctx context.Context, folder string, line func(string)) (ended string, err error) {
	name := filepath.Join(folder, "output.log")
	out, err := os.OpenFile(name, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return "", fmt.Errorf("packer run: %w", err)
	}
	defer out.Close()
	in, err := os.Open(name)
	if err != nil {
		return "", fmt.Errorf("packer run: %w", err)
	}
	defer in.Close()
	cmd := exec.Command(r.Packer.Path, r.arguments()...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = r.root, out, out
	cmd.Env = append(os.Environ(), "PWD="+r.root, "PACKER_LOG=1", "PACKER_LOG_PATH="+filepath.Join(folder, "packer.log"))
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		return "", fmt.Errorf("packer run: %w", err)
	}
	child, err := r.Children.Add(event.Child{PID: cmd.Process.Pid})
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	stopped := make(chan struct{})
	read := make(chan struct{})
	go func() {
		defer close(read)
		follow(in, stopped, line)
	}()
	if err == nil {
		ended, err = r.wait(ctx, cmd.Process.Pid, done)
	} else {
		_, waitErr := r.kill(cmd.Process.Pid, done)
		err = errors.Join(err, waitErr)
	}
	close(stopped)
	<-read
	var unkillable *UnkillableError
	if errors.As(err, &unkillable) {
		return ended, err // its record stays
	}
	return ended, errors.Join(err, child.Forget())
}

// wait waits for the end of Packer. When ctx is done it interrupts Packer's process group
// as a terminal does, and kills it if it has not ended in time. What Packer leaves running
// in its group is killed.
func (r *Run) wait(ctx context.Context, pid int, done <-chan error) (ended string, err error) {
	select {
	case err := <-done:
		_ = syscall.Kill(-pid, syscall.SIGKILL) // fails if nothing is left, as usual
		return endOf(err)
	case <-ctx.Done():
	}
	grace := r.grace
	if grace == 0 {
		grace = stopGrace
	}
	_ = syscall.Kill(-pid, syscall.SIGINT) // fails if Packer has just ended
	late := time.NewTimer(grace)
	defer late.Stop()
	select {
	case err := <-done:
		_ = syscall.Kill(-pid, syscall.SIGKILL)
		return endOf(err)
	case <-late.C:
		return r.kill(pid, done)
	}
}

// kill ends Packer's process group at once.
func (r *Run) kill(pid int, done <-chan error) (ended string, err error) {
	_ = syscall.Kill(-pid, syscall.SIGKILL) // fails if it has just ended
	late := time.NewTimer(killGrace)
	defer late.Stop()
	select {
	case err := <-done:
		return endOf(err)
	case <-late.C:
		return "", &UnkillableError{pid}
	}
}

// endOf says how a process ended, "" for a success.
func endOf(err error) (ended string, other error) {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exit.String(), nil
	}
	return "", err
}

// follow gives each line that is written to a file to line, until stopped is closed and
// the rest of the file was read.
func follow(in io.Reader, stopped <-chan struct{}, line func(string)) {
	tick := time.NewTicker(readEvery)
	defer tick.Stop()
	r := bufio.NewReaderSize(in, 64<<10)
	var b strings.Builder
	flush := func() {
		for part := range strings.SplitSeq(strings.TrimRight(b.String(), "\r\n"), "\r") {
			line(part)
		}
		b.Reset()
	}
	for last := false; ; {
		for {
			part, err := r.ReadSlice('\n')
			b.Write(part[:min(len(part), max(0, maxLine-b.Len()))])
			if err == nil {
				flush()
			} else if !errors.Is(err, bufio.ErrBufferFull) {
				break // what is written so far was read
			}
		}
		if last {
			if b.Len() > 0 {
				flush()
			}
			return
		}
		select {
		case <-tick.C:
		case <-stopped:
			last = true // Packer has ended: what it wrote is all there
		}
	}
}
