#!/bin/bash
# landlock: what of its own files a container may reach, whoever it is, init and sessions alike.
. tests/lib.sh
. tests/machines.sh
need_root
machinefs_start
c=$M/container/c
if ! grep -q '^PASS landlock' "$M/host/check"; then
	container_new c /bin/true
	put "$c/landlock" "/ r"
	refused "a kernel without it" ENXIO 'landlock: this kernel has it not' "$c" put "$c/ctl" start
	done_testing
fi
# A kernel without it.
machinefs_stop
MACHINEFS_UNDER=("$B/tests/fault/failcall" -c 0 landlock_create_ruleset 95 0)
machinefs_start
like "host/check tells where it is not" "$(cat "$M/host/check")" $'\nWARN landlock: '
container_new c /bin/true
ok "who does not ask for it starts" put "$c/ctl" start
await "$c" stopped
put "$c/landlock" "/ r"
refused "who does is refused" ENXIO 'landlock: this kernel has it not' "$c" put "$c/ctl" start
machinefs_stop
MACHINEFS_UNDER=()
machinefs_start

mkdir -p "$T/root/data/sub" "$T/root/secret"
echo data >"$T/root/data/file"
echo secret >"$T/root/secret/file"
ln -s /secret "$T/root/link"
ln -s ../../../../../../../../../.."$T" "$T/root/out"
put "$c/init" /bin/sh -c "'echo up; while :; do read line; eval \"\$line\"; done'"

rules() { # LINE...: the container with these, running
	local line before
	state_is "$c" running && put "$c/ctl" kill && await "$c" stopped
	cut -d' ' -f1 "$c/landlock" | while read -r line; do put "$c/landlock" "$line default"; done
	for line; do put "$c/landlock" "$line" || return; done
	before=$(wc -c <"$c/console")
	put "$c/ctl" start && poll 5 printed up
}

printed() { # LINE: a line that begins so is on the console behind $before
	tail -c +$((before + 1)) "$c/console" | grep -q "^$1"
}

session() { # SHELL-COMMAND: what it prints
	session_said "$c" sh -c "'$1'"
}

init() { # SHELL-COMMAND: the same by init
	local before
	before=$(wc -c <"$c/console")
	put "$c/console" "{ $1; } 2>&1; echo THE END"
	poll 5 printed "THE END"
	tail -c +$((before + 1)) "$c/console" | sed '1d;/^THE END/d'
}

ok "without any it starts" rules
is "and reads what it likes" "$(session 'cat /secret/file')" secret
ok "with some too" rules "/bin rx" "/data rw" "/dev rw"
for who in init session; do
	is "$who reads what it may" "$($who 'cat /data/file')" data
	is "writes there" "$($who 'echo new >/data/new && mkdir /data/dir && mv /data/new /data/dir/ && cat /data/dir/new && rm -r /data/dir')" new
	like "$who is root, and reads nothing else" "$($who 'id -u; cat /secret/file')" '0.*ermission denied'
	like "lists nothing else" "$($who 'ls /secret')" 'ermission denied'
	like "writes nothing else" "$($who 'echo x >/bin/new')" "ermission denied|can't create"
	like "removes nothing else" "$($who 'rm /secret/file')" 'ermission denied'
	like "reads nothing by a link either" "$($who 'cat /link/file')" 'ermission denied'
	like "cannot move out what it may not take" "$($who 'mv /secret/file /data/')" 'ermission denied|ross-device'
	like "executes nothing where it may not" "$($who 'cp /bin/busybox /data/true && /data/true')" 'ermission denied'
done
# It changes what the paths mean.
init 'mv /data/sub /data/old && ln -s /secret /data/sub' >/dev/null
rules "/bin rx" "/data/sub rw"
like "a link that its root has made leads inside it" "$(session 'cat /secret/file; cat /data/file')" 'secret.*ermission denied'
rules "/bin rx" "/link r"
is "one that is there at the start likewise" "$(session 'cat /secret/file')" secret
rules "/bin rx" "/ r"
mv "$T/root/data" "$T/root/moved"
ln -s /secret "$T/root/data"
is "all of it" "$(session 'cat /moved/file')" data
rm "$T/root/data" && mv "$T/root/moved" "$T/root/data"
rules "/bin rx" "/data rw"
mv "$T/root/data" "$T/root/moved"
ln -s /secret "$T/root/data"
like "whoever exchanges a directory later does not lead a session elsewhere" "$(session 'cat /secret/file')" 'ermission denied'
is "who may do what init may" "$(session 'cat /moved/file')" data
rm "$T/root/data" && mv "$T/root/moved" "$T/root/data"
refused "no path that leads out of the root" ENOENT 'landlock: /out' "$c" rules "/out r"
refused "nor one by what /proc has of a process" EINVAL 'landlock: /proc/self/root: Too many levels' "$c" rules "/proc/self/root r"
put "$c/landlock" "/proc/self/root default"
put "$c/landlock" "/out default"
rules "/bin rx" "/secret/file r"
is "a single file" "$(session 'cat /secret/file')" secret
like "and none beside it" "$(session 'ls /secret')" 'ermission denied'
rules "/bin rx" "/secret/file rw" "/dev rw"
is "to be written" "$(session 'echo more >>/secret/file && cat /secret/file' | xargs)" "secret more"

# --- with other settings
put "$c/ctl" kill && await "$c" stopped
put "$c/init.user" 1000:1000
ok "for another user" rules "/bin rx" "/data r"
like "holds" "$(init 'id -u; cat /data/file; cat /secret/file')" '1000.*data.*ermission denied'
put "$c/ctl" kill && await "$c" stopped
put "$c/no_new_privs" 0
ok "with new privileges possible" rules "/bin rx" "/data r"
like "holds" "$(init 'cat /data/file; cat /secret/file')" 'data.*ermission denied'
like "for sessions too" "$(session 'cat /data/file; cat /secret/file')" 'data.*ermission denied'
put "$c/ctl" kill && await "$c" stopped
put "$c/no_new_privs" 1
put "$c/init.user" 0
put "$c/namespaces" pid mount net uts ipc cgroup user
put "$c/root.writable" overlay
ok "in a user namespace, on an overlay" rules "/bin rx" "/data rw"
like "holds" "$(session 'echo x >/data/y && cat /data/y /secret/file')" 'x.*ermission denied'
machinefs_stop
machinefs_start
like "after the daemon's end and return too" "$(session 'cat /data/y /secret/file')" 'x.*ermission denied'
like "and what is mounted stays" "$(session 'umount /proc')" 'ermission denied|not permitted'

# --- refusals
refused "not while it runs" EBUSY 'landlock' "$c" put "$c/landlock" "/ r"
put "$c/ctl" kill && await "$c" stopped
refused "no path" EINVAL 'landlock' "$c" put "$c/landlock" "tmp r"
refused "through its parent" EINVAL 'landlock' "$c" put "$c/landlock" "/tmp/.. r"
refused "no such right" EINVAL 'landlock' "$c" put "$c/landlock" "/tmp ra"
refused "no right" EINVAL 'landlock' "$c" put "$c/landlock" "/tmp"
refused "what is not there" ENOENT 'landlock: /nowhere' "$c" rules "/nowhere r"
refused "an init that it may not execute" EACCES 'init: not executable' "$c" rules "/data r"
is "is not there" "$(cat "$c/state")" stopped
done_testing
