package backend

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"ingot/backend/home"
)

// ownerReady is the line with which an owner says that it listens.
const ownerReady = "ready"

// spawn starts `ingot owner` in a session of its own and waits until it says
// that it is ready. What it says later goes to owner.log.
func (c *Client) spawn(ctx context.Context) error {
	self, err := executable()
	if err != nil {
		return err
	}
	logFile := filepath.Join(c.b.Home.Data, "owner.log")
	if info, err := os.Stat(logFile); err == nil && info.Size() > 1<<20 {
		_ = os.Rename(logFile, logFile+".1") // a log that stays long is no fault
	}
	log, err := os.OpenFile(logFile, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("owner: %w", err)
	}
	defer log.Close()
	// its own pipe: what it says on standard output later, with this client long
	// gone, must not end it (SIGPIPE)
	out, in, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("owner: %w", err)
	}
	defer out.Close()
	cmd := exec.Command(self)
	cmd.Args = []string{"ingot", "owner", "run", "--ready-fd", "3"} // whatever the file is called
	cmd.Dir, cmd.Stdout, cmd.Stderr, cmd.ExtraFiles = "/", log, log, []*os.File{in}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := errors.Join(cmd.Start(), in.Close()); err != nil {
		return fmt.Errorf("owner: %w", err)
	}
	said := make(chan string, 1)
	go func() {
		line, _ := bufio.NewReader(out).ReadString('\n') // its end says that it failed
		said <- strings.TrimSpace(line)
	}()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case line := <-said:
		if line == ownerReady {
			return cmd.Process.Release()
		}
		_ = cmd.Wait() // judged by what it said
		var p problem
		var h struct{ Holder *home.Holder }
		if json.Unmarshal([]byte(line), &h) == nil && h.Holder != nil {
			return &home.HeldError{Holder: *h.Holder}
		}
		if json.Unmarshal([]byte(line), &p) == nil && p.Error != "" {
			return p.err()
		}
		return fmt.Errorf("owner: it ended at once: see %s", logFile)
	}
}

// executable is the program that is the owner: this one when it is `ingot`, else
// the one beside this face, or, for a window in a bundle of its own, the one of
// the bundle around it.
func executable() (string, error) {
	self, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("owner: %w", err)
	}
	return ownerOf(self)
}

func ownerOf(self string) (string, error) {
	dir, name := filepath.Split(self)
	if !strings.HasPrefix(name, "ingot-") {
		return self, nil
	}
	around := filepath.Join(dir, "..", "..", "..", "..", "MacOS", "ingot") // Ingot.app/Contents/Helpers/Ingot Window.app/Contents/MacOS
	for _, program := range []string{filepath.Join(dir, "ingot"), around} {
		if info, err := os.Stat(program); err == nil && info.Mode().IsRegular() {
			return program, nil
		}
	}
	return "", fmt.Errorf("owner: there is no program ingot in %s: it belongs beside %s", dir, name)
}

// ServeOwner runs the owner for a client that started it: one line on w says
// that it is ready, or why not. w is closed then.
func ServeOwner(ctx context.Context, opt Options, w io.WriteCloser) error {
	err := RunOwner(ctx, opt, func() {
		fmt.Fprintln(w, ownerReady)
		_ = w.Close() // the client may be gone
	})
	var held *home.HeldError
	switch {
	case errors.As(err, &held):
		_ = json.NewEncoder(w).Encode(struct{ Holder home.Holder }{held.Holder}) // the client may be gone
	case err != nil:
		_ = json.NewEncoder(w).Encode(problemOf(err))
	}
	return err
}
