#!/bin/bash
# What a container's processes are let do, setting by setting, init and sessions alike; pods.
. tests/lib.sh
. tests/machines.sh
need_root
machinefs_start
c=$M/container/c
container_new c /bin/sh -c "'trap \"exit 0\" QUIT; echo up; while :; do sleep 0.02; done'"

session() { # COMMAND...: what it prints
	[ -d "$c/exec/s" ] || mkdir "$c/exec/s"
	put "$c/exec/s/argv" "$@" && put "$c/exec/s/ctl" start && await "$c/exec/s" stopped &&
		cat "$c/exec/s/stdout"
}

again() {
	[ "$(cat "$c/state")" = stopped ] || { put "$c/ctl" kill && await "$c" stopped; }
	put "$c/ctl" start
}

put "$c/sysctl" "net.ipv4.ip_forward 1"
put "$c/sysctl" "kernel.shmmax 123456"
put "$c/rlimit" "nofile 100 200"
put "$c/rlimit" "core 0"
put "$c/oom.score" 500
put "$c/cpu.nice" 5
put "$c/cpu.scheduler" batch
put "$c/io.priority" 7
put "$c/stop.signal" QUIT
put "$c/paths.masked" "/proc/kcore /proc/cpuinfo /sys/kernel"
put "$c/paths.readonly" "/proc/sys /bin"
ok "it starts with all of them" put "$c/ctl" start
is "sysctl of its network" "$(session cat /proc/sys/net/ipv4/ip_forward)" 1
is "and of its IPC" "$(session cat /proc/sys/kernel/shmmax)" 123456
unlike "which are not the host's" "$(cat /proc/sys/kernel/shmmax)" '^123456$'
for pid in init session; do
	if [ $pid = init ]; then
		say() { cat "/proc/$(cat "$c/pid")/$1"; }
	else
		say() { session cat "/proc/self/$1"; }
	fi
	is "rlimit of $pid" "$(say limits | awk '/open files/ { print $4, $5 }')" "100 200"
	is "oom.score of $pid" "$(say oom_score_adj)" 500
	is "cpu.nice of $pid" "$(say stat | awk '{ print $19 }')" 5
	is "cpu.scheduler of $pid" "$(say stat | awk '{ print $41 }')" 3
done
if command -v ionice >/dev/null; then
	put "$c/exec/s/argv" sleep 1000
	put "$c/exec/s/ctl" start
	for pid in "$c/pid" "$c/exec/s/pid"; do
		is "io.priority of ${pid#"$c/"}" "$(ionice -p "$(cat "$pid")")" "best-effort: prio 7"
	done
	put "$c/exec/s/ctl" kill
	await "$c/exec/s" stopped
fi
is "what is masked is empty" "$(session sh -c "'cat /proc/cpuinfo; ls /sys/kernel'")" ""
like "what is read-only stays" "$(session sh -c "'touch /bin/x 2>&1; echo 1 > /proc/sys/net/ipv4/ip_forward'"
	cat "$c/exec/s/stderr")" 'Read-only'
put "$c/ctl" stop 20
ok "stop sends the signal" await "$c" stopped
is "to which init listens" "$(cat "$c/exit")" "exited 0"

# --- refusals
refused "a sysctl of the host's" EINVAL 'not a container' "$c" \
	put "$c/sysctl" "kernel.core_pattern |/bin/sh"
refused "by a detour" EINVAL 'not a container' "$c" put "$c/sysctl" "net.../../kernel.panic 1"
put "$c/namespaces" "pid mount net uts cgroup"
refused "one whose namespace is the host's" EINVAL 'sysctl: kernel.shmmax is the host' "$c" \
	put "$c/ctl" start
put "$c/namespaces" "pid mount net uts ipc cgroup"
put "$c/sysctl" "net.ipv4.no_such_thing 1"
refused "one that there is not" ENOENT 'sysctl' "$c" put "$c/ctl" start
put "$c/sysctl" "net.ipv4.no_such_thing default"
refused "no such limit" EINVAL 'no limit' "$c" put "$c/rlimit" "files 10"
refused "no such signal" EINVAL 'no signal' "$c" put "$c/stop.signal" FOO
refused "a path through its parent" EINVAL 'absolute' "$c" put "$c/paths.masked" "/proc/../etc"
if [ ! -e /sys/kernel/security/apparmor ]; then
	put "$c/apparmor" some-profile
	refused "a label where there are none" ENXIO 'apparmor' "$c" put "$c/ctl" start
	put "$c/apparmor" ''
fi
if [ ! -e /sys/fs/selinux/enforce ]; then
	put "$c/selinux" system_u:system_r:container_t:s0
	refused "likewise" ENXIO 'selinux' "$c" put "$c/ctl" start
	put "$c/selinux" ''
fi

# --- pods
container_new web sleep 1000
put "$M/container/web/hostname" pod
put "$M/container/web/namespaces" "pid mount net uts ipc cgroup time"
put "$M/container/web/ctl" start
put "$c/sysctl" "net.ipv4.ip_forward default"
put "$c/namespaces.join" "net web"
put "$c/namespaces.join" "uts web"
put "$c/namespaces.join" "cgroup web"
put "$c/namespaces.join" "time web"
ok "a container of a pod" again
is "is in the other's network" "$(readlink "$c/proc/ns/net")" "$(readlink "$M/container/web/proc/ns/net")"
is "and so are its sessions" "$(session readlink /proc/self/ns/net)" "$(readlink "$c/proc/ns/net")"
is "it has its name" "$(session hostname)" pod
for ns in cgroup time; do
	is "its $ns namespace" "$(readlink "$c/proc/ns/$ns")" "$(readlink "$M/container/web/proc/ns/$ns")"
	is "for sessions, too" "$(session readlink /proc/self/ns/$ns)" "$(readlink "$c/proc/ns/$ns")"
	unlike "which is not the host's" "$(readlink "$c/proc/ns/$ns")" "^$(readlink /proc/self/ns/$ns | sed 's/[][]/\\&/g')\$"
	put "$c/namespaces.join" "$ns default"
done
refused "nobody has another's mounts" EINVAL 'that is a session of it, exec/NAME' "$c" put "$c/namespaces.join" "mount web"
ok "but its own processes" test "$(readlink "$c/proc/ns/pid")" != "$(readlink "$M/container/web/proc/ns/pid")"
put "$c/ctl" kill
await "$c" stopped
put "$M/container/web/ctl" kill
await "$M/container/web" stopped
refused "a pod that does not run" EBUSY 'web does not run' "$c" put "$c/ctl" start
put "$c/namespaces.join" "net other"
refused "a pod that there is not" ENOENT 'no container other' "$c" put "$c/ctl" start
put "$c/namespaces.join" "net web"
put "$M/container/web/ctl" start
chown 1234 "$c"
refused "another owner's pod" EPERM 'user 0' "$c" put "$c/ctl" start
chown 0 "$c"

# --- namespaces that a file leads to
unshare --net="$T/net" --uts="$T/uts" hostname elsewhere 2>/dev/null || {
	touch "$T/net" "$T/uts" && unshare --net="$T/net" --uts="$T/uts" hostname elsewhere
}
put "$c/namespaces.join" "net $T/net"
put "$c/namespaces.join" "uts $T/uts"
put "$c/sysctl" "net.ipv4.ip_forward 1"
ok "by a path" put "$c/ctl" start
is "the network is that" "$(readlink "$c/proc/ns/net")" "net:[$(stat -c %i "$T/net")]"
is "and the host name" "$(session hostname)" elsewhere
is "sysctl is that network's" "$(session cat /proc/sys/net/ipv4/ip_forward)" 1
put "$c/ctl" kill
await "$c" stopped
put "$M/container/web/ctl" kill
await "$M/container/web" stopped
put "$M/container/web/namespaces" "pid mount"
put "$M/container/web/ctl" start
put "$c/namespaces.join" "net web"
refused "which is the host's where the other has none either" EINVAL "net.ipv4.ip_forward is the host's" "$c" put "$c/ctl" start
put "$c/sysctl" "net.ipv4.ip_forward default"
put "$c/namespaces.join" "net $T/uts"
refused "one of another kind" EINVAL 'not a namespace of its kind: net' "$c" put "$c/ctl" start
put "$c/namespaces.join" "net /etc/passwd"
refused "a file that is none" EINVAL 'not a namespace of its kind: net' "$c" put "$c/ctl" start
put "$c/namespaces.join" "pid $T/uts"
put "$c/namespaces.join" "net default"
refused "nor one of processes" EINVAL 'not a pid namespace' "$c" put "$c/ctl" start
put "$c/namespaces.join" "pid default"
put "$c/namespaces.join" "net /proc/1/ns/net"
refused "nothing in /proc" EACCES 'namespaces.join' "$c" put "$c/ctl" start
put "$c/namespaces.join" "net $T/net"
chmod 777 "$T"
chown 1234 "$c"
refused "only root's" EPERM "only root's container may name a path" "$c" put "$c/ctl" start
chown 0 "$c"
umount "$T/net" "$T/uts"
put "$c/namespaces.join" "uts default"
put "$c/namespaces.join" "net web"
put "$c/namespaces" "pid mount ipc cgroup user"
refused "one with a user namespace" EINVAL 'namespaces.join: not with a user namespace' "$c" \
	put "$c/ctl" start
done_testing
