package machine

import (
	"errors"
	"strings"
	"testing"

	"ingot/backend/cause"
	"ingot/backend/home"
	"ingot/backend/proof"
	"ingot/backend/qemu"
)

// An error about a missing program or firmware gets its cause; other errors stay as
// they are.
func TestHostError(t *testing.T) {
	for want, err := range map[string]error{"qemu.binary-missing": &home.ToolMissingError{Name: "qemu"}, "qemu.firmware-missing": &qemu.FirmwareMissingError{}} {
		if got := HostError(err); cause.Of(got) != want || !errors.Is(got, err) {
			t.Errorf("%v: %q, want %s", err, cause.Of(got), want)
		}
	}
	plain := errors.New("another")
	if HostError(plain) != plain || HostError(nil) != nil {
		t.Error("an error of another kind was changed")
	}
}

// A recipe's board is used, with at least the memory that it needs. Without a board it
// is QEMU's default one with the memory of the request.
func TestBoard(t *testing.T) {
	host := qemu.Host{Arch: "arm64", Program: "qemu", Firmware: qemu.Firmware{Code: "/c", Vars: "/v"}}
	req := proof.Request{Image: "/img", Memory: 512 << 20}
	argv := func(q QEMU) string {
		q.Arch = "arm64"
		return strings.Join(q.machine(host, "tcg", "/d", req).Argv(), " ")
	}
	if got := argv(QEMU{}); !strings.Contains(got, "-M virt -accel tcg,thread=multi -cpu max,pauth-impdef=on -smp 1 -m 512 ") {
		t.Errorf("without: %s", got)
	}
	with := argv(QEMU{Board: qemu.Board{Type: "virt,acpi=off", CPU: map[string]string{"tcg": "cortex-a57"}, MinMemory: 1 << 30}})
	if !strings.Contains(with, "-M virt,acpi=off -accel tcg,thread=multi -cpu cortex-a57 -smp 1 -m 1024 ") {
		t.Errorf("with: %s", with)
	}
}
