#!/bin/bash
# A thousand clients blocked in `wait` at once, and clients that are killed wherever they wait.
# timeout: 240
. tests/lib.sh
. tests/machines.sh
need_root
need_command python3
machinefs_start
container_new c /bin/sleep 100000
c=$M/container/c
put "$c/ctl" start
waiting() { value "$M/stat" waiting; }
none_waits() { [ "$(waiting)" = 0 ]; }
rss() { awk '/^VmRSS/ { print $2 }' "/proc/$MACHINEFS_PID/status"; }

# --- a thousand
cat >"$T/thousand.py" <<'PY'
import os, sys, threading, time
machine, root, kill = sys.argv[1], sys.argv[2], sys.argv[3]
threading.stack_size(65536)
ended = []

def wait():
    fd = os.open(machine + "/wait", os.O_WRONLY)
    try:
        os.write(fd, b"stopped 60\n")
        ended.append(0)
    except OSError as e:
        ended.append(e.errno)
    os.close(fd)

def pace():
    times = []
    for _ in range(400):
        start = time.perf_counter()
        with open(machine + "/state") as f:
            f.read()
        with open(machine + "/label", "w") as f:
            f.write("a b\n")
        times.append(time.perf_counter() - start)
    return sorted(times)[200] * 1e6

def waiting():
    with open(root + "/stat") as f:
        return int([l for l in f if l.startswith("waiting ")][0].split()[1])

alone = pace()
threads = [threading.Thread(target=wait) for _ in range(1000)]
for t in threads:
    t.start()
end = time.time() + 60
while waiting() < 1000 and time.time() < end:
    time.sleep(0.02)
parked = waiting()
among = pace()
start = time.time()
with open(machine + "/ctl", "w") as f:
    f.write(kill + "\n")
for t in threads:
    t.join()
print(parked, ended.count(0), int(alone), int(among), int((time.time() - start) * 1000))
PY
thousand() {
	timeout 100 python3 "$T/thousand.py" "$c" "$M" kill
}
read -r parked well alone among ms < <(thousand)
is "a thousand clients wait at once" "$parked" 1000
is "all come back when the state comes" "$well" 1000
diag "reading state and writing label: $alone us alone, $among us among a thousand waiters; all were back in $ms ms"
ok "others are served as fast meanwhile" test "$among" -lt $((alone * 3 + 500))
soon "none waits any more" 5 none_waits
before=$(rss)
for _ in 1 2; do
	put "$c/ctl" start
	thousand >/dev/null
done
soon "nor after two thousand more" 5 none_waits
after=$(rss)
if sanitized; then
	skip "their memory is back" "a sanitizer keeps what was freed"
else
	ok "their memory is back ($before KiB, then $after KiB)" test "$after" -lt $((before + 1024))
fi

# --- killed while they wait
put "$c/ctl" start
for signal in KILL TERM INT; do
	# One program for all: fifteen take long to begin on a loaded machine.
	python3 -c 'import os, signal, sys
signal.signal(signal.SIGINT, signal.SIG_DFL)
for _ in range(15):
    pid = os.fork()
    if pid == 0:
        os.write(os.open(sys.argv[1], os.O_WRONLY), b"stopped\n")
        os._exit(0)
    print(pid, flush=True)
for _ in range(15): os.wait()' "$c/wait" >"$T/pids" 2>/dev/null &
	soon "15 clients wait" 60 eval '[ "$(waiting)" = 15 ]'
	mapfile -t pids <"$T/pids"
	kill -"$signal" "${pids[@]}"
	soon "$signal ends them, and they are forgotten" 20 none_waits
	wait $!
done
is "their machine runs on" "$(cat "$c/state")" running

# --- killed in a start, and on the way of a document
put "$c/ctl" kill
await "$c" stopped 10
for i in {1..20}; do
	bash -c 'echo start >"$1"' - "$c/ctl" 2>/dev/null &
	sleep "$(awk -v i="$i" 'BEGIN { print i * 0.0007 }')"
	kill -KILL $!
	wait $! 2>/dev/null
	poll 5 eval '! state_is "$c" starting' || fail "a start whose client was killed ends" "$(cat "$c/state")"
	state_is "$c" stopped || { put "$c/ctl" kill && await "$c" stopped 10; } ||
		fail "what it started can be killed" "$(cat "$c/state")"
done
pass "clients killed in a start"
cat "$c/config.yaml" >"$T/before.yaml"
for bytes in 1 10 100 300; do
	bash -c 'head -c "$3" "$2"; kill -KILL $$' - x "$T/before.yaml" "$bytes" >"$c/config.yaml"
done 2>/dev/null
(printf 'label: {half: "a'; kill -KILL $BASHPID) >"$c/config.yaml" 2>/dev/null
is "a part that is no document changes nothing" "$(cat "$c/label")" 'a b'
ok "and the next one is taken whole" cp "$T/before.yaml" "$c/config.yaml"
is "as it is" "$(cat "$c/config.yaml")" "$(cat "$T/before.yaml")"
soon "nothing waits" 5 none_waits
done_testing
