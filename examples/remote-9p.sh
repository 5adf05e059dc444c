#!/bin/bash
# remote-9p.sh [USER@]HOST [MOUNTPOINT]: mounts the machines of HOST here, by 9P. The protocol goes
# through ssh's own connection: no port is opened on either side, and who may log in by ssh is who
# may mount. `umount MOUNTPOINT` ends all of it. Needs root here, root and diod on HOST.
# REMOTE=DIR: where the machines are on HOST.
set -u
if [ $# -lt 1 ] || [ $# -gt 2 ] || [[ $1 == -* ]]; then
	echo "usage: remote-9p.sh [USER@]HOST [MOUNTPOINT]   (/mnt/machines)" >&2
	exit 2
fi
host=$1 dir=${2:-/mnt/machines} remote=${REMOTE:-/run/machines}
log=$(mktemp) || exit 1
trap 'rm -f "$log"' EXIT
mkdir -p "$dir" || exit 1

# diod serves this one connection, on its standard input and output, and ends with it.
diod="diod --foreground --no-auth --no-userdb --config-file=/dev/null --logdest=stderr \
	--export=$(printf %q "$remote") --rfdno=0 --wfdno=1"
coproc SSH {
	trap '' HUP
	exec ssh -o ServerAliveInterval=15 "$host" "exec $diod" 2>"$log"
}
if ! mount -t 9p -o "trans=fd,rfdno=0,wfdno=1,version=9p2000.L,aname=$remote" \
	-o cache=none,uname=root,access=user "$host" "$dir" \
	<&"${SSH[0]}" >&"${SSH[1]}" 2>>"$log"; then
	sed 's/^/remote-9p.sh: /' "$log" >&2
	exit 1
fi
