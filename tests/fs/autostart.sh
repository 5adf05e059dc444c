#!/bin/bash
# autostart: what is started with the daemon, in which order, and when it is not.
. tests/lib.sh
. tests/machines.sh
need_root
machinefs_start

starts() { # the machines that were started since line $1 of events, in their order
	tail -n +"$1" "$M/events" | awk '$4 == "autostart" { print $3 }' | xargs
}
lines() {
	wc -l <"$M/events"
}
reboot() { # as after the host's boot: the run directory is empty
	machines_kill
	machinefs_stop
	rm -rf "$RUN_DIR"
	machinefs_start
}
settled() {
	grep -qx end "$RUN_DIR/autostart"
}

for name in d c b a; do
	container_new $name /bin/sleep 1000
	put "$M/container/$name/autostart" 1
done
put "$M/container/c/autostart.order" 20
put "$M/container/d/autostart.order" 3
container_new off /bin/sleep 1000
is "the values" "$(cat "$M/container/c/autostart" "$M/container/c/autostart.order" "$M/container/c/autostart.delay" | xargs)" "1 20 0"
is "not by default" "$(cat "$M/container/off/autostart")" 0
machinefs_stop
machinefs_start
sleep 0.5
is "a daemon that is restarted in the same boot starts nothing" "$(cat "$M"/container/*/state | sort -u)" stopped
reboot
soon "after the host's boot they are started" 10 settled
is "by order, then by name" "$(starts 1)" "container/d container/c container/a container/b"
is "they run" "$(cat "$M"/container/[abcd]/state | sort -u)" running
is "others do not" "$(cat "$M/container/off/state")" stopped
pid=$(cat "$M/container/a/pid")
put "$M/container/b/ctl" kill
await "$M/container/b" stopped
from=$(($(lines) + 1))
machinefs_stop
machinefs_start
sleep 0.5
is "what was stopped by hand is left to its rest" "$(starts $from) $(cat "$M/container/b/state")" " stopped"
machinefs_kill9
machinefs_start
sleep 0.5
is "also after kill -9" "$(starts $from) $(cat "$M/container/b/state")" " stopped"
is "what runs is left alone" "$(cat "$M/container/a/pid")" "$pid"

# --- a delay, a refusal
machines_kill
put "$M/container/d/autostart.delay" 1
put "$M/container/c/init" /bin/nosuch
busybox_root "$T/root2" >/dev/null
put "$M/container/a/root" "$T/root2"
machinefs_stop
mv "$T/root2" "$T/away"
rm -rf "$RUN_DIR"
start=$EPOCHREALTIME
machinefs_start
ok "the daemon does not wait for them" cat "$M/version"
soon "a delay comes before the next one" 10 settled
took=$(awk -v a="$start" -v b="$EPOCHREALTIME" 'BEGIN { print b - a }')
ok "one second: $took" awk -v t="$took" 'BEGIN { exit t <= 1 }'
is "a refused one holds nobody up" "$(cat "$M"/container/{a,b,c,d}/state | xargs)" "stopped running stopped running"
like "it is an event" "$(cat "$M/container/a/events")" 'autostart.*refused ENOENT root: '
like "and in error" "$(cat "$M/container/a/error")" '^ENOENT root: '
like "one that its monitor refuses, too" "$(cat "$M/container/c/events")" 'refused ENOENT init: '
like "and in error" "$(cat "$M/container/c/error")" '^ENOENT init: '
like "and in the log" "$(cat "$T/machinefs.log")" 'container/a: not started: root: '
mv "$T/away" "$T/root2"
put "$M/container/c/init" /bin/sleep 1000

# --- killed on the way: the next daemon goes on where it was
put "$M/container/d/autostart.delay" 2
reboot
soon "the first one is started" 5 state_is "$M/container/d" running
put "$M/container/d/ctl" kill
await "$M/container/d" stopped
machinefs_kill9
from=$(($(wc -l <"$RUN_DIR/events") + 1))
machinefs_start
soon "after kill -9 on the way" 10 settled
is "the others are" "$(cat "$M"/container/{a,b,c}/state | sort -u)" running
is "what was stopped meanwhile is not started again" "$(cat "$M/container/d/state")" stopped

# --- shutdown is an end of all
put "$M/ctl" shutdown
soon "shutdown" 20 pid_gone "$MACHINEFS_PID"
put_off() { sed -i 's/^autostart: .*/autostart: "0"/' "$STATE_DIR/container/b/config.yaml"; }
put_off
machinefs_start
soon "the next daemon begins anew" 10 settled
is "with those that are asked for" "$(cat "$M"/container/{a,b,c,d}/state | xargs)" "running stopped running running"

# --- machines that come and go meanwhile
put "$M/container/d/autostart.delay" 2
machines_kill
reboot
soon "while the first one's delay lasts" 5 state_is "$M/container/d" running
rmdir "$M/container/a"
mv "$M/container/c" "$M/container/x"
put "$M/container/b/autostart" 1
soon "others may go, or be renamed" 10 settled
is "which is seen" "$(cat "$M/container/x/state" "$M/container/b/state" | xargs)" "running stopped"

# --- an owner who is not root
if chown 1234 "$M/container/b" && chmod 755 "$T" && reboot; then
	soon "a machine of another owner" 10 settled
	is "is started as his" "$(cat "$M/container/b/state") $(awk '/^Uid:/ { print $2 }' "/proc/$(cat "$M/container/b/pid")/status")" "running 1234"
fi
done_testing
