package qemu

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"ingot/backend/home"
)

// VM is a running machine. One goroutine may read Serial while another writes it; the
// other methods are safe for concurrent use.
type VM struct {
	Argv   []string
	Serial net.Conn

	cmd    *exec.Cmd
	qmp    *qmpClient
	stderr *tail
	done   chan struct{}
	err    error // set before done is closed
}

// LaunchError reports that QEMU ended before the machine ran.
type LaunchError struct {
	Argv   []string
	Stderr string
	Err    error
}

func (e *LaunchError) Error() string {
	return fmt.Sprintf("qemu did not start: %v: %s", e.Err, bytes.TrimSpace([]byte(e.Stderr)))
}

func (e *LaunchError) Unwrap() error { return e.Err }

// connectTimeout bounds the wait for QEMU's sockets. QEMU needs 0.1 s to create them,
// and several seconds on a loaded computer.
const connectTimeout = 60 * time.Second

// Start launches the machine. The guest's CPUs start only after the serial console is
// connected, so that no output is lost. Cancelling ctx kills QEMU.
func Start(ctx context.Context, m Machine) (*VM, error) {
	vm := &VM{Argv: m.Argv(), stderr: &tail{}, done: make(chan struct{})}
	vm.cmd = exec.CommandContext(ctx, vm.Argv[0], vm.Argv[1:]...)
	vm.stderr.stopped = func() { _ = vm.cmd.Process.Kill() }
	vm.cmd.Stderr = vm.stderr
	vm.cmd.Env = home.WithoutSecrets(os.Environ())
	vm.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	vm.cmd.Cancel = func() error { return vm.cmd.Process.Kill() }
	vm.cmd.WaitDelay = 5 * time.Second
	if err := vm.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", vm.Argv[0], err)
	}
	go func() {
		vm.err = vm.cmd.Wait()
		close(vm.done)
	}()
	if m.Started != nil {
		if err := m.Started(vm.PID()); err != nil {
			return nil, vm.abandon(err)
		}
	}
	serial, err := vm.dial(ctx, m.serialPath())
	if err != nil {
		return nil, vm.abandon(err)
	}
	vm.Serial = serial
	conn, err := vm.dial(ctx, m.qmpPath())
	if err == nil {
		vm.qmp, err = newQMP(conn)
	}
	if err != nil {
		return nil, vm.abandon(err)
	}
	return vm, nil
}

// dial connects to a socket that QEMU is about to create.
func (vm *VM) dial(ctx context.Context, path string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	for {
		conn, err := (&net.Dialer{}).DialContext(ctx, "unix", path)
		if err == nil {
			return conn, nil
		}
		select {
		case <-vm.done:
			return nil, errors.Join(errors.New("it ended at once"), vm.err)
		case <-ctx.Done():
			return nil, fmt.Errorf("connect to %s: %w", filepath.Base(path), err)
		case <-time.After(10 * time.Millisecond): // no portable event reports that the file exists
		}
	}
}

func (vm *VM) abandon(cause error) error {
	vm.Kill()
	return &LaunchError{Argv: vm.Argv, Stderr: vm.Stderr(), Err: cause}
}

// Kill kills QEMU and waits for its end.
func (vm *VM) Kill() {
	if vm.Serial != nil {
		_ = vm.Serial.Close()
	}
	if vm.qmp != nil {
		vm.qmp.close()
	}
	_ = vm.cmd.Process.Kill()
	<-vm.done
}

// Done returns a channel that is closed when QEMU has ended.
func (vm *VM) Done() <-chan struct{} { return vm.done }

// Err returns how QEMU ended, after Done: nil if the system shut down.
func (vm *VM) Err() error { return vm.err }

// Stderr returns the last 64 KiB of QEMU's stderr.
func (vm *VM) Stderr() string { return vm.stderr.String() }

// PID returns QEMU's process id.
func (vm *VM) PID() int { return vm.cmd.Process.Pid }

// Screendump writes the screen to a PNG file (QEMU ≥ 7.1).
func (vm *VM) Screendump(ctx context.Context, path string) error {
	_, err := vm.qmp.execute(ctx, "screendump", map[string]any{"filename": path, "format": "png"})
	return err
}

// PowerDown presses the machine's power button (ACPI) and waits until QEMU has ended,
// or ctx is done.
func (vm *VM) PowerDown(ctx context.Context) error {
	if _, err := vm.qmp.execute(ctx, "system_powerdown", nil); err != nil {
		return err
	}
	select {
	case <-vm.done:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// tail keeps the last 64 KiB of what QEMU writes to its stderr.
type tail struct {
	// stopped is called once if QEMU says that the accelerator has stopped the machine;
	// it may be nil.
	stopped func()

	mu    sync.Mutex
	buf   []byte
	ended bool
}

const tailSize = 64 << 10

// stopMark is in what QEMU prints when KVM cannot go on (accel/kvm/kvm-all.c,
// kvm_handle_internal_error). The machine is paused then and QEMU does not end.
const stopMark = "KVM internal error. Suberror"

// dumpTime is the time that QEMU gets to print the registers after that.
const dumpTime = 200 * time.Millisecond

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf = append(t.buf, p...)
	if !t.ended && t.stopped != nil && bytes.Contains(t.buf, []byte(stopMark)) {
		t.ended = true
		time.AfterFunc(dumpTime, t.stopped)
	}
	if len(t.buf) > tailSize {
		t.buf = append([]byte(nil), t.buf[len(t.buf)-tailSize:]...)
	}
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.buf)
}

// CopyVars copies the template of the firmware variables for one machine.
func CopyVars(fw Firmware, dst string) error {
	in, err := os.Open(fw.Vars)
	if err != nil {
		return fmt.Errorf("firmware variables: %w", err)
	}
	defer in.Close()
	out, err := os.OpenFile(dst, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("firmware variables: %w", err)
	}
	if _, err := io.Copy(out, in); err != nil {
		return errors.Join(fmt.Errorf("firmware variables: %w", err), out.Close())
	}
	return out.Close()
}
