#!/bin/bash
# A virtio console beside the serial port, and random numbers of the host's, with Debian's own kernel.
# timeout: 120
. tests/lib.sh
machinefs_start
. tests/lab/guest
guest_make virtio_pci virtio_console virtio_rng
refused "no such device" EINVAL 'uart' "$v" put "$v/serial" ttyS0
put "$v/serial" both
ok "a stock kernel boots with both" guest_start || {
	done_testing
	exit
}
guest_sees "it has a virtio console" 'test -c /dev/hvc0 && stty -F /dev/hvc0 raw -echo'
guest_sees "and prints on it" 'echo "hvc: hello" >/dev/hvc0'
soon "which is in console" 30 grep -q 'hvc: hello' "$v/console"
(
	guest_waits 60 'hvc: listens'
	put "$v/console" "typed words"
) &
is "what is typed goes where it printed last" \
	"$(guest 'echo "hvc: listens" >/dev/hvc0; read -r words </dev/hvc0; echo "got $words"' | grep '^got ')" "got typed words"
wait $!
is "it has an entropy device" "$(guest 'cat /sys/class/misc/hw_random/rng_current')" virtio_rng.0
is "which gives bytes" "$(guest 'dd if=/dev/hwrng bs=64 count=1 2>/dev/null | wc -c')" 64
put "$v/ctl" kill
await "$v" stopped
put "$v/rng" 0
ok "it boots without" guest_start
is "and has none" "$(guest 'cat /sys/class/misc/hw_random/rng_current')" none
put "$v/ctl" kill
await "$v" stopped
done_testing
