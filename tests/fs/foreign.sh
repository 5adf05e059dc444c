#!/bin/bash
# A monitor that a daemon of another version has started is left alone, and nothing is guessed: the
# machine runs, `error` says why no more can be said, and `kill` still ends it.
. tests/lib.sh
need_command python3
machinefs_start
mkdir "$M/vm/v"
uuid=$(cat "$M/vm/v/uuid")
machinefs_stop
cat >"$T/monitor.py" <<'END'
import socket, struct, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
s.bind(sys.argv[1]); s.listen(4)
print("listens", flush=True)
while True:
    c, _ = s.accept()
    c.send(struct.pack("HHI", 99, 4, 0) + b"what a later version may say")
    print("said", flush=True)
    while c.recv(1 << 20): print("heard", flush=True)
END
start_monitor() {
	rm -f "$RUN_DIR/$uuid"
	python3 "$T/monitor.py" "$RUN_DIR/$uuid" >"$T/monitor" 2>&1 &
	monitor=$!
	poll 5 grep -q listens "$T/monitor"
}
start_monitor
machinefs_start
V=$M/vm/v
is "it is found and runs" "$(cat "$V/state")" running
like "and it is said why that is all" "$(cat "$V/error")" '^ENXIO .*another version.*99'
refused "it cannot be asked to stop" ENXIO 'another version' "$V" put "$V/ctl" stop
refused "nor to pause" ENXIO 'another version' "$V" put "$V/ctl" pause
refused "nor can one type to it" ENXIO 'another version' "$V" put "$V/console" hello
refused "it is not started twice" EEXIST 'is running' "$V" put "$V/ctl" start
refused "nor removed" EBUSY 'is running' "$V" rmdir "$V"
ok "who waits for its end waits" eval '! put "$V/wait" "stopped 0.2" 2>/dev/null'
ok "it is alive" kill -0 "$monitor"
unlike "and was told nothing" "$(cat "$T/monitor")" heard
machinefs_stop
ok "also when the daemon ends" kill -0 "$monitor"
machinefs_start
is "the next one finds it again" "$(cat "$V/state")" running
ok "it can be killed" put "$V/ctl" kill
wait "$monitor" 2>/dev/null
is "by the signal that all understand" $? 137
soon "then the machine has failed" 5 state_is "$V" failed
ok "and goes" rmdir "$V"
done_testing
