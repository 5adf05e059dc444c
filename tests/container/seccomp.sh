#!/bin/bash
# seccomp: the default filter, none, and profiles in OCI's JSON form.
. tests/lib.sh
. tests/machines.sh
. tests/users.sh
need_root
users_make
machinefs_start
chmod 711 "$T"
c=$M/container/c
container_new c sleep 1000

session() { # COMMAND...: what it prints
	[ -d "$c/exec/s" ] || mkdir "$c/exec/s"
	put "$c/exec/s/argv" "$@" && put "$c/exec/s/ctl" start && await "$c/exec/s" stopped &&
		cat "$c/exec/s/stdout" "$c/exec/s/stderr"
}

again() {
	[ "$(cat "$c/state")" = stopped ] || { put "$c/ctl" kill && await "$c" stopped; }
	put "$c/ctl" start
}

profile() { # TEXT: another profile, with which it is started
	put "$T/profile" "$1"
	again
}

no_mkdir='{ "names": [ "mkdir", "mkdirat", "no_such_call_yet" ], "action": "SCMP_ACT_ERRNO", "errnoRet": 28 }'
ok "the path of a profile" put "$T/profile" "{ \"defaultAction\": \"SCMP_ACT_ALLOW\", \"syscalls\": [ $no_mkdir ] }"
ok "is taken" put "$c/seccomp" "$T/profile"
is "and read back" "$(cat "$c/seccomp")" "$T/profile"
ok "it starts with it" put "$c/ctl" start
like "what it refuses is refused, with its errno" "$(session mkdir /tmp/a)" 'No space left'
is "to no more than that" "$(session touch /tmp/b)" ""
like "there is one filter" "$(cat "$c/proc/status")" $'Seccomp_filters:\t1\n'
like "in place of the default one" "$(session unshare -U true)" '^$'

ok "by argument" profile '{ "defaultAction": "SCMP_ACT_ALLOW", "archMap": [ { "architecture":
	"SCMP_ARCH_X86_64", "subArchitectures": [ "SCMP_ARCH_X86", "SCMP_ARCH_X32" ] } ], "syscalls": [
	{ "names": [ "kill" ], "action": "SCMP_ACT_ERRNO", "errnoRet": 28,
	  "args": [ { "index": 1, "value": 10, "op": "SCMP_CMP_EQ" },
		    { "index": 1, "value": 12, "valueTwo": 0, "op": "SCMP_CMP_EQ" } ] } ] }'
like "one of two values" "$(session sh -c "'kill -10 \$\$'")" 'No space left'
like "the other" "$(session sh -c "'kill -12 \$\$'")" 'No space left'
session sh -c "'kill -15 \$\$; sleep 5'" >/dev/null
is "a third is not meant" "$(cat "$c/exec/s/exit")" "signaled 15"

ok "by capability, kernel and architecture" profile '{ "defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
	{ "names": [ "mkdir" ], "action": "SCMP_ACT_ERRNO", "errnoRet": 28, "includes": { "caps": [ "CAP_SYS_ADMIN" ] } },
	{ "names": [ "rmdir" ], "action": "SCMP_ACT_ERRNO", "errnoRet": 28, "excludes": { "caps": [ "CAP_SYS_ADMIN" ] } },
	{ "names": [ "link" ], "action": "SCMP_ACT_ERRNO", "errnoRet": 28, "includes": { "arches": [ "s390" ] } },
	{ "names": [ "symlink" ], "action": "SCMP_ACT_ERRNO", "errnoRet": 28, "includes": { "minKernel": "4.8" } } ] }'
is "who has it not is not meant" "$(session mkdir /tmp/c)" ""
like "unless it is for these" "$(session rmdir /tmp/c)" 'No space left'
is "nor another architecture" "$(session sh -c "'ln /tmp/b /tmp/b2'")" ""
like "an old enough kernel is meant" "$(session ln -s x /tmp/d)" 'No space left'

refused "no JSON" EINVAL 'seccomp: line [12] of the file' "$c" profile '{ "defaultAction": '
refused "no action" EINVAL 'no action.*SCMP_ACT_MAYBE' "$c" profile '{ "defaultAction": "SCMP_ACT_MAYBE" }'
refused "an agent that there is not" EINVAL 'SCMP_ACT_NOTIFY' "$c" profile \
	'{ "defaultAction": "SCMP_ACT_ALLOW", "syscalls": [ { "names": [ "mkdir" ], "action": "SCMP_ACT_NOTIFY" } ] }'
refused "a list" EINVAL 'no profile' "$c" profile '[]'
refused "what would let nothing be executed" EPERM 'init' "$c" profile \
	'{ "defaultAction": "SCMP_ACT_ALLOW", "syscalls": [ { "names": [ "execve" ], "action": "SCMP_ACT_ERRNO" } ] }'
refused "no such file" ENOENT 'seccomp' "$c" put "$c/seccomp" "$T/there-is-none"
refused "no word" EINVAL 'default, none' "$c" put "$c/seccomp" strict
head -c 1100000 /dev/zero | tr '\0' ' ' >"$T/profile"
refused "a large one" EINVAL 'larger than' "$c" again

ok "none" put "$c/seccomp" none
ok "starts" again
like "without a filter" "$(cat "$c/proc/status")" $'Seccomp:\t0\n'
put "$c/ctl" kill
await "$c" stopped

# --- who is not root gets no further by it
put "$c/seccomp" default
chown -R alice:alice "$c" "$T/root"
put "$T/profile" "{ \"defaultAction\": \"SCMP_ACT_ALLOW\", \"syscalls\": [ $no_mkdir ] }"
chmod 600 "$T/profile"
refused "not one that he may not read" EACCES 'seccomp' "$c" put "$c/seccomp" "$T/profile"
chmod 644 "$T/profile"
refused "not none" EPERM 'only root may do without' "$c" put "$c/seccomp" none
ok "his own" put "$c/seccomp" "$T/profile"
ok "starts" again
like "with both" "$(cat "$c/proc/status")" $'Seccomp_filters:\t2\n'
like "his holds" "$(session mkdir /tmp/z)" 'No space left'
like "and the default one" "$(session unshare -U true)" 'not permitted'
put "$c/ctl" kill
await "$c" stopped
done_testing
