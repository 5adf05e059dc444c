#!/bin/bash
# Quotas of users inside a container, on the file system that its layer has.
# timeout: 200
. tests/lib.sh
need_root
need_command mkfs.ext4 losetup setpriv
need_overlay
need_loop
root=$(busybox_root)
chmod 1777 "$root/tmp"
new() { # NAME: a container that does what it is told on its console
	c=$M/container/$1
	mkdir "$c" && put "$c/root" "$root" && put "$c/root.writable" overlay && put "$c/quota" bytes=32M &&
		put "$c/init" "/bin/sh -c 'while read line; do eval \"\$line\"; echo done \$?; done'"
}
start() {
	put "$c/ctl" start
}
stop() {
	put "$c/ctl" kill && await "$c" stopped 20
}
inside() { # COMMAND: its status, printed
	local before
	before=$(grep -c '^done' "$c/console")
	put "$c/console" "$*"
	more() { [ "$(grep -c '^done' "$c/console")" -gt "$before" ]; }
	poll 30 more || { echo "no answer"; return; }
	sed -n 's/^done //p' "$c/console" | tail -n 1
}
fill() { # UID FILE MEGABYTES: 0 when all of it fits
	inside "touch $2 && chown $1:$1 $2 && dd if=/dev/zero of=$2 bs=1M count=$3 conv=notrunc 2>/dev/null && sync"
}

chmod 711 "$T"
machinefs_start
new a
is "no limits by default" "$(cat "$c/quota.user")" ""
put "$c/quota.user" 1000 bytes=4M
put "$c/quota.user" 1000 inodes=20
put "$c/quota.user" 1001 bytes=8M
is "a write changes what it names" "$(cat "$c/quota.user")" \
	$'1000 bytes=4194304 inodes=20\n1001 bytes=8388608 inodes=max'
put "$c/quota.user" 1001 default
for bad in "alice bytes=1M" "1000" "1000 " "1000 bytes" "1000 bytes=0" "1000 bytes=-1" "1000 blocks=1" "-1 bytes=1M" \
	"4294967295 bytes=1M" "01000 bytes=1M" "1000 bytes=99999999999999999999" "1000 inodes=1K" "1000 bytes=2000000T"; do
	refused "not '$bad'" EINVAL 'quota.user: ' "$c" put "$c/quota.user" "$bad"
done
is "all that changes nothing" "$(cat "$c/quota.user")" "1000 bytes=4194304 inodes=20"

chown 100000 "$c/quota.user"
by() { setpriv --reuid=100000 --regid=100000 --clear-groups sh -c "echo $2 >$1"; }
ok "the file can be given to another, such as root inside" by "$c/quota.user" "1002 bytes=1M"
not_ok "who then has no other" by "$c/quota" bytes=64M
is "what he writes counts" "$(cat "$c/quota.user")" $'1000 bytes=4194304 inodes=20\n1002 bytes=1048576 inodes=max'
ok "and he can take it back" by "$c/quota.user" "1002 default"

put "$c/root.writable" direct
refused "it is of an overlay" EINVAL 'quota.user.*overlay' "$c" start
put "$c/root.writable" overlay
put "$c/quota" bytes=max
refused "which needs a size for it" EINVAL 'quota: with quota.user .*bytes are needed' "$c" start
put "$c/quota" bytes=32M
if ! user_quotas; then
	refused "a kernel without them says so" ENXIO 'quota.user: .*CONFIG_QFMT_V2' "$c" start
	put "$c/quota.user" 1000 default
	ok "and starts without" start
	refused "nor live" ENXIO 'quota.user: .*CONFIG_QFMT_V2' "$c" put "$c/quota.user" 1000 bytes=1M
	is "which changes nothing" "$(cat "$c/quota.user")" ""
	is "the quota of all is there" "$(fill 1000 /tmp/big 64)" 1
	like "quota.stat tells how much is used" "$(cat "$c/quota.stat")" '^all bytes=[1-9][0-9]{7} inodes=[1-9][0-9]*$'
	stop
	done_testing
fi

ok "a container with a limit of a user" start
is "he may have less" "$(fill 1000 /tmp/a 2)" 0
is "not more" "$(fill 1000 /tmp/b 4)" 1
is "others may" "$(fill 1001 /tmp/c 5)" 0
is "and root" "$(fill 0 /tmp/d 5)" 0
is "root cannot give him what is too much" "$(inside 'chown 1000 /tmp/d 2>/dev/null')" 1
is "it is not only bytes" "$(inside 'i=0; while [ $i -lt 30 ]; do touch /tmp/f$i; chown 1000 /tmp/f$i 2>/dev/null || break; i=$((i+1)); done; [ $i -lt 20 ]')" 0
used() { # USER: KiB, as quota.stat has it
	echo $(($(sed -n "s/^$1 bytes=\([0-9]*\) .*/\1/p" "$c/quota.stat") / 1024))
}
ok "quota.stat tells what he has ($(used 'user 1000') KiB)" eval '[ "$(used "user 1000")" -ge 2048 ] && [ "$(used "user 1000")" -le 4096 ]'
ok "and how much it is in all ($(used all) KiB)" test "$(used all)" -ge 12288
is "of those who have a line" "$(grep -c . "$c/quota.stat")" 2
machinefs_kill9
machinefs_start
ok "the next daemon knows it, too" test "$(used 'user 1000')" -ge 2048
ok "he gets more while it runs" put "$c/quota.user" 1000 bytes=12M inodes=max
is "and has it" "$(fill 1000 /tmp/b 4)" 0
ok "another one gets a limit" put "$c/quota.user" 1001 bytes=7M
is "at once" "$(fill 1001 /tmp/e 4)" 1
ok "and a group" put "$c/quota.group" 1002 bytes=1M
is "which holds too" "$(fill 1002 /tmp/g 4)" 1
ok "a limit is taken away" put "$c/quota.user" 1001 default
is "at once, too" "$(fill 1001 /tmp/e 4)" 0
first=$c

# --- another one
new b
ok "another container" start
is "has nothing of it" "$(fill 1000 /tmp/a 8)" 0
ok "a first limit while it runs" put "$c/quota.user" 1000 bytes=9M
is "counts what was there" "$(fill 1000 /tmp/b 4)" 1
ok "two in one write, one of them for root" put "$c/quota.user" $'0 bytes=2M\n1003 bytes=1M'
is "root is held to it" "$(fill 0 /tmp/r 4)" 1
is "and cannot do away with it" "$(inside 'rm /tmp/r; dd if=/dev/zero of=/tmp/r bs=1M count=4 2>/dev/null')" 1
stop
put "$c/quota.user" $'0 default\n1000 default\n1003 bytes=2M'
ok "the next run" start
is "has what was changed meanwhile" "$(fill 1003 /tmp/s 4)" 1
is "and nothing that was taken away" "$(fill 1000 /tmp/b 4)" 0
stop
put "$c/quota.user" 1003 default
is "what does not run tells nothing" "$(cat "$c/quota.stat")" ""
is "and holds no loop device" "$(losetup -n -O BACK-FILE | grep -c "$(cat "$c/uuid")\|container/b/")" 0
ok "and one without any" start
is "is without" "$(fill 1003 /tmp/s 4)" 0
stop
c=$first
is "the first one still has its own" "$(fill 1002 /tmp/g 4)" 1
stop

# --- a layer that has no file system of its own
new n
put "$c/quota" bytes=max
ok "a container without a quota" start
refused "gets none of users while it runs" EBUSY "file system of the layer's own" "$c" put "$c/quota.user" 1000 bytes=1M
stop
put "$c/quota" bytes=32M
put "$c/quota.user" 1000 bytes=1M
refused "nor later" EBUSY "before the container's first start" "$c" start

# --- in a user namespace
new u
put "$c/namespaces" pid mount net uts ipc cgroup user
put "$c/user.map" $'0 100000 2000'
chown -R 100000:100000 "$root"
chmod 1777 "$root/tmp"
put "$c/quota.user" 1000 bytes=4M
if start 2>/dev/null; then
	is "in a user namespace it is its own users" "$(fill 1000 /tmp/a 6)" 1
	ok "as quota.stat has it" test "$(used 'user 1000')" -ge 3072
	is "one and not another" "$(fill 1001 /tmp/b 6)" 0
	refused "one that it has not" EINVAL 'has no id 5000' "$c" put "$c/quota.user" 5000 bytes=1M
	is "is not kept" "$(cat "$c/quota.user")" "1000 bytes=4194304 inodes=max"
	stop
else
	skip "in a user namespace" "$(cat "$c/error")"
fi
done_testing
