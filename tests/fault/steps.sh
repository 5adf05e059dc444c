#!/bin/bash
# kill -9 of a container's monitor, or of the daemon, at every step of its start and of its end: the
# machine ends or goes on as it is said to, can be removed, and nothing of it is left: no mount, control
# group, network interface, loop device or process. In a network namespace of its own.
# timeout: 600
if [ "$(id -u)" = 0 ] && [ -z "${OWN_NET-}" ]; then
	OWN_NET=1 exec unshare --net "$BASH" "$0" "$@"
fi
. tests/lib.sh
need_root
need_command ip losetup mkfs.ext4
need_overlay
need_loop
ip link set lo up
root=$(busybox_root)
mkdir "$T/data"
mkfifo "$T/never"
exec 9<>"$T/never"
machinefs_start
mkdir "$M/net/lan"
put "$M/net/lan/ctl" start 2>/dev/null
c=$M/container/c

new() {
	mkdir "$c" && put "$c/root" "$root" && put "$c/root.writable" overlay &&
		put "$c/quota" bytes=8M && put "$c/init" sh -c "'trap \"exit 0\" TERM; echo up; sleep 1000 & wait'" && mkdir "$c/mount/d" &&
		put "$c/mount/d/source" "$T/data" && put "$c/mount/d/target" /data &&
		mkdir "$c/nic/eth0" && put "$c/nic/eth0/net" lan && uuid=$(cat "$c/uuid")
}

things() { # what there is that a container might leave
	grep -c . /proc/self/mountinfo
	losetup -n -O BACK-FILE | grep "$STATE_DIR"
	ip -o link | sed 's/^[0-9]*: \([^:@]*\).*/\1/'
	find /sys/fs/cgroup -type d -name "container-$uuid" 2>/dev/null
	grep -l "container-$uuid" /proc/[0-9]*/cgroup 2>/dev/null
	find "$RUN_DIR" -name "$uuid*"
}

settled() {
	[[ $(cat "$c/state") =~ ^(stopped|failed|running)$ ]]
}

ended() {
	[[ $(cat "$c/state") =~ ^(stopped|failed)$ ]]
}

true_to_itself() {
	ended || kill -0 "$(cat "$c/pid")"
}

gone() { # the machine can be removed, and what there is is what there was
	[ ! -d "$c" ] || rmdir "$c" || return 1
	things >"$T/now"
	cmp -s "$T/before" "$T/now"
}

monitors() {
	pgrep -f '^machinefs-monitor.* container/c'
}

# Until it heeds the signal of stop, which process 1 need not.
start() {
	put "$c/ctl" start && poll 10 grep -q up "$c/console"
}

# round WHO WHAT MICROSECONDS: prints what is wrong. WHO is killed so long after WHAT has begun.
round() {
	local verb=$2 pid
	new || { echo "cannot be made"; return; }
	if [ "$verb" != start ]; then
		start || { echo "does not start"; return; }
	fi
	put "$c/ctl" "$verb" 2>/dev/null &
	pid=$!
	read -r -t "$(printf '%d.%06d' $(($3 / 1000000)) $(($3 % 1000000)))" -u 9
	if [ "$1" = daemon ]; then
		machinefs_kill9
		wait $pid
		machinefs_start
	else
		for monitor in $(monitors); do
			kill -KILL "$monitor" 2>/dev/null
		done
		wait $pid
	fi
	poll 20 settled || { echo "stays $(cat "$c/state")"; return; }
	seen[$(cat "$c/state")]=1
	if state_is "$c" running; then
		# It goes on, or is about to end as it was told, or by its monitor's death.
		poll 10 true_to_itself || { echo "runs without init"; return; }
		put "$c/ctl" kill 2>/dev/null
		poll 20 ended || { echo "cannot be killed: $(cat "$c/error")"; return; }
	fi
	poll 20 gone || { echo "left: $(diff "$T/before" "$T/now" | xargs) $(rmdir "$c" 2>&1)"; return; }
}

# Once in peace, for what there is before, the switch's bridge, its own loop devices; and for how long
# each takes from its beginning to its end.
declare -A takes=()
measure() { # VERB
	local then=${EPOCHREALTIME/./}
	put "$c/ctl" "$1" && { [ "$1" = start ] || await "$c" stopped; }
	takes[$1]=$((${EPOCHREALTIME/./} - then))
}
new && measure start && poll 10 grep -q up "$c/console" && measure stop
rmdir "$c"
new && start && measure kill
rmdir "$c"
things >"$T/before"
for who in monitor daemon; do
	for verb in start kill stop; do
		declare -A seen=()
		wrong=
		for ((step = 0; step <= ${STEPS:=20}; step++)); do # to a bit beyond the end
			after=$((takes[$verb] * step * 6 / 5 / STEPS))
			round $who $verb "$after" >"$T/said" # no subshell: it changes MACHINEFS_PID
			said=$(cat "$T/said")
			[ -z "$said" ] || wrong+=$'\n'"after $after us of ${takes[$verb]}: $said"
			[ ! -d "$c" ] || { put "$c/ctl" kill; await "$c" stopped 10; rmdir "$c"; } 2>/dev/null
		done
		is "$who killed during $verb" "$wrong" ''
		diag "of ${takes[$verb]} us, $STEPS moments; it was then ${!seen[*]}"
	done
done
rmdir "$M/net/lan"
done_testing
