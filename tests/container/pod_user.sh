#!/bin/bash
# Containers that share a user namespace, and with it what its root has power over: a pod of an
# ordinary owner's.
. tests/lib.sh
. tests/machines.sh
need_root
machinefs_start
web=$M/container/web c=$M/container/c
loop="/bin/sh -c 'sleep 1001 & echo up; while :; do sleep 0.05; done'"
map="0 100000 2000"
for one in web c; do
	container_new $one "$loop"
done
put "$web/namespaces" pid mount net uts ipc cgroup user time
put "$web/user.map" "$map"
put "$web/hostname" pod
chown -R 100000:100000 "$T/root"
chmod 711 "$T"

session() { # CONTAINER COMMAND...: what it prints
	local of=$1
	shift
	[ -d "$of/exec/s" ] || mkdir "$of/exec/s"
	put "$of/exec/s/argv" "$@" && put "$of/exec/s/ctl" start && await "$of/exec/s" stopped &&
		cat "$of/exec/s/stdout" "$of/exec/s/stderr"
}
both() {
	run_all "$web" "$c"
}
end() {
	local one
	for one in "$c" "$web"; do
		state_is "$one" stopped || { put "$one/ctl" kill && await "$one" stopped; }
	done
}
same() { # NAMESPACE: both have it
	[ "$(readlink "$c/ns/$1")" = "$(readlink "$web/ns/$1")" ]
}
join() { # WORD...
	local word
	for word in net ipc uts pid user cgroup time; do
		case " $* " in
		*" $word "*) put "$c/namespaces.join" "$word web" ;;
		*) put "$c/namespaces.join" "$word default" ;;
		esac
	done
}

# --- refusals
join net pid
put "$c/namespaces" pid mount user
put "$c/user.map" "$map"
put "$web/ctl" start
refused "not what another has, with one's own" EINVAL 'not with a user namespace of its own' "$c" put "$c/ctl" start
put "$c/namespaces" pid mount net uts ipc cgroup
join user
put "$c/cgroup.delegate" 1
refused "nor is a group given to two" EINVAL 'cgroup.delegate: not with another' "$c" put "$c/ctl" start
put "$c/cgroup.delegate" 0
end

# --- user alone: all other namespaces are its own, and that one's
ok "a container of another's user namespace" both
ok "is in it" same user
for one in pid net uts ipc cgroup; do
	not_ok "not in its $one" same $one
done
is "it has the other's ids" "$(session "$c" cat /proc/self/uid_map | xargs)" "0 100000 2000"
is "it is root there" "$(session "$c" id -u)" 0
is "and somebody else here" "$(stat -c %u "/proc/$(cat "$c/pid")")" 100000
is "of no groups" "$(sed -n 's/^Groups:[[:space:]]*//p' "/proc/$(cat "$c/pid")/status" | xargs)" ""
is "it is process 1" "$(sed -n 's/^NSpid:.*[[:space:]]//p' "/proc/$(cat "$c/pid")/status")" 1
unlike "it sees its own processes alone" "$(session "$c" ps)" 'machinefs|fuse'
is "its network is its own, and up" "$(session "$c" cat /sys/class/net/lo/operstate; session "$c" ls /sys/class/net)" $'unknown\nlo'
end

# --- all of them: a pod
join net ipc uts pid user cgroup time
ok "a pod" both
for one in user pid net uts ipc cgroup time; do
	ok "in one $one" same $one
	is "with its sessions" "$(session "$c" readlink /proc/self/ns/$one)" "$(readlink "$web/ns/$one")"
done
is "they see each other" "$(session "$c" ps | grep -c ' sleep 1001$')" 2
is "they have one name" "$(session "$c" hostname)" pod
like "its /proc is that namespace's" "$(session "$c" cat /proc/1/cmdline | tr '\0' ' ')" 'echo up'
session "$web" touch /tmp/webs >/dev/null
is "their roots are their own" "$(readlink "$c/ns/mnt" "$web/ns/mnt" | sort -u | wc -l)" 2
monitor=$(ps -o ppid= -p "$(cat "$c/pid")" | tr -d ' ')
is "its monitor is the host's still" "$(readlink "/proc/$monitor/ns/user" "/proc/$monitor/ns/pid_for_children" | xargs)" \
	"$(readlink /proc/self/ns/user /proc/self/ns/pid | xargs)"
machinefs_kill9
machinefs_start
is "sessions go on with the next daemon" "$(session "$c" id -u)" 0
put "$web/ctl" kill
await "$web" stopped
ok "with its pid namespace it ends" await "$c" stopped
end

# --- what does not fit
join net
put "$c/namespaces.join" "user other"
container_new other "$loop"
put "$M/container/other/namespaces" pid mount net uts ipc cgroup user
put "$M/container/other/user.map" "0 300000 2000"
put "$M/container/other/ctl" start
put "$web/ctl" start
refused "one's user namespace with another's network" EPERM 'namespaces.join: net' "$c" put "$c/ctl" start
join pid
put "$c/namespaces.join" "user other"
refused "or processes" EPERM 'namespaces.join: pid' "$c" put "$c/ctl" start
put "$M/container/other/ctl" kill
await "$M/container/other" stopped
put "$M/container/other/namespaces" pid mount net uts ipc cgroup
put "$M/container/other/ctl" start
join
put "$c/namespaces.join" "user other"
refused "one that is the host's" EINVAL 'not a user namespace below this one' "$c" put "$c/ctl" start
chown 1234 "$c"
refused "another owner's" EPERM 'user 0' "$c" put "$c/ctl" start
chown 0 "$c"
end
state_is "$M/container/other" stopped || put "$M/container/other/ctl" kill

# --- an ordinary owner's, on images with overlays
for one in web c; do
	rmdir "$M/container/$one"
	container_new $one "$loop"
	chown 1000 "$M/container/$one"
done
chown -R 1000:1000 "$T/root"
chmod 711 "$T"
join net ipc uts pid user
ok "an ordinary owner's pod" both || diag "$(cat "$web/error" "$c/error")"
ok "is one" same user
ok "in all" same net
is "its root is the owner" "$(stat -c %u "/proc/$(cat "$c/pid")")" 1000
is "for sessions, too" "$(session "$c" id -u)" 0
end
if grep -qw overlay /proc/filesystems || modprobe overlay 2>/dev/null; then
	for one in web c; do
		rmdir "$M/container/$one"
		container_new $one "$loop"
	done
	put "$web/namespaces" pid mount net uts ipc cgroup user
	put "$web/user.map" "$map"
	join net ipc uts pid user
	chown -R 0:0 "$T/root"
	mkdir "$M/image/i" && put "$M/image/i/source" "$T/root" && put "$M/image/i/ctl" import && put "$M/image/i/wait" ready 30
	put "$c/root" image i
	put "$web/root" image i
	ok "a pod on an image" both
	is "the files are root's" "$(session "$c" stat -c %u /bin/busybox)" 0
	is "and what it writes" "$(session "$c" sh -c "'echo mine >/new; stat -c %u /new'")" 0
	is "is its own" "$(session "$web" ls /new 2>&1)" "ls: /new: No such file or directory"
	end
	rmdir "$c"
	container_new c "$loop"
	join user
	put "$c/root.writable" overlay
	chown -R 100000:100000 "$T/root"
	put "$web/root" "$T/root"
	ok "and over a directory" both
	is "likewise" "$(session "$c" sh -c "'echo mine >/new; stat -c %u /new'")" 0
	end
fi
done_testing
