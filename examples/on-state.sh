#!/bin/bash
# on-state.sh MACHINE COMMAND [WORD...]: runs the command whenever the machine (vm/web) comes into
# another state, with that state as its last word: on-state.sh vm/web logger -t web. It may miss a
# state that is over at once, but never the last one. Ends when the machine is removed or renamed.
# Needs inotifywait (Debian: inotify-tools).
set -u
if [ $# -lt 2 ]; then
	echo "usage: on-state.sh MACHINE COMMAND [WORD...]" >&2
	exit 2
fi
machine=$1
shift
cd "${MACHINES:=/run/machines}" 2>/dev/null && [ -e version ] ||
	{ echo "on-state.sh: no machinefs on $MACHINES" >&2; exit 1; }
command -v inotifywait >/dev/null || { echo "on-state.sh: needs inotifywait" >&2; exit 1; }
[ -d "$machine" ] || { echo "on-state.sh: there is no $machine" >&2; exit 1; }

# What is read first may have changed before the watches were there; so they come first.
coproc WATCH { exec inotifywait -m -e modify,delete,moved_from --format '%e %w%f' \
	"$machine/state" "${machine%/*}" 2>&1; }
while read -r line <&"${WATCH[0]}" && [ "$line" != "Watches established." ]; do :; done
last=
while :; do
	state=$(cat "$machine/state" 2>/dev/null) || break
	if [ "$state" != "$last" ]; then
		last=$state
		"$@" "$state"
	fi
	until read -r event name <&"${WATCH[0]}" || break 2; [ "$event" = MODIFY ]; do
		[ "$name" != "$machine" ] || break 2
	done
done
kill "$WATCH_PID" 2>/dev/null
exit 0
