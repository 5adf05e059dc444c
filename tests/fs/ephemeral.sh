#!/bin/bash
# ephemeral: a machine that goes when its run ends, and who learns of it.
# What ls, cat and words do is what is tried here.
# shellcheck disable=SC2010
. tests/lib.sh
. tests/machines.sh
need_root
need_command inotifywait
machinefs_start
inotifywait -q -m -e create,delete,move --format '%e %f' "$M/container" >"$T/dir" 2>&1 &
watcher=$!
poll 5 eval 'mkdir "$M/container/w$$" && rmdir "$M/container/w$$"; grep -q DELETE "$T/dir"'
new() { # NAME COMMAND...: an ephemeral one
	container_new "$@" && put "$M/container/$1/ephemeral" 1
}
gone() {
	[ ! -e "$M/container/$1" ] && [ ! -e "$STATE_DIR/container/$1" ]
}

# --- it goes
new e /bin/sh -c "'sleep 0.3; exit 7'"
e=$M/container/e
ls -l "$M/container" "$e" >/dev/null
sleep 1.2
ok "one that has not run yet stays" test -d "$e"
put "$e/init" /bin/nosuch
put "$e/ctl" start 2>/dev/null
sleep 1.2
ok "also when a start is refused" test -d "$e"
put "$e/init" /bin/sh -c "'sleep 0.3; exit 7'"
uuid=$(cat "$e/uuid")
exec 3<"$e/exit"
put "$e/ctl" start
ok "its waiter learns of the end" await "$e" stopped 5
is "who comes then finds its exit" "$(cat "$e/exit")" "exited 7"
is "and can do no more with it" "$(cat "$e/ctl")" ''
refused "not start it" EBUSY 'ephemeral, has ended and is being removed' "$e" put "$e/ctl" start
sleep 2
ok "who has opened exit before is waited for" test -d "$e"
is "and reads how it ended" "$(cat <&3)" "exited 7"
exec 3<&-
soon "then it is gone" 5 gone e
not_ok "for the kernel, too, which had kept its name" stat "$e/state"
is "not listed" "$(ls "$M/container")" ''
soon "inotify tells" 5 grep -qx 'DELETE,ISDIR e' "$T/dir"
like "events tell how it ended" "$(tail -n 2 "$M/events" | cut -d ' ' -f 3-)" '^container/e state stopped exited 7
container/e removed$'
is "no file is left of it" "$(ls "$RUN_DIR" | grep -c "$uuid")" 0
ok "its name is free" mkdir "$e"
rmdir "$e"

# --- who does not let go is not waited for for ever
new e /bin/true
exec 3<"$e/console"
put "$e/ctl" start
soon "a file that stays open holds it for ten seconds at most" 14 gone e
is "its reader gets ESTALE" "$(cat <&3 2>&1 | grep -c 'Stale file handle')" 1
exec 3<&-

# --- it may stay after all, or go earlier, or under another name
new e /bin/true
put "$e/ctl" start
await "$e" stopped
ok "ephemeral 0 when it has ended" put "$e/ephemeral" 0
sleep 2
ok "lets it stay" test -d "$e"
machinefs_stop
machinefs_start
sleep 1.5
ok "also with the next daemon" test -d "$e"
put "$e/ephemeral" 1
sleep 1.5
ok "ephemeral 1 counts from the next run" test -d "$e"
ok "which can be started" put "$e/ctl" start
await "$e" stopped
ok "rmdir may come first" rmdir "$e"
ok "and another may take the name" container_new e /bin/sleep 1000
sleep 2
ok "which is left alone" test -d "$e"
rmdir "$e"
new e /bin/true
put "$e/ctl" start
await "$e" stopped
mv "$e" "$M/container/f"
container_new e /bin/true
put "$e/ctl" start
soon "one that is renamed goes under its new name" 5 gone f
ok "and not who has its old one" test -d "$e"
rmdir "$e"
sleep 1.2
is "rmdir through the mount is for everybody as ever" "$(ls "$M/container")" ''

# --- with restart
new e /bin/sh -c "'exit 1'"
put "$e/restart" on-failure
put "$e/restart.max" 1
put "$e/ctl" start
soon "one that is to be started again stays" 5 grep -q 'restart in 1 s' "$e/events"
soon "until that is given up" 5 grep -q 'restart given up' "$e/events"
soon "then it goes" 5 gone e
new e /bin/sh -c "'exit 1'"
put "$e/restart" always
put "$e/restart.delay" 100
put "$e/ctl" start
soon "or until it is called off" 5 grep -q 'restart in 100 s' "$e/events"
put "$e/ctl" stop
soon "then it goes" 5 gone e

# --- whose it is
as() {
	setpriv --reuid "$1" --regid "$1" --clear-groups "${@:2}"
}
chmod 755 "$T"
container_new e /bin/true
chown -R 1000 "$e"
refused "who may not remove it may not have it removed" EPERM 'ephemeral: user 1000 may not remove machines from container' "$e" \
	as 1000 bash -c "echo 1 >'$e/ephemeral'"
refused "nor by config.yaml" EPERM 'ephemeral: user 1000' "$e" as 1000 bash -c "printf 'ephemeral: 1\n...\n' >'$e/config.yaml'"
ok "its other settings are his" as 1000 sh -c "echo 'a b' >'$e/label'"
chmod 1777 "$M/container"
ok "who may, may" as 1000 bash -c "echo 1 >'$e/ephemeral'"
ok "also as it is" as 1000 bash -c "echo 1 >'$e/ephemeral'"
container_new other /bin/true
chown 1001 "$M/container/other"
chown 1000 "$M/container/other/ephemeral"
refused "but not with another's in a directory with the sticky bit" EPERM 'ephemeral: user 1000' "$M/container/other" \
	as 1000 bash -c "echo 1 >'$M/container/other/ephemeral'"
chmod 755 "$M/container"
rmdir "$M/container/other" "$e"

# --- the daemon comes and goes
new e /bin/true
put "$e/ctl" start
await "$e" stopped
machinefs_kill9
machinefs_start
soon "what one daemon has not done the next one does" 5 gone e
new e /bin/sleep 1000
put "$e/ctl" start
pid=$(cat "$e/pid")
machinefs_kill9
machinefs_start
ok "what runs on stays" test -d "$e"
machinefs_kill9
kill -KILL "$pid"
poll 5 pid_gone "$pid"
machinefs_start
soon "what ended meanwhile goes" 5 gone e
like "and is an event" "$(cat "$M/events")" 'container/e state stopped signaled 9'
new e /bin/sleep 1000
put "$e/ctl" start
machinefs_kill9
kill -KILL "$(awk '{ print $4 }' "/proc/$pid/stat" 2>/dev/null)" "$pid" 2>/dev/null
machinefs_start
put "$e/ctl" kill
soon "killed by hand, it goes" 5 gone e
new e /bin/sleep 1000
put "$e/ctl" start
put "$M/ctl" shutdown
soon "shutdown ends it" 15 pid_gone "$MACHINEFS_PID"
machinefs_start
soon "and it goes with the next daemon, if not before" 5 gone e

# --- a thousand? a few at once
for i in {1..20}; do new "n$i" /bin/true; done
for i in {1..20}; do put "$M/container/n$i/ctl" start; done
none() { [ -z "$(ls "$M/container")" ]; }
soon "twenty at once" 10 none
is "leave nothing" "$(ls "$STATE_DIR/container"; find "$RUN_DIR" -name '*-*')" ''
kill $watcher 2>/dev/null
wait $watcher 2>/dev/null
done_testing
