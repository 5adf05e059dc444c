#!/bin/bash
# watch-events.sh [MACHINE]: prints what happens, as it happens, with the time of day; of all
# machines or of one (vm/web). Ends with the machine, or by Ctrl-C.
set -u
if [ $# -gt 1 ]; then
	echo "usage: watch-events.sh [MACHINE]" >&2
	exit 2
fi
log=${MACHINES:=/run/machines}/${1:+$1/}events
[ -r "$log" ] || { echo "watch-events.sh: cannot read $log" >&2; exit 1; }
tail -n +1 -f "$log" | while read -r _ time object what; do
	printf '%(%T)T.%.3s %s %s\n' "${time%.*}" "${time#*.}" "$object" "$what"
done
