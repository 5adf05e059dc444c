#!/bin/bash
# The command line: options, what is refused, becoming a daemon, and one daemon a state directory.
# What ls, cat and words do is what is tried here.
# shellcheck disable=SC2002
. tests/lib.sh
. tests/machines.sh
m=$T/mnt s=$T/state r=$T/run
run() { # OPTION...: must end by itself
	timeout 10 "$MACHINEFS" "$@" >"$T/out" 2>"$T/err"
}
run --version
is "--version" "$? $(cat "$T/out")" "0 machinefs $(cat "$T/out" | cut -d' ' -f2)"
run --help
is "--help" $? 0
for option in --state-dir --run-dir --foreground --version -o; do
	like "names $option" "$(cat "$T/out")" "$option"
done
run --nosuch
is "an unknown option" $? 2
like "points at --help" "$(cat "$T/err")" 'Try --help'
run a b c
is "two mount points" $? 2
run --state-dir
is "an option without its argument" $? 2
mkdir "$m" "$s" "$r"
options=(--state-dir "$s" --run-dir "$r")
run -f "${options[@]}" /proc/nowhere
is "where nothing can be mounted" $? 1
like "says so" "$(cat "$T/err")" '^machinefs: /proc/nowhere'
echo x >"$T/file"
run -f "${options[@]}" "$T/file"
is "a file as the mount point" $? 1
like "says so" "$(cat "$T/err")" "machinefs: .*$T/file"
run "${options[@]}" /proc/nowhere
is "in the background, too" $? 1
like "and says so before it ends" "$(cat "$T/err")" '^machinefs: /proc/nowhere'
run -f "${options[@]}" -o nosuchoption "$m"
is "an unknown mount option" $? 1
like "says so" "$(cat "$T/err")" 'machinefs: .*nosuchoption'
run -f --state-dir "$T/file/x" --run-dir "$r" "$m"
is "a state directory that cannot be" $? 1
like "says so" "$(cat "$T/err")" "machinefs: $T/file/x"
run -f --state-dir "$s" --run-dir "$T/no/run" "$m"
is "a run directory that cannot be" $? 1
like "says so" "$(cat "$T/err")" "machinefs: $T/no/run"
not_ok "nothing is mounted by all that" mountpoint -q "$m"

# --- in the background
run "${options[@]}" "$m"
is "it returns when the mount answers" "$? $(cat "$m/version" | wc -l)" "0 1"
is "having said nothing" "$(cat "$T/out" "$T/err")" ''
is "nobody else lists its socket directory" "$(stat -c %a "$r")" 711
mkdir "$m/vm/v"
run "${options[@]}" "$T/mnt"
is "a second daemon" $? 1
like "is refused with a sentence" "$(cat "$T/err")" "machinefs: $s: another daemon uses it"
mkdir "$T/other"
run -f --state-dir "$s" --run-dir "$T/run2" "$T/other"
is "also for another mount point" $? 1
is "the first one goes on" "$(cat "$m/vm/v/state")" stopped
not_ok "and nothing else was mounted" mountpoint -q "$T/other"
umount "$m" 2>/dev/null || fusermount3 -u "$m"
sleep 0.5
program=$(realpath "$MACHINEFS")
(cd "$T" && timeout 10 "$program" --state-dir state --run-dir run mnt)
is "relative paths" "$(cat "$m/vm/v/state")" stopped
umount "$m" 2>/dev/null || fusermount3 -u "$m"
sleep 0.5

# --- a mount that a killed daemon left
M=$m STATE_DIR=$s RUN_DIR=$r
machinefs_start
kill -KILL "$MACHINEFS_PID"
wait "$MACHINEFS_PID" 2>/dev/null
not_ok "what a killed daemon leaves fails" cat "$m/version"
machinefs_start
is "the next one replaces" "$(cat "$m/vm/v/state")" stopped
is "without a second mount" "$(grep -c " $m " /proc/self/mounts)" 1
machinefs_stop
machinefs_start -o noexec,nosuid
like "-o passes mount options" "$(grep " $m " /proc/self/mounts)" 'fuse\.machinefs .*noexec'
like "default_permissions is always there" "$(grep " $m " /proc/self/mounts)" 'default_permissions'
machinefs_stop

# --- as mount(8) and fstab do it, by mount.fuse3(8)
run "none" "$m" -o "rw,nodev,noexec,noauto,x-systemd.automount,state-dir=$s,run-dir=$r"
is "a source, a mount point and all that fstab says" "$? $(cat "$m/vm/v/state")" "0 stopped"
like "of which the mount gets its part" "$(grep " $m " /proc/self/mounts)" ' rw,nosuid,nodev,noexec| rw,nodev,noexec'
umount "$m" 2>/dev/null || fusermount3 -u "$m"
poll 5 eval '! mountpoint -q "$m"'
# They look for the program where it is installed; in this test's own mounts that is there.
if [ "$(id -u)" = 0 ] && [ -e /sbin/mount.fuse3 ] && [ -n "${TEST_TMP-}" ]; then
	mkdir "$T/bin"
	cp "$program" "$T/bin/machinefs"
	mount --bind "$T/bin" /usr/local/sbin
	ok "mount -t fuse.machinefs" mount -t fuse.machinefs -o "state-dir=$s,run-dir=$r,nosuid" none "$m"
	is "mounts it" "$(cat "$m/vm/v/state")" stopped
	ok "umount" umount "$m"
	soon "ends it" 5 flock -n "$s" true
	echo "machinefs $m fuse.machinefs state-dir=$s,run-dir=$r,noauto,nofail 0 0" >"$T/fstab"
	ok "a line of fstab" mount -T "$T/fstab" "$m"
	is "mounts it, too" "$(cat "$m/vm/v/state")" stopped
	like "under its type" "$(findmnt -no FSTYPE "$m")" '^fuse\.machinefs$'
	umount "$m"
	poll 5 flock -n "$s" true
	umount /usr/local/sbin
else
	skip "mount -t fuse.machinefs" "needs root, mount.fuse3 and a box"
fi
for signal in INT HUP TERM; do
	machinefs_start
	kill -$signal "$MACHINEFS_PID"
	wait "$MACHINEFS_PID"
	is "SIG$signal ends it well" $? 0
	not_ok "and unmounts" mountpoint -q "$m"
done
MACHINEFS_PID=
done_testing
