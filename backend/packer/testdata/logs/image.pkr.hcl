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
  iso_url          = "base.qcow2"
  disk_image       = true
  headless         = true
  machine_type     = "virt"
  vm_name          = "small.qcow2"
  memory           = 1024
}
build { sources = ["source.qemu.vm"] }
