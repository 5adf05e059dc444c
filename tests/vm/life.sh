#!/bin/bash
# A virtual machine's life through the tree, with the tiny guest (tests/guest/tiny.c).
. tests/lib.sh
need_root
need_device /dev/kvm
machinefs_start
tiny=$PWD/$B/tests/guest/tiny.elf
v=$M/vm/v
mkdir "$v"
put "$v/memory.size" 64M
put "$v/boot.kernel" "$tiny"

start() { # WORD...: starts it anew; they are what the guest does
	if state_is "$v" running || state_is "$v" paused; then
		put "$v/ctl" kill && await "$v" stopped
	fi
	put "$v/boot.cmdline" "$*" && put "$v/ctl" start
}

printed() { # how often it has printed a line
	grep -c -x -F "$1" "$v/console"
}

prints() { # NAME LINE: the guest prints it, once more than before
	soon "$1" 10 eval "[ \$(printed '$2') -gt 0 ]"
}

ends() { # NAME STATE EXIT
	ok "$1" await "$v" "$2" 10
	is "$1: exit" "$(cat "$v/exit")" "$3"
	is "$1: state" "$(cat "$v/state")" "$2"
}

# --- start
ok "start" start hello halt
is "it runs" "$(cat "$v/state")" running
prints "it prints" "tiny: hello"
is "the verbs of a running one" "$(sort "$v/ctl" | xargs)" "dump kill pause reset stop"
refused "start of a running one" EEXIST 'ctl: start: the machine is running' "$v" put "$v/ctl" start
refused "rmdir of a running one" EBUSY 'running' "$v" rmdir "$v"
refused "signals are not for VMs" EINVAL 'not a verb' "$v" put "$v/ctl" signal 9
refused "RAM grows no further than there is room" EBUSY 'memory.size: there is room for 64 MiB' "$v" \
	put "$v/memory.size" 128M
ok "pid is its monitor" test "$(cat "/proc/$(cat "$v/pid")/comm")" = v
is "with no capabilities" "$(sed -n 's/^CapEff:\t//p' "/proc/$(cat "$v/pid")/status")" 0000000000000000
is "nor a way into any control group" \
	"$(find "/proc/$(cat "$v/pid")/fd" -lname '/sys/fs/cgroup/*' -printf '%l ')" ""
like "stat counts its exits" "$(cat "$v/stat")" 'exits [1-9]'
need_ticks=$(awk '{print $14 + $15}' "/proc/$(cat "$v/pid")/stat")
sleep 0.5
ok "a guest that halts costs nothing" test \
	$(($(awk '{print $14 + $15}' "/proc/$(cat "$v/pid")/stat") - need_ticks)) -le 3

# --- configuration reaches the guest
start cmdline halt
prints "boot.cmdline is its command line" "tiny: cmdline cmdline halt"
printf 'from the initrd\n' >"$T/initrd"
put "$v/ctl" kill && await "$v" stopped
put "$v/boot.initrd" "$T/initrd"
start initrd halt
prints "boot.initrd is its initrd" "tiny: initrd 16 from the initrd"
put "$v/ctl" kill && await "$v" stopped
put "$v/boot.initrd" ""
put "$v/cpu.count" 3
start smp=3 halt
prints "cpu.count is its CPUs" "tiny: 3 cpus"
put "$v/ctl" kill && await "$v" stopped
put "$v/cpu.count" 1
start memory halt
soon "memory.size is its memory" 5 grep -q '^tiny: memory 6[45]' "$v/console"
put "$v/ctl" kill && await "$v" stopped
put "$v/boot.kernel" "$PWD/$B/tests/guest/tiny-pvh.elf"
start how halt
prints "a PVH kernel boots by its own entry" "tiny: entered as pvh32"
put "$v/ctl" kill && await "$v" stopped
put "$v/boot.kernel" "$tiny"

# --- ends, told apart
start poweroff
ends "power-off" stopped poweroff
start reboot
ends "reboot by ACPI" stopped reset
start reboot=kbd
ends "reboot by the keyboard controller" stopped reset
start triple
ok "triple fault" await "$v" failed 10
like "triple fault: exit" "$(cat "$v/exit")" '^failed: .*triple fault'
like "triple fault: error" "$(cat "$v/error")" '^EIO .*triple fault'
refused "who waits for stopped learns of failed" EIO 'failed' "$v" put "$v/wait" stopped 5
start badinsn
ok "KVM internal error" await "$v" failed 10
like "KVM internal error: exit" "$(cat "$v/exit")" '^failed: .*internal error'
start halt
put "$v/ctl" kill
ends "kill" stopped "signaled 9"

# --- power button
start button
put "$v/ctl" stop 2
prints "stop presses the power button" "tiny: power button"
ok "a guest that does not mind is killed when the time is over" await "$v" stopped 5
is "and exit says so" "$(cat "$v/exit")" "signaled 9"

# --- pause, resume, reset
start count
soon "it counts" 5 grep -q '^tiny: 3$' "$v/console"
ok "pause" put "$v/ctl" pause
is "it is paused" "$(cat "$v/state")" paused
size=$(stat -c %s "$v/console")
sleep 0.2
is "nothing of it runs" "$(stat -c %s "$v/console")" "$size"
ok "resume" put "$v/ctl" resume
longer() { [ "$(stat -c %s "$v/console")" -gt "$size" ] || [ "$(stat -c %s "$v/console")" -lt $((size - 1000)) ]; }
soon "it goes on" 5 longer
put "$v/ctl" pause
ok "a paused one can be killed" put "$v/ctl" kill
ok "and ends" await "$v" stopped 5
start hello halt
sleep 0.2
before=$(printed "tiny: hello")
export before
ok "reset" put "$v/ctl" reset
is "it runs" "$(cat "$v/state")" running
soon "from the beginning" 5 eval '[ $(printed "tiny: hello") -gt $before ]'
is "stat counts it" "$(value "$v/stat" resets)" 1

# --- typed input
start echo
prints "it waits for what is typed" "tiny: echo"
put "$v/console" "typed to it"
prints "what is written to console is typed" "typed to it"
tty=$(readlink "$v/tty")
ok "tty leads to a terminal" test -c "$tty"
sh -c "echo over the tty >'$tty'"
prints "what is typed on the tty arrives" "over the tty"
put "$v/ctl" kill && await "$v" stopped

# --- a core file
put "$v/cpu.count" 2
start touch=1 smp=2 count
soon "it has written to its memory" 10 grep -q "^tiny: touched" "$v/console"
refused "dump without a path" EINVAL 'dump.path: not set' "$v" put "$v/ctl" dump
put "$v/dump.path" "$T/core"
refused "to a file that is not there" ENOENT "dump.path: $T/core: " "$v" put "$v/ctl" dump
echo kept >"$T/core"
refused "to one that has something in it" EINVAL 'dump.path: the file is not empty' "$v" put "$v/ctl" dump
is "which keeps it" "$(cat "$T/core")" kept
: >"$T/core"
ok "dump while it runs" put "$v/ctl" dump
is "it is running" "$(cat "$v/state")" running
size=$(stat -c %s "$v/console")
soon "and goes on" 5 longer
: >"$T/core"
put "$v/ctl" pause
ok "dump while it is paused" put "$v/ctl" dump
is "it stays paused" "$(cat "$v/state")" paused
if command -v gdb >/dev/null; then
	said=$(gdb -nx -batch -ex 'p/x $rip' -ex 'x/2xb 0x1000000' -ex 'x/xb 0x1100000' -ex 'thread 2' -ex 'p/x $rip' \
		"$tiny" "$T/core" 2>&1)
	for n in 0 1; do
		like "gdb sees where vCPU $n stands" "$said" "\\\$$((n + 1)) = $(value "$v/vcpu/$n/registers" rip)"
	done
	like "and what the guest wrote" "$said" '0x1000000:[[:space:]]0x01[[:space:]]0x00'
	like "there alone" "$said" '0x1100000:[[:space:]]0x00'
else
	skip "gdb reads it" "there is no gdb"
fi
put "$v/ctl" kill && await "$v" stopped
put "$v/cpu.count" 1

# --- refused starts
refused "a kernel that is not there" ENOENT 'boot.kernel: /nowhere' "$v" put "$v/boot.kernel" /nowhere
refused "a kernel that is a directory" EINVAL 'is a directory' "$v" put "$v/boot.kernel" /
put "$v/boot.kernel" ""
refused "no kernel" EINVAL 'boot.kernel: not set' "$v" put "$v/ctl" start
put "$v/boot.kernel" "$PWD/README.md" 2>/dev/null || put "$v/boot.kernel" "$PWD/LICENSE"
refused "a kernel that is text" EINVAL 'boot.kernel: ' "$v" put "$v/ctl" start
is "leaves it stopped" "$(cat "$v/state")" stopped
head -c 300 "$tiny" >"$T/cut"
put "$v/boot.kernel" "$T/cut"
refused "a kernel that is cut short" EINVAL 'boot.kernel: ' "$v" put "$v/ctl" start
: >"$T/empty"
put "$v/boot.kernel" "$T/empty"
refused "a kernel that is empty" EINVAL 'boot.kernel: ' "$v" put "$v/ctl" start
put "$v/boot.kernel" "$tiny"
put "$v/memory.size" 60T
refused "more memory than the host has" ENOSPC 'memory.size: ' "$v" put "$v/ctl" start
put "$v/memory.size" 64M
put "$v/cpu.count" 1024
if put "$v/ctl" start 2>/dev/null; then
	pass "1024 CPUs start where KVM can"
	put "$v/ctl" kill && await "$v" stopped
else
	like "more CPUs than KVM has are refused" "$(cat "$v/error")" '^(EINVAL|ENXIO|ENOSPC) cpu.count: '
fi
put "$v/cpu.count" 1

# --- limits apply to the VM's monitor
put "$v/cpu.max" 20000 100000
start spin
sleep 0.2
usage() { value "$v/cpu.stat" usage_usec; }
# A sleep takes longer on a loaded machine: what counts is the share.
first=$(usage) began=$(date +%s%N)
sleep 1
used=$(($(usage) - first)) passed=$((($(date +%s%N) - began) / 1000))
ok "cpu.max holds for a VM ($used of $passed us)" test $((used * 10)) -lt $((passed * 4))
put "$v/ctl" kill && await "$v" stopped
put "$v/cpu.max" max

# Two of them on one CPU share it as their weights say.
w=$M/vm/w
mkdir "$w"
for one in "$v" "$w"; do
	put "$one/boot.kernel" "$tiny"
	put "$one/boot.cmdline" spin
	put "$one/cpu.affinity" 0 0
	put "$one/ctl" start
done
shares() { # SECONDS: usec of the first and of the second
	local a b
	a=$(usage) b=$(value "$w/cpu.stat" usage_usec)
	sleep "$1"
	echo $(($(usage) - a)) $(($(value "$w/cpu.stat" usage_usec) - b))
}
put "$w/cpu.weight" 400
read -r light heavy < <(shares 2)
ok "cpu.weight 400 gets more than 100 ($heavy, $light us)" test "$heavy" -gt $((light * 2))
put "$w/cpu.weight" 100
put "$v/cpu.weight" 400
read -r heavy light < <(shares 2)
ok "and the other way while they run ($heavy, $light us)" test "$heavy" -gt $((light * 2))
put "$w/ctl" kill && await "$w" stopped
put "$v/ctl" kill && await "$v" stopped
rmdir "$w"
put "$v/cpu.weight" 100
put "$v/cpu.affinity" 0 default

# --- on a thread of the daemon
put "$v/isolation" thread
start hello halt
prints "a VM on a thread runs" "tiny: hello"
is "inside the daemon" "$(cat "$v/pid")" "$MACHINEFS_PID"
put "$v/ctl" kill
ends "and can be killed" stopped "signaled 9"
uuid=$(cat "$v/uuid")
ok "rmdir" rmdir "$v"
is "no control group is left" "$(find /sys/fs/cgroup -name "vm-$uuid" | wc -l)" 0
done_testing
