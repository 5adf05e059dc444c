#!/bin/bash
# A daemon that is killed is followed by another one on the same mount: clients wait and go on,
# with what they have open. In the background its keeper does that, under systemd the service
# manager (tests/lab); here also one of twenty lines that speaks the same protocols.
# What cat says, and reading and writing one file at a time, is what is tried here.
# shellcheck disable=SC2002,SC2094
. tests/lib.sh
. tests/clients.sh
need_root
need_command python3 inotifywait
M=$T/mnt STATE_DIR=$T/state RUN_DIR=$T/run
mkdir "$M"
options=(--state-dir "$STATE_DIR" --run-dir "$RUN_DIR")

background() {
	"$MACHINEFS" "${options[@]}" "$M" </dev/null
}

daemon_pid() {
	pgrep -o -f "^machinefs --kept .*--run-dir $RUN_DIR " # not what it is about to execute
}

# Kills the daemon and returns when another one has taken its place.
kill_daemon() {
	local old
	old=$(daemon_pid)
	kill -KILL "$old"
	poll 10 another_than "$old"
}

another_than() {
	local now
	now=$(daemon_pid) && [ "$now" != "$1" ]
}

gone() {
	! daemon_pid && ! mountpoint -q "$M"
}

not() {
	! "$@"
}

longer_than() { # FILE LINES
	[ "$(wc -l <"$1")" -gt "$2" ]
}

# --- the keeper ------------------------------------------------------------------------------
ok "a daemon in the background" background
keeper=$(ps -o ppid= -p "$(daemon_pid)" | tr -d ' ')
is "has a parent that does nothing else" "$(cat "/proc/$keeper/comm")" machinefs
sanitized && skip "of at most 2 MB" "a sanitizer has memory of its own" || ok "of at most 2 MB" test "$(awk '/^RssAnon/ { print $2 }' "/proc/$keeper/status")" -lt 2048

root=$(busybox_root)
C=$M/container/c
mkdir "$C"
put "$C/root" "$root"
put "$C/init" "/bin/sh -c 'i=0; while :; do i=\$((i+1)); echo line \$i; sleep 0.2; done'"
put "$C/ctl" start
init=$(cat "$C/pid")

exec 5<"$C/cpu.weight" 6<>"$C/cpu.weight" 7<"$C/state"
cat <&5 >"$T/read"
clients_start 5
(printf 'cpu.weight: 5\n'; sleep 1000) >"$C/config.yaml" 2>/dev/null &
writer=$!
poll 5 clients_there
sleep 0.3

ok "it is killed and there is another" kill_daemon
soon "both waits are there" 3 waiting_is 2
not_ok "none has ended" test -s "$T/waited" -o -s "$T/timed"
is "it answers on the same mount" "$(cat "$M/version" | wc -l) $(grep -c " $M " /proc/self/mounts)" "1 1"
is "the machine has not noticed" "$(cat "$C/pid" "$C/state")" "$init"$'\n'running
is "a handle that was open reads on" "$(cat "/proc/self/fd/5" >/dev/null && head -c 100 <&7)" running
ok "and writes" eval 'echo 321 >&6'
is "what it wrote is so" "$(cat "$C/cpu.weight")" 321
soon "tail -f goes on" 5 longer_than "$T/tail" "$(wc -l <"$T/tail")"
wait "$timed"
read -r status took <"$T/timed"
is "one that waits for a time" "$status" 1
ok "does so from when it began ($took us)" test "$took" -ge 4900000 -a "$took" -lt 6500000
put "$C/ctl" pause
soon "who polls wakes up" 5 grep -q "saw paused" "$T/polled"
soon "who watches sees a change" 5 test -s "$T/inotify"
put "$C/ctl" resume
kill "$writer"
pkill -P "$writer" 2>/dev/null
wait "$writer" 2>/dev/null
is "half a document is not taken" "$(cat "$C/cpu.weight")" 321
exec 8<>"$C/config.yaml"
printf 'cpu.weight: 77\n' >&8
ok "killed in the middle of a document" kill_daemon
not_ok "its end is refused" eval 'printf "...\n" >&8'
like "and says why" "$(cat "$C/error")" '^EIO config.yaml: .*write it anew'
ok "anew it is taken" eval 'sed "s/^cpu.weight:.*/cpu.weight: 78/" "$C/config.yaml" >"$C/config.yaml"'
is "as a whole" "$(cat "$C/cpu.weight")" 78
exec 8<&-
put "$C/ctl" kill
soon "the wait ends when it is so" 5 test -s "$T/waited"
is "with success" "$(cat "$T/waited")" stopped
exec 5<&- 6<&- 7<&-
kill "$tail" "$watcher" 2>/dev/null
wait "$waiter" "$poller" "$watcher" "$tail" 2>/dev/null
is "nobody waits" "$(value "$M/stat" waiting)" 0

# --- in the middle of everything -------------------------------------------------------------
# Writers note what was acknowledged; none may see an error but what the kill can mean.
cat >"$T/writer.py" <<'END'
import os, sys, time
path, key, end = sys.argv[1], sys.argv[2], time.time() + float(sys.argv[3])
n = said = 0
while time.time() < end:
    n += 1
    try:
        fd = os.open(path, os.O_WRONLY)
        os.write(fd, b"%s %d\n" % (key.encode(), n))
        os.close(fd)
        said = n
    except OSError as e:
        if e.errno != 5: print("errno", e.errno); sys.exit(1)
with open(path) as f:
    have = [int(l.split()[1]) for l in f if l.startswith(key + " ")]
print(said, have)
sys.exit(not (have and said <= have[0] <= n))
END
mkdir "$M/vm/v"
writers=()
for key in a b c; do
	python3 "$T/writer.py" "$M/vm/v/label" "$key" 4 >"$T/writer.$key" 2>&1 &
	writers+=($!)
done
for i in 1 2 3; do
	sleep 0.9
	kill_daemon
done
for i in 0 1 2; do
	wait "${writers[i]}"
	is "nothing acknowledged is lost ($i)" $? 0
done
diag "$(cat "$T"/writer.[abc])"
is "it is still the same mount" "$(grep -c " $M " /proc/self/mounts)" 1

# --- ends ----------------------------------------------------------------------------------
kill -TERM "$(daemon_pid)"
soon "SIGTERM to the daemon ends it" 5 gone
soon "and the keeper" 5 pid_gone "$keeper"
background
keeper=$(ps -o ppid= -p "$(daemon_pid)" | tr -d ' ')
kill -TERM "$keeper"
soon "SIGTERM to the keeper ends both" 5 gone
background
umount "$M"
soon "so does umount" 5 gone
background
keeper=$(ps -o ppid= -p "$(daemon_pid)" | tr -d ' ')
kill -KILL "$keeper"
is "a daemon whose keeper was killed serves on" "$(cat "$M/vm/v/state")" stopped
kill -TERM "$(daemon_pid)"
soon "and ends" 5 gone
background
for i in 1 2 3 4 5 6; do
	kill_daemon
done
soon "one that dies again and again is given up" 5 gone
soon "so that nobody hangs" 1 not cat "$M/version"

done_testing
