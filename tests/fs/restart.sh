#!/bin/bash
# restart: a machine that ended is started again, with back-off and a limit; what was stopped is not.
# timeout: 240
# What ls, cat and words do is what is tried here.
# shellcheck disable=SC2002
. tests/lib.sh
. tests/machines.sh
need_root
machinefs_start

events() { # of $c since line $1, without SEQ, TIME and OBJECT
	tail -n +"$1" "$c/events" | cut -d ' ' -f 4-
}

lines() {
	wc -l <"$c/events"
}

event_is() { # the last one
	[ "$(tail -n 1 "$c/events" | cut -d ' ' -f 4-)" = "$1" ]
}

# --- on failure, with back-off and a limit
container_new c /bin/sh -c "'exit 3'"
c=$M/container/c
is "never, by default" "$(cat "$c/restart" "$c/restart.delay" "$c/restart.max" | xargs)" "never 1 max"
put "$c/ctl" start
await "$c" stopped
unlike "means: stopped is stopped" "$(cat "$c/events")" restart
put "$c/restart" on-failure
put "$c/restart.max" 2
sleep 1.2
is "the setting itself starts nothing" "$(cat "$c/state")" stopped
from=$(($(lines) + 1))
start=$EPOCHREALTIME
put "$c/ctl" start
soon "a container that exits with 3 is started again, twice" 10 event_is 'restart given up after 2'
took=$(awk -v a="$start" -v b="$EPOCHREALTIME" 'BEGIN { print b - a }')
is "as events tells" "$(events "$from")" "state starting
state running
state stopped exited 3
restart in 1 s, 1 of 2
state starting
state running
state stopped exited 3
restart in 2 s, 2 of 2
state starting
state running
state stopped exited 3
restart given up after 2"
ok "after one second, then two: $took" awk -v t="$took" 'BEGIN { exit t <= 3 }'
is "then it stays stopped" "$(cat "$c/state" "$c/exit" | xargs)" "stopped exited 3"
put "$c/init" /bin/true
from=$(($(lines) + 1))
put "$c/ctl" start
await "$c" stopped
sleep 1.2
is "exit 0 is no failure" "$(events "$from" | tail -n 1)" "state stopped exited 0"
put "$c/restart" always
put "$c/ctl" start
soon "always is always" 5 eval '[ "$(grep -c "state running" "$c/events")" -ge 7 ]'

# --- called off
put "$c/ctl" stop 2>/dev/null
await "$c" stopped
put "$c/init" /bin/sh -c "'exit 1'"
put "$c/restart.delay" 30
put "$c/restart.max" max
for how in stop kill 'restart never' 'restart.max 1' rmdir; do
	put "$c/restart" always
	put "$c/restart.max" max
	from=$(($(lines) + 1))
	put "$c/ctl" start
	soon "$how: it waits" 5 event_is 'restart in 30 s, 1 of max'
	is "$how: is stopped" "$(cat "$c/state")" stopped
	is "$how: ctl says what can be done" "$(xargs <"$c/ctl")" "start prepare stop kill"
	bash -c 'echo running 20 >"$1"; echo $? >"$2"' - "$c/wait" "$T/waited" 2>/dev/null &
	soon "$how: a wait for running is not in vain" 5 eval "[ \$(value '$M/stat' waiting) = 1 ]"
	case $how in
	stop | kill) ok "$how calls it off" put "$c/ctl" "$how" ;;
	'restart.max 1')
		put "$c/restart.max" 1
		ok "the limit is not reached yet" event_is 'restart in 30 s, 1 of max'
		put "$c/restart" on-failure
		put "$c/restart" never
		;;
	rmdir) ok "rmdir works" rmdir "$c" ;;
	*) ok "$how calls it off" put "$c/${how% *}" "${how#* }" ;;
	esac
	[ "$how" = rmdir ] || ok "$how: events says so" event_is 'restart called off'
	soon "$how: and the wait ends" 5 test -s "$T/waited"
	is "$how: with an error" "$(cat "$T/waited")" 1
	rm "$T/waited"
	wait %% 2>/dev/null
	[ "$how" = rmdir ] || is "$how: ctl is as ever" "$(xargs <"$c/ctl")" "start prepare"
done
is "and leaves nothing" "$(find "$RUN_DIR" -name '*.restart')" ''

# --- what was stopped stays stopped
container_new c /bin/sh -c "'trap \"exit 5\" TERM; echo ready; while :; do sleep 0.05; done'"
put "$c/restart" always
readies() {
	grep -c ready "$c/console"
}
runs() { # it runs, once more than so many times, and listens
	[ "$(readies)" -gt "$1" ] && state_is "$c" running
}
start() {
	local before
	before=$(readies)
	put "$c/ctl" start
	poll 5 runs "$before"
}
die() {
	before=$(readies)
	kill -KILL "$(cat "$c/pid")"
}
for how in 'stop 5' kill; do
	start
	put "$c/ctl" "$how"
	await "$c" stopped
	sleep 1.3
	unlike "$how: it stays down" "$(tail -n 1 "$c/events")" restart
	is "$how: it is down" "$(cat "$c/state")" stopped
done
start
before=$(readies)
put "$c/ctl" signal TERM
soon "a signal is no stop" 5 event_is 'restart in 1 s, 1 of max'
poll 5 runs "$before"
die
soon "nor is another's kill" 5 event_is 'restart in 2 s, 2 of max'
start
is "a start by hand takes its place" "$(cat "$c/state")" running
die
soon "and begins the count anew" 5 event_is 'restart in 1 s, 1 of max'
poll 5 runs "$before"

# --- a start of its own that is refused
mv "$T/root" "$T/away"
die
soon "it is tried again" 10 event_is 'restart in 4 s, 3 of max'
like "a refusal is an event" "$(tail -n 2 "$c/events" | head -n 1)" "refused ENOENT root: $T/root"
like "and in error" "$(cat "$c/error")" "^ENOENT root: $T/root"
like "and in the log" "$(cat "$T/machinefs.log")" "container/c: not started: root: $T/root"
mv "$T/away" "$T/root"
put "$c/init" /bin/nosuch
soon "a refusal of the monitor's as well" 10 event_is 'restart in 8 s, 4 of max'
like "is an event" "$(tail -n 3 "$c/events")" "refused ENOENT init: "
put "$c/ctl" stop
is "called off" "$(tail -n 1 "$c/events" | cut -d ' ' -f 4-)" "restart called off"
refused "a refused start by hand is not tried again" ENOENT 'init: ' "$c" put "$c/ctl" start
unlike "it is the user's" "$(tail -n 1 "$c/events")" restart
put "$c/init" /bin/sh -c "'trap \"exit 5\" TERM; echo ready; while :; do sleep 0.05; done'"

# --- the daemon comes and goes
start
machinefs_kill9
machinefs_start
die
soon "a later daemon restarts what an earlier one started" 5 runs "$before"
pid=$(cat "$c/pid") before=$(readies)
machinefs_kill9
kill -KILL "$pid"
poll 5 pid_gone "$pid"
machinefs_start
is "what ended while there was no daemon is an event, and restarted" "$(tail -n 2 "$c/events" | cut -d ' ' -f 4-)" \
	"state stopped signaled 9
restart in 2 s, 2 of max"
machinefs_kill9
machinefs_start
is "so is what waited when the daemon was killed" "$(tail -n 2 "$c/events" | cut -d ' ' -f 4- | uniq -c | xargs)" "2 restart in 2 s, 2 of max"
soon "in its time" 5 runs "$before"
sleep 2.2
is "once" "$(readies)" $((before + 1))
put "$c/ctl" stop 1
machinefs_kill9
machinefs_start
await "$c" stopped
sleep 1.2
is "what was stopped is stopped for the next daemon" "$(cat "$c/state")" stopped
start
pid=$(cat "$c/pid")
put "$c/ctl" stop 5
machinefs_kill9
poll 5 pid_gone "$pid"
machinefs_start
sleep 1.3
is "also when it ended without one" "$(cat "$c/state") $(tail -n 1 "$c/events" | cut -d ' ' -f 4-)" \
	"stopped state stopped exited 5"
start
machinefs_stop
machinefs_start
is "a daemon that is restarted leaves it running" "$(cat "$c/state") $(tail -n 1 "$c/events" | cut -d ' ' -f 4-)" "running state running"
put "$M/ctl" shutdown
soon "shutdown ends it" 15 pid_gone "$MACHINEFS_PID"
machinefs_start
sleep 1.3
is "for ever" "$(cat "$c/state")" stopped

# --- a thread's machine ends with its daemon
put "$c/isolation" thread
put "$c/ctl" start
machinefs_stop
machinefs_start
soon "a machine on a thread comes back with the daemon" 5 state_is "$c" running
put "$c/ctl" kill
await "$c" stopped
done_testing
