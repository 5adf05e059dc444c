#!/bin/bash
# The daemon is killed at one chosen moment, at which what it has begun is only half done.
# timeout: 240
. tests/lib.sh
. tests/machines.sh
need_root
need_command inotifywait
failcall=$B/tests/fault/failcall
[ -x "$failcall" ] || skip_all "$failcall is not built"

# --- at the end of an ephemeral machine: it goes with the next daemon
gone() {
	[ ! -e "$M/container/e" ] && [ ! -e "$STATE_DIR/container/e" ]
}
# killed_at PATH CALL AFTER: under a daemon that is killed there the machine is started, and ends.
killed_at() {
	local failcall_pid
	rm -f "$T/report"
	MACHINEFS_UNDER=("$failcall" -o -p "$1" -r "$T/report" "$2" KILL "$3")
	machinefs_start
	MACHINEFS_UNDER=()
	failcall_pid=$MACHINEFS_PID
	put "$M/container/e/ctl" start
	poll 20 pid_gone "$failcall_pid" # which stays until nobody of them is left
	wait "$failcall_pid"
	MACHINEFS_PID=
	umount -l "$M"
	[ "$(cut -d' ' -f2 "$T/report")" = 1 ]
}
for moment in mark socket; do
	machinefs_start
	container_new e /bin/sh -c "'exit 7'"
	put "$M/container/e/ephemeral" 1
	uuid=$(cat "$M/container/e/uuid")
	machinefs_stop
	case $moment in
	mark) ok "killed when it is to be marked" killed_at ephemeral openat 0 ;;
	# The first are those of the daemon's start and of the machine's.
	socket) ok "killed when its socket is to go" killed_at "$uuid" unlinkat 2 ;;
	esac
	ok "$moment: it is there still" test -d "$STATE_DIR/container/e"
	machinefs_start
	soon "$moment: the next daemon removes it" 10 gone
	like "$moment: having told how it ended" "$(grep e.state "$M/events" | tail -n 1)" 'container/e state stopped exited 7'
	is "$moment: no file is left of it" "$(find "$RUN_DIR" -name "$uuid*")" ''
	machinefs_stop
done

# --- while its poker is inside a request, which another daemon then answers
daemon_pid() {
	pgrep -o -f "^machinefs --kept .*--run-dir $RUN_DIR "
}
poker_of() { # DAEMON
	pgrep -P "$1" -f '^machinefs-poker'
}
stopped() { # PID...
	local pid
	for pid; do grep -q '^State:.*stopped' "/proc/$pid/status" || return 1; done
}
inside() {
	grep -q request_wait "/proc/$poker/wchan"
}
another() {
	local now
	now=$(daemon_pid) && [ "$now" != "$daemon" ] && cat "$M/version"
}
told() { # it has been sent something to do
	[ "$(ss -xH -p 2>/dev/null | awk -v pid="pid=$poker," 'index($0, pid) && $3 > 0' | wc -l)" -gt 0 ]
}
# The poker is stopped already, and has something to do: it does it while the daemon cannot answer,
# and dies.
kill_meanwhile() {
	soon "$1: the poker has something to do" 5 told
	kill -STOP "$daemon"
	poll 5 stopped "$daemon"
	kill -CONT "$poker"
	soon "$1: it is inside a request" 5 inside
	kill -KILL "$daemon"
	soon "$1: there is another daemon" 10 another
	soon "$1: the poker of the one before ends" 10 pid_gone "$poker"
	daemon=$(daemon_pid)
}
hold_poker() { # which has nothing to do: what it was sent before is done
	poker=$(poker_of "$daemon")
	poll 5 eval '! told'
	sleep 0.5
	kill -STOP "$poker"
	poll 5 stopped "$poker"
}
"$MACHINEFS" --state-dir "$STATE_DIR" --run-dir "$RUN_DIR" "$M" </dev/null
poll 10 cat "$M/version"
daemon=$(daemon_pid)
c=$M/container/c e=$M/container/e
container_new c /bin/sleep 1000
put "$c/ctl" start
inotifywait -q -m -e modify --format %e "$c/state" >"$T/modified" 2>&1 &
watcher=$!
poll 10 eval 'put "$c/ctl" pause; put "$c/ctl" resume; test -s "$T/modified"'
seen() {
	[ "$(wc -l <"$T/modified")" -gt "$before" ]
}
hold_poker
before=$(wc -l <"$T/modified")
put "$c/ctl" pause
kill_meanwhile touch
soon "touch: who watches sees the change" 5 seen
is "the change is so" "$(cat "$c/state")" paused
before=$(wc -l <"$T/modified")
put "$c/ctl" resume
soon "and the next, by the next daemon's poker" 5 seen
kill "$watcher"
wait "$watcher" 2>/dev/null

container_new e /bin/true
put "$e/ephemeral" 1
exec 3<"$e/exit" # which holds it
put "$e/ctl" start
await "$e" stopped
hold_poker
exec 3<&-
kill_meanwhile rmdir
soon "rmdir: the machine goes" 10 gone
is "nothing is left" "$(ls "$M/container")" c
put "$c/ctl" kill
await "$c" stopped
put "$M/ctl" shutdown
poll 10 pid_gone "$daemon"
done_testing
