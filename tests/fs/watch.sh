#!/bin/bash
# Watching: poll(2), inotify, tail -f, and events without a gap.
# What ls, cat and words do is what is tried here.
# shellcheck disable=SC2002
. tests/lib.sh
. tests/machines.sh
need_root
need_command inotifywait
machinefs_start
container_new c /bin/sh -c "'i=0; while :; do i=\$((i+1)); echo line \$i; sleep 0.05; done'"
c=$M/container/c

# --- poll(2), as sysfs does it
cat >"$T/poll.py" <<'PY'
import os, select, sys, threading, time
c = sys.argv[1]
def put(file, text):
    with open(c + '/' + file, 'w') as f:
        f.write(text + '\n')
names = [(select.POLLIN, 'IN'), (select.POLLPRI, 'PRI'), (select.POLLERR, 'ERR'), (select.POLLHUP, 'HUP')]
def poll(fd, seconds, mask=select.POLLPRI | select.POLLERR):
    p = select.poll()
    p.register(fd, mask)
    found = p.poll(seconds * 1000)
    return ' '.join(n for b, n in names if found and found[0][1] & b) or 'nothing'
def later(seconds, *what):
    threading.Timer(seconds, put, what).start()
fd = os.open(c + '/state', os.O_RDONLY)
print('opened:', poll(fd, 0))
print('read:', os.read(fd, 64).decode().strip(), poll(fd, 0.1))
later(0.3, 'ctl', 'start')
start = time.time()
print('on start:', poll(fd, 10), time.time() - start < 5)
print('until it is read again:', poll(fd, 0), '|', poll(fd, 0))
os.lseek(fd, 0, os.SEEK_SET)
os.read(fd, 64)
deadline = time.time() + 5
while os.pread(fd, 64, 0) != b'running\n' and time.time() < deadline:
    poll(fd, 5)
print('then:', os.pread(fd, 64, 0).decode().strip(), poll(fd, 0.1))
other = os.open(c + '/state', os.O_RDONLY)
os.read(other, 64)
later(0.2, 'ctl', 'pause')
print('on pause:', poll(fd, 10), '|', poll(other, 10))
print('each handle by itself:', os.pread(fd, 64, 0).decode().strip(), poll(fd, 0), '|', poll(other, 0))
put('ctl', 'resume')
log = os.open(c + '/console', os.O_RDONLY)
while os.read(log, 65536):
    pass
print('a log read to its end:', poll(log, 10, select.POLLIN), len(os.read(log, 65536)) > 0)
ep = select.epoll()
ep.register(fd, select.EPOLLPRI)
os.pread(fd, 64, 0)
later(0.2, 'ctl', 'pause')
print('epoll:', bool(ep.poll(10)))
gone = os.open(c + '/state', os.O_RDONLY)
os.read(gone, 64)
later(0.2, 'ctl', 'kill')
print('on kill:', poll(gone, 10))
PY
is "poll" "$(timeout 60 python3 "$T/poll.py" "$c")" "opened: nothing
read: stopped nothing
on start: PRI ERR True
until it is read again: PRI ERR | PRI ERR
then: running nothing
on pause: PRI ERR | PRI ERR
each handle by itself: paused nothing | PRI ERR
a log read to its end: IN True
epoll: True
on kill: PRI ERR"
await "$c" stopped

# --- inotify
inotifywait -q -m -e modify --format '%e %f' "$c/state" >"$T/seen" 2>&1 &
watcher=$!
inotifywait -q -m -e modify --format '%e %f' "$c/state" "$c/console" "$c/events" >"$T/seen2" 2>&1 &
watcher2=$!
inotifywait -q -m -e create,delete,move --format '%e %f' "$M/vm" >"$T/dir" 2>&1 &
watcher3=$!
sleep 0.5
put "$c/ctl" start
soon "a watcher of state sees what the daemon changes: start" 5 test -s "$T/seen"
put "$c/ctl" pause
seen() { [ "$(wc -l <"$1")" -ge "$2" ]; }
soon "pause" 5 seen "$T/seen" 2
put "$c/ctl" resume
soon "resume" 5 seen "$T/seen" 3
before=$(wc -l <"$T/seen")
kill -KILL "$(cat "$c/pid")"
soon "and a death that nobody asked for" 5 seen "$T/seen" $((before + 1))
is "as IN_MODIFY, nothing else" "$(sort -u "$T/seen" | xargs)" MODIFY
await "$c" stopped 2>/dev/null
before=$(wc -l <"$T/seen")
mtime=$(stat -c %Y%y "$c/state")
cat "$c"/* >/dev/null 2>&1
sleep 0.3
is "reading wakes nobody" "$(wc -l <"$T/seen")" "$before"
is "and moves no time" "$(stat -c %Y%y "$c/state")" "$mtime"
mkdir "$M/vm/x"
mv "$M/vm/x" "$M/vm/y"
rmdir "$M/vm/y"
soon "machines that come and go are seen" 5 grep -q 'DELETE,ISDIR y' "$T/dir"
kill $watcher $watcher2 $watcher3
wait $watcher $watcher2 $watcher3 2>/dev/null

# --- tail -f
put "$c/ctl" start
tail -n 0 -f "$c/console" >"$T/tail" 2>"$T/tail.err" &
tail1=$!
tail -n 0 -f "$M/events" >"$T/tail2" 2>"$T/tail2.err" &
tail2=$!
tail -n 0 -f ---disable-inotify -s 0.1 "$c/console" >"$T/tail3" 2>/dev/null &
tail3=$!
soon "tail -f follows a console" 10 seen "$T/tail" 5
soon "also by polling" 10 seen "$T/tail3" 5
put "$c/ctl" pause
put "$c/ctl" resume
soon "tail -f follows events" 10 grep -q 'container/c state running' "$T/tail2"
ok "without a word lost" awk '{ if (n && $2 != n + 1) exit 1; n = $2 }' "$T/tail"
kill $tail1 $tail2 $tail3
wait $tail1 $tail2 $tail3 2>/dev/null
is "nor complaint" "$(cat "$T/tail.err" "$T/tail2.err")" ''

# --- events
for _ in {1..60}; do
	put "$c/ctl" pause
	put "$c/ctl" resume
done
events=$(cat "$M/events")
is "120 changes are 120 events" "$(grep -cE 'container/c state (paused|running)$' <<<"$events" | awk '{ print ($1 >= 120) }')" 1
ok "SEQ has no gap" awk '{ if ($1 != NR) exit 1 }' <<<"$events"
ok "TIME never goes back" awk '{ if ($2 < t) exit 1; t = $2 }' <<<"$events"
is "the form is SEQ TIME OBJECT WHAT" "$(grep -vcE '^[0-9]+ [0-9]{10}\.[0-9]{6} (vm|container)/[^ ]+ (created|removed|renamed|state)( |$)' <<<"$events")" 0
is "a machine's events are its own" "$(cut -d ' ' -f 2- "$c/events")" "$(grep ' container/c ' <<<"$events" | cut -d ' ' -f 2-)"
ok "with a SEQ of their own" awk '{ if ($1 != NR) exit 1 }' "$c/events"

# --- a console that is full is a shorter one
put "$c/ctl" kill
await "$c" stopped
put "$c/init" /bin/sh -c "'head -c 3000000 /dev/zero | tr \\\\0 x; echo; echo the end; sleep 1000'"
put "$c/ctl" start
soon "a console of 3 MB" 20 eval "tail -c 100 '$c/console' | grep -q 'the end'"
ok "keeps 1 MiB at least" test "$(stat -c %s "$c/console")" -ge 1048576
ok "and 2 MiB at most" test "$(stat -c %s "$c/console")" -le 2097152
is "its length is what it has" "$(stat -c %s "$c/console")" "$(cat "$c/console" | wc -c)"

# --- what touches the mount for the daemon is a process: a thread could not be killed with it
poker() { pgrep -P "$MACHINEFS_PID" -f '^machinefs-poker --poker$'; }
container_new p /bin/sleep 1000
inotifywait -m -q -e modify --format %w "$M/container/p/state" >"$T/poked" 2>/dev/null &
watcher=$!
longer_than() { # FILE LINES
	[ "$(wc -l <"$1")" -gt "$2" ]
}
poke() { # VERB STATE: what is watched changes, and nobody writes it
	local before
	before=$(wc -l <"$T/poked")
	put "$M/container/p/ctl" "$1"
	soon "a change is seen: $2" 5 longer_than "$T/poked" "$before"
	await "$M/container/p" "$2"
}
sleep 0.3
poke start running
old=$(poker)
like "it is one process" "$old" '^[0-9]+$'
kill -9 "$old"
poke pause paused
unlike "one that is killed is followed by another" "$(poker)" "^$old\$"
poke kill stopped
kill "$watcher"
done_testing
