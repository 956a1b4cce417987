package qemu

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"ingot/backend/home"
)

// Accel is the result of choosing an accelerator: the one to use, and why better ones
// cannot be used.
type Accel struct {
	Name  string   `json:"name"`
	Tried []string `json:"tried,omitempty"` // "kvm: the probe program printed nothing within 10s"
}

const probeMark = "INGOT-PROBE-OK"

// probePrograms are small guests that write probeMark to the first serial port and
// halt. The presence of a device node is not enough: on some nested hosts KVM aborts
// QEMU or hangs, and HVF needs an entitlement.
var probePrograms = map[string]string{
	// movz x1,#0x900,lsl 16; adr x2,msg; 1: ldrb w3,[x2],#1; cbz w3,2f; str w3,[x1]; b 1b; 2: wfi; b 2b
	"arm64": "0120a1d2e20000104314403863000034230000b9fdffff177f2003d5ffffff17",
	// cli; xor ax,ax; mov ds,ax; mov si,msg; mov dx,0x3f8; 1: lodsb; test al,al; jz 2f; out dx,al; jmp 1b; 2: hlt; jmp 2b
	"amd64": "fa31c08ed8be167cbaf803ac84c07403eeebf8f4ebfd",
}

// probeImage returns the program with its message; for amd64 it is a boot sector.
func probeImage(arch string) ([]byte, error) {
	code, err := hex.DecodeString(probePrograms[arch])
	if err != nil || len(code) == 0 {
		return nil, fmt.Errorf("no probe program for %s", arch)
	}
	img := append(code, probeMark+"\n\x00"...)
	if arch == "amd64" {
		sector := make([]byte, 1<<20)
		copy(sector, img)
		sector[510], sector[511] = 0x55, 0xaa
		return sector, nil
	}
	return img, nil
}

const probeTimeout = 10 * time.Second

// Probe runs the probe program on one accelerator, and then the firmware if there is one.
// It returns nil if the program's message arrived, and something of the firmware's.
func Probe(ctx context.Context, h Host, accel string) error { return probe(ctx, h, accel) }

// probe is Probe with further arguments.
func probe(ctx context.Context, h Host, accel string, extra ...string) error {
	dir, err := os.MkdirTemp("", "ingot-probe-")
	if err != nil {
		return fmt.Errorf("probe %s: %w", accel, err)
	}
	defer os.RemoveAll(dir)
	img, err := probeImage(h.Arch)
	if err != nil {
		return err
	}
	file := filepath.Join(dir, "probe.img")
	if err := os.WriteFile(file, img, 0o600); err != nil {
		return fmt.Errorf("probe %s: %w", accel, err)
	}
	argv := append([]string{"-nodefaults", "-display", "none", "-serial", "stdio", "-m", "128"}, Board{}.machineArgs(h.Arch, accel)...)
	argv = append(argv, extra...)
	ours := append(slices.Clone(argv), "-kernel", file)
	if h.Arch == "amd64" {
		ours = append(slices.Clone(argv), "-drive", "format=raw,readonly=on,if=none,id=p,file="+escape(file), "-device", "virtio-blk-pci,drive=p")
	}
	if err := listen(ctx, h.Program, ours, probeMark); err != nil || accel == "tcg" || h.Firmware.Vars == "" {
		return err
	}
	// some nested hosts run these few instructions, and no firmware
	vars := filepath.Join(dir, "vars.fd")
	if err := CopyVars(h.Firmware, vars); err != nil {
		return err
	}
	if err := listen(ctx, h.Program, append(argv, Board{}.firmwareArgs(h.Firmware, vars)...), ""); err != nil {
		return fmt.Errorf("the firmware does not run: %w", err)
	}
	return nil
}

// listen runs QEMU until the mark arrives on the console, or anything if it is "", or QEMU
// ends, or the time is over.
func listen(ctx context.Context, program string, argv []string, mark string) error {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, argv...)
	stderr := &tail{stopped: cancel}
	cmd.Stderr = stderr
	cmd.Env = home.WithoutSecrets(os.Environ())
	cmd.WaitDelay = 2 * time.Second
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	seen := readMark(out, mark)
	cancel()
	_ = cmd.Wait() // killed on purpose; its exit status means nothing
	if seen {
		return nil
	}
	if msg := bytes.TrimSpace([]byte(stderr.String())); len(msg) > 0 {
		return fmt.Errorf("%s", bytes.SplitN(msg, []byte("\n"), 2)[0])
	}
	return errProbeSilent
}

// errProbeSilent reports that the probe's guest printed nothing in time. On a busy
// computer that may be chance.
var errProbeSilent = fmt.Errorf("the probe program printed nothing within %s", probeTimeout)

func readMark(r io.Reader, mark string) bool {
	var got []byte
	buf := make([]byte, 256)
	for {
		n, err := r.Read(buf)
		got = append(got, buf[:n]...)
		if n > 0 && bytes.Contains(got, []byte(mark)) {
			return true
		}
		if err != nil || len(got) > 1<<20 {
			return false
		}
	}
}

// Candidates lists the accelerators to probe for a guest on this computer, best first;
// tcg is always last.
func Candidates(hostOS, hostArch, guestArch string) []string {
	if hostArch != guestArch {
		return []string{"tcg"}
	}
	switch hostOS {
	case "linux":
		return []string{"kvm", "tcg"}
	case "darwin":
		return []string{"hvf", "tcg"}
	}
	return []string{"tcg"}
}

// ChooseAccel probes the candidates in order. It caches results in cacheDir per QEMU
// program, firmware and host system, since the probe of an accelerator that hangs takes
// the whole probeTimeout. That a better one failed is believed for failureKept only.
func ChooseAccel(ctx context.Context, h Host, cacheDir string) (Accel, error) {
	c := newChooser(h, cacheDir)
	c.probe = func(ctx context.Context, name string) error { return Probe(ctx, h, name) }
	return c.choose(ctx, Candidates(runtime.GOOS, runtime.GOARCH, h.Arch))
}

// Distrust makes ChooseAccel choose tcg for the time that a failure is believed, since a
// whole machine hung with an accelerator that ran the probe program: some nested hosts run
// a few instructions, and no firmware.
func Distrust(h Host, cacheDir, accel, why string) {
	newChooser(h, cacheDir).keep(Accel{Name: "tcg", Tried: []string{accel + ": " + why}})
}

func newChooser(h Host, cacheDir string) chooser {
	return chooser{path: filepath.Join(cacheDir, "accel-"+h.Arch+".json"), key: accelKey(h), now: time.Now}
}

// accelKey is everything on which a probe's result depends: another build of QEMU and an
// update of the system change what works.
func accelKey(h Host) string {
	program := ""
	if info, err := os.Stat(h.Program); err == nil {
		program = fmt.Sprintf("%d %d", info.Size(), info.ModTime().UnixNano())
	}
	return strings.Join([]string{h.Arch, h.Version, h.Program, program, h.FirmwareDigest, hostSystem()}, "|")
}

// failureKept is how long the failure of an accelerator is believed: the computer may
// have been busy.
const failureKept = time.Hour

// chooser chooses an accelerator and remembers it in the file path.
type chooser struct {
	path, key string
	now       func() time.Time
	probe     func(ctx context.Context, name string) error
}

// verdict is the content of the file.
type verdict struct {
	Key   string    `json:"key"`
	At    time.Time `json:"at"`
	Accel Accel     `json:"accel"`
}

func (c chooser) choose(ctx context.Context, names []string) (Accel, error) {
	var kept verdict
	if b, err := os.ReadFile(c.path); err == nil && json.Unmarshal(b, &kept) == nil && kept.Key == c.key {
		if age := c.now().Sub(kept.At); len(kept.Accel.Tried) == 0 || age >= 0 && age < failureKept {
			return kept.Accel, nil
		}
	}
	var a Accel
	for _, name := range names {
		err := c.probe(ctx, name)
		if errors.Is(err, errProbeSilent) && ctx.Err() == nil {
			err = c.probe(ctx, name)
		}
		if err == nil {
			a.Name = name
			break
		}
		if ctx.Err() != nil {
			return Accel{}, ctx.Err()
		}
		a.Tried = append(a.Tried, name+": "+err.Error())
	}
	if a.Name == "" {
		return a, fmt.Errorf("no accelerator works: %v", a.Tried)
	}
	c.keep(a)
	return a, nil
}

func (c chooser) keep(a Accel) {
	if b, err := json.Marshal(verdict{c.key, c.now(), a}); err == nil {
		_ = home.WriteFileAtomic(c.path, b, 0o600) // a cache: without it the next proof probes again
	}
}
