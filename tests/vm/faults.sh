#!/bin/bash
# What the host's failures are to a machine with Debian's own kernel: a device that cannot read or
# write while it is used, no room, a file that shrinks, a server that dies with requests in hand, a
# console's log that cannot be written. The monitor lives, the guest is told, and what works again works.
# timeout: 300
. tests/lib.sh
need_root
[ -n "${IN_LAB-}" ] || skip_all "runs inside the lab only: tests/lab/run $0"
# The state directory's file system, and one for images: small.
mkdir "$T/state" "$T/small"
mount -t tmpfs -o size=8m,mode=711 tmpfs "$T/state"
mount -t tmpfs -o size=8m tmpfs "$T/small"
machinefs_start
. tests/lab/guest
# again DISK: reads and writes all the time, tells of each failure, and goes on.
cat >"$T/again" <<'END'
echo 0 >/rounds-$1
n=0
while :; do
	dd if=/dev/vd$1 of=/dev/null bs=64k count=64 2>/dev/null || echo r >>/failed-$1
	dd if=/dev/zero of=/dev/vd$1 bs=64k count=64 conv=fsync 2>/dev/null || echo w >>/failed-$1
	echo 1 >/proc/sys/vm/drop_caches
	n=$((n + 1))
	echo $n >/rounds-$1
done
END
GUEST_FILES=("$T/again=/again")
guest_make virtio_pci virtio_blk virtiofs

# failing NAME: a block device of 32 MiB in memory, /dev/nullb0 and on; bad NAME + or - makes it fail, or not.
failing() {
	mkdir "$nullb/$1" && echo 32 >"$nullb/$1/size" && echo 1 >"$nullb/$1/memory_backed" &&
		echo 0 >"$nullb/$1/cache_size" && echo 1 >"$nullb/$1/power"
}
bad() { # its first sectors: one entry, since Linux 6.1 does not find those of a long range
	echo "${2}0-511" >"$nullb/$1/badblocks"
}
nullb=/sys/kernel/config/nullb
modprobe null_blk nr_devices=0 && { mountpoint -q /sys/kernel/config || mount -t configfs config /sys/kernel/config; }
ok "block devices that can fail" failing nullb0
ok "two of them" failing nullb1

disk() { # NAME PATH [FILE VALUE]...
	mkdir "$v/disk/$1"
	[ $# -lt 4 ] || put "$v/disk/$1/$3" "$4"
	put "$v/disk/$1/path" "$2"
}
truncate -s 16M "$T/small/full" # twice what there is room for
truncate -s 4M "$T/shrinks"
disk direct /dev/nullb0 cache none
disk cached /dev/nullb1
disk full "$T/small/full"
disk shrinks "$T/shrinks"
mkdir "$T/dir" "$v/share/dir"
seq 1 500000 >"$T/dir/numbers"
put "$v/share/dir/path" "$T/dir"
ok "a machine with all that boots" guest_start || { done_testing; exit; }
guest 'dmesg -n 1' # what the kernel says of it is not what a command prints
pid=$(cat "$v/pid")
errors() { value "$v/stat" disk.errors; }
more_errors() { [ "$(errors)" -gt "$before" ]; }
alive() { # NAME: nothing has happened to it but that
	is "$1" "$(cat "$v/state") $(cat "$v/pid") $(guest 'echo yes')" "running $pid yes"
}

# --- EIO under running I/O
guest_sees "I/O that goes on and on" 'for d in a b; do sh /again $d & done; sleep 1'
rounds() { # as many more of both
	guest "for d in a b; do n=\$(cat /rounds-\$d); while [ \$(cat /rounds-\$d) -lt \$((n + $1)) ]; do sleep 0.2; done; done"
}
ok "works" rounds 2
not_ok "without a failure" guest 'cat /failed-a /failed-b'
before=$(errors)
ok "both devices fail" eval 'bad nullb0 + && bad nullb1 +'
guest_sees "the guest is told" 'for i in $(seq 100); do [ -s /failed-a ] && [ -s /failed-b ] && exit; sleep 0.2; done; exit 1'
ok "and stat counts it" more_errors
like "its kernel has it as an I/O error" "$(guest 'dmesg | grep -c "I/O error, dev vd[ab]"')" '[1-9]'
alive "the machine goes on meanwhile"
ok "both can again" eval 'bad nullb0 - && bad nullb1 -'
guest 'sleep 2; rm -f /failed-a /failed-b; sleep 1'
ok "it works again" rounds 3
not_ok "without a failure" guest 'cat /failed-a'
guest 'killall -9 dd sh; sleep 1' >/dev/null
guest_sees "what is written then" 'seq 1 3000 >/s; for d in a b; do dd if=/s of=/dev/vd$d bs=4k conv=fsync; done'
for n in 0 1; do
	is "is on the device" "$(head -c 13893 /dev/nullb$n | md5sum)" "$(seq 1 3000 | md5sum)"
done
ok "pause" put "$v/ctl" pause
ok "and resume" put "$v/ctl" resume

# --- no room
before=$(errors)
not_ok "a write that the host has no room for" guest 'dd if=/dev/urandom of=/dev/vdc bs=64k count=256 conv=fsync'
ok "is counted" more_errors
alive "the machine goes on"
umount_room() { mount -o remount,size=32m "$T/small"; }
ok "there is room again" umount_room
guest_sees "the same write" 'dd if=/dev/urandom of=/dev/vdc bs=64k count=256 conv=fsync'
is "arrives" "$(guest 'echo 3 >/proc/sys/vm/drop_caches; md5sum </dev/vdc')" "$(md5sum <"$T/small/full")"

# --- a file that shrinks
guest_sees "reading without end" '(while :; do dd if=/dev/vdd of=/dev/null bs=64k 2>/dev/null || echo r >>/failed-d; echo 1 >/proc/sys/vm/drop_caches; done) & sleep 1'
truncate -s 1M "$T/shrinks"
guest_sees "tells of a file that has become shorter" 'for i in $(seq 100); do [ -s /failed-d ] && exit; sleep 0.2; done; exit 1'
alive "the machine goes on"
truncate -s 4M "$T/shrinks"
guest 'sleep 1; rm -f /failed-d; sleep 2' >/dev/null
not_ok "and not when it is as long again" guest 'cat /failed-d'
guest 'killall -9 dd sh; sleep 1' >/dev/null

# --- the console's log
fill() { dd if=/dev/zero of="$T/state/fill" bs=64k 2>/dev/null; }
fill
guest_from=$(stat -c %s "$v/console")
put "$v/console" '1 seq 1 4000' # what it prints has no place
sleep 5
is "a log that is full" "$(cat "$v/state") $(cat "$v/pid")" "running $pid"
ok "loses what it has no room for" test "$(($(stat -c %s "$v/console") - guest_from))" -lt 10000
rm "$T/state/fill"
alive "and goes on when there is room"
is "with all of it" "$(guest 'seq 1 2000' | md5sum)" "$(seq 1 2000 | md5sum)"

# --- a share's server that dies with requests in hand
guest_sees "a share is read without end" 'mkdir -p /dir; mount -t virtiofs dir /dir && (while :; do cat /dir/numbers >/dev/null || echo r >>/failed-share; echo 1 >/proc/sys/vm/drop_caches; done) & sleep 2; [ ! -s /failed-share ]'
pkill -9 -x virtiofsd
broken() { grep -q 'share/dir: its server is gone' "$v/events"; }
soon "its server dies" 20 broken
alive "the machine goes on"
guest_sees "and its disks" 'dd if=/dev/zero of=/dev/vda bs=64k count=16 conv=fsync'
# What waits for an answer waits for ever, and its driver with it: unplugging is over with a reset.
before=$SECONDS
rmdir "$v/share/dir" 2>/dev/null || diag "$(cat "$v/error")"
ok "unplugging holds nobody up" test $((SECONDS - before)) -le 10
alive "and the machine goes on"
guest_from=$(stat -c %s "$v/console")
ok "a reset" put "$v/ctl" reset
ok "boots again" guest_waits 150 '^guest: up'
guest_sees "with its disks" 'dd if=/dev/vda of=/dev/null bs=64k count=16'
[ ! -e "$v/share/dir" ] || rmdir "$v/share/dir"
mkdir "$v/share/dir"
again() { put "$v/share/dir/path" "$T/dir"; }
soon "the directory is plugged anew" 60 again
mounted() { guest 'mkdir -p /dir; mount -t virtiofs dir /dir'; }
soon "mounted" 60 mounted
is "and read" "$(guest 'md5sum </dir/numbers')" "$(md5sum <"$T/dir/numbers")"
put "$v/ctl" kill
await "$v" stopped
for n in 0 1; do rmdir "$nullb/nullb$n"; done
umount "$T/small"
machinefs_stop
umount "$T/state"
done_testing
