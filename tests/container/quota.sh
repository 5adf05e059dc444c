#!/bin/bash
# How much a container's overlay may hold: a file system of its own, or project quotas where the
# state directory's file system has them.
# timeout: 240
. tests/lib.sh
need_root
need_command mkfs.ext4 losetup
grep -qw overlay /proc/filesystems || modprobe overlay 2>/dev/null || skip_all "this kernel has no overlayfs"
[ -e /dev/loop-control ] || modprobe loop 2>/dev/null
losetup -f >/dev/null 2>&1 || skip_all "no loop devices here"
root=$(busybox_root)
new() { # NAME: a container that does what its /do says, and waits
	c=$M/container/$1
	mkdir "$c" && put "$c/root" "$root" && put "$c/root.writable" overlay &&
		put "$c/init" "/bin/sh -c 'while read line; do eval \"\$line\"; echo done \$?; done'"
}
start() {
	put "$c/ctl" start
}
inside() { # COMMAND: its status, printed
	local before
	before=$(grep -c '^done' "$c/console")
	put "$c/console" "$*"
	more() { [ "$(grep -c '^done' "$c/console")" -gt "$before" ]; }
	poll 30 more || { echo "no answer"; return; }
	sed -n 's/^done //p' "$c/console" | tail -n 1
}
fill() { # FILE MEGABYTES
	inside "dd if=/dev/zero of=$1 bs=1M count=$2 2>/dev/null && sync"
}
stop() {
	put "$c/ctl" kill && await "$c" stopped 20
}

live() { # BYTES: whether it can be changed now; where it cannot it says so
	put "$c/quota" "bytes=$1" 2>/dev/null && return
	like "not even root may here, says a sentence" "$(cat "$c/error")" 'EPERM quota: .*CAP_SYS_RESOURCE'
	return 1
}

# What holds for both sorts.
common() {
	new a
	is "no quota by default" "$(cat "$c/quota")" "bytes=max inodes=max"
	refused "no quota of nothing" EINVAL 'no size' "$c" put "$c/quota" bytes=0
	refused "nor of other things" EINVAL 'not bytes=' "$c" put "$c/quota" blocks=5
	put "$c/quota" bytes=32M
	is "bytes alone" "$(cat "$c/quota")" "bytes=$((32 << 20)) inodes=max"
	ok "a container with a quota" start
	is "less than that is all right" "$(fill /small 4)" 0
	is "more is not" "$(fill /big 64)" 1
	is "and it goes on" "$(inside 'rm /big && ls /small')" 0
	stop
	ok "the next run" start
	is "has what was written" "$(inside 'ls /small')" 0
	is "and the quota" "$(fill /big 64)" 1
	if live 96M; then
		is "it grows while it runs" "$(fill /big 64)" 0
	fi
	stop
	new b
	put "$c/quota" bytes=32M inodes=200
	ok "a quota of files" start
	is "less than so many" "$(inside 'i=0; while [ $i -lt 100 ]; do touch /f$i || break; i=$((i+1)); done; [ $i = 100 ]')" 0
	is "and more" "$(inside 'i=0; while [ $i -lt 200 ]; do touch /g$i 2>/dev/null || break; i=$((i+1)); done; [ $i = 200 ]')" 1
	stop
	new c
	ok "one without" start
	is "has none" "$(fill /big 64)" 0
	stop
}

machinefs_start
common
put "$c/quota" bytes=32M
refused "on this file system not when there is something already" EBUSY 'before the container' "$c" start
new d
put "$c/quota" inodes=100
refused "nor of files alone" EINVAL 'bytes are needed' "$c" start
put "$c/quota" bytes=1M
refused "nor so small" EINVAL 'of no use' "$c" start
c=$M/container/a
put "$c/quota" bytes=16M
refused "it does not shrink" EBUSY 'does not shrink' "$c" start
put "$c/quota" bytes=128M
if (((0x$(sed -n 's/^CapEff:[[:space:]]*//p' /proc/self/status) >> 24) & 1)); then
	ok "but grows, also before a start" start
	is "and is as large then" "$(fill /big 100)" 0
	stop
else
	refused "nor grows, where not even root may" EPERM 'CAP_SYS_RESOURCE' "$c" start
fi
new e
put "$c/quota" bytes=32M
start
refused "nor while it runs" EBUSY 'does not shrink' "$c" put "$c/quota" bytes=16M
refused "its inodes are for life" EBUSY 'for life' "$c" put "$c/quota" inodes=5000
is "which changes nothing" "$(cat "$c/quota")" "bytes=$((32 << 20)) inodes=max"
stop
is "no loop device is left" "$(losetup -n -O BACK-FILE | grep -c "$STATE_DIR")" 0
for c in "$M"/container/*; do rmdir "$c"; done
empty() { [ -z "$(ls -A "$STATE_DIR/container")" ]; }
soon "nor anything else" 10 empty
machinefs_stop

# --- project quotas
truncate -s 512M "$T/projects"
mkfs.ext4 -q -O quota,project -E quotatype=prjquota "$T/projects"
mkdir "$T/mnt"
if ! mount -o loop,prjquota "$T/projects" "$T/mnt" 2>/dev/null; then
	skip "project quotas" "this kernel's ext4 has none"
	done_testing
fi
STATE_DIR=$T/mnt/state
machinefs_start
common
put "$c/quota" bytes=32M
ok "also when there is something already" start
is "which then is too much" "$(fill /more 1)" 1
if live 128M; then
	is "it may shrink and grow" "$(fill /more 1)" 0
fi
stop
for c in "$M"/container/*; do rmdir "$c"; done
machinefs_stop
umount "$T/mnt"
done_testing
