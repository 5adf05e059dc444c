#!/bin/bash
# More vCPUs than an APIC id of 8 bits can number.
# timeout: 160
. tests/lib.sh
. tests/linux.sh
need_linux
machinefs_start
linux_new v
v=$M/vm/v
ok "258 vCPUs, ids to 257, boot" linux_boot v "cpu.count 258" "memory.size 1G" \
	"boot.cmdline console=ttyS0 quiet panic=-1 maxcpus=2" || done_testing
is "all are there" "$(guest v cat /sys/devices/system/cpu/present)" 0-257
ok "the last comes up" guest v 'echo 1 > /sys/devices/system/cpu/cpu257/online'
is "cpu.online has it" "$(cat "$v/cpu.online")" 0-1,257
is "with its id" "$(guest v 'sed -n "/^processor.*257/,/^$/s/^apicid.*: //p" /proc/cpuinfo')" 257
# An interrupt from the IOAPIC, to a CPU whose id has 9 bits: the console's, which each command takes.
serial=$(guest v 'sed -n "s/^ *\([0-9]*\):.*ttyS0/\1/p" /proc/interrupts')
taken() { # the serial port's interrupts by CPU 257, which is the third that is online
	guest v "sed -n 's/^ *$serial: *[0-9]* *[0-9]* *\([0-9]*\) .*/\1/p' /proc/interrupts"
}
is "CPU 257 has taken no interrupt of the serial port" "$(taken)" 0
guest v "echo 257 > /proc/irq/$serial/smp_affinity_list" >/dev/null
guest v true
count=$(taken)
ok "now it takes them ($count)" test "$count" -gt 0
guest_end v
done_testing
