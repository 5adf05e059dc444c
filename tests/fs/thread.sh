#!/bin/bash
# isolation = thread: the same machine on a thread of the daemon, with whom it ends.
# What ls, cat and words do is what is tried here.
# shellcheck disable=SC2012
. tests/lib.sh
. tests/machines.sh
need_root
machinefs_start
fds() { ls "/proc/$MACHINEFS_PID/fd" | wc -l; }
threads() { ls "/proc/$MACHINEFS_PID/task" | wc -l; }
container_new c /bin/sh -c "'echo hello; while read -r line; do echo got \$line; done; sleep 1000'"
c=$M/container/c
put "$c/isolation" thread
put "$c/ctl" start
put "$c/ctl" kill
await "$c" stopped 5
sleep 0.2
before_fds=$(fds) before_threads=$(threads)

ok "a container starts" put "$c/ctl" start
is "it runs" "$(cat "$c/state")" running
pid=$(cat "$c/pid")
is "its init is the daemon's child" "$(awk '{ print $4 }' "/proc/$pid/stat")" "$MACHINEFS_PID"
soon "its console is there" 5 grep -q hello "$c/console"
put "$c/console" 'some words'
soon "it hears" 5 grep -q 'got some words' "$c/console"
put "$c/ctl" pause
is "it pauses" "$(cat "$c/state")" paused
put "$c/ctl" resume
refused "isolation does not change while it runs" EBUSY 'isolation: cannot change' "$c" put "$c/isolation" process
put "$c/ctl" kill
ok "it ends" await "$c" stopped 5
is "with its exit" "$(cat "$c/exit")" "signaled 9"
back() { [ "$(fds)" = "$before_fds" ] && [ "$(threads)" = "$before_threads" ]; }
soon "nothing of it is left in the daemon" 5 back
for _ in {1..20}; do
	put "$c/ctl" start && put "$c/ctl" kill && await "$c" stopped 5
done
soon "nor after twenty more" 5 back
for i in {1..5}; do
	container_new "m$i" /bin/sh -c "'sleep 0.\$((RANDOM % 3)); exit $i'" && put "$M/container/m$i/isolation" thread && put "$M/container/m$i/ctl" start
done
for i in {1..5}; do await "$M/container/m$i" stopped 10; done
is "five at once" "$(cat "$M"/container/m?/exit | xargs)" "exited 1 exited 2 exited 3 exited 4 exited 5"
put "$c/init" /bin/nosuch
refused "a refused start" ENOENT 'init: ' "$c" put "$c/ctl" start
is "leaves it stopped" "$(cat "$c/state")" stopped
put "$c/init" /bin/sleep 1000

container_new p /bin/sleep 1000
put "$M/container/p/ctl" start
put "$c/ctl" start
pid=$(cat "$c/pid")
machinefs_stop
is "SIGTERM ends the daemon" $? 0
soon "and such a container with it" 3 pid_gone "$pid"
machinefs_start
is "it was stopped" "$(cat "$c/state")" stopped
like "and says how it ended" "$(cat "$c/exit")" '^(signaled|exited) [0-9]+$'
is "one with a process of its own is" "$(cat "$M/container/p/state")" running
is "no control group is left" "$(find /sys/fs/cgroup -name "*-$(cat "$c/uuid")" -type d | wc -l)" 0
put "$c/ctl" start
pid=$(cat "$c/pid")
machinefs_kill9
soon "kill -9 ends it as well" 3 pid_gone "$pid"
machinefs_start
is "it has failed" "$(cat "$c/state")" failed
ok "and starts again" put "$c/ctl" start
put "$M/ctl" shutdown
soon "shutdown ends all" 20 pid_gone "$MACHINEFS_PID"
done_testing
