#!/bin/bash
# A container that is prepared: all of it is there but its program, which waits for start.
# timeout: 240
. tests/lib.sh
need_root
need_command nsenter
machinefs_start
root=$(busybox_root)
mkdir -p "$root/mnt" "$T/data"
echo data >"$T/data/f"
c=$M/container/c

new() { # COMMAND...: a fresh container with this init
	[ ! -d "$c" ] || { put "$c/ctl" kill 2>/dev/null; await "$c" stopped 2>/dev/null; rmdir "$c"; }
	mkdir "$c" && put "$c/root" "$root" && put "$c/init" "$*"
}
inside() { # OPTIONS COMMAND...: in its namespaces
	nsenter -t "$(cat "$c/pid")" "$@"
}
execute() { # COMMAND...: in a session; what it prints
	mkdir "$c/exec/x" && put "$c/exec/x/argv" "$*" && put "$c/exec/x/ctl" start && await "$c/exec/x" stopped
	cat "$c/exec/x/stdout"
	rmdir "$c/exec/x"
}
groups_left() {
	find /sys/fs/cgroup -type d -path "*/machinefs/*$uuid*"
}
no_group_left() {
	[ -z "$(groups_left)" ]
}
monitor_of() { # PID: its parent
	sed -n 's/^PPid:\t//p' "/proc/$1/status"
}

# --- prepare, and start
new /bin/sh -c "'echo up; cat /mnt/f 2>/dev/null; exec sleep 1000'"
like "prepare is among its verbs" "$(xargs <"$c/ctl")" '^start prepare$'
ok "prepare" put "$c/ctl" prepare
is "returns when it is prepared" "$(cat "$c/state")" prepared
is "its verbs" "$(xargs <"$c/ctl")" "start stop kill resume"
pid=$(cat "$c/pid")
is "pid is its init's, which is our own program still" "$(tr '\0' ' ' <"/proc/$pid/cmdline" | grep -c monitor)" 1
for n in pid net mnt uts ipc cgroup; do
	[ "$(readlink "/proc/$pid/ns/$n")" != "$(readlink "/proc/self/ns/$n")" ] || echo "$n"
done >"$T/shared"
is "its namespaces are there" "$(cat "$T/shared")" ""
is "its name" "$(inside -u hostname)" c
is "its root, which it has entered" "$(readlink "/proc/$pid/root") $(inside -m /bin/ls -d /bin/busybox /proc/sys /dev/null | xargs)" \
	"/ /bin/busybox /dev/null /proc/sys"
is "its control group" "$(cat "$c/cgroup.procs")" "$pid"
is "nothing of it has run" "$(cat "$c/console")" ""
ok "its network can be changed" inside -n ip addr add 10.9.8.7/24 dev lo
is "a session runs in it" "$(execute hostname)" c
ok "a mount comes" eval "mkdir '$c/mount/m' && put '$c/mount/m/source' '$T/data' && put '$c/mount/m/target' /mnt"
refused "prepare of a prepared one" EEXIST 'prepared' "$c" put "$c/ctl" prepare
refused "prepare outside of a prepared one" EEXIST 'prepared' "$c" put "$c/ctl" prepare outside
refused "pause" EBUSY 'ctl: pause: the machine is prepared' "$c" put "$c/ctl" pause
refused "a signal" EBUSY 'ctl: signal: the machine is prepared' "$c" put "$c/ctl" signal TERM
refused "rmdir" EBUSY 'prepared' "$c" rmdir "$c"
refused "its init is what it is" EBUSY 'init: .*prepared' "$c" put "$c/init" /bin/true
await "$c" running 20 & # which waits
ok "start" put "$c/ctl" start
is "returns when it runs" "$(cat "$c/state")" running
ok "who waited for that is told" wait $!
is "it is the same process" "$(cat "$c/pid")" "$pid"
soon "it has run" 5 grep -q up "$c/console"
soon "it sees what came meanwhile" 5 grep -q data "$c/console"
like "and the address" "$(execute ip addr)" '10\.9\.8\.7/24'
like "events tell of it" "$(cut -d' ' -f4- "$c/events" | grep '^state' | xargs)" \
	'^state starting state prepared state running$'

# --- ended before it was started
for verb in kill "stop 100"; do
	new /bin/sleep 1000
	put "$c/restart" always
	put "$c/ctl" prepare
	uuid=$(cat "$c/uuid")
	ok "$verb" put "$c/ctl" "$verb"
	ok "$verb ends it at once" await "$c" stopped 5
	is "$verb: exit" "$(cat "$c/exit")" "signaled 9"
	is "$verb: it is not started again" "$(cat "$c/state") $(xargs <"$c/ctl")" "stopped start prepare"
	is "$verb: no group is left" "$(groups_left)" ""
done
new /bin/sleep 1000
put "$c/restart" always
put "$c/restart.delay" 1
put "$c/ctl" prepare
kill -KILL "$(cat "$c/pid")"
ok "init is killed: it ends" await "$c" stopped 5
is "as it was killed" "$(cat "$c/exit")" "signaled 9"
is "what was not started is not restarted" "$(xargs <"$c/ctl")" "start prepare"
put "$c/ctl" prepare
put "$c/ctl" start
pid=$(cat "$c/pid")
kill -KILL "$pid"
soon "what was is" 10 eval "state_is '$c' running && [ \$(cat '$c/pid') != $pid ]"
new /bin/sleep 1000
put "$c/ephemeral" 1
put "$c/ctl" prepare
put "$c/ctl" kill
soon "an ephemeral one goes" 10 test ! -e "$c"

new /bin/nothing
ok "a program that is not there: prepare" put "$c/ctl" prepare
refused "it is start that is refused" ENOENT '' "$c" put "$c/ctl" start
ok "that was its end" await "$c" failed 5
like "exit says why" "$(cat "$c/exit" "$c/error")" '^failed: (init: not in the root directory: /bin/nothing).*EIO init: not in'
new /bin/sleep 1000
put "$c/namespaces" 'pid mount uts'
put "$c/sysctl" 'net.ipv4.ip_forward 1'
refused "what a start is refused for, prepare is" EINVAL 'sysctl: ' "$c" put "$c/ctl" prepare
is "and leaves it as it was" "$(cat "$c/state")" stopped

# --- outside
new /bin/sh -c "'cat /mnt/f; exec sleep 1000'"
ok "prepare outside" put "$c/ctl" prepare outside
is "preparing" "$(cat "$c/state")" preparing
is "its verbs" "$(xargs <"$c/ctl")" "start prepare stop kill resume"
is "its mount namespace has the host's files" "$(inside -m cat "$T/data/f")" data
is "and at its root the container's" "$(inside -m stat -f -c %T "$root/proc" "$root/dev" "$root/sys" | xargs)" \
	"proc tmpfs sysfs"
ok "what is mounted there now" inside -m mount --bind "$T/data" "$root/mnt"
is "is not on the host" "$(ls "$root/mnt")" ""
mkdir "$c/exec/x" && put "$c/exec/x/argv" hostname
refused "no session yet" EBUSY 'the container is preparing' "$c/exec/x" put "$c/exec/x/ctl" start
rmdir "$c/exec/x"
mkdir "$c/mount/m" && put "$c/mount/m/source" "$T/data"
refused "nor a mount, which would be one on the host's files" EBUSY 'has not entered its root' "$c" \
	put "$c/mount/m/target" /mnt
rmdir "$c/mount/m"
refused "prepare outside, again" EEXIST 'as far already' "$c" put "$c/ctl" prepare outside
put "$c/console" typed
ok "typing into it is harmless" kill -0 "$(cat "$c/pid")"
ok "prepare" put "$c/ctl" prepare
is "prepared" "$(cat "$c/state")" prepared
is "it sees what was mounted" "$(execute cat /mnt/f)" data
not_ok "and the host's files no more" inside -m cat "$T/data/f"
ok "start" put "$c/ctl" start
soon "so does its program" 5 grep -q data "$c/console"
new /bin/sh -c "'exec sleep 1000'"
put "$c/ctl" prepare outside
ok "start from there" put "$c/ctl" start
is "runs it" "$(cat "$c/state")" running
for outside in "" " outside"; do
	new /bin/sh -c "'exec sleep 1000'"
	put "$c/ctl" "prepare$outside"
	pid=$(cat "$c/pid")
	ok "resume$outside" put "$c/ctl" resume
	is "is a start of this one$outside" "$(cat "$c/state" "$c/pid" | xargs)" "running $pid"
	put "$c/ctl" kill
	await "$c" stopped
	refused "and of no other$outside" EBUSY 'ctl: resume: the machine is stopped' "$c" put "$c/ctl" resume
done
for verb in kill stop; do
	new /bin/sleep 1000
	put "$c/ctl" prepare outside
	pid=$(cat "$c/pid")
	ok "$verb from there" put "$c/ctl" $verb
	ok "ends it" await "$c" stopped 5
	ok "nothing is left of it" pid_gone "$pid"
done

# --- other roots and namespaces
new /bin/sh -c "'id -u; touch /written; exec sleep 1000'"
put "$c/root.writable" overlay
put "$c/namespaces" 'pid mount net uts ipc cgroup user'
put "$c/user.map" '0 100000 65536' 2>/dev/null
if put "$c/ctl" prepare outside 2>/dev/null; then
	ok "an overlay, in a user namespace" put "$c/ctl" prepare
	ok "start" put "$c/ctl" start
	soon "its root is root there" 5 grep -qx 0 "$c/console"
	not_ok "and its files are not the root's" test -e "$root/written"
else
	skip "an overlay, in a user namespace" "$(cat "$c/error")"
fi
new /bin/sh -c "'exec sleep 1000'"
put "$c/namespaces" 'pid net'
ok "without a mount namespace" put "$c/ctl" prepare outside
ok "start" put "$c/ctl" start
new /bin/sleep 1000
put "$c/ctl" prepare
mkdir "$M/container/d"
put "$M/container/d/root" "$root"
put "$M/container/d/namespaces.join" "net c
pid c"
put "$M/container/d/init" "/bin/sleep 1000"
ok "another joins one that is prepared" put "$M/container/d/ctl" start
is "its network" "$(readlink "/proc/$(cat "$M/container/d/pid")/ns/net")" "$(readlink "/proc/$(cat "$c/pid")/ns/net")"
put "$M/container/d/ctl" kill
await "$M/container/d" stopped
rmdir "$M/container/d"

# --- without a daemon, without a monitor
for outside in "" " outside"; do
	state=prepared
	[ -z "$outside" ] || state=preparing
	new /bin/sh -c "'echo up; exec sleep 1000'"
	put "$c/ctl" "prepare$outside"
	pid=$(cat "$c/pid")
	machinefs_kill9
	machinefs_start
	soon "$state: the next daemon finds it" 10 state_is "$c" $state
	is "$state: as it was" "$(cat "$c/pid")" "$pid"
	ok "$state: and starts it" put "$c/ctl" start
	soon "$state: it has run" 5 grep -q up "$c/console"
	new /bin/sleep 1000
	put "$c/ctl" "prepare$outside"
	pid=$(cat "$c/pid")
	uuid=$(cat "$c/uuid")
	kill -KILL "$(monitor_of "$pid")"
	ok "$state: its monitor is killed: it fails" await "$c" failed 10
	soon "$state: nothing is left of it" 5 pid_gone "$pid"
	soon "$state: nor of its groups" 5 no_group_left
	is "$state: on the host" "$(ls "$root/mnt")" ""
done
new /bin/sleep 1000
put "$c/ctl" prepare
ok "shutdown ends it, too" put "$M/ctl" shutdown
poll 20 pid_gone "$MACHINEFS_PID"
MACHINEFS_PID=
done_testing
