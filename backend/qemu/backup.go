package qemu

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// Errors of a Monitor, to be tested with errors.Is.
var (
	// ErrMonitorBusy reports that the QMP socket already has a client; it accepts one
	// at a time.
	ErrMonitorBusy = errors.New("another program is connected to the QMP socket of this QEMU")
	// ErrMonitorGone reports that QEMU ended or closed the connection.
	ErrMonitorGone = errors.New("QEMU ended or closed its QMP connection")
	// ErrNoDrive reports that this QEMU has not opened the disk.
	ErrNoDrive = errors.New("the machine has no such disk")
)

// Monitor is a QMP connection to a QEMU that another process started. Its methods must
// not be called concurrently. While it is open, no other client can connect to that
// QEMU: close it soon.
type Monitor struct{ c *qmpClient }

// greetTimeout bounds the wait for the greeting. A QEMU that already has a client does
// not greet: the kernel queues the second connection.
const greetTimeout = 5 * time.Second

// DialMonitor connects to a QMP socket. The caller closes the Monitor.
func DialMonitor(ctx context.Context, socket string) (*Monitor, error) {
	ctx, cancel := context.WithTimeout(ctx, greetTimeout)
	defer cancel()
	conn, err := (&net.Dialer{}).DialContext(ctx, "unix", socket)
	if errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("%s: %w", socket, ErrMonitorGone)
	}
	if err != nil {
		return nil, fmt.Errorf("qmp: %w", err)
	}
	deaf := context.AfterFunc(ctx, func() { _ = conn.Close() })
	c, err := newQMP(conn)
	if !deaf() {
		return nil, fmt.Errorf("%s: %w", socket, ErrMonitorBusy)
	}
	if err != nil {
		return nil, errors.Join(gone(err), conn.Close())
	}
	return &Monitor{c}, nil
}

// Close closes the connection; the machine keeps running.
func (m *Monitor) Close() error { return m.c.conn.Close() }

// gone adds ErrMonitorGone to an error that ended the connection.
func gone(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) || errors.Is(err, net.ErrClosed) {
		return fmt.Errorf("%w: %w", ErrMonitorGone, err)
	}
	return err
}

// Drive returns the machine's name for the disk in file. Symbolic links are resolved.
func (m *Monitor) Drive(ctx context.Context, file string) (string, error) {
	out, err := m.c.execute(ctx, "query-block", nil)
	if err != nil {
		return "", gone(err)
	}
	var blocks []struct {
		Device   string
		Inserted *struct {
			NodeName string `json:"node-name"`
			File     string
		}
	}
	if err := json.Unmarshal(out, &blocks); err != nil {
		return "", fmt.Errorf("qmp query-block: %w", err)
	}
	want, err := os.Stat(file)
	if err != nil {
		return "", err
	}
	for _, b := range blocks {
		if b.Inserted == nil || strings.HasPrefix(b.Inserted.File, "json:") {
			continue
		}
		if have, err := os.Stat(b.Inserted.File); err == nil && os.SameFile(have, want) {
			if b.Device != "" {
				return b.Device, nil
			}
			return b.Inserted.NodeName, nil
		}
	}
	return "", fmt.Errorf("%s: %w", filepath.Base(file), ErrNoDrive)
}

// backupJob is the name of the job. QEMU refuses a second job of the same name, so that
// two exports cannot run at once.
const backupJob = "ingot-export"

// Backup copies the content that a drive has when the job starts to target, a qcow2
// file without a backing file that QEMU creates. The machine keeps running meanwhile
// (QEMU's docs/interop/live-block-operations.rst, "drive-backup"). started, which may
// be nil, is called once after the job has started. After an error, or when ctx is
// done, the job has been removed from QEMU before Backup returns; the caller removes
// target, which may be incomplete.
func (m *Monitor) Backup(ctx context.Context, drive, target string, started func()) error {
	_, err := m.c.execute(ctx, "drive-backup", map[string]any{"job-id": backupJob, "device": drive, "target": target, "sync": "full", "format": "qcow2", "mode": "absolute-paths"})
	if err != nil {
		return fmt.Errorf("drive-backup: %w", full(gone(err)))
	}
	if started != nil {
		started()
	}
	end, err := m.c.wait(ctx, endOfJob)
	if err != nil && ctx.Err() != nil {
		return errors.Join(err, m.cancelBackup(context.WithoutCancel(ctx)))
	}
	if err != nil {
		return fmt.Errorf("drive-backup: %w", gone(err))
	}
	var how struct{ Error string }
	if err := json.Unmarshal(end.Data, &how); err != nil {
		return fmt.Errorf("drive-backup: %w", err)
	}
	if end.Event != "BLOCK_JOB_COMPLETED" || how.Error != "" {
		return fmt.Errorf("drive-backup: %w", full(errors.New(cmp.Or(how.Error, "it was cancelled"))))
	}
	return nil
}

// cancelBackup cancels the job and waits until it has ended, with or without an error.
func (m *Monitor) cancelBackup(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, qmpTimeout)
	defer cancel()
	if _, err := m.c.execute(ctx, "block-job-cancel", map[string]any{"device": backupJob, "force": true}); err != nil {
		if strings.Contains(err.Error(), "not found") || strings.Contains(err.Error(), "not active") {
			return nil // it ended by itself
		}
		return gone(err)
	}
	_, err := m.c.wait(ctx, endOfJob)
	return err
}

// endOfJob reports whether an event ends the backup job.
func endOfJob(r qmpReply) bool {
	if r.Event != "BLOCK_JOB_COMPLETED" && r.Event != "BLOCK_JOB_CANCELLED" {
		return false
	}
	var job struct{ Device string }
	return json.Unmarshal(r.Data, &job) == nil && job.Device == backupJob
}

// full recognises a full disk by QEMU's message, which is strerror(3)'s, and adds
// ENOSPC.
func full(err error) error {
	if strings.Contains(err.Error(), "No space left on device") {
		return fmt.Errorf("%w: %w", syscall.ENOSPC, err)
	}
	return err
}
