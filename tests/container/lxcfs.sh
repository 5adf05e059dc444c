#!/bin/bash
# What /proc and /sys tell in a container is its own where the host runs lxcfs, and the host's where
# it does not, or is not to.
. tests/lib.sh
. tests/machines.sh
need_root
need_device /dev/fuse
need_command lxcfs
mkdir -p /var/lib/lxcfs
machinefs_start
c=$M/container/c
container_new c sh -c "'read x; grep MemTotal /proc/meminfo; grep -c ^processor /proc/cpuinfo; cut -d. -f1 /proc/uptime; cat /sys/devices/system/cpu/online; grep -c ^cpu[0-9] /proc/stat; cut -d/ -f2 /proc/loadavg; echo end; sleep 1000'"
put "$c/memory.size" 64M
put "$c/cpu.affinity" 0
told() { # what it says, in one line
	local before
	before=$(stat -c %s "$c/console")
	said() { tail -c +$((before + 1)) "$c/console" | tr -d '\r' | sed -n '/^MemTotal/,/^end/p'; }
	ended() { said | grep -q '^end'; }
	put "$c/ctl" start
	put "$c/console" go
	poll 20 ended
	said | xargs
	put "$c/ctl" kill
	await "$c" stopped
}
total=$(awk '/^MemTotal/ { print $2 }' /proc/meminfo)
cpus=$(grep -c ^processor /proc/cpuinfo)
read -r -a without <<<"$(told)"
is "without lxcfs it is told of the host" "${without[*]:0:4}" "MemTotal: $total kB $cpus"
ok "and of its ${without[7]} tasks" test "${without[7]}" -gt 20
like "host/check says so" "$(cat "$M/host/check")" 'WARN lxcfs: not there'

lxcfs -f -l /var/lib/lxcfs >"$T/lxcfs.log" 2>&1 &
lxcfs=$!
soon "lxcfs runs" 10 test -e /var/lib/lxcfs/proc/meminfo
like "host/check sees it" "$(cat "$M/host/check")" 'PASS lxcfs: '
read -r _ memory _ processors uptime online counted tasks _ <<<"$(told)"
is "its memory is its limit" "$memory" 65536
is "its CPUs are those that it may use" "$processors" 1
is "in /proc/stat, too" "$counted" 1
is "and in /sys" "$online" 0
ok "it has been up since its start" test "$uptime" -lt 30
ok "its load is that of its own $tasks tasks" test "$tasks" -ge 1 -a "$tasks" -lt 10
put "$c/memory.size" 32M
read -r _ memory _ <<<"$(told)"
is "another limit, another memory" "$memory" 32768
put "$c/lxcfs" 0
like "unless it is not to be shown" "$(told)" "^MemTotal: $total kB $cpus "
put "$c/lxcfs" 1
put "$c/ctl" start
kill -9 "$lxcfs"
wait "$lxcfs" 2>/dev/null
ok "an lxcfs that dies does not take the container along" test "$(cat "$c/state")" = running
put "$c/ctl" kill
await "$c" stopped
ok "nor keep the next one from starting" put "$c/ctl" start
is "it runs" "$(cat "$c/state")" running
put "$c/ctl" kill
await "$c" stopped
umount -l /var/lib/lxcfs
done_testing
