#!/bin/bash
# A malicious guest (tests/guest/hostile.c) may stop its own machine, with a sentence. It does not
# bring its monitor down, nor keep the daemon or another machine from their work.
# timeout: 300
. tests/lib.sh
need_root
need_device /dev/kvm
machinefs_start
v=$M/vm/v
mkdir "$v"
put "$v/memory.size" 64M
put "$v/boot.kernel" "$PWD/$B/tests/guest/hostile.elf"
put "$v/vsock.cid" 77
truncate -s 1M "$T/image"
for name in a b; do
	mkdir "$v/disk/$name"
	put "$v/disk/$name/path" "$T/image"
	put "$v/disk/$name/readonly" 1
done
put "$v/memory.possible" 1G
put "$v/serial" both
# Where there is vhost-net, that is what it drives.
[ -z "${IN_LAB-}" ] || modprobe -q vhost_net
if device_opens /dev/net/tun && mkdir "$M/net/lan"; then
	mkdir "$v/nic/eth0"
	put "$v/nic/eth0/net" lan
fi

w=$M/vm/w
mkdir "$w"
put "$w/memory.size" 64M
put "$w/boot.kernel" "$PWD/$B/tests/guest/tiny.elf"
put "$w/boot.cmdline" echo
put "$w/ctl" start
soon "a good one beside it runs" 10 grep -q "^tiny: echo" "$w/console"
tty=$(readlink "$w/tty")
at_rest() { state_is "$v" stopped || state_is "$v" failed; }
echoes() { grep -q "typed $seed" "$w/console"; }

start() { # WORD...: it does that, and says so with a number of its own
	seed=$((seed + 1))
	if state_is "$v" running; then
		put "$v/ctl" kill && await "$v" stopped
	fi
	put "$v/boot.cmdline" "seed=$seed $*" && put "$v/ctl" start
}

# While it runs the daemon answers: the longest time that it took, in ms, in $slowest.
watch() { # SECONDS LINE: until it has printed that
	local end=$((${EPOCHREALTIME/./} + $1 * 1000000 * ${LAB_SLOWER:-1})) began took
	slowest=0
	while [ "${EPOCHREALTIME/./}" -lt "$end" ]; do
		began=${EPOCHREALTIME/./}
		cat "$M/stat" "$v/stat" "$v/state" >/dev/null || return 1
		took=$(((${EPOCHREALTIME/./} - began) / 1000))
		[ "$took" -le "$slowest" ] || slowest=$took
		! grep -qa "^hostile $seed: $2" "$v/console" || return 0
		state_is "$v" running || return 1
		sleep 0.05
	done
	return 1
}

# NAME SECONDS LINE WORD...: it says that line behind all the others; or has ended its own machine, as
# the CPU tells: among all that it may write is a message that resets it.
does() {
	local name=$1 seconds=$2 line=$3
	shift 3
	start "$@"
	echo "typed $seed" >"$tty"
	ended=
	if watch "$seconds" "$line"; then
		pass "$name"
	elif state_is "$v" failed && grep -q "^EIO triple fault" "$v/error"; then
		pass "$name"
		ended=1
		diag "$(cat "$v/error")"
	else
		fail "$name" "$(cat "$v/state" "$v/exit" "$v/error")"$'\n'"$(grep -a '^hostile' "$v/console" | tail -5)"
	fi
	ok "  the daemon answers all the while: ${slowest} ms at the most" test "$slowest" -lt 2000
	soon "  the machine beside it answers" 5 echoes
	[ -n "$ended" ] || ok "  its monitor is there" test "$(cat "/proc/$(cat "$v/pid")/comm")" = v
}

seed=${HOSTILE_SEED:-$RANDOM}
diag "HOSTILE_SEED=$seed"
does "registers in every size, order and with any value" 60 '[0-9]* registers' \
	registers=20000
does "queues that no driver makes; each device begins anew" 60 '[0-9]* devices live' \
	queues=4
[ -n "$ended" ] || live=$(sed -n "s/^hostile $seed: \([0-9]*\) devices live/\1/p" "$v/console")
[ -n "$ended" ] || is "  all $live of them" "${live:-none}" "$(sed -n "s/^hostile $seed: \([0-9]*\) devices$/\1/p" "$v/console")"
does "a storm of interrupts" 60 '[0-9]* interrupts' storm=4000
does "a flood of output" 60 '[0-9]* lines' flood=2000
does "all of it one after the other" 90 '[0-9]* lines' \
	registers=5000 queues=1 storm=1000 registers=5000 queues=1 flood=100
does "devices that it lets go of" 30 '[0-9]* registers' eject queues=1 registers=5000
[ -n "$ended" ] || ok "it can still be told to end" put "$v/ctl" kill
soon "and ends" 20 at_rest

# --- it ends itself, and its end is told
start queues=1 poweroff
ok "power-off after bad queues" await "$v" stopped 20
is "is a power-off" "$(cat "$v/exit")" poweroff
start nmi halt
ends() { ! state_is "$v" running; }
soon "an interrupt without a handler ends it" 20 ends
like "which is told" "$(cat "$v/exit")" '^(reset|failed: .+)$'
unlike "and is not its monitor's end" "$(cat "$v/exit")" 'monitor'

ok "the other machine still runs" state_is "$w" running
put "$w/ctl" kill
ok "and ends" await "$w" stopped
rmdir "$v" && { [ ! -d "$M/net/lan" ] || rmdir "$M/net/lan"; }
done_testing
