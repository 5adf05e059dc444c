# shellcheck shell=bash
# tests/users.sh: users and groups for the tests of authority, sourced after tests/lib.sh. Root only.
#
# users_make puts files of its own over the user database, in the test's own mount namespace:
# alice (2001, also in the group lent, 3001), bob (2002, whose main group is 2500), carol (2003); subordinate ids as given to
# subordinate(). No directory service is asked. Ordinary users may mount for others (fuse.conf(5)).

users_make() {
	# The runner's box has a mount namespace of its own; a bare run gets one.
	[ -n "${TEST_TMP-}" ] || [ -n "${USERS_UNSHARED-}" ] ||
		USERS_UNSHARED=1 exec unshare -m "$BASH" "$0"
	local file
	mkdir "$T/etc"
	cp /etc/passwd /etc/group "$T/etc"
	printf 'alice:x:2001:2001::%s:/bin/sh\nbob:x:2002:2500::/:/bin/sh\ncarol:x:2003:2003::/:/bin/sh\n' \
		"$T" >>"$T/etc/passwd"
	printf 'alice:x:2001:\nbob:x:2500:\ncarol:x:2003:\nlent:x:3001:alice\nadmins:x:3002:\n' >>"$T/etc/group"
	printf 'passwd: files\ngroup: files\nsubid: files\n' >"$T/etc/nsswitch.conf"
	: >"$T/etc/subuid" && : >"$T/etc/subgid"
	echo user_allow_other >"$T/etc/fuse.conf"
	for file in "$T"/etc/*; do
		[ -e "/etc/${file##*/}" ] || : >"/etc/${file##*/}"
		mount --bind "$file" "/etc/${file##*/}" || return 1
	done
}

# subordinate USER START COUNT: both uids and gids; without START none at all.
subordinate() {
	local file
	for file in subuid subgid; do
		grep -v "^$1:" "$T/etc/$file" >"$T/lines"
		[ -z "${2-}" ] || echo "$1:$2:$3" >>"$T/lines"
		cat "$T/lines" >"$T/etc/$file"
	done
}

# as USER COMMAND...: as a login would, with all groups.
as() {
	local user=$1
	shift
	setpriv --reuid "$user" --regid "$(id -g "$user")" --init-groups "$@"
}

# put_as USER FILE TEXT...
put_as() {
	as "$1" bash -c 'printf "%s\n" "$2" >"$1"' - "$2" "${*:3}"
}

# device NAME GROUP MODE: a device as its group may use it, without touching the host's own.
device() {
	[ -c "/dev/$1" ] || return 0
	mkdir -p "$T/devices"
	mknod "$T/devices/$1" c $((0x$(stat -c %t "/dev/$1"))) $((0x$(stat -c %T "/dev/$1"))) &&
		chgrp "$2" "$T/devices/$1" && chmod "$3" "$T/devices/$1" &&
		mount --bind "$T/devices/$1" "/dev/$1"
}

# As put, and nothing that hangs the daemon hangs the test: every other client would see it, too.
write() { # FILE TEXT
	timeout 10 bash -c 'printf "%s\n" "$2" >"$1"' - "$1" "$2"
}
