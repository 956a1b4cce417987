#!/bin/bash
# Checks a published target by means that are not Ingot's: curl, sha256sum,
# minisign, qemu-img and a plain QEMU command. Then it spoils evidence, a
# signature and the artifact in a copy of the home, one at a time, and expects
# the status table to lose the tick, with the right cause.
set -euo pipefail
cd "$(dirname "$0")/.."
target=${1:-debian-12-arm64}
ingot=$PWD/bin/ingot
work=$(mktemp -d "${TMPDIR:-/tmp}/ingot-demo-check.XXXXXX")
server=
qemu=
finish() {
	[ -z "$qemu" ] || kill "$qemu" 2>/dev/null || true
	[ -z "$server" ] || kill "$server" 2>/dev/null || true
	wait 2>/dev/null || true
	rm -rf "$work"
}
trap finish EXIT
say() { printf '\n== %s\n' "$*"; }
die() { echo "demo-check: $*" >&2; exit 1; }
install="apt-get install" accel=tcg,thread=multi cpu=max,pauth-impdef=on firmware=/usr/share/AAVMF code=AAVMF_CODE.fd vars=AAVMF_VARS.fd
if [ "$(uname -s)" = Darwin ]; then
	PATH=$PATH:/opt/homebrew/bin:/opt/local/bin
	install="brew install" accel=hvf cpu=host code=edk2-aarch64-code.fd vars=edk2-arm-vars.fd
	command -v qemu-system-aarch64 >/dev/null || die "qemu-system-aarch64 is needed: brew install qemu"
	firmware=$(cd "$(dirname "$(command -v qemu-system-aarch64)")/../share/qemu" && pwd) # Homebrew's and MacPorts' place
fi
need() { command -v "$1" >/dev/null || die "$1 is needed: $install $2"; }
need jq jq; need minisign minisign; need curl curl; need qemu-img qemu-utils
sums() { if command -v sha256sum >/dev/null; then "sha$1sum" -c --quiet "SHA$1SUMS"; else shasum -a "$1" -c --quiet "SHA$1SUMS"; fi; }
iso() { # FILE LABEL FOLDER
	if command -v hdiutil >/dev/null; then
		hdiutil makehybrid -quiet -iso -joliet -default-volume-name "$2" -o "$1" "$3"
	else
		need genisoimage genisoimage
		genisoimage -quiet -output "$1" -volid "$2" -joliet -rock "$3"
	fi
}

say "serve the local store"
"$ingot" store serve > "$work/store.log" 2>&1 & server=$!
for _ in $(seq 100); do grep -q http "$work/store.log" 2>/dev/null && break; sleep 0.1; done
grep -q http "$work/store.log" || die "the store did not start: $(cat "$work/store.log")"

"$ingot" status "$target" --json > "$work/status.json"
cell() { jq -r ".[0].$1.state" "$work/status.json"; }
for c in configured guest kernel exported boots published; do
	[ "$(cell $c)" = passed ] || die "$c is $(cell $c), not passed"
done
receipt=$(jq -r '.[0].published.evidence' "$work/status.json")
"$ingot" evidence show "$receipt" > "$work/receipt.json" 2>/dev/null
url=$(jq -r .predicate.url "$work/receipt.json")
disk_url=$(jq -r .predicate.disk "$work/receipt.json")
disk=$(basename "$disk_url")
kernel=$(jq -r '.[0].kernel.evidence' "$work/status.json")
"$ingot" evidence show "$kernel" > "$work/kernel.json" 2>/dev/null
want_release=$(jq -r .predicate.release "$work/kernel.json")
want_id=$(jq -r .predicate.buildId "$work/kernel.json")

say "download $url"
mkdir "$work/dl" && cd "$work/dl"
curl -fsS -O "$url/SHA256SUMS" -O "$url/SHA256SUMS.minisig" -O "$url/SHA512SUMS" -O "$url/SHA512SUMS.minisig"
while read -r _ name; do mkdir -p "$(dirname "$name")"; curl -fsS -o "$name" "$url$name"; done < SHA256SUMS
prefix=${url%%/debian/*}
curl -fsS -o ../ingot.pub "$prefix/ingot.pub"
sums 256 && sums 512 && echo "sums: $(wc -l < SHA256SUMS) files fit"
minisign -Vm SHA256SUMS -p ../ingot.pub | head -n 1
minisign -Vm SHA512SUMS -p ../ingot.pub | head -n 1
qemu-img check "$disk"

say "boot the download with a plain QEMU command"
mkdir "$work/seed"
cat > "$work/seed/user-data" <<'U'
#cloud-config
runcmd:
  - [sh, -c, 'echo; echo "CHECK $(uname -r) $(od -An -v -tx1 /sys/kernel/notes | tr -d " \n") END" > /dev/console']
U
printf 'instance-id: check\nlocal-hostname: check\n' > "$work/seed/meta-data"
iso "$work/seed.iso" cidata "$work/seed"
cp "$firmware/$vars" "$work/vars.fd"
qemu-system-aarch64 -M virt -cpu "$cpu" -accel "$accel" -smp 2 -m 1024 -display none -no-reboot \
	-drive if=pflash,format=raw,readonly=on,file="$firmware/$code" -drive if=pflash,format=raw,file="$work/vars.fd" \
	-drive file="$work/dl/$disk",format=qcow2,if=virtio,snapshot=on -drive file="$work/seed.iso",format=raw,if=virtio,readonly=on \
	-device virtio-rng-pci -netdev user,id=net -device virtio-net-pci,netdev=net,romfile= -serial file:"$work/boot.log" & qemu=$!
for _ in $(seq 600); do
	grep -qa 'CHECK .* END' "$work/boot.log" 2>/dev/null && break
	kill -0 "$qemu" 2>/dev/null || die "QEMU ended: $(tail -n 5 "$work/boot.log")"
	sleep 0.5
done
line=$(grep -a 'CHECK .* END' "$work/boot.log" | tr -d '\r' | tail -n 1) || die "no answer within 300 s: $(tail -n 5 "$work/boot.log")"
kill "$qemu"; wait "$qemu" 2>/dev/null || true; qemu=
got_release=$(echo "$line" | sed 's/.*CHECK \([^ ]*\) .*/\1/')
got_notes=$(echo "$line" | sed 's/.*CHECK [^ ]* \([0-9a-f]*\) END.*/\1/')
[ "$got_release" = "$want_release" ] || die "the guest runs $got_release, the evidence says $want_release"
# a GNU build-id note: name size 4, descriptor size 20, type 3, "GNU\0", 20 bytes
case "$got_notes" in *"040000001400000003000000474e5500$want_id"*) ;; *) die "/sys/kernel/notes does not hold build-id $want_id: $got_notes" ;; esac
echo "kernel $got_release, build-id $want_id: as the evidence says"

say "another home that has only the public key"
INGOT_HOME="$work/other" "$ingot" verify "$url" --key "$work/ingot.pub"
if INGOT_HOME="$work/other" "$ingot" verify "$url" 2> "$work/refused"; then die "a home without the key accepted the release"; fi
grep -q evidence.foreign-key "$work/refused" || die "without the key: $(cat "$work/refused")"

say "spoil it, one thing at a time"
data=$("$ingot" home --data)
spoiled() { # WHAT CELL CAUSE
	"$ingot" status "$target" --json > "$work/status.json"
	state=$(jq -r ".[0].$2.state" "$work/status.json"); cause=$(jq -r ".[0].$2.cause" "$work/status.json")
	[ "$state" != passed ] && [ "$cause" = "$3" ] || die "$1: $2 is $state ($cause), expected $3"
	echo "$1: $2 is $state, $3"
}
whole() {
	"$ingot" status "$target" --json > "$work/status.json"
	for c in configured guest kernel exported boots published; do [ "$(cell $c)" = passed ] || die "after mending, $c is $(cell $c)"; done
}
find_doc() { find "$data/builds/$target" -name "$1.json"; }
file=$(find_doc "$kernel"); cp -p "$file" "$work/keep"
sed 's/"payload": "\(.\)/"payload": "A\1/' "$work/keep" > "$file"; spoiled "evidence file" kernel evidence.unreadable; cp -p "$work/keep" "$file"; whole
proof=$(jq -r '.[0].boots.evidence' "$work/status.json"); file=$(find_doc "$proof"); cp -p "$file" "$work/keep"
jq --indent 1 '.payload |= (@base64d | sub("\"verdict\":\"passed\"";"\"verdict\":\"passed\",\"x\":1") | @base64)' "$work/keep" > "$file"; spoiled "evidence text" boots evidence.changed; cp -p "$work/keep" "$file"; whole
jq --indent 1 '.signatures[0].sig |= (if startswith("AAAA") then "BBBB" + .[4:] else "AAAA" + .[4:] end)' "$work/keep" > "$file"; spoiled signature boots evidence.signature-invalid; cp -p "$work/keep" "$file"; whole
artifact=$(find "$data/outputs" -name "$disk"); old=$(dd if="$artifact" bs=1 skip=1000000 count=1 2>/dev/null | od -An -tu1 | tr -d ' ')
poke() { printf "\\x$(printf %02x "$1")" | dd of="$artifact" bs=1 seek=1000000 conv=notrunc 2>/dev/null; }
poke $(((old + 1) % 256)); spoiled "artifact byte" exported image.digest-changed; spoiled "artifact byte" boots image.digest-changed; poke "$old"; whole

printf '\ndemo-check: %s holds\n' "$target"
