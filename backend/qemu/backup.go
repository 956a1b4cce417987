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

// Errors of a Monitor.
var (
	// ErrMonitorBusy: the socket takes one client at a time, and has one.
	ErrMonitorBusy = errors.New("another program talks to this QEMU")
	// ErrMonitorGone: QEMU ended, or closed the connection.
	ErrMonitorGone = errors.New("QEMU is gone")
	// ErrNoDrive: this QEMU has not opened the disk.
	ErrNoDrive = errors.New("the machine has no such disk")
)

// Monitor is a QMP connection to a QEMU that somebody else started. Its methods
// are called by one goroutine at a time. As long as it is open, nobody else can
// speak to that QEMU: keep it short.
type Monitor struct{ c *qmpClient }

// greetTimeout is for a QEMU that takes the connection and says nothing: it has
// a client already, and the kernel keeps the next one waiting.
const greetTimeout = 5 * time.Second

// DialMonitor connects to a QMP socket. Closing it is the caller's.
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

// Close ends the connection; the machine goes on.
func (m *Monitor) Close() error { return m.c.conn.Close() }

// gone names the end of the connection.
func gone(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) || errors.Is(err, net.ErrClosed) {
		return fmt.Errorf("%w: %w", ErrMonitorGone, err)
	}
	return err
}

// Drive finds the machine's name for the disk in file, links followed.
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

// backupJob is the job's name; a second export at the same time is refused.
const backupJob = "ingot-export"

// Backup copies a drive, as it is at the moment when the job starts, into
// target, a qcow2 without a backing file that QEMU makes; the machine goes on
// meanwhile (QEMU's docs/interop/live-block-operations.rst, "drive-backup").
// started, which may be nil, is called once that moment is over. When ctx ends,
// or an error comes, the job is gone from QEMU before Backup returns; target,
// which may be half written then, is the caller's to remove.
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

// cancelBackup ends the job and waits until it has ended, well or badly.
func (m *Monitor) cancelBackup(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, qmpTimeout)
	defer cancel()
	if _, err := m.c.execute(ctx, "block-job-cancel", map[string]any{"device": backupJob, "force": true}); err != nil {
		if strings.Contains(err.Error(), "not found") || strings.Contains(err.Error(), "not active") {
			return nil // it has ended by itself
		}
		return gone(err)
	}
	_, err := m.c.wait(ctx, endOfJob)
	return err
}

// endOfJob knows the events that end our job.
func endOfJob(r qmpReply) bool {
	if r.Event != "BLOCK_JOB_COMPLETED" && r.Event != "BLOCK_JOB_CANCELLED" {
		return false
	}
	var job struct{ Device string }
	return json.Unmarshal(r.Data, &job) == nil && job.Device == backupJob
}

// full knows a full disk by QEMU's words, which are strerror(3)'s.
func full(err error) error {
	if strings.Contains(err.Error(), "No space left on device") {
		return fmt.Errorf("%w: %w", syscall.ENOSPC, err)
	}
	return err
}
