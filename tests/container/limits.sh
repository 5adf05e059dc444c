#!/bin/bash
# A container's limits: they hold, they change while it runs, and what is used can be read.
# timeout: 180
. tests/lib.sh
need_root
machinefs_start
root=$(busybox_root)
c=$M/container/c
mkdir "$c"
put "$c/root" "$root"

new() {
	put "$c/init" "$*"
	put "$c/ctl" start
}

end() {
	put "$c/ctl" kill 2>/dev/null
	await "$c" stopped
}

# As the kernel has it while it runs.
limit() { # FILE_V2 FILE_V1: of the container's group
	local dir
	for dir in /sys/fs/cgroup /sys/fs/cgroup/*; do
		dir=$(echo "$dir"/machinefs*/container-"$(cat "$c/uuid")")
		[ -f "$dir/$1" ] && cat "$dir/$1" && return
		[ -f "$dir/$2" ] && cat "$dir/$2" && return
	done
}

# --- memory
# One process alone takes it: while the kernel frees what a killed one had, another of the group that
# asks for more has it choose once more, and what is left to choose from may be init alone.
put "$c/memory.size" 16M
is "a size is printed in bytes" "$(cat "$c/memory.size")" 16777216
new /bin/sh -c "'tail -c 64m /dev/zero >/dev/null; echo \"status \$?\"; sleep 100'"
soon "a hog is killed, init is not" 10 grep -q 'status 137' "$c/console"
like "memory.current is what it uses" "$(cat "$c/memory.current")" '^[1-9][0-9]+$'
like "memory.stat has cgroup v2's keys" "$(cat "$c/memory.stat")" 'anon [0-9]+'
ok "more memory while it runs" put "$c/memory.size" 128M
is "is the setting" "$(cat "$c/memory.size")" 134217728
is "and the kernel's" "$(limit memory.max memory.limit_in_bytes)" 134217728
refused "a limit that is no size" EINVAL '"64MB"' "$c" put "$c/memory.size" 64MB
end
put "$c/memory.size" max

# --- processes
put "$c/pids.max" 10
# A shell that cannot fork ends: not init's, which needs no other process any more.
new /bin/sh -c "'(i=0; while [ \$i -lt 30 ]; do sleep 50 & i=\$((i+1)); done); exec sleep 100'"
soon "a fork bomb meets the limit" 10 grep -qi 'fork' "$c/console"
ok "it stays within" eval '[ "$(cat "$c/pids.current")" -gt 5 ] && [ "$(cat "$c/pids.current")" -le 10 ]'
counted() { # RESOURCE COLUMN: in the table of accounting
	awk -v r="$1" -v n="$2" 'NR == 1 { for (i = 1; i <= NF; i++) if ($i == n) at = i } $1 == r { print $at }' "$c/accounting"
}
ok "accounting counts what failed" test "$(counted numproc failcnt)" -gt 0
is "and has the limit" "$(counted numproc barrier) $(counted numproc limit)" "10 10"
end
put "$c/pids.max" max

# --- CPU
usage() { value "$c/cpu.stat" usage_usec; }
put "$c/cpu.max" 10000 100000
new /bin/sh -c "'while :; do :; done'"
then=${EPOCHREALTIME/./}
first=$(usage)
used() { [ $(($(usage) - first)) -gt 50000 ]; }
soon "a tenth of a CPU is used" 30 used
sleep 1
ok "and not more" test $((($(usage) - first) * 100 / (${EPOCHREALTIME/./} - then))) -lt 25
ok "the limit can go while it runs" put "$c/cpu.max" max
more() { # than a tenth can be, in half a second; on a busy machine sooner or later
	local used then=${EPOCHREALTIME/./}
	used=$(usage)
	sleep 0.5
	[ $((($(usage) - used) * 100 / (${EPOCHREALTIME/./} - then))) -gt 15 ]
}
soon "then it gets more" 30 more
ok "its weight can change while it runs" put "$c/cpu.weight" 50
is "and reads back" "$(cat "$c/cpu.weight")" 50
like "as the kernel has it" "$(limit cpu.weight cpu.shares)" '^(50|512)$'
refused "what cannot change while it runs" EBUSY 'root.writable: cannot change while' "$c" \
	put "$c/root.writable" none
like "stat has it all" "$(cat "$c/stat")" 'memory.current [1-9]'
end

# --- CPUs, sets, devices: as the kernel has them while it runs
new /bin/sh -c "'sleep 1000 & while :; do sleep 0.02; done'"
mkdir "$c/exec/s"
put "$c/exec/s/argv" sleep 1000
ok "half of two CPUs at once" put "$c/cpu.count" 2
like "is a quota" "$(limit cpu.max cpu.cfs_quota_us)" '^200000'
ok "a lower quota stays" put "$c/cpu.max" 50000 100000
like "as it was asked for" "$(limit cpu.max cpu.cfs_quota_us)" '^50000'
ok "bursts" put "$c/cpu.burst" 1000
is "are there" "$(limit cpu.max.burst cpu.cfs_burst_us)" 1000
put "$c/cpu.burst" 0
put "$c/cpu.max" max
put "$c/cpu.count" max
like "and all can go" "$(limit cpu.max cpu.cfs_quota_us)" '^(max|-1)'
if ok "a set of CPUs, while it runs" put "$c/cpu.affinity" 0; then
	is "holds for init" "$(awk '/Cpus_allowed_list/ { print $2 }' "/proc/$(cat "$c/pid")/status")" 0
	put "$c/exec/s/ctl" start
	is "and for a session" \
		"$(awk '/Cpus_allowed_list/ { print $2 }' "/proc/$(cat "$c/exec/s/pid")/status")" 0
	put "$c/exec/s/ctl" kill
	ok "and nodes" put "$c/memory.numa" 0
	ok "it can go" put "$c/cpu.affinity" ''
	is "again" "$(awk '/Cpus_allowed_list/ { print $2 }' "/proc/$(cat "$c/pid")/status")" \
		"$(awk '/Cpus_allowed_list/ { print $2 }' /proc/self/status)"
	put "$c/memory.numa" ''
fi
refused "CPUs that there are not" EINVAL 'cpu.affinity' "$c" put "$c/cpu.affinity" 4000
disk=$(awk 'NR == 1 { sub(/ .*/, ""); print } ' /proc/self/mountinfo >/dev/null; cat /sys/block/*/dev 2>/dev/null | head -n 1)
if [ -z "$disk" ]; then
	skip "io.max" "no block device"
elif put "$c/io.max" "$disk rbps=1048576 wiops=120" 2>/dev/null; then
	like "io.max of a device" "$(limit io.max blkio.throttle.read_bps_device)" "$disk.*1048576"
	put "$c/io.max" "$disk wbps=2M riops=max"
	is "a size may have a unit" "$(cat "$c/io.max")" "$disk wbps=2097152 riops=max"
	like "which the kernel has" "$(limit io.max blkio.throttle.write_bps_device)" "$disk.*2097152"
	refused "nothing at all is no limit" EINVAL '"rbps=0"' "$c" put "$c/io.max" "$disk rbps=0"
	ok "it can go" put "$c/io.max" "$disk default"
	unlike "again" "$(limit io.max blkio.throttle.read_bps_device)" 1048576
else
	like "io.max where there is no controller" "$(cat "$c/error")" '^ENXIO io.max'
fi
refused "no device" ENXIO 'io.max' "$c" put "$c/io.max" "4000:1 rbps=1"
refused "not a limit of devices" EINVAL 'rbps' "$c" put "$c/io.max" "8:0 fast"
put "$c/memory.size" 64M
if put "$c/memory.swap.max" 16M 2>/dev/null; then
	like "swap" "$(limit memory.swap.max memory.memsw.limit_in_bytes)" '^(16777216|83886080)'
	ok "memory grows beyond what both were" put "$c/memory.size" 128M
	ok "and shrinks" put "$c/memory.size" 32M
	put "$c/memory.swap.max" max
else
	like "swap where the kernel cannot" "$(cat "$c/error")" '^ENXIO memory.swap.max'
fi
ok "memory.low" put "$c/memory.low" 8M
is "is there" "$(limit memory.low memory.soft_limit_in_bytes)" 8388608
put "$c/memory.low" 0
unlike "and goes" "$(limit memory.low memory.soft_limit_in_bytes)" 8388608
if [ -n "$(limit memory.high -)" ]; then
	ok "memory.high" put "$c/memory.high" 48M
	is "is there" "$(limit memory.high -)" 50331648
	put "$c/memory.high" max
	is "and goes" "$(limit memory.high -)" max
else
	refused "memory.high" ENXIO 'memory.high: this kernel has no such limit' "$c" \
		put "$c/memory.high" 48M
fi
# Of disks: by one scheduler, or by another, whose weights end at 1000.
weights() {
	echo "$(limit io.weight blkio.weight) $(limit io.bfq.weight blkio.bfq.weight)"
}
weighs=$(weights | xargs)
if [ -n "$weighs" ]; then
	ok "io.weight" put "$c/io.weight" 300
	like "is there" "$(weights)" '300|118'
	put "$c/io.weight" 100
	unlike "and goes" "$(weights)" '300|118'
else
	refused "io.weight where there is none" ENXIO 'io.weight' "$c" put "$c/io.weight" 300
fi
if [ -n "$(limit hugetlb.2MB.max hugetlb.2MB.limit_in_bytes)" ]; then
	ok "hugetlb.max" put "$c/hugetlb.max" 2M 4M
	is "is there" "$(limit hugetlb.2MB.max hugetlb.2MB.limit_in_bytes)" 4194304
	put "$c/hugetlb.max" 2M default
	unlike "and goes" "$(limit hugetlb.2MB.max hugetlb.2MB.limit_in_bytes)" '^4194304$'
	refused "no pages of that size" ENXIO 'hugetlb.max' "$c" put "$c/hugetlb.max" 16M 4194304
else
	refused "hugetlb.max where there is none" ENXIO 'hugetlb.max' "$c" put "$c/hugetlb.max" 2M 4194304
fi
put "$c/memory.size" 64M
put "$c/pids.max" 50
counters=$(cat "$c/accounting")
like "accounting is a table" "$(head -n 1 <<<"$counters" | xargs)" \
	'^resource held maxheld barrier limit failcnt$'
like "of processes" "$(awk '$1 == "numproc" { print $2, $5 }' <<<"$counters")" '^[1-9][0-9]* 50$'
ok "what was held at most is not less than what is" test "$(counted physpages maxheld)" -ge "$(counted physpages held)"
like "and memory" "$(awk '$1 == "physpages" { print $2, $5 }' <<<"$counters")" '^[1-9][0-9]* 16384$'
machinefs_kill9
machinefs_start
is "the next daemon leaves them as they are" "$(limit pids.max pids.max)" 50
end
put "$c/cpu.affinity" 0
put "$c/memory.low" 8M
put "$c/cpu.weight" 70
[ -z "$weighs" ] || put "$c/io.weight" 300
new /bin/sh -c "'grep Cpus_allowed_list /proc/self/status; sleep 100'"
soon "one that starts with a set has it" 5 grep -q 'list:.0$' "$c/console"
is "and others" "$(limit memory.low memory.soft_limit_in_bytes) $(limit cpu.weight cpu.shares | sed 's/^717$/70/')" "8388608 70"
[ "$(cat "$c/io.weight")" = 100 ] || like "of disks, too" "$(weights)" '300|118'
end
is "nothing is left of its groups" "$(limit cpuset.cpus blkio.throttle.read_bps_device)" ""
is "a stopped one uses nothing" "$(cat "$c/memory.current")" 0
done_testing
