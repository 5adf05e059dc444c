#!/bin/bash
# vCPUs as Debian's kernel sees them: how many, of what topology and model, where they run, and what
# they cost when they have nothing to do. cpu_plug.sh: they come and go; cpu_many.sh: more than 255.
# timeout: 200
. tests/lib.sh
. tests/linux.sh
need_linux
machinefs_start
linux_new v /usr/bin/lscpu
v=$M/vm/v

# --- topology and affinity
ok "4 vCPUs boot" linux_boot v "cpu.count 4" "cpu.possible 8" \
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
pid=$(cat "$v/pid")
affinity() { grep -l '^vcpu' "/proc/$pid/task/"*/comm | while read -r comm; do
	sed -n 's/^Cpus_allowed_list:\t//p' "${comm%comm}status"
done | sort | uniq -c | xargs; }
is "each vCPU's thread is where it was put" "$(affinity)" "4 0"
first=$(awk '{print $14 + $15}' "/proc/$pid/stat")
sleep 3
used=$(($(awk '{print $14 + $15}' "/proc/$pid/stat") - first))
diag "idle vCPUs used $used ticks of 300"
ok "a guest that halts costs next to nothing" test $used -lt 30
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
done_testing
