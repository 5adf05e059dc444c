#!/bin/bash
# Following a machine through a thousand changes: every watcher sees the last state, `events` all.
# timeout: 240
# What ls, cat and words do is what is tried here.
# shellcheck disable=SC2002,SC2034
. tests/lib.sh
. tests/machines.sh
need_root
need_command inotifywait
machinefs_start
container_new c /bin/sleep 100000
c=$M/container/c
put "$c/ctl" start

# Follows with poll(2), as for a file of sysfs: waits, reads from the beginning, prints.
cat >"$T/follow.py" <<'PY'
import os, select, sys
fd = os.open(sys.argv[1], os.O_RDONLY)
poll = select.poll()
poll.register(fd, select.POLLPRI | select.POLLERR)
while True:
    print(os.pread(fd, 64, 0).decode().strip(), flush=True)
    poll.poll()
PY
# Follows a log with poll(2): whatever more there is; from the beginning when there is less.
cat >"$T/log.py" <<'PY'
import os, select, sys
fd = os.open(sys.argv[1], os.O_RDONLY)
poll = select.poll()
poll.register(fd, select.POLLIN)
while True:
    more = os.read(fd, 65536)
    os.write(1, more)
    if not more:
        poll.poll()
        if os.fstat(fd).st_size < os.lseek(fd, 0, os.SEEK_CUR):
            os.lseek(fd, 0, os.SEEK_SET)
PY
watchers=()
python3 "$T/follow.py" "$c/state" >"$T/polled" &
watchers+=($!)
python3 "$T/log.py" "$c/events" >"$T/polled-log" &
watchers+=($!)
(inotifywait -q -m -e modify "$c/state" 2>"$T/notify.err" & echo $! >"$T/notify.pid"; wait) |
	while read -r _; do cat "$c/state"; done >"$T/notified" &
tail -n +1 -s 0.1 --pid=$$ -f "$c/events" >"$T/tailed" 2>"$T/tail.err" &
watchers+=($!)
tail -n +1 -s 0.1 --pid=$$ -f "$M/events" >"$T/tailed-all" 2>>"$T/tail.err" &
watchers+=($!)
tail -n +1 -s 0.1 --pid=$$ -f ---disable-inotify "$c/events" >"$T/tailed-slow" 2>>"$T/tail.err" &
watchers+=($!)
poll 10 test -s "$T/polled" -a -s "$T/tailed" -a -s "$T/tailed-all" -a -s "$T/tailed-slow" -a -s "$T/polled-log"
# inotifywait says nothing when it is ready: it is, when it tells of a change.
poll 10 eval 'touch "$c/state"; test -s "$T/notified"'

for _ in {1..500}; do
	put "$c/ctl" pause
	put "$c/ctl" resume
done
put "$c/ctl" pause
is "a thousand changes and one: events has all of them" "$(grep -cE ' state (paused|running)$' "$c/events")" 1002
ok "SEQ without a gap" awk '$1 != NR { exit 1 }' "$c/events"
ok "at the root, too" awk '$1 != NR { exit 1 }' "$M/events"
is "in the order in which they were" "$(awk '$4 == "state" { print $5 }' "$c/events" | tail -n 1001 | uniq -c | awk '$1 != 1')" ''
last() { [ "$(tail -n 1 "$1")" = "$2" ]; }
soon "poll(2) sees the last state" 10 last "$T/polled" paused
soon "inotifywait does" 10 last "$T/notified" paused
for file in polled-log tailed tailed-slow; do
	soon "$file has all events" 10 cmp "$c/events" "$T/$file"
done
soon "tailed-all has all events" 10 cmp "$M/events" "$T/tailed-all"
is "tail has no complaint" "$(cat "$T/tail.err")" ''

# --- a log that is full: the older half goes, and a follower can tell what it has missed
for _ in {1..400}; do
	put "$c/ctl" resume
	put "$c/ctl" pause
done
ok "a machine's events are bounded" test "$(stat -c %s "$c/events")" -le 65536
first=$(head -n 1 "$c/events" | cut -d ' ' -f 1)
ok "the older ones have gone" test "$first" -gt 1
ok "whole lines are left, without a gap" awk -v n="$first" '$1 != n++ || !/^[0-9]+ [0-9.]+ container\/c / { exit 1 }' "$c/events"
is "the newest is there" "$(tail -n 1 "$c/events" | cut -d ' ' -f 2-)" "$(tail -n 1 "$M/events" | cut -d ' ' -f 2-)"
newest=$(tail -n 1 "$c/events")
for file in tailed tailed-slow polled-log; do
	soon "$file goes on to the last" 10 eval '[ "$(tail -n 1 "$T/$file")" = "$newest" ]'
done
like "tail says that it has been shortened" "$(cat "$T/tail.err")" 'events: file truncated'
ok "what it has shown twice can be told by SEQ: all numbers are there" \
	awk '{ seen[$1] = 1; if ($1 > n) n = $1 } END { for (i = 1; i <= n; i++) if (!(i in seen)) exit 1 }' "$T/tailed"

# --- the next daemon goes on
kill "${watchers[@]}" "$(cat "$T/notify.pid")"
wait "${watchers[@]}" 2>/dev/null
cp "$c/events" "$T/own"
cp "$M/events" "$T/all"
machinefs_kill9
machinefs_start
head -c "$(stat -c %s "$T/all")" "$M/events" >"$T/all2"
ok "events outlive a daemon that is killed" cmp "$T/all" "$T/all2"
ok "those of a machine do" eval 'tail -n 100 "$T/own" | grep -Fqf - "$c/events"'
put "$c/ctl" resume
put "$c/ctl" pause
ok "SEQ goes on" awk -v n="$(head -n 1 "$c/events" | cut -d ' ' -f 1)" '$1 != n++ { exit 1 }' "$c/events"
ok "at the root, too" awk '$1 != NR { exit 1 }' "$M/events"
seq=$(tail -n 1 "$c/events" | cut -d ' ' -f 1)
for _ in {1..5}; do
	machinefs_kill9
	machinefs_start
	put "$c/ctl" resume
	put "$c/ctl" pause
done
is "from daemon to daemon" "$(tail -n 1 "$c/events" | cut -d ' ' -f 1)" $((seq + 10))
put "$c/ctl" resume
machinefs_kill9
rm "$RUN_DIR/events"
machinefs_start
like "one that has no events of before tells what it has found" "$(cat "$c/events")" '^1 [0-9.]+ container/c state running found$'
put "$c/ctl" pause
machinefs_stop
machinefs_start
mkdir "$M/vm/other"
like "a new machine's begin with 1" "$(cat "$M/vm/other/events")" '^1 [0-9.]+ vm/other created$'
ok "and at the root it is the next" awk '$1 != NR { exit 1 }' "$M/events"
rmdir "$M/vm/other"
mkdir "$M/vm/other"
is "also when there was one of that name" "$(cut -d ' ' -f 1 "$M/vm/other/events")" 1
refused_daemon() {
	! timeout 10 "$MACHINEFS" -f --state-dir "$T/state2" --run-dir "$RUN_DIR" "$T/mnt2" 2>"$T/second"
}
ok "no second daemon gets the run directory" refused_daemon
like "and is told so" "$(cat "$T/second")" 'run: another daemon uses it'
# --- what is printed right behind something else, and then nothing more
container_new talk /bin/sh -c "'stty -echo; while read n; do echo first; sleep 0.004; echo last \$n; done'"
put "$M/container/talk/ctl" start
python3 "$T/log.py" "$M/container/talk/console" >"$T/polled-talk" &
talked=$!
told() { [ "$(tail -n 1 "$T/polled-talk")" = "last $1" ]; }
put "$M/container/talk/console" 0 # until both listen
poll 10 told 0
lost=
for n in {1..20}; do
	put "$M/container/talk/console" "$n"
	poll 2 told "$n" || lost+=" $n"
done
is "poll(2) tells of it, each time" "$lost" ""
kill $talked

done_testing
