#!/bin/bash
# examples/: each script does what its first lines say, and handles being used wrongly.
. tests/lib.sh
need_root
need_device /dev/fuse
machinefs_start
export MACHINES=$M
root=$(busybox_root)
ex=examples

# says NAME STATUS REGEXP COMMAND...: its status and what it prints, stderr included.
says() {
	local name=$1 want=$2 regexp=$3 out status
	shift 3
	out=$("$@" 2>&1)
	status=$?
	is "$name: status $want" "$status" "$want"
	[ -z "$regexp" ] || like "$name: what it says" "$out" "$regexp"
}

for script in run-once vm-boot clone on-state debian-template; do
	says "$script.sh without arguments" 2 '^usage: ' $ex/$script.sh
done
says "top.sh with a word" 2 '^usage: ' $ex/top.sh often
says "stop-all.sh with a word" 2 '^usage: ' $ex/stop-all.sh now
says "watch-events.sh with two words" 2 '^usage: ' $ex/watch-events.sh a b
for script in top stop-all "clone vm/a vm/b" "run-once $root true" "vm-boot /proc/self/exe" \
	"on-state vm/a true"; do
	read -ra words <<<"$script"
	out=$(MACHINES=$T/nowhere $ex/"${words[0]}".sh "${words[@]:1}" 2>&1)
	like "${words[0]}.sh says that nothing is mounted" "$out" 'no machinefs on .*nowhere'
done

says "run-once.sh" 0 '^hello$' $ex/run-once.sh "$root" echo hello
says "run-once.sh, the command's status" 7 '^$' $ex/run-once.sh "$root" sh -c 'exit 7'
$ex/run-once.sh "$root" sleep 1000 &
pid=$!
poll 10 grep -qx running "$M/container/run-once-$pid/state"
put "$M/container/run-once-$pid/ctl" kill
wait $pid
is "run-once.sh, killed: status 137" $? 137
says "run-once.sh, a word with everything" 0 "^a b 'c' \"d\" \\\\ \\\$e\$" \
	$ex/run-once.sh "$root" echo "a b 'c' \"d\" \\ \$e"
says "run-once.sh, many lines" 0 $'\n3000$' $ex/run-once.sh "$root" seq 3000
says "run-once.sh, no such command" 125 'ENOENT init: not in the root directory' \
	$ex/run-once.sh "$root" /bin/nothing
is "run-once.sh leaves nothing" "$(ls "$M/container")" ""
set -m
$ex/run-once.sh "$root" sleep 1000 >/dev/null 2>&1 &
pid=$!
set +m
poll 10 grep -qx running "$M/container/run-once-$pid/state"
kill -INT -- -$pid
wait $pid
is "run-once.sh, interrupted" $? 130
is "run-once.sh, interrupted, leaves nothing" "$(ls "$M/container")" ""

mkdir "$M/container/a"
put "$M/container/a/root" "$root"
put "$M/container/a/init" "sh -c 'trap \"exit 3\" TERM; sleep 1000 & wait'"
put "$M/container/a/init.env" A=b
says "clone.sh" 0 '^$' $ex/clone.sh container/a container/b
is "clone.sh copies all settings" "$(cat "$M/container/b/config.yaml")" \
	"$(cat "$M/container/a/config.yaml")"
says "clone.sh, the name is taken" 1 'there is a container/b already' $ex/clone.sh container/a container/b
says "clone.sh, a bad name" 1 'EINVAL .* is not a name' $ex/clone.sh container/a container/.b
says "clone.sh, nothing to copy" 1 'there is no container/x' $ex/clone.sh container/x container/y
says "clone.sh, of another kind" 2 '^usage' $ex/clone.sh container/a vm/y

put "$M/container/a/ctl" start
says "top.sh" 0 'MACHINE  .*container/a  .*running .*container/b .*stopped +0.0 M' $ex/top.sh
like "top.sh sees memory and processes" "$($ex/top.sh)" 'container/a +running +[0-9]*\.[1-9] M .* s +2'
ok "top.sh SECONDS goes on" bash -c "timeout 30 '$ex/top.sh' 0.1 | grep -m 3 -c MACHINE | grep -qx 3"
$ex/watch-events.sh >"$T/events" &
watcher=$!
poll 5 grep -q 'container/a created' "$T/events"
put "$M/container/b/ctl" start
soon "watch-events.sh follows" 5 grep -Eq '^[0-9:]{8}\.[0-9]{3} container/b state running' "$T/events"
pkill -P $watcher tail
says "watch-events.sh, no such machine" 1 'cannot read' $ex/watch-events.sh vm/none
put "$M/container/b/ctl" pause
if command -v inotifywait >/dev/null; then
	mkdir "$M/container/o"
	put "$M/container/o/root" "$root"
	put "$M/container/o/init" sleep 1000
	$ex/on-state.sh container/o echo web >"$T/states" &
	watcher=$!
	soon "on-state.sh runs its command" 5 grep -qx 'web stopped' "$T/states"
	put "$M/container/o/ctl" start
	soon "when the state is another one" 5 grep -qx 'web running' "$T/states"
	put "$M/container/o/ctl" kill
	put "$M/container/o/wait" stopped
	last() { [ "$(tail -n 1 "$T/states")" = "web $1" ]; }
	soon "to the last" 5 last stopped
	put "$M/container/o/label" 'a b'
	rmdir "$M/container/o"
	soon "on-state.sh ends with the machine" 5 pid_gone "$watcher"
	wait $watcher
	is "on-state.sh ends well" $? 0
	says "on-state.sh, no such machine" 1 'there is no container/o' $ex/on-state.sh container/o true
else
	skip "on-state.sh" "needs inotifywait"
fi
says "stop-all.sh" 0 'container/a: stopped, exited 3' $ex/stop-all.sh 10
is "stop-all.sh stopped all" "$(cat "$M"/container/*/state)" $'stopped\nstopped'
says "stop-all.sh, nothing to stop" 0 '^$' $ex/stop-all.sh

# What these do is tried by tests/remote/, in the lab; vm-boot.sh by tests/vm/tree.sh.
for script in remote-9p remote-nfs remote-sshfs; do
	says "$script.sh without arguments" 2 "$script\.sh " $ex/$script.sh
	says "$script.sh with an option" 2 "$script\.sh " $ex/$script.sh --help
done

# undocumented: what docs/remote.md has in its commands, but no script does: each option and word
# that is no address, path, or example's name.
undocumented() {
	sed -n 's/^    //p' docs/remote.md | grep -v '^examples/' |
		sed -e 's/#.*//' -e 's/[ ,\]/\n/g' |
		grep -E '^-|=|^[a-z.0-9]{4,}$' | grep -v -e /run/machines -e 10.77 -e '^server$' |
		sort -u | while read -r word; do
			grep -qFe "$word" $ex/remote-*.sh || echo "$word"
		done
}
is "the commands in docs/remote.md are those of the scripts" "$(undocumented)" ''
ok "and are many" test "$(sed -n 's/^    //p' docs/remote.md | wc -l)" -gt 15
done_testing
