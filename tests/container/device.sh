#!/bin/bash
# device/NAME: nodes in a container's /dev and the right to use them, at the start and while it runs.
# timeout: 180
. tests/lib.sh
. tests/machines.sh
. tests/users.sh
need_root
need_command setpriv
need_device /dev/fuse
users_make
subordinate alice 700000 65536
machinefs_start
chmod 711 "$T"
c=$M/container/c
container_new c sleep 1000

session() { # COMMAND...: what it prints
	session_said "$c" "$@"
}

opens() { # MODE PATH: what a session says when it opens it
	session sh -c "'exec 3$1$2 && echo opened'"
}

device_new() { # NAME PATH [SETTING VALUE]...
	local d=$c/device/$1 path=$2
	mkdir "$d" || return 1
	shift 2
	while [ $# -gt 0 ]; do
		put "$d/$1" "$2" || return 1
		shift 2
	done
	put "$d/path" "$path"
}

# --- at the start
ok "a device" device_new fuse /dev/fuse mode 0640 uid 7 gid 44
ok "it starts with it" put "$c/ctl" start
is "the node is there" "$(session stat -c "'%F %t:%T %a %u:%g'" /dev/fuse)" \
	"character special file a:e5 640 7:44"
is "it opens" "$(opens '<>' /dev/fuse)" opened
session mknod /dev/mine c 10 237 >/dev/null
like "another one that it makes itself does not" "$(opens '<' /dev/mine)" 'Operation not permitted'

# --- while it runs
ok "one goes" rmdir "$c/device/fuse"
like "and is no more" "$(session ls /dev/fuse)" 'No such file'
session mknod /dev/again c 10 229 >/dev/null
like "nor does a node of the container's open" "$(opens '<' /dev/again)" 'Operation not permitted'
ok "one comes, in a directory, for reading" device_new fuse /dev/fuse target /dev/a/b/fuse permissions r
is "it is there" "$(session stat -c "'%F %a'" /dev/a/b/fuse)" "character special file 666"
is "it opens for reading" "$(opens '<' /dev/a/b/fuse)" opened
like "and not for writing" "$(opens '<>' /dev/a/b/fuse)" 'Operation not permitted'
ok "until it may" put "$c/device/fuse/permissions" rw
is "then it does" "$(opens '<>' /dev/a/b/fuse)" opened
ok "it may not any more" put "$c/device/fuse/permissions" r
like "then it does not" "$(opens '<>' /dev/a/b/fuse)" 'Operation not permitted'
refused "it cannot become another" EBUSY 'device/fuse/path: cannot change while' "$c" \
	put "$c/device/fuse/path" /dev/null
put "$c/ctl" pause
ok "a paused one gets one, of a number" device_new ours /dev/ours number 'c 10:229' permissions rw
put "$c/ctl" resume
is "both permissions hold" "$(opens '<>' /dev/ours)" opened
ok "it goes" rmdir "$c/device/ours"
is "the other one stays as it was" "$(opens '<' /dev/a/b/fuse)" opened
like "for reading alone" "$(opens '<>' /dev/a/b/fuse)" 'Operation not permitted'

# --- one that is common goes on being so
ok "null, by another name" device_new null /dev/null target /dev/zilch
is "opens" "$(opens '>' /dev/zilch)" opened
ok "goes" rmdir "$c/device/null"
is "and null itself is left" "$(opens '>' /dev/null)" opened

# --- refusals leave nothing
refused "where something is already" EEXIST 'device/x/path: making /dev/null' "$c" \
	device_new x /dev/fuse target /dev/null
is "that stays" "$(session stat -c '%t:%T' /dev/null)" 1:3
rmdir "$c/device/x"
refused "outside /dev" EINVAL 'not below /dev' "$c" device_new x /dev/fuse target /etc/fuse
rmdir "$c/device/x"
refused "outside /dev by dots" EINVAL 'no plain path' "$c" device_new x /dev/fuse target /dev/../fuse
rmdir "$c/device/x"
refused "what is no device" EINVAL 'device/x/path' "$c" device_new x /etc/passwd
rmdir "$c/device/x"
refused "what there is not" ENOENT 'device/x/path' "$c" device_new x /dev/there-is-none
rmdir "$c/device/x"

# --- what the container has put in the way
mkdir -p "$T/shared"
mkdir "$c/mount/m"
put "$c/mount/m/source" "$T/shared"
put "$c/mount/m/target" /shared
session ln -s /shared /dev/link >/dev/null
refused "not by a link" EINVAL 'the directory of /dev/link/fuse' "$c" device_new x /dev/fuse target /dev/link/fuse
rmdir "$c/device/x"
session mkdir /dev/dir >/dev/null
mkdir "$c/mount/n"
put "$c/mount/n/source" "$T/shared"
put "$c/mount/n/target" /dev/dir
refused "nor into a directory of the host's" EIO 'the directory of /dev/dir/fuse' "$c" device_new x /dev/fuse target /dev/dir/fuse
rmdir "$c/device/x"
is "nothing was made on the host" "$(ls "$T/shared")" ""

# --- another daemon
machinefs_kill9
machinefs_start
is "after a crash of the daemon it is still there" "$(opens '<' /dev/a/b/fuse)" opened
ok "and can go" rmdir "$c/device/fuse"
like "then it has gone" "$(session ls /dev/a/b/fuse)" 'No such file'
put "$c/ctl" kill
await "$c" stopped

# --- in a user namespace the host's own node is shown
mknod "$T/node" c 10 229
chmod 666 "$T/node"
put "$c/namespaces" pid mount net uts ipc cgroup user
chown 100000:100000 "$T/root"
put "$c/user.map" "0 100000 65536"
ok "a device with a user namespace" device_new fuse "$T/node" target /dev/fuse
ok "it starts" put "$c/ctl" start
is "the node is there" "$(session stat -c "'%F %t:%T %a'" /dev/fuse)" "character special file a:e5 666"
is "and opens" "$(opens '<>' /dev/fuse)" opened
ok "it goes while it runs" rmdir "$c/device/fuse"
like "and has gone" "$(session ls /dev/fuse)" 'No such file'
ok "it comes while it runs" device_new fuse "$T/node" target /dev/x/fuse
is "and opens" "$(opens '<>' /dev/x/fuse)" opened
refused "no node by its number" ENXIO 'in a user namespace no node' "$c" \
	device_new n /dev/n number 'c 10:229'
rmdir "$c/device/n"
put "$c/ctl" kill
await "$c" stopped

# --- an owner gives what is his to open
chmod 600 "$T/node"
chown -R alice:alice "$T/root" "$c"
rmdir "$c"
mkdir "$c" && chown -R alice:alice "$c"
put "$c/root" "$T/root"
put "$c/init" sleep 1000
refused "not what the owner may not open" EACCES 'device/fuse/path' "$c" device_new fuse "$T/node"
rmdir "$c/device/fuse"
mkdir "$c/device/n"
refused "nor a number, for whose machine it is" EPERM 'number: only root' "$c" put "$c/device/n/number" 'c 10:229'
rmdir "$c/device/n"
chown alice "$T/node"
ok "what is his" device_new fuse "$T/node" target /dev/fuse
ok "starts" put "$c/ctl" start
is "it is there, and his" "$(session stat -c "'%F %a %u'" /dev/fuse)" "character special file 600 0"
is "and opens" "$(opens '<>' /dev/fuse)" opened
put "$c/ctl" kill
await "$c" stopped
done_testing
