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
  iso_url              = "dummy.iso"
  cpus                 = 2
  headless             = true
  machine_type         = "virt"
  accelerator          = "tcg"
  disk_interface       = "virtio-scsi"
  disk_additional_size = ["10M"]
  disk_detect_zeroes   = "unmap"
  qmp_enable           = true
  qemuargs             = [["-boot", "strict=off"], ["-name", "{{ .Name }}", "-x"], ["-nodefaults", ""]]
}
build { sources = ["source.qemu.vm"] }
