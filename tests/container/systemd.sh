#!/bin/bash
# A system inside: Debian's systemd, from this machine's own files, boots to a login prompt in a user
# namespace, with a control group of its own to divide, and shuts down cleanly.
# timeout: 240
. tests/lib.sh
need_root
for program in /usr/lib/systemd/systemd /sbin/agetty /bin/login; do
	[ -x "$program" ] || skip_all "needs $program"
done
need_overlay
grep -q ' cgroup2 ' /proc/self/mountinfo || skip_all "needs control groups of version 2"
machinefs_start
c=$M/container/c

# What is started is said here: nothing of what this machine's own /etc has.
units=$T/units
mkdir -p "$units"
ln -s /lib/systemd/system/multi-user.target "$units/default.target"
for unit in dbus.socket dbus.service systemd-logind.service systemd-udevd.service \
	systemd-firstboot.service systemd-networkd.service systemd-resolved.service systemd-timesyncd.service systemd-pstore.service; do
	ln -s /dev/null "$units/$unit"
done
printf '[Unit]\nDescription=A unit of the test\n[Service]\nType=oneshot\nExecStart=/bin/sh -c %s\nRemainAfterExit=yes\n' \
	"'id -u > /run/unit; cat /proc/self/cgroup >> /run/unit'" >"$units/mine.service"
mkdir "$units/multi-user.target.wants"
ln -s ../mine.service "$units/multi-user.target.wants/mine.service"
: >"$T/empty"

mount_new() { # NAME TYPE SOURCE TARGET [OPTIONS]
	mkdir "$c/mount/$1" && put "$c/mount/$1/type" "$2" && put "$c/mount/$1/source" "$3" &&
		put "$c/mount/$1/options" "${5-}" && put "$c/mount/$1/target" "$4"
}

session() { # COMMAND...: what it prints
	[ -d "$c/exec/s" ] || mkdir "$c/exec/s"
	put "$c/exec/s/argv" "$@" && put "$c/exec/s/ctl" start && await "$c/exec/s" stopped 60 &&
		cat "$c/exec/s/stdout" "$c/exec/s/stderr"
}

mkdir "$c"
put "$c/root" /
put "$c/root.writable" overlay
put "$c/init" /sbin/init
put "$c/namespaces" pid mount net uts ipc cgroup user
put "$c/user.map" "0 100000 65536"
put "$c/cgroup.delegate" 1
put "$c/hostname" inside
put "$c/capabilities" default net_admin
put "$c/memory.size" 512M
put "$c/pids.max" 300
ok "units" mount_new units bind "$units" /etc/systemd/system ro
[ ! -e /etc/fstab ] || ok "no fstab" mount_new fstab bind "$T/empty" /etc/fstab ro
for file in passwd group shadow; do
	[ -e "/etc/$file" ] || continue
	cp "/etc/$file" "$T/$file"
	chown 100000:100000 "$T/$file"
	ok "its own $file" mount_new "$file" bind "$T/$file" "/etc/$file"
done
ok "/run" mount_new run tmpfs '' /run mode=0755
ok "/run/lock" mount_new lock tmpfs '' /run/lock mode=1777
ok "/tmp" mount_new tmp tmpfs '' /tmp mode=1777
ok "it starts" put "$c/ctl" start || diag "$(cat "$c/error")"
soon "it comes to a login prompt" 60 grep -q 'login:' "$c/console"
is "systemd is init" "$(session cat /proc/1/comm)" systemd
is "it knows that it is in a container" "$(session systemd-detect-virt --container)" container-other
like "the system has come up" "$(session systemctl is-system-running)" '^(running|degraded)'
like "a unit has run, in a group of its own" "$(session cat /run/unit)" $'^0\n(.*\n)?0::/system.slice/mine.service'
like "init is in a group that it made" "$(session cat /proc/1/cgroup)" '0::/init.scope'
is "the console is its terminal" "$(session stat -c %F /dev/console)" "character special file"
like "somebody logs in at it" "$(session sh -c "'ps -A -o tty,comm || true'")" 'agetty|login'
is "root inside is another outside" "$(stat -c %u "/proc/$(cat "$c/pid")")" 100000
group=$(echo /sys/fs/cgroup/{,unified/}machinefs/container-"$(cat "$c/uuid")")
for dir in $group; do [ ! -d "$dir" ] || group=$dir; done
is "its group is its root's" "$(stat -c %u "$group" "$group/cgroup.procs" | xargs)" "100000 100000"
limit=$(echo /sys/fs/cgroup/{,memory/}machinefs/container-"$(cat "$c/uuid")"/memory.{max,limit_in_bytes})
for file in $limit; do
	[ ! -f "$file" ] || is "its limit is not" "$(stat -c %u "$file")" 0
done
like "nor can it be undone from inside" "$(session sh -c \
	"'if [ -e /sys/fs/cgroup/memory.max ]; then echo 1G > /sys/fs/cgroup/memory.max; else echo none; fi'")" 'denied|none'

# --- what is its own
host=$(ip route 2>/dev/null)
is "users" "$(session sh -c "'echo joe:x:1234:1234::/:/bin/sh >> /etc/passwd'")" ""
is "are its own" "$(session id -u joe) $(id -u joe 2>/dev/null)" "1234 "
if command -v ip >/dev/null; then
	session ip link add mine0 type veth peer name mine1 >/dev/null
	like "a network device" "$(session ip -o link show mine0)" 'mine0@mine1'
	not_ok "is its own" ip link show mine0
	session ip addr add 10.99.0.1/24 dev lo >/dev/null
	session ip route add 10.98.0.0/16 dev lo >/dev/null
	like "routes" "$(session ip route)" '10.98.0.0/16 dev lo'
	is "are its own" "$(ip route)" "$host"
fi
session nft add table inet mine >/dev/null
if [ "$(session nft list tables)" = "table inet mine" ]; then
	unlike "netfilter rules are its own" "$(nft list tables)" mine
else
	skip "netfilter rules" "no nft, or a kernel without it"
fi
ok "stop" put "$c/ctl" stop 60
ok "shuts it down" await "$c" stopped 90
is "cleanly" "$(cat "$c/exit")" "exited 0"
like "as it says itself" "$(tail -n 40 "$c/console")" 'Reached target.*(Shutdown|Power-Off|Halt|Unmount)'
is "and nothing of its groups is left" "$(ls -d "$group" 2>/dev/null)" ""

# --- who may
put "$c/user.map" default 2>/dev/null
put "$c/namespaces" pid mount net uts ipc cgroup
refused "not the host's root" EINVAL 'cgroup.delegate: the container.s root would be' "$c" put "$c/ctl" start
done_testing
