#!/bin/bash
# A VM as a directory of the tree: its files' lengths, its config.yaml copied from one to another while
# it runs, on a thread of the daemon, and what examples/vm-boot.sh does.
. tests/lib.sh
. tests/machines.sh
need_root
need_device /dev/kvm
machinefs_start
a=$M/vm/a b=$M/vm/b

agrees() { # FILE: stat says the length that a read gives
	[ "$(stat -c %s "$1")" = "$(wc -c <"$1")" ]
}

sizes() { # WHAT DIR; files that move by themselves are asked until they agree
	local file wrong=''
	for file in "$2"/*; do
		[ ! -f "$file" ] || poll 5 agrees "$file" || wrong+=" ${file##*/}"
	done
	is "$1: st_size is what a read gives, of every file" "$wrong" ''
}

says() { # NAME STATUS REGEXP COMMAND...: its status and what it prints, stderr included
	local name=$1 want=$2 regexp=$3 out
	shift 3
	out=$("$@" 2>&1)
	is "$name: status $want" $? "$want"
	like "$name: what it says" "$out" "$regexp"
}

# --- lengths
vm_new a hello halt
put "$a/ctl" start
soon "it runs" 20 grep -q '^tiny: hello' "$a/console"
sizes "a running VM" "$a"
put "$a/ctl" kill
await "$a" stopped
sizes "one that has ended" "$a"

# --- config.yaml
vm_new b count
put "$a/boot.cmdline" count
put "$a/label" 'is first'
put "$b/ctl" start
ok "cp to a running VM, of what may change" cp "$a/config.yaml" "$b/config.yaml"
is "copies it" "$(cat "$b/label")" 'is first'
put "$a/boot.cmdline" other
put "$a/memory.backing" small
put "$a/label" 'is another'
refused "of what may not, is refused" EBUSY 'boot\.cmdline: cannot change while' "$b" \
	cp "$a/config.yaml" "$b/config.yaml"
is "with a sentence for each" "$(grep -cE '^EBUSY config.yaml: [0-9]+:1: (boot.cmdline|memory.backing): ' "$b/error")" 2
is "as a whole" "$(cat "$b/label")" 'is first'
put "$b/ctl" kill
await "$b" stopped

# --- on a thread of the daemon
put "$b/boot.cmdline" echo halt
put "$b/isolation" thread
put "$b/cpu.weight" 50
refused "there a VM has no limits" ENXIO 'isolation thread has no limits' "$b" put "$b/ctl" start
put "$b/cpu.weight" 100
ok "it starts" put "$b/ctl" start
is "inside the daemon" "$(cat "$b/pid")" "$MACHINEFS_PID"
poll 20 grep -q 'tiny: echo' "$b/console" # before, its serial port would drop it
put "$b/console" 'typed'
soon "its console works" 20 grep -q typed "$b/console"
put "$b/ctl" pause
is "it pauses" "$(cat "$b/state")" paused
put "$b/ctl" kill
ok "it ends" await "$b" stopped
cp /etc/passwd "$T/text"
put "$b/boot.kernel" "$T/text"
refused "a bad kernel harms nobody" EINVAL 'boot\.kernel' "$b" put "$b/ctl" start
put "$b/boot.kernel" "$TINY"
put "$b/boot.cmdline" triple
put "$b/ctl" start
ok "nor does a triple fault" await "$b" failed
put "$b/boot.cmdline" count
put "$b/ctl" start
machinefs_stop
is "SIGTERM ends the daemon" $? 0
machinefs_start
is "and it with it" "$(cat "$b/state")" stopped
rmdir "$a" "$b"

# --- examples/vm-boot.sh
export MACHINES=$M
says "vm-boot.sh" 0 'tiny: hello.*tiny: 2 cpus.*vm-boot.sh: poweroff' \
	env CPUS=2 MEMORY=64M examples/vm-boot.sh "$TINY" '' hello smp=2 poweroff
says "vm-boot.sh, a guest that dies" 1 'failed: triple fault' \
	env MEMORY=64M examples/vm-boot.sh "$TINY" '' triple
says "vm-boot.sh, a bad setting" 125 'EINVAL cpu.count: "two"' env CPUS=two examples/vm-boot.sh "$TINY"
says "vm-boot.sh, no kernel" 125 'EINVAL boot.kernel: ' examples/vm-boot.sh "$T/text"
is "vm-boot.sh leaves nothing" "$(ls "$M/vm")" ""
done_testing
