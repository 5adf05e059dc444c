#!/bin/bash
# What a container sees, and what it may not do.
. tests/lib.sh
need_root
machinefs_start
root=$(busybox_root)
c=$M/container/box
mkdir "$c"
put "$c/root" "$root"

# inside COMMAND: its output, from a fresh run.
inside() {
	put "$c/init" "/bin/sh -c '$*'"
	local before
	before=$(wc -c <"$c/console")
	put "$c/ctl" start || return
	await "$c" stopped
	tail -c +$((before + 1)) "$c/console"
}

is "its host name is its name" "$(inside hostname)" box
put "$c/hostname" other
is "or what hostname says" "$(inside hostname)" other
put "$c/init.env" "COLOUR=green and blue"
is "init.env is its environment" "$(inside 'echo $COLOUR')" "green and blue"
put "$c/init.env" "COLOUR default"
is "a forgotten name is gone" "$(inside 'echo "<$COLOUR>"')" "<>"
put "$c/init.cwd" /tmp
is "init.cwd is its directory" "$(inside pwd)" /tmp
put "$c/init.cwd" /
put "$c/init.user" 1000:1001
is "init.user is its user" "$(inside 'id -u; id -g' | xargs)" "1000 1001"
put "$c/init.user" 0

is "/sys shows its own interfaces" "$(inside 'ls /sys/class/net')" lo

# All that there are, and each of them left out.
all='pid mount net uts ipc cgroup user time'
file_of() { # its name below /proc/self/ns
	echo "${1/mount/mnt}"
}
namespaces='for n in pid mnt net uts ipc cgroup user time; do readlink /proc/self/ns/$n; done'
put "$c/namespaces" "$all"
inside "$namespaces" >"$T/own"
for ns in $all; do
	own=$(grep "^$(file_of "$ns"):" "$T/own")
	like "its $ns namespace is one" "$own" "^$(file_of "$ns"):"
	unlike "and its own" "$own" "^$(readlink "/proc/self/ns/$(file_of "$ns")" | sed 's/[][]/\\&/g')\$"
	put "$c/namespaces" "$(tr ' ' '\n' <<<"$all" | grep -vx "$ns" | xargs)"
	# Without mounts of its own it has the root's own /proc, which is empty: the host tells.
	put "$c/init" sleep 1000
	put "$c/ctl" start
	shared=
	for one in $all; do
		[ "$(readlink "/proc/$(cat "$c/pid")/ns/$(file_of "$one")")" != "$(readlink "/proc/self/ns/$(file_of "$one")")" ] ||
			shared+=" $one"
	done
	is "without $ns it has the host's, and of no other" "$shared" " $ns"
	put "$c/ctl" kill
	await "$c" stopped
done
put "$c/user.map" "0 100000 65536"
is "user.map is its map" "$(inside 'cat /proc/self/uid_map' | xargs)" "0 100000 65536"
put "$c/user.map" "0 default"
put "$c/namespaces" pid mount net uts ipc cgroup

is "it is process 1" "$(inside 'echo $$')" 1
is "it has three descriptors" "$(inside 'true; ls /proc/1/fd; true' | xargs)" "0 1 2"
status=$(inside 'cat /proc/self/status')
like "a filter is on its system calls" "$status" 'Seccomp:[[:space:]]2'
like "no new privileges" "$status" 'NoNewPrivs:[[:space:]]1'
put "$c/no_new_privs" 0
like "but where they are let" "$(inside 'cat /proc/self/status')" 'NoNewPrivs:[[:space:]]0'
put "$c/no_new_privs" 1
like "few capabilities" "$status" 'CapBnd:[[:space:]]00000000a80425fb'
put "$c/capabilities" chown
like "fewer when asked" "$(inside 'cat /proc/self/status')" 'CapBnd:[[:space:]]0000000000000001'
put "$c/capabilities" default
like "it cannot mount" "$(inside 'mount -t tmpfs none /tmp 2>&1')" 'ermission denied|not permitted'
like "it cannot set the clock" "$(inside 'date -s 2001-01-01 2>&1')" 'not permitted'
for file in kcore keys timer_list; do
	if [ -s "/proc/$file" ] || [ -f "/proc/$file" ]; then
		is "it cannot see /proc/$file" "$(inside "wc -c </proc/$file")" 0
	fi
done
like "it cannot set the host's kernel" "$(inside 'echo 1 >/proc/sys/kernel/panic 2>&1')" 'ead-only'
like "/sys is read-only" "$(inside 'echo 1 >/sys/kernel/x 2>&1')" "can't create|ead-only"
like "and mounted so" "$(inside 'grep " /sys " /proc/mounts')" '^sysfs /sys sysfs ro,nosuid,nodev,noexec'
is "its /dev has the usual, and nothing else" "$(inside 'cd /dev; ls -A1; ls -A shm' | sort | xargs)" \
	"console fd full mqueue null ptmx pts random shm stderr stdin stdout tty urandom zero"
like "nor can it make one" "$(inside 'mknod /tmp/d b 254 0 2>&1 && head -c 1 /tmp/d 2>&1')" \
	'not permitted|ermission denied'
like "it has a terminal" "$(inside 'tty')" '^/dev/(console|pts/0)$'
put "$c/root.writable" none
like "a root that is not writable" "$(inside 'echo x >/file 2>&1')" 'ead-only'
put "$c/root.writable" direct
inside 'echo x >/file' >/dev/null
is "one that is" "$(cat "$root/file")" x

# A hostile root: its mount points lead elsewhere.
mkdir -p "$T/outside"
rm -rf "$root/proc" && ln -s "$T/outside" "$root/proc"
put "$c/init" /bin/true
if put "$c/ctl" start 2>/dev/null; then await "$c" stopped; fi
is "nothing was put where it leads" "$(ls -A "$T/outside")" ""
is "nothing is mounted there" "$(grep -c "$T/outside" /proc/self/mountinfo)" 0
done_testing
