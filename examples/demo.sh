#!/bin/bash
# demo.sh: the main job, shown: a container and a virtual machine as files, each command printed
# before its answer. `make demo` builds what it needs and runs it; it takes its own mount point,
# keeps nothing, and cleans up also when it is interrupted. Needs root.
#
#   demo.sh          a container; then a VM: Debian's kernel where this CPU's KVM can boot it,
#                    else a tiny guest here and Debian's kernel inside the lab (tests/lab)
#   demo.sh --vm     only a VM with Debian's kernel, as the lab runs it
cd "$(dirname "$0")/.." || exit 1
: "${B:=build}"
if [ -z "${DEMO_DIR-}" ]; then
	DEMO_DIR=$(mktemp -d "${TMPDIR:-/tmp}/machinefs-demo.XXXXXX") || exit 1
	export DEMO_DIR
	trap 'rmdir "$DEMO_DIR" 2>/dev/null' EXIT
	# In a box of its own nothing outlives the demo, however it ends.
	"$B/tests/box" -t 600 -d "$DEMO_DIR" "$0" "$@" &
	box=$!
	trap 'kill -TERM $box 2>/dev/null; wait $box; exit 130' INT TERM HUP
	wait $box
	exit
fi
failed=0

# Bold on a terminal, plain in a file.
say() {
	if [ -t 1 ]; then
		printf '\n\033[1m%s\033[0m\n' "$*"
	else
		printf '\n# %s\n' "$*"
	fi
}

# Prints a command, then its answer, as a shell at a terminal would.
answer() {
	printf '$ %s\n' "$1"
	(eval "$1") 2>&1 | sed 's/^.*demo\.sh: line [0-9]*: /bash: /'
	return "${PIPESTATUS[0]}"
}

run() {
	answer "$1" || { failed=1; echo "(this should have worked)"; }
}

run_refused() {
	answer "$1" && { failed=1; echo "(this should have been refused)"; }
}

# Gives a machine the time to print something before its console is shown.
until_printed() {
	for _ in {1..100}; do
		! grep -q "$2" "$1/console" || break
		sleep 0.05
	done
}

show_container() {
	say "A container: mkdir, a few settings, start."
	run "mkdir container/web"
	run "echo $root > container/web/root"
	run "echo \"sh -c 'echo hello from \\\$(hostname), process \\\$\\\$; sleep 1; exit 3'\" > container/web/init"
	run "echo 64M > container/web/memory.size"
	run "echo start > container/web/ctl"
	run "cat container/web/state"
	until_printed container/web hello
	run "cat container/web/console"
	run "cat container/web/memory.current"
	say "A refused write fails, changes nothing, and says why."
	run_refused "echo -5 > container/web/memory.size"
	run "cat container/web/error"
	run "cat container/web/memory.size"
	say "Waiting for its end; then it goes."
	run "echo stopped > container/web/wait"
	run "cat container/web/exit"
	run "rmdir container/web"
}

show_refusal_of_vm() {
	say "What cannot change while it runs is refused."
	run_refused "echo 4 > vm/db/cpu.count"
	run "cat vm/db/error"
}

# The guest prints, waits for the power button, and powers itself off.
show_vm_tiny() {
	say "A virtual machine, the same way. This host's KVM boots no stock kernel: a tiny one."
	run "mkdir vm/db"
	run "echo $top/$B/tests/guest/tiny.elf > vm/db/boot.kernel"
	run "echo hello smp=2 button poweroff > vm/db/boot.cmdline"
	run "echo 2 > vm/db/cpu.count"
	run "echo 64M > vm/db/memory.size"
	run "echo start > vm/db/ctl"
	run "cat vm/db/state"
	until_printed vm/db cpus
	run "cat vm/db/console"
	run "cat vm/db/memory.current"
	show_refusal_of_vm
	say "stop presses its power button."
	run "echo stop > vm/db/ctl"
	run "echo stopped 20 > vm/db/wait"
	run "cat vm/db/exit"
	run "rmdir vm/db"
}

# The guest's init says hello and powers off.
show_vm_debian() {
	say "A virtual machine: Debian's own kernel, busybox in an initramfs, two CPUs."
	(cd "$top" && make_initrd)
	run "mkdir vm/db"
	run "echo $kernel > vm/db/boot.kernel"
	run "echo $DEMO_DIR/initrd > vm/db/boot.initrd"
	run "echo console=ttyS0 quiet panic=-1 > vm/db/boot.cmdline"
	run "echo 2 > vm/db/cpu.count"
	run "echo 256M > vm/db/memory.size"
	run "echo start > vm/db/ctl"
	run "cat vm/db/state"
	run "cat vm/db/memory.current"
	show_refusal_of_vm
	say "Waiting until it has booted and powers itself off ..."
	run "echo stopped 120 > vm/db/wait"
	run "cat vm/db/console"
	run "cat vm/db/exit"
	run "rmdir vm/db"
}

make_initrd() {
	cat >"$DEMO_DIR/init" <<'INIT'
#!/bin/sh
mount -t proc proc /proc
mount -t devtmpfs dev /dev
echo "hello from Linux $(uname -r) on $(nproc) CPUs"
poweroff -f
INIT
	tests/lab/mkinitrd.sh "$DEMO_DIR/initrd" "$DEMO_DIR/init"
}

# In the background, so that a signal ends the demo at once; its temporary files are in the box.
show_vm_in_lab() {
	say "Debian's kernel needs svm or vmx, which the lab has: booting the lab (10 to 30 s) ..."
	(
		cd "$top" || exit 1
		TMPDIR=$DEMO_DIR B=$B tests/lab/run tests/lab/demo.sh 2>/dev/null |
			sed -un 's/^# | //p; s/^1\.\.0 # SKIP/the lab cannot run here:/p
				s/^not ok/FAILED:/p'
		exit "${PIPESTATUS[0]}"
	) &
	wait $! || failed=1
}

# The machines end before the daemon does: their control groups go with them. One that is just
# starting cannot be killed yet.
finish() {
	local machine
	trap '' INT TERM HUP # a second one must not end this
	for machine in "$DEMO_DIR"/machines/{vm,container}/*; do
		for _ in {1..50}; do
			[ -e "$machine/ctl" ] || break
			grep -qx -e stopped -e failed "$machine/state" && break
			echo kill >"$machine/ctl" && echo stopped 5 >"$machine/wait" && break
			sleep 0.1
		done
	done 2>/dev/null
	cd / || :
	kill "$daemon"
	wait "$daemon"
}

start() {
	mkdir -p "$DEMO_DIR/machines" "$DEMO_DIR/state" "$DEMO_DIR/run"
	"$B/machinefs" -f --state-dir "$DEMO_DIR/state" --run-dir "$DEMO_DIR/run" \
		"$DEMO_DIR/machines" </dev/null >"$DEMO_DIR/log" 2>&1 &
	daemon=$!
	trap finish EXIT
	trap 'exit 130' INT TERM HUP
	for _ in {1..200}; do
		[ ! -e "$DEMO_DIR/machines/version" ] || break
		sleep 0.05
	done
	if [ ! -e "$DEMO_DIR/machines/version" ]; then
		cat "$DEMO_DIR/log"
		echo "demo: machinefs did not come up" >&2
		exit 1
	fi
}

if [ "$(id -u)" != 0 ]; then
	echo "demo: needs root: sudo make demo" >&2
	exit 1
fi
top=$PWD root=$PWD/$B/tests/rootfs kernel=$PWD/build/kernel/vmlinuz
stock=
! grep -qwE 'svm|vmx' /proc/cpuinfo || stock=1
start
cd "$DEMO_DIR/machines" || exit 1
if [ "${1-}" = --vm ]; then
	show_vm_debian
	exit $failed
fi
say "machinefs is mounted. All that follows happens in its tree, with cat, echo and mkdir."
run "cat version"
run "ls"
show_container
if [ ! -c /dev/kvm ] || [ ! -w /dev/kvm ]; then
	say "No virtual machine here, there is no /dev/kvm:"
	run "grep -i kvm host/check"
elif [ -z "$stock" ]; then
	show_vm_tiny
elif [ -f "$kernel" ]; then
	show_vm_debian
else
	say "No virtual machine: Debian's kernel could not be fetched into build/kernel."
fi
[ -n "$stock" ] || show_vm_in_lab
[ $failed != 0 ] || say "That was all. To go on by yourself: README.md; machinefs --help."
exit $failed
