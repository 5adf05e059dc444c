#!/bin/bash
# timeout: 300
# Paths of the host in settings: every one of them is opened as the machine's owner, whoever writes
# it, and whatever lies on the way. Which settings these are the manual says, so that a new one is
# tried, too.
. tests/lib.sh
. tests/machines.sh
. tests/users.sh
need_root
need_command setpriv unshare
users_make
machinefs_start
chmod 711 "$T"
# KIND NAME TYPE of each such setting
settings() {
	"$MACHINEFS" --manual | awk '
		/^\.Sh / { kind = "" } # those of parts: tests/fs/parts.sh, tests/container/mount.sh
		/^\.Sh SETTINGS OF EVERY MACHINE/ { kind = "every" }
		/^\.Sh SETTINGS OF A CONTAINER/ { kind = "container" }
		/^\.Sh SETTINGS OF A VIRTUAL MACHINE/ { kind = "vm" }
		/^\.It Pa / { name = $3 }
		kind && /^Names a directory of the host/ { print kind, name, "directory" }
		kind && /^Names a regular file of the host/ { print kind, name, "file" }'
}
settings >"$T/settings"
is "the manual tells the settings that are paths" "$(tr '\n' ',' <"$T/settings")" \
	"vm boot.kernel file,vm boot.initrd file,container root directory,container seccomp file,"

# --- what is there to be had: each once as a file and once as a directory
make_both() { # DIRECTORY
	echo content >"$1/file"
	mkdir "$1/directory"
}
mkdir "$T/open" "$T/secret" "$T/shared" "$T/sticky" "$T/fifos"
make_both "$T/open"
make_both "$T/secret"
chmod 700 "$T/secret"
make_both "$T/shared"
chgrp 3001 "$T/shared"
chmod 750 "$T/shared"
install -d -m 700 "$T/closed"
for type in file directory; do
	cp -r "$T/open/$type" "$T/mine.$type" && chown 2001 "$T/mine.$type" && chmod 500 "$T/mine.$type"
	cp -r "$T/open/$type" "$T/lent.$type" && chgrp 3001 "$T/lent.$type" && chmod 750 "$T/lent.$type"
	cp -r "$T/open/$type" "$T/roots.$type" && chmod 700 "$T/roots.$type"
	cp -r "$T/open/$type" "$T/admins.$type" && chgrp 3002 "$T/admins.$type" && chmod 750 "$T/admins.$type"
	ln -s "secret/$type" "$T/link.$type"
	ln -s "$T/open/../open/./$type" "$T/good.$type"
	ln -s "$T/sticky/planted.$type" "$T/sticky/through.$type"
	ln -s "loop.$type" "$T/loop.$type"
	ln -s "$M/vm" "$T/tree.$type"
done
chmod 1777 "$T/sticky"
for type in file directory; do
	as bob ln -s "$T/open/$type" "$T/sticky/planted.$type"
	as alice ln -s "$T/open/$type" "$T/sticky/own.$type"
done
mkfifo "$T/fifos/file" "$T/fifos/directory"
chmod 666 "$T/fifos/"*
mknod "$T/zero" c 1 5
chmod 666 "$T/zero"

deny() { # NAME ERRNO REGEXP USER FILE PATH: as the user, and as root, who does not lend his authority
	local said
	refused "$1" "$2" "$3" "${5%/*}" as "$4" timeout 10 bash -c 'printf "%s\n" "$2" >"$1"' - "$5" "$6"
	refused "$1, also when root writes it" "$2" "$3" "${5%/*}" write "$5" "$6"
	said=$(cat "$5")
	[ "$said" = "$unset" ] || fail "$1: nothing is set" "$said"
}

while read -r kind name type; do
	d=$M/$kind/$name
	mkdir "$M/$kind/$name" && chown -R alice:alice "$d"
	s=$d/$name
	unset=$(cat "$s")
	# --- what the owner may
	for path in "$T/open/$type" "$T/mine.$type" "$T/lent.$type" "$T/shared/$type" "$T/good.$type" \
		"$T/open/../open//./$type" "/../$T/open/$type" "$T/sticky/own.$type" "/proc/..$T/open/$type"; do
		ok "$name: the owner's ${path#"$T"/}" put_as alice "$s" "$path"
		put "$s" "$unset"
	done
	# --- what he may not
	deny "$name: in a directory that is closed to the owner" EACCES "$name: .*/secret/" alice "$s" "$T/secret/$type"
	deny "$name: by way of .." EACCES "$name: " alice "$s" "$T/secret/../open/$type"
	deny "$name: through a link" EACCES "$name: " alice "$s" "$T/link.$type"
	deny "$name: root's own" EACCES "$name: " alice "$s" "$T/roots.$type"
	deny "$name: another group's" EACCES "$name: " alice "$s" "$T/admins.$type"
	deny "$name: a link that another user has put into a sticky directory" EACCES "$name: " alice "$s" \
		"$T/sticky/planted.$type"
	deny "$name: likewise at the end of a link" EACCES "$name: " alice "$s" "$T/sticky/through.$type"
	deny "$name: a link that leads to itself" EINVAL "$name: .*links" alice "$s" "$T/loop.$type"
	deny "$name: not there" ENOENT "$name: " alice "$s" "$T/open/nothing"
	deny "$name: a relative path" EINVAL "$name: .*absolute" alice "$s" "open/$type"
	deny "$name: a file as a directory" EINVAL "$name: " alice "$s" "$T/open/file/."
	deny "$name: a FIFO" EINVAL "$name: .*not a (regular file|directory)" alice "$s" "$T/fifos/$type"
	deny "$name: a device" EINVAL "$name: .*not a (regular file|directory)" alice "$s" "$T/zero"
	# --- what is the daemon's: its descriptors, root and directory, and all of /proc
	for path in /proc/self/fd/0 /proc/self/fd/3 /proc/self/exe /proc/self/cwd /proc/self/root "/proc/self/root$T/open/$type" \
		/proc/self/task /proc/self/maps /proc/self/environ /proc/1/root "/proc/$MACHINEFS_PID/root" \
		"/proc/$MACHINEFS_PID/fd/3" "/proc/$MACHINEFS_PID/maps" /proc/version /proc /dev/fd/3 /dev/stdin /proc/thread-self/root; do
		deny "$name: $path" EACCES "$name: " alice "$s" "$path"
	done
	# --- the daemon's own tree would wait for itself
	for path in "$M" "$M/" "$M/$kind/$name" "$M/$kind/$name/error" "$M/version" "$T/tree.$type" "$T/tree.$type/$name/state"; do
		deny "$name: in the tree, ${path#"$T"/}" EINVAL "$name: .*own tree" alice "$s" "$path"
	done
	# --- whoever may write the setting has the owner's authority for it, not his own
	chmod 666 "$s"
	ok "$name: what is delegated has the owner's authority" put_as bob "$s" "$T/mine.$type"
	put "$s" "$unset"
	deny "$name: and not that of who writes" EACCES "$name: " bob "$s" "$T/secret/$type"
	# --- the directory's group is for delegation, and lends the owner nothing
	chgrp admins "$d"
	deny "$name: the machine's group is not its owner's" EACCES "$name: " alice "$s" "$T/admins.$type"
	# --- a new owner is asked anew, at each use
	put "$s" "$T/lent.$type"
	chown bob "$d"
	case $name in
	boot.initrd) put "$d/boot.kernel" "$T/open/file" ;;
	seccomp) put "$d/root" "$T/open/directory" ;;
	esac
	refused "$name: another owner's path is opened as he at the start" EACCES "$name: " "$d" put "$d/ctl" start
	is "$name: it is stopped" "$(cat "$d/state")" stopped
	put "$s" "$unset"
	chown alice "$d"
	sed -i '/^lent:/s/alice//' "$T/etc/group"
	cat "$T/etc/group" >/etc/group
	deny "$name: a group that the owner was taken out of" EACCES "$name: " alice "$s" "$T/lent.$type"
	sed -i '/^lent:/s/$/alice/' "$T/etc/group"
	cat "$T/etc/group" >/etc/group
	rmdir "$d"
done <"$T/settings"

machinefs_stop

# --- an ordinary user's daemon is she, and nobody else
device fuse root 666
M=$T/hers/mnt STATE_DIR=$T/hers/state RUN_DIR=$T/hers/run MACHINEFS_UNDER=(as alice)
install -d -o alice "$T/hers" "$M" "$STATE_DIR" "$RUN_DIR"
machinefs_start -o allow_other
v=$M/vm/v
as alice mkdir "$v"
as alice chmod 777 "$M/vm"
ok "her daemon opens what is hers" put_as alice "$v/boot.kernel" "$T/mine.file"
as bob mkdir "$M/vm/bobs"
not_ok "not for another user" put_as bob "$M/vm/bobs/boot.kernel" "$T/mine.file"
like "whose authority it does not have" "$(cat "$M/vm/bobs/error")" '^EPERM boot\.kernel: .*user 2001.*user 2002'
chown bob "$v"
refused "nor does his machine run as she" EPERM 'boot\.kernel: .*cannot act as user 2002' "$v" put "$v/ctl" start
done_testing
