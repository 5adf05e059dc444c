#!/bin/bash
# Paths of the host that lead to a file system that does not answer: they cost the daemon two
# seconds, whatever it is that is not answered, and no other user his own paths.
. tests/lib.sh
. tests/machines.sh
. tests/users.sh
need_root
need_command setpriv unshare python3
users_make
machinefs_start
chmod 711 "$T"
mkdir "$T/open"
echo content >"$T/open/file"

mkdir "$T/stuck" "$M/vm/v"
cat >"$T/stuck.py" <<'END'
# A FUSE mount with one file, `kernel`, and one directory, `dir`, open to all: mount(2) by hand. It
# takes requests of the number that is given (fuse_opcode of linux/fuse.h), and answers none of
# these; with 0 it takes nothing at all after the first.
import ctypes, os, struct, sys
fd, never = os.open("/dev/fuse", os.O_RDWR), int(sys.argv[2])
libc = ctypes.CDLL(None, use_errno=True)
opts = f"fd={fd},rootmode=40000,user_id=0,group_id=0,allow_other"
if libc.mount(b"stuck", sys.argv[1].encode(), b"fuse", 0, opts.encode()):
    sys.exit("mount: " + os.strerror(ctypes.get_errno()))
LOOKUP, GETATTR, OPEN, RELEASE, FLUSH, INIT, OPENDIR, RELEASEDIR = 1, 3, 14, 18, 25, 26, 27, 29
SILENT = 2, 36, 42 # FORGET, INTERRUPT, BATCH_FORGET
def attr(node):
    return struct.pack("<6Q10I", node, 4096, 8, *[0] * 6, 0o100444 if node == 2 else 0o40755, 1, *[0] * 5)
up = False
while never or not up:
    request = os.read(fd, 1 << 18)
    op, unique, node = struct.unpack_from("<IQQ", request, 4)
    error, answer = 0, b""
    if op == INIT:
        answer, up = struct.pack("<IIIIHHIIHHI28x", 7, 31, 0, 0, 12, 10, 1 << 17, 1, 0, 0, 0), True
        print("up", flush=True)
    elif op == never:
        print("asked", flush=True)
        continue
    elif op == LOOKUP:
        node = 2 if request[40:] == b"kernel\0" else 3
        answer = struct.pack("<4QII", node, 0, 0, 0, 0, 0) + attr(node)
    elif op == GETATTR:
        answer = struct.pack("<QII", 0, 0, 0) + attr(node)
    elif op in (OPEN, OPENDIR):
        answer = struct.pack("<QII", 1, 0, 0)
    elif op in SILENT:
        continue
    elif op not in (FLUSH, RELEASE, RELEASEDIR):
        error = -38
    os.write(fd, struct.pack("<IiQ", 16 + len(answer), error, unique) + answer)
sys.stdin.read()
END
NOTHING=0 LOOKUP=1 GETATTR=3 FLUSH=25
stuck_start() { # OPCODE
	coproc python3 "$T/stuck.py" "$T/stuck" "$1" 2>&1
	read -r -u "${COPROC[0]}" said
	is "a file system without an answer to $1 is there" "$said" up
}
stuck_stop() {
	kill "$COPROC_PID"
	wait "$COPROC_PID" 2>/dev/null
	umount -l "$T/stuck"
}
stuck_start $NOTHING
refused "a path on it is refused" EIO 'boot.kernel: .*does not answer' "$M/vm/v" write "$M/vm/v/boot.kernel" "$T/stuck/kernel"
refused "again" EIO 'boot.kernel: .*does not answer' "$M/vm/v" write "$M/vm/v/boot.kernel" "$T/stuck/kernel"
mkdir "$M/vm/w" "$M/vm/x"
chown alice "$M/vm/w"
chown bob "$M/vm/x"
refused "one of a user's is, too" EIO 'boot.kernel: .*does not answer' "$M/vm/w" write "$M/vm/w/boot.kernel" "$T/stuck/kernel"
for path in "$T/stuck/kernel" "$T/open/file"; do
	refused "and for a while no other of hers is tried" EBUSY 'boot.kernel: .*user 2001 did not answer' "$M/vm/w" \
		write "$M/vm/w/boot.kernel" "$path"
done
ok "another user's is opened" write "$M/vm/x/boot.kernel" "$T/open/file"
ok "the next path is opened" write "$M/vm/v/boot.kernel" "$T/open/file"
opener=$(pgrep -P "$MACHINEFS_PID" -f machinefs-opener)
like "by one opener" "$opener" '^[0-9]+$'
kill -9 "$opener"
ok "when it is killed, by another" write "$M/vm/v/boot.initrd" "$T/open/file"
opener=$(pgrep -P "$MACHINEFS_PID" -f machinefs-opener)
holds() { # but for a moment what it has opened and sent
	[ "$(readlink "/proc/$opener/fd/"* | grep -v -e socket: -e '^/dev/null$')" = "$T/machinefs.log" ]
}
soon "it holds nothing of the daemon's" 2 holds
machinefs_stop
soon "it ends with the daemon" 5 pid_gone "$opener"
stuck_stop

# --- what a server has taken, or is to be closed, no signal ends: that opener cannot be had back
openers() { # that there are, also those that wait to be dead
	pgrep -c -P "$MACHINEFS_PID" -f 'machinefs-opener --opener'
}
others=0
other() { # another user's path, each time another one
	cp "$T/open/file" "$T/open/$((++others))"
	write "$M/vm/x/boot.kernel" "$T/open/$others"
}
machinefs_start
for opcode in $LOOKUP $FLUSH; do
	stuck_start "$opcode"
	refused "it is refused" EIO 'boot.kernel: .*does not answer' "$M/vm/w" write "$M/vm/w/boot.kernel" "$T/stuck/kernel"
	is "she has a file system wait for her" "$(openers)" 1
	for i in 1 2; do
		refused "as long as it does no other of hers is opened ($i)" EBUSY 'boot.kernel: .*user 2001 has not answered yet' \
			"$M/vm/w" write "$M/vm/w/boot.kernel" "$T/stuck/kernel"
	done
	other
	is "but another user's is" "$(cat "$M/vm/x/boot.kernel")" "$T/open/$others"
	is "by another opener" "$(openers)" 2
	ok "who asks is answered" timeout 5 cat "$M/vm/w/state"
	stuck_stop
	soon "it is over when nobody can answer any more" 5 eval 'other && [ "$(openers)" = 1 ]'
	machinefs_stop
	machinefs_start # she has not made it wait
done

# --- what is only looked at is not asked either
stuck_start $GETATTR
mkdir "$M/image/i"
ok "a directory that does not tell its own type is a source" write "$M/image/i/source" "$T/stuck/dir"
write "$M/image/i/ctl" import &
import=$!
read -r -u "${COPROC[0]}" said
is "an import waits for it" "$said" asked
ok "alone" timeout 5 cat "$M/image/i/state"
stuck_stop
wait $import
machinefs_stop
done_testing
