#!/bin/bash
# vm-boot.sh KERNEL [INITRD [WORD...]]: boots a virtual machine and shows its console until it
# ends; WORDs make its command line. CPUS=N and MEMORY=SIZE; Ctrl-C kills it. It keeps nothing.
set -u
m=${MACHINES:=/run/machines}/vm/vm-boot-$$
if [ $# -lt 1 ] || [ ! -f "$1" ] || { [ -n "${2-}" ] && [ ! -f "$2" ]; }; then
	echo "usage: vm-boot.sh KERNEL [INITRD [WORD...]]   (files; INITRD may be '')" >&2
	exit 2
fi
[ -e "$MACHINES/version" ] || { echo "vm-boot.sh: no machinefs on $MACHINES" >&2; exit 125; }

# set_to FILE VALUE: one setting; a refusal is told as the machine tells it.
set_to() {
	echo "$2" 2>/dev/null >"$m/$1" && return
	sed 's/^/vm-boot.sh: /' "$m/error" >&2
	exit 125
}

finish() {
	[ ! -d "$m" ] || rmdir "$m" 2>/dev/null ||
		{ echo kill >"$m/ctl" && echo stopped 10 >"$m/wait" && rmdir "$m"; }
}

mkdir "$m" || { cat "$MACHINES/error" >&2; exit 125; }
trap finish EXIT
trap 'exit 130' INT TERM HUP
set_to boot.kernel "$(realpath "$1")"
[ -z "${2-}" ] || set_to boot.initrd "$(realpath "$2")"
[ $# -lt 3 ] || set_to boot.cmdline "${*:3}"
set_to cpu.count "${CPUS:-1}"
set_to memory.size "${MEMORY:-512M}"
set_to ctl start
# tail ends when this background wait does, having printed all.
echo stopped >"$m/wait" 2>/dev/null &
tail -n +1 -f -s 0.1 --pid=$! "$m/console" 2>/dev/null
echo "vm-boot.sh: $(cat "$m/exit")" >&2
grep -q poweroff "$m/exit"
