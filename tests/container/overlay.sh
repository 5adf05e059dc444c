#!/bin/bash
# Containers on images: an overlay for each, kept over its runs; what the image says of its program;
# user namespaces; squashfs and erofs.
# timeout: 180
. tests/lib.sh
need_root
need_command python3
need_overlay
machinefs_start
root=$(busybox_root)
import() { # NAME SOURCE
	mkdir "$M/image/$1" && put "$M/image/$1/source" "$2" && put "$M/image/$1/ctl" import &&
		put "$M/image/$1/wait" ready 30
}
new() { # NAME ROOT INIT...
	c=$M/container/$1
	mkdir "$c" && put "$c/root" "$2" && shift 2 && put "$c/init" "$*"
}
run() { # starts it and waits for its end
	put "$c/ctl" start && await "$c" stopped 30
}
printed() { # the console of this run
	tail -n "${1:-1}" "$c/console"
}

# --- one image, many containers
ok "an image" import bb "$root"
new a "image bb" "/bin/sh -c 'cat /mark; echo a >/mark; rm /etc/passwd; ls /etc; touch /tmp/x'"
is "it is used" "$(cat "$M/image/bb/users")" container/a
refused "so it stays" EBUSY 'bb is the root of container/a$' "$M/image/bb" rmdir "$M/image/bb"
refused "and keeps its name" EBUSY 'bb is the root of container/a' "$M" mv "$M/image/bb" "$M/image/cc"
ok "a container on it" run
is "ends well" "$(cat "$c/exit")" "exited 0"
new b "image bb" "/bin/sh -c 'ls /mark /etc/passwd; echo b >/mark'"
ok "another one" run
like "sees nothing of the first one's" "$(cat "$c/console")" 'mark: No such file.*/etc/passwd'
c=$M/container/a
put "$c/init" "/bin/sh -c 'cat /mark; ls /etc/passwd'"
ok "the first one again" run
like "has what it wrote, and not what it removed" "$(printed 2)" $'^a\n.*etc/passwd: No such file'
ok "the image is as it was" put "$M/image/bb/ctl" verify
is "no mount is left" "$(grep -c "$STATE_DIR" /proc/self/mountinfo)" 0
uuid=$(cat "$c/uuid")
ok "rmdir" rmdir "$c"
gone() { [ ! -e "$STATE_DIR/container/.$uuid" ] && [ ! -e "$STATE_DIR/container/a" ]; }
soon "takes its layer along" 10 gone

# --- root.writable
new n "image bb" "/bin/sh -c 'touch /x; ls /proc/self/exe'"
put "$c/root.writable" none
ok "none" run
like "is read-only" "$(printed 2)" 'Read-only file system'
put "$c/root.writable" direct
refused "an image is never written to" EINVAL 'an image is shared' "$c" put "$c/ctl" start
refused "an image that is not there" ENOENT 'root: there is no image "no"' "$c" put "$c/root" "image no"
refused "an image's name alone" EINVAL '"bb" is neither an absolute path nor image NAME' "$c" put "$c/root" bb
refused "no name of an image" EINVAL 'not the name of an image' "$c" put "$c/root" "image ../bb"
mkdir "$M/image/empty"
put "$c/root" "image empty"
put "$c/root.writable" auto
refused "one that is not ready" EBUSY 'image empty is empty' "$c" put "$c/ctl" start
new d "$root" "/bin/sh -c 'echo mine >/mark; cat /mark'"
put "$c/root.writable" overlay
ok "an overlay over a directory" run
is "is written to" "$(printed)" mine
not_ok "and not the directory" test -e "$root/mark"

# --- what the image says
python3 tests/hostile-tar.py oci-config "$T/oci-config"
tar -C "$root" -cf "$T/bb.tar" .
layer=$(sha256sum "$T/bb.tar" | cut -d' ' -f1)
cp "$T/bb.tar" "$T/oci-config/blobs/sha256/$layer"
python3 - "$T/oci-config" "$layer" "$(stat -c %s "$T/bb.tar")" <<'P'
import hashlib, json, sys
path, layer, size = sys.argv[1:]
index = json.load(open(path + "/index.json"))
m = index["manifests"][0]
manifest = json.load(open(f"{path}/blobs/sha256/{m['digest'][7:]}"))
manifest["layers"].append({"mediaType": "application/vnd.oci.image.layer.v1.tar",
                           "digest": "sha256:" + layer, "size": int(size)})
text = json.dumps(manifest).encode()
m["digest"], m["size"] = "sha256:" + hashlib.sha256(text).hexdigest(), len(text)
open(f"{path}/blobs/sha256/{m['digest'][7:]}", "wb").write(text)
json.dump(index, open(path + "/index.json", "w"))
P
ok "an OCI image" import oci "$T/oci-config"
new o "image oci" ""
ok "a container that says nothing" run
is "runs the image's command, there" "$(printed 2)" $'it\'s hello world\n/etc'
put "$c/init.env" GREETING=you
put "$c/init" "/bin/sh -c 'echo \$GREETING \$PWD'"
ok "one that does" run
is "has its own way" "$(printed)" "you /"

# --- a user namespace
users() { # FILE...: whose they are, inside
	put "$c/init" "/bin/sh -c 'stat -c \"%n %u %g %a\" $*; cat /proc/self/uid_map'" && run && printed $(($# + 1))
}
new u "image bb" "/bin/sh -c 'stat -c \"%u %g\" / /bin/busybox; id -u; echo mine >/mine; cat /proc/self/uid_map'"
put "$c/namespaces" pid mount net uts ipc cgroup user
put "$c/user.map" 0 200000 65536
ok "an image in a user namespace" run
is "files belong to root inside" "$(printed 4 | head -n 3 | xargs)" "0 0 0 0 0"
like "who is nobody outside" "$(printed)" '0 +200000 +65536'
put "$c/root.writable" none
is "none, too" "$(users / /bin/busybox | head -n 2 | cut -d' ' -f2- | xargs)" "0 0 755 0 0 755"
put "$c/init" touch /x
run
like "is read-only" "$(printed)" 'Read-only file system'

# --- file systems
[ -e /dev/loop-control ] || modprobe loop 2>/dev/null
for kind in squashfs erofs; do
	case $kind in
	squashfs) make=mksquashfs ;;
	*) make=mkfs.erofs ;;
	esac
	if ! command -v $make >/dev/null || ! losetup -f >/dev/null 2>&1 ||
		! { grep -qw $kind /proc/filesystems || modprobe $kind 2>/dev/null; }; then
		skip "$kind" "no $make, loop devices or $kind here"
		continue
	fi
	if [ $kind = squashfs ]; then
		mksquashfs "$root" "$T/$kind.img" -quiet -no-progress >/dev/null
	else
		mkfs.erofs "$T/$kind.img" "$root" >/dev/null 2>&1
	fi
	ok "$kind" import $kind "$T/$kind.img"
	is "is found out" "$(cat "$M/image/$kind/kind")" $kind
	ok "and verified" put "$M/image/$kind/ctl" verify
	new $kind "image $kind" "/bin/sh -c 'echo on $kind >/x; cat /x'"
	ok "a container on $kind" run
	is "writes to its overlay" "$(printed)" "on $kind"
	new "user-$kind" "image $kind" ""
	put "$c/namespaces" pid mount net uts ipc cgroup user
	put "$c/user.map" 0 200000 65536
	is "in a user namespace its files are root's" "$(users /bin/busybox | head -n 1)" "/bin/busybox 0 0 755"
	loops=$(losetup -n -O BACK-FILE 2>/dev/null | grep -c "$STATE_DIR")
	is "no loop device is left" "$loops" 0
done
# The kernel is not to trust what a user has written.
mkdir "$M/image/hers"
chown 12345 "$M/image/hers"
put "$M/image/hers/source" "$T/bb.tar"
put "$M/image/hers/type" squashfs
refused "a user's file system" EPERM 'the kernel would mount' "$M/image/hers" put "$M/image/hers/ctl" import

# --- whose files are whose in a user namespace, where the file system can be mounted with its map, and
# where not: the kernel does that for ext4, and not for ext3
machinefs_stop
cp -a "$root" "$T/owners"
echo x >"$T/owners/su"
chown 8:9 "$T/owners/su"
chmod 6755 "$T/owners/su"
ln "$T/owners/su" "$T/owners/link"
ln -s /etc/passwd "$T/owners/symlink"
chown -h 8:9 "$T/owners/symlink"
echo x >"$T/owners/far"
chown 99999:99999 "$T/owners/far"
mkdir -p "$T/owners/deep/er"
cp "$root/bin/busybox" "$T/owners/deep/er/ping"
capability() { # FILE [VALUE]: what its capability is, as the host sees it; sets it
	python3 -c 'import os, struct, sys
if len(sys.argv) > 2:
	os.setxattr(sys.argv[1], "security.capability", struct.pack("<5I", *map(int, sys.argv[2:])))
print(*struct.unpack("<6I", os.getxattr(sys.argv[1], "security.capability").ljust(24, b"\0")))' "$@"
}
capability "$T/owners/deep/er/ping" $((0x2000001)) $((1 << 13)) 0 0 0 >/dev/null
there="/ 0 0 755 /su 8 9 6755 /link 8 9 6755 /symlink 8 9 777 /far 65534 65534 644 /deep/er/ping 0 0 755"
for kind in ext4 ext3; do
	truncate -s 256M "$T/$kind" && "mkfs.$kind" -q "$T/$kind" && mkdir -p "$T/on-$kind"
	if ! mount -t $kind -o loop "$T/$kind" "$T/on-$kind" 2>/dev/null; then
		skip "a state directory on $kind" "no loop devices, or $kind, here"
		continue
	fi
	STATE_DIR=$T/on-$kind/state
	machinefs_start
	ok "$kind: an image" import owners "$T/owners"
	new u "image owners" ""
	put "$c/namespaces" pid mount net uts ipc cgroup user
	put "$c/user.map" 0 200000 65536
	names=$(xargs -n 4 <<<"$there" | cut -d' ' -f1 | xargs)
	# shellcheck disable=SC2086 # words
	is "$kind: files belong to the same users" "$(users $names | head -n 6 | xargs)" "$there"
	put "$c/init" "/bin/sh -c 'echo mine >/mine; echo more >>/su; rm -r /deep /etc; mkdir /etc; echo all of it; exec sleep 1000'"
	put "$c/ctl" start
	soon "$kind: it writes" 10 grep -q "all of it" "$c/console"
	upper=$STATE_DIR/container/u/layer/upper
	case $kind in
	ext4) is "what it writes is its users' inside" "$(stat -c %u "$upper/mine" "$upper/su" | xargs)" "0 8" ;;
	ext3) is "what it writes is its users' outside" "$(stat -c %u "$upper/mine" "$upper/su" | xargs)" "200000 200008" ;;
	esac
	put "$c/ctl" kill
	await "$c" stopped
	put "$c/init" "/bin/sh -c 'stat -c %u /mine; cat /su; ls /deep /etc'"
	run
	like "$kind: it is there, and what was removed is not" "$(printed 5)" $'^0\nx\nmore\nls: /deep: No such file'
	new k "image owners" sleep 1000
	put "$c/namespaces" pid mount net uts ipc cgroup user
	put "$c/user.map" 0 200000 65536
	put "$c/ctl" start
	is "$kind: a file's capability is that of the namespace's root" "$(capability "$c/rootfs/deep/er/ping")" \
		"$((0x3000001)) $((1 << 13)) 0 0 0 200000"
	put "$c/ctl" kill
	await "$c" stopped
	put "$c/user.map" 0 300000 65536
	[ $kind = ext4 ] || refused "ext3: another map is refused, as it was written with this one" EBUSY \
		'user.map: what the container has written' "$c" put "$c/ctl" start
	put "$c/root.writable" none
	# shellcheck disable=SC2086
	is "$kind: with another map the image's still do" "$(users $names | head -n 6 | xargs)" "$there"
	if [ $kind = ext3 ]; then
		below=$STATE_DIR/container/k/layer/below
		first=$(stat -c %z "$below/upper/su")
		users / >/dev/null
		is "they are given away once" "$(stat -c %z "$below/upper/su")" "$first"
		rm "$below/ids" # as if it had been killed before the end
		chown 1 "$below/upper/su"
		# shellcheck disable=SC2086
		is "and anew when that was left by half" "$(users $names | head -n 6 | xargs)" "$there"
		ok "what is in the files stays in the image" test "$(du -sk "$below" | cut -f1)" -lt 500
	fi
	new q "image owners" "/bin/sh -c 'stat -c \"%u %g\" /su; dd if=/dev/zero of=/big bs=1M count=64 2>/dev/null; echo \$?; echo x >/mine; stat -c %u /mine'"
	put "$c/namespaces" pid mount net uts ipc cgroup user
	put "$c/user.map" 0 200000 65536
	put "$c/quota" bytes=32M
	ok "$kind: with a quota" run
	is "$kind: which holds, and they do" "$(printed 3 | xargs)" "8 9 1 0"
	ok "$kind: the image is as it was" put "$M/image/owners/ctl" verify
	for c in u k q; do rmdir "$M/container/$c"; done
	nothing() { [ -z "$(ls -A "$STATE_DIR/container")" ]; }
	soon "$kind: of the containers nothing is left" 10 nothing
	machinefs_stop
	ok "$kind: nor a mount" umount "$T/on-$kind"
done
done_testing
