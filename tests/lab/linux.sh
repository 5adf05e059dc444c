#!/bin/bash
# Debian's own kernel in a VM, through the tree: what no tiny guest can show.
# timeout: 240
. tests/lib.sh
[ -n "${IN_LAB-}" ] || skip_all "runs inside the lab only: tests/lab/run $0"
machinefs_start
v=$M/vm/debian

# The guest says what it sees, then does what its command line asks.
cat >"$T/init" <<'EOF'
#!/bin/sh
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev 2>/dev/null
echo "guest: cpus $(nproc)"
echo "guest: memory $(sed -n 's/MemTotal: *\([0-9]*\).*/\1/p' /proc/meminfo)"
echo "guest: time $(date +%s)"
echo "guest: up $(cut -d' ' -f1 /proc/uptime)"
echo "guest: clock $(cat /sys/devices/system/clocksource/clocksource0/current_clocksource)"
for m in /button.ko /evdev.ko; do [ ! -f "$m" ] || insmod "$m"; done
for word in $(cat /proc/cmdline); do
	case $word in
	do=poweroff) poweroff -f ;;
	do=reboot) reboot -f ;;
	do=panic) echo c >/proc/sysrq-trigger ;;
	do=echo) stty raw -echo 2>/dev/null; echo "guest: listens"; read -r line; echo "guest: heard $line"; poweroff -f ;;
	do=button)
		echo "guest: waits for the button"
		# 16 bytes of time, then type, code, value: EV_KEY 1, KEY_POWER 116.
		for e in /dev/input/event*; do
			(dd bs=24 count=1 if="$e" 2>/dev/null | hexdump -C; echo "guest: button"; poweroff -f) &
		done
		wait ;;
	do=flood) dd if=/dev/zero bs=1024 count=8 2>/dev/null | tr '\0' 'X' | fold -w 63; echo; echo "guest: flooded" ;;
	esac
done
echo "guest: idle"
while :; do sleep 1000; done
EOF
modules=/lib/modules/$(cat build/kernel/version)/kernel
extra=()
for m in drivers/acpi/button.ko drivers/input/evdev.ko; do
	[ ! -f "$modules/$m" ] || extra+=("$modules/$m=/$(basename "$m")")
done
tests/lab/mkinitrd.sh "$T/initrd" "$T/init" "${extra[@]}"

mkdir "$v"
put "$v/boot.kernel" "$PWD/build/kernel/vmlinuz"
put "$v/boot.initrd" "$T/initrd"
put "$v/memory.size" 256M
put "$v/cpu.count" 2

boot() { # WORD...
	put "$v/boot.cmdline" "console=ttyS0 quiet panic=-1 $*"
	before=$(stat -c %s "$v/console")
	put "$v/ctl" start
}

said() { # since the last boot
	tail -c +$((before + 1)) "$v/console" | tr -d '\r'
}

says() {
	said | grep -q "$1"
}

boot do=poweroff
like "a bzImage starts" "$(cat "$v/state")" '^(running|stopped)$'
ok "the guest powers itself off" await "$v" stopped 60
is "exit says so" "$(cat "$v/exit")" poweroff
text=$(said)
like "it has both CPUs" "$text" 'guest: cpus 2'
memory=$(sed -n 's/^guest: memory //p' <<<"$text")
ok "it has its memory" test "${memory:-0}" -gt 200000 -a "${memory:-0}" -lt 262144
time=$(sed -n 's/^guest: time //p' <<<"$text")
ok "its clock is right" test $((time - $(date +%s))) -gt -60 -a $((time - $(date +%s))) -lt 60
like "its clock source is KVM's" "$text" 'guest: clock kvm-clock'
diag "$(grep 'guest: up' <<<"$text")"

boot do=reboot
ok "a guest that reboots ends" await "$v" stopped 60
is "with exit reset" "$(cat "$v/exit")" reset
boot do=reboot reboot=t
ok "a triple fault is a failure" await "$v" failed 60
like "which exit tells" "$(cat "$v/exit")" '^failed: .*triple fault'
boot do=panic
ok "a panic with panic=-1 reboots" await "$v" stopped 60
is "which is a reset" "$(cat "$v/exit")" reset
put "$v/restart" on-failure
put "$v/restart.max" 1
boot do=reboot
# Waited for, not looked for: looking again and again would take the guest's CPU time.
ok "with restart a guest that reboots ends" await "$v" stopped 120
ok "comes back" await "$v" running 60
ok "and ends again" await "$v" stopped 120
is "as often as it may" "$(said | grep -c 'guest: cpus') $(tail -n 1 "$v/events" | cut -d ' ' -f 4-)" "2 restart given up after 1"
put "$v/restart" never

boot do=echo
soon "it listens on its console" 60 says 'guest: listens'
put "$v/console" "words from outside"
ok "what is typed reaches it" await "$v" stopped 30
like "to the letter" "$(said)" 'guest: heard words from outside'

boot do=button
soon "it waits for the power button" 60 says 'guest: waits for the button'
sleep 1
ok "stop presses it" put "$v/ctl" stop 60
ok "the guest shuts down by itself" await "$v" stopped 60
is "by power-off, not by being killed" "$(cat "$v/exit")" poweroff

boot do=flood
soon "much output comes whole" 60 says 'guest: flooded'
is "every byte of it" "$(said | tr -dc X | wc -c)" 8192
soon "it idles" 30 says 'guest: idle'
sleep 1
ticks() { awk '{print $14 + $15}' "/proc/$(cat "$v/pid")/stat"; }
first=$(ticks)
sleep 3
used=$(($(ticks) - first))
diag "an idle guest used $used ticks of 300"
ok "an idle guest costs next to nothing" test $used -lt 60
ok "pause" put "$v/ctl" pause
ok "resume" put "$v/ctl" resume
is "it runs" "$(cat "$v/state")" running
ok "reset" put "$v/ctl" reset
again() { [ "$(said | grep -c 'guest: idle')" = 2 ]; }
soon "it boots again" 60 again

# The daemon's life is not the machine's.
pid=$(cat "$v/pid")
machinefs_kill9
machinefs_start
is "a running guest survives the daemon" "$(cat "$v/state" "$v/pid" | xargs)" "running $pid"
ok "and can be commanded" put "$v/ctl" kill
await "$v" stopped

rmdir "$v"
done_testing
