#!/bin/bash
# tests/bench/profile.sh [container|session|vm] [COMM]: where the instructions of a container's life, of
# a session or of a VM's start go: of each program, and of each function with all that it calls, of all
# programs or of COMM alone ("machinefs" is the daemon and what waits, "bench-machine" a monitor).
# Runs itself in the lab, whose clock counts instructions (tests/lab/run, LAB_CLOCK): the same program
# gives the same figures to some thousandths, so what a change is worth can be seen. What the
# processor does by one instruction, such as to clear a page, counts as many.
# Environment: RUNS. Needs perf. For names all the way up, build with
# CFLAGS="-O2 -g -fno-omit-frame-pointer". Lines it prints begin with "#": it is no test.
# timeout: 1800
cd "$(dirname "$0")/../.." || exit 1
: "${B:=build}"
bench=$PWD/$B/tests/bench
if [ -z "${IN_LAB-}" ]; then
	perf=$(readlink -f "$(command -v perf)") || { echo "profile: needs perf" >&2 && exit 1; }
	mkdir -p "$bench/perf/lib"
	cp "$perf" "$bench/perf/perf"
	cp -L /lib64/ld-linux-x86-64.so.2 "$bench/perf/lib/"
	ldd "$perf" | sed -n 's/.* => \(\/[^ ]*\) .*/\1/p' | xargs -I{} cp -L {} "$bench/perf/lib/"
	printf 'WHAT=%q COMM=%q RUNS=%q\n' "${1:-container}" "${2-}" "${RUNS:-60}" >"$bench/lab-env"
	LAB_CLOCK=instructions LAB_EXTRA="$B/tests/bench" tests/lab/run tests/bench/profile.sh
	exit
fi
. tests/lib.sh
tap_planned=1
# shellcheck source=/dev/null # WHAT, COMM and RUNS
. "$bench/lab-env"
perf=("$bench/perf/lib/ld-linux-x86-64.so.2" --library-path "$bench/perf/lib" "$bench/perf/perf")
period=20000 # instructions from one sample to the next
echo 0 >/proc/sys/kernel/kptr_restrict
echo 1000000 >/proc/sys/kernel/perf_event_max_sample_rate

machinefs_start
root=$PWD/$B/tests/rootfs
case $WHAT in
container)
	floor=("$bench/container_floor" "$RUNS" "$root" floor /sys/fs/cgroup)
	ours=("$bench/machine_bench" "$RUNS" container "$M" "$root")
	;;
session)
	c=$M/container/sessions
	mkdir "$c"
	put "$c/root" "$root"
	put "$c/init" sleep 1000
	put "$c/ctl" start
	floor=("$bench/session_bench" "$RUNS" floor "$(cat "$c/pid")")
	ours=("$bench/session_bench" "$RUNS" life "$c")
	;;
vm)
	floor=("$bench/vm_floor" "$RUNS" "$PWD/$B/tests/guest/tiny.elf" 64)
	ours=("$bench/machine_bench" "$RUNS" vm "$M" "$PWD/$B/tests/guest/tiny.elf" 64)
	;;
*)
	skip_all "$WHAT is none of: container session vm"
	;;
esac
least=$("${floor[@]}" | cut -d' ' -f1)
took=$("${ours[@]}" | cut -d' ' -f1)
awk -v took="$took" -v least="$least" -v what="$WHAT" 'BEGIN {
	printf "# %s: %.0f thousand instructions, the least %.0f, ratio %.2f\n", what, took, least, took / least
}'
"${perf[@]}" record -a -g -e cpu-clock -c $period -o "$T/data" -- "${ours[@]}" >"$T/out" 2>&1 ||
	sed 's/^/# /' "$T/out"

# report OPTION...: the head of what perf says.
report() {
	"${perf[@]}" report --no-inline -i "$T/data" -g none --stdio "$@" 2>/dev/null |
		grep -v '^#' | grep . | head -n 150 | sed 's/^/# /'
}

report --no-children --sort comm,dso
report --children --sort comm,sym ${COMM:+--comm "$COMM"}
machinefs_stop
echo 1..0
