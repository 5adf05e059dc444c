#!/bin/bash
# vCPUs that come and go while Debian's kernel runs, and what cpu.online says of them.
# timeout: 160
. tests/lib.sh
. tests/linux.sh
need_linux
machinefs_start
linux_new v
v=$M/vm/v
linux_has() { # FILE TEXT: of sysfs, asked for seldom
	for _ in {1..40}; do
		[ "$(guest v cat "/sys/devices/system/cpu/$1")" != "$2" ] || return 0
		sleep 0.5
	done
	return 1
}

ok "4 vCPUs boot, with room for 8" linux_boot v "cpu.count 4" "cpu.possible 8" \
	"cpu.topology sockets=2 cores=2 threads=2" "cpu.affinity 0-7 0" || done_testing
is "cpu.online: what the guest has brought up" "$(cat "$v/cpu.online")" 0-3
guest v 'echo 0 > /sys/devices/system/cpu/cpu2/online'
is "one that it takes down is not in it" "$(cat "$v/cpu.online")" 0-1,3
guest v 'echo 1 > /sys/devices/system/cpu/cpu2/online'
is "and is again when it comes up" "$(cat "$v/cpu.online")" 0-3

ok "two more come while it runs" put "$v/cpu.count" 6
ok "the guest sees them" linux_has present 0-5
is "not yet online" "$(cat "$v/cpu.online")" 0-3
ok "it brings them up" guest v 'echo 1 > /sys/devices/system/cpu/cpu4/online; echo 1 > /sys/devices/system/cpu/cpu5/online'
is "cpu.online knows" "$(cat "$v/cpu.online")" 0-5
is "they are on a socket of their own" "$(guest v cat /sys/devices/system/cpu/cpu5/topology/physical_package_id)" 1
ok "one of them does what it is told" guest v 'taskset 20 true'
affinity() { grep -l '^vcpu' "/proc/$(cat "$v/pid")/task/"*/comm | while read -r comm; do
	sed -n 's/^Cpus_allowed_list:\t//p' "${comm%comm}status"
done | sort | uniq -c | xargs; }
is "each vCPU's thread is where it was put" "$(affinity)" "6 0"
refused "more than there is room for" EBUSY 'cpu.count: there is room for 8 vCPUs' "$v" put "$v/cpu.count" 9
is "changes nothing" "$(cat "$v/cpu.count")" 6
ok "four are taken away" put "$v/cpu.count" 2
ok "the guest lets go of them" linux_has present 0-1
is "cpu.online knows that, too" "$(cat "$v/cpu.online")" 0-1
ok "one comes back" put "$v/cpu.count" 3
ok "the guest sees it" linux_has present 0-2
ok "and can use it again" guest v 'echo 1 > /sys/devices/system/cpu/cpu2/online && taskset 4 true'
is "cpu.online" "$(cat "$v/cpu.online")" 0-2
guest_end v
done_testing
