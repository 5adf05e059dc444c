#!/bin/bash
# vcpu/N: what can be seen of each vCPU while its machine runs. With the tiny guest, and, in the lab,
# with Debian's kernel, which brings up and lets go of those that are plugged.
# timeout: 240
. tests/lib.sh
. tests/machines.sh
need_root
need_device /dev/kvm
machinefs_start
vm_new v smp=2 halt
v=$M/vm/v
put "$v/cpu.count" 2
put "$v/cpu.possible" 4
is "a stopped machine has none" "$(ls "$v/vcpu")" ""
refused "nobody can make one" EPERM '' "$v" mkdir "$v/vcpu/0"
put "$v/ctl" start
entries() { find "$1" -mindepth 1 -maxdepth 1 -printf '%f\n' | sort | xargs; }
is "a running one has cpu.count" "$(entries "$v/vcpu")" "0 1"
is "each with its files" "$(entries "$v/vcpu/1")" "affinity exits registers stat state thread"
pid=$(cat "$v/pid")
for n in 0 1; do
	is "thread $n is one of the monitor's" "$(cat "/proc/$pid/task/$(cat "$v/vcpu/$n/thread")/comm")" "vcpu$n"
done
soon "a guest that does nothing is halted" 10 grep -qx halted "$v/vcpu/0/state"
like "exits by reason" "$(xargs <"$v/vcpu/0/exits")" '^io [1-9][0-9]* mmio [0-9]+ msr [0-9]+ signal [0-9]+ other [0-9]+$'
sum() { echo $(($(value "$v/vcpu/0/exits" "$1") + $(value "$v/vcpu/1/exits" "$1"))); }
is "which stat has the sum of" "$(value "$v/stat" exits.io)" "$(sum io)"
ok "it has had CPU time" test "$(value "$v/vcpu/0/stat" usage_usec)" -gt 0
is "no registers while it runs" "$(cat "$v/vcpu/0/registers")" ""
is "it may run on every CPU that its monitor may" "$(cat "$v/vcpu/1/affinity")" \
	"$(sed -n 's/^Cpus_allowed_list:\t//p' "/proc/$pid/status")"
put "$v/cpu.affinity" "1 0"
is "or where cpu.affinity says" "$(cat "$v/vcpu/1/affinity")" 0
put "$v/ctl" pause
is "paused" "$(cat "$v/vcpu/0/state" "$v/vcpu/1/state" | xargs)" "paused paused"
like "it shows its registers" "$(xargs <"$v/vcpu/1/registers")" '^rip 0x[0-9a-f]+ rflags 0x[0-9a-f]+ .*gs_base 0x[0-9a-f]+$'
is "the same as the machine's" "$(sed -n 's/^1 rip=\([^ ]*\).*/\1/p' "$v/registers")" "$(value "$v/vcpu/1/registers" rip)"
is "to its owner alone" "$(stat -c %a "$v/vcpu/1/registers")" 400
put "$v/ctl" resume
exec {watch}< <(exec inotifywait -q -m -e create -e delete --format '%e %f' "$v/vcpu" 2>&1)
watcher=$!
sleep 1
put "$v/cpu.count" 3
ok "one that is plugged in appears" test -d "$v/vcpu/2"
is "which the guest does not use" "$(cat "$v/vcpu/2/state")" offline
IFS= read -r -t 10 event <&"$watch"
is "a watcher is told" "${event-}" "CREATE,ISDIR 2"
cd "$v/vcpu/2" || exit
put "$v/cpu.count" 2
not_ok "taken away, it is gone" test -d "$v/vcpu/2"
refused "who was there is told" ESTALE '' "$v" cat state
cd - >/dev/null || exit
kill "$watcher"
machinefs_kill9
machinefs_start
is "the next daemon has them too" "$(entries "$v/vcpu"): $(cat "$v/vcpu/0/thread")" \
	"0 1: $(for t in "/proc/$pid/task/"*; do grep -qx vcpu0 "$t/comm" && basename "$t"; done)"
unlike "nothing of them is kept" "$(cat "$STATE_DIR/vm/v/meta")" vcpu
put "$v/ctl" kill
await "$v" stopped
is "with the run they are gone" "$(ls "$v/vcpu")" ""

[ -n "${IN_LAB-}" ] || { done_testing; exit; }
. tests/lab/guest
guest_make
put "$v/cpu.count" 1
put "$v/cpu.possible" 3
ok "Debian's kernel boots" guest_start || { done_testing; exit; }
put "$v/cpu.count" 3
present() { [ "$(guest 'cat /sys/devices/system/cpu/present')" = "$1" ]; }
soon "sees what is plugged" 60 present 0-2
is "which is offline" "$(cat "$v/vcpu/2/state")" offline
guest 'echo 1 >/sys/devices/system/cpu/cpu1/online; echo 1 >/sys/devices/system/cpu/cpu2/online; (while :; do :; done) & echo $! >/busy; taskset -p 4 $!' >/dev/null
unlike "until it brings it up" "$(cat "$v/vcpu/2/state")" offline
soon "a busy one runs" 20 grep -qx running "$v/vcpu/2/state"
soon "an idle one halts" 20 grep -qx halted "$v/vcpu/1/state"

# --- a core file of it
# core_has FILE TEXT: each vCPU's rip, and how often it has that text
core_has() {
	python3 - "$1" "$2" <<-'END'
		import struct, sys
		core = open(sys.argv[1], 'rb').read()
		phoff, phnum = struct.unpack_from('<Q', core, 32)[0], struct.unpack_from('<H', core, 56)[0]
		rips, found = [], 0
		for i in range(phnum):
		    kind, _, at, _, _, size = struct.unpack_from('<IIQQQQ', core, phoff + 56 * i)
		    while kind == 4 and size > 12: # PT_NOTE: NT_PRSTATUS, rip is register 16
		        name, length, note = struct.unpack_from('<III', core, at)
		        body = at + 12 + (name + 3) // 4 * 4
		        if note == 1:
		            rips.append(hex(struct.unpack_from('<Q', core, body + 112 + 8 * 16)[0]))
		        step = body - at + (length + 3) // 4 * 4
		        at, size = at + step, size - step
		    if kind == 1: # PT_LOAD
		        found += core[at:at + size].count(sys.argv[2].encode())
		print(*rips, 'found' if found else 'missing')
	END
}
guest 'x=here; echo "marked-$x-it-is" >/marked'
: >"$T/core"
put "$v/dump.path" "$T/core"
put "$v/ctl" pause
ok "dump" put "$v/ctl" dump
is "has where its vCPUs stand, and its memory" "$(core_has "$T/core" marked-here-it-is)" \
	"$(for n in 0 1 2; do value "$v/vcpu/$n/registers" rip; done | xargs) found"
put "$v/ctl" resume
rm "$T/core"
guest 'kill $(cat /busy)'
put "$v/cpu.count" 1
gone() { [ "$(entries "$v/vcpu")" = 0 ]; }
soon "what the guest lets go of is gone" 60 gone
put "$v/ctl" kill
await "$v" stopped
done_testing
