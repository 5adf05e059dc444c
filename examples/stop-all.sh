#!/bin/bash
# stop-all.sh [SECONDS]: asks all running machines to end, waits until they have, and has those
# killed that take longer than SECONDS (10). machinefs itself goes on.
set -u
seconds=${1-10}
case $seconds in
'' | *[!0-9]*)
	echo "usage: stop-all.sh [SECONDS]" >&2
	exit 2
	;;
esac
cd "${MACHINES:=/run/machines}" 2>/dev/null && [ -e version ] ||
	{ echo "stop-all.sh: no machinefs on $MACHINES" >&2; exit 1; }

# All are asked first, then waited for: they end side by side.
asked=()
for m in vm/* container/*; do
	[ -e "$m/ctl" ] || continue
	grep -qx -e stopped -e failed "$m/state" && continue
	echo "stop $seconds" 2>/dev/null >"$m/ctl" || sed "s|^|$m: |" "$m/error" >&2
	asked+=("$m")
done
status=0
for m in ${asked[@]+"${asked[@]}"}; do
	echo "stopped $((seconds + 10))" 2>/dev/null >"$m/wait" || status=1
	echo "$m: $(cat "$m/state"), $(cat "$m/exit")"
done
exit $status
