#!/bin/bash
# A container's limits: they hold, they change while it runs, and what is used can be read.
. tests/lib.sh
need_root
machinefs_start
root=$(busybox_root)
c=$M/container/c
mkdir "$c"
put "$c/root" "$root"

new() {
	put "$c/init" "$*"
	put "$c/ctl" start
}

end() {
	put "$c/ctl" kill 2>/dev/null
	await "$c" stopped
}

# --- memory
put "$c/memory.size" 16M
is "a size is printed in bytes" "$(cat "$c/memory.size")" 16777216
new /bin/sh -c "'head -c 64m /dev/zero | tail -c 64m >/dev/null; echo \"status \$?\"; sleep 100'"
soon "a hog is killed, init is not" 10 grep -q 'status 137' "$c/console"
like "memory.current is what it uses" "$(cat "$c/memory.current")" '^[1-9][0-9]+$'
like "memory.stat has cgroup v2's keys" "$(cat "$c/memory.stat")" 'anon [0-9]+'
ok "more memory while it runs" put "$c/memory.size" 128M
is "is the setting" "$(cat "$c/memory.size")" 134217728
refused "a limit that is no size" EINVAL '"64MB"' "$c" put "$c/memory.size" 64MB
end
put "$c/memory.size" max

# --- processes
put "$c/pids.max" 10
new /bin/sh -c "'i=0; while [ \$i -lt 30 ]; do sleep 50 & i=\$((i+1)); done; sleep 100'"
soon "a fork bomb meets the limit" 10 grep -qi 'fork' "$c/console"
ok "it stays within" test "$(cat "$c/pids.current")" -le 10
end
put "$c/pids.max" max

# --- CPU
usage() { value "$c/cpu.stat" usage_usec; }
put "$c/cpu.max" 10000 100000
new /bin/sh -c "'while :; do :; done'"
first=$(usage)
sleep 1
second=$(usage)
ok "a tenth of a CPU is a tenth" test $((second - first)) -lt 300000
ok "and is used" test $((second - first)) -gt 20000
ok "the limit can go while it runs" put "$c/cpu.max" max
first=$(usage)
sleep 1
second=$(usage)
ok "then it gets more" test $((second - first)) -gt 300000
ok "its weight can change while it runs" put "$c/cpu.weight" 50
is "and reads back" "$(cat "$c/cpu.weight")" 50
refused "what cannot change while it runs" EBUSY 'root.writable: cannot change while' "$c" \
	put "$c/root.writable" none
like "stat has it all" "$(cat "$c/stat")" 'memory.current [1-9]'
end
is "a stopped one uses nothing" "$(cat "$c/memory.current")" 0
done_testing
