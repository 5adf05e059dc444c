#!/bin/bash
# SELinux: a container's init and its sessions run in the context that is named, from their first
# instruction, and in none that the policy does not know or allow; what is mounted for it has the
# context of selinux.files. The policy is tests/container/selinux.cil.
# security: selinux
. tests/lib.sh
. tests/machines.sh
. tests/oci.sh
need_root
grep -q selinuxfs /proc/filesystems || skip_all "needs SELinux"
command -v secilc >/dev/null || skip_all "needs secilc"
selinux=/sys/fs/selinux
mountpoint -q $selinux || mount -t selinuxfs selinuxfs $selinux
# That of a host which has its own is its own.
[ -n "${IN_LAB-}" ] || skip_all "loads a policy: inside the lab only"

ok "a policy is made" secilc -o "$T/policy" -f /dev/null tests/container/selinux.cil
ok "and loaded" sh -c "cat '$T/policy' >$selinux/load"
echo 1 >$selinux/enforce
is "the kernel obeys it" "$(cat $selinux/enforce)" 1
context() { # TYPE[:CATEGORIES], a file's
	echo "system_u:object_r:$1:s0${2:+:$2}"
}
label() { # FILE TYPE [CATEGORIES]
	python3 -c 'import os, sys; os.setxattr(sys.argv[1], "security.selinux", sys.argv[2].encode() + b"\0")' \
		"$1" "$(context "$2" "${3-}")"
}
said() { # FILE...: the kernel ends what it says of a process with a NUL
	cat "$@" | tr -d '\0'
}
of_container=system_u:system_r:container_t:s0

machinefs_start
c=$M/container/c
container_new c /bin/sh -c "'cat /proc/self/attr/current; echo; cat /secret /mine /others; echo up; exec sleep 1000'"
echo the secret >"$T/root/secret"
label "$T/root/secret" secret_t
echo of one >"$T/root/mine"
label "$T/root/mine" container_file_t c1
echo of two >"$T/root/others"
label "$T/root/others" container_file_t c2

put "$c/selinux" system_u:system_r:nowhere_t:s0
refused "a context that the policy does not know" EINVAL 'selinux' "$c" put "$c/ctl" start
put "$c/selinux" system_u:system_r:forbidden_t:s0
refused "one that it does not let it have" EACCES 'selinux: .*policy: /bin/sh' "$c" put "$c/ctl" start
is "nothing has run" "$(said "$c/console")" ""
put "$c/selinux" "$of_container:c1"
ok "one that it does" put "$c/ctl" start
poll 5 grep -q '^up' "$c/console"
like "init runs in it" "$(said "$c/console")" "^$of_container:c1"
like "which keeps it from a type" "$(said "$c/console")" '/secret.*Permission denied'
like "and from other categories" "$(said "$c/console")" '/others.*Permission denied'
like "but not from its own" "$(said "$c/console")" 'of one'
session() { # SHELL-COMMAND: what it prints
	session_said "$c" /bin/sh -c "'$1'" | tr -d '\0'
}
like "a session runs in it" "$(session 'cat /proc/self/attr/current')" "^$of_container:c1"
like "which holds it, too" "$(session 'cat /secret')" 'Permission denied'
put "$c/ctl" kill
await "$c" stopped
put "$c/selinux" ""
ok "without one" put "$c/ctl" start
poll 5 eval "[ \$(grep -c ^up '$c/console') = 2 ]"
like "it is what the daemon is" "$(said "$c/console")" 'kernel_t.*the secret'
put "$c/ctl" kill
await "$c" stopped

# --- the context of its own files
label_of() { # FILE
	python3 -c 'import os, sys
print(os.getxattr(sys.argv[1], "security.selinux").rstrip(b"\0").decode())' "$1"
}
in_root() { # FILE: the context of one that the container sees
	label_of "/proc/$(cat "$c/pid")/root$1"
}
own=$(context container_file_t c1)
put "$c/selinux" "$of_container:c1"
put "$c/selinux.files" "$(context nowhere_t)"
refused "files of an unknown context" EINVAL 'selinux.files: .*policy' "$c" put "$c/ctl" start
put "$c/selinux.files" "$own"
put "$c/root.writable" overlay
put "$c/init" /bin/sh -c "'echo begun; exec sleep 1000'"
mkdir "$c/mount/before"
put "$c/mount/before/type" tmpfs
put "$c/mount/before/target" /before
files_are() { # WHAT
	for file in / /bin/busybox /secret /dev /dev/pts /dev/shm /before; do
		is "$1: $file" "$(in_root "$file")" "$own"
	done
}
ok "it starts" put "$c/ctl" start
poll 5 grep -q begun "$c/console"
files_are "its own"
mkdir "$c/mount/later"
put "$c/mount/later/type" tmpfs
ok "a tmpfs is added while it runs" put "$c/mount/later/target" /later
is "with it" "$(in_root /later)" "$own"
is "the host's files keep theirs" "$(label_of "$T/root/secret")" "$(context secret_t)"
like "the policy goes by it" "$(session 'cat /secret; echo more >/written; cat /written')" 'the secret.*more'
put "$c/ctl" kill
await "$c" stopped
put "$c/namespaces" "pid mount net uts ipc cgroup user"
put "$c/user.map" "0 100000 65536"
ok "it starts in a user namespace" put "$c/ctl" start
poll 5 eval "[ \$(grep -c begun '$c/console') = 2 ]"
files_are "in a user namespace"
like "whose root it holds" "$(session 'cat /secret; cat /proc/self/attr/current')" "the secret.*$of_container:c1"
put "$c/ctl" kill
await "$c" stopped

# --- by the OCI runtime, with what podman sets on such a host
bundle labels "p['args'] = ['sh', '-c', 'cat /proc/self/attr/current; sleep 1000']
p['selinuxLabel'] = '$of_container:c1'; c['linux']['mountLabel'] = '$own'" >/dev/null
c=$M/container/labels
oci run -d -b "$T/bundle-labels" labels </dev/null >"$T/labels" 2>&1
poll 5 grep -q container_t "$T/labels"
like "a bundle's process has its label" "$(said "$T/labels")" "^$of_container:c1"
is "its mounts have theirs" "$(in_root /dev/shm)" "$own"
oci delete --force labels
mkdir "$M/container/theirs"
chown 1000 "$M/container/theirs"
refused "only root gives contexts" EPERM 'selinux.files' "$M/container/theirs" \
	setpriv --reuid=1000 --clear-groups bash -c "echo $own >$M/container/theirs/selinux.files"
machinefs_stop
done_testing
