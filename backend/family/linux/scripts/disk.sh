#!/bin/sh
# Puts rootfs, kernel and Ingot's files together and lays out the disk: GPT, an
# EFI system partition with systemd-boot, ext4. Needs no loop device and no
# mount. A normal user runs it inside a user namespace of its own.
#   RELEASE LOADER EFINAME CMDLINE EPOCH ESP_SECTORS ROOT_SECTORS DISK_BYTES
#   DISK_UUID ESP_UUID ROOT_PARTUUID ROOT_FSUUID HASH_SEED FAT_ID
# The tree in root/ stays, for contents.sh.
set -eu
umask 022 # modes are part of the bytes: the same whoever builds
if [ "$(id -u)" -ne 0 ]; then
	exec unshare --map-root-user --map-auto --mount sh "$0" "$@"
fi
export LC_ALL=C SOURCE_DATE_EPOCH="$EPOCH" E2FSPROGS_FAKE_TIME="$EPOCH" MTOOLS_SKIP_CHECK=1
fail() { echo "ingot: $*" >&2; exit 65; }

mkdir root out
tar -x -p --numeric-owner --xattrs --xattrs-include='*' -f rootfs.tar -C root --exclude='./dev/*'
while IFS= read -r pattern; do
	# the recipe's patterns hold no spaces or quotes; globbing is wanted
	( cd root && eval "rm -rf -- .$pattern" )
done < remove.txt
tar -x -p --numeric-owner --keep-directory-symlink -f overlay.tar -C root
tar -x -p --numeric-owner --keep-directory-symlink -f modules.tar -C root
cp vmlinuz "root/boot/vmlinuz-$RELEASE"
cp config "root/boot/config-$RELEASE"
mkdir -p root/boot/efi root/proc root/sys root/dev root/run root/tmp
: > root/etc/machine-id

# What must not be in an image that others start.
[ ! -s root/etc/machine-id ] || fail "image.leftover: /etc/machine-id is not empty"
for k in root/etc/ssh/ssh_host_*; do [ ! -e "$k" ] || fail "image.leftover: ssh host key ${k#root}"; done
if cut -d: -f2 root/etc/shadow | grep -qv '^[!*]'; then fail "image.leftover: /etc/shadow has an account with a password"; fi
[ -e "root$LOADER" ] || fail "image.failed: there is no loader $LOADER in the root file system: is its package in rootfs.packages?"
[ -L root/sbin/init ] || [ -e root/sbin/init ] || fail "image.failed: there is no /sbin/init: is systemd-sysv in rootfs.packages?"

truncate -s $((ESP_SECTORS * 512)) esp.img
mkfs.vfat -F 32 -n ESP -i "$FAT_ID" --invariant esp.img > /dev/null
mmd -i esp.img ::/EFI ::/EFI/BOOT ::/loader ::/loader/entries ::/ingot "::/ingot/$RELEASE"
mcopy -i esp.img "root$LOADER" "::/EFI/BOOT/$EFINAME"
mcopy -i esp.img vmlinuz "::/ingot/$RELEASE/linux"
printf 'timeout 0\ndefault ingot.conf\n' > loader.conf
printf 'title Ingot %s\nversion %s\nlinux /ingot/%s/linux\noptions root=PARTUUID=%s rw %s\n' \
	"$RELEASE" "$RELEASE" "$RELEASE" "$ROOT_PARTUUID" "$CMDLINE" > ingot.conf
mcopy -i esp.img loader.conf ::/loader/loader.conf
mcopy -i esp.img ingot.conf ::/loader/entries/ingot.conf

# One time for all that was made now: the same inputs give the same bytes.
find root -newermt "@$EPOCH" -exec touch -h -d "@$EPOCH" {} +

truncate -s "$DISK_BYTES" out/disk.raw
printf 'label: gpt\nlabel-id: %s\nfirst-lba: 2048\nstart=2048,size=%s,type=U,uuid=%s,name=ESP\nstart=%s,size=%s,type=L,uuid=%s,name=root\n' \
	"$DISK_UUID" "$ESP_SECTORS" "$ESP_UUID" $((2048 + ESP_SECTORS)) "$ROOT_SECTORS" "$ROOT_PARTUUID" | sfdisk -q --no-reread --no-tell-kernel out/disk.raw
[ "$(sfdisk -d out/disk.raw | grep -c 'start=')" -eq 2 ] || fail "image.failed: the partition table was not written"
dd if=esp.img of=out/disk.raw bs=1M seek=1 conv=notrunc,sparse status=none
# The root file system is made where it belongs: copying it there would mean to
# read all of its holes.
offset=$(((2048 + ESP_SECTORS) * 512))
rootfs="out/disk.raw?offset=$offset"
mke2fs -q -F -t ext4 -b 4096 -m 1 -L root -U "$ROOT_FSUUID" -E "offset=$offset,hash_seed=$HASH_SEED,lazy_itable_init=0,lazy_journal_init=0" -d root out/disk.raw $((ROOT_SECTORS / 8))
# mke2fs copies the moments at which this machine wrote and read the tree into
# the inodes: set them in one batch (inodes below 11 but the root are mke2fs's own).
dumpe2fs "$rootfs" 2> /dev/null | awk -v at="@$EPOCH" '
	/^Inode count:/ { total = $3 }
	/^  Free inodes: [0-9]/ {
		sub(/^  Free inodes: /, "")
		n = split($0, ranges, /, */)
		for (i = 1; i <= n; i++) {
			m = split(ranges[i], r, "-")
			for (k = r[1] + 0; k <= r[m] + 0; k++) free[k] = 1
		}
	}
	END {
		split("atime ctime mtime crtime", names, " ")
		for (i = 2; i <= total; i++) if (!(i in free) && (i == 2 || i >= 11)) {
			for (f = 1; f <= 4; f++) {
				if (names[f] != "mtime") printf "set_inode_field <%d> %s %s\n", i, names[f], at
				printf "set_inode_field <%d> %s_extra 0\n", i, names[f]
			}
		}
	}' > inodes.debugfs
debugfs -w -f inodes.debugfs "$rootfs" > debugfs.log 2>&1
! grep -v '^debugfs' debugfs.log >&2 || fail "image.failed: the inode times could not be set"
e2fsck_out=$(e2fsck -fn "$rootfs" 2>&1) || fail "image.failed: the root file system is not clean: $e2fsck_out"
