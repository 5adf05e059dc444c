#!/bin/bash
# A monitor that serves one machine after the other goes into others' namespaces and back: whichever of
# these moves fails, the next machine is in none but its own. In a network namespace of its own.
# timeout: 300
if [ "$(id -u)" = 0 ] && [ -z "${OWN_NET-}" ]; then
	OWN_NET=1 exec unshare --net "$BASH" "$0" "$@"
fi
. tests/lib.sh
. tests/machines.sh
need_root
need_command ip
failcall=$B/tests/fault/failcall
[ -x "$failcall" ] || skip_all "$failcall is not built"
ip link set lo up

waiting() { pgrep -P "$daemon" -f "machinefs-monitor --spare container"; }
# A start whose own call it was says so, and can be done again.
start() {
	put "$M/container/$1/ctl" start && return
	grep -q 'EPERM namespaces: net: ' "$M/container/$1/error" && put "$M/container/$1/ctl" start
}
live() { start "$1" && await "$M/container/$1" stopped && cat "$M/container/$1/exit"; }
net() { readlink "/proc/$1/ns/net"; }

# round AFTER: so many calls of setns go through, the next one fails. Prints what is wrong after it.
round() {
	local pid c monitor
	MACHINEFS_UNDER=("$failcall" -r "$T/report" setns EPERM "$1")
	machinefs_start
	daemon=$(pgrep -P "$MACHINEFS_PID" -x machinefs)
	mkdir "$M/net/lan"
	container_new short /bin/true
	container_new long /bin/sleep 1000
	container_new pod /bin/sleep 1000
	live short >/dev/null
	poll 2 waiting >/dev/null
	put "$M/container/long/ctl" start
	mkdir "$M/container/long/nic/eth0"
	put "$M/container/long/nic/eth0/net" lan
	put "$M/container/pod/namespaces.join" pid long net long
	put "$M/container/pod/ctl" start
	put "$M/container/pod/ctl" kill
	await "$M/container/pod" stopped
	put "$M/container/pod/namespaces.join" pid default net default
	start pod # which takes what has come back: the next to come back is waited for
	put "$M/container/long/ctl" kill
	await "$M/container/long" stopped
	rmdir "$M/container/long/nic/eth0"
	for c in 1 2; do
		[ "$(live short)" = "exited 0" ] || echo "life $c: $(cat "$M/container/short/error")"
	done
	start long || echo "no start: $(cat "$M/container/long/error")"
	pid=$(cat "$M/container/long/pid")
	[ "$(net "$pid")" != "$(net self)" ] || echo "the container is in the host's network"
	[ "$(nsenter -n -t "$pid" ip -br link | awk '{ print $1 }' | xargs)" = lo ] ||
		echo "its network is another's: $(nsenter -n -t "$pid" ip -br link)"
	[ "$(grep NSpid "/proc/$pid/status" | wc -w)" = 3 ] || echo "it is not born among the host's"
	for monitor in $(pgrep -f "^machinefs-monitor --monitor "); do
		[ "$(net "$monitor")" = "$(net self)" ] || echo "a monitor is in $(net "$monitor")"
	done
	for c in long pod; do
		put "$M/container/$c/ctl" kill
		await "$M/container/$c" stopped
	done
	rmdir "$M"/container/* "$M/net/lan"
	kill -TERM "$daemon"
	wait "$MACHINEFS_PID"
	MACHINEFS_PID=
}

for ((after = 0; after < 60; after++)); do
	wrong=$(round $after 2>/dev/null)
	failed=$(cut -d' ' -f2 "$T/report")
	[ "$failed" = 1 ] || break
	is "setns $((after + 1)) fails" "$wrong" ""
done
ok "all of them were tried: $after" test "$after" -gt 4 -a "$after" -lt 60
done_testing
