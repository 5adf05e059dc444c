#!/bin/bash
# A monitor that never stops talking, and hands over whatever it has: the daemon goes on answering
# everybody else.
. tests/lib.sh
need_command python3 strace
machinefs_start
mkdir "$M/vm/v" "$M/vm/other"
uuid=$(cat "$M/vm/v/uuid")
machinefs_stop
version=$(sed -n 's/^#define WIRE_VERSION[^0-9]*//p' backends/monitor/wire.h)
cat >"$T/monitor.py" <<'END'
import os, socket, struct, sys, time
HELLO, NOTICE, RUNNING, DEVICE = 5, 9, 1, 4
path, version, go = sys.argv[1], int(sys.argv[2]), sys.argv[3]
def message(type, body):
    return struct.pack("HHI", version, type, 0) + body
s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
s.bind(path); s.listen(4)
print("listens", flush=True)
c, _ = s.accept()
c.send(message(HELLO, struct.pack("IiIi256s64sIIQ", RUNNING, 0, 0, 0, b"", b"", 0, 0, 0)))
while not os.path.exists(go): time.sleep(0.05)
said = message(NOTICE, struct.pack("I200s", DEVICE, b"again"))
for i in range(2): os.fork()
while True: c.send(said)
END
rm -f "$RUN_DIR/$uuid"
python3 "$T/monitor.py" "$RUN_DIR/$uuid" "$version" "$T/go" >"$T/monitor" 2>&1 &
soon "a monitor listens" 5 grep -q listens "$T/monitor"
machinefs_start
soon "it is found and runs" 5 state_is "$M/vm/v" running
touch "$T/go"
soon "it talks" 20 grep -q again "$M/vm/v/error"
# As long as it is looked at, a message is there whenever the daemon asks for one.
strace -q -o "$T/trace" -e trace=recvmsg,epoll_wait,epoll_pwait,epoll_pwait2 -p "$MACHINEFS_PID" &
tracer=$!
many() { [ "$(wc -l <"$T/trace")" -gt 2000 ]; }
soon "it is looked at" 20 many
kill "$tracer"
wait "$tracer"
longest=$(awk '/recvmsg/ { if (++n > most) most = n } /epoll/ { n = 0 } END { print +most }' "$T/trace")
ok "it has its turns: $longest messages at the most" [ "$longest" -gt 1 -a "$longest" -le 40 ]
for i in 1 2 3; do
	ok "who asks is answered ($i)" timeout 20 cat "$M/vm/other/state"
done
ok "who writes, too" timeout 20 bash -c 'echo 2 >"$1"' - "$M/vm/other/cpu.count"
# It does not listen to that either; then it is told in another way.
put "$M/vm/v/ctl" kill 2>/dev/null
soon "it can be killed" 20 state_is "$M/vm/v" failed
like "and that is all there is to say" "$(cat "$M/vm/v/exit")" '^failed: its monitor'
done_testing
