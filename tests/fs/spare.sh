#!/bin/bash
# A monitor in waiting: there is none before a machine was started, the next machine gets it, and
# nothing depends on it.
. tests/lib.sh
. tests/machines.sh
need_root
need_command setpriv
# By a group of its own: what /proc has of a process that nobody may trace is root's group's.
MACHINEFS_UNDER=(setpriv --regid 1234 --clear-groups)
machinefs_start

waiting() { pgrep -P "$MACHINEFS_PID" -f "machinefs-monitor --spare $1"; }
one_waits() { [ "$(waiting "$1" | wc -l)" = 1 ]; }
mould() { pgrep -P "$MACHINEFS_PID" -f "machinefs-monitor --mould container"; }
policy() { chrt -p "$1" | sed -n 's/.*policy: //p'; }
monitor_of() { pgrep -f "^machinefs-monitor --monitor $1 *$"; }
group_of() { stat -c %g "/proc/$(monitor_of "$1")/fd"; }

for c in a b c d e f; do
	container_new $c /bin/sleep 1000
done
ok "none waits before there was a machine" eval '! waiting container'
ok "a first machine starts" put "$M/container/a/ctl" start
soon "then one waits" 5 one_waits container
spare=$(waiting container)
ok "a second machine starts" put "$M/container/b/ctl" start
is "with the one that waited" "$(monitor_of container/b)" "$spare"
is "who may trace the daemon may trace that" "$(group_of container/b)" 1234
mkdir "$M/container/b/exec/s" && put "$M/container/b/exec/s/argv" /bin/true
put "$M/container/b/exec/s/ctl" start
is "after a session, too" "$(group_of container/b)" 1234
put "$M/container/e/namespaces.join" pid b
put "$M/container/e/ctl" start
is "and where init was born among another's processes" "$(group_of container/e)" 1234
put "$M/container/e/ctl" kill
await "$M/container/e" stopped
put "$M/container/e/namespaces.join" pid default
soon "and another waits" 5 one_waits container
ok "which is not it" test "$(waiting container)" != "$spare"
spare=$(waiting container)
kill -9 "$spare"
poll 5 pgrep -r Z -P "$MACHINEFS_PID"
ok "one that has died is no loss" put "$M/container/c/ctl" start
is "the machine runs" "$(cat "$M/container/c/state")" running
ok "it has a monitor" monitor_of container/c
soon "and another waits again" 5 one_waits container
inside() { echo "/proc/$(cat "$M/container/$1/pid")/root/dev"; }
is "each has a /dev of its own, with terminals and shared memory" \
	"$(for c in a b c; do stat -c %d "$(inside $c)"{,/pts,/shm}; done | sort -u | wc -l)" 9
ok "what is in one is not in another" eval 'touch "$(inside a)/shm/x" "$(inside a)/x" &&
	[ ! -e "$(inside b)/shm/x" ] && [ ! -e "$(inside b)/x" ]'
net() { readlink "/proc/$1/ns/net"; }
is "each has a network of its own" \
	"$(for c in a b c; do net "$(cat "$M/container/$c/pid")"; done | sort -u | grep -vcxF "$(net self)")" 3
is "in which it has itself" "$(nsenter -n -t "$(cat "$M/container/b/pid")" ip -br link | awk '{ print $1, $3 }')" \
	"lo 00:00:00:00:00:00"
ok "and is up" eval 'nsenter -n -t "$(cat "$M/container/b/pid")" ip -br addr | grep -q 127.0.0.1'
is "its monitor is in the host's" "$(net "$(monitor_of container/b)")" "$(net self)"
ok "nothing of that stays with the monitor" \
	eval '[ "$(ls -l "/proc/$(monitor_of container/b)/fd" | grep -cE "ptmx|net:")" = 2 ]'
mould=$(mould)
ok "they are copies of one process" test -n "$mould"
is "which is the same from the first to the last" "$(wc -l <<<"$mould")" 1
kill -STOP "$mould"
ok "while that stands still, the one that waits is taken" put "$M/container/e/ctl" start
ok "and then there is none, but a start" put "$M/container/f/ctl" start
is "that has a monitor" "$(cat "$M/container/f/state")" running
soon "another mould is made" 5 eval '[ -n "$(mould)" ] && [ "$(mould)" != "$mould" ]'
for c in e f; do
	put "$M/container/$c/ctl" kill
	await "$M/container/$c" stopped
done
soon "and one waits" 5 one_waits container
kill -9 "$(mould)" "$(waiting container)"
poll 5 eval '[ "$(pgrep -r Z -P "$MACHINEFS_PID" | wc -l)" = 2 ]'
ok "without any of both a machine starts" put "$M/container/e/ctl" start
ok "and the next" put "$M/container/f/ctl" start
soon "and one waits once more" 5 one_waits container
for c in e f; do
	put "$M/container/$c/ctl" kill
	await "$M/container/$c" stopped
done

for c in a b c; do
	ok "$c ends" put "$M/container/$c/ctl" kill
	await "$M/container/$c" stopped
done
no_zombies() { ! pgrep -r Z -P "$MACHINEFS_PID"; }
put "$M/container/d/ctl" start
soon "what has ended is reaped" 5 no_zombies

# One that comes back: its machine has ended by itself, and the next of the same owner's has it.
live() { # NAME: a life, as its init's exit status
	put "$M/container/$1/ctl" start && await "$M/container/$1" stopped && cat "$M/container/$1/exit"
}
container_new short /bin/true
container_new other /bin/false
container_new long /bin/sleep 1000
container_new foreign /bin/true
chown 1234:4321 "$M/container/foreign"
is "a machine ends by itself" "$(live short)" "exited 0"
soon "its monitor waits" 5 one_waits container
spare=$(waiting container)
is "another has it" "$(live other)" "exited 1"
soon "which waits again" 5 one_waits container
is "and is the same process" "$(waiting container)" "$spare"
read -r began _ </proc/uptime
put "$M/container/long/ctl" start
is "for one that stays, too" "$(monitor_of container/long)" "$spare"
soon "then another waits" 5 one_waits container
born() { sed 's/.*) //' "/proc/$1/stat" | cut -d' ' -f20; } # in ticks of 10 ms
ok "which was not made before it had stayed a second" \
	test $(($(born "$(waiting container)") - 10#${began/./})) -ge 99
mkdir "$M/container/long/exec/s" && put "$M/container/long/exec/s/argv" /bin/sleep 100
put "$M/container/long/exec/s/ctl" start
put "$M/container/long/ctl" kill
await "$M/container/long" stopped
poll 5 eval '[ "$(waiting container)" = "$spare" ]'
is "after it was killed with its sessions, it waits in place of the one that is new" "$(waiting container)" "$spare"
is "with no child" "$(pgrep -P "$spare")" ""
is "its name says nothing of the machine" "$(cat "/proc/$spare/comm") $(tr -s '\0 ' ' ' <"/proc/$spare/cmdline")" \
	"$(cat "/proc/$(mould)/comm") machinefs-monitor --spare container "
open_files() { find "/proc/$spare/fd" -type l -printf '%l\n' | sed 's/[0-9]\+/N/g' | sort; }
first=$(open_files)
for _ in 1 2 3 4 5; do live other; done >/dev/null
poll 5 eval '[ "$(open_files)" = "$first" ]'
is "nothing of a machine's stays open in it" "$(open_files)" "$first"
is "another owner's machine ends as well" "$(live foreign)" "exited 0"
soon "another's monitor it never was" 5 eval '! kill -0 $spare'
is "that of the foreign one comes back for its owner" "$(live foreign)" "exited 0"
soon "and waits" 5 one_waits container
spare=$(waiting container)
kill -9 "$spare"
poll 5 pgrep -r Z -P "$MACHINEFS_PID"
is "one that has died while it waited is no loss" "$(live foreign)" "exited 0"
soon "one waits that has served" 5 one_waits container
for which in "one that comes back" "a copy"; do
	spare=$(waiting container)
	kill -STOP "$spare"
	put "$M/container/long/ctl" start &
	starting=$!
	poll 5 state_is "$M/container/long" starting
	kill -9 "$spare"
	wait $starting
	is "nor is $which that dies when it is to be the monitor: another is" $? 0
	is "of the machine that was to start" "$(cat "$M/container/long/state") $(monitor_of container/long | grep -vcx "$spare")" "running 1"
	soon "$which: another waits" 5 one_waits container
	put "$M/container/long/ctl" kill
	await "$M/container/long" stopped
done
is "with the settings of each its own" "$(live short) $(live other)" "exited 0 exited 1"
soon "one waits" 5 one_waits container
spare=$(waiting container) lives=0
while kill -0 "$spare" 2>/dev/null && [ $lives -lt 200 ]; do
	live short >/dev/null
	lives=$((lives + 1))
done
ok "it ends when it has served a hundred: $lives more" test $lives -gt 90 -a $lives -lt 110
soon "what has ended is reaped" 5 no_zombies
mkdir "$T/gone" && put "$M/container/long/root" "$T/gone" && rmdir "$T/gone"
ok "a start that is refused" eval '! put "$M/container/long/ctl" start 2>/dev/null'
put "$M/container/long/root" "$PWD/$B/tests/rootfs"
put "$M/container/long/init" /nowhere
ok "and one that fails" eval '! put "$M/container/long/ctl" start 2>/dev/null'
is "are nothing to the next" "$(live short)" "exited 0"

machinefs_stop
umask 077
trap '' HUP USR2
machinefs_start
trap - HUP USR2
umask 022
for c in e f; do
	put "$M/container/$c/ctl" start
	poll 5 one_waits container
	is "a daemon's umask is nothing to container $c" \
		"$(stat -c %a "$(inside $c)"{,/null,/tty,/pts,/pts/ptmx,/shm} | xargs)" "755 666 666 755 666 1777"
	is "nor is what it ignores" "$(grep SigIgn "/proc/$(cat "$M/container/$c/pid")/status")" $'SigIgn:\t0000000000000000'
done
if [ -w /dev/kvm ]; then
	vm_new v hello halt
	vm_new w hello halt
	put "$M/vm/v/ctl" start
	soon "one waits for a VM" 5 one_waits vm
	spare=$(waiting vm)
	ok "it was made when the VM before had printed" \
		test $(($(born "$spare") - $(born "$(monitor_of vm/v)"))) -ge 1
	behind_walls() { [ "$(readlink "/proc/$spare/ns/net")" != "$(readlink "/proc/$MACHINEFS_PID/ns/net")" ]; }
	idles() { [ "$(policy "$spare")" = SCHED_IDLE ]; }
	soon "with what time others leave it" 5 idles
	soon "it has a network namespace of its own" 5 behind_walls
	soon "and an empty root" 5 eval '[ -z "$(ls -A /proc/$spare/root)" ]'
	walls=$(readlink "/proc/$spare/ns/net")
	chown 1234:4321 "$M/vm/w"
	chmod 755 "$T" 2>/dev/null
	ok "another user's VM starts" put "$M/vm/w/ctl" start
	soon "it runs" 5 grep -q 'tiny: hello' "$M/vm/w/console"
	is "with its share of time" "$(policy "$(monitor_of vm/w)")" SCHED_OTHER
	is "as that user" "$(stat -c %u:%g "/proc/$(monitor_of vm/w)")" 1234:4321
	is "behind the walls that were there" "$(readlink "/proc/$(monitor_of vm/w)/ns/net")" "$walls"
	put "$M/vm/w/ctl" kill
	await "$M/vm/w" stopped
	put "$M/vm/v/ctl" kill
	await "$M/vm/v" stopped
	soon "what has cloned itself is reaped" 2 no_zombies
	put "$M/vm/v/ctl" start
	soon "root's gets it" 5 grep -q 'tiny: hello' "$M/vm/v/console"
	ok "its process is a monitor's by its arguments" monitor_of vm/v
	ok "in the walls that the waiting one had" test \
		"$(readlink "/proc/$(monitor_of vm/v)/ns/net")" != "$(readlink "/proc/$MACHINEFS_PID/ns/net")"
	put "$M/vm/v/ctl" kill
	await "$M/vm/v" stopped
else
	skip "a VM's" "no /dev/kvm"
fi

machinefs_kill9
nobody_waits() { ! pgrep -f "machinefs-monitor --(spare|mould)"; }
soon "a daemon that is killed leaves none behind" 5 nobody_waits
done_testing
