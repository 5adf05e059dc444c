#!/bin/sh
# mkinitrd.sh OUT INIT [FILE=PATH]...: writes an initramfs (cpio, not compressed) of busybox
# under all its names in /bin, the script INIT as /init, and each FILE as PATH.
# Needs no root: everything in it belongs to root all the same.
set -eu
out=$1 init=$2
shift 2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$(dirname "$0")/../busybox-root" "$work/root"
install -m 755 "$init" "$work/root/init"
for pair; do
	install -D -m 755 "${pair%%=*}" "$work/root/${pair#*=}"
done
(cd "$work/root" && find . | LC_ALL=C sort | cpio --quiet -o -H newc -R 0:0) >"$work/cpio"
mkdir -p "$(dirname "$out")"
mv "$work/cpio" "$out"
