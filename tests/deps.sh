#!/bin/sh
# deps.sh [--optional] GROUP...: makes sure that the Debian packages of each group are there.
#
# Installs with apt-get as root; as anybody else it prints the one line that root would run and
# fails. When nothing is missing it runs dpkg-query and nothing more. With --optional a failure
# is only told: the tests that miss something skip themselves.
set -u

packages() {
	case $1 in
	build) echo gcc libc6-dev libfuse3-dev fuse3 libevent-dev libyaml-dev libseccomp-dev \
		libzstd-dev liblzma-dev liblz4-dev zlib1g-dev liburing-dev libarchive-dev libjansson-dev nettle-dev libnl-route-3-dev ;;
	check) echo automake inotify-tools busybox-static python3 cpio acpica-tools procps \
		util-linux mount strace squashfs-tools erofs-utils e2fsprogs mandoc rsync vim-tiny less dash uidmap \
		nftables iproute2 gdb podman conmon containernetworking-plugins debootstrap lxcfs ;;
	demo) echo busybox-static cpio ;;
	kernel) echo busybox-static cpio kmod ;;
	lab) echo qemu-system-x86 qemu-system-common e2fsprogs busybox-static cpio kmod inotify-tools python3 procps ;;
	bench) echo crun busybox-static lz4 ;;
	lint) echo clang-format cppcheck shellcheck ;;
	*)
		echo "deps.sh: no such group: $1 (build check demo kernel lab bench lint)" >&2
		exit 2
		;;
	esac
}

optional=
if [ "${1-}" = --optional ]; then
	optional=1
	shift
fi
groups=$*
wanted=
for group in $groups; do
	list=$(packages "$group") || exit 2
	wanted="$wanted $list"
done

if ! command -v dpkg-query >/dev/null; then
	echo "deps.sh: this is no Debian; going on as if the equivalents of these were there:$wanted"
	exit 0
fi

# dpkg-query's order and silence about unknown names do not matter: what is listed is there.
# shellcheck disable=SC2086 # a list of words
present=" $(dpkg-query -W -f='${db:Status-Status}=${Package} ' $wanted 2>/dev/null) "
missing=
for package in $wanted; do
	case $present in
	*" installed=$package "*) ;;
	*)
		case " $missing " in
		*" $package "*) ;;
		*) missing="$missing $package" ;;
		esac
		;;
	esac
done
[ -z "$missing" ] && exit 0

fail() {
	echo "deps.sh: $1" >&2
	[ -n "$optional" ] && exit 0
	exit 1
}

if [ "$(id -u)" != 0 ]; then
	fail "for '$groups' this is missing; as root run:
  apt-get install -y --no-install-recommends$missing"
fi

echo "Installing with apt-get (once):$missing"
export DEBIAN_FRONTEND=noninteractive
log=$(mktemp) || exit 1
trap 'rm -f "$log"' EXIT
# Package lists may be absent or old; a first try without apt-get update saves its time.
# shellcheck disable=SC2086
if ! apt-get install -qq -y --no-install-recommends $missing </dev/null >"$log" 2>&1; then
	echo "Refreshing apt's package lists ..."
	apt-get update -qq </dev/null >"$log" 2>&1
	if ! apt-get install -qq -y --no-install-recommends $missing </dev/null >>"$log" 2>&1; then
		tail -n 20 "$log" >&2
		fail "apt-get could not install:$missing"
	fi
fi
