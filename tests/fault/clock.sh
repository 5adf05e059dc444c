#!/bin/bash
# The wall clock steps back, and forth: waits take their own time, mtime moves forward still.
. tests/lib.sh
. tests/machines.sh
need_root
[ -e "$B/tests/fault/clockstep.so" ] || skip_all "clockstep.so is not built"
export CLOCKSTEP=$T/step ASAN_OPTIONS=${ASAN_OPTIONS-}:verify_asan_link_order=0
echo 0 >"$T/step"
MACHINEFS_UNDER=(env "LD_PRELOAD=$PWD/$B/tests/fault/clockstep.so")
machinefs_start
mkdir "$M/vm/v"
v=$M/vm/v

created() { # by the daemon's clock
	mkdir "$M/vm/$1" && cut -d. -f1 "$M/vm/$1/created"
}
stepped() { # SECONDS: the daemon's clock stands there
	local by
	by=$(($(created "at$1") - $(date +%s)))
	[ $((by - $1)) -ge -2 ] && [ $((by - $1)) -le 2 ]
}
mtime() {
	stat -c %.9Y "$1"
}
moved() { # BEFORE AFTER
	[ "${2/./}" -gt "${1/./}" ]
}
took() { # a wait of one second, in milliseconds; the clock steps in the middle of it
	local start=${EPOCHREALTIME/./}
	bash -c 'echo running 1 >"$1"' - "$v/wait" 2>"$T/said" &
	poll 5 eval "[ \"\$(value '$M/stat' waiting)\" = 1 ]"
	echo "$1" >"$T/step"
	wait %%
	echo $(((${EPOCHREALTIME/./} - start) / 1000))
}

for step in -3600 86400 -86400000 0; do
	before=$(mtime "$v/label") dir=$(mtime "$M/vm")
	ms=$(took "$step")
	ok "the clock steps to $step seconds: a wait of one second takes one ($ms ms)" \
		test "$ms" -ge 950 -a "$ms" -lt 4000
	like "and ends as it should" "$(cat "$T/said")" 'Device or resource busy'
	ok "it has stepped" stepped "$step"
	put "$v/label" "at $step"
	ok "the mtime of a setting moves forward" moved "$before" "$(mtime "$v/label")"
	ok "so does that of a directory" moved "$dir" "$(mtime "$M/vm")"
done
seqs=$(cut -d' ' -f1 "$M/events")
is "events are in their order" "$seqs" "$(sort -n <<<"$seqs")"
ok "a machine made meanwhile can be removed" rmdir "$M/vm/at-3600"

# A stop's time, in the monitor.
container_new c /bin/sh -c "'trap \"\" TERM; while :; do sleep 0.05; done'"
c=$M/container/c
put "$c/ctl" start
put "$c/ctl" stop 1
echo -100000 >"$T/step"
ok "a stop of one second ends, too" await "$c" stopped 10
machinefs_stop
is "and the daemon" $? 0
echo -200000 >"$T/step"
machinefs_start
is "the next one, in the past, finds all" "$(cat "$v/label")" "at 0"
done_testing
