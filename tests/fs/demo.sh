#!/bin/bash
# examples/demo.sh: does what it shows, and leaves nothing behind wherever it is interrupted.
# timeout: 180
. tests/lib.sh
need_root
need_device /dev/fuse
export TMPDIR=$T
unset TEST_TMP

# Control groups of machines without processes, of any pid namespace.
empty_groups() {
	find /sys/fs/cgroup -path '*/machinefs/*/pids.current' 2>/dev/null | while read -r file; do
		[ "$(cat "$file" 2>/dev/null)" != 0 ] || echo "${file%/*}"
	done | sort
}

leftovers() {
	ls -d "$T"/machinefs-* 2>/dev/null
	grep -F "$T/machinefs-" /proc/self/mounts
	pgrep -f "$T/machinefs-"
	pgrep -x machinefs
	empty_groups >"$T/groups.1"
	[ ! -s "$T/groups.1" ] || { sleep 2; empty_groups >"$T/groups.2"; }
	[ ! -s "$T/groups.1" ] ||
		comm -12 "$T/groups.1" "$T/groups.2" | comm -23 - "$T/groups.0"
	return 0
}

# Starts the demo as a shell at a terminal would, in a process group of its own.
demo() {
	set -m
	examples/demo.sh >"$T/out" 2>&1 &
	demo=$!
	set +m
}

shown() {
	grep -q "$1" "$T/out"
}

empty_groups >"$T/groups.0"
for step in '^$ ls' 'init$' 'start > container' 'cat container/web/error' 'stopped > container' \
	'start > vm' 'booting the lab'; do
	demo
	if ! poll 20 shown "$step" || ! kill -0 "$demo" 2>/dev/null; then
		wait "$demo"
		skip "interrupted at $step" "this step is not shown on this machine"
		continue
	fi
	case $step in
	*lab*) sleep 2 ;; # QEMU runs
	esac
	kill -INT -- -"$demo"
	wait "$demo"
	is "interrupted at $step, it ends with the status of an interrupt" $? 130
	is "interrupted at $step, it leaves nothing behind" "$(leftovers)" ""
done

# Building the lab is not this test's business.
if grep -qwE 'svm|vmx' /proc/cpuinfo || [ -f build/lab/key ] ||
	! command -v qemu-system-x86_64 >/dev/null; then
	timeout 100 examples/demo.sh >"$T/out" 2>&1
	is "it succeeds from beginning to end" $? 0 || diag "$(tail -n 20 "$T/out")"
	like "it shows what a container prints" "$(cat "$T/out")" 'hello from web, process 1'
	like "and why a write is refused" "$(cat "$T/out")" 'EINVAL memory.size: "-5" is not'
else
	skip "it succeeds from beginning to end" "the lab is not built"
fi
done_testing
