#!/bin/bash
# Settings: one write is one transaction, whoever writes it and however; and the error file.
# What ls, cat and words do is what is tried here.
# shellcheck disable=SC2086,SC2089,SC2090,SC2231
. tests/lib.sh
. tests/machines.sh
machinefs_start
mkdir "$M/vm/v" "$M/container/c"
v=$M/vm/v c=$M/container/c

# --- numbers
for bad in -1 0 1025 99999999999999999999 18446744073709551616 0x2 2x 2.0 '' ' 2' '2 ' 1e1 max two; do
	refused "cpu.count '$bad'" EINVAL 'cpu\.count: ' "$v" put "$v/cpu.count" "$bad"
done
is "refused writes change nothing" "$(cat "$v/cpu.count")" 1
refused "the sentence says what is possible" EINVAL '^EINVAL cpu\.count: 9999 is outside 1\.\.1024$|9999 is outside 1\.\.1024' \
	"$v" put "$v/cpu.count" 9999
for good in 64M=67108864 1G=1073741824 1T=1099511627776 65536K=67108864 1048576=1048576 2g=2147483648; do
	put "$v/memory.size" "${good%=*}"
	is "memory.size ${good%=*}" "$(cat "$v/memory.size")" "${good#*=}"
done
put "$c/pids.max" 7
put "$c/pids.max" max
is "max is infinity" "$(cat "$c/pids.max")" max

# --- how it is written
ok "without a newline" bash -c "printf 3 >'$v/cpu.count'"
is "counts" "$(cat "$v/cpu.count")" 3
ok "appending is writing" bash -c "echo 4 >>'$v/cpu.count'"
is "and means the same" "$(cat "$v/cpu.count")" 4
ok "a write at another offset too" dd if=/dev/stdin of="$v/cpu.count" bs=2 seek=100 conv=notrunc status=none <<<5
is "means the same" "$(cat "$v/cpu.count")" 5
ok "truncation is accepted" truncate -s 0 "$v/cpu.count"
ok "growing is, too" truncate -s 1000000 "$v/cpu.count"
ok "opening for writing alone" bash -c ": >'$v/cpu.count'"
is "none of them means anything" "$(cat "$v/cpu.count")" 5
ok "writing nothing" python3 -c "import os; f = os.open('$v/cpu.count', os.O_WRONLY); os.write(f, b'')"
is "neither" "$(cat "$v/cpu.count") $(stat -c %s "$v/cpu.count")" "5 2"
echo 6 >"$T/six"
ok "cp" cp "$T/six" "$v/cpu.count"
ok "busybox cp" busybox cp "$T/six" "$v/cpu.weight"
ok "tee" bash -c "echo 6 | tee '$v/pids.max' >'$T/tee'"
ok "install in place by cat" bash -c "cat '$T/six' >'$v/cpu.count'"
ok "dash" dash -c "echo 6 >'$v/cpu.count'"
ok "busybox sh" busybox sh -c "echo 6 >'$v/cpu.count'"
ok "python" python3 -c "open('$v/cpu.count', 'w').write('6\n')"
ok "sed -n w" bash -c "echo 6 | sed -n 'w $v/cpu.count'"
is "all of them write" "$(cat "$v/cpu.count" "$v/cpu.weight" "$v/pids.max" | xargs)" "6 6 6"
for shell in bash dash 'busybox sh'; do
	not_ok "$shell sees the refusal" $shell -c "echo many >'$v/cpu.count'"
done
not_ok "cp sees it" cp "$B/tests/rootfs/etc/passwd" "$v/cpu.count"
not_ok "tee sees it" bash -c "echo many | tee '$v/cpu.count'"
refused "two lines are no value" EINVAL 'a value is one line' "$v" bash -c "env printf '1\n2\n' >'$v/cpu.count'"
refused "1 MiB of digits" EINVAL 'cpu\.count: more than' "$v" \
	bash -c "head -c 1048576 /dev/zero | tr '\0' 7 | dd of='$v/cpu.count' bs=1M iflag=fullblock"
refused "1 MiB of lines for a keyed file" EINVAL 'label: ' "$v" \
	bash -c "yes 'k v' | head -c 1048576 | dd of='$v/label' bs=1M iflag=fullblock"
refused "a NUL" EINVAL 'NUL' "$v" bash -c "printf '2\0\n' >'$v/cpu.count'"
refused "binary rubbish" EINVAL '' "$v" bash -c "head -c 3000 '$MACHINEFS' | dd of='$v/boot.cmdline' bs=4096"
is "nothing has changed by all that" "$(cat "$v/cpu.count")$(cat "$v/label")" 6

# --- keyed files: bash writes line by line, others at once
lines='owner alice
team red
note two words'
bash -c 'while read -r line; do echo "$line"; done <<<"$1" >"$2"' - "$lines" "$v/label"
by_bash=$(cat "$v/label")
is "a keyed file" "$by_bash" "$lines"
printf 'owner default\nteam default\nnote default\n' >"$T/forget"
for by in "cp $T/lines" "dash -c cat<$T/lines>\$0" "python3 -c open(__import__('sys').argv[1],'w').write(open('$T/lines').read())"; do
	cp "$T/forget" "$v/label"
	is "KEY default forgets a key" "$(cat "$v/label")" ''
	echo "$lines" >"$T/lines"
	$by "$v/label"
	is "one write by ${by%% *} means the same" "$(cat "$v/label")" "$by_bash"
done
put "$v/label" team blue
is "a write changes the keys it names" "$(cat "$v/label")" $'owner alice\nteam blue\nnote two words'
refused "several lines in one write fail together" EINVAL 'label: ' "$v" \
	bash -c "printf 'a 1\nb 2\nbad\nc 3\n' | dd of='$v/label' bs=4096 iflag=fullblock status=none"
is "none of them is taken" "$(cat "$v/label")" $'owner alice\nteam blue\nnote two words'
ok "reading is what writing accepts" cp "$v/label" "$T/label"
ok "written back" cp "$T/label" "$v/label"
put "$c/init.env" 'PATH=/x:/y'
put "$c/init.env" 'EMPTY='
is "NAME=VALUE files keep theirs" "$(cat "$c/init.env")" $'PATH=/x:/y\nEMPTY='
put "$c/init.env" 'PATH default'
is "and forget by the same words" "$(cat "$c/init.env")" 'EMPTY='
is "an environment is for the owner alone" "$(stat -c %a "$c/init.env")" 600
refused "the whole must be read again: it is bounded" EINVAL 'the whole configuration would be larger' "$c" \
	bash -c "for i in {1..100}; do printf 'K%d=%04000d\n' \$i 0 >'$c/init.env' || exit 1; done"

# --- every text file reads back what it says
for file in "$v"/* "$c"/*; do
	[ -f "$file" ] && [[ $(stat -c %A "$file") == -rw* ]] || continue
	case ${file##*/} in ctl | wait | console) continue ;; esac
	cat "$file" >"$T/text"
	[ -s "$T/text" ] || continue
	is "${file##*/} ends in a newline" "$(tail -c 1 "$T/text" | od -An -tx1)" " 0a"
	ok "${file##*/} accepts what it says" cp "$T/text" "$file"
	ok "${file##*/} is then as before" cmp "$T/text" "$file"
done

# --- refusals
cat >"$T/rdwr.py" <<'PY'
import os, sys
v = sys.argv[1]
def handle(name):
    return os.open(v + '/' + name, os.O_RDWR)
def write(fd, text):
    try:
        os.pwrite(fd, text, 0)
        return 'done'
    except OSError as e:
        return os.strerror(e.errno)
def read(fd):
    return os.pread(fd, 4096, 0).decode().strip()
a, b = handle('cpu.count'), handle('cpu.count')
print(read(a))
print(write(a, b'111111'))
print(write(b, b'222222'))
print(read(a))
print(read(b))
print(write(a, b'8'))
print(read(a))
print(read(b))
c = handle('ctl')
print(write(c, b'fly'))
print(read(c))
r = os.open(v + '/cpu.count', os.O_RDONLY)
print(read(r))
PY
is "a handle for both reads back its own last refusal" "$(python3 "$T/rdwr.py" "$v")" \
	"6
Invalid argument
Invalid argument
EINVAL cpu.count: 111111 is outside 1..1024
EINVAL cpu.count: 222222 is outside 1..1024
done
8
EINVAL cpu.count: 222222 is outside 1..1024
Invalid argument
EINVAL ctl: \"fly\" is not a verb; \`cat ctl\` lists them
8"
put "$v/cpu.count" 4444 2>/dev/null
put "$v/cpu.weight" 77777 2>/dev/null
like "error keeps the newest" "$(cat "$v/error")" '^EINVAL cpu\.weight: 77777'
put "$v/cpu.count" 2
like "a success leaves it alone" "$(cat "$v/error")" '^EINVAL cpu\.weight: 77777'
is "the root has its own" "$(cat "$M/error")" ''
refused "root verbs" EINVAL 'not a verb' "$M" put "$M/ctl" fly
put "$v/boot.cmdline" "$(printf '\033]0;owned\a')" 2>/dev/null
unlike "no control character gets into error" "$(cat "$v/error")" $'[\001-\037\177]'
if [ "$(id -u)" = 0 ]; then
	put "$c/error" x 2>/dev/null
	container_new s /bin/sleep 1000
	s=$M/container/s
	put "$s/hostname" 'a b' 2>/dev/null
	put "$s/ctl" start
	is "start clears it" "$(cat "$s/error")" ''
	refused "what cannot change while it runs" EBUSY 'init: cannot change while the machine is running' \
		"$s" put "$s/init" /bin/true
	ok "the same value again is no change" put "$s/init" "/bin/sleep 1000"
	ok "what can, does" put "$s/memory.size" 64M
	for limit in /sys/fs/cgroup/machinefs/container-$(cat "$s/uuid")/memory.max \
		/sys/fs/cgroup/*/machinefs/container-$(cat "$s/uuid")/memory.limit_in_bytes; do
		[ -e "$limit" ] && is "at once" "$(cat "$limit")" 67108864
	done
	ok "and durably" grep -q '^memory.size: 67108864$' "$STATE_DIR/container/s/config.yaml"
	refused "what is not the owner's stays refused" EINVAL 'memory\.size' "$s" put "$s/memory.size" 64MB
	is "the limit is as it was" "$(cat "$s/memory.size")" 67108864
fi
done_testing
