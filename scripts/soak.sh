#!/bin/bash
# What takes longer than a continuous-integration run may: kills at several
# instants of each step, two whole builds from clean caches compared, a disk
# that fills up in each step. Writes docs/soak/<date>.md, or <date>-2.md after it;
# exits with 1 when anything failed, which the file shows too.
#   KILLS=5 in each step, or by step: KILLS='kernel=20 publish=50'; SEED=
#   ONLY=regexp runs the sections whose titles fit; the file names the others.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
kills=${KILLS:-5} seed=${SEED:-$(date +%s)} target=${1:-debian-12-arm64-lean}
out=docs/soak/$(date -u +%Y-%m-%d).md
for ((n = 2; ; n++)); do
	[ -e "$out" ] || break
	out=docs/soak/$(date -u +%Y-%m-%d)-$n.md
done
mkdir -p docs/soak
log=$(mktemp)
trap 'rm -f "$log"' EXIT
{
	echo "# Soak of $(date -u '+%Y-%m-%d %H:%M') UTC"
	echo
	echo "Ingot $(git describe --tags --always --dirty), $(nproc) cores, $(. /etc/os-release && echo "$PRETTY_NAME"), $("qemu-system-$([ "$(uname -m)" = x86_64 ] && echo x86_64 || echo aarch64)" --version | head -n 1)"
} > "$out"
failed=0 left=
section() { # TITLE COMMAND…
	local title=$1 started=$SECONDS
	shift
	if [[ ! $title =~ ${ONLY:-.} ]]; then
		left+="- $title"$'\n'
		return
	fi
	"$@" > "$log" 2>&1
	local code=$?
	[ "$code" -eq 0 ] || failed=1
	{
		printf '\n## %s\n\n`%s`: exit %s after %s s\n\n```\n' "$title" "$*" "$code" "$((SECONDS - started))"
		if [ "$code" -eq 0 ]; then
			grep -E '^ *--- |it waited for room|the same bytes again|^ok |^passed |^skipped |boot: login|publish +passed|^Fuzz' "$log"
		else
			grep -E '^ *--- FAIL|_test\.go:[0-9]+: ' "$log" | head -n 200 # what the tests said, however long the run was
			tail -n 60 "$log"
		fi
		echo '```'
	} >> "$out"
	echo "$title: exit $code after $((SECONDS - started)) s"
}
export INGOT_E2E_SOAK=1 INGOT_E2E_KILLS=$kills INGOT_E2E_SEED=$seed
case "$(uname -m)" in # the lean target that needs no emulator to unpack packages
arm64 | aarch64) victim=debian-12-arm64-lean ;;
*) victim=debian-12-amd64-small ;;
esac
section "Kills in the steps of $victim ($kills), seed $seed" env INGOT_E2E_KILL_TARGET=$victim go test -count=1 -timeout 170m -tags e2e -v -run '^TestK_Killed$' ./test/e2e
section "A machine of Ingot's own as a guest, and a build over ssh" go test -count=1 -timeout 60m -tags e2e -v -run 'TestA_|TestI_OverSSH|TestP_MachineAsGuest' ./test/e2e
section "A full disk in each step" go test -count=1 -timeout 60m -tags e2e -v -run 'TestA_|TestL_' ./test/e2e
answers() { # of a person, to the questions of mac-proof
	local dir
	dir=$(mktemp -d /var/tmp/ingot-soak-XXXXXX)
	printf 'asked.icon yes\nasked.live yes\nasked.buttons yes\nasked.drag yes\nasked.focus yes\n' > "$dir/answers"
	INGOT_HOME=$dir/home ANSWERS=$dir/answers TO=$dir/record scripts/mac-proof.sh || return 1
	INGOT_HOME=$dir/home bin/ingot verify "$dir"/record/*.json || return 1
	sed 's/"sig": "\(.\)\(.\)/"sig": "\2\1/' "$dir"/record/*.json > "$dir/bent.json"
	if INGOT_HOME=$dir/home bin/ingot verify "$dir/bent.json"; then echo "a bent record was verified"; return 1; fi
	chmod -R u+w "$dir" && rm -rf "$dir"
}
section "mac-proof, as far as it needs no Mac" answers
section "50 kills of an upload over a line that is cut, seed $seed" env INGOT_PUBLISH_KILLS=50 INGOT_PUBLISH_SEED="$seed" go test -count=1 -timeout 30m -v -run '^TestUploadKilled$' ./backend/publish/s3
section "20 kills of a publish to a stand-in for GitHub, seed $seed" env INGOT_PUBLISH_KILLS=20 INGOT_PUBLISH_SEED="$seed" go test -count=1 -timeout 30m -v -run '^TestUploadKilled$' ./backend/publish/github
race() {
	# shellcheck disable=SC2046 # a list of packages
	CGO_ENABLED=1 go test -race $(go list ./backend/... | grep -v /cause) ./app/feed ./app/tray ./app/desktop ./app/window
}
section "The race detector over all packages but the rules" race
section "Chaos: 100 jobs, seed $seed" env SEED="$seed" JOBS=100 go test -count=1 -timeout 30m -tags chaos -v ./test/chaos
section "The team's server away for ten minutes" env INGOT_AWAY=10m go test -count=1 -timeout 30m -v -run '^TestTeamBuilds$' ./backend/worker
if command -v apt-get >/dev/null; then
	section "20 exports of a running guest under load, and the unsafe way" env RUN='^(TestSoakExports|TestOtherWays)$' TIMEOUT=60m scripts/e2e-lima.sh
	section "A kernel of ours in a VM, its disk as an image, and the image of a running VM" env RUN='^(TestTakeTheDisk|TestImageOfRunning)$' TIMEOUT=90m scripts/e2e-lima.sh
	section "The whole line in the forge VM" env RUN='^TestForgeLine$' TIMEOUT=150m scripts/e2e-lima.sh
	section "A kernel built in a guest" env RUN='^TestBuildInside$' TIMEOUT=150m scripts/e2e-lima.sh
	section "Lima 1.2.1: an instance's life, and exports of it" env LIMA=v1.2.1 RUN='^(TestVM|TestExport)$' TIMEOUT=60m scripts/e2e-lima.sh
fi
for f in $(git grep -ho '^func Fuzz[A-Za-z0-9]*' -- '*_test.go' | cut -c6- | sort -u); do
	section "$f, ${FUZZTIME:-10m}" env RUN="^$f\$" FUZZTIME="${FUZZTIME:-10m}" bench/fuzz.sh
done
home=$(mktemp -d /var/tmp/ingot-soak-XXXXXX)
export INGOT_HOME=$home INGOT_KEYCHAIN=off INGOT_CONFIG=$PWD/test
unset INGOT_CACHE
section "A whole build from clean caches, and the same again without a cache" bin/ingot build "$target" --check
section "Another suite and kernel series, by recipe alone" bin/ingot build debian-13-arm64-lean
for t in debian-12-amd64 debian-13-arm64; do
	section "$t with its own kernel" bin/ingot build "$t"
done
[ -z "$left" ] || printf '\n## Not run this time\n\n%s' "$left" >> "$out"
bin/ingot owner stop > /dev/null 2>&1 || true
chmod -R u+w "$home" && rm -rf "$home"
echo "$out"
exit "$failed"
