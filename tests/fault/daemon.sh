#!/bin/bash
# A system call fails, each one that the daemon makes in turn: it never crashes, never hangs, never
# acknowledges what is lost, and goes on afterwards.  timeout: 300
. tests/lib.sh
. tests/machines.sh
need_root
failcall=$B/tests/fault/failcall
[ -x "$failcall" ] || skip_all "$failcall is not built"
busybox_root >/dev/null

# What a user does; each step that succeeds is noted as "FILE VALUE", to be found again.
work() {
	local c=$M/container/c
	note() { echo "$*" >>"$T/noted"; }
	mkdir "$c" || mkdir "$c"
	[ ! -d "$c" ] || note made
	put "$c/root" "$T/root" && note "root $T/root"
	put "$c/init" "/bin/sh -c 'echo up; sleep 1000'" && note "init /bin/sh -c 'echo up; sleep 1000'"
	put "$c/memory.size" 64M && note "memory.size 67108864"
	put "$c/label" 'a b' && note "label a b"
	chmod 600 "$c/label" && note "mode 600"
	put "$c/ctl" start && note running
	put "$c/memory.size" 32M && note "memory.size 33554432"
	put "$c/ctl" pause && put "$c/ctl" resume
	cat "$c"/{state,console,config.yaml,memory.current,stat,error,events} >/dev/null
	mv "$c" "$M/container/d" && note renamed && mv "$M/container/d" "$c" && note back
	mkdir "$M/container/x" && note x && rmdir "$M/container/x" && note "no x"
}

# What was acknowledged is there.
lost() {
	local c=$M/container/c key value
	grep -qx renamed "$T/noted" && ! grep -qx back "$T/noted" && c=$M/container/d
	grep -qx made "$T/noted" || { [ ! -e "$c" ] && return 1; }
	for key in root init memory.size label; do
		value=$(grep "^$key " "$T/noted" | tail -n 1) || continue
		[ -z "$value" ] || [ "$(cat "$c/$key")" = "${value#"$key "}" ] || { echo "$value, but it is $(cat "$c/$key")"; return 0; }
	done
	! grep -qx 'mode 600' "$T/noted" || [ "$(stat -c %a "$c/label")" = 600 ] || { echo "mode"; return 0; }
	! grep -qx running "$T/noted" || [[ $(cat "$c/state") =~ ^(running|paused)$ ]] || { echo "running, but it is $(cat "$c/state"): $(cat "$c/error")"; return 0; }
	grep -qx 'no x' "$T/noted" && [ -e "$M/container/x" ] && { echo "x is there"; return 0; }
	[ "$(tail -n 1 "$T/noted" 2>/dev/null)" != x ] || [ -e "$M/container/x" ] || { echo "x is not there"; return 0; }
	return 1
}

end_all() {
	local c
	for c in "$M"/container/*/; do
		[ -e "$c/ctl" ] || continue
		put "$c/ctl" kill 2>/dev/null && await "$c" stopped 10
		rmdir "$c"
	done 2>/dev/null
}

# A daemon under failcall may fail to start: then it must have said so.
try() { # SYSCALL ERRNO AFTER COUNT
	local failcall_pid daemon
	rm -f "$T/report"
	: >"$T/noted"
	"$failcall" -c "$4" -r "$T/report" "$1" "$2" "$3" "$MACHINEFS" -f --state-dir "$STATE_DIR" \
		--run-dir "$RUN_DIR" "$M" </dev/null >"$T/one.log" 2>&1 &
	MACHINEFS_PID=$! failcall_pid=$!
	poll 10 machinefs_answers_or_died
	daemon=$(pgrep -P "$failcall_pid" -x machinefs)
	if [ -n "$daemon" ] && mountpoint -q "$M"; then
		timeout 20 bash -c "M=$M T=$T; $(declare -f put work); work" >/dev/null 2>"$T/work.err"
		[ $? != 124 ] || echo "hangs"
		timeout 5 cat "$M/version" >/dev/null 2>&1 || echo "the daemon does not answer: $(tail -n 3 "$T/one.log")"
		kill -KILL "$daemon" || echo "the daemon has died: $(tail -n 3 "$T/one.log")"
	elif ! grep -q '^machinefs: .' "$T/one.log"; then
		echo "did not start, and did not say why: $(cat "$T/one.log")"
	fi
	umount -l "$M" 2>/dev/null
	machinefs_start
	lost
	end_all
	machinefs_stop
	# It stays until the last monitor under its filter has gone.
	poll 5 pid_gone "$failcall_pid" || { echo "a monitor is left"; kill -KILL "$failcall_pid"; }
	wait "$failcall_pid" 2>/dev/null
	[ -z "${FAULT_DEBUG-}" ] || { echo "# $*: $(cat "$T/report")"; cat "$T/noted" "$T/work.err" "$T/one.log"; } >&2
}

M=$T/machines STATE_DIR=$T/state RUN_DIR=$T/run
mkdir -p "$M" "$STATE_DIR" "$RUN_DIR"
wrong_of() { # SYSCALL ERRNO COUNT AFTER...
	local call=$1 error=$2 count=$3 after wrong='' said
	shift 3
	for after; do
		said=$(try "$call" "$error" "$after" "$count")
		[ -z "$said" ] || wrong+=$'\n'"$call $error after $after: $said"
	done
	is "$call fails with $error, once after $* calls" "$wrong" ''
}
while read -r call error count after; do
	# shellcheck disable=SC2086
	wrong_of "$call" "$error" "$count" $after
done <<<"${FAULT_CALLS:-fdatasync EIO 1 0 1 2 3 4 5 6 8 10 12 14
fsync EIO 1 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15
renameat ENOSPC 1 0 1 2 3 4 6 8
renameat2 EIO 1 0 1 2 3
mkdirat ENOSPC 1 0 1 2 3
unlinkat EIO 1 0 1 2 3 5
openat EMFILE 1 3 6 9 12 15 20 25 30 40 50 60 80 100
memfd_create EMFILE 1 0 1
socket EMFILE 1 0 1 2
ftruncate EIO 1 0 1
sendmsg EPIPE 1 0 1 2 3
recvmsg EIO 1 0 1 2
accept4 EMFILE 1 0
epoll_ctl ENOMEM 1 0 2 4 6 8 10
clone3 EAGAIN 1 0 1
vfork EAGAIN 1 0
pidfd_open EMFILE 1 0 1
bind EACCES 1 0
eventfd2 EMFILE 1 0 1 2
fdatasync EIO 0 3
fsync ENOSPC 0 5
renameat EIO 0 4
memfd_create EMFILE 0 0
socket EMFILE 0 3}"
done_testing
