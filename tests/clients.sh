# shellcheck shell=bash disable=SC2034 # what is set here is for who sources it
# tests/clients.sh: everybody who can have something open on the machine $C, sourced after
# tests/lib.sh. They must not notice when one daemon follows another.

POLLER='import os, select, sys
fd = os.open(sys.argv[1], os.O_RDONLY)
os.read(fd, 64)
p = select.poll(); p.register(fd, select.POLLPRI | select.POLLERR)
print("polls", flush=True)
last = b""
while last != b"paused\n":
    p.poll()
    last = os.pread(fd, 64, 0)
    print("saw", last.decode().strip(), flush=True)
'

# clients_start SECONDS: a follower of the console ($tail, $T/tail), who waits for the end ($waiter,
# $T/waited) and who does it for so long ($timed, $T/timed: status and microseconds), who polls
# until `paused` ($poller, $T/polled) and who watches ($watcher, $T/inotify) the state.
clients_start() {
	local started
	tail -n 1 -f "$C/console" >"$T/tail" 2>&1 &
	tail=$!
	python3 -c "$POLLER" "$C/state" >"$T/polled" 2>&1 &
	poller=$!
	inotifywait -m -q -e modify --format '%w %e' "$C/state" >"$T/inotify" 2>"$T/inotify.err" &
	watcher=$!
	poll 30 grep -q polls "$T/polled" # the interpreter may take as long as the wait of $1
	(put "$C/wait" stopped && echo stopped) >"$T/waited" 2>&1 &
	waiter=$!
	started=${EPOCHREALTIME/./}
	(put "$C/wait" stopped "$1"; echo "$? $((${EPOCHREALTIME/./} - started))") >"$T/timed" 2>/dev/null &
	timed=$!
}

waiting_is() {
	[ "$(value "$M/stat" waiting)" = "$1" ]
}

clients_there() {
	grep -q polls "$T/polled" && waiting_is 2
}
