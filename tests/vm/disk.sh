#!/bin/bash
# Disks of a machine with Debian's own kernel: what is written arrives, and all that can happen to one.
# timeout: 240
. tests/lib.sh
machinefs_start
. tests/lab/guest
blkdiscard=$(command -v blkdiscard)
GUEST_FILES=("$blkdiscard=sbin/blkdiscard")
for library in $(ldd "$blkdiscard" | grep -o '/[^ ]*'); do
	GUEST_FILES+=("$library=${library#/}")
done
guest_make virtio_pci virtio_blk virtio_rng

mkdir "$T/images"
truncate -s 64M "$T/images/root"
busybox mke2fs -F "$T/images/root" >"$T/mke2fs" 2>&1 || diag "$(cat "$T/mke2fs")"
truncate -s 8M "$T/images/plain" "$T/images/more"
ok "mkdir makes a disk" mkdir "$v/disk/root"
put "$v/disk/root/path" "$T/images/root"
put "$v/disk/root/serial" ROOT-0001
put "$v/disk/root/queues" 2
put "$v/cpu.count" 2
mkdir "$v/disk/plain"
put "$v/disk/plain/readonly" 1
put "$v/disk/plain/path" "$T/images/plain"
ok "a stock kernel boots with them" guest_start || { done_testing; exit; }
diag "$(guest_said | grep '^guest: up')"

is "in their order" "$(guest 'ls /sys/block | grep vd | xargs')" "vda vdb"
is "with their sizes" "$(guest 'cat /sys/block/vd?/size | xargs')" "131072 16384"
is "and serial numbers" "$(guest 'grep -h . /sys/block/vd?/serial | xargs')" "ROOT-0001 plain"
is "and queues" "$(guest 'ls /sys/block/vda/mq | xargs')" "0 1"
is "no message tells of trouble" "$(guest 'dmesg -r | grep "^<[0-3]>" | grep -v "RETBleed\|Spectre\|microcode"')" ""
guest_sees "its file system is mounted" 'mkdir -p /mnt && mount -t ext4 /dev/vda /mnt'
guest_sees "files are written" 'seq 1 200000 >/mnt/numbers && dd if=/dev/urandom of=/mnt/noise bs=64k count=100 && sync'
guest_sees "and unmounted" 'umount /mnt'
is "the host has the same, byte for byte" "$(guest 'echo 3 >/proc/sys/vm/drop_caches; md5sum </dev/vda')" \
	"$(md5sum <"$T/images/root")"
ok "the files among it" grep -qaF -m1 199999 "$T/images/root"
before=$(stat -c %b "$T/images/root")
guest_sees "discard" 'mount -t ext4 -o discard /dev/vda /mnt && rm /mnt/noise && sync && umount /mnt'
gone() { [ $((before - $(stat -c %b "$T/images/root"))) -gt 10000 ]; }
ok "gives room back" gone
count() { value "$v/disk/root/stat" "$1"; }
guest 'dd if=/dev/urandom of=/dev/vda bs=1M seek=32 count=8 conv=fsync' >/dev/null
before=$(count written_bytes)
guest_sees "write zeroes" '/sbin/blkdiscard -z -o 34M -l 4M /dev/vda && sync'
ok "costs no writing ($(($(count written_bytes) - before)) bytes)" test $(($(count written_bytes) - before)) -lt 100000
is "the image has zeros there" "$(dd if="$T/images/root" bs=1M skip=34 count=4 2>/dev/null | md5sum)" "$(head -c 4M /dev/zero | md5sum)"
is "not beside them" "$(for n in 33 38; do dd if="$T/images/root" bs=1M skip=$n count=1 2>/dev/null | tr -d '\0' | head -c 1 | wc -c; done | xargs)" "1 1"
before=$(count read_bytes)
guest 'dd if=/dev/vda of=/dev/null bs=1M count=8 iflag=direct' >/dev/null
ok "stat counts what is read" test $(($(count read_bytes) - before)) -ge $((8 << 20))
ok "and the machine's has the sum" test "$(value "$v/stat" disk.read_bytes)" -ge "$(count read_bytes)"
not_ok "a read-only disk cannot be written" guest 'echo x >/dev/vdb && sync'

ok "it grows while it runs" put "$v/disk/root/size" 96M
bigger() { [ "$(guest 'cat /sys/block/vda/size')" = 196608 ]; }
soon "which the guest sees" 60 bigger

mkdir "$v/disk/more"
ok "a disk is plugged in" put "$v/disk/more/path" "$T/images/more"
there() { guest 'ls /sys/block/vdc'; }
soon "which the guest finds" 60 there
guest_sees "and writes" 'echo hot-plugged >/dev/vdc && sync'
is "and has written" "$(head -c 11 "$T/images/more")" hot-plugged
ok "limits change while it runs" put "$v/disk/more/io.max" "wbps=1048576 wbps.burst=65536"
guest_sees "a limited disk works" 'dd if=/dev/zero of=/dev/vdc bs=64k count=16 conv=fsync'
ok "it is unplugged" rmdir "$v/disk/more"
not_there() { ! guest 'ls /sys/block/vdc'; }
soon "the guest lets go" 60 not_there
mkdir "$v/disk/more"
plugged() { put "$v/disk/more/path" "$T/images/more"; }
soon "and the same name comes again" 60 plugged
soon "as another disk" 60 there

# The image loses its end under the guest.
truncate -s 4M "$T/images/more"
not_ok "what is gone from an image cannot be read" guest 'dd if=/dev/vdc of=/dev/null bs=4k skip=1500 count=1'
guest_sees "what is left can" 'dd if=/dev/vdc of=/dev/null bs=4k count=1'

# An image on a file system that is full.
mkdir "$T/small"
mount -t tmpfs -o size=1m tmpfs "$T/small"
truncate -s 4M "$T/small/image"
mkdir "$v/disk/full"
put "$v/disk/full/path" "$T/small/image"
full() { guest 'ls /sys/block/vdd'; }
soon "a disk without room behind it" 60 full
not_ok "tells of it" guest 'dd if=/dev/zero of=/dev/vdd bs=64k count=64 conv=fsync'
errors() { [ "$(value "$v/stat" disk.errors)" -gt 0 ]; }
ok "and stat counts it" errors
is "and the machine goes on" "$(cat "$v/state")" running

ok "pause" put "$v/ctl" pause
ok "resume" put "$v/ctl" resume
guest_sees "disks work after a pause" 'dd if=/dev/vda of=/dev/null bs=64k count=10'
guest_from=$(stat -c %s "$v/console")
ok "reset" put "$v/ctl" reset
ok "boots again" guest_waits 150 '^guest: up'
is "with its disks" "$(guest 'ls /sys/block | grep vd | xargs')" "vda vdb vdc vdd"
ok "kill" put "$v/ctl" kill
await "$v" stopped
umount "$T/small"
done_testing
