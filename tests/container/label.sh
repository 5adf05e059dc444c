#!/bin/bash
# AppArmor: a container's init and its sessions run under the profile that is named, from their first
# instruction, and under none that is not loaded.
. tests/lib.sh
. tests/machines.sh
need_root
mountpoint -q /sys/kernel/security || mount -t securityfs none /sys/kernel/security 2>/dev/null
[ -e /sys/kernel/security/apparmor ] || skip_all "needs AppArmor"
command -v apparmor_parser >/dev/null || skip_all "needs apparmor_parser"

cat >"$T/profile" <<'PROFILE'
profile machinefs-test flags=(attach_disconnected) {
	file,
	capability,
	signal,
	unix,
	deny /secret r,
}
PROFILE
ok "a profile is loaded" apparmor_parser -r "$T/profile"
machinefs_start
c=$M/container/c
container_new c /bin/sh -c "'cat /proc/self/attr/current /secret; echo up; exec sleep 1000'"
echo secret >"$T/root/secret"
put "$c/apparmor" machinefs-nowhere
refused "a profile that is not loaded" ENOENT 'apparmor' "$c" put "$c/ctl" start
is "nothing has run" "$(cat "$c/console")" ""
put "$c/apparmor" machinefs-test
ok "under one that is" put "$c/ctl" start
poll 5 grep -q '^up' "$c/console"
like "init runs under it" "$(cat "$c/console")" 'machinefs-test \(enforce\)'
like "which holds it" "$(cat "$c/console")" '/secret.*Permission denied'
session() { # SHELL-COMMAND: what it prints
	session_said "$c" /bin/sh -c "'$1'"
}
like "a session runs under it" "$(session 'cat /proc/self/attr/current')" '^machinefs-test \(enforce\)'
like "which holds it, too" "$(session 'cat /secret')" 'Permission denied'
apparmor_parser -R "$T/profile"
mkdir "$c/exec/t"
put "$c/exec/t/argv" "/bin/cat /proc/self/attr/current"
refused "a session of one that was unloaded" ENOENT 'apparmor' "$c/exec/t" put "$c/exec/t/ctl" start
put "$c/ctl" kill
await "$c" stopped
put "$c/apparmor" ""
ok "without one" put "$c/ctl" start
poll 5 eval "[ \$(grep -c ^up '$c/console') = 2 ]"
like "it is as it was" "$(tail -n 3 "$c/console")" 'unconfined'
put "$c/ctl" kill
await "$c" stopped
done_testing
