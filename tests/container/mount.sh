#!/bin/bash
# mount/NAME: at the start, and made and taken away while the container runs; nothing gets out by it.
. tests/lib.sh
. tests/machines.sh
need_root
machinefs_start
c=$M/container/c
container_new c sleep 1000
mkdir -p "$T/data/deep" "$T/outside"
echo here >"$T/data/file"
echo there >"$T/data/deep/file"

session() { # COMMAND...: what it prints
	session_said "$c" "$@"
}

mount_new() { # NAME SOURCE TARGET [OPTIONS]
	mkdir "$c/mount/$1" && put "$c/mount/$1/source" "$2" &&
		put "$c/mount/$1/options" "${4-}" && put "$c/mount/$1/target" "$3"
}

tmpfs_new() { # NAME TARGET OPTIONS
	mkdir "$c/mount/$1" && put "$c/mount/$1/type" tmpfs && put "$c/mount/$1/options" "$3" &&
		put "$c/mount/$1/target" "$2"
}

# --- at the start
ok "a directory" mount_new data "$T/data" /srv/data ro
ok "a file" mount_new file "$T/data/file" /etc/motd ro
ok "a tmpfs" tmpfs_new tmp /tmp/own "size=1m,mode=0700"
ok "it starts with them" put "$c/ctl" start
is "the directory is there" "$(session cat /srv/data/file /srv/data/deep/file)" $'here\nthere'
is "the file is" "$(session cat /etc/motd)" here
like "ro is read-only" "$(session touch /srv/data/x)" 'Read-only'
like "the tmpfs has its size" "$(session sh -c "'head -c 2m /dev/zero > /tmp/own/x'")" 'No space|I/O error'
is "and its mode" "$(session stat -c %a /tmp/own)" 700

# --- while it runs
ok "another, while it runs" mount_new live "$T/data" /live
is "it appears" "$(session cat /live/file)" here
ok "it can be written" session touch /live/new
ok "what is written is on the host" test -e "$T/data/new"
ok "it goes" rmdir "$c/mount/live"
like "and is no more" "$(session ls /live/file)" 'No such file'
ok "so does one of the start" rmdir "$c/mount/data"
like "likewise" "$(session ls /srv/data/file)" 'No such file'
ok "a tmpfs, while it runs" tmpfs_new late /late ''
like "appears" "$(session mount)" 'on /late type tmpfs'
put "$c/ctl" pause
ok "and in a paused one" tmpfs_new paused /paused ''
put "$c/ctl" resume
like "appears, too" "$(session mount)" 'on /paused type tmpfs'

# --- refusals
mkdir "$c/mount/bad"
put "$c/mount/bad/source" "$T/data"
refused "nothing in /proc" EINVAL 'nothing can be mounted in /proc' "$c" \
	put "$c/mount/bad/target" /proc/sys
ln -sfn /proc/sys "$T/root/link"
refused "nor by a link" EINVAL 'nothing can be mounted in /proc' "$c" \
	put "$c/mount/bad/target" /link
put "$c/mount/bad/options" ro,funny
refused "an option that there is not" EINVAL 'options: "funny"' "$c" \
	put "$c/mount/bad/target" /bad
rmdir "$c/mount/bad"

# --- links that lead out
mkdir -p "$T/root$T/outside"
ln -sfn "$T/outside" "$T/root/absolute"
ln -sfn "../../../../../../../../..$T/outside" "$T/root/relative"
ok "a target by an absolute link" mount_new abs "$T/data" /absolute/x
ok "and by a relative one" mount_new rel "$T/data" /relative/y
is "nothing came to be outside" "$(ls "$T/outside")" ""
ok "but inside" test -d "$T/root$T/outside/x"
is "the host sees no mount" "$(grep -c "$T/root" /proc/self/mountinfo)" 0

# --- what changes while it is mounted: the root's owner against us
session sh -c "'mkdir -p /race/a; ln -sfn $T/outside /race/link'" >/dev/null
mkdir "$c/exec/flip"
put "$c/exec/flip/argv" sh -c \
	"'cd /race; while :; do mv a b; ln -s $T/outside a; rm a; mv b a; done 2>/dev/null'"
put "$c/exec/flip/ctl" start
for _ in $(seq 20); do
	mkdir "$c/mount/race"
	put "$c/mount/race/type" tmpfs
	put "$c/mount/race/target" /race/a/t 2>/dev/null
	rmdir "$c/mount/race"
done
put "$c/exec/flip/ctl" kill
is "twenty races lead nowhere" "$(ls "$T/outside")" ""
put "$c/ctl" kill
await "$c" stopped
is "no mount is left" "$(grep -c "$T/data" /proc/self/mountinfo)" 0
done_testing
