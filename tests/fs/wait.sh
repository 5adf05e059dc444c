#!/bin/bash
# ctl and wait: verbs by state, lines in order, and waiters that never delay each other.
# timeout: 240
. tests/lib.sh
. tests/machines.sh
need_root
machinefs_start

# In a process of its own: this shell gets a signal when one of its jobs ends.
put_apart() {
	bash -c 'printf "%s\n" "$2" >"$1"' - "$1" "${*:2}"
}

timed() { # NAME MIN MAX COMMAND...: takes so many seconds
	local name=$1 min=$2 max=$3 start=$EPOCHREALTIME took
	shift 3
	"$@" >"$T/out" 2>&1
	took=$(awk -v a="$start" -v b="$EPOCHREALTIME" 'BEGIN { print b - a }')
	if awk -v t="$took" -v a="$min" -v b="$max" 'BEGIN { exit !(t >= a && t <= b) }'; then
		pass "$name"
	else
		fail "$name" "took $took s, not $min..$max: $(cat "$T/out")"
	fi
}

container_new c /bin/sh -c "'trap \"\" TERM; while :; do sleep 0.05; done'"
c=$M/container/c

# --- verbs
verbs() {
	is "the verbs when $1" "$(sort "$c/ctl" | xargs)" "$2"
}
verbs stopped "prepare start"
for verb in stop kill pause resume 'signal 9'; do
	refused "$verb of a stopped one" EBUSY "ctl: ${verb% *}: the machine is stopped" "$c" put "$c/ctl" "$verb"
done
for verb in fly START 'start ' ' start' startx 'start now' '' 'stop x' 'stop -1' 'stop 1.5' 'stop 0x5' \
	'stop 99999999999999999999' 'stop 1 2' signal 'signal 0' 'signal 99' 'signal NOSUCH' 'signal -9' reset $'\001'; do
	[ "$verb" = 'start ' ] && continue
	refused "not a verb: '$verb'" EINVAL 'ctl: ' "$c" put "$c/ctl" "$verb"
done
refused "4 KiB of nothing" EINVAL 'ctl: ' "$c" put "$c/ctl" "$(printf 'x%.0s' {1..5000})"
put "$c/ctl" start
verbs running "kill pause signal stop"
refused "start twice" EEXIST 'ctl: start: the machine is running' "$c" put "$c/ctl" start
refused "resume of a running one" EEXIST 'the machine is running' "$c" put "$c/ctl" resume
put "$c/ctl" pause
verbs paused "kill resume signal stop"
refused "pause twice" EEXIST 'the machine is paused' "$c" put "$c/ctl" pause
refused "start of a paused one" EEXIST 'the machine is paused' "$c" put "$c/ctl" start
ok "several lines in one write" dd of="$c/ctl" bs=4096 status=none <<<$'resume\npause\nresume\npause'
is "run in order" "$(awk '$4 == "state" { print $5 }' "$c/events" | tail -n 4 | xargs)" "running paused running paused"
refused "until one is refused" EEXIST 'pause' "$c" dd of="$c/ctl" bs=4096 status=none <<<$'resume\npause\npause\nresume'
is "what comes before it is done, what comes after is not" "$(cat "$c/state")" paused
refused "an unknown one too" EINVAL 'fly' "$c" dd of="$c/ctl" bs=4096 status=none <<<$'resume\nfly\npause'
is "likewise" "$(cat "$c/state")" running
put "$c/ctl" stop 60
is "stop returns when it is under way" "$(cat "$c/state")" stopping
verbs stopping "kill signal stop"
refused "pause of a stopping one" EBUSY 'the machine is stopping' "$c" put "$c/ctl" pause
ok "a shorter stop counts" put "$c/ctl" stop 0
ok "and it ends" await "$c" stopped 5
ok "start and kill in one write" dd of="$c/ctl" bs=4096 status=none <<<$'start\nkill'
await "$c" stopped 5
is "do both" "$(cat "$c/exit")" "signaled 9"

# --- syntax of wait
for bad in '' nowhere STOPPED 'stopped -1' 'stopped x' 'stopped 1 2' 'stopped 0x10' 'stopped 1e3' 'stopped 1s' \
	'stopped nan' 'stopped inf' 'stopped 99999999999' 'stopped .' "$(printf 'x%.0s' {1..300})" $'stopped\nrunning'; do
	refused "wait: $(printf %q "${bad:0:20}")" EINVAL 'wait: ' "$c" timeout 5 cp /dev/stdin "$c/wait" <<<"$bad"
done
refused "1 MiB" EINVAL 'wait: ' "$c" timeout 5 dd if=/dev/zero of="$c/wait" bs=1M count=1

# --- what it returns
timed "a state that is so already" 0 0.5 put "$c/wait" stopped
refused "running, in no time" EBUSY 'wait: not running in time; the machine is stopped' "$c" put "$c/wait" running 0
timed "a time that is over" 0.3 1.5 put "$c/wait" running 0.3
like "is EBUSY" "$(cat "$T/out") $(cat "$c/error")" 'Device or resource busy.*EBUSY wait: not running in time'
refused "failed never comes after stopped by itself" EIO 'does not become failed' "$c" put "$c/wait" failed 5
(sleep 0.3; put "$c/ctl" start) &
timed "a state that comes" 0.2 3 put_apart "$c/wait" running 10
is "is 0" "$(cat "$T/out")" ''
(sleep 0.3; put "$c/ctl" kill) &
timed "one that cannot come any more" 0.2 3 put_apart "$c/wait" paused 10
like "is EIO" "$(cat "$T/out") $(cat "$c/error")" 'Input/output error.*EIO wait: the machine is stopped and does not become paused'

# --- many
put "$c/ctl" start
waiters=()
for i in {1..40}; do
	bash -c 'echo stopped 20 >"$1"' - "$c/wait" 2>>"$T/waiters" &
	waiters+=($!)
done
soon "40 waiters are parked" 10 eval "[ \$(value '$M/stat' waiting) = 40 ]"
timed "another's time is over in its own time" 0.2 2 put "$c/wait" stopped 0.2
timed "opening wait is not delayed" 0 0.5 cat "$c/wait"
timed "nor a setting" 0 0.5 put "$c/label" 'a b'
timed "nor a verb" 0 1 put "$c/ctl" pause
kill -INT "${waiters[0]}"
kill -KILL "${waiters[1]}"
kill -TERM "${waiters[2]}"
soon "a signal ends a waiter at once" 2 eval "! kill -0 ${waiters[1]} 2>/dev/null && [ \$(value '$M/stat' waiting) -le 38 ]"
timed "INT frees who waits" 0.2 2 timeout -s INT 0.3 bash -c "echo stopped >'$c/wait'"
soon "it is forgotten" 2 eval "[ \$(value '$M/stat' waiting) -le 38 ]"
start=$EPOCHREALTIME
put "$c/ctl" kill
for i in "${waiters[@]:3}"; do
	wait "$i" || fail "waiter $i ended well"
done
timed "all others end at once" 0 0.1 true
ok "within three seconds" awk -v a="$start" -v b="$EPOCHREALTIME" 'BEGIN { exit b - a > 3 }'
soon "none is left" 5 eval "[ \$(value '$M/stat' waiting) = 0 ]"

# --- no user takes the place of all others
cat >"$T/many.py" <<'PY'
import errno, os, sys, threading, time
wait, uid, n = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
os.setuid(uid)
threading.stack_size(65536)
results = []
def one():
    fd = os.open(wait, os.O_WRONLY)
    try:
        os.write(fd, b'stopped 60\n')
        results.append(0)
    except OSError as e:
        results.append(e.errno)
    os.close(fd)
threads = [threading.Thread(target=one) for _ in range(n)]
for t in threads:
    t.start()
for t in threads:
    t.join()
print(' '.join('%d %s,' % (results.count(r), errno.errorcode.get(r, 'well')) for r in sorted(set(results))))
PY
chmod 755 "$T"
container_new mine /bin/sleep 1000
container_new yours /bin/sleep 1000
chown 1000 "$M/container/mine" "$M/container/yours"
chown 1001 "$M/container/yours/wait"
chown 1000 "$M/container/mine/wait"
put "$M/container/mine/ctl" start
put "$M/container/yours/ctl" start
python3 "$T/many.py" "$M/container/mine/wait" 1000 1034 >"$T/many" 2>&1 &
many=$!
soon "a user may have 1024 waits" 20 eval "[ \$(value '$M/stat' waiting) = 1024 ]"
soon "one more is refused" 5 grep -q 'EBUSY wait: 1024 clients of user 1000 wait already' "$M/container/mine/error"
python3 "$T/many.py" "$M/container/yours/wait" 1001 1 >"$T/other" 2>&1 &
other=$!
put_apart "$M/container/yours/wait" stopped 30 &
root=$!
soon "another's and root's are not" 10 eval "[ \$(value '$M/stat' waiting) = 1026 ]"
put "$M/container/yours/ctl" kill
wait $other $root
is "and are answered" "$? $(cat "$T/other")" "0 1 well,"
put "$M/container/mine/ctl" kill
wait $many
is "as all are in the end" "$(cat "$T/many")" "1024 well, 10 EBUSY,"
rmdir "$M/container/mine" "$M/container/yours"

# --- verbs that a monitor does not answer are bounded, whoever still waits for the answer
cat >"$T/verbs.py" <<'PY'
import errno, os, signal, sys
fd = os.open(sys.argv[1], os.O_WRONLY)
def writes(pid): # and sleeps
    with open('/proc/%d/syscall' % pid) as f:
        return f.read().startswith('1 ')
def ended(pid):
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
for i in range(80):
    pid = os.fork()
    if pid == 0:
        try:
            os.write(fd, b'signal WINCH\n')
        except OSError as e:
            os._exit(e.errno)
        os._exit(0)
    while not ended(pid) and not writes(pid):
        pass
    # Requests are read in their order: when this is answered, that was seen.
    open(sys.argv[2]).read()
    if not ended(pid) and writes(pid):
        os.kill(pid, signal.SIGKILL)
    status = os.waitpid(pid, 0)[1]
    if os.WIFEXITED(status):
        print(i, errno.errorcode.get(os.WEXITSTATUS(status), 'well'))
        break
PY
container_new deaf /bin/sleep 1000
put "$M/container/deaf/ctl" start
monitor=$(awk '{ print $4 }' "/proc/$(cat "$M/container/deaf/pid")/stat")
kill -STOP "$monitor"
is "64 verbs may wait for a monitor, no more" "$(timeout 100 python3 "$T/verbs.py" "$M/container/deaf/ctl" "$M/stat")" "64 EBUSY"
like "which is said" "$(cat "$M/container/deaf/error")" '^EBUSY ctl: the monitor has not answered 64 verbs'
kill -CONT "$monitor"
soon "it is heard again" 5 put "$M/container/deaf/ctl" kill
await "$M/container/deaf" stopped
rmdir "$M/container/deaf"

# --- a shell whose job ends while it waits
put "$c/ctl" start
(sleep 0.6; put "$c/ctl" kill) &
ok "a process of its own waits on when a job of the shell ends" \
	bash -c 'sleep 0.2 & (echo stopped 10 >"$1"); exit $?' - "$c/wait"

# --- removed
(sleep 0.3; rmdir "$c") &
timed "a machine that is removed" 0.2 2 put_apart "$c/wait" running 10
like "is EIO for its waiters" "$(cat "$T/out")" 'Input/output error'
wait %% 2>/dev/null
container_new c /bin/nosuch
refused "a start that is refused" ENOENT 'init: ' "$M/container/c" put "$M/container/c/ctl" start
is "leaves it stopped" "$(cat "$M/container/c/state")" stopped
(sleep 0.2; put "$M/container/c/ctl" start 2>/dev/null) &
timed "who waits for running learns of it" 0.1 2 put_apart "$M/container/c/wait" running 10
like "EIO" "$(cat "$T/out")" 'Input/output error'

# --- an interrupted start
container_new i /bin/sleep 1000
bash -c 'echo start >"$1"' - "$M/container/i/ctl" &
poll 5 eval '! state_is "$M/container/i" stopped'
kill -INT $! 2>/dev/null
ok "who interrupts a start does not stop it" await "$M/container/i" running 5
put "$M/container/i/ctl" kill
await "$M/container/i" stopped 5
cat >"$T/brief.py" <<'PY'
import os, signal, sys, threading, time
signal.signal(signal.SIGALRM, lambda *_: None)
ctl = os.open(sys.argv[1], os.O_WRONLY)
monitor = int(sys.argv[2])
def disturb():
    time.sleep(0.2)
    signal.pthread_kill(threading.main_thread().ident, signal.SIGALRM)
    os.kill(monitor, signal.SIGCONT)
os.kill(monitor, signal.SIGSTOP)
threading.Thread(target=disturb).start()
print(os.write(ctl, b'pause\n'))
PY
put "$M/container/i/ctl" start
monitor=$(awk '{ print $4 }' "/proc/$(cat "$M/container/i/pid")/stat")
is "a signal that has nothing to do with it does not fail a verb" \
	"$(python3 "$T/brief.py" "$M/container/i/ctl" "$monitor" 2>&1)" 6
put "$M/container/i/ctl" kill
await "$M/container/i" stopped 5

# --- a write that is stopped, as by ^Z, and continued
put "$M/container/i/ctl" start
monitor=$(awk '{ print $4 }' "/proc/$(cat "$M/container/i/pid")/stat")
kill -STOP "$monitor"
env printf 'pause\nresume\n' >"$M/container/i/ctl" 2>"$T/said" &
writer=$!
poll 10 grep -q '^1 ' "/proc/$writer/syscall" && cat "$M/container/i/state" >/dev/null
kill -STOP $writer
soon "a verb that takes its time does not keep its writer from it" 10 \
	grep -q '^State:[[:space:]]*T' "/proc/$writer/status"
kill -CONT $writer
wait $writer
like "whose write was interrupted" "$(cat "$T/said")" 'Interrupted system call'
kill -CONT "$monitor"
ok "the verb is done all the same" await "$M/container/i" paused 5
put "$M/container/i/ctl" signal CHLD
is "its next line is not" "$(cat "$M/container/i/state")" paused
put "$M/container/i/ctl" kill
await "$M/container/i" stopped 5
for _ in {1..20}; do
	timeout -s INT 0.00$((RANDOM % 9 + 1)) bash -c "echo start >'$M/container/i/ctl'" 2>/dev/null
	put "$M/container/i/ctl" kill 2>/dev/null && await "$M/container/i" stopped 5
done
like "nor breaks anything" "$(cat "$M/container/i/state")" '^(stopped|starting|running)$'
done_testing
