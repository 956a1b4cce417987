#!/bin/sh
# Takes out of a running Linux guest what makes it, its people and its network
# known, before its disk is taken. Runs as root in the guest; afterwards nobody
# can log in, and the guest is only good for being shut down. What it must
# remove is what the leak scan looks for (resources/leaks); that scan is its
# test. Says each thing that it could not do, and fails then.
set -eu
umask 022
set +e # it goes on as far as it gets, and tells at the end
failed=0
try() { "$@" || { echo "sanitise: $*: exit status $?" >&2; failed=1; }; }
have() { command -v "$1" >/dev/null; }

# what runs would write again what is removed
if have systemctl; then
	# the seed is saved at shutdown; a drop-in in /run is gone after it
	mkdir -p /run/systemd/system/systemd-random-seed.service.d
	printf '[Service]\nExecStop=\n' >/run/systemd/system/systemd-random-seed.service.d/ingot.conf
	try systemctl daemon-reload
	systemctl stop systemd-journald.socket systemd-journald-dev-log.socket systemd-journald-audit.socket systemd-journald.service rsyslog.service syslog.socket 2>/dev/null
	systemctl stop lima-guestagent.service 2>/dev/null
	systemctl disable lima-guestagent.service 2>/dev/null
fi

# users that Lima or cloud-init made, and everybody's keys and histories
for home in /home/*.linux /home/*.guest; do
	[ -d "$home" ] || continue
	user=$(awk -F: -v h="$home" '$6 == h {print $1}' /etc/passwd)
	[ -z "$user" ] || try userdel -f "$user"
	try rm -rf "$home"
done
rm -f /etc/sudoers.d/90-cloud-init-users /etc/sudoers.d/*lima*
for home in /root /home/*; do
	[ -d "$home" ] || continue
	try rm -rf "$home/.ssh" "$home/.gnupg" "$home/.aws" "$home/.azure" "$home/.kube" "$home/.docker" "$home/.cache" "$home/.config/gcloud" "$home/.config/gh" \
		"$home/.config/rclone" "$home/.config/containers" "$home/.mc" "$home/.local/share/fish/fish_history" "$home/.local/state/python_history" \
		"$home/.local/share/nano/search_history" "$home/.local/state/nano/search_history"
	for f in .bash_history .zsh_history .ash_history .sh_history .python_history .psql_history .mysql_history .mariadb_history .sqlite_history .node_repl_history .irb_history .rediscli_history \
		.dbshell_history .history .histfile .lesshst .viminfo .wget-hsts .netrc .git-credentials .npmrc .pypirc .s3cfg .pgpass .my.cnf .terraformrc .vault-token .cargo/credentials .cargo/credentials.toml; do
		rm -f "$home/$f"
	done
done
awk -F: '$2 ~ /^[$A-Za-z0-9.\/]/ {print $1}' /etc/shadow | while read -r user; do try usermod -p '*' "$user"; done
rm -f /etc/passwd- /etc/shadow- /etc/group- /etc/gshadow- /etc/subuid- /etc/subgid-

# the machine
rm -rf /etc/ssh/authorized_keys /etc/ssh/authorized_keys.d /etc/dropbear/authorized_keys
try rm -f /etc/ssh/ssh_host_* /etc/dropbear/*host_key /var/lib/systemd/random-seed /var/lib/systemd/credential.secret /var/lib/urandom/random-seed /loader/random-seed
try truncate -s 0 /etc/machine-id
[ -L /var/lib/dbus/machine-id ] || rm -f /var/lib/dbus/machine-id
try rm -rf /var/lib/cloud/instances /var/lib/cloud/instance /var/lib/cloud/seed /var/lib/cloud/data /var/lib/cloud/sem
rm -rf /etc/wireguard/*.conf /etc/NetworkManager/system-connections/* /etc/wpa_supplicant/*.conf /etc/krb5.keytab /etc/apt/auth.conf /etc/apt/auth.conf.d/* /etc/letsencrypt
rm -f /etc/netplan/50-cloud-init.yaml

# Lima
rm -rf /usr/local/bin/lima-guestagent /etc/systemd/system/lima-* /etc/systemd/system/*.wants/lima-* /var/lib/lima* /etc/profile.d/*lima* /etc/cloud/cloud.cfg.d/*lima*
for f in /etc/environment /etc/fstab /etc/hosts; do
	[ -f "$f" ] || continue
	try sed -i -e '/#LIMA-START/,/#LIMA-END/d' -e '/lima\.internal/d' -e '/mnt\/lima-/d' -e '/comment=cloudconfig/d' "$f"
done

# logs, leases, lists
rm -rf /var/log/journal/* /var/lib/dhcp/*lease* /var/lib/dhcpcd/*lease* /var/lib/NetworkManager/*lease* /var/lib/systemd/network/* /var/lib/apt/lists/*
try find /var/log -type f -exec truncate -s 0 '{}' +
rm -rf /tmp/* /var/tmp/*

# what was deleted is still there until its blocks are zeros; a discard alone
# leaves what shares a cluster of the image (64 KiB) with something live
sync
# ext4 keeps clusters back from files, 16 MiB as a rule, which stay as they are
for r in /sys/fs/ext4/*/reserved_clusters; do
	[ -w "$r" ] && echo 0 >"$r"
done
types='ext[234]|xfs|btrfs|f2fs|vfat'
[ "${1:-}" != keep ] || types='xfs|btrfs|f2fs|vfat' # the caller leaves the free blocks of ext4 out of its copy of the disk
for m in $(awk -v t="^($types)\$" '$1 ~ /^\/dev\// && $3 ~ t && $4 ~ /^rw/ && !s[$1]++ {print $2}' /proc/mounts); do
	cat /dev/zero >"$m/.zeros" 2>/dev/null # until it is full
	sync
	rm -f "$m/.zeros"
	sync
	have fstrim && fstrim "$m" 2>/dev/null
done
sync
exit "$failed"
