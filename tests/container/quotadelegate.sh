#!/bin/bash
# quota.delegate: a container's own root sets the quotas of its users, by the usual programs.
# timeout: 200
. tests/lib.sh
need_root
need_command mkfs.ext4 losetup setpriv
need_overlay
need_loop
# The programs are this machine's own, by a mount of its /usr.
root=$T/own
mkdir -p "$root"/{usr,etc,proc,sys,dev,root,home}
for dir in bin sbin lib lib64; do
	ln -s "usr/$dir" "$root/$dir"
done
mkdir -m 1777 "$root/tmp"
cp /etc/ld.so.cache "$root/etc/"
printf '%s\n' root:x:0:0::/root:/bin/sh alice:x:1000:1000::/:/bin/sh bob:x:1001:1001::/:/bin/sh >"$root/etc/passwd"
printf '%s\n' root:x:0: alice:x:1000: bob:x:1001: >"$root/etc/group"
new() { # NAME
	c=$M/container/$1
	mkdir "$c" "$c/mount/usr" "$c/exec/s" && put "$c/root" "$root" && put "$c/root.writable" overlay &&
		put "$c/mount/usr/source" /usr && put "$c/mount/usr/options" ro && put "$c/mount/usr/target" /usr &&
		put "$c/quota" bytes=32M && put "$c/quota.delegate" 1 && put "$c/init" /bin/sleep 100000
}
start() {
	put "$c/ctl" start
}
stop() {
	put "$c/ctl" kill && await "$c" stopped 20
}
inside() { # COMMAND: what it prints, in a session of root's; and with that of a failure its status
	put "$c/exec/s/argv" /bin/sh -c "'($*) 2>&1'" && put "$c/exec/s/ctl" start && await "$c/exec/s" stopped 60 &&
		cat "$c/exec/s/stdout" && { grep -qx 'exited 0' "$c/exec/s/exit" || cat "$c/exec/s/exit"; }
}
as() { # UID COMMAND: by another
	inside "setpriv --reuid=$1 --regid=$1 --clear-groups ${*:2}"
}
fill() { # UID FILE MEGABYTES: nothing when all of it fits
	as "$1" "dd if=/dev/zero of=$2 bs=1M count=$3 status=none conv=fsync"
}
limits() { # USER: soft and hard ones of blocks and inodes, as root's own report has them
	inside repquota -u -n -v -O csv -a | awk -F, -v "id=#$1" '$1 == id { print $5, $6, $9, $10 }'
}

if user_quotas; then
	need_command setquota repquota quota
	# Images and overlays on what can be mounted with a map of ids.
	STATE_DIR=$T/state
	truncate -s 256M "$T/state.img" && mkfs.ext4 -q "$T/state.img" && mkdir -p "$STATE_DIR" &&
		mount -o loop "$T/state.img" "$STATE_DIR"
fi
chmod 711 "$T"
machinefs_start
new a
put "$c/root.writable" direct
refused "it is of an overlay" EINVAL 'quota.delegate are of an overlay' "$c" start
put "$c/root.writable" overlay
put "$c/quota" bytes=max
refused "which needs a size for it" EINVAL 'quota: with quota.user .*bytes are needed' "$c" start
put "$c/quota" bytes=32M
put "$c/quota.user" 1000 bytes=1M
refused "one sets them, not two" EINVAL 'quota.user: with quota.delegate' "$c" start
put "$c/quota.user" 1000 default
if ! user_quotas; then
	refused "a kernel without them says so" ENXIO 'quota.delegate: .*CONFIG_QFMT_V2' "$c" start
	put "$c/quota.delegate" 0
	ok "and starts without" start
	like "which shows nothing" "$(inside ls /dev/quota)" 'No such file'
	stop
	done_testing
fi

# --- root in a container without a user namespace, and with few capabilities
quotas() { # what holds of each
	ok "root sets a limit of a user" [ -z "$(inside setquota -u 1000 1024 2048 5 20 /dev/quota)" ]
	is "which the report has" "$(limits 1000)" "1024 2048 5 20"
	is "he may have less" "$(fill 1000 /tmp/a 1)" ""
	like "not more" "$(fill 1000 /tmp/b 4)" 'Disk quota exceeded'
	is "others may" "$(fill 1001 /tmp/c 4)" ""
	like "nor more files" "$(as 1000 "touch $(echo /tmp/f{1..30})")" 'Disk quota exceeded'
	like "he sees his own" "$(as 1000 quota)" '/dev/loop[0-9]+ +2048\*'
	like "not others'" "$(as 1000 quota -u 1001)" 'Permission denied'
	unlike "and does not report" "$(as 1000 repquota -v -n -a)" '#'
	like "nor set any" "$(as 1000 setquota -u 1000 0 0 0 0 -a)" 'Operation not permitted'
	like "not for another" "$(as 1000 setquota -u 1001 0 1 0 0 -a)" 'Permission denied'
	is "so all stays" "$(limits 1000)" "1024 2048 5 20"
	is "a group has limits, too" "$(inside setquota -g 1001 0 5120 0 0 -a)" ""
	like "which hold" "$(fill 1001 /tmp/d 4)" 'Disk quota exceeded'
	is "and are set free" "$(inside setquota -g 1001 0 0 0 0 -a)" ""
	is "at once" "$(fill 1001 /tmp/d 4)" ""
	is "how long a soft one may be exceeded" "$(inside setquota -t 3600 7200 -a)" ""
	like "is root's, too" "$(inside repquota -a)" 'Block grace time: 01:00; Inode grace time: 02:00'
	like "root by name alone sets nothing" "$(inside setpriv --bounding-set=-chown --inh-caps=-all setquota -u 1000 0 0 0 0 -a)" \
		'Operation not permitted'
	like "quotas are not turned off" "$(inside quotaoff -a)" 'Operation not permitted'
	is "so they hold" "$(limits 1000)" "1024 2048 5 20"
	like "nothing is to be written there" "$(inside touch /dev/quota/x)" 'Read-only file system'
	like "nor read from its device" "$(inside 'cat /dev/loop* >/dev/null')" 'Permission denied|not permitted'
}
ok "a container whose root sets quotas" start
refused "the owner does not, then" EINVAL 'quota.user: with quota.delegate' "$c" put "$c/quota.user" 1000 bytes=1M
is "init is held to it like sessions" "$(grep -c '^Seccomp_filters:.*2' "/proc/$(cat "$c/pid")/status")" 1
quotas
listeners() { # how many its monitor has open
	find "/proc/$(ps -o ppid= -p "$(cat "$c/pid")" | tr -d ' ')/fd" -lname '*seccomp notify*' | wc -l
}
one() { [ "$(listeners)" = 1 ]; }
soon "of sessions that have ended nothing is left open" 5 one
machinefs_kill9
machinefs_start
is "without a daemon, too, and with the next" "$(limits 1000)" "1024 2048 5 20"
stop
ok "the next run" start
is "has them as they were" "$(limits 1000)" "1024 2048 5 20"
like "and holds to them" "$(fill 1000 /tmp/b 4)" 'Disk quota exceeded'
stop
put "$c/quota.delegate" 0
ok "one without" start
is "is free of them" "$(fill 1000 /tmp/b 4)" ""
like "which shows nothing" "$(inside ls /dev/quota)" 'No such file'
is "and has one filter" "$(grep -c '^Seccomp_filters:.*1' "/proc/$(cat "$c/pid")/status")" 1
stop
is "its loop device is gone" "$(losetup -n -O BACK-FILE | grep -c container/a/)" 0

# --- in a user namespace, over a directory and on an image
new u
put "$c/namespaces" pid mount net uts ipc cgroup user
put "$c/user.map" 0 100000 2000
chown -R 100000:100000 "$root"
chmod 1777 "$root/tmp"
ok "in a user namespace" start
quotas
like "no id that is another's" "$(inside setquota -u 5000 0 1024 0 0 -a)" 'Invalid argument'
is "the report has those that are its own" "$(inside repquota -u -n -v -O csv -a | sed -n 's/^#\([0-9]*\),.*/\1/p' | tr '\n' ' ')" "0 1000 1001 "
stop
chown -R 0:0 "$root"
chmod 1777 "$root/tmp"
mkdir "$M/image/i"
put "$M/image/i/source" "$root"
put "$M/image/i/ctl" import
put "$M/image/i/wait" ready 30
new i
put "$c/root" image i
put "$c/namespaces" pid mount net uts ipc cgroup user
put "$c/user.map" 0 100000 2000
ok "on an image in a user namespace" start
quotas
like "no id that is another's" "$(inside setquota -u 5000 0 1024 0 0 -a)" 'Invalid argument'
stop

# --- prepared, and not started yet
new p
ok "one that is prepared" put "$c/ctl" prepare
is "has a root that sets them" "$(inside setquota -u 1000 0 2048 0 0 -a)$(limits 1000)" "0 2048 0 0"
ok "it goes on" start
like "and holds to them" "$(fill 1000 /tmp/a 4)" "Disk quota exceeded"
stop

# --- other filters
new f
put "$c/seccomp" none
ok "without the default filter" start
is "it is the same" "$(inside setquota -u 1000 0 2048 0 0 /dev/quota)$(limits 1000)" "0 2048 0 0"
stop
put "$c/seccomp" default
put "$c/no_new_privs" 0
ok "without no_new_privs" start
is "too" "$(inside setquota -u 1000 0 3072 0 0 /dev/quota)$(limits 1000)" "0 3072 0 0"
stop
put "$c/capabilities" all
ok "with all capabilities" start
is "too" "$(inside setquota -u 1000 0 4096 0 0 /dev/quota)$(limits 1000)" "0 4096 0 0"
stop
done_testing
