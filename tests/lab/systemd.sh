#!/bin/bash
# machinefs as a service of systemd, and mounted by it: a unit that is up when the mount answers,
# machines that outlive it, the journal's fields.
# init: systemd
# timeout: 240
. tests/lib.sh
[ -n "${IN_LAB-}" ] || skip_all "runs inside the lab only: tests/lab/run $0"
[ -d /run/systemd/system ] || skip_all "systemd has not booted this lab"
. tests/machines.sh
M=/run/machines c=/run/machines/container/c
# The tree of systemd is no test's own: what is installed and mounted goes with the lab.
install -D -m 755 "$B/machinefs" /usr/local/bin/machinefs
sed 's,@PREFIX@,/usr/local,' docs/machinefs.service >/etc/systemd/system/machinefs.service
main_pid() { systemctl show -P MainPID machinefs; }
active() { [ "$(systemctl is-active "$1")" = active ]; }
inactive() { [ "$(systemctl is-active "$1")" = inactive ]; }
journal() { journalctl -q -o cat "$@"; }
said() { journal "${@:2}" | grep -q "$1"; }

is "systemd has nothing against the unit" \
	"$(systemd-analyze --man=no verify /etc/systemd/system/machinefs.service 2>&1)" ''
systemctl daemon-reload
ok "systemctl start" systemctl start machinefs
ok "has returned when the mount answers" test -s "$M/version"
is "it is active" "$(systemctl is-active machinefs)" active
like "its first process is the daemon" "$(tr '\0' ' ' <"/proc/$(main_pid)/cmdline")" '^/usr/local/bin/machinefs -f'

container_new c /bin/sleep 100000
ok "a container starts" put "$c/ctl" start
pid=$(cat "$c/pid") uuid=$(cat "$c/uuid")
soon "the journal says so, by its name" 5 said '^container/c: state running' MACHINE=container/c
soon "and by its uuid" 5 said 'state running' "MACHINE_UUID=$uuid"
is "once" "$(journal MACHINE=container/c | grep -c 'state running')" 1
soon "lines about no machine have none" 5 said '^serving /run/machines' -u machinefs
is "as what they are" "$(journalctl -q -o json --output-fields=PRIORITY,SYSLOG_IDENTIFIER -u machinefs -g '^serving' |
	sed 's/.*"PRIORITY":"\([0-9]\)".*/\1/' | head -n 1)" 5
put "$c/memory.size" 64M
is "limits apply beside systemd's own groups" "$(cat /sys/fs/cgroup/machinefs/*-"$uuid"/memory.max)" 67108864

# --- stop, start, restart
ok "systemctl stop" systemctl stop machinefs
ok "it is inactive" inactive machinefs
not_ok "and unmounted" mountpoint -q "$M"
ok "its machine runs on" kill -0 "$pid"
ok "the next start" systemctl start machinefs
is "finds it" "$(cat "$c/state") $(cat "$c/pid")" "running $pid"
ok "systemctl restart" systemctl restart machinefs
is "leaves it, too" "$(cat "$c/state") $(cat "$c/pid")" "running $pid"
ok "a limit still applies" put "$c/memory.size" 32M
ok "verbs work" put "$c/ctl" pause
put "$c/ctl" resume

# --- a daemon that is killed
exec 7<"$c/state"
mount=$(stat -c %d "$M")
bash -c 'echo stopped 60 >"$1" && echo well >"$2"' - "$c/wait" "$T/waited" &
poll 5 eval '[ "$(value "$M/stat" waiting)" = 1 ]'
kill -KILL "$(main_pid)"
is "kill -9: who reads waits for the next daemon" "$(timeout 20 cat "$c/state")" running
is "it is the same mount" "$(stat -c %d "$M")" "$mount"
is "a file that was open is open" "$(timeout 20 cat <&7)" running
exec 7<&-
soon "the service is active again" 10 active machinefs
is "it was restarted by systemd" "$(systemctl show -P NRestarts machinefs)" 1
put "$c/ctl" kill
soon "who waited learns of the end" 10 test -s "$T/waited"
ok "shutdown ends the service well" put "$M/ctl" shutdown
soon "it is inactive" 10 inactive machinefs

# --- by a line of fstab
echo "none $M fuse.machinefs nofail,noauto 0 0" >>/etc/fstab
systemctl daemon-reload
ok "systemd mounts a line of fstab" systemctl start run-machines.mount
is "the same machines are there" "$(cat "$c/state")" stopped
ok "they start" put "$c/ctl" start
pid=$(cat "$c/pid")
ok "systemd unmounts it" systemctl stop run-machines.mount
not_ok "it is unmounted" mountpoint -q "$M"
ok "machines run on" kill -0 "$pid"
ok "mount -t fuse.machinefs" mount -t fuse.machinefs none "$M"
is "finds them" "$(cat "$c/state") $(cat "$c/pid")" "running $pid"
ok "umount" umount "$M"
poll 10 flock -n /var/lib/machinefs true
ok "and the service has them again" systemctl start machinefs
is "as they are" "$(cat "$c/state") $(cat "$c/pid")" "running $pid"
put "$M/ctl" shutdown
M=
done_testing
