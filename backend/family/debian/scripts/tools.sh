#!/bin/sh
# Makes the read-only disk with the smoke checks' tools: packages unpacked, not
# installed; they run with LD_LIBRARY_PATH.
#   EPOCH; repo/*.deb in the work directory
set -eu
umask 022
export LC_ALL=C SOURCE_DATE_EPOCH="$EPOCH"
mkdir tools out
for d in repo/*.deb; do [ -e "$d" ] && dpkg-deb -x "$d" tools; done
rm -rf tools/usr/share/doc tools/usr/share/man tools/usr/share/locale
genisoimage -quiet -R -V INGOT-TOOLS -o out/tools.iso tools
