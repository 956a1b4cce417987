#!/bin/sh
# The rules of resources/sanitise/linux.yaml that are more than files. The interpreter of
# the rules follows this text: it defines MODE, FREE, found, try and have. Runs as root in
# the guest; afterwards no account can log in, and the caller shuts the guest down.
# shellcheck shell=sh disable=SC2154
set -eu
umask 022
set +e # it goes on as far as it gets, and tells at the end

rule_services() {
	[ "$MODE" = remove ] && have systemctl || return 0
	# the seed is saved at shutdown; a drop-in in /run is gone after it
	mkdir -p /run/systemd/system/systemd-random-seed.service.d
	printf '[Service]\nExecStop=\n' >/run/systemd/system/systemd-random-seed.service.d/ingot.conf
	try systemctl daemon-reload
	systemctl stop systemd-journald.socket systemd-journald-dev-log.socket systemd-journald-audit.socket systemd-journald.service rsyslog.service syslog.socket 2>/dev/null
	systemctl stop lima-guestagent.service 2>/dev/null
	systemctl disable lima-guestagent.service 2>/dev/null
	return 0
}

rule_accounts() {
	for home in /home/*.linux /home/*.guest; do
		[ -d "$home" ] || continue
		found "$home"
		[ "$MODE" = remove ] || continue
		user=$(awk -F: -v h="$home" '$6 == h {print $1}' /etc/passwd)
		[ -z "$user" ] || try userdel -f "$user"
		try rm -rf "$home"
	done
}

rule_passwords() {
	users=$(awk -F: '$2 ~ /^[$A-Za-z0-9.\/]/ {print $1}' /etc/shadow)
	for user in $users; do
		files=$((files + 1))
		[ "$MODE" = list ] || try usermod -p '*' "$user"
	done
}

rule_bus_id() {
	[ -f /var/lib/dbus/machine-id ] && [ ! -L /var/lib/dbus/machine-id ] || return 0
	found /var/lib/dbus/machine-id
	[ "$MODE" = list ] || try rm -f /var/lib/dbus/machine-id
}

# What was deleted is still there until its blocks are zeros. A discard alone leaves what
# shares a cluster of the image (64 KiB) with something live.
rule_free_space() {
	[ "$MODE" = remove ] || return 0
	sync
	# ext4 keeps clusters back from files, 16 MiB as a rule, which stay as they are
	for r in /sys/fs/ext4/*/reserved_clusters; do
		[ -w "$r" ] && echo 0 >"$r"
	done
	types='ext[234]|xfs|btrfs|f2fs|vfat'
	[ "$FREE" != keep ] || types='xfs|btrfs|f2fs|vfat' # the caller leaves the free blocks of ext4 out of its copy of the disk
	for m in $(awk -v t="^($types)\$" '$1 ~ /^\/dev\// && $3 ~ t && $4 ~ /^rw/ && !s[$1]++ {print $2}' /proc/mounts); do
		cat /dev/zero >"$m/.zeros" 2>/dev/null # until it is full
		sync
		rm -f "$m/.zeros"
		sync
		have fstrim && fstrim "$m" 2>/dev/null
	done
	return 0
}
