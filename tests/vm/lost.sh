#!/bin/bash
# Nothing of a VM is lost: daemon or monitor killed, renamed on the way, started again by itself.
. tests/lib.sh
. tests/machines.sh
need_root
need_device /dev/kvm
machinefs_start
v=$M/vm/v

again() { # the daemon dies and the next one comes
	machinefs_kill9
	machinefs_start
}

groups_of() { # control groups of a machine
	find /sys/fs/cgroup -type d -name "*-$1" 2>/dev/null
}

event_is() { # the last one
	[ "$(tail -n 1 "$v/events" | cut -d ' ' -f 4-)" = "$1" ]
}

# --- kill -9
vm_new v count
put "$v/ctl" start
pid=$(cat "$v/pid")
again
is "a VM runs on" "$(cat "$v/state") $(cat "$v/pid")" "running $pid"
ok "pauses" put "$v/ctl" pause
again
is "stays paused" "$(cat "$v/state")" paused
ok "resumes" put "$v/ctl" resume
ok "counters count" test "$(value "$v/stat" exits)" -gt 0
ok "mv of it" mv "$v" "$M/vm/w"
again
is "is as good" "$(cat "$M/vm/w/state") $(cat "$M/vm/w/pid")" "running $pid"
mv "$M/vm/w" "$v"
kill -KILL "$pid"
soon "its monitor killed: failed" 5 state_is "$v" failed
like "exit says so" "$(cat "$v/exit")" '^failed: its monitor (was killed by signal 9|is gone)$'
soon "no control group is left" 5 eval '[ -z "$(groups_of "$(cat "$v/uuid")")" ]'
cp /etc/passwd "$T/text"
put "$v/boot.kernel" "$T/text"
refused "a kernel that is text" EINVAL 'boot\.kernel: ' "$v" put "$v/ctl" start
is "changes no state" "$(cat "$v/state")" failed
put "$v/boot.kernel" "$TINY"
put "$v/boot.cmdline" poweroff
put "$v/ctl" start
await "$v" stopped
again
is "its ending is kept" "$(cat "$v/exit")" poweroff

# --- restart
put "$v/boot.cmdline" reboot
put "$v/restart" on-failure
put "$v/ctl" start
soon "a guest that reboots comes back" 20 event_is 'restart in 1 s, 1 of max'
is "it had ended" "$(cat "$v/exit")" reset
await "$v" running
soon "again and again" 20 event_is 'restart in 2 s, 2 of max'
put "$v/ctl" stop
put "$v/boot.cmdline" poweroff
put "$v/ctl" start
await "$v" stopped
sleep 1.2
is "one that powers itself off stays off" "$(cat "$v/state") $(cat "$v/exit")" "stopped poweroff"

# --- ephemeral
put "$v/ephemeral" 1
put "$v/ctl" start
soon "an ephemeral one goes with its run" 20 eval '[ ! -e "$v" ]'
is "and leaves nothing" "$(ls "$STATE_DIR/vm"; find "$RUN_DIR" -name 'vm-*')" ''
done_testing
