source "qemu" "vm" {
  ssh_username     = "root"
  ssh_password     = "x"
  ssh_timeout      = "3s"
  boot_wait        = "1s"
  iso_checksum     = "none"
  disk_size        = "64M"
  output_directory = "out"
  shutdown_command = "poweroff"
  qemu_binary      = "qemu-system-aarch64"
  iso_url      = "dummy.iso"
  accelerator  = "none"
  machine_type = "virt"
  net_device   = "virtio-net-pci"
  disk_cache   = "unsafe"
  disk_discard = "unmap"
  format       = "raw"
  qemuargs     = [["-boot", "strict=off"], ["-device", "qemu-xhci"], ["-device", "usb-kbd"], ["-netdev", "user,id=user.0,hostfwd=tcp::{{ .SSHHostPort }}-:22"]]
}
build { sources = ["source.qemu.vm"] }
