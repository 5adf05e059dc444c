#!/bin/bash
# `echo upgrade > ctl`: the program's file, which may be a newer one, takes over. Nobody who has
# something open, waits, watches or polls notices; what cannot be is refused, and nothing happens.
# What cat says, and reading and writing one file at a time, is what is tried here.
# shellcheck disable=SC2002,SC2094
. tests/lib.sh
. tests/machines.sh
. tests/clients.sh
need_root
need_command python3 inotifywait
mkdir "$T/bin"
cp "$MACHINEFS" "$T/bin/machinefs"
MACHINEFS=$T/bin/machinefs
machinefs_start
pid=$MACHINEFS_PID

upgrade() {
	put "$M/ctl" upgrade
}

# Another file, of the same name: what an installation does.
replace() {
	cp "$1" "$T/bin/new" && chmod 755 "$T/bin/new" && mv "$T/bin/new" "$T/bin/machinefs"
}

like "ctl lists it" "$(cat "$M/ctl")" upgrade
container_new c "/bin/sh -c 'i=0; while :; do i=\$((i+1)); echo line \$i; sleep 0.1; done'"
C=$M/container/c
put "$C/ctl" start
init=$(cat "$C/pid")
exec 5<"$C/cpu.weight" 6<>"$C/cpu.weight" 7<>"$C/config.yaml" 8<"$C/state"
not_ok "a refusal" eval 'echo 0 >&6'
said=$(cat "$C/error")
printf '# a document, the first half\n' >&7
sed 's/^cpu.weight:.*/cpu.weight: 444/; /^\.\.\./d' "$C/config.yaml" >"$T/half"
cat "$T/half" >&7
clients_start 6
poll 5 clients_there
inode=$(stat -c %i "$T/bin/machinefs")
sentence=$(cat "$M/error" "$C/error")

replace "$T/bin/machinefs"
ok "it is done" upgrade
is "in the same process" "$(kill -0 "$pid" && echo there)" there
is "by the new file" "$(stat -L -c %i "/proc/$pid/exe")" "$(stat -c %i "$T/bin/machinefs")"
unlike "which is another one" "$(stat -L -c %i "/proc/$pid/exe")" "^$inode\$"
is "on the same mount" "$(grep -c " $M " /proc/self/mounts)" 1
is "the machine has not noticed" "$(cat "$C/pid" "$C/state")" "$init"$'\n'running
is "both wait" "$(value "$M/stat" waiting)" 2
is "error says what it said" "$(cat "$M/error" "$C/error")" "$sentence"
is "and the handle that was refused does" "$(head -n 1 <&6)" "$said"
is "a reader reads" "$(cat <&5)" 100
is "state is read" "$(cat <&8)" running
ok "the second half of a document" eval 'echo ... >&7'
is "completes the first" "$(cat "$C/cpu.weight")" 444
lines=$(wc -l <"$T/tail")
longer() {
	[ "$(wc -l <"$T/tail")" -gt "$lines" ]
}
soon "tail -f goes on" 5 longer
like "without having seen it twice" "$(sort "$T/tail" | uniq -d)" '^$'
wait "$timed"
read -r status took <"$T/timed"
is "who waits for a time" "$status" 1
ok "waits from when it began ($took us)" test "$took" -ge 5900000 -a "$took" -lt 8000000
put "$C/ctl" pause
soon "who polls wakes up" 5 grep -q "saw paused" "$T/polled"
soon "who watches sees it" 5 test -s "$T/inotify"
put "$C/ctl" resume
put "$C/ctl" kill
soon "who waits sees the end" 5 test -s "$T/waited"
exec 5<&- 6<&- 7<&- 8<&-
kill "$tail" "$watcher"
wait "$waiter" "$poller" "$tail" "$watcher" 2>/dev/null
is "nothing is left open by it" "$(find "/proc/$pid/fd" -lname '*memfd:luggage*' | wc -l)" 0

# --- again and again, while everybody works --------------------------------------------------
cat >"$T/work.py" <<'END'
import os, sys, time
machine, key, end = sys.argv[1], sys.argv[2], time.time() + float(sys.argv[3])
n = 0
while time.time() < end:
    n += 1
    with open(machine + "/label", "w", buffering=1) as f: f.write("%s %d\n" % (key, n))
    have = dict(l.split() for l in open(machine + "/label"))
    assert int(have[key]) == n, (have, n)
    assert os.stat(machine + "/config.yaml").st_size == len(open(machine + "/config.yaml").read()) or key != "a"
print(n)
END
workers=()
for key in b c d; do
	python3 "$T/work.py" "$C" "$key" 4 >"$T/work.$key" 2>&1 &
	workers+=($!)
done
end=$((${EPOCHREALTIME/./} + 3500000)) n=0 bad=0
while [ "${EPOCHREALTIME/./}" -lt "$end" ]; do
	upgrade || bad=$((bad + 1))
	n=$((n + 1))
done
is "$n upgrades succeed" "$bad" 0
for i in 0 1 2; do
	wait "${workers[i]}"
	is "and none of those who work meets an error" $? 0
done
diag "$(cat "$T"/work.[bcd])"

# --- what cannot be ----------------------------------------------------------------------------
replace /bin/false
refused "a program that cannot take over" ENXIO 'cannot take over' "$M" upgrade
printf 'no program\n' >"$T/text"
replace "$T/text"
not_ok "a file that is no program" upgrade
like "says so" "$(cat "$M/error")" "upgrade.*|Exec format"
rm "$T/bin/machinefs"
refused "no file" ENOENT 'machinefs' "$M" upgrade
cp build/machinefs "$T/bin/machinefs" 2>/dev/null || cp "$B/machinefs" "$T/bin/machinefs"
is "the daemon is the old one" "$(cat "$C/state")" stopped
printf '#!/bin/sh\nsleep 100\n' >"$T/slow"
mv "$T/bin/machinefs" "$T/bin/good"
replace "$T/slow"
put "$M/ctl" upgrade &
slow=$!
sleep 0.3
refused "one at a time" EEXIST 'under way' "$M" upgrade
is "others are served" "$(cat "$C/state")" stopped
kill -KILL "$slow"
wait "$slow" 2>/dev/null
mv "$T/bin/good" "$T/bin/machinefs"
ok "who asked may go: it is called off" poll 5 upgrade

container_new t /bin/sleep 1000
put "$M/container/t/isolation" thread
put "$M/container/t/ctl" start
refused "a machine on a thread of the daemon" EBUSY 't runs on a thread' "$M" upgrade
is "goes on" "$(cat "$M/container/t/state")" running
put "$M/container/t/ctl" kill
await "$M/container/t" stopped
container_new m /bin/sleep 1000
put "$M/container/m/ctl" start
monitor=$(pgrep -f "machinefs-monitor --monitor container/m")
kill -STOP "$monitor"
put "$M/container/m/ctl" pause &
asked=$!
poll 10 grep -q '^1 ' "/proc/$asked/syscall" # it is in its write(2)
soon "a monitor that does not answer" 5 eval '! put "$M/ctl" upgrade 2>/dev/null'
like "is named" "$(cat "$M/error")" 'EBUSY .*monitor of m'
kill -CONT "$monitor"
wait "$asked"
is "then it answers the old daemon" "$(cat "$M/container/m/state")" paused
ok "and there is an upgrade" upgrade
is "it is still paused" "$(cat "$M/container/m/state")" paused
put "$M/container/m/ctl" kill
await "$M/container/m" stopped
machinefs_stop
is "it ends as before" $? 0
not_ok "and unmounts" mountpoint -q "$M"
done_testing
