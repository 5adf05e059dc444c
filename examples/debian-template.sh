#!/bin/bash
# debian-template.sh NAME [SUITE [PACKAGE,...]]: makes image/NAME a Debian by debootstrap, from which
# any number of containers start (`echo image NAME > container/C/root`). Needs root and debootstrap;
# takes packages from MIRROR, or from where this host has its own.
set -u
m=${MACHINES:=/run/machines}/image
if [ $# -lt 1 ] || [ $# -gt 3 ]; then
	echo "usage: debian-template.sh NAME [SUITE [PACKAGE,...]]" >&2
	exit 2
fi
name=$1 suite=${2:-stable} packages=${3:-systemd-sysv,dbus,iproute2}
[ -e "$MACHINES/version" ] || { echo "debian-template.sh: no machinefs on $MACHINES" >&2; exit 1; }
[ "$(id -u)" = 0 ] || { echo "debian-template.sh: debootstrap needs root" >&2; exit 1; }
command -v debootstrap >/dev/null || { echo "debian-template.sh: debootstrap is not installed" >&2; exit 1; }

# The first one that apt would ask, in either form of its lists.
: "${MIRROR:=$(apt-get indextargets --format '$(SITE)' 'Created-By: Packages' 2>/dev/null | head -n 1)}"
mkdir "$m/$name" || { cat "$MACHINES/error" >&2; exit 1; }
tree=$(mktemp -d) || exit 1
finish() {
	rm -rf "$tree"
	[ "$(cat "$m/$name/state" 2>/dev/null)" = ready ] || rmdir "$m/$name" 2>/dev/null
}
trap finish EXIT
trap 'exit 130' INT TERM HUP

debootstrap --variant=minbase --include="$packages" "$suite" "$tree" ${MIRROR:+"$MIRROR"} >&2 || exit 1
rm -rf "$tree"/var/cache/apt/archives/*.deb "$tree"/var/lib/apt/lists/*
: >"$tree/etc/machine-id" # each container makes its own
{ echo "$tree" >"$m/$name/source" && echo import >"$m/$name/ctl"; } 2>/dev/null &&
	echo ready 600 >"$m/$name/wait" || { sed 's/^/debian-template.sh: /' "$m/$name/error" >&2; exit 1; }
cat "$m/$name/progress"
