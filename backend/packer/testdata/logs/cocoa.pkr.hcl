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
  iso_url         = "dummy.iso"
  accelerator     = "none"
  machine_type    = "virt"
  display         = "cocoa"
  cdrom_interface = "virtio"
  qemuargs        = [["-boot", "strict=off"], ["-cpu", "cortex-a57"], ["-bios", "/usr/share/qemu-efi-aarch64/QEMU_EFI.fd"]]
}
build { sources = ["source.qemu.vm"] }
