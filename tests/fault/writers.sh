#!/bin/bash
# Many write the settings of one machine, and the daemon is killed again and again: no value that
# was acknowledged is lost, unless by a later one.
# timeout: 180
. tests/lib.sh
. tests/machines.sh
need_root
need_command python3
machinefs_start
container_new c /bin/sleep 100000
c=$M/container/c
put "$c/ctl" start
for i in {0..3}; do put "$c/label" "k$i 0"; done

# A writer notes each write that it begins and ends: START END REGISTER=VALUE..., END 0 when it was
# not acknowledged. A value is the writer's number and a count, so it is written once.
cat >"$T/writer.py" <<'PY'
import errno, os, random, sys, time
c, who, what, log, stop = sys.argv[1], int(sys.argv[2]), sys.argv[3], open(sys.argv[4], 'w'), sys.argv[5]
random.seed(who)
def put(file, text):
    fd = os.open(c + '/' + file, os.O_WRONLY)
    try:
        if os.write(fd, text.encode()) != len(text):
            raise OSError(errno.EIO, 'short')
    finally:
        os.close(fd)
def document(n):
    return ('cpu.weight: %d\npids.max: %d\nroot: %s\ninit: /bin/sleep 100000\nlabel:\n' % (n % 10000 + 1, n, sys.argv[6]) +
            ''.join('  k%d: %d\n' % (i, n) for i in range(4)) + '...\n')
n = 0
while not os.path.exists(stop):
    n += 1
    value = who * 100000 + n
    if what == 'document':
        file, text = 'config.yaml', document(value)
        registers = ['pids.max', 'weight'] + ['k%d' % i for i in range(4)]
    elif what == 'keys':
        file, registers = 'label', ['k%d' % i for i in range(4) if random.random() < 0.5] or ['k0']
        text = ''.join('%s %d\n' % (k, value) for k in registers)
    else:
        file, text, registers = what, '%d\n' % value, [what]
    start = time.monotonic_ns()
    try:
        put(file, text)
        end = time.monotonic_ns()
    except OSError as e:
        # Gone, or going: whether it was done is not known. Anything else is a refusal.
        if e.errno not in (errno.ENOTCONN, errno.ENOENT, errno.ECONNABORTED, errno.EIO, errno.ESTALE):
            print('%s: %s' % (what, e), file=sys.stderr)
        end = 0
        time.sleep(0.005)
    print(start, end, *['%s=%d' % (r, value % 10000 + 1 if r == 'weight' else value) for r in registers], file=log)
PY
# Each time the daemon was dead the disk had values, and a time was noted. Such a value must have been
# written, by a write after whose end no other began that was acknowledged by then.
cat >"$T/judge.py" <<'PY'
import glob, re, sys
t = sys.argv[1]
writes, acknowledged, bad = {}, 0, 0
for name in glob.glob(t + '/log*'):
    for line in open(name):
        start, end, *registers = line.split()
        acknowledged += end != '0'
        for r in registers:
            k, v = r.split('=')
            writes.setdefault(k, []).append((int(start), int(end) or 1 << 62, end != '0', v))
for name in glob.glob(t + '/disk*'):
    text = open(name).read()
    when = int(open(name.replace('disk', 'time')).read())
    for k, v in re.findall(r'^ *(k[0-3]|pids.max): ([0-9]+)$', text, re.M):
        if v == '0':
            continue
        mine = [w for w in writes[k] if w[3] == v]
        if not mine:
            print('%s: %s=%s was never written' % (name, k, v))
            bad = 1
            continue
        last = max(w[1] for w in mine)
        lost = [w for w in writes[k] if w[2] and w[0] > last and w[0] < when]
        if lost:
            print('%s: %s=%s, but %d later ones were acknowledged, such as %s' % (name, k, v, len(lost), lost[-1]))
            bad = 1
print('%d acknowledged' % acknowledged)
sys.exit(bad or acknowledged < 100)
PY
writers=()
i=0
for what in keys keys keys keys pids.max pids.max document document; do
	i=$((i + 1))
	python3 "$T/writer.py" "$c" $i $what "$T/log$i" "$T/stop" "$T/root" 2>>"$T/refusals" &
	writers+=($!)
done
for i in {1..15}; do
	sleep 0.$((RANDOM % 5 + 1))
	machinefs_kill9
	cp "$STATE_DIR/container/c/config.yaml" "$T/disk$i"
	python3 -c 'import time; print(time.monotonic_ns())' >"$T/time$i"
	machinefs_start
done
: >"$T/stop"
wait "${writers[@]}"
cat "$c/config.yaml" >"$T/disk16"
python3 -c 'import time; print(time.monotonic_ns())' >"$T/time16"
is "nobody was refused" "$(sort "$T/refusals" | uniq -c)" ''
ok "no acknowledged value is lost" python3 "$T/judge.py" "$T"
diag "$(python3 "$T/judge.py" "$T" | tail -n 1)"
is "the machine runs on" "$(cat "$c/state")" running
limit=$(find /sys/fs/cgroup -path "*/machinefs/container-$(cat "$c/uuid")/pids.max" 2>/dev/null)
is "with the limit that the file says" "$(cat "$limit")" "$(cat "$c/pids.max")"
cat "$c/config.yaml" >"$T/config"
machinefs_kill9
machinefs_start
ok "and after one more kill all is the same" cmp "$T/config" "$c/config.yaml"

# A daemon that was killed after it had applied a limit, and before it had kept it.
machinefs_kill9
echo 77 >"$limit"
machinefs_start
is "what was not kept is taken back" "$(cat "$limit")" "$(cat "$c/pids.max")"
done_testing
