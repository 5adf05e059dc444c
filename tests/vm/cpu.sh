#!/bin/bash
# vCPUs as Debian's kernel sees them: how many, what model and topology, where they run; and ids
# that take more than 8 bits.
# timeout: 400
. tests/lib.sh
. tests/linux.sh
need_linux
machinefs_start
linux_new v /usr/bin/lscpu
v=$M/vm/v

# --- topology, affinity, plugging
ok "4 vCPUs boot, with room for 8" linux_boot v "cpu.count 4" "cpu.possible 8" \
	"cpu.topology sockets=2 cores=2 threads=2" "cpu.affinity 0-7 0" || done_testing
seen=$(guest v 'lscpu | grep -E "^CPU.s.|per|Socket"')
like "lscpu: 4" "$seen" '^CPU\(s\): +4'
like "lscpu: one socket of the two" "$seen" 'Socket\(s\): +1'
like "lscpu: of two cores" "$seen" 'Core\(s\) per socket: +2'
like "lscpu: of two threads" "$seen" 'Thread\(s\) per core: +2'
is "siblings are neighbours" "$(guest v cat /sys/devices/system/cpu/cpu3/topology/thread_siblings_list)" 2-3
like "the deadline timer, kvmclock and x2APIC are there" \
	"$(guest v 'grep -m1 ^flags /proc/cpuinfo; cat /sys/devices/system/clocksource/clocksource0/current_clocksource')" \
	'x2apic.*tsc_deadline_timer.*kvm-clock'
is "cpu.online: what the guest has brought up" "$(cat "$v/cpu.online")" 0-3
guest v 'echo 0 > /sys/devices/system/cpu/cpu2/online'
is "one that it takes down is not in it" "$(cat "$v/cpu.online")" 0-1,3
guest v 'echo 1 > /sys/devices/system/cpu/cpu2/online'
is "and is again when it comes up" "$(cat "$v/cpu.online")" 0-3

ok "two more come while it runs" put "$v/cpu.count" 6
linux_has() { # FILE TEXT: of sysfs, asked for seldom
	for _ in {1..40}; do
		[ "$(guest v cat "/sys/devices/system/cpu/$1")" != "$2" ] || return 0
		sleep 0.5
	done
	return 1
}
ok "the guest sees them" linux_has present 0-5
is "not yet online" "$(cat "$v/cpu.online")" 0-3
ok "it brings them up" guest v 'echo 1 > /sys/devices/system/cpu/cpu4/online; echo 1 > /sys/devices/system/cpu/cpu5/online'
is "cpu.online knows" "$(cat "$v/cpu.online")" 0-5
is "they are on a socket of their own" "$(guest v cat /sys/devices/system/cpu/cpu5/topology/physical_package_id)" 1
pid=$(cat "$v/pid")
affinity() { grep -l '^vcpu' "/proc/$pid/task/"*/comm | while read -r comm; do
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
first=$(awk '{print $14 + $15}' "/proc/$pid/stat")
sleep 3
used=$(($(awk '{print $14 + $15}' "/proc/$pid/stat") - first))
diag "idle vCPUs used $used ticks of 300"
ok "a guest that halts costs next to nothing" test $used -lt 100
guest_end v
is "of one that does not run, none is online" "$(cat "$v/cpu.online")" ''
refused "a CPU that the host has not" ENXIO 'cpu.affinity: vCPU 1 ' "$v" eval "put $v/cpu.affinity 1 4000; put $v/ctl start"
put "$v/cpu.affinity" 1 default
put "$v/cpu.affinity" 0-7 default
put "$v/cpu.possible" 1
refused "a topology of another number" EINVAL 'cpu.topology: it has places for 8 vCPUs, the machine has 2' "$v" \
	eval "put $v/cpu.count 2; put $v/ctl start"
put "$v/cpu.topology" auto

# --- models
ok "x86-64-v2 boots" linux_boot v "cpu.count 1" "cpu.model x86-64-v2 +aes"
flags=$(guest v grep -m1 ^flags /proc/cpuinfo)
like "it has SSE 4.2, and what was added" "$flags" ' sse4_2 .* aes '
unlike "and no AVX" "$flags" ' avx '
like "it is called so" "$(guest v grep -m1 ^model.name /proc/cpuinfo)" 'x86-64-v2 processor'
guest_end v
refused "a flag that the host has not" ENXIO 'cpu.model: this host has no avx512f, which is part of x86-64-v4' \
	"$v" eval "put $v/cpu.model x86-64-v4; put $v/ctl start"
refused "a model that nobody knows" EINVAL 'cpu.model: "i486" is not a model' "$v" put "$v/cpu.model" i486
refused "a flag that nobody knows" EINVAL 'cpu.model: "warp" is not a flag' "$v" put "$v/cpu.model" host +warp
ok "host, without a flag" linux_boot v "cpu.model host -aes"
unlike "has it not" "$(guest v grep -m1 ^flags /proc/cpuinfo)" ' aes '
guest_end v
put "$v/cpu.model" host

# --- more than 255
ok "258 vCPUs, ids to 257, boot" linux_boot v "cpu.count 258" "memory.size 1G" \
	"boot.cmdline console=ttyS0 quiet panic=-1 maxcpus=2"
is "all are there" "$(guest v cat /sys/devices/system/cpu/present)" 0-257
ok "the last comes up" guest v 'echo 1 > /sys/devices/system/cpu/cpu257/online'
is "with its id" "$(guest v 'sed -n "/^processor.*257/,/^$/s/^apicid.*: //p" /proc/cpuinfo')" 257
# An interrupt from the IOAPIC, to a CPU whose id has 9 bits.
serial=$(guest v 'sed -n "s/^ *\([0-9]*\):.*ttyS0/\1/p" /proc/interrupts')
guest v "echo 257 > /proc/irq/$serial/smp_affinity_list" >/dev/null
is "the serial port interrupts it" "$(guest v "cat /proc/irq/$serial/effective_affinity_list")" 257
guest_end v
done_testing
