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
  iso_url          = "dummy.iso"
  communicator     = "winrm"
  winrm_username   = "x"
  winrm_password   = "x"
  winrm_timeout    = "2s"
  headless         = true
  machine_type     = "virt"
  disk_interface   = "ide"
  vnc_use_password = true
  vnc_bind_address = "0.0.0.0"
}
build { sources = ["source.qemu.vm"] }
