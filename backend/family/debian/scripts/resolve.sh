#!/bin/sh
# Resolves a target's packages with an apt of its own: own root, own sources,
# own (empty) package status. The host's sources and packages play no part.
#   DEB_ARCH; sources.list, rootfs.txt, smoke.txt, kernel.txt in the work directory
set -eu
umask 022
root="$PWD/apt"
mkdir -p "$root/etc/apt/apt.conf.d" "$root/etc/apt/preferences.d" "$root/etc/apt/sources.list.d" "$root/etc/apt/trusted.gpg.d" \
	"$root/var/lib/apt/lists/partial" "$root/var/cache/apt/archives/partial" "$root/var/lib/dpkg" "$root/var/log/apt"
: > "$root/var/lib/dpkg/status"
cp sources.list "$root/etc/apt/sources.list"
cat > apt.conf <<CONF
Dir "$root";
Dir::State::status "$root/var/lib/dpkg/status";
Dir::Etc::parts "$root/etc/apt/apt.conf.d";
Dir::Etc::trusted "/dev/null";
Dir::Etc::trustedparts "$root/etc/apt/trusted.gpg.d";
APT::Architecture "$DEB_ARCH";
APT::Architectures { "$DEB_ARCH"; };
APT::Install-Recommends "false";
APT::Sandbox::User "root";
Acquire::Languages "none";
Acquire::Retries "3";
Acquire::Check-Valid-Until "${CHECK_VALID_UNTIL:-true}";
Acquire::Check-Date "${CHECK_VALID_UNTIL:-true}";
CONF
export APT_CONFIG="$PWD/apt.conf" LC_ALL=C
apt-get -q update
# shellcheck disable=SC2046
apt-get -q -y --print-uris install '?essential' '?priority(required)' apt $(cat rootfs.txt) > rootfs.uris
# shellcheck disable=SC2046
apt-get -q -y --print-uris install '?essential' '?priority(required)' apt $(cat rootfs.txt smoke.txt) > all.uris
# shellcheck disable=SC2046
apt-get -q --print-uris download $(cat kernel.txt) > kernel.uris
apt-get indextargets --format '$(FILENAME)|$(REPO_URI)' 'Created-By: Packages' > targets.txt
: > packages.txt
while IFS='|' read -r file uri; do
	printf 'Ingot-Repository: %s\n\n' "$uri" >> packages.txt
	/usr/lib/apt/apt-helper cat-file "$file" >> packages.txt
	printf '\n' >> packages.txt
done < targets.txt
( cd "$root/var/lib/apt/lists" && for f in *_InRelease; do
	printf '%s|%s|%s|%s\n' "$(sha256sum "$f" | cut -d' ' -f1)" "$(sed -n 's/^Date: //p' "$f" | head -n 1)" "$(sed -n 's/^Codename: //p' "$f" | head -n 1)" "$f"
done ) > releases.txt
