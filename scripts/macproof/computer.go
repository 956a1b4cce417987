package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strings"

	"ingot/backend/macproof"
)

// clean takes the names of this user and computer out of a text.
func clean(text string) string {
	if dir, err := os.UserHomeDir(); err == nil && dir != "/" {
		text = strings.ReplaceAll(text, dir, "~")
	}
	replace := func(what, instead string) {
		if what != "" {
			text = regexp.MustCompile(`\b`+regexp.QuoteMeta(what)+`\b`).ReplaceAllLiteralString(text, instead)
		}
	}
	if host, err := os.Hostname(); err == nil {
		replace(host, "HOST")
		short, _, _ := strings.Cut(host, ".")
		replace(short, "HOST")
	}
	if user := os.Getenv("USER"); user != "root" {
		replace(user, "USER")
	}
	return text
}

// source returns the commit, and whether files differ from it.
func source(ctx context.Context) (commit string, changed bool) {
	return output(ctx, "git", "rev-parse", "HEAD"), output(ctx, "git", "status", "--porcelain", "--untracked-files=no") != ""
}

// computer describes where this runs, without its name.
func computer(ctx context.Context) macproof.Computer {
	c := macproof.Computer{System: runtime.GOOS, Cores: runtime.NumCPU(), QEMU: firstLine(output(ctx, "qemu-system-aarch64", "--version")), Lima: output(ctx, "limactl", "--version")}
	if runtime.GOOS == "darwin" {
		c.Version, c.Model, c.CPU = output(ctx, "sw_vers", "-productVersion"), output(ctx, "sysctl", "-n", "hw.model"), output(ctx, "sysctl", "-n", "machdep.cpu.brand_string")
		_, _ = fmt.Sscan(output(ctx, "sysctl", "-n", "hw.memsize"), &c.Memory) // 0 makes the record incomplete
		if output(ctx, "sysctl", "-n", "kern.hv_support") != "1" {
			c.NoHardware = "kern.hv_support is not 1"
		}
		return c
	}
	c.Version, c.Model, c.CPU = output(ctx, "uname", "-r"), "unknown", runtime.GOARCH
	if text, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(text)) {
			if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
				c.CPU = strings.TrimSpace(value)
				break
			}
		}
	}
	if text, err := os.ReadFile("/proc/meminfo"); err == nil {
		var kib int64
		if _, err := fmt.Sscanf(string(text), "MemTotal: %d kB", &kib); err == nil {
			c.Memory = kib << 10
		}
	}
	return c
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line
}

// output returns what a program prints; "" if it fails.
func output(ctx context.Context, argv ...string) string {
	out, err := exec.CommandContext(ctx, argv[0], argv[1:]...).Output()
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(out))
}
