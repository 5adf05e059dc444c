# shellcheck shell=bash
# tests/lib.sh: what a test script sources (". tests/lib.sh", from the top level). It prints TAP.
#
# A test reads as a specification: sentences, each with the command that must bear it out.
#
#   . tests/lib.sh
#   machinefs_start                       a daemon with its own state, mounted at $M
#   ok "mkdir makes a machine" mkdir "$M/vm/web"
#   is "it is stopped" "$(cat "$M/vm/web/state")" stopped
#   refused "no 9999 CPUs" EINVAL 'outside 1\.\.' "$M/vm/web" put "$M/vm/web/cpu.count" 9999
#   done_testing
#
# $T is the test's own directory (a tmpfs where the runner could make one). What is left running
# or mounted at the end is cleaned up here, and by the runner's box when this script dies.

set -u
export LC_ALL=C
: "${B:=build}"
MACHINEFS=${MACHINEFS:-$B/machinefs}
if [ -n "${TEST_TMP-}" ]; then
	T=$TEST_TMP
else
	T=$(mktemp -d "${TMPDIR:-/tmp}/machinefs-test.XXXXXX") || exit 1
	own_tmp=1
fi
tap_count=0 tap_failed=0 tap_planned=
M='' MACHINEFS_PID=''

# --- results -----------------------------------------------------------------------------

diag() {
	printf '%s\n' "$*" | sed 's/^/# /'
}

pass() {
	tap_count=$((tap_count + 1))
	printf 'ok %d - %s\n' "$tap_count" "${1//#/\\#}"
}

# fail NAME [WHY]: always returns 1.
fail() {
	tap_count=$((tap_count + 1)) tap_failed=$((tap_failed + 1))
	printf 'not ok %d - %s\n' "$tap_count" "${1//#/\\#}"
	[ $# -lt 2 ] || diag "$2"
	return 1
}

# ok NAME COMMAND...: the command succeeds.
ok() {
	local name=$1 out status
	shift
	out=$("$@" 2>&1)
	status=$?
	if [ $status = 0 ]; then
		pass "$name"
	else
		fail "$name" "status $status of: $*"$'\n'"$out"
	fi
}

# not_ok NAME COMMAND...: the command fails.
not_ok() {
	local name=$1 out
	shift
	if out=$("$@" 2>&1); then
		fail "$name" "this succeeded: $*"$'\n'"$out"
	else
		pass "$name"
	fi
}

# is NAME GOT WANT
is() {
	if [ "$2" = "$3" ]; then
		pass "$1"
	else
		fail "$1" "   got: $2"$'\n'"wanted: $3"
	fi
}

# like NAME GOT REGEXP, unlike NAME GOT REGEXP (extended regular expressions)
like() {
	if [[ $2 =~ $3 ]]; then
		pass "$1"
	else
		fail "$1" "        got: $2"$'\n'"not matched: $3"
	fi
}

unlike() {
	if [[ $2 =~ $3 ]]; then
		fail "$1" "    got: $2"$'\n'"matched: $3"
	else
		pass "$1"
	fi
}

# soon NAME SECONDS COMMAND...: the command succeeds within so many seconds.
soon() {
	local name=$1 seconds=$2
	shift 2
	if poll "$seconds" "$@"; then
		pass "$name"
	else
		fail "$name" "not within $seconds s: $*"
	fi
}

pid_gone() {
	! kill -0 "$1" 2>/dev/null
}

# poll SECONDS COMMAND...: repeats it until it succeeds; 1 when the time is over. The lab has more.
poll() {
	local end=$((${EPOCHREALTIME/./} + $1 * 1000000 * ${LAB_SLOWER:-1}))
	shift
	until "$@" >/dev/null 2>&1; do
		[ "${EPOCHREALTIME/./}" -lt "$end" ] || return 1
		sleep 0.02
	done
}

# The message by which a shell command tells each errno of machinefs(5).
errno_message() {
	case $1 in
	EINVAL) echo 'Invalid argument' ;;
	EBUSY) echo 'Device or resource busy' ;;
	EEXIST) echo 'File exists' ;;
	ENOENT) echo 'No such file or directory' ;;
	EPERM) echo 'Operation not permitted' ;;
	EACCES) echo 'Permission denied' ;;
	ENXIO) echo 'No such device or address' ;;
	ENOSPC) echo 'No space left on device' ;;
	EIO) echo 'Input/output error' ;;
	ESTALE) echo 'Stale file handle' ;;
	*) echo "no such errno in machinefs(5): $1" ;;
	esac
}

# refused NAME ERRNO REGEXP DIR COMMAND...: the command fails with that errno, and DIR/error
# then holds "ERRNO sentence" whose sentence matches. REGEXP '' asks for no sentence. Where the tree
# is seen through something that delivers another errno, errno_as[ERRNO] is that.
declare -A errno_as=()
refused() {
	local name=$1 errno=$2 regexp=$3 dir=$4 out said
	shift 4
	if out=$("$@" 2>&1); then
		fail "$name" "this succeeded: $*"
		return
	fi
	if [[ $out != *"$(errno_message "${errno_as[$errno]:-$errno}")"* ]]; then
		fail "$name" "wanted ${errno_as[$errno]:-$errno} from: $*"$'\n'"   got: $out"
		return
	fi
	[ -n "$regexp" ] || { pass "$name"; return; }
	said=$(cat "$dir/error" 2>&1)
	if [[ $said =~ ^$errno\ .*($regexp) ]]; then
		pass "$name"
	else
		fail "$name" "$dir/error: $said"$'\n'"wanted: $errno ... $regexp"
	fi
}

skip() {
	tap_count=$((tap_count + 1))
	printf 'ok %d - %s # SKIP %s\n' "$tap_count" "${1//#/\\#}" "$2"
}

# Only before the first result.
skip_all() {
	printf '1..0 # SKIP %s\n' "$*"
	tap_planned=1
	exit 0
}

done_testing() {
	printf '1..%d\n' "$tap_count"
	tap_planned=1
	[ "$tap_failed" = 0 ]
	exit
}

need_root() {
	[ "$(id -u)" = 0 ] || skip_all "needs root"
}

need_command() {
	local command
	for command; do
		command -v "$command" >/dev/null || skip_all "needs $command"
	done
}

need_overlay() {
	grep -qw overlay /proc/filesystems || modprobe overlay 2>/dev/null || skip_all "this kernel has no overlayfs"
}

need_loop() {
	[ -e /dev/loop-control ] || modprobe loop 2>/dev/null
	losetup -f >/dev/null 2>&1 || skip_all "no loop devices here"
}

# Whether this kernel counts what users have on an ext4 file system (CONFIG_QFMT_V2).
user_quotas() {
	truncate -s 16M "$T/try" && mkfs.ext4 -q -O quota -E quotatype=usrquota:grpquota "$T/try" &&
		mkdir -p "$T/tried" && mount -o loop "$T/try" "$T/tried" 2>/dev/null && umount "$T/tried"
}

# device_opens PATH: it is a device and can be opened (a shell's <> would make a file where there
# is none).
device_opens() {
	[ -c "$1" ] && (: <>"$1") 2>/dev/null
}

need_device() {
	device_opens "$1" || skip_all "cannot open $1"
}

# --- files -------------------------------------------------------------------------------

# put FILE TEXT...: one write of the words and a newline.
put() {
	local file=$1
	shift
	printf '%s\n' "$*" >"$file"
}

# value FILE KEY: the value of KEY in a flat keyed file.
value() {
	sed -n "s/^$2 //p" "$1"
}

state_is() {
	[ "$(cat "$1/state" 2>/dev/null)" = "$2" ]
}

# await DIR STATE [SECONDS]: waits in the filesystem's own way.
await() {
	put "$1/wait" "$2 $((${3:-20} * ${LAB_SLOWER:-1}))"
}

# A root directory of busybox for a container, made once by make.
busybox_root() {
	local root=${1:-$T/root}
	cp -a "$B/tests/rootfs" "$root" || return 1
	echo "$root"
}

# --- the daemon --------------------------------------------------------------------------

# Whether the program under test was built with sanitizers, which have memory and calls of their own.
sanitized() {
	grep -q libasan "$MACHINEFS"
}

# machinefs_start [OPTION...]: starts $MACHINEFS on $M, $STATE_DIR and $RUN_DIR (made below $T
# the first time, kept for the next start) and returns when the mount answers. The words of the
# array MACHINEFS_UNDER go before it: MACHINEFS_UNDER=("$B/tests/fault/failcall" fsync EIO 3)
machinefs_start() {
	M=${M:-$T/machines} STATE_DIR=${STATE_DIR:-$T/state} RUN_DIR=${RUN_DIR:-$T/run}
	[ -x "$MACHINEFS" ] || skip_all "$MACHINEFS is not built"
	mkdir -p "$M" "$STATE_DIR" "$RUN_DIR"
	${MACHINEFS_UNDER[@]+"${MACHINEFS_UNDER[@]}"} "$MACHINEFS" -f --state-dir "$STATE_DIR" --run-dir "$RUN_DIR" "$@" "$M" \
		</dev/null >>"$T/machinefs.log" 2>&1 &
	MACHINEFS_PID=$!
	poll 10 machinefs_answers_or_died
	if ! cat "$M/version" >/dev/null 2>&1; then
		echo "Bail out! machinefs did not come up"
		diag "$(cat "$T/machinefs.log")"
		exit 1
	fi
}

machinefs_answers_or_died() {
	cat "$M/version" || ! kill -0 "$MACHINEFS_PID"
}

# Ends the daemon as an administrator would; machines go on.
machinefs_stop() {
	kill -TERM "$MACHINEFS_PID" 2>/dev/null
	wait "$MACHINEFS_PID" 2>/dev/null
	local status=$?
	MACHINEFS_PID=
	return $status
}

# The daemon dies at once; its dead mount is taken away, machines go on.
machinefs_kill9() {
	kill -KILL "$MACHINEFS_PID" 2>/dev/null
	wait "$MACHINEFS_PID" 2>/dev/null
	MACHINEFS_PID=
	umount -l "$M" 2>/dev/null || fusermount3 -u -z "$M" 2>/dev/null
	return 0
}

# Kills every machine and waits until none is left, so that their control groups go too.
machines_kill() {
	local ctl
	for ctl in "$M"/vm/*/ctl "$M"/container/*/ctl; do
		[ -e "$ctl" ] || continue
		state_is "${ctl%/ctl}" stopped && continue
		put "$ctl" kill
		put "${ctl%ctl}wait" stopped 5
	done 2>/dev/null
	return 0
}

tap_exit() {
	local status=$?
	if [ -n "$MACHINEFS_PID" ]; then
		if [ "$tap_failed" != 0 ] || [ -z "$tap_planned" ]; then
			diag "the daemon's log:"$'\n'"$(tail -n 30 "$T/machinefs.log")"
		fi
		machines_kill
		machinefs_stop
	fi
	[ -z "$M" ] || umount -l "$M" 2>/dev/null
	[ -z "${own_tmp-}" ] || rm -rf --one-file-system "$T"
	[ -n "$tap_planned" ] || echo "Bail out! the script ended early, status $status"
	exit "$status"
}
trap tap_exit EXIT
trap 'exit 129' HUP INT TERM
