#!/bin/bash
# top.sh [SECONDS]: a table of all machines: state, memory, CPU time used, processes; with SECONDS
# again and again.
set -u
case ${1-} in
-* | *[!0-9.]* | *.*.* | .)
	echo "usage: top.sh [SECONDS]" >&2
	exit 2
	;;
esac
cd "${MACHINES:=/run/machines}" 2>/dev/null && [ -e version ] ||
	{ echo "top.sh: no machinefs on $MACHINES" >&2; exit 1; }

table() {
	local m
	for m in vm/* container/*; do
		[ -e "$m/state" ] || continue
		# The machine may be removed while it is read: then its line stays away.
		{
			read -r state <"$m/state" && read -r memory <"$m/memory.current" &&
				read -r pids <"$m/pids.current" &&
				usec=$(sed -n 's/^usage_usec //p' "$m/cpu.stat") &&
				printf '%s %s %s %s %s\n' "$m" "$state" "$memory" "${usec:-0}" "$pids"
		} 2>/dev/null
	done | awk '
		BEGIN { printf "%-32s %-9s %10s %10s %6s\n", "MACHINE", "STATE", "MEMORY", "CPU", "PIDS" }
		{ printf "%-32s %-9s %8.1f M %8.2f s %6s\n", $1, $2, $3 / 1048576, $4 / 1e6, $5 }'
}

table
while [ -n "${1-}" ]; do
	sleep "$1"
	echo
	table
done
