#!/bin/bash
# The menu, notifications and drag-out on a real desktop: an X server, a session
# bus of its own, a notification daemon, a window manager and a file manager.
# Installs those that are missing. Arguments go to `go test`.
#   --install   only installs    --compile   only compiles, into Go's cache
# TestForgeFromMenu has a pass of its own, as a user that is not root, with a real limactl
# (scripts/lima-world.sh): it comes last, or alone with `-run TestForgeFromMenu`.
set -euo pipefail
cd "$(dirname "$0")/.."
missing=()
command -v gcc >/dev/null || missing+=(gcc libc6-dev)
command -v pkg-config >/dev/null || missing+=(pkg-config)
[ -e /usr/include/GL/gl.h ] || missing+=(libgl1-mesa-dev libgl1-mesa-dri)
[ -e /usr/include/X11/extensions/Xrandr.h ] && [ -e /usr/include/X11/Xcursor/Xcursor.h ] || missing+=(xorg-dev)
for t in Xvfb:xvfb openbox:openbox xdotool:xdotool xprop:x11-utils dbus-run-session:dbus pcmanfm:pcmanfm dunst:dunst import:imagemagick xfce4-panel:xfce4-panel; do
	command -v "${t%%:*}" >/dev/null || missing+=("${t##*:}")
done
if [ ${#missing[@]} -gt 0 ]; then
	command -v apt-get >/dev/null || { echo "e2e-app: install ${missing[*]}" >&2; exit 1; }
	sudo=; [ "$(id -u)" -eq 0 ] || sudo=sudo
	$sudo apt-get update -q
	$sudo env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "${missing[@]}"
fi
[ "${1:-}" != --install ] || exit 0
checks() {
	CGO_ENABLED=1 go vet -tags face,window ./cmd/ingot-app
	CGO_ENABLED=1 go tool staticcheck -tags face,window ./cmd/ingot-app
	CGO_ENABLED=1 go vet -tags frames ./app/window
}
if [ "${1:-}" = --compile ]; then
	go build -tags face -o /dev/null ./cmd/ingot-app
	CGO_ENABLED=1 go build -tags face,window -o /dev/null ./cmd/ingot-app
	checks
	go test -c -tags e2e -o /dev/null ./test/app
	exit 0
fi
make app
checks
export INGOT_E2E_BUS=own
unset INGOT_HOME INGOT_CONFIG INGOT_CACHE DISPLAY WAYLAND_DISPLAY
if [ "$*" != "-run TestForgeFromMenu" ]; then
	dbus-run-session -- go test -count=1 -timeout 60m -tags e2e -v ./test/app "$@"
	[ $# -eq 0 ] || exit 0
fi

. scripts/lima-world.sh
cleanup() { rm -rf "${home:?}"/{lima,tmp,test,bin,.cache,guest.yaml}; }
trap cleanup EXIT
mkdir -p "$home/test/app"
"$go" test -c -tags e2e -o "$home/bin/app.test" ./test/app
cp bin/ingot bin/ingot-app bin/ingot-window "$home/bin/"
cp -r test/targets "$home/test/"
sed "s|GUEST|$guest|" test/lima/guest.yaml >"$home/guest.yaml"
give_home
[ -d /tmp/.X11-unix ] || ${sudo:+sudo} mkdir -m 1777 /tmp/.X11-unix # an X server that is not root's makes none
cd "$home/test/app" # the test takes the programs from ../../bin
${as[@]+"${as[@]}"} "${world[@]}" INGOT_E2E_BUS=own INGOT_E2E_TEMPLATE="$home/guest.yaml" \
	dbus-run-session -- "$home/bin/app.test" -test.v -test.count=1 -test.timeout 20m -test.run '^TestForgeFromMenu$'
