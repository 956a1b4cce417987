#!/bin/bash
# The menu, notifications and drag-out on a real desktop: an X server, a session
# bus of its own, a notification daemon, a window manager and a file manager.
# Installs those that are missing.
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
make app
CGO_ENABLED=1 go vet -tags face,window ./cmd/ingot-app
CGO_ENABLED=1 go tool staticcheck -tags face,window ./cmd/ingot-app
CGO_ENABLED=1 go vet -tags frames ./app/window
export INGOT_E2E_BUS=own
unset INGOT_HOME INGOT_CONFIG INGOT_CACHE DISPLAY WAYLAND_DISPLAY
exec dbus-run-session -- go test -count=1 -timeout 60m -tags e2e -v ./test/app "$@"
