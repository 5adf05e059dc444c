#!/bin/bash
# A container's life through the tree: every verb, every state, every ending.
. tests/lib.sh
need_root
machinefs_start
root=$(busybox_root)
c=$M/container/c

new() { # COMMAND...: a fresh container with this init
	[ ! -d "$c" ] || { put "$c/ctl" kill 2>/dev/null; await "$c" stopped 2>/dev/null; rmdir "$c"; }
	mkdir "$c" && put "$c/root" "$root" && put "$c/init" "$*"
}

run() { # COMMAND...: runs it to its end
	new "$@" && put "$c/ctl" start && await "$c" stopped
}

# --- start and end
ok "a container runs to its end" run /bin/sh -c "'echo hello; exit 3'"
is "its output is on the console" "$(cat "$c/console")" hello
is "its status is in exit" "$(cat "$c/exit")" "exited 3"
is "it is stopped" "$(cat "$c/state")" stopped
is "the verbs of a stopped one" "$(xargs <"$c/ctl")" "start prepare"
ok "it can be started again" put "$c/ctl" start
await "$c" stopped
is "its console keeps both runs" "$(cat "$c/console")" $'hello\nhello'
run /bin/sh -c "'kill -SEGV \$\$; sleep 9'"
is "pid 1 is safe from its own default signals, as the kernel says" "$(cat "$c/exit")" "exited 0"

# --- running
new /bin/sh -c "'trap \"echo bye; exit 0\" TERM; echo up; while :; do sleep 0.05; done'"
put "$c/ctl" start
is "start returns when it runs" "$(cat "$c/state")" running
is "the verbs of a running one" "$(sort "$c/ctl" | xargs)" "kill pause signal stop"
pid=$(cat "$c/pid")
ok "pid is its init's" test "$(readlink "/proc/$pid/root")" = /
is "proc leads to it" "$(readlink "$c/proc")" "/proc/$pid"
refused "start of a running one" EEXIST 'ctl: start: the machine is running' "$c" put "$c/ctl" start
refused "rmdir of a running one" EBUSY 'running' "$c" rmdir "$c"
refused "reset is not for containers" EINVAL 'not a verb' "$c" put "$c/ctl" reset
refused "resume of a running one" EEXIST 'running' "$c" put "$c/ctl" resume
soon "its console is there while it runs" 5 grep -q up "$c/console"
ok "stop asks it to end" put "$c/ctl" stop 20
ok "and it ends by itself" await "$c" stopped
is "with its own status" "$(cat "$c/exit")" "exited 0"
like "having said so" "$(cat "$c/console")" bye
ok "nothing is left of it" pid_gone "$pid"

new /bin/sh -c "'trap : TERM; while :; do sleep 0.05; done'"
put "$c/ctl" start
put "$c/ctl" stop 1
is "stop returns at once" "$(cat "$c/state")" stopping
ok "who does not listen is killed when the time is over" await "$c" stopped 5
is "and exit says so" "$(cat "$c/exit")" "signaled 9"

new /bin/sleep 100
put "$c/ctl" start
ok "kill" put "$c/ctl" kill
await "$c" stopped
is "kill's ending" "$(cat "$c/exit")" "signaled 9"

# --- signals
new /bin/sh -c "'trap \"echo usr1\" USR1; echo up; while :; do sleep 0.05; done'"
put "$c/ctl" start
soon "it is up" 5 grep -q up "$c/console"
ok "signal by name" put "$c/ctl" signal USR1
soon "it arrives" 5 grep -q usr1 "$c/console"
refused "no such signal" EINVAL 'no signal "FOO"' "$c" put "$c/ctl" signal FOO
refused "a signal without its name" EINVAL 'which' "$c" put "$c/ctl" signal
put "$c/ctl" kill
await "$c" stopped

# --- pause
new /bin/sh -c "'i=0; while :; do i=\$((i+1)); echo \$i; sleep 0.02; done'"
put "$c/ctl" start
soon "it counts" 5 grep -q 3 "$c/console"
ok "pause" put "$c/ctl" pause
is "it is paused" "$(cat "$c/state")" paused
is "the verbs of a paused one" "$(sort "$c/ctl" | xargs)" "kill resume signal stop"
before=$(wc -c <"$c/console")
sleep 0.2
is "nothing of it runs" "$(wc -c <"$c/console")" "$before"
ok "resume" put "$c/ctl" resume
longer() { [ "$(wc -c <"$c/console")" -gt "$before" ]; }
soon "it goes on" 5 longer
put "$c/ctl" pause
ok "a paused one can be killed" put "$c/ctl" kill
ok "and ends" await "$c" stopped 5

# --- typed input
new /bin/cat
put "$c/ctl" start
put "$c/console" "typed to it"
soon "what is written to console is typed" 5 grep -q 'typed to it' "$c/console"
tty=$(readlink "$c/tty")
ok "tty leads to a terminal" test -c "$tty"
sh -c "echo over the tty >'$tty'" # a child: a session's leader would make it its own terminal
soon "what is typed on the tty arrives" 5 grep -q 'over the tty' "$c/console"
put "$c/ctl" kill
await "$c" stopped
refused "nobody is there to type to" EBUSY 'stopped' "$c" put "$c/console" x

# --- refused starts
new /bin/nothing
refused "an init that is not there" ENOENT '/bin/nothing' "$c" put "$c/ctl" start
is "leaves it stopped" "$(cat "$c/state")" stopped
new /bin/true
put "$c/root" ""
refused "no root" EINVAL 'root: not set' "$c" put "$c/ctl" start
refused "a root that is not there" ENOENT 'root: /nowhere' "$c" put "$c/root" /nowhere
refused "a root that is a file" EINVAL 'not a directory' "$c" put "$c/root" /etc/passwd
put "$c/root" "$root"
put "$c/init.cwd" /nowhere
refused "a working directory that is not there" ENOENT 'init.cwd' "$c" put "$c/ctl" start
put "$c/init.cwd" /
put "$c/ctl" start
is "a start clears the refusal" "$(cat "$c/error")" ""
await "$c" stopped
uuid=$(cat "$c/uuid")
ok "rmdir" rmdir "$c"
not_ok "it is gone" test -e "$c"

# --- nothing is left
is "no mount is left on the host" "$(grep -c "$root" /proc/self/mountinfo)" 0
is "no control group is left" "$(find /sys/fs/cgroup -name "container-$uuid" | wc -l)" 0
done_testing
