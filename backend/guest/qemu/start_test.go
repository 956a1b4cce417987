package qemu

import (
	"strings"
	"testing"

	emulator "ingot/backend/qemu"
)

// A recipe's board is used, with at least the memory that it needs. Without a board it
// is QEMU's default one with the memory of the request.
func TestBoard(t *testing.T) {
	host := emulator.Host{Arch: "arm64", Program: "qemu", Firmware: emulator.Firmware{Code: "/c", Vars: "/v"}}
	argv := func(b emulator.Board) string {
		o := Options{Arch: "arm64", Memory: 512 << 20, Board: b, MAC: "52:55:55:00:00:01"}
		return strings.Join(o.machine(host, "tcg", "/d").Argv(), " ")
	}
	if got := argv(emulator.Board{}); !strings.Contains(got, "-M virt -accel tcg,thread=multi -cpu max,pauth-impdef=on -smp 1 -m 512 ") {
		t.Errorf("without: %s", got)
	}
	with := argv(emulator.Board{Type: "virt,acpi=off", CPU: map[string]string{"tcg": "cortex-a57"}, MinMemory: 1 << 30})
	if !strings.Contains(with, "-M virt,acpi=off -accel tcg,thread=multi -cpu cortex-a57 -smp 1 -m 1024 ") {
		t.Errorf("with: %s", with)
	}
	if !strings.Contains(with, ",mac=52:55:55:00:00:01") {
		t.Errorf("without its MAC address: %s", with)
	}
}
