#!/bin/sh
# Installs a kernel into the running system: install.sh RELEASE. The work
# directory holds vmlinuz, config, System.map and modules.tar. The next boot takes
# it, and only that one, where GRUB can be told so: a kernel that does not come up
# is gone after another start. `install.sh RELEASE keep` makes it the default. Run
# as root.
set -eu
umask 022
release=$1
fail() {
	echo "$1" >&2
	exit 1
}
[ "$(id -u)" = 0 ] || fail "ingot: guest.no-root: this user is not root, and sudo did not make it root"
have() { command -v "$1" >/dev/null 2>&1; }
PATH=$PATH:/usr/sbin:/sbin
have update-grub && [ -d /boot/grub ] || fail "ingot: guest.no-loader: there is no GRUB with update-grub"
have depmod || fail "ingot: guest.no-loader: there is no depmod"
# the menu's way to a release's entry, by its id, since its place changes with every kernel
way() {
	entry=$(sed -n "s/.*\$menuentry_id_option '\(gnulinux-$1-advanced-[^']*\)'.*/\1/p" /boot/grub/grub.cfg | head -n 1)
	menu=$(sed -n "s/^submenu .*\$menuentry_id_option '\([^']*\)'.*/\1/p" /boot/grub/grub.cfg | head -n 1)
	[ -z "$entry" ] || [ -z "$menu" ] || printf '%s>%s' "$menu" "$entry"
}
default() {
	mkdir -p /etc/default/grub.d
	printf 'GRUB_DEFAULT="%s"\n' "$1" >/etc/default/grub.d/zz-ingot-kernel.cfg
	update-grub
}
if [ "${2:-}" = keep ]; then
	new=$(way "$release")
	[ -z "$new" ] || default "$new"
	grub-editenv - unset next_entry 2>/dev/null || true
	sync
	exit
fi
# room for kernel, modules and initramfs, before anything is touched
need=$(($(du -k modules.tar vmlinuz | awk '{ s += $1 } END { print s }') + 120 * 1024))
free=$(df -Pk /boot | awk 'NR == 2 { print $4 }')
[ "$free" -gt "$need" ] || fail "No space left on device: /boot has $free KiB free, $need are needed"

tar -x --no-same-owner --keep-directory-symlink -f modules.tar -C /
depmod "$release"
for f in vmlinuz config System.map; do
	cp "$f" "/boot/.new-$f-$release"
	chmod 0600 "/boot/.new-$f-$release"
	[ "$f" = System.map ] || chmod 0644 "/boot/.new-$f-$release"
	sync "/boot/.new-$f-$release"
	mv "/boot/.new-$f-$release" "/boot/$f-$release"
done
if have update-initramfs; then
	rm -f "/boot/initrd.img-$release"
	update-initramfs -c -k "$release"
fi
update-grub
new=$(way "$release") old=$(way "$(uname -r)")
once() { have grub-reboot && grub-reboot "$new" && grub-editenv - list | grep -q '^next_entry=.'; }
if [ -n "$new" ] && [ -n "$old" ] && [ "$new" != "$old" ] && once; then
	default "$old"
elif [ -n "$new" ]; then
	default "$new"
fi
grep -q "vmlinuz-$release" /boot/grub/grub.cfg || fail "update-grub left $release out"
sync
