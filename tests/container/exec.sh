#!/bin/bash
# Sessions: further processes in a running container, container/NAME/exec/NAME.
# timeout: 240
. tests/lib.sh
. tests/machines.sh
need_root
machinefs_start
c=$M/container/c

new() { # NAME COMMAND...: a session that is to execute this
	mkdir "$c/exec/$1" && put "$c/exec/$1/argv" "${@:2}"
}

run() { # NAME COMMAND...: to its end
	new "$@" && put "$c/exec/$1/ctl" start && await "$c/exec/$1" stopped
}

printed() { # NAME COMMAND...: runs it, and says what it printed
	run "$@" && cat "$c/exec/$1/stdout"
}

# --- before the container runs
container_new c /bin/sh -c "'trap \"exit 0\" TERM; echo up; while :; do sleep 0.05; done'"
ok "a container has sessions before it runs" mkdir "$c/exec/early"
put "$c/exec/early/argv" /bin/true
refused "but they cannot start" EBUSY 'container is stopped' "$c/exec/early" \
	put "$c/exec/early/ctl" start
mkdir "$c/exec/none"
refused "a session without a command" EINVAL 'argv: no command' "$c/exec/none" \
	put "$c/exec/none/ctl" start
rmdir "$c/exec/none" "$c/exec/early"
put "$c/ctl" start
soon "the container is up" 5 grep -q up "$c/console"

is "rootfs leads into it" "$(readlink "$c/rootfs")" "/proc/$(cat "$c/pid")/root"
ok "as it sees it" test -x "$c/rootfs/bin/busybox"
ok "ns to its namespaces" test -e "$c/ns/net"

# --- one session's life
ok "a session runs to its end" run a /bin/sh -c "'echo out; echo err >&2; exit 3'"
is "what it printed" "$(cat "$c/exec/a/stdout")" out
is "and what as errors" "$(cat "$c/exec/a/stderr")" err
is "how it ended" "$(cat "$c/exec/a/exit")" "exited 3"
is "it can start again" "$(cat "$c/exec/a/ctl")" start
ok "it does" put "$c/exec/a/ctl" start
await "$c/exec/a" stopped
is "with new logs" "$(cat "$c/exec/a/stdout")" out
ok "rmdir removes it" rmdir "$c/exec/a"
not_ok "and what it printed" test -e "$c/exec/a"
ok "nothing of it is in the configuration" sh -c "! grep -q exec '$c/config.yaml'"

# --- what it is
is "it is in the container's namespaces" \
	"$(printed ns sh -c "'for n in pid mnt net uts ipc cgroup; do readlink /proc/self/ns/\$n; done'")" \
	"$(for n in pid mnt net uts ipc cgroup; do readlink "$c/proc/ns/$n"; done)"
rmdir "$c/exec/ns"
is "its capabilities, filter, no_new_privs are the container's" \
	"$(printed caps grep -E '^(Cap|Seccomp:|NoNewPrivs)' /proc/self/status)" \
	"$(grep -E '^(Cap|Seccomp:|NoNewPrivs)' "/proc/$(cat "$c/pid")/status")"
is "in the container's control group" "$(printed group sort /proc/self/cgroup)" \
	"$(printed group1 sort /proc/1/cgroup)"
is "no descriptor but 0 1 2 (3 is ls's own)" "$(printed fds sh -c "'ls /proc/self/fd | xargs'")" "0 1 2 3"
is "no signal blocked or ignored, nothing protected from the OOM killer" \
	"$(printed sig sh -c "'grep -E \"Sig(Blk|Ign)\" /proc/self/status; cat /proc/self/oom_score_adj'")" \
	$'SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n0'
like "its parent is no process of the container" "$(printed parent grep PPid /proc/self/status)" \
	$'PPid:\t0'

# --- settings
new s sh -c "'id -u; id -g; pwd; echo \$A \$HOME; echo again > /dev/stdout'"
put "$c/exec/s/user" 1234:567
put "$c/exec/s/cwd" /bin
put "$c/exec/s/env" "A=b c"
put "$c/exec/s/ctl" start
await "$c/exec/s" stopped
is "user, cwd, env" "$(cat "$c/exec/s/stdout")" $'1234\n567\n/bin\nb c /\nagain'
is "a user has no capabilities" "$(put "$c/exec/s/argv" grep CapEff /proc/self/status
	put "$c/exec/s/ctl" start; await "$c/exec/s" stopped; cat "$c/exec/s/stdout")" \
	$'CapEff:\t0000000000000000'
put "$c/exec/s/cwd" /missing
refused "a directory that is not there" ENOENT 'cwd: /missing' "$c/exec/s" put "$c/exec/s/ctl" start
is "it is stopped then" "$(cat "$c/exec/s/state")" stopped
put "$c/exec/s/cwd" /
put "$c/exec/s/argv" /bin/nothing
refused "a program that is not there" ENOENT 'argv: not in the root directory: /bin/nothing' \
	"$c/exec/s" put "$c/exec/s/ctl" start

# --- stdin
new cat cat
put "$c/exec/cat/ctl" start
is "it runs" "$(cat "$c/exec/cat/state")" running
is "pid is its process" "$(cat "/proc/$(cat "$c/exec/cat/pid")/comm")" cat
refused "settings stay while it runs" EBUSY 'while the session is running' "$c/exec/cat" \
	put "$c/exec/cat/argv" ls
refused "rmdir of a running one" EBUSY 'kill it first' "$c/exec/cat" rmdir "$c/exec/cat"
put "$c/exec/cat/stdin" hello
put "$c/exec/cat/stdin" there
soon "it reads stdin" 5 grep -q there "$c/exec/cat/stdout"
head -c 300000 /dev/zero | tr '\0' x >"$c/exec/cat/stdin"
ok "eof ends it" put "$c/exec/cat/ctl" eof
await "$c/exec/cat" stopped
is "not a byte is lost" "$(stat -c %s "$c/exec/cat/stdout")" 300012
refused "nobody reads any more" EBUSY 'stdin: the session is stopped' "$c/exec/cat" \
	put "$c/exec/cat/stdin" more
new deaf sh -c "'exec <&-; echo up; sleep 100'"
put "$c/exec/deaf/ctl" start
soon "it has closed stdin" 5 grep -q up "$c/exec/deaf/stdout"
refused "who does not read is told of" EIO 'nobody reads' "$c/exec/deaf" \
	put "$c/exec/deaf/stdin" x

# --- signals
ok "kill" put "$c/exec/deaf/ctl" kill
await "$c/exec/deaf" stopped
is "its ending" "$(cat "$c/exec/deaf/exit")" "signaled 9"
new trap sh -c "'trap \"echo usr1; exit 7\" USR1; echo up; while :; do sleep 0.02; done'"
put "$c/exec/trap/ctl" start
soon "it is up" 5 grep -q up "$c/exec/trap/stdout"
ok "signal" put "$c/exec/trap/ctl" signal USR1
await "$c/exec/trap" stopped
is "it arrives" "$(cat "$c/exec/trap/exit")" "exited 7"

# --- a terminal
new tty sh -c "'tty; stty size >/dev/null && echo is a terminal; read x; echo got \$x; cat'"
put "$c/exec/tty/tty" 1
put "$c/exec/tty/ctl" start
soon "a session with a tty has one" 5 grep -q 'is a terminal' "$c/exec/tty/stdout"
put "$c/exec/tty/stdin" typed
soon "it can be typed to" 5 grep -q 'got typed' "$c/exec/tty/stdout"
put "$c/exec/tty/ctl" eof
ok "end of input" await "$c/exec/tty" stopped

# --- much output
new much sh -c "'seq 0 59999 | sed \"s/.*/line & of very much output/\"'"
timeout 180 tail -n +1 -f "$c/exec/much/stdout" >"$T/followed" 2>/dev/null &
tail=$!
put "$c/exec/much/ctl" start
await "$c/exec/much" stopped 60
is "its last line is there" "$(tail -n 1 "$c/exec/much/stdout")" "line 59999 of very much output"
ok "but not more than 2 MiB" test "$(stat -c %s "$c/exec/much/stdout")" -le $((2 << 20))
soon "tail -f follows it" 30 grep -q "line 59999" "$T/followed"
kill $tail
wait $tail 2>/dev/null

# --- many at once
for i in $(seq 40); do new "n$i" sh -c "'read x; echo $i'"; done
starts=()
for i in $(seq 40); do
	put "$c/exec/n$i/ctl" start &
	starts+=($!)
done
wait "${starts[@]}"
is "forty at once" "$(cat "$c"/exec/n*/state | sort -u)" running
for i in $(seq 40); do put "$c/exec/n$i/stdin" go; done
for i in $(seq 40); do await "$c/exec/n$i" stopped; done
is "each with its own output" "$(cat "$c"/exec/n*/stdout | sort -n | xargs)" "$(seq 40 | xargs)"

# --- paused
put "$c/ctl" pause
refused "none starts in a paused container" EBUSY 'container is paused' "$c/exec/n1" \
	put "$c/exec/n1/ctl" start
put "$c/ctl" resume

# --- without the daemon
new long sh -c "'echo before; read x; echo \$x; exit 5'"
put "$c/exec/long/ctl" start
new brief sh -c "'sleep 0.5; echo meanwhile; exit 6'"
put "$c/exec/brief/ctl" start
pid=$(cat "$c/exec/long/pid")
machinefs_kill9
ok "a session outlives the daemon" kill -0 "$pid"
sleep 0.7
machinefs_start
is "the next one finds it" "$(cat "$c/exec/long/state")" running
is "as the same process" "$(cat "$c/exec/long/pid")" "$pid"
is "and how the other ended" "$(cat "$c/exec/brief/exit")" "exited 6"
is "what it printed" "$(cat "$c/exec/brief/stdout")" meanwhile
is "settings are there" "$(cat "$c/exec/s/user" "$c/exec/s/env")" $'1234:567\nA=b c'
put "$c/exec/long/stdin" after
ok "it goes on" await "$c/exec/long" stopped
is "with what it is given" "$(cat "$c/exec/long/stdout" "$c/exec/long/exit")" $'before\nafter\nexited 5'

# --- rename, owner
ok "mv" mv "$c/exec/long" "$c/exec/renamed"
is "its output goes along" "$(head -n 1 "$c/exec/renamed/stdout")" before
ok "its owner follows the container's" test "$(stat -c %u "$c/exec")" = 0
ok "exec can be somebody else's" chown 1234 "$c/exec"

# --- with its container
new last sleep 100
put "$c/exec/last/ctl" start
put "$c/ctl" kill
await "$c" stopped
is "it ends with its container" "$(cat "$c/exec/last/state" "$c/exec/last/exit")" $'stopped\nsignaled 9'
ok "its output stays" test -s "$c/exec/renamed/stdout"
put "$c/ctl" start
put "$c/exec/last/ctl" start
pid=$(cat "$c/exec/last/pid")
kill -9 "$(ps -o ppid= -p "$(cat "$c/pid")")"
await "$c" failed
soon "it dies with its monitor" 5 pid_gone "$pid"
is "and says so" "$(cat "$c/exec/last/state")" failed
ok "the container can be removed with its sessions" rmdir "$c"

# --- namespaces: none, and all
container_new c sleep 1000
put "$c/namespaces" "pid mount net uts ipc cgroup user time"
put "$c/ctl" start
is "a session in a user and a time namespace" \
	"$(printed all sh -c "'id -u; readlink /proc/self/ns/user; readlink /proc/self/ns/time'")" \
	$'0\n'"$(readlink "$c/proc/ns/user" "$c/proc/ns/time")"
put "$c/ctl" kill
await "$c" stopped
put "$c/namespaces" ""
put "$c/ctl" start
is "without any it has the container's root" "$(printed none sh -c "'ls /bin/busybox; ls -d /etc/apt'")" \
	/bin/busybox
put "$c/ctl" kill
await "$c" stopped
done_testing
