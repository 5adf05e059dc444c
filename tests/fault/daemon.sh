#!/bin/bash
# A system call of the daemon fails: it never crashes, never hangs, never acknowledges what is lost,
# and goes on afterwards. Which calls there are is seen by strace during the same work; of all pairs
# of a call and an errno that it may have, FAULTS (default 100, or all) are tried, picked by
# FAULT_SEED. FAULT_CALLS="CALL ERRNO COUNT AFTER..." tries others; FAULT_DEBUG=1 shows them.
# timeout: 900
. tests/lib.sh
. tests/machines.sh
need_root
need_command strace
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

# What runs, and what it waits for.
processes() {
	local p
	for p in /proc/[0-9]*; do
		echo "${p#/proc/} $(tr '\0' ' ' <"$p/cmdline") in $(cat "$p/wchan"),"
	done 2>/dev/null | grep machinefs | xargs
}

# A daemon under failcall may fail to start: then it must have said so.
try() { # SYSCALL ERRNO AFTER COUNT
	local failcall_pid daemon
	rm -f "$T/report"
	: >"$T/noted"
	"$failcall" -o -c "$4" -r "$T/report" "$1" "$2" "$3" "$MACHINEFS" -f --state-dir "$STATE_DIR" \
		--run-dir "$RUN_DIR" "$M" </dev/null >"$T/one.log" 2>&1 &
	MACHINEFS_PID=$! failcall_pid=$!
	poll 10 machinefs_answers_or_died
	daemon=$(pgrep -P "$failcall_pid" -x machinefs)
	if [ -n "$daemon" ] && mountpoint -q "$M"; then
		timeout 60 bash -c "M=$M T=$T; $(declare -f put work); work" >/dev/null 2>"$T/work.err"
		[ $? != 124 ] || echo "hangs"
		timeout 20 cat "$M/version" >/dev/null 2>&1 || echo "the daemon does not answer: $(tail -n 3 "$T/one.log")"
		kill -KILL "$daemon" || echo "the daemon has died: $(tail -n 3 "$T/one.log")"
		# It has the state directory until it is gone, which takes a large one its time.
		poll 10 pid_gone "$daemon" || echo "kill -9 does not end it"
	elif ! grep -q '^machinefs: .\|: error while loading shared libraries: .' "$T/one.log"; then
		echo "did not start, and did not say why: $(cat "$T/one.log")"
	fi
	umount -l "$M" 2>/dev/null
	machinefs_start
	lost
	end_all
	machinefs_stop
	# It stays until the last monitor under its filter has gone.
	poll 20 pid_gone "$failcall_pid" || { echo "left behind: $(processes)"; kill -KILL "$failcall_pid"; }
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
		[ -z "$said" ] || wrong+=$'\n'"$call $error $count $after: $said"
	done
	is "$call fails with $error after $* calls" "$wrong" ''
}
if [ -n "${FAULT_CALLS-}" ]; then
	while read -r call error count after; do
		# shellcheck disable=SC2086
		wrong_of "$call" "$error" "$count" $after
	done <<<"$FAULT_CALLS"
	done_testing
fi

# What a call may answer: errnos; "later ERRNO" for those of the memory, which before main() are the
# dynamic linker's, and a sanitizer's own; "never" with the reason why it is not tried.
errnos_of() {
	case $1 in
	read | pread64 | getdents64 | lseek | fstat | newfstatat | statx | readlink | readlinkat) echo EIO ;;
	write | pwrite64 | ftruncate | fdatasync | fsync) echo EIO ENOSPC ;;
	close) echo EIO ;;
	openat | open) echo EMFILE EIO EACCES ;;
	openat2) echo EMFILE EAGAIN EACCES ;;
	mkdirat | mkdir | renameat | renameat2) echo ENOSPC EIO EROFS ;;
	unlinkat) echo EIO EROFS ;;
	socket | socketpair | accept4 | memfd_create | eventfd2 | epoll_create1 | pidfd_open | pipe2 | dup3 | dup | dup2) echo EMFILE ;;
	connect | bind | listen) echo EACCES ENOMEM ;;
	setsockopt | epoll_ctl | fcntl | clone3 | clone | vfork | fork | setgroups) echo ENOMEM EAGAIN ;;
	getsockopt | getsockname) echo ENOBUFS ;;
	sendmsg) echo EPIPE ENOMEM EAGAIN ;;
	recvmsg) echo EIO ENOMEM ;;
	epoll_wait | epoll_pwait | poll | ppoll | waitid | wait4) echo EINTR ;;
	pidfd_send_signal | kill | tgkill) echo ESRCH ;;
	sched_setscheduler | mount | umount2 | open_tree | mount_setattr | fchmod | chmod | bpf | flock | faccessat2 | fgetxattr | fchown | fchownat | ioctl | prctl) echo EPERM ;;
	timerfd_create | timerfd_settime | utimensat) echo ENOMEM ;;
	mmap | mprotect | mremap) echo later ENOMEM ;;
	writev) echo never "an answer to the kernel fails only when its client has gone" ;;
	munmap | madvise | brk) echo never "giving back does not fail; brk tells no errno" ;;
	getpid | getuid | geteuid | getgid | getegid | gettid | getrandom | umask | set_* | rseq | prlimit64 | arch_prctl | uname | sysinfo | getcwd) echo never "cannot fail as we call it" ;;
	rt_sig* | sigaltstack | clock_* | sched_*) echo never "cannot fail as we call it" ;;
	setfsuid | setfsgid) echo never "tells no errno" ;;
	futex) echo never "libc's own locks, which take no failure" ;;
	execve | access | exit_group | exit | restart_syscall) echo never "is the linker's, or the end" ;;
	esac
}

# --- which calls there are
# A sanitizer that looks for leaks traces, too; two cannot.
MACHINEFS_UNDER=(env "ASAN_OPTIONS=${ASAN_OPTIONS-}:detect_leaks=0" strace -o "$T/strace")
machinefs_start
served=$(wc -l <"$T/strace")
work >/dev/null 2>&1
end_all
pkill -TERM -P "$MACHINEFS_PID" machinefs
wait "$MACHINEFS_PID"
MACHINEFS_UNDER=() MACHINEFS_PID=
: >"$T/all"
unknown=
while read -r total early call; do
	read -ra errnos <<<"$(errnos_of "$call")"
	case ${errnos[0]-} in
	'') unknown+=" $call" ;;
	never) ;;
	later) sanitized || for ((i = early; i < total; i++)); do echo "$call ${errnos[1]} 1 $i"; done ;;
	*) for ((i = 0; i < total; i++)); do echo "$call ${errnos[i % ${#errnos[@]}]} 1 $i"; done ;;
	esac >>"$T/all"
done < <(awk -F'(' -v served="$served" '/^[a-z]/ { total[$1]++; early[$1] += NR <= served }
	END { for (call in total) print total[call], early[call], call }' "$T/strace" | sort -k3)
is "every call that the daemon makes is known here" "$unknown" ''

# --- each fails
FAULT_SEED=${FAULT_SEED:-$RANDOM}
diag "FAULT_SEED=$FAULT_SEED: ${FAULTS:-100} of $(wc -l <"$T/all")"
awk -v seed="$FAULT_SEED" 'BEGIN { srand(seed) } { print rand() "\t" $0 }' "$T/all" | sort | cut -f2 >"$T/some"
[ "${FAULTS:-100}" = all ] || sed -i "$((${FAULTS:-100} + 1)),\$d" "$T/some"
while read -r call; do
	wrong=''
	while read -r _ error count after; do
		said=$(try "$call" "$error" "$after" "$count")
		[ -z "$said" ] || wrong+=$'\n'"FAULT_CALLS='$call $error $count $after': $said"
	done < <(grep "^$call " "$T/some")
	is "$call fails" "$wrong" ''
done < <(cut -d' ' -f1 "$T/some" | sort -u)

# --- and goes on failing
while read -r call error after; do
	wrong_of "$call" "$error" 0 "$after"
done <<<"fdatasync EIO 3
fsync ENOSPC 5
renameat EIO 4
memfd_create EMFILE 0
socket EMFILE 3"
done_testing
