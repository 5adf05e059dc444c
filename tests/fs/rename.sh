#!/bin/bash
# mv of a machine, also while it runs: one object under another name, for everybody who knows it.
# What ls, cat and words do is what is tried here.
# shellcheck disable=SC2002,SC2011,SC2012
. tests/lib.sh
. tests/machines.sh
need_root
need_command inotifywait
machinefs_start
container_new a /bin/sh -c "'i=0; while :; do i=\$((i+1)); echo line \$i; sleep 0.05; done'"
a=$M/container/a b=$M/container/b
put "$a/label" 'owner alice'
chmod 600 "$a/label"
chown 1000 "$a/cpu.max"
uuid=$(cat "$a/uuid")
put "$a/ctl" start
pid=$(cat "$a/pid")

# --- what was open, watched and waited for goes on
ls -lR "$M/container" >/dev/null
inode=$(stat -c %i "$a") label=$(stat -c %i "$a/label")
exec 3<"$a/state" 4<>"$a/label" 5<"$a"
tail -n 1 -f -s 0.1 --pid=$$ "$a/console" >"$T/tail" 2>&1 &
tail=$!
inotifywait -q -m -e modify --format '%e' "$a/state" >"$T/seen" 2>&1 &
watcher=$!
inotifywait -q -m -e create,delete,move --format '%e %f' "$M/container" >"$T/dir" 2>&1 &
watcher2=$!
poll 5 eval 'touch "$a/state"; test -s "$T/seen"'
poll 5 eval 'mkdir "$M/container/x" && rmdir "$M/container/x"; test -s "$T/dir"'
bash -c 'echo stopped 30 >"$1"; echo $? >"$2"' - "$a/wait" "$T/waited" 2>/dev/null &
waiter=$!
soon "a waiter is parked" 5 eval "[ \$(value '$M/stat' waiting) = 1 ]"
ok "mv of a running machine" mv "$a" "$b"
not_ok "the old name is gone" stat "$a"
not_ok "for the kernel too, which had kept it" cat "$a/state"
is "the new one is there" "$(cat "$b/state") $(cat "$b/uuid") $(cat "$b/pid")" "running $uuid $pid"
is "it is listed once" "$(ls "$M/container" | xargs)" b
is "inode numbers are as they were" "$(stat -c %i "$b") $(stat -c %i "$b/label")" "$inode $label"
is "owners and modes are" "$(stat -c %a "$b/label") $(stat -c %u "$b/cpu.max")" "600 1000"
is "an open file reads on" "$(cat <&3)" running
echo 'team red' >&4
is "and writes on" "$(cat "$b/label" | xargs)" "owner alice team red"
is "a directory that somebody is in is the same" "$(cat /proc/self/fd/5/uuid)" "$uuid"
like "events tell" "$(tail -n 1 "$M/events")" ' container/b renamed container/a$'
like "its own, too" "$(cat "$b/events")" ' container/b renamed container/a$'
soon "inotify sees where it went from" 5 grep -qx 'MOVED_FROM,ISDIR a' "$T/dir"
soon "and to" 5 grep -qx 'MOVED_TO,ISDIR b' "$T/dir"
lines=$(wc -l <"$T/tail")
more() { [ "$(wc -l <"$T/tail")" -gt "$lines" ]; }
soon "tail -f goes on" 5 more
seen=$(wc -l <"$T/seen")
put "$b/ctl" pause
told() { [ "$(wc -l <"$T/seen")" -gt "$seen" ]; }
soon "who watched its state is told on" 5 told
put "$b/ctl" resume
soon "verbs reach its monitor" 5 state_is "$b" running
ok "limits do" put "$b/pids.max" 50
is "its settings are on disk" "$(sed -n 's/^pids.max: //p' "$STATE_DIR/container/b/config.yaml") $(ls "$STATE_DIR/container")" "50 b"

# --- a change that mv follows at once is seen as well
exec 6<"$b/state"
(inotifywait -q -m -e modify "$b/state" 2>/dev/null & echo $! >"$T/inotify.pid"; wait) |
	while read -r _; do cat /proc/self/fd/6; done >"$T/states" &
poll 5 eval 'touch "$b/state"; test -s "$T/states"'
last() { [ "$(tail -n 1 "$T/states")" = "$1" ]; }
missed=''
for i in {1..25}; do
	put "$b/ctl" pause && mv "$b" "$a" && poll 1 last paused || missed+=" $i"
	put "$a/ctl" resume && mv "$a" "$b" && poll 1 last running || missed+=" $i"
done
is "a watcher misses no state that mv follows" "$missed" ''
kill "$(cat "$T/inotify.pid")"
exec 6<&-

# --- another takes the old name
mkdir "$a"
isnt() { [ "$1" != "$2" ]; }
ok "a machine of the old name is another one" isnt "$(cat "$a/uuid") $(stat -c %i "$a")" "$uuid $inode"
is "with nothing of the first" "$(cat "$a/label" "$a/exit" "$a/console")$(cat "$a/state")" stopped
rmdir "$a"

# --- the daemon comes and goes
exec 3<&- 4>&- 5<&-
kill $tail $watcher $watcher2
wait $tail $watcher $watcher2 2>/dev/null
machinefs_kill9
wait $waiter 2>/dev/null
machinefs_start
is "the next daemon finds it under its new name" "$(ls "$M/container") $(cat "$b/state") $(cat "$b/pid")" "b running $pid"
ok "and commands it" put "$b/ctl" pause
ok "mv of a paused one" mv "$b" "$a"
machinefs_stop
machinefs_start
is "is found as well" "$(ls "$M/container") $(cat "$a/state") $(cat "$a/pid")" "a paused $pid"
bash -c 'echo stopped 30 >"$1"; echo $? >"$2"' - "$a/wait" "$T/waited" 2>/dev/null &
waiter=$!
soon "(a waiter is parked)" 5 eval "[ \$(value '$M/stat' waiting) = 1 ]"
mv "$a" "$b"
put "$b/ctl" kill
wait $waiter
is "a waiter of the old name learns of the end" "$(cat "$T/waited")" 0
is "which is the new one's" "$(cat "$b/state") $(cat "$b/exit")" "stopped signaled 9"
is "no control group is left" "$(find /sys/fs/cgroup -type d -name "*-$uuid")" ''

# --- while others look, and a daemon dies
while [ ! -e "$T/stop" ]; do
	ls -l "$M/container" "$a" "$b" >/dev/null 2>&1
	cat "$a/label" "$b/label" >/dev/null 2>&1
done &
looker=$!
for i in {1..100}; do
	mv -T "$a" "$b" 2>/dev/null || mv -T "$b" "$a"
done
: >"$T/stop"
wait $looker
is "a hundred renames while somebody looks" "$(ls "$M/container" | wc -l) $(cat "$M"/container/?/uuid)" "1 $uuid"
for i in {1..8}; do
	(while mv -T "$a" "$b" && mv -T "$b" "$a"; do :; done) 2>/dev/null &
	sleep 0.0$((i * 7))
	machinefs_kill9
	wait %% 2>/dev/null
	machinefs_start
	[ "$(ls "$M/container" | wc -l) $(cat "$M"/container/?/uuid) $(xargs <"$M"/container/?/label)" = "1 $uuid owner alice team red" ] ||
		fail "killed on the way: it has one of the two names" "$(ls "$M/container")"
	[ -d "$a" ] || mv "$b" "$a"
done
pass "killed on the way it has one of the two names"

# --- who waits to be started again
put "$a/init" /bin/sh -c "'exit 1'"
put "$a/restart" always
put "$a/ctl" start
soon "one that waits to be started again" 5 grep -q 'restart in 1 s' "$a/events"
ok "is renamed as others are" mv "$a" "$b"
soon "and started" 5 grep -Eq 'container/b restart in 2 s' "$b/events"
ok "until it is stopped" put "$b/ctl" stop
ok "and removed" rmdir "$b"
is "nothing is left" "$(ls "$STATE_DIR/container"; find "$RUN_DIR" -name "$uuid*")" ''
done_testing
