package client

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"ingot/backend/api"
	"ingot/backend/home"
)

// spawn starts `ingot owner` in a session of its own and waits for the line
// that reports whether it is ready. Its later output goes to owner.log.
func (c *Client) spawn(ctx context.Context) error {
	self, err := api.Executable()
	if err != nil {
		return err
	}
	logFile := filepath.Join(c.home.Data, "owner.log")
	if info, err := os.Stat(logFile); err == nil && info.Size() > 1<<20 {
		_ = os.Rename(logFile, logFile+".1") // if this fails, the log keeps growing
	}
	log, err := os.OpenFile(logFile, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("owner: %w", err)
	}
	defer log.Close()
	// the line comes over a separate pipe: if it were standard output, later output
	// would end the owner with SIGPIPE after this client has exited
	out, in, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("owner: %w", err)
	}
	defer out.Close()
	cmd := exec.Command(self)
	cmd.Args = []string{"ingot", "owner", "run", "--ready-fd", "3"} // argv[0] is always ingot
	cmd.Dir, cmd.Stdout, cmd.Stderr, cmd.ExtraFiles = "/", log, log, []*os.File{in}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := errors.Join(cmd.Start(), in.Close()); err != nil {
		return fmt.Errorf("owner: %w", err)
	}
	firstLine := make(chan string, 1)
	go func() {
		line, _ := bufio.NewReader(out).ReadString('\n') // an empty line means that it failed
		firstLine <- strings.TrimSpace(line)
	}()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case line := <-firstLine:
		if line == api.OwnerReady {
			return cmd.Process.Release()
		}
		_ = cmd.Wait() // the line has the reason
		var p api.Problem
		var h struct{ Holder *home.Holder }
		if json.Unmarshal([]byte(line), &h) == nil && h.Holder != nil {
			return &home.HeldError{Holder: *h.Holder}
		}
		if json.Unmarshal([]byte(line), &p) == nil && p.Error != "" {
			return p.Err()
		}
		return fmt.Errorf("owner: the process ended before it was ready: see %s", logFile)
	}
}
