#!/bin/bash
# Parts: disk/, nic/, share/, numa/ of a VM, nic/, mount/, device/ of a container. As directories, in
# config.yaml, on disk, and while the machine runs. In a network namespace of its own, since a switch
# is a bridge of the host.
if [ "$(id -u)" = 0 ] && [ -z "${OWN_NET-}" ]; then
	OWN_NET=1 exec unshare --net "$BASH" "$0" "$@"
fi
. tests/lib.sh
. tests/machines.sh
. tests/users.sh
need_root
need_command setpriv inotifywait
users_make
machinefs_start
mkdir "$M/vm/v" "$M/container/c"
v=$M/vm/v c=$M/container/c

names() {
	(cd "$1" && echo *)
}

# --- the tree
is "a VM has these" "$(cd "$v" && echo */)" 'disk/ nic/ numa/ share/ vcpu/'
is "a container these" "$(cd "$c" && for d in */; do [ "$d" = exec/ ] || echo -n "$d "; done)" 'device/ mount/ nic/ '
is "they are empty" "$(names "$v/disk")" '*'
ok "mkdir makes a part" mkdir "$v/disk/root" "$v/disk/data" "$v/nic/eth0" "$v/numa/0"
is "with its settings" "$(names "$v/disk/root")" 'cache discard format io.max path queues readonly serial size stat'
is "and defaults" "$(cat "$v/disk/root/format" "$v/disk/root/queues" "$v/nic/eth0/mtu" | xargs)" 'raw 1 1500'
is "links are counted" "$(stat -c %h "$v/disk" "$v/disk/root" "$v/share" | xargs)" '4 2 2'
refused "a name twice" EEXIST '' "$v" mkdir "$v/disk/root"
refused "a bad name" EINVAL 'not a name' "$v" mkdir "$v/disk/.x"
refused "a node that is no number" EINVAL 'numbers from 0 on' "$v" mkdir "$v/numa/a"
refused "a file" EPERM 'come and go' "$v" touch "$v/disk/root/x"
refused "a directory in a part" EPERM 'nothing can be made here' "$v" mkdir "$v/disk/root/x"
refused "the directory itself stays" EPERM 'part of the tree' "$v" rmdir "$v/disk"
refused "a part does not move to another kind" EPERM 'in its place' "$v" mv "$v/disk/data" "$v/nic/data"
ok "rmdir removes a part" rmdir "$v/disk/data"
not_ok "which is then gone" stat "$v/disk/data"
is "it is not listed" "$(names "$v/disk")" root

# --- settings
refused "a bad value" EINVAL 'disk/root/path: "x" is not an absolute path' "$v" put "$v/disk/root/path" x
refused "a path that leads elsewhere" EINVAL 'disk/root/path: /etc is a directory' "$v" put "$v/disk/root/path" /etc
refused "one that is not there" ENOENT 'disk/root/path: /nowhere' "$v" put "$v/disk/root/path" /nowhere
exec 3<>"$v/disk/root/size"
echo nothing >&3 2>/dev/null
is "a handle reads back its own refusal" "$(cat <&3)" 'EINVAL disk/root/size: "nothing" is not a size like 64M'
exec 3<&-
truncate -s 1M "$T/disk"
put "$v/disk/root/path" "$T/disk"
put "$v/disk/root/io.max" 'wbps=1M'
put "$v/disk/root/io.max" 'riops=100 riops.burst=500'
is "a write changes the keys it names" "$(cat "$v/disk/root/io.max")" \
	'rbps=max wbps=1048576 riops=100 riops.burst=500 wiops=max'
exec 3<"$v/disk/root/path"
rmdir "$v/disk/root"
is "what is open of a removed part is stale" "$(cat <&3 2>&1)" "cat: -: Stale file handle"
exec 3<&-
ino=$(stat -c %i "$v/disk")
mkdir "$v/disk/root"
put "$v/disk/root/path" "$T/disk"
is "the directory is the same" "$(stat -c %i "$v/disk")" "$ino"
old=$(stat -c %i "$v/disk/root")
ok "mv renames" mv "$v/disk/root" "$v/disk/boot"
is "it is the same object" "$(stat -c %i "$v/disk/boot")" "$old"
is "with what was set" "$(cat "$v/disk/boot/path")" "$T/disk"

# --- config.yaml
is "config.yaml has a map" "$(sed -n '/^disk:/,/^    path:/p' "$v/config.yaml")" \
	$'disk:\n  boot:\n    path: '"$T/disk"
cat "$v/config.yaml" >"$T/v.yaml"
ok "it is what is on disk" cmp "$T/v.yaml" "$STATE_DIR/vm/v/config.yaml"
inotifywait -q -m -e create -e delete --format '%e %f' "$v/disk" >"$T/seen" 2>"$T/watching" &
watcher=$!
poll 10 test -s "$T/seen" -o -d "/proc/$watcher/fdinfo" && poll 10 grep -q inotify "/proc/$watcher/fdinfo/3"
printf 'disk:\n  a: {path: %s, queues: 2}\n  b: {readonly: 1}\n...\n' "$T/disk" >"$v/config.yaml"
is "a document makes and removes parts" "$(names "$v/disk") $(cat "$v/disk/a/queues" "$v/disk/b/readonly" | xargs)" 'a b 2 1'
not_ok "at once" stat "$v/disk/boot"
is "all kinds" "$(names "$v/nic") $(names "$v/numa")" '* *'
seen_all() { [ "$(wc -l <"$T/seen")" -ge 3 ]; } # what is removed is told last
poll 10 seen_all
is "watchers see it" "$(sort "$T/seen" | xargs)" 'CREATE,ISDIR a CREATE,ISDIR b DELETE,ISDIR boot'
kill $watcher
ok "read and write back" dash -c "cat '$T/v.yaml' >'$v/config.yaml'"
ok "is the same again" cmp "$T/v.yaml" "$v/config.yaml"
refused "a bad value has its place" EINVAL 'config\.yaml: 3:11: disk/a/path: "b" is not' "$v" \
	bash -c "printf 'disk:\n  a:\n    path: b\n...\n' >'$v/config.yaml'"
refused "and what cannot be opened" ENOENT 'config\.yaml: 2:7: disk/a/path: /nowhere' "$v" \
	bash -c "printf 'disk:\n  a: {path: /nowhere}\n...\n' >'$v/config.yaml'"
ok "nothing has changed" cmp "$T/v.yaml" "$v/config.yaml"

# --- another daemon
chown -R alice "$v/disk/boot"
chmod 600 "$v/disk/boot/serial"
chmod 700 "$v/nic"
tree() {
	find "$v/disk" "$v/nic" "$v/numa" "$v/share" -printf '%P %i %y %m %u\n' | sort
}
before=$(tree)
machinefs_kill9
machinefs_start
is "a killed daemon's successor finds all as it was" "$(tree)" "$before"
is "with what was set" "$(cat "$v/disk/boot/path")" "$T/disk"
mkdir "$v/disk/new"
new=$(stat -c %i "$v/disk/new")
rmdir "$v/disk/new"
machinefs_stop
machinefs_start
mkdir "$v/disk/new"
ok "numbers are never used again" test "$(stat -c %i "$v/disk/new")" -gt "$new"
machinefs_stop
sed -i '/^part disk/d; /^disk/d' "$STATE_DIR/vm/v/meta"
machinefs_start
is "a part that meta does not know is there" "$(names "$v/disk")" 'boot new'

# --- owners
chmod 755 "$v/nic"
chown -R root "$v"
chmod 666 "$v/disk/boot/serial"
chown alice "$v"
is "parts go with their machine" "$(find "$v" -not -user alice | wc -l)" 0
ok "she makes a part" as alice mkdir "$v/share/home"
is "which is hers" "$(stat -c %U "$v/share/home")" alice
not_ok "bob does not" as bob mkdir "$v/share/work"
not_ok "and removes none" as bob rmdir "$v/share/home"
ok "what is opened to him he writes" as bob sh -c "echo x >'$v/disk/boot/serial'"
chown bob "$v/disk"
chmod 700 "$T/disk"
refused "paths are opened as the machine's owner" EACCES 'disk/boot/path' "$v" \
	bash -c "echo >'$v/disk/boot/path'; echo '$T/disk' >'$v/disk/boot/path'"

# --- while it runs
if ! mkdir "$M/net/lan" 2>/dev/null; then
	skip "parts of a running container" "no bridge can be made: $(cat "$M/error" "$M/net/error" 2>/dev/null)"
	done_testing
fi
rmdir "$c"
container_new c /bin/sleep 1000
put "$c/ctl" start
pid=$(cat "$c/pid")
# The writer's request has reached the daemon: it waits, and one that came later is answered.
parked() {
	poll 10 grep -q '^1 ' "/proc/$1/syscall" && cat "$c/state" >/dev/null
}
inside() {
	nsenter -n -t "$pid" ip -o link | sed -n 's/^[0-9]*: \([a-z0-9]*\)@.*/\1/p' | xargs
}
ok "a part may be made" mkdir "$c/nic/e" "$c/nic/f"
is "which is not there yet" "$(inside)" ''
put "$c/nic/e/mac" 52:54:00:00:00:01
ok "with what it needs" put "$c/nic/e/net" lan
is "it is" "$(inside)" e
refused "what cannot change then does not" EBUSY 'nic/e/mac: cannot change while' "$c" put "$c/nic/e/mac" 52:54:00:00:00:02
refused "nor its name" EBUSY 'nic/e: it cannot be renamed while' "$c" mv "$c/nic/e" "$c/nic/g"
mkdir "$c/mount/x"
put "$c/mount/x/source" "$T"
put "$c/mount/x/target" /nowhere/there 2>/dev/null && put "$c/mount/x/target" ''
ok "several at once" dash -c "sed -e 's/^\.\.\.//' -e 's/^  f:/  f: {net: lan}\n  g:/' '$c/config.yaml' >'$T/c.yaml'; echo ... >>'$T/c.yaml'; cat '$T/c.yaml' >'$c/config.yaml'"
is "are there" "$(inside) $(names "$c/nic")" 'e f e f g'
ok "an empty line unplugs" put "$c/nic/e/net" ''
is "it" "$(inside)" f
ok "and so does rmdir" rmdir "$c/nic/f"
is "all are gone" "$(inside) $(names "$c/nic")" ' e g'

# --- a monitor that does not answer
put "$c/nic/e/net" lan
monitor=$(sed -n 's/^PPid:\t//p' "/proc/$pid/status")
kill -STOP "$monitor"
put "$c/nic/g/net" lan &
writer=$!
parked $writer
put "$c/label" 'put off' &
other=$!
is "no read waits for it" "$(cat "$c/nic/g/net" "$c/state" | xargs)" running
ok "a part can be made meanwhile" mkdir "$c/nic/h"
kill -CONT "$monitor"
wait $writer
is "it answers: the write succeeds" $? 0
wait $other
is "and the one behind it" $? 0
is "both are done" "$(inside) $(cat "$c/label") $(names "$c/nic")" 'e g put off e g h'
kill -STOP "$monitor"
put "$c/nic/h/net" lan 2>/dev/null &
writer=$!
parked $writer
kill -INT $writer
kill -CONT "$monitor"
wait $writer
plugged() {
	[ "$(cat "$c/nic/h/net")" = lan ]
}
ok "a write that is interrupted is done all the same" poll 10 plugged
is "by the engine, too" "$(inside)" 'e g h'
kill -STOP "$monitor"
refused "rmdir waits for it not for ever" EBUSY 'nic/h: the monitor has not answered' "$c" rmdir "$c/nic/h"
kill -CONT "$monitor"
gone() {
	[ ! -e "$c/nic/h" ]
}
ok "and it goes when it does" poll 10 gone
is "for good" "$(inside)" 'e g'

# --- a daemon that dies between the engine and the disk
kill -STOP "$monitor"
put "$c/nic/g/net" '' 2>/dev/null &
writer=$!
parked $writer
machinefs_kill9
kill -CONT "$monitor"
wait $writer
unplugged() {
	[ "$(inside)" = e ]
}
ok "the engine has done what was asked" poll 10 unplugged
machinefs_start
is "what was not answered is not so" "$(cat "$c/nic/g/net")" lan
restored() {
	[ "$(inside)" = "e g" ]
}
ok "and the next daemon restores it" poll 10 restored

# --- a machine that ends meanwhile
monitor=$(sed -n 's/^PPid:\t//p' "/proc/$(cat "$c/pid")/status")
kill -STOP "$monitor"
put "$c/nic/g/net" '' &
writer=$!
parked $writer
rmdir "$c/nic/e" &
remover=$!
kill -KILL "$monitor"
wait $writer
is "what an engine was asked that has ended is so from the next start on" "$? $(cat "$c/nic/g/net")" "0 "
wait $remover
is "a part goes" "$? $(names "$c/nic")" "0 g"
await "$c" stopped
ok "a stopped machine's parts go at once" rmdir "$c/nic/g"
done_testing
