package packer

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"ingot/backend/packer/command"
)

// known are the arguments of a source "qemu" of the plugin, from its
// builder/qemu/config.hcl2spec.go at 94d9fee5c9e115ac1da679a35593bed3badb6302.
var known = strings.Fields(`
accelerator boot_command boot_key_interval boot_keygroup_interval boot_steps boot_wait cd_content cd_files cd_label cdrom_interface communicator cores
cpu_model cpus disable_vnc disk_additional_size disk_cache disk_compression disk_detect_zeroes disk_discard disk_image disk_interface disk_size display
efi_boot efi_drop_efivars efi_firmware_code efi_firmware_vars firmware floppy_content floppy_dirs floppy_files floppy_label format headless host_port_max
host_port_min http_bind_address http_content http_directory http_interface http_network_protocol http_port_max http_port_min iso_checksum iso_skip_cache
iso_target_extension iso_target_path iso_url iso_urls machine_type memory net_bridge net_device output_directory packer_build_name packer_builder_type
packer_core_version packer_debug packer_force packer_on_error packer_sensitive_variables packer_user_variables pause_before_connecting qemu_binary
qemu_img_args qemuargs qmp_enable qmp_socket_path run_once shutdown_command shutdown_timeout skip_compaction skip_nat_mapping skip_resize_disk sockets
ssh_agent_auth ssh_bastion_agent_auth ssh_bastion_certificate_file ssh_bastion_host ssh_bastion_interactive ssh_bastion_password ssh_bastion_port
ssh_bastion_private_key_file ssh_bastion_username ssh_certificate_file ssh_ciphers ssh_clear_authorized_keys ssh_disable_agent_forwarding
ssh_file_transfer_method ssh_handshake_attempts ssh_host ssh_host_port_max ssh_host_port_min ssh_keep_alive_interval ssh_key_exchange_algorithms
ssh_keypair_name ssh_local_tunnels ssh_password ssh_port ssh_private_key ssh_private_key_file ssh_proxy_host ssh_proxy_password ssh_proxy_port
ssh_proxy_username ssh_pty ssh_public_key ssh_read_write_timeout ssh_remote_tunnels ssh_timeout ssh_username ssh_wait_timeout temporary_key_pair_bits
temporary_key_pair_name temporary_key_pair_type threads tpm_device_type use_backing_file use_default_display use_pflash use_tpm1 vga vm_name
vnc_bind_address vnc_password vnc_port_max vnc_port_min vnc_use_password vtpm winrm_host winrm_insecure winrm_no_proxy winrm_password winrm_port
winrm_timeout winrm_use_ntlm winrm_use_ssl winrm_username`)

// newer are those that the builder within Packer 1.6.6 does not have: `packer validate`
// of 1.6.6 refused each of them.
var newer = strings.Fields(`boot_steps cd_content cores cpu_model efi_boot efi_drop_efivars efi_firmware_code efi_firmware_vars firmware floppy_content
http_content http_network_protocol qemu_img_args sockets threads tpm_device_type use_pflash use_tpm1 vga vnc_password vtpm`)

// arguments finds arguments that the builder does not have.
func ruleArguments(j *judgement) {
	for _, name := range slices.Sorted(maps.Keys(j.s.Source.Args)) {
		a := command.Arg{Argument: name, At: j.s.Source.Args[name].Name}
		switch {
		case !slices.Contains(known, name):
			j.found("packer.argument-unknown", a, FromSource, FromTemplate, fmt.Sprintf("%s has no argument %q", j.s.Builder, name), "")
		case j.s.Builder == command.InTree && slices.Contains(newer, name):
			j.found("packer.argument-unknown", a, Measured, FromMachine, fmt.Sprintf("%s has no argument %q", j.s.Builder, name), "Packer 1.7 or later, with the plugin qemu: `packer init`")
		}
	}
}

// accepted are the arguments of which the builder accepts only some values.
var accepted = map[string][]string{
	"accelerator":        {"none", "kvm", "tcg", "xen", "hax", "hvf", "whpx"},
	"disk_interface":     {"ide", "sata", "scsi", "sd", "virtio", "virtio-scsi"},
	"disk_cache":         {"writethrough", "writeback", "none", "unsafe", "directsync"},
	"disk_discard":       {"unmap", "ignore"},
	"disk_detect_zeroes": {"unmap", "on", "off"},
	"format":             {"qcow2", "raw"},
}

var diskSize = regexp.MustCompile(`^\d+[bkmgtBKMGT]?$`)

// values finds values with which the builder ends before it starts QEMU.
func ruleValues(j *judgement) {
	for _, name := range slices.Sorted(maps.Keys(accepted)) {
		if f := j.s.Text(name, ""); f.Set && f.Known() && !slices.Contains(accepted[name], f.Text) {
			j.invalid(f, fmt.Sprintf("accepted are %s", strings.Join(accepted[name], ", ")))
		}
	}
	if f := j.s.Text("disk_size", ""); f.Set && f.Known() && !diskSize.MatchString(f.Text) {
		j.invalid(f, "write a number and one of the letters k, m, g and t")
	}
	if f := j.s.Text("net_bridge", ""); f.Set && j.p.OS != "linux" {
		j.invalid(f, "a bridge is possible on Linux only")
	}
	if f := j.s.Text("vnc_port_min", ""); f.Set && f.Known() {
		if n, err := strconv.Atoi(f.Text); err == nil && n < 5900 {
			j.invalid(f, "a VNC port is 5900 at least")
		}
	}
	if j.s.Given("boot_command") && j.s.Given("boot_steps") {
		f := j.s.Text("boot_wait", "")
		f.Name, f.At = "boot_steps", j.s.Source.Args["boot_steps"].Name
		j.invalid(f, "boot_command and boot_steps exclude each other")
	}
	image, imageKnown := j.s.IsTrue("disk_image")
	for _, name := range []string{"use_backing_file", "skip_resize_disk"} {
		if yes, _ := j.s.IsTrue(name); yes && imageKnown && !image {
			j.invalid(j.s.Text(name, ""), "it needs disk_image = true")
		}
	}
}

func (j *judgement) invalid(f command.Field, fix string) {
	a := command.Arg{Argument: strings.TrimSpace(f.Name + " = " + strconv.Quote(f.Text)), At: f.At}
	j.found("packer.value-invalid", a, FromSource, FromTemplate, "the builder refuses this value of "+f.Name+" before it starts QEMU", fix)
}
