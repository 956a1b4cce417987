# shellcheck shell=bash
# What tests with real Lima VMs need; scripts source it in the clone's folder. It installs
# what is missing. limactl and the guest's disk are made once and kept (scripts/lima.sh,
# scripts/lima-guest.sh). As root, such tests run as the user ingot-ci, who is made for
# it, in /var/tmp/ingot-ci: limactl refuses root, and its sockets need a short path.
#   LIMA=v1.2.1   INGOT_E2E_LIMA=/var/tmp/x  another home than ingot-ci's
# It sets: go, the command; home, that user's folder with bin, lima and tmp; as, the words
# before a command of that user; world, the words before one in the tests' environment.
# Whoever sources it gives home to the user when all is in it: give_home.
go=$(scripts/go.sh)
missing=()
for t in mmdebstrap:mmdebstrap grub-mkstandalone:grub-common mcopy:mtools sfdisk:fdisk mkfs.vfat:dosfstools mke2fs:e2fsprogs qemu-img:qemu-utils qemu-system-x86_64:qemu-system-x86 ssh:openssh-client jq:jq setpriv:util-linux; do
	PATH=$PATH:/usr/sbin:/sbin command -v "${t%%:*}" >/dev/null || missing+=("${t##*:}")
done
[ -d /usr/lib/grub/x86_64-efi ] || missing+=(grub-efi-amd64-bin)
[ -e /usr/share/OVMF/OVMF_CODE.fd ] || [ -e /usr/share/OVMF/OVMF_CODE_4M.fd ] || missing+=(ovmf)
sudo=; [ "$(id -u)" -eq 0 ] || sudo=sudo
if [ ${#missing[@]} -gt 0 ]; then
	$sudo apt-get update -q
	$sudo env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "${missing[@]}"
fi
export INGOT_TOOLS=${INGOT_TOOLS:-/var/tmp/ingot-tools}
lima=$(PATH=$(dirname "$go"):$PATH scripts/lima.sh "${LIMA:-v2.2.0}")
guest=$($sudo env INGOT_TOOLS="$INGOT_TOOLS" scripts/lima-guest.sh)

home=${INGOT_E2E_LIMA:-/var/tmp/ingot-ci}
as=()
if [ "$(id -u)" -eq 0 ]; then
	id ingot-ci >/dev/null 2>&1 || useradd --system --no-create-home --home-dir "$home" --shell /bin/bash ingot-ci
	as=(setpriv --reuid=ingot-ci --regid=ingot-ci --init-groups)
else
	home=${INGOT_E2E_LIMA:-$(mktemp -d /var/tmp/ingot-ci-XXXX)}
fi
mkdir -p "$home"/{bin,lima,tmp}
give_home() { [ ${#as[@]} -eq 0 ] || chown -R ingot-ci: "$home"; }
# the machine's KVM may be there and not work; Lima takes it when it is there
accel="tcg,thread=multi,tb-size=512"
# shellcheck disable=SC2034 # for who sources this
world=(env -i HOME="$home" USER="$(${as[@]+"${as[@]}"} id -un)" LANG=C.UTF-8 TMPDIR="$home/tmp" PATH="$lima/bin:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"
	LIMA_HOME="$home/lima" INGOT_KEYCHAIN=off INGOT_OWNER_IDLE=5s INGOT_E2E_GUEST="$guest"
	QEMU_SYSTEM_X86_64="qemu-system-x86_64 -machine q35,vmport=off -accel $accel"
	QEMU_SYSTEM_AARCH64="qemu-system-aarch64 -machine virt -accel $accel")
