#!/bin/bash
# timeout: 150
# What the kernel keeps of a file is never stale: after a write has returned, whoever looks, in
# whatever way, sees it; and who reads meanwhile gets the old text or the new one, whole.
# What cat says, and reading and writing one file at a time, is what is tried here.
# shellcheck disable=SC2002,SC2094
. tests/lib.sh
need_command python3
machinefs_start
mkdir "$M/container/a" "$M/vm/v"
A=$M/container/a

# --- one after the other -------------------------------------------------------------------
put "$A/cpu.weight" 7
is "a length is asked for" "$(stat -c %s "$A/cpu.weight")" 2
put "$A/cpu.weight" 1234
is "and is another one after a write" "$(stat -c %s "$A/cpu.weight")" 5
exec 5<"$A/cpu.weight"
is "a reader reads" "$(cat <&5)" 1234
put "$A/cpu.weight" 88
is "another handle has the new text" "$(cat "$A/cpu.weight")" 88
exec 5<&-
before=$(stat -c %y "$A/config.yaml")
size=$(stat -c %s "$A/config.yaml")
put "$A/cpu.weight" 9999
is "config.yaml grows with a setting" "$(stat -c %s "$A/config.yaml")" $((size + 2))
unlike "and is younger" "$(stat -c %y "$A/config.yaml")" "^$before\$"
is "and is read anew" "$(grep -c '^cpu.weight: 9999$' "$A/config.yaml")" 1
stat -c %s "$A"/* >"$T/sizes"
sed 's/^cpu.weight:.*/cpu.weight: 3/; s/^pids.max:.*/pids.max: 12345/' "$A/config.yaml" >"$T/new.yaml"
cat "$T/new.yaml" >"$A/config.yaml"
is "a document changes settings" "$(cat "$A/cpu.weight" "$A/pids.max")" $'3\n12345'
is "and their lengths" "$(stat -c %s "$A/cpu.weight" "$A/pids.max")" $'2\n6'
is "error is empty" "$(stat -c %s "$A/error")" 0
not_ok "a refusal" put "$A/cpu.weight" 0
ok "it has a length then" test "$(stat -c %s "$A/error")" = "$(wc -c <"$A/error")"
ok "which is not 0" test -s "$A/error"
is "the refused one is as it was" "$(cat "$A/cpu.weight")" 3
ctl=$(stat -c %s "$A/ctl")
put "$A/root" "$(busybox_root)"
put "$A/init" "/bin/sleep 1000"
put "$A/ctl" start
ok "ctl has another length when it runs" test "$(stat -c %s "$A/ctl")" != "$ctl"
is "state too" "$(stat -c %s "$A/state")" 8
ok "pid is there" test -s "$A/pid"
put "$A/ctl" kill
await "$A" stopped
is "and goes" "$(stat -c %s "$A/pid")" 0
is "exit says how" "$(stat -c %s "$A/exit")" 11

# copy_file_range(2), which cp uses within a file system, goes by the length that the kernel has.
mkdir "$M/container/b"
for i in 1 2 3 4 5; do
	stat "$A/config.yaml" "$A/config.yaml" "$A/config.yaml" >"$T/kept"
	put "$A/label" "word $(printf "%0$((i * 7))d" 0)"
	cp "$A/config.yaml" "$M/container/b/config.yaml" &&
		cmp "$A/config.yaml" "$M/container/b/config.yaml" && echo same
done >"$T/seen" 2>&1
is "cp copies all of what has just grown" "$(xargs <"$T/seen")" "same same same same same"
rmdir "$M/container/b"

# chmod and touch answer with the newest time; what was kept before must still go.
for i in 1 2 3 4 5; do
	cat "$A/cpu.weight" >"$T/was"
	put "$A/cpu.weight" "100$i"
	chmod 640 "$A/cpu.weight"
	touch "$A/cpu.weight"
	cat "$A/cpu.weight"
done >"$T/seen"
is "chmod keeps nothing alive" "$(cat "$T/seen")" $'1001\n1002\n1003\n1004\n1005'

# --- owners ---------------------------------------------------------------------------------
is "a file is root's" "$(stat -c %u "$A/hostname")" 0
chown 1234 "$A"
is "and with its directory another's" "$(stat -c %u "$A/hostname")" 1234
chown 0 "$A"

# --- counters -------------------------------------------------------------------------------
before=$(stat -c %y "$M/stat")
cat "$M/version" >"$T/version"
unlike "a counter that moved is younger" "$(stat -c %y "$M/stat")" "^$before\$"
before=$(stat -c %y "$A/memory.current")
is "one that did not is not" "$(stat -c %y "$A/memory.current")" "$before"

# --- at the same time ------------------------------------------------------------------------
# One writes numbers of ever other lengths, up and up, and tells when each is acknowledged; the
# others must never see less than that, nor a part of a number. (It writes at offset 0: while a
# writer goes on behind its last write, the kernel itself takes the file for that long.)
cat >"$T/race.py" <<'END'
import mmap, os, struct, sys, time
path, enough = sys.argv[1], int(sys.argv[2]) # so many writes and looks of each
shared, looks = mmap.mmap(-1, 8), mmap.mmap(-1, 4096)
def told(): return struct.unpack("q", shared[:8])[0]
values = [v * 10 + 3 for v in (1, 22, 333, 4, 55, 666)]
end = time.time() + 60
def index(text, low):
    """which write this is, at least the low-th; -1: no such text"""
    for i in range(low, low + 400):
        if text == b"%d\n" % values[i % len(values)]: return i
    return -1
def reader(me, how):
    held = os.open(path, os.O_RDONLY)
    n = 0
    while time.time() < end and not looks[100]:
        looks[me] = n >= enough
        low = told()
        if how == "open":
            fd = os.open(path, os.O_RDONLY); text = os.read(fd, 4096); os.close(fd)
        elif how == "held":
            text = os.pread(held, 4096, 0)
        else:
            size = os.stat(path).st_size; high = told()
            lengths = {len(b"%d\n" % values[i % len(values)]) for i in range(low, high + 2)}
            if size not in lengths:
                print("stat: length", size, "after write", low); os._exit(1)
            n += 1; continue
        high = told()
        possible = [b"%d\n" % values[i % len(values)] for i in range(low, high + 2)]
        if text not in possible:
            print(how, "saw", text, "between writes", low, "and", high, possible); os._exit(1)
        n += 1
    os._exit(0 if n >= enough else 2)
fd = os.open(path, os.O_WRONLY)
os.write(fd, b"%d\n" % values[0])
children = []
for me, how in enumerate(("open", "held", "stat", "open")):
    pid = os.fork()
    if pid == 0: reader(me, how)
    children.append(pid)
i = 0
while time.time() < end and (i < enough or not all(looks[:4])):
    i += 1
    os.pwrite(fd, b"%d\n" % values[i % len(values)], 0)
    shared[:8] = struct.pack("q", i)
looks[100] = 1
failed = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children]
print(i, "writes;", failed)
sys.exit(any(failed) or i < enough)
END
ok "what was acknowledged is seen, whole, by all at once" python3 "$T/race.py" "$A/pids.max" 2000
ok "of a VM too" python3 "$T/race.py" "$M/vm/v/cpu.weight" 1000
done_testing
