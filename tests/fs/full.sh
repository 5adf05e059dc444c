#!/bin/bash
# A full or read-only state directory: what cannot be kept is refused, and nothing is lost.
. tests/lib.sh
. tests/machines.sh
need_root
STATE_DIR=$T/small
mkdir "$STATE_DIR"
mount -t tmpfs -o size=256k,mode=700 none "$STATE_DIR" || skip_all "cannot mount a tmpfs"
machinefs_start
mkdir "$M/vm/v" "$M/container/c"
v=$M/vm/v
put "$v/label" 'owner alice'
put "$v/cpu.count" 3
container_new run /bin/sh -c "'while :; do echo tick; sleep 0.02; done'"
run=$M/container/run
put "$run/ctl" start
cat "$v/config.yaml" >"$T/before"
fill() {
	dd if=/dev/zero of="$STATE_DIR/fill" bs=4k status=none oflag=append conv=notrunc 2>/dev/null
	dd if=/dev/zero of="$STATE_DIR/fill2" bs=1 count=4096 status=none 2>/dev/null
	:
}
fill
kept() {
	is "$1: in memory as before" "$(cat "$v/config.yaml")" "$(cat "$T/before")"
	is "$1: on disk, too" "$(cat "$STATE_DIR/vm/v/config.yaml")" "$(cat "$T/before")"
}
refused "a setting" ENOSPC 'state directory: cannot keep config\.yaml' "$v" put "$v/cpu.count" 4
kept "a setting"
refused "a key" ENOSPC 'cannot keep' "$v" put "$v/label" 'team red'
refused "config.yaml" ENOSPC 'cannot keep' "$v" cp /dev/stdin "$v/config.yaml" <<<$'cpu.count: 5\n...'
kept "config.yaml"
refused "chmod" ENOSPC 'cannot keep meta' "$v" chmod 600 "$v/label"
is "chmod changed nothing" "$(stat -c %a "$v/label")" 644
refused "chown" ENOSPC 'cannot keep meta' "$v" chown 1000 "$v"
is "chown changed nothing" "$(stat -c %u "$v")" 0
refused "mkdir" ENOSPC 'cannot keep' "$M" mkdir "$M/vm/w"
not_ok "leaves nothing" test -e "$M/vm/w"
is "not in the state directory" "$(ls -A "$STATE_DIR/vm")" v
refused "a live limit" ENOSPC 'cannot keep' "$run" put "$run/memory.size" 77M
is "a refused one is not applied" "$(cat /sys/fs/cgroup/machinefs/container-"$(cat "$run/uuid")"/memory.max \
	/sys/fs/cgroup/*/machinefs/container-"$(cat "$run/uuid")"/memory.limit_in_bytes 2>/dev/null | head -n 1 | cut -c1-7)" \
	"$(head -c 7 <<<"$(cat /sys/fs/cgroup/machinefs/memory.max /sys/fs/cgroup/memory/machinefs/memory.limit_in_bytes 2>/dev/null | head -n 1)")"
is "machines run on" "$(cat "$run/state")" running
ok "verbs work" put "$run/ctl" pause
ok "both ways" put "$run/ctl" resume
ok "waits do" put "$run/wait" running 1
rm -f "$STATE_DIR"/fill*
ok "with room again, settings are kept" put "$v/cpu.count" 6
fill
ok "rmdir needs no room" rmdir "$M/container/c"
put "$run/ctl" kill
await "$run" stopped 5
like "an end needs none" "$(cat "$run/exit")" 'signaled 9'
machinefs_kill9
machinefs_start
is "a daemon that starts on a full disk finds all" "$(cat "$v/cpu.count" "$v/label" | xargs)" "6 owner alice"
not_ok "what was removed is gone" test -e "$M/container/c"
rm -f "$STATE_DIR"/fill*

# --- read only
machinefs_stop
mount -o remount,ro "$STATE_DIR"
if machinefs_out=$(timeout 5 "$MACHINEFS" -f --state-dir "$STATE_DIR" --run-dir "$RUN_DIR" "$M" 2>&1); then
	fail "a read-only state directory ends the daemon" "$machinefs_out"
else
	like "a read-only state directory ends the daemon with a sentence" "$machinefs_out" 'machinefs: .*Read-only file system'
fi
mount -o remount,rw "$STATE_DIR"
machinefs_start
mount -o remount,ro "$STATE_DIR"
cat "$v/config.yaml" >"$T/before"
refused "one that becomes so: settings" EACCES 'Read-only file system' "$v" put "$v/cpu.count" 7
kept "read-only"
refused "mkdir" EACCES 'Read-only' "$M" mkdir "$M/vm/w"
refused "rmdir" EACCES 'Read-only' "$v" rmdir "$v"
refused "mv" EACCES 'Read-only' "$M" mv "$v" "$M/vm/u"
is "all is there" "$(ls "$M/vm")" v
refused "start" EACCES 'Read-only' "$run" put "$run/ctl" start
mount -o remount,rw "$STATE_DIR"
ok "and goes on" put "$v/cpu.count" 8
done_testing
