#!/bin/bash
# A monitor in waiting that cannot raise its walls is no machine's misfortune: it tries again for the
# one that gets it, which starts behind walls or is told why it does not.
. tests/lib.sh
. tests/machines.sh
need_root
can_run_vms || skip_all "no VMs here"
failcall=$B/tests/fault/failcall
[ -x "$failcall" ] || skip_all "$failcall is not built"

# daemon CALL ERRNO AFTER [COUNT]: whose monitors' call fails.
daemon() {
	MACHINEFS_UNDER=("$failcall" -c "${4-1}" -r "$T/report" "$1" "$2" "$3")
	machinefs_start
	daemon=$(pgrep -P "$MACHINEFS_PID" -x machinefs)
}
waits() {
	[ "$(pgrep -P "$daemon" -f "machinefs-monitor --spare vm" | wc -l)" = 1 ]
}
monitor_of() {
	pgrep -f "^machinefs-monitor --monitor vm/$1 *$"
}
walled() { # NAME: it has a network namespace of its own, and no files
	[ "$(readlink "/proc/$(monitor_of "$1")/ns/net")" != "$(readlink "/proc/$daemon/ns/net")" ] &&
		[ -z "$(ls -A "/proc/$(monitor_of "$1")/root")" ]
}
runs() {
	grep -q 'tiny: hello' "$M/vm/$1/console"
}
end_all() {
	local v
	for v in "$M"/vm/*; do
		put "$v/ctl" kill && await "$v" stopped
		rmdir "$v"
	done 2>/dev/null
	kill -TERM "$daemon"
	wait "$MACHINEFS_PID"
	MACHINEFS_PID=
}

for failure in 'pivot_root EPERM' 'unshare ENOSPC' 'mount ENOMEM'; do
	read -r call error <<<"$failure"
	after=1 # those of the first machine's, which are raised
	[ "$call" != mount ] || after=2
	daemon "$call" "$error" $after
	for v in a b c; do vm_new $v hello wait; done
	put "$M/vm/a/ctl" start
	soon "$failure: a first machine runs" 10 runs a
	soon "$failure: a monitor waits" 10 waits
	ok "$failure: another machine starts" put "$M/vm/b/ctl" start
	soon "$failure: and runs" 10 runs b
	ok "$failure: behind walls" walled b
	soon "$failure: another waits" 10 waits
	ok "$failure: for the next" put "$M/vm/c/ctl" start
	soon "$failure: which runs" 10 runs c
	ok "$failure: behind walls, too" walled c
	end_all
	is "$failure: one call has failed" "$(cut -d' ' -f2 "$T/report")" 1
done

# --- of the first, at once; and always
daemon pivot_root EPERM 0
vm_new a hello wait
ok "a first machine for which it fails once starts" put "$M/vm/a/ctl" start
soon "and runs" 10 runs a
ok "behind walls" walled a
end_all
daemon pivot_root EPERM 0 0
vm_new a hello wait
for i in 1 2; do
	refused "one for which it always fails does not ($i)" EPERM '' "$M/vm/a" put "$M/vm/a/ctl" start
	like "and is told why ($i)" "$(cat "$M/vm/a/error")" "start: the monitor's empty root: Operation not permitted"
done
end_all
done_testing
