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

say() {
	printf '\n\033[1m%s\033[0m\n' "$*"
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

show_container() {
	say "A container: mkdir, a few settings, start."
	run "mkdir container/web"
	run "echo $root > container/web/root"
	run "echo \"sh -c 'echo hello from \\\$(hostname), process \\\$\\\$; sleep 1; exit 3'\" > container/web/init"
	run "echo 64M > container/web/memory.size"
	run "echo start > container/web/ctl"
	run "cat container/web/state"
	sleep 0.2
	run "cat container/web/console"
	run "cat container/web/memory.current"
	say "A refused write fails, and says why."
	run_refused "echo -5 > container/web/memory.size"
	run "cat container/web/error"
	say "Waiting for its end; then it goes."
	run "echo stopped > container/web/wait"
	run "cat container/web/exit"
	run "rmdir container/web"
}

# show_vm KERNEL INITRD WHAT: boots it, waits for its power-off.
show_vm() {
	say "A virtual machine, the same way: $3."
	run "mkdir vm/web"
	run "echo $1 > vm/web/boot.kernel"
	if [ -n "$2" ]; then
		run "echo $2 > vm/web/boot.initrd"
		run "echo console=ttyS0 quiet panic=-1 > vm/web/boot.cmdline"
	fi
	run "echo 2 > vm/web/cpu.count"
	run "echo 256M > vm/web/memory.size"
	run "echo start > vm/web/ctl"
	run "cat vm/web/state"
	if [ -n "$2" ]; then
		run "echo stopped 120 > vm/web/wait"
	else
		sleep 0.5
	fi
	run "cat vm/web/console"
	run "cat vm/web/memory.current"
	run_refused "echo 9999999 > vm/web/cpu.count"
	run "cat vm/web/error"
	if [ -z "$2" ]; then
		run "echo kill > vm/web/ctl"
		run "echo stopped 10 > vm/web/wait"
	fi
	run "cat vm/web/exit"
	run "rmdir vm/web"
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

# The machines end before the daemon does: their control groups go with them.
finish() {
	for ctl in "$DEMO_DIR"/machines/{vm,container}/*/ctl; do
		[ ! -e "$ctl" ] || { echo kill >"$ctl" && echo stopped 5 >"${ctl%ctl}wait"; }
	done 2>/dev/null
	cd /
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
start
cd "$DEMO_DIR/machines" || exit 1
if [ "${1-}" != --vm ]; then
	say "machinefs is mounted; all that follows happens in its tree."
	run "cat version"
	run "ls"
	show_container
fi
if grep -qwE 'svm|vmx' /proc/cpuinfo; then
	(cd "$top" && make_initrd)
	show_vm "$kernel" "$DEMO_DIR/initrd" "Debian's kernel with busybox, two CPUs"
elif [ ! -w /dev/kvm ]; then
	say "No virtual machine here: there is no /dev/kvm (see host/check)."
else
	show_vm "$top/$B/tests/guest/tiny.elf" "" "a tiny guest, as this host's KVM boots no stock kernel"
fi
if ! grep -qwE 'svm|vmx' /proc/cpuinfo && [ "${1-}" != --vm ]; then
	say "Debian's kernel needs svm or vmx, which the lab has: booting it (some 20 s) ..."
	cd "$top" || exit 1
	lab=$(B=$B tests/lab/run tests/lab/demo.sh 2>/dev/null)
	sed -n 's/^# | //p; s/^1\.\.0 # SKIP/the lab cannot run here:/p' <<<"$lab"
	! grep -q '^not ok' <<<"$lab" || failed=1
fi
[ $failed != 0 ] || [ "${1-}" = --vm ] || say "That was all. The same tree is a daemon for real: machinefs, then ls /run/machines."
exit $failed
