#!/bin/bash
# Makes the guest disk of the Lima tests: Debian 12 amd64 with UEFI, from
# Debian's packages only, without loop device or mount. Prints the qcow2's path
# and does nothing when it is there: its folder is named by this file's digest.
# Root is needed (mmdebstrap --mode=root).
#
# The ESP holds one grub, made by grub-mkstandalone, that goes on with
# /boot/grub/grub.cfg of the root: so kernels can be installed in the guest as on
# any Debian (update-initramfs, update-grub). cloud-init's network goes to
# systemd-networkd: without a renderer the guest boots and never answers ssh.
set -euo pipefail
tools=${INGOT_TOOLS:-/var/tmp/ingot-tools}
dir=$tools/guest-debian-12-amd64-$(sha256sum "$0" | cut -c1-16)
if [ -s "$dir/guest.qcow2" ]; then
	echo "$dir/guest.qcow2"
	exit 0
fi
mirror=${INGOT_DEBIAN_MIRROR:-http://deb.debian.org}
mkdir -p "$tools"
exec 9>"$tools/.guest.lock" # two at once: the second waits and finds it done
flock 9
if [ -s "$dir/guest.qcow2" ]; then
	echo "$dir/guest.qcow2"
	exit 0
fi
work=$(mktemp -d "$tools/.making-XXXXXX")
trap 'rm -rf "$work"' EXIT
cat >"$work/sources.list" <<S
deb $mirror/debian bookworm main
deb $mirror/debian-security bookworm-security main
S
# what the hooks copy in; a hook writes below $1 and nowhere else
etc=$work/etc
mkdir -p "$etc"/{initramfs-tools/conf.d,cloud/cloud.cfg.d,default/grub.d,systemd/system/systemd-networkd-wait-online.service.d}
printf 'MODULES=list\nCOMPRESS=zstd\nCOMPRESSLEVEL=3\nRESUME=none\nFSTYPE=ext4\n' >"$etc/initramfs-tools/conf.d/zz-ingot"
printf '%s\n' virtio_pci virtio_blk virtio_scsi ahci sd_mod ext4 crc32c_generic crc32c_intel virtio_net isofs sr_mod cdrom >"$etc/initramfs-tools/modules"
printf 'LABEL=rootfs / ext4 defaults,noatime 0 1\n' >"$etc/fstab"
printf 'datasource_list: [ NoCloud, None ]\n' >"$etc/cloud/cloud.cfg.d/90-source.cfg"
printf 'system_info:\n  network:\n    renderers: [networkd]\n    activators: [networkd]\n' >"$etc/cloud/cloud.cfg.d/91-net.cfg"
cat >"$etc/cloud/cloud.cfg.d/92-short.cfg" <<'S'
locale: false
ssh_genkeytypes: [ed25519]
cloud_init_modules: [seed_random, bootcmd, write_files, growpart, resizefs, set_hostname, users_groups, ssh]
cloud_config_modules: [mounts, runcmd]
cloud_final_modules: [scripts_per_once, scripts_per_boot, scripts_per_instance, scripts_user]
S
cmdline="console=ttyS0 net.ifnames=0 biosdevname=0"
cat >"$etc/default/grub.d/ingot.cfg" <<S
GRUB_TIMEOUT=0
GRUB_CMDLINE_LINUX_DEFAULT=quiet
GRUB_CMDLINE_LINUX="$cmdline"
GRUB_DISABLE_OS_PROBER=true
GRUB_TERMINAL=console
S
printf '[Service]\nExecStart=\nExecStart=/lib/systemd/systemd-networkd-wait-online --any --timeout=30\n' >"$etc/systemd/system/systemd-networkd-wait-online.service.d/any.conf"
include=linux-image-cloud-amd64,initramfs-tools,grub2-common,systemd-sysv,udev,dbus,libpam-systemd,openssh-server,sudo
include+=,cloud-init,cloud-guest-utils,fdisk,e2fsprogs,iproute2,iptables,kmod,zstd,ca-certificates,procps,netbase,libnss-myhostname,rsync
mmdebstrap --mode=root --variant=minbase --aptopt='Apt::Install-Recommends "false"' \
	--dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
	--include="$include" \
	--essential-hook='mkdir -p "$1/etc/initramfs-tools/conf.d" && cp -R '"$etc"'/initramfs-tools/. "$1/etc/initramfs-tools/"' \
	--customize-hook='cp -R '"$etc"'/. "$1/etc/"' \
	--customize-hook='echo debian >"$1/etc/hostname"; : >"$1/etc/machine-id"; rm -f "$1"/etc/ssh/ssh_host_* "$1/etc/resolv.conf"; echo "nameserver 192.168.5.3" >"$1/etc/resolv.conf"' \
	--customize-hook='chroot "$1" systemctl enable systemd-networkd ssh' \
	--customize-hook='chroot "$1" apt-get clean; rm -rf "$1"/var/lib/apt/lists/*' \
	bookworm "$work/root" "$work/sources.list" 9>&- >&2
mkdir -p "$work/root/boot/grub"
kernel=$(basename "$work"/root/boot/vmlinuz-*)
cat >"$work/root/boot/grub/grub.cfg" <<S
set timeout=0
linux /boot/$kernel root=LABEL=rootfs ro quiet $cmdline
initrd /boot/initrd.img-${kernel#vmlinuz-}
boot
S
printf 'search --no-floppy --label rootfs --set=root\nset prefix=($root)/boot/grub\nconfigfile $prefix/grub.cfg\n' >"$work/first.cfg"
grub-mkstandalone -O x86_64-efi -o "$work/bootx64.efi" --locales= --themes= --fonts= \
	--modules="part_gpt ext2 search search_label configfile linux normal echo test regexp loadenv gzio serial terminal all_video boot" "boot/grub/grub.cfg=$work/first.cfg"
# --- the disk: GPT, 64 MiB ESP, ext4 root; Lima grows the disk and cloud-init the root
mib=1600 esp=64
truncate -s ${mib}M "$work/disk.raw"
printf 'label: gpt\nstart=2048, size=%d, type=U\nstart=%d, type=L\n' $((esp * 2048)) $((2048 + esp * 2048)) | sfdisk -q "$work/disk.raw" >&2
truncate -s ${esp}M "$work/esp.img"
mkfs.vfat -F 32 -n ESP "$work/esp.img" >/dev/null
mmd -i "$work/esp.img" ::/EFI ::/EFI/BOOT
mcopy -i "$work/esp.img" "$work/bootx64.efi" ::/EFI/BOOT/BOOTX64.EFI
truncate -s $((mib - esp - 2))M "$work/root.img"
mke2fs -q -t ext4 -L rootfs -d "$work/root" "$work/root.img"
dd if="$work/esp.img" of="$work/disk.raw" bs=1M seek=1 conv=notrunc,sparse status=none
dd if="$work/root.img" of="$work/disk.raw" bs=1M seek=$((1 + esp)) conv=notrunc,sparse status=none
mkdir "$work/out"
qemu-img convert -f raw -O qcow2 "$work/disk.raw" "$work/out/guest.qcow2"
chmod -R go+rX "$work/out"
mv "$work/out" "$dir"
echo "$dir/guest.qcow2"
