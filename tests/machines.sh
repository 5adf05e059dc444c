# shellcheck shell=bash
# tests/machines.sh: machines for the tests of the tree, sourced after tests/lib.sh.

TINY=$PWD/$B/tests/guest/tiny.elf

# container_new NAME COMMAND...: a container with busybox's root, one for all of the test.
container_new() {
	local c=$M/container/$1
	shift
	[ -d "$T/root" ] || busybox_root >/dev/null || return 1
	mkdir "$c" && put "$c/root" "$T/root" && put "$c/init" "$*"
}

# session_said CONTAINER COMMAND...: what a session of it prints.
session_said() {
	local s=$1/exec/s
	shift
	[ -d "$s" ] || mkdir "$s"
	put "$s/argv" "$@" && put "$s/ctl" start && await "$s" stopped &&
		cat "$s/stdout" "$s/stderr"
}

# vm_new NAME WORD...: a VM with the tiny guest, which does what the words say (tests/guest/tiny.c).
vm_new() {
	local v=$M/vm/$1
	shift
	mkdir "$v" && put "$v/boot.kernel" "$TINY" && put "$v/memory.size" 32M &&
		put "$v/boot.cmdline" "$*"
}

# run_all MACHINE...: those are started, in this order, that do not run.
run_all() {
	local one
	for one; do
		state_is "$one" running || put "$one/ctl" start || return
	done
}

can_run_vms() {
	device_opens /dev/kvm && [ -e "$TINY" ]
}

# The tree as text: every file of a directory with mode, owner and content.
snapshot() {
	(cd "$1" && for file in *; do
		[ -f "$file" ] && printf '%s %s\n' "$(stat -c '%n %A %u %g' "$file")" "$(cat "$file")"
	done)
}
