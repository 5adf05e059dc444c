#!/bin/bash
# What a guest tells of itself: that its kernel crashed, that nobody winds up its watchdog; and what
# becomes of it then.
# timeout: 300
. tests/lib.sh
. tests/linux.sh
need_linux
machinefs_start
linux_new v pvpanic-mmio wdat_wdt
v=$M/vm/v
put "$v/boot.cmdline" "console=ttyS0 quiet panic=0"
state_comes() { await "$v" "$1" 60; }

ok "a guest with a watchdog boots" linux_boot v "panic pause" "watchdog reset" || done_testing
is "it finds a VM generation id" "$(guest v cat /sys/bus/acpi/devices/MCFS0001:00/hid)" MCFS0001
like "pvpanic's driver is bound" "$(guest v ls /sys/bus/acpi/devices/QEMU0001:00/physical_node/driver/)" QEMU0001
like "so is the watchdog's" "$(guest v ls /dev)" watchdog0
ok "it is wound up with 2 s to go" guest v 'watchdog -T 2 -t 100 /dev/watchdog0'
linux_from[v]=$(stat -c %s "$v/console")
ok "nobody winds it up again: reset, as it was told" linux_waits 300 v '^guest: listens'
like "events tells" "$(cat "$v/events")" ' vm/v watchdog reset'
is "it runs" "$(cat "$v/state")" running
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
done_testing
