#!/bin/bash
# run-once.sh ROOT COMMAND [ARG...]: runs a command in a container of its own, whose root is the
# directory ROOT; prints what it prints, ends with its status, leaves nothing (as docker run --rm).
set -u
m=${MACHINES:=/run/machines}/container/run-once-$$
if [ $# -lt 2 ] || [ ! -d "$1" ]; then
	echo "usage: run-once.sh ROOT COMMAND [ARG...]   (ROOT is a directory)" >&2
	exit 2
fi
[ -e "$MACHINES/version" ] || { echo "run-once.sh: no machinefs on $MACHINES" >&2; exit 125; }

# Tells why the last write was refused, and ends.
refused() {
	sed 's/^/run-once.sh: /' "$m/error" >&2
	exit 125
}

# One shell-quoted line for the file init; one string, since each write(2) is a whole value.
quoted() {
	local word line=
	for word; do
		line+="'${word//\'/\'\\\'\'}' "
	done
	echo "$line"
}

finish() {
	[ ! -d "$m" ] || rmdir "$m" 2>/dev/null ||
		{ echo kill >"$m/ctl" && echo stopped 10 >"$m/wait" && rmdir "$m"; }
}

root=$(cd "$1" && pwd) || exit 125
shift
mkdir "$m" || { cat "$MACHINES/error" >&2; exit 125; }
trap finish EXIT
trap 'exit 130' INT TERM HUP
{ echo "$root" >"$m/root" && quoted "$@" >"$m/init" && echo start >"$m/ctl"; } 2>/dev/null || refused
# tail ends when this background wait does, having printed all.
echo stopped >"$m/wait" 2>/dev/null &
tail -n +1 -f -s 0.1 --pid=$! "$m/console" 2>/dev/null | sed -u 's/\r$//'
read -r how code <"$m/exit"
case $how in
exited) exit "$code" ;;
signaled) exit $((128 + code)) ;;
*) refused ;;
esac
