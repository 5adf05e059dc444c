#!/bin/bash
# config.yaml: the whole configuration in one transaction.
# What ls, cat and words do is what is tried here.
# shellcheck disable=SC2059,SC2089,SC2090
. tests/lib.sh
. tests/machines.sh
machinefs_start
mkdir "$M/vm/a" "$M/vm/b" "$M/container/c"
a=$M/vm/a b=$M/vm/b c=$M/container/c

# --- reading and writing
is "it ends in the end mark" "$(tail -n 1 "$a/config.yaml")" ...
put "$a/cpu.count" 3
put "$a/boot.cmdline" "a: b # 'c' \"d\" größe"
put "$a/label" 'note  null'
cat "$a/config.yaml" >"$T/a.yaml"
ok "it is what is on disk" cmp "$T/a.yaml" "$STATE_DIR/vm/a/config.yaml"
ok "cp from one machine to another" cp "$a/config.yaml" "$b/config.yaml"
ok "copies it" cmp "$a/config.yaml" "$b/config.yaml"
is "all of it" "$(cat "$b/cpu.count" "$b/boot.cmdline" "$b/label")" "$(cat "$a/cpu.count" "$a/boot.cmdline" "$a/label")"
ok "read and write back" cp "$T/a.yaml" "$a/config.yaml"
ok "changes nothing" cmp "$T/a.yaml" "$a/config.yaml"
for reader in "python3 -c print(open(__import__('sys').argv[1]).read(),end='')" 'busybox cat' 'dd status=none bs=7 if='; do
	[[ $reader == *= ]] && file=$reader$a/config.yaml || file="$reader $a/config.yaml"
	is "${reader%% *} reads all of it" "$($file)" "$(cat "$T/a.yaml")"
done
printf 'cpu.count: 2\n...\n' >"$b/config.yaml"
is "keys that are not there get their defaults" "$(cat "$b/cpu.count" "$b/boot.cmdline" "$b/label")" \
	$'2\nconsole=ttyS0'
ok "several settings at once" dash -c "printf 'cpu.count: 4\nmemory.size: 1G\nlabel: {x: y}\n...\n' >'$b/config.yaml'"
is "are set" "$(cat "$b/cpu.count" "$b/memory.size" "$b/label" | xargs)" "4 1073741824 x y"
refused "a VM's is not a container's" EINVAL 'config\.yaml: [0-9]+:1: .*a container has no such setting' "$c" \
	cp "$a/config.yaml" "$c/config.yaml"

put "$a/boot.initrd" /proc/self/exe
ok "a document that lacks a path" dash -c "printf 'cpu.count: 4\n...\n' >'$a/config.yaml'"
is "takes it away" "$(cat "$a/boot.initrd")" ''
cp "$T/a.yaml" "$a/config.yaml"

# --- when it is committed
cat >"$T/commit.py" <<'PY'
import os, sys
a = sys.argv[1]
def count():
    return open(a + '/cpu.count').read().strip()
def attempt(f, *args):
    try:
        f(*args)
        return 'done'
    except OSError as e:
        return os.strerror(e.errno)
fd = os.open(a + '/config.yaml', os.O_WRONLY | os.O_TRUNC)
os.write(fd, b'cpu.count: 5\n')
print(count(), 'before the end mark')
os.write(fd, b'..')
os.write(fd, b'.')
print(count(), 'at the end mark, whole or in parts')
os.write(fd, b'cpu.count: 6\n...\n')
print(count(), 'at the next one')
print(attempt(os.write, fd, b'cpu.count: 0\n...\n'), 'from the write itself')
print(count(), 'after that')
print(attempt(os.write, fd, b'cpu.count: 7\n'), 'without an end mark')
other = os.dup(fd)
print(attempt(os.close, other), 'from a close of a copy')
print(count(), 'then')
print(attempt(os.close, fd), 'from the last close')
print(count(), 'then')
fd = os.open(a + '/config.yaml', os.O_WRONLY)
os.write(fd, b'cpu.count: none\n')
print(attempt(os.close, fd), 'from the close of a bad one')
print(count(), 'then')
fd = os.open(a + '/config.yaml', os.O_WRONLY)
print(attempt(os.write, fd, b'cpu.count: 2\n...\nmore\n'), 'for text behind the end mark')
print(attempt(os.close, fd), 'from the close after it')
print(count(), 'then')
fd = os.open(a + '/config.yaml', os.O_RDWR)
print(attempt(os.write, fd, b'fly: 1\n...\n'), 'from a handle for both')
print(os.pread(fd, 100, 0).decode().strip())
os.close(fd)
PY
is "commits" "$(python3 "$T/commit.py" "$a")" "3 before the end mark
5 at the end mark, whole or in parts
6 at the next one
Invalid argument from the write itself
6 after that
done without an end mark
done from a close of a copy
6 then
done from the last close
7 then
Invalid argument from the close of a bad one
7 then
Invalid argument for text behind the end mark
done from the close after it
7 then
Invalid argument from a handle for both
EINVAL config.yaml: 1:1: fly: a VM has no such setting"
(/bin/echo 'cpu.count: 8'; /bin/echo 'label:'; /bin/echo '  x: y') >"$a/config.yaml"
is "several programs may write one document" "$(cat "$a/cpu.count" "$a/label" | xargs)" "8 x y"
(/bin/echo 'nosuch: 1'; /bin/echo 'cpu.count: 1') >"$a/config.yaml" 2>/dev/null
is "when one part is refused, no other is taken" "$(cat "$a/cpu.count")" 8
(/bin/echo 'boot.cmdline: "begun here,'; /bin/echo '  ended there"') >"$a/config.yaml" 2>/dev/null
is "a part need not be a document" "$(cat "$a/boot.cmdline")" "begun here, ended there"
(printf '\0'; printf 'cpu.count: 1\n') 2>/dev/null >"$a/config.yaml"
is "what follows a refused part is no document" "$(cat "$a/cpu.count" "$a/boot.cmdline" | xargs)" \
	"1 begun here, ended there"
cp "$T/a.yaml" "$a/config.yaml"

# --- refusals come where they can be seen
for refusal in 'boot.kernel: /nowhere|ENOENT|boot\.kernel: /nowhere' 'boot.kernel: /|EINVAL|boot\.kernel: / is a directory'; do
	IFS='|' read -r line errno sentence <<<"$refusal"
	printf '%s\n' "$line" >"$T/bad.yaml"
	refused "at the close: $line" "$errno" "$sentence" "$a" cp "$T/bad.yaml" "$a/config.yaml"
	echo ... >>"$T/bad.yaml"
	refused "at the end mark: $line" "$errno" "$sentence" "$a" cp "$T/bad.yaml" "$a/config.yaml"
done
cat >"$T/bad.yaml" <<'YAML'
cpu.count: 0
nosuch: 1
memory.size: 1Q
label: {a: b, a: c}
cpu.count: 2
...
YAML
refused "many refusals" EINVAL '1:12: cpu\.count' "$a" cp "$T/bad.yaml" "$a/config.yaml"
is "each has its line, with line and column" "$(grep -cE '^EINVAL config\.yaml: [0-9]+:[0-9]+: ' "$a/error")" 5
is "and no other is there" "$(wc -l <"$a/error")" 5
ok "nothing has changed" cmp "$T/a.yaml" "$a/config.yaml"

refuse_yaml() { # NAME REGEXP TEXT
	printf "$3" >"$T/bad.yaml"
	refused "$1" EINVAL "$2" "$a" cp "$T/bad.yaml" "$a/config.yaml"
}
refuse_yaml "an anchor" '1:12: anchors' 'cpu.count: &x 1\n...\n'
refuse_yaml "an alias" '1:15: aliases' 'boot.cmdline: *x\n...\n'
refuse_yaml "a tag" '1:12: tags' 'cpu.count: !!int 1\n...\n'
refuse_yaml "a duplicate key" '2:1: .*twice' 'cpu.count: 1\ncpu.count: 1\n...\n'
refuse_yaml "a list" '1:12: a list' 'cpu.count: [1]\n...\n'
refuse_yaml "two documents" 'one document' 'cpu.count: 1\n---\ncpu.count: 1\n...\n'
refuse_yaml "invalid UTF-8" 'UTF-8' 'boot.cmdline: \377\n...\n'
refuse_yaml "an escape sequence" 'boot\.cmdline' 'boot.cmdline: "\\e[0m"\n...\n'
refuse_yaml "nothing but an end mark" '1:1: ' '...\n'
refuse_yaml "an empty value" 'cpu\.count' 'cpu.count:\n...\n'
for unit in '{' '[' 'a: {' '- ' '? ' '&a ' '"' 'label: {a: ' 'a:\n' '*a '; do
	if [[ $unit == *'\n' ]]; then
		yes -- "${unit%'\n'}"
	else
		yes -- "$unit" | tr -d '\n'
	fi | head -c 10485760 >"$T/bad.yaml"
	refused "10 MiB of '$unit'" EINVAL 'config\.yaml: ' "$a" timeout 20 cp "$T/bad.yaml" "$a/config.yaml"
	head -c 200000 "$T/bad.yaml" >"$T/less.yaml"
	refused "200 kB of it" EINVAL 'config\.yaml: ' "$a" timeout 20 cp "$T/less.yaml" "$a/config.yaml"
done
ok "the error file stays small" test "$(wc -c <"$a/error")" -lt 65536
ok "nothing has changed by all that" cmp "$T/a.yaml" "$a/config.yaml"
ok "the daemon has not grown" test "$(awk '/VmRSS/ { print $2 }' "/proc/$MACHINEFS_PID/status")" -lt 100000

# --- a running machine
if [ "$(id -u)" = 0 ]; then
	container_new run /bin/sleep 1000
	run=$M/container/run
	put "$run/ctl" start
	ok "the same configuration again is no change" cp "$run/config.yaml" "$T/run.yaml"
	ok "so it is accepted" cp "$T/run.yaml" "$run/config.yaml"
	sed 's/^memory.size: .*/memory.size: 100M/; s/^cpu.weight: .*/cpu.weight: 300/' "$T/run.yaml" >"$T/live.yaml"
	ok "what may change, changes" cp "$T/live.yaml" "$run/config.yaml"
	is "together" "$(cat "$run/memory.size" "$run/cpu.weight" | xargs)" "104857600 300"
	sed 's/^memory.size: .*/memory.size: 200M/; s/^hostname:.*/hostname: x/' "$T/run.yaml" >"$T/live.yaml"
	refused "what may not is refused" EBUSY 'hostname: cannot change while the machine is running' "$run" \
		cp "$T/live.yaml" "$run/config.yaml"
	sed -i '/^\.\.\./d' "$T/live.yaml"
	refused "at the close, too" EBUSY 'hostname: cannot change while the machine is running' "$run" \
		cp "$T/live.yaml" "$run/config.yaml"
	is "with all the rest" "$(cat "$run/memory.size" "$run/hostname" | xargs)" "104857600"

	# --- the transaction: live and not live, mixed
	limits() { # what the kernel has
		local group file
		for group in /sys/fs/cgroup/machinefs /sys/fs/cgroup/*/machinefs; do
			for file in memory.max memory.limit_in_bytes pids.max cpu.weight cpu.shares; do
				[ -e "$group/container-$uuid/$file" ] && echo "$file $(cat "$group/container-$uuid/$file")"
			done
		done
	}
	uuid=$(cat "$run/uuid")
	cp "$run/config.yaml" "$T/run.yaml"
	before=$(limits)
	cat >"$T/mix.yaml" <<-YAML
	memory.size: 200M
	root: $T/root
	init: /bin/sleep 2000
	pids.max: 77
	namespaces: pid mount net uts ipc cgroup
	label: {a: b}
	hostname: other
	...
	YAML
	refused "a mix of what may and what may not is refused" EBUSY 'config\.yaml: 3:1: init: cannot change while the machine is running' \
		"$run" cp "$T/mix.yaml" "$run/config.yaml"
	is "with a sentence for each, and its place" "$(cat "$run/error")" \
		"EBUSY config.yaml: 3:1: init: cannot change while the machine is running
EBUSY config.yaml: 7:1: hostname: cannot change while the machine is running"
	ok "nothing has changed" cmp "$T/run.yaml" "$run/config.yaml"
	ok "nothing on disk" cmp "$T/run.yaml" "$STATE_DIR/container/run/config.yaml"
	is "nothing in the kernel" "$(limits)" "$before"
	sed '/^\.\.\./d' "$T/mix.yaml" >"$T/mix2.yaml"
	refused "at the close it is the same" EBUSY '3:1: init' "$run" cp "$T/mix2.yaml" "$run/config.yaml"
	is "with as many sentences" "$(wc -l <"$run/error")" 2
	sed '/^init:/d; s|^root:.*|root: /nowhere/else|' "$T/mix.yaml" >"$T/mix2.yaml"
	refused "what the document lacks is its default" EBUSY 'init: cannot change' "$run" cp "$T/mix2.yaml" "$run/config.yaml"
	is "which is said" "$(cat "$run/error")" \
		"EBUSY config.yaml: 2:1: root: cannot change while the machine is running
EBUSY config.yaml: init: cannot change while the machine is running; the document lacks it, which means its default
EBUSY config.yaml: 6:1: hostname: cannot change while the machine is running"
	sed '/^hostname:/d; s/^init: .*/init: \/bin\/sleep 1000/' "$T/mix.yaml" >"$T/live.yaml"
	if command -v inotifywait >/dev/null; then
		inotifywait -q -m -e moved_to --format %f "$STATE_DIR/container/run" >>"$T/moves" 2>&1 &
		watcher=$!
		poll 5 eval 'touch "$STATE_DIR/x" && mv "$STATE_DIR/x" "$STATE_DIR/container/run/x"; test -s "$T/moves"'
		rm -f "$STATE_DIR/container/run/x"
		: >"$T/moves"
	fi
	ok "without them it is accepted" cp "$T/live.yaml" "$run/config.yaml"
	is "all of it" "$(cat "$run/memory.size" "$run/pids.max" "$run/label" | xargs)" "209715200 77 a b"
	like "also by the kernel" "$(limits)" 'pids.max 77'
	if command -v inotifywait >/dev/null; then
		sleep 0.2
		kill "$watcher"
		wait "$watcher" 2>/dev/null
		is "in one write to the disk" "$(xargs <"$T/moves")" config.yaml
	fi
	cp "$run/config.yaml" "$T/run.yaml"
	before=$(limits)
	sed 's/^pids.max: .*/pids.max: 99999999999/; s/^memory.size: .*/memory.size: 300M/; s/^label:.*/label: {c: d}/; /^  a: b/d' \
		"$T/run.yaml" >"$T/bad.yaml"
	refused "what the kernel refuses is refused" EINVAL 'pids\.max: ' "$run" cp "$T/bad.yaml" "$run/config.yaml"
	ok "with all the rest: nothing has changed" cmp "$T/run.yaml" "$run/config.yaml"
	ok "on disk" cmp "$T/run.yaml" "$STATE_DIR/container/run/config.yaml"
	is "nor in the kernel" "$(limits)" "$before"

	# --- from one running machine to another
	container_new to /bin/sleep 1000
	put "$M/container/to/ctl" start
	ok "cp from a running machine to a running one" cp "$run/config.yaml" "$M/container/to/config.yaml"
	ok "copies it" cmp "$run/config.yaml" "$M/container/to/config.yaml"
	put "$M/container/to/ctl" kill
	await "$M/container/to" stopped
	ok "and to a stopped one" cp "$run/config.yaml" "$M/container/to/config.yaml"
fi

# --- odd values come back from the disk
i=0
while IFS= read -r value; do
	value=${value/\$blank/ } i=$((i + 1))
	printf '%s\n' "$value" >"$a/boot.cmdline" && printf 'key%d %s\n' $i "$value" >"$a/label" ||
		fail "the value $i is accepted" "$(cat "$a/error")"
	cp "$a/config.yaml" "$b/config.yaml"
	is "odd value $i" "$(cat "$b/boot.cmdline")" "$value"
done <<'VALUES'
null
~
yes
0x10
1e3
"quoted"
'quoted'
a: b
# hash
 leading space
trailing space$blank
- dash
---
...
größe 日本語
\n \x41 \\
{a: b}
%TAG
|
VALUES
cat "$a/config.yaml" "$a/label" "$c/config.yaml" >"$T/before"
machinefs_kill9
machinefs_start
cat "$a/config.yaml" "$a/label" "$c/config.yaml" >"$T/after"
ok "and from the next daemon" cmp "$T/before" "$T/after"
is "all keys of them" "$(wc -l <"$a/label")" $((i + 1))
done_testing
