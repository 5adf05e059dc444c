#!/bin/bash
# The mount's descriptors are kept by a service manager with a file descriptor store, by the
# protocols of sd_notify(3) and sd_listen_fds(3): here by one of thirty lines. (systemd itself is
# tried in the lab.)
# shellcheck disable=SC2002
. tests/lib.sh
need_command python3
M=$T/mnt STATE_DIR=$T/state RUN_DIR=$T/run
mkdir "$M"
cat >"$T/manager.py" <<'END'
import array, os, socket, sys, time
argv = sys.argv[2:]
log = open(sys.argv[1], "w", buffering=1)
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(sys.argv[1] + ".sock")
store = {}
def start():
    fds = list(store.items())
    pid = os.fork()
    if pid == 0:
        high = [os.dup2(fd, 100 + i) for i, (_, fd) in enumerate(fds)]
        for i, fd in enumerate(high): os.dup2(fd, 3 + i, inheritable=True)
        os.environ.update(NOTIFY_SOCKET=sys.argv[1] + ".sock", LISTEN_PID=str(os.getpid()),
                          LISTEN_FDS=str(len(fds)), LISTEN_FDNAMES=":".join(n for n, _ in fds))
        os.execv(argv[0], argv)
    log.write("started %d with %s\n" % (pid, sorted(n for n, _ in fds)))
    return pid
s.settimeout(0.05)
pid = start()
while True:
    try:
        data, anc, _, _ = socket.recv_fds(s, 4096, 8)
        lines = dict(l.split("=", 1) for l in data.decode().split("\n") if "=" in l)
        if "FDSTORE" in lines: store[lines["FDNAME"]] = anc[0]
        if "FDSTOREREMOVE" in lines: os.close(store.pop(lines["FDNAME"]))
        log.write("told %s\n" % " ".join(sorted("%s=%s" % l for l in lines.items())))
        continue # what it has said counts, though it has ended
    except TimeoutError: pass
    done, status = os.waitpid(pid, os.WNOHANG)
    if done and not os.WIFSIGNALED(status):
        log.write("ended %d, kept %s\n" % (os.WEXITSTATUS(status), sorted(store))); break
    if done: pid = start()
END
manager_start() {
	python3 "$T/manager.py" "$T/log" "$MACHINEFS" -f --state-dir "$STATE_DIR" --run-dir "$RUN_DIR" "$M" \
		>"$T/out" 2>&1 &
	manager=$!
	poll 10 grep -q READY=1 "$T/log"
}

daemon_pid() {
	sed -n 's/^started \([0-9]*\) .*/\1/p' "$T/log" | tail -n 1
}

started_times() {
	[ "$(grep -c '^started' "$T/log")" = "$1" ]
}

manager_start
is "the mount and its journal are kept" "$(grep -c 'told FDNAME=\(fuse\|journal\) FDSTORE=1' "$T/log")" 2
is "then it is ready" "$(grep told "$T/log" | tail -n 1)" "told READY=1"
mkdir "$M/vm/v"
exec 5<"$M/vm/v/state"
kill -KILL "$(daemon_pid)"
soon "killed, it is started again" 10 started_times 2
like "with them" "$(tail -n +2 "$T/log")" "started [0-9]+ with \['fuse', 'journal'\]"
is "a handle that was open reads" "$(cat <&5)" stopped
is "new ones too" "$(cat "$M/vm/v/state")" stopped
is "there is one mount" "$(grep -c " $M " /proc/self/mounts)" 1
exec 5<&-
kill -TERM "$(daemon_pid)"
wait "$manager"
like "a clean end leaves nothing to keep" "$(tail -n 1 "$T/log")" '^ended 0, kept \[\]$'
not_ok "and no mount" mountpoint -q "$M"

# What was kept may be of no use any more.
rm "$T"/log*
manager_start
mkdir "$T/aside"
kill -STOP "$(daemon_pid)"
umount -l "$M" 2>/dev/null || fusermount3 -u -z "$M"
kill -KILL "$(daemon_pid)"
soon "killed after an unmount, it is started again" 10 started_times 2
soon "on a new mount" 10 test -e "$M/vm/v/state"
like "and says why" "$(cat "$T/out")" 'cannot go on with the mount that was there: it was unmounted'
kill -TERM "$(daemon_pid)"
wait "$manager"
# Not a mount at all.
sh -c 'LISTEN_PID=$$ LISTEN_FDS=2 LISTEN_FDNAMES=fuse:journal exec "$@" 3</dev/null 4</dev/null' sh \
	"$MACHINEFS" -f --state-dir "$STATE_DIR" --run-dir "$RUN_DIR" "$M" >"$T/out" 2>&1 &
MACHINEFS_PID=$!
soon "what is no mount is not taken for one" 10 test -e "$M/vm/v/state"
like "and that is said" "$(cat "$T/out")" 'cannot go on with the mount that was there'
machinefs_stop
(
	export LISTEN_PID=1 LISTEN_FDS=2 LISTEN_FDNAMES=fuse:journal NOTIFY_SOCKET=/nowhere
	machinefs_start
	is "descriptors for another process are not taken" "$(cat "$M/vm/v/state")" stopped
	machinefs_stop
	printf '%s\n' "$tap_count" >"$T/count"
)
tap_count=$(cat "$T/count")
done_testing
