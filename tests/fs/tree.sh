#!/bin/bash
# The tree: lengths, times, inode numbers, and that reading it never blocks or changes anything.
# What ls, cat and words do is what is tried here.
# shellcheck disable=SC2002,SC2010,SC2012,SC2046,SC2089,SC2090
. tests/lib.sh
. tests/machines.sh
need_root
machinefs_start

sizes() { # WHAT DIR: stat and read agree on every file
	local file size bytes wrong=''
	for file in "$2"/*; do
		[ -f "$file" ] || continue
		case ${file##*/} in
		# These move by themselves: asked until they agree.
		*.current | *.stat | *.pressure | stat | console | memory) poll 20 agrees "$file" || wrong+=" ${file##*/}" ;;
		*)
			size=$(stat -c %s "$file") bytes=$(cat "$file" | wc -c)
			[ "$size" = "$bytes" ] || wrong+=" ${file##*/}:$size:$bytes"
			;;
		esac
	done
	is "$1: st_size is what a read gives, of every file" "$wrong" ''
}

agrees() {
	[ "$(stat -c %s "$1")" = "$(cat "$1" | wc -c)" ]
}

# --- lengths
mkdir "$M/vm/v"
container_new c /bin/sh -c "'while :; do echo tick; sleep 0.3; done'"
c=$M/container/c
sizes "the root" "$M"
sizes "host" "$M/host"
sizes "a stopped VM" "$M/vm/v"
sizes "a stopped container" "$c"
put "$c/ctl" start
sizes "a running container" "$c"
put "$M/vm/v/label" 'some words'
put "$M/vm/v/cpu.count" 1234 2>/dev/null
sizes "after changes" "$M/vm/v"
for tool in 'cat' 'busybox cat' 'dd status=none' 'python3 -c print(open(0).read(),end="")' 'head -c 100000' 'tac'; do
	# shellcheck disable=SC2086
	is "${tool%% *} reads a whole file" "$($tool <"$M/vm/v/label")" 'some words'
done
mkdir "$T/copy"
cp -r "$M/vm/v" "$T/copy/cp"
ok "cp -r takes all" cmp "$M/vm/v/config.yaml" "$T/copy/cp/config.yaml"
tar -C "$M/vm" -cf "$T/v.tar" v 2>"$T/tar.err"
is "tar has nothing to complain of" "$(grep -v 'Removing' "$T/tar.err")" ''
tar -C "$T/copy" -xf "$T/v.tar"
ok "tar takes all" diff -r "$T/copy/cp/config.yaml" "$T/copy/v/config.yaml"
ok "find counts all" test "$(find "$M" -type f | wc -l)" -gt 60

# --- no read blocks or changes anything
before=$(cat "$M"/vm/v/{config.yaml,state,error,events} "$M/events")
stat -c '%n %Y %y %Z' "$M"/vm/v/* >"$T/times"
ok "grep -r of the whole mount ends" timeout 20 bash -c "grep -r . '$M' >'$T/grep' 2>/dev/null; [ \$? -le 1 ] || [ -s '$T/grep' ]"
ok "having seen every machine" bash -c "grep -q 'vm/v/label:some words' '$T/grep' && grep -q 'container/c/state:running' '$T/grep'"
is "it has changed nothing" "$(cat "$M"/vm/v/{config.yaml,state,error,events} "$M/events")" "$before"
ok "nor any time" diff <(stat -c '%n %Y %y %Z' "$M"/vm/v/*) "$T/times"
is "reading wait says the state" "$(timeout 5 cat "$M/vm/v/wait" "$c/wait" | xargs)" "stopped running"
is "no request is left waiting" "$(value "$M/stat" waiting)" 0
ok "the README is short" test "$(wc -l <"$M/README")" -le 40
is "version" "$(cat "$M/version")" "$("$MACHINEFS" --version | sed 's/^machinefs //')"
like "uuid" "$(cat "$M/vm/v/uuid")" '^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$'
like "created" "$(cat "$M/vm/v/created")" '^[0-9]{10}\.[0-9]{6}$'
is "both kinds have the same names for the same things" \
	"$(for f in ctl state wait exit error events console tty config.yaml uuid created pid proc memory.current memory.stat memory.size cpu.max cpu.weight cpu.stat pids.max stat label; do
		[ -e "$M/vm/v/$f" ] || [ -L "$M/vm/v/$f" ] || echo "vm $f"
		[ -e "$c/$f" ] || [ -L "$c/$f" ] || echo "container $f"
	done)" ''

# --- one rendering a handle
cat >"$T/rendering.py" <<'PY'
import os, sys
v = sys.argv[1]
f = os.open(v + '/boot.cmdline', os.O_RDONLY)
def put(text):
    with open(v + '/boot.cmdline', 'w') as w:
        w.write(text + '\n')
put('first value')
print(os.pread(f, 3, 0).decode())
put('quite another')
print(os.pread(f, 100, 3).decode().strip())
print(os.pread(f, 100, 0).decode().strip())
print(os.pread(f, 100, 1 << 40))
PY
is "reads of one handle see one rendering, until read from 0" "$(python3 "$T/rendering.py" "$M/vm/v")" \
	"fir
st value
quite another
b''"

# --- times
moves() { # NAME FILE COMMAND...
	local name=$1 file=$2 before
	shift 2
	before=$(stat -c '%y %z' "$file")
	"$@"
	[ "$(stat -c '%y' "$file")" '>' "${before%% +*}" ] && [ "$(stat -c '%y %z' "$file")" != "$before" ] &&
		pass "mtime and ctime move: $name" || fail "mtime and ctime move: $name" "$before"
}
moves "a setting is written" "$M/vm/v/cpu.count" put "$M/vm/v/cpu.count" 3
moves "error gets a sentence" "$M/vm/v/error" bash -c "echo 0 2>/dev/null >'$M/vm/v/cpu.count'"
moves "state changes" "$c/state" put "$c/ctl" pause
moves "and changes back" "$c/state" put "$c/ctl" resume
moves "the console grows" "$c/console" sleep 1.5
moves "a machine is made" "$M/vm" mkdir "$M/vm/w"
moves "renamed" "$M/vm" mv "$M/vm/w" "$M/vm/x"
moves "and removed" "$M/vm" rmdir "$M/vm/x"
moves "config.yaml after a setting" "$M/vm/v/config.yaml" put "$M/vm/v/cpu.count" 4
is "refused writes do not move a setting's content" "$(cat "$M/vm/v/cpu.count")" 4

# --- inode numbers
inodes() {
	(cd "$M" && find . -printf '%p %i\n' | sort)
}
mkdir "$M/vm/y"
inodes >"$T/inodes"
is "no two files have one" "$(awk '{print $2}' "$T/inodes" | sort | uniq -d)" ''
machinefs_stop
machinefs_start
inodes >"$T/inodes2"
ok "they are stable over a restart" diff "$T/inodes" "$T/inodes2"
machinefs_kill9
machinefs_start
inodes >"$T/inodes2"
ok "and over kill -9" diff "$T/inodes" "$T/inodes2"
was=$(stat -c %i "$M/vm/y" "$M/vm/y/label")
mv "$M/vm/y" "$M/vm/z"
is "over a rename" "$(stat -c %i "$M/vm/z" "$M/vm/z/label")" "$was"
rmdir "$M/vm/z"
mkdir "$M/vm/y"
not_ok "a name made anew has new ones" test "$(stat -c %i "$M/vm/y")" = "${was%%$'\n'*}"
rmdir "$M/vm/y"
machinefs_kill9
rm -f "$STATE_DIR/ids"
machinefs_start
mkdir "$M/vm/y"
is "none of a machine that is there, when the record of numbers was lost" "$(inodes | awk '{print $2}' | sort | uniq -d)" ''
is "ls -i and stat agree on wait" "$(ls -i "$M/vm/y/wait" | awk '{print $1}')" "$(stat -c %i "$M/vm/y/wait")"
is "and always give the same number" "$(for _ in 1 2 3; do stat -c %i "$M/vm/y/wait"; done | sort -u | wc -l)" 1

# --- many machines
for i in {1..300}; do mkdir "$M/vm/m$i"; done
is "300 machines are listed" "$(ls "$M/vm" | grep -c '^m')" 300
is "each once" "$(ls "$M/vm" | sort | uniq -d)" ''
ls -l "$M"/vm/m*/ctl >/dev/null
rmdir "$M"/vm/m*
is "and go" "$(ls "$M/vm" | grep -c '^m')" 0

# --- readers do not keep the daemon from its work
for _ in 1 2 3 4 5 6; do
	(while :; do cat "$M/vm/v/config.yaml" >/dev/null || break; done) 2>/dev/null &
done
sleep 0.2
start=${EPOCHREALTIME/./}
put "$M/vm/v/wait" running 0.3 2>/dev/null
put "$c/ctl" pause
put "$c/ctl" resume
took=$((${EPOCHREALTIME/./} - start))
kill $(jobs -p | grep -v "^$MACHINEFS_PID$") 2>/dev/null
ok "waits and verbs go on beside busy readers ($took us)" test $took -lt 2500000
done_testing
