#!/bin/bash
# Signs dist/Ingot.app from inside out, checks the signature, and packs it: Ingot.zip, and
# Ingot.dmg where hdiutil is. Without a valid signature of the bundle macOS shows no
# notifications of it.
#   SIGN=identity    "Developer ID Application: …"; ad-hoc without it
#   NOTARY=profile   of `xcrun notarytool store-credentials`: notarises and staples
set -euo pipefail
cd "$(dirname "$0")/.."
app=${1:-dist/Ingot.app} sign=${SIGN:--}
dist=$(dirname "$app")
stamp=--timestamp=none # of Apple's server, which takes no ad-hoc signature
[ "$sign" = - ] || stamp=--timestamp
sign() { # IDENTIFIER PATH
	codesign --force --sign "$sign" --identifier "$1" --options runtime "$stamp" "$2"
}
sign org.ingot.app.window "$app/Contents/Helpers/Ingot Window.app"
sign org.ingot.cli "$app/Contents/MacOS/ingot"
sign org.ingot.app "$app"
codesign --verify --strict --deep "$app"
pack() { ditto -c -k --keepParent "$app" "$dist/Ingot.zip"; } # keeps the modes
pack
if [ -n "${NOTARY:-}" ]; then
	[ "$sign" != - ] || { echo "sign.sh: an ad-hoc signature cannot be notarised: set SIGN" >&2; exit 1; }
	xcrun notarytool submit "$dist/Ingot.zip" --keychain-profile "$NOTARY" --wait
	xcrun stapler staple "$app"
	pack
fi
if command -v hdiutil >/dev/null; then
	image=$(mktemp -d "${TMPDIR:-/tmp}/ingot-dmg.XXXXXX")
	trap 'rm -rf "$image"' EXIT
	cp -R "$app" "$image/"
	ln -s /Applications "$image/Applications"
	hdiutil create -quiet -volname Ingot -srcfolder "$image" -format UDZO -ov "$dist/Ingot.dmg"
fi
