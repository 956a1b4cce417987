package qemu

import "golang.org/x/sys/unix"

// hostSystem names this computer's system as far as accelerators depend on it.
func hostSystem() string {
	build, _ := unix.Sysctl("kern.osversion")
	cpu, _ := unix.Sysctl("machdep.cpu.brand_string")
	return "darwin " + build + " " + cpu
}
