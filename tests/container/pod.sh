#!/bin/bash
# Containers that share a pid namespace: who sees, signals and survives whom, and what is left.
. tests/lib.sh
. tests/machines.sh
need_root
machinefs_start
web=$M/container/web c=$M/container/c
container_new web /bin/sh -c "'sleep 1001 & while :; do sleep 0.05; done'"
container_new c /bin/sh -c "'sleep 1002 & echo up; while :; do sleep 0.05; done'"
put "$c/namespaces.join" "pid web"

session() { # CONTAINER COMMAND...: what it prints
	local of=$1
	shift
	[ -d "$of/exec/s" ] || mkdir "$of/exec/s"
	put "$of/exec/s/argv" "$@" && put "$of/exec/s/ctl" start && await "$of/exec/s" stopped &&
		cat "$of/exec/s/stdout"
}

both() {
	run_all "$web" "$c"
}

# All processes of a container, the host's numbers; its control group tells.
group() {
	find /sys/fs/cgroup -path "*container-$(cat "$1/uuid")*" -name cgroup.procs -exec cat {} + 2>/dev/null |
		sort -nu | xargs
}

monitor() {
	ps -o ppid= -p "$(cat "$1/pid")" | tr -d ' '
}

gone() { # "PID ..."
	local pid
	for pid in $1; do pid_gone "$pid" || return; done
}

nothing_left() {
	[ -z "$(find /sys/fs/cgroup -name "container-$(cat "$1/uuid")")" ]
}

refused "one that does not run" EBUSY 'web does not run' "$c" put "$c/ctl" start

# --- together
ok "a container of another's pid namespace" both
is "it is in it" "$(readlink "$c/proc/ns/pid")" "$(readlink "$web/proc/ns/pid")"
is "as ns says" "$(readlink "$c/ns/pid")" "$(readlink "$web/ns/pid")"
unlike "which is not the host's" "$(readlink "$c/ns/pid")" "^$(readlink /proc/self/ns/pid | sed 's/[][]/\\&/g')\$"
unlike "its mounts are its own" "$(readlink "$c/proc/ns/mnt")" "^$(readlink "$web/proc/ns/mnt" | sed 's/[][]/\\&/g')\$"
for one in web c; do
	processes=$(session "$M/container/$one" ps)
	like "$one's sessions see web's processes" "$processes" 'sleep 1001'
	like "and c's" "$processes" 'sleep 1002'
	unlike "and not the host's" "$processes" 'machinefs'
done
like "its /proc is that namespace's" "$(session "$c" cat /proc/1/cmdline | tr '\0' ' ')" 'sleep 1001'
unlike "it is not process 1" "$(sed -n 's/^NSpid:.*[[:space:]]//p' "/proc/$(cat "$c/pid")/status")" '^1$'
unlike "pid is the host's number" "$(tr '\0' ' ' <"/proc/$(cat "$c/pid")/cmdline")" 'sleep 1001'
is "its monitor's children are the host's still" \
	"$(readlink "/proc/$(monitor "$c")/ns/pid_for_children")" "$(readlink /proc/self/ns/pid)"
session "$c" sh -c "'kill -9 1; kill 2'" >/dev/null
ok "it cannot kill the other's init" state_is "$web" running
unlike "but the others" "$(session "$web" ps)" 'root +sleep 1001'
put "$c/ctl" signal STOP
soon "signal is for its own init" 5 grep -q '^State:.T' "/proc/$(cat "$c/pid")/status"
put "$c/ctl" signal CONT
not_ok "the one is not in the other's control group" grep -qwF "$(cat "$c/pid")" <<<"$(group "$web")"

# --- ends
left=$(group "$c")
ok "stop" put "$c/ctl" stop 20
ok "and it ends" await "$c" stopped
is "by the signal, which process 1 would not have had to heed" "$(cat "$c/exit")" "signaled 15"
soon "with all its processes" 5 gone "$left"
ok "and leaves no control group" nothing_left "$c"
ok "not the other's" state_is "$web" running

both
session "$c" sh -c "'setsid sleep 1003 >/dev/null 2>&1 & setsid sh -c \"sleep 1004 & sleep 1005\" >/dev/null 2>&1 &'" >/dev/null
left=$(group "$c")
ok "orphans, which are the other init's children, too" put "$c/ctl" kill
await "$c" stopped
soon "are killed with it" 5 gone "$left"
is "kill's ending" "$(cat "$c/exit")" "signaled 9"

both
left="$(group "$c") $(group "$web")"
mkdir -p "$c/exec/long" && put "$c/exec/long/argv" sleep 1006 && put "$c/exec/long/ctl" start
ok "when the other is killed" put "$web/ctl" kill
ok "that ends" await "$web" stopped
ok "and it does" await "$c" stopped
is "killed with its namespace" "$(cat "$c/exit")" "signaled 9"
is "so is its session" "$(cat "$c/exec/long/exit")" "signaled 9"
soon "nothing of both is left" 5 gone "$left"

both
put "$c/ctl" pause
put "$web/ctl" kill
if await "$web" stopped 2 2>/dev/null; then
	pass "a paused one ends with the other"
else
	put "$c/ctl" resume
	ok "a paused one holds the other's end (control groups of version 1) until it is resumed" await "$web" stopped
fi
await "$c" stopped

for one in web c; do
	both
	left="$(group "$c") $(group "$web")"
	kill -9 "$(monitor "$M/container/$one")"
	soon "$one's monitor is killed: it has failed" 5 state_is "$M/container/$one" failed
	if [ $one = c ]; then
		ok "the other goes on" state_is "$web" running
		ok "nothing is left of it" nothing_left "$c"
		put "$web/ctl" kill
		await "$web" stopped
	else
		ok "the other has ended" await "$c" stopped
		is "as it was" "$(cat "$c/exit")" "signaled 9"
	fi
	soon "no process is left" 5 gone "$left"
done

both
left="$(group "$c") $(group "$web")"
monitors=("$(monitor "$c")" "$(monitor "$web")") # the other way c might end before it, and say so
machinefs_kill9
kill -9 "${monitors[@]}"
machinefs_start
soon "monitors and daemon killed: nothing is left" 10 gone "$left"
is "both have failed" "$(cat "$web/state" "$c/state" | xargs)" "failed failed"

# --- a chain: the namespace is that of who made it
container_new d sleep 1007
put "$M/container/d/namespaces.join" "pid c"
both
put "$M/container/d/ctl" start
is "the namespace of one that has joined is the one it joined" "$(readlink "$M/container/d/ns/pid")" "$(readlink "$web/ns/pid")"
put "$c/ctl" kill
await "$c" stopped
ok "so it does not end with that" state_is "$M/container/d" running
put "$web/ctl" kill
ok "but with who made it" await "$M/container/d" stopped
await "$web" stopped

# --- hostile ones
put "$c/namespaces.join" "pid c"
refused "oneself" EBUSY 'c does not run' "$c" put "$c/ctl" start
put "$c/namespaces.join" "pid web"
put "$web/namespaces.join" "pid c"
refused "each other" EBUSY 'web does not run' "$c" put "$c/ctl" start
refused "and the other way" EBUSY 'c does not run' "$web" put "$web/ctl" start
put "$web/namespaces.join" "pid default"
put "$web/ctl" start
chown 1234 "$c"
refused "another owner's" EPERM 'user 0' "$c" put "$c/ctl" start
chown 0 "$c"
put "$c/namespaces" "pid mount user"
refused "with a user namespace" EINVAL 'not with a user namespace' "$c" put "$c/ctl" start
put "$c/namespaces" "pid mount net uts ipc cgroup"
put "$web/ctl" kill
await "$web" stopped
put "$web/init" "/bin/sh -c 'echo cruel; while :; do kill -STOP -1; done'"
put "$web/ctl" start
poll 5 grep -q cruel "$web/console"
while before=$SECONDS && put "$c/ctl" start 2>/dev/null; do # it was faster
	put "$c/ctl" kill
	await "$c" stopped
done
like "who is held up before he is himself is given up" "$(cat "$c/error")" 'EIO init: held up'
ok "before long" test $((SECONDS - before)) -lt 60
ok "and nothing is left" nothing_left "$c"
done_testing
