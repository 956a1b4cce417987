package qemu

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"ingot/backend/home"
)

// sandboxArgs make the kernel refuse QEMU the system calls that a machine does not
// need: obsolete ones, starting programs, and changes of users, priorities and
// processors (seccomp; "-sandbox" in QEMU's docs/system/invocation).
var sandboxArgs = []string{"-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"}

// Sandboxed reports whether this QEMU runs a guest with sandboxArgs: those for macOS
// have no seccomp, and a container may forbid it. The tiny guest of Probe has to
// speak. The answer is kept in cacheDir like that of ChooseAccel.
func Sandboxed(ctx context.Context, h Host, accel, cacheDir string) (bool, error) {
	key := fmt.Sprintf("%s|%s|%s|%s|%s", h.Arch, accel, h.Version, hostSystem(), sandboxArgs[1])
	path := filepath.Join(cacheDir, "sandbox-"+h.Arch+".json")
	var kept struct {
		Key       string `json:"key"`
		Sandboxed bool   `json:"sandboxed"`
		Why       string `json:"why,omitempty"` // not
	}
	if b, err := os.ReadFile(path); err == nil && json.Unmarshal(b, &kept) == nil && kept.Key == key {
		return kept.Sandboxed, nil
	}
	err := probe(ctx, h, accel, sandboxArgs...)
	if ctx.Err() != nil {
		return false, ctx.Err()
	}
	kept.Key, kept.Sandboxed, kept.Why = key, err == nil, ""
	if err != nil {
		kept.Why = err.Error()
	}
	if b, err := json.Marshal(kept); err == nil {
		_ = home.WriteFileAtomic(path, b, 0o600) // only a cache: without it the next start probes again
	}
	return kept.Sandboxed, nil
}

// sandbox returns the arguments of the sandbox, unless the board brings its own: one
// whose further arguments start programs needs another.
func (m Machine) sandbox() []string {
	if !m.Sandbox || slices.Contains(m.Board.Extra, sandboxArgs[0]) {
		return nil
	}
	return sandboxArgs
}
