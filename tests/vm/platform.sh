#!/bin/bash
# The board as Debian's kernel uses it; and what becomes of a guest whose kernel crashes, or that does not
# wind up its watchdog.
# timeout: 300
. tests/lib.sh
. tests/linux.sh
need_linux
machinefs_start
linux_new v pvpanic-mmio wdat_wdt msr virtio_pci virtio_rng
v=$M/vm/v
put "$v/boot.cmdline" "console=ttyS0 quiet panic=0"
state_comes() { await "$v" "$1" 60; }

ok "a guest with a watchdog boots" linux_boot v "panic pause" "watchdog reset" || done_testing
like "it has taken the PCI bus's memory for configuration" "$(guest v 'dmesg | grep MMCONFIG')" \
	'PCI: MMCONFIG at .* reserved in ACPI motherboard resources'
interrupts() { guest v "sed -n 's/^ *[0-9]*: *\([0-9]*\) *PCI-MSI .*virtio0-input/\1/p' /proc/interrupts"; }
before=$(interrupts)
guest v dd if=/dev/hwrng of=/dev/null bs=64 count=4 >/dev/null
after=$(interrupts)
ok "a queue's interrupts are messages ($before, $after)" test "$after" -gt "$before"
is "its timer is the deadline" "$(guest v cat /sys/devices/system/clockevents/clockevent0/current_device)" lapic-deadline
# KVM's MSR_KVM_PV_EOI_EN: an address, and bit 0.
bytes() { guest v "dd if=$1 iflag=skip_bytes bs=$3 count=1 skip=$(($2)) 2>/dev/null | od -An -tx1 | tr -d ' '"; }
eoi=$(bytes /dev/cpu/0/msr 0x4b564d04 8)
like "the end of an interrupt takes no exit" "$eoi" '^[0-9a-f][13579bdf][0-9a-f]{14}$'
is "it finds a VM generation id" "$(guest v cat /sys/bus/acpi/devices/MCFS0001:00/hid)" MCFS0001
genid() { bytes /dev/mem 0xffe00 16; }
first=$(genid)
like "of 16 bytes" "$first" '^[0-9a-f]{32}$'
unlike "that are there" "$first" '^0*$'
like "pvpanic's driver is bound" "$(guest v ls /sys/bus/acpi/devices/QEMU0001:00/physical_node/driver/)" QEMU0001
like "so is the watchdog's" "$(guest v ls /dev)" watchdog0
ok "it is wound up with 2 s to go" guest v 'watchdog -T 2 -t 100 /dev/watchdog0'
linux_from[v]=$(stat -c %s "$v/console")
ok "nobody winds it up again: reset, as it was told" linux_waits 300 v '^guest: listens'
like "events tells" "$(cat "$v/events")" ' vm/v watchdog reset'
is "it runs" "$(cat "$v/state")" running
is "it is the machine that it was" "$(genid)" "$first"
is "stat counts the reset" "$(value "$v/stat" resets)" 1
put "$v/console" 'echo c > /proc/sysrq-trigger'
ok "its kernel crashes: paused, as it was told" state_comes paused
like "events tells" "$(cat "$v/events")" ' vm/v panic pause'
ok "what is to become of it can be said while it runs" put "$v/panic" fail
ok "reset" put "$v/ctl" reset
linux_from[v]=$(stat -c %s "$v/console")
ok "a paused one stays paused; it goes on" put "$v/ctl" resume
ok "and boots" linux_waits 300 v '^guest: listens'
put "$v/console" 'echo c > /proc/sysrq-trigger'
ok "another crash fails it" state_comes failed
like "which exit tells" "$(cat "$v/exit")" "^failed: the guest's kernel has crashed"

ok "another run" linux_boot v "panic none" "watchdog poweroff"
second=$(genid)
ok "is another machine" test -n "$second" -a "$second" != "$first"
put "$v/console" 'echo c > /proc/sysrq-trigger'
panicked() { grep -q ' vm/v panic nothing' "$v/events"; }
soon "its kernel crashes: events tells" 60 panicked
is "and nothing becomes of it" "$(cat "$v/state")" running
ok "reset" put "$v/ctl" reset
linux_from[v]=$(stat -c %s "$v/console")
ok "it boots" linux_waits 300 v '^guest: listens'
guest v 'watchdog -T 2 -t 100 /dev/watchdog0' >/dev/null
ok "its watchdog is not wound up: off, as it was told" state_comes stopped
is "which exit tells" "$(cat "$v/exit")" poweroff
done_testing
