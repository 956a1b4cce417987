#!/bin/sh
# Lists what disk.sh has put on the disk, and packs its tree where that is asked.
# Works on the tree alone: the disk may be read, or be gone, meanwhile.
#   LOADER ROOT_TAR
set -eu
umask 022 # modes are part of the bytes: the same whoever builds
if [ "$(id -u)" -ne 0 ]; then
	exec unshare --map-root-user --map-auto --mount sh "$0" "$@"
fi
export LC_ALL=C
# tree.txt: every file with its fields, so that a difference between two images
# can be named: path, mode, owner, group, size, time, link, digest, by tabs.
( cd root && find . -mindepth 1 -type f -printf '%P\t%M\t%U\t%G\t%s\t%T@\t\n' -o -printf '%P\t%M\t%U\t%G\t\t%T@\t%l\n' ) | sort > tree.meta
( cd root && find . -type f -print0 | sort -z | xargs -0 sha256sum ) | sed 's#^\([0-9a-f]*\)  \./\(.*\)#\2\t\1#' | sort > tree.sums
join -t "$(printf '\t')" -a 1 tree.meta tree.sums | sed 's#\.0000000000##' > out/tree.txt
for f in "root$LOADER" vmlinuz loader.conf ingot.conf; do
	printf 'ESP: %s\t\t\t\t\t\t\t%s\n' "$(basename "$f")" "$(sha256sum < "$f" | cut -d' ' -f1)"
done >> out/tree.txt
if [ "$ROOT_TAR" = yes ]; then
	tar --sort=name --numeric-owner --xattrs --pax-option=exthdr.name=%d/PaxHeaders/%f,delete=atime,delete=ctime -cf out/root.tar -C root .
fi
