#!/bin/bash
# Nothing is lost: the daemon and the monitors killed with -9, between any two steps and on the way.
# What ls, cat and words do is what is tried here.
# shellcheck disable=SC2010,SC2086
. tests/lib.sh
. tests/machines.sh
need_root
machinefs_start
c=$M/container/c v=$M/vm/v

again() { # the daemon dies and the next one comes
	machinefs_kill9
	machinefs_start
}

groups_of() { # control groups of a machine
	find /sys/fs/cgroup -type d -name "*-$1" 2>/dev/null
}

# --- between any two steps
step() { # NAME COMMAND...
	ok "$1" "${@:2}"
	again
}
busybox_root >/dev/null
step "mkdir" mkdir "$c"
is "is kept" "$(cat "$c/state")" stopped
uuid=$(cat "$c/uuid") created=$(cat "$c/created")
step "a setting" put "$c/root" "$T/root"
step "another" put "$c/init" /bin/sh -c "'i=0; while :; do i=\$((i+1)); echo line \$i; sleep 0.05; done'"
step "a keyed one" put "$c/label" 'owner alice'
step "a limit" put "$c/memory.size" 64M
step "a mode" chmod 600 "$c/label"
is "all are kept" "$(cat "$c/root" "$c/label" "$c/memory.size" "$c/uuid" "$c/created" | xargs) $(stat -c %a "$c/label")" \
	"$T/root owner alice 67108864 $uuid $created 600"
put "$c/hostname" 'a b' 2>/dev/null
again
is "refused ones are not" "$(cat "$c/hostname")" ''
step "start" put "$c/ctl" start
is "it runs" "$(cat "$c/state")" running
pid=$(cat "$c/pid")
again
is "still, the same process" "$(cat "$c/state") $(cat "$c/pid")" "running $pid"
size=$(stat -c %s "$c/console")
machinefs_kill9
sleep 0.3
machinefs_start
ok "its console went on without a daemon" test "$(stat -c %s "$c/console")" -gt "$size"
ok "without a word lost" awk '$2 != NR { exit 1 }' "$c/console"
grows() { [ "$(stat -c %s "$c/console")" -gt "$size" ]; }
size=$(stat -c %s "$c/console")
soon "and goes on" 5 grows
ok "its counters are there" test "$(value "$c/stat" console.bytes)" -gt 0
ok "and its usage" test "$(cat "$c/memory.current")" -gt 0
ok "a limit still applies" put "$c/memory.size" 50M
is "at once" "$(cat /sys/fs/cgroup/machinefs/*-"$uuid"/memory.max /sys/fs/cgroup/*/machinefs/*-"$uuid"/memory.limit_in_bytes 2>/dev/null | head -n 1)" 52428800
step "pause" put "$c/ctl" pause
is "is kept" "$(cat "$c/state") $(cat "$c/pid")" "paused $pid"
size=$(stat -c %s "$c/console")
sleep 0.2
is "nothing of it runs" "$(stat -c %s "$c/console")" "$size"
step "mv of it" mv "$c" "$M/container/d"
is "is kept" "$(cat "$M/container/d/state")" paused
step "mv back" mv "$M/container/d" "$c"
step "resume" put "$c/ctl" resume
is "is kept" "$(cat "$c/state")" running
step "rmdir is refused still" eval '! rmdir "$c" 2>/dev/null'
step "stop" put "$c/ctl" stop 1
await "$c" stopped 10
is "it ends" "$(cat "$c/state")" stopped
like "with its exit" "$(cat "$c/exit")" '^(signaled|exited) '
exit=$(cat "$c/exit")
again
is "which is kept" "$(cat "$c/exit") $(cat "$c/state")" "$exit stopped"
is "no control group is left" "$(groups_of "$uuid")" ''
step "rmdir" rmdir "$c"
not_ok "is kept" test -e "$c"

# --- an end without a daemon
container_new e /bin/sh -c "'sleep 0.5; exit 7'"
e=$M/container/e
put "$e/ctl" start
machinefs_kill9
sleep 1
machinefs_start
is "a machine that ended without a daemon" "$(cat "$e/state") $(cat "$e/exit")" "stopped exited 7"
is "leaves no control group" "$(groups_of "$(cat "$e/uuid")")" ''
ok "and starts again" put "$e/ctl" start
await "$e" stopped 5

# --- a monitor that is killed
monitor_of() { # of a container: the parent of its init
	awk '{ print $4 }' "/proc/$(cat "$1/pid")/stat"
}
container_new m /bin/sh -c "'sleep 1000 & sleep 1000'"
m=$M/container/m
put "$m/ctl" start
pid=$(cat "$m/pid")
bash -c 'echo stopped 20 >"$1"; echo $? >"$2"' - "$m/wait" "$T/waited" 2>/dev/null &
sleep 0.2
kill -KILL "$(monitor_of "$m")"
soon "state is failed at once" 1 state_is "$m" failed
like "exit says so" "$(cat "$m/exit")" '^failed: its monitor was killed by signal 9$'
like "error says so" "$(cat "$m/error")" '^EIO .*its monitor was killed by signal 9'
soon "its waiter returns" 2 test -s "$T/waited"
isnt_zero() { [ "$(cat "$T/waited")" != 0 ]; }
ok "with an error" isnt_zero
soon "no process is left" 2 pid_gone "$pid"
soon "no control group" 2 eval '[ -z "$(groups_of "$(cat "$m/uuid")")" ]'
is "no mount" "$(grep -c "$T/root" /proc/self/mounts)" 0
is "no socket" "$(ls "$RUN_DIR" | grep -c "$(cat "$m/uuid")")" 0
again
is "the next daemon says the same" "$(cat "$m/state") $(cat "$m/exit")" "failed failed: its monitor was killed by signal 9"
ok "it starts again" put "$m/ctl" start
is "which clears error" "$(cat "$m/error")" ''

# --- both
pid=$(cat "$m/pid") monitor=$(monitor_of "$m")
kill -KILL "$MACHINEFS_PID" "$monitor"
machinefs_kill9
machinefs_start
soon "both killed: failed" 2 state_is "$m" failed # not before its process has given up its socket
like "exit says so" "$(cat "$m/exit")" '^failed: '
soon "no process is left" 2 pid_gone "$pid"
soon "no control group" 2 eval '[ -z "$(groups_of "$(cat "$m/uuid")")" ]'
put "$m/ctl" start
put "$m/ctl" pause
monitor=$(monitor_of "$m") pid=$(cat "$m/pid")
kill -KILL "$monitor"
soon "the monitor of a paused one killed: failed" 3 state_is "$m" failed
soon "no process is left" 3 pid_gone "$pid"

# --- a start that is refused is no run
container_new r /bin/sh -c "'exit 3'"
r=$M/container/r
put "$r/ctl" start
await "$r" stopped 5
put "$r/init" /bin/nosuch
put "$r/ctl" start 2>/dev/null
is "after a refused start: as before" "$(cat "$r/state") $(cat "$r/exit")" "stopped exited 3"
again
is "also for the next daemon" "$(cat "$r/state") $(cat "$r/exit")" "stopped exited 3"
mkdir "$M/container/new"
put "$M/container/new/root" "$T/root"
put "$M/container/new/init" /bin/nosuch
put "$M/container/new/ctl" start 2>/dev/null
again
is "and where there was no run before" "$(cat "$M/container/new/state") $(cat "$M/container/new/exit")" "stopped "

# --- killed while a start is on its way
container_new s /bin/sleep 1000
s=$M/container/s
wrong=''
for i in {0..14}; do
	bash -c 'echo start >"$1" && echo done >"$2"' - "$s/ctl" "$T/acknowledged" 2>/dev/null &
	sleep "$(awk -v i=$i 'BEGIN { print i * 0.003 }')"
	machinefs_kill9
	wait %% 2>/dev/null
	sleep 0.05
	machinefs_start
	state=$(cat "$s/state")
	[ ! -e "$T/acknowledged" ] || [ "$state" = running ] || wrong+=" $i:acknowledged:$state"
	rm -f "$T/acknowledged"
	case $state in
	running | starting) put "$s/ctl" kill && await "$s" stopped 5 || wrong+=" $i:kill" ;;
	stopped | failed) [ -z "$(groups_of "$(cat "$s/uuid")")" ] || wrong+=" $i:groups" ;;
	*) wrong+=" $i:$state" ;;
	esac
done
is "killed during start: it runs, or nothing is left" "$wrong" ''
ok "it starts well after all that" put "$s/ctl" start

put "$s/ctl" kill
await "$s" stopped 5
machinefs_kill9
for parent in /sys/fs/cgroup/machinefs /sys/fs/cgroup/*/machinefs; do
	[ -d "$parent" ] && mkdir "$parent/container-$(sed -n 's/^uuid //p' "$STATE_DIR/container/s/meta")" && break
done
machinefs_start
is "a control group made by half is removed" "$(groups_of "$(cat "$s/uuid")")" ''
put "$s/ctl" start

# --- a daemon that is stopped for a while
container_new t /bin/sh -c "'i=0; while :; do i=\$((i+1)); echo line \$i; sleep 0.01; done'"
t=$M/container/t
put "$t/ctl" start
pid=$(cat "$t/pid")
kill -STOP "$MACHINEFS_PID"
sleep 9
kill -CONT "$MACHINEFS_PID"
sleep 0.5
is "machines outlive a daemon that does not listen" "$(cat "$t/state") $(cat "$t/pid")" "running $pid"
ok "and it commands them" put "$t/ctl" pause
is "as ever" "$(cat "$t/state")" paused
put "$t/ctl" kill
await "$t" stopped 5
is "to the end" "$(cat "$t/exit")" "signaled 9"
rmdir "$t"

# --- SIGTERM, and the machines go on
pid=$(cat "$s/pid")
machinefs_stop
is "SIGTERM ends the daemon" $? 0
not_ok "and unmounts" mountpoint -q "$M"
ok "machines run on" kill -0 "$pid"
machinefs_start
is "and are found" "$(cat "$s/state") $(cat "$s/pid")" "running $pid"
for i in {1..12}; do
	bash -c 'echo start >"$1"' - "$m/ctl" 2>/dev/null &
	sleep 0.00$((i % 10))
	machinefs_stop || fail "SIGTERM during a start ends the daemon well" "status $?"
	wait %% 2>/dev/null
	machinefs_start
	poll 2 eval '! state_is "$m" starting' || fail "a start whose daemon has gone goes on"
	state_is "$m" stopped || state_is "$m" failed || { put "$m/ctl" kill && await "$m" stopped 5; }
done
pass "SIGTERM during starts"
ok "umount" umount "$M"
soon "ends the daemon" 5 pid_gone "$MACHINEFS_PID"
machinefs_start
is "machines run on" "$(cat "$s/state") $(cat "$s/pid")" "running $pid"
put "$M/ctl" shutdown
soon "shutdown ends them, then the daemon" 15 pid_gone "$MACHINEFS_PID"
ok "all of them" pid_gone "$pid"
machinefs_start
is "they have ended well" "$(cat "$s/state")" stopped

done_testing
