#!/bin/bash
# Ways out of a container that were published in recent years, each tried by its root: none leads out.
. tests/lib.sh
. tests/machines.sh
need_root
machinefs_start
c=$M/container/c
container_new c sleep 1000
put "$c/ctl" start
init=$(cat "$c/pid")
monitor=$(ps -o ppid= -p "$init" | tr -d ' ')

tried() { # COMMAND...: what a session of the container's root says of it
	[ -d "$c/exec/s" ] || mkdir "$c/exec/s"
	put "$c/exec/s/argv" "$@" && put "$c/exec/s/ctl" start && await "$c/exec/s" stopped &&
		cat "$c/exec/s/stdout" "$c/exec/s/stderr"
}

# closed NAME SHELL-COMMAND: it does not print "escaped"
closed() {
	local said
	said=$(tried sh -c "'{ $2; } && echo escaped'")
	if [[ $said == *escaped* ]]; then fail "$1" "$said"; else pass "$1"; fi
}

# --- what is left open: CVE-2016-9962, CVE-2024-21626
is "init has no descriptor but its console" "$(find "/proc/$init/fd" -mindepth 1 -printf '%f\n' | sort -n | xargs)" "0 1 2"
is "a session none but 0 1 2 (3 is ls's own)" "$(tried sh -c "'ls /proc/self/fd | xargs'")" "0 1 2 3"
# Whatever is open before the program runs: a directory to be in, from which all of the host is above.
echo outside >"$T/outside-marker"
above=../../../../../../../../../../../../..$T/outside-marker
for fd in $(seq 3 60); do
	put "$c/exec/s/cwd" "/proc/self/fd/$fd"
	put "$c/exec/s/argv" cat "$above"
	put "$c/exec/s/ctl" start 2>/dev/null && await "$c/exec/s" stopped && cat "$c/exec/s/stdout"
done >"$T/said"
is "no working directory of the host's by a session's descriptors (CVE-2024-21626)" "$(cat "$T/said")" ""
put "$c/exec/s/cwd" /
put "$c/ctl" kill
await "$c" stopped
said=$(wc -c <"$c/console")
put "$c/init" cat "$above"
for fd in $(seq 3 60); do
	put "$c/init.cwd" "/proc/self/fd/$fd"
	put "$c/ctl" start 2>/dev/null && await "$c" stopped
done
is "nor by init's" "$(tail -c +$((said + 1)) "$c/console" | grep outside$)" ""
put "$c/init.cwd" /
put "$c/init" sleep 1000
put "$c/ctl" start
init=$(cat "$c/pid")
monitor=$(ps -o ppid= -p "$init" | tr -d ' ')

# --- the monitor's program: CVE-2019-5736, and program.sh
unlike "no process of the container runs our program" \
	"$(tried sh -c "'for p in /proc/[0-9]*; do readlink \$p/exe; done'")" machinefs

# --- the host's kernel
closed "core_pattern" 'echo "|/bin/x" > /proc/sys/kernel/core_pattern'
closed "modprobe's path" 'echo /bin/x > /proc/sys/kernel/modprobe'
closed "sysrq" 'echo h > /proc/sysrq-trigger'
closed "uevent_helper" 'echo /bin/x > /sys/kernel/uevent_helper'
closed "the host's memory" 'cat /proc/kcore | head -c 1 | grep -q .'
closed "its keys" 'grep -q . /proc/keys'
closed "remounting /proc/sys" 'mount -o remount,rw /proc/sys'
closed "another /proc" 'mkdir -p /p && mount -t proc p /p && cat /p/sys/kernel/core_pattern > /p/sys/kernel/core_pattern'
closed "release_agent (CVE-2022-0492)" \
	'mkdir -p /g; for o in memory pids rdma none,name=evil; do mount -t cgroup -o $o g /g && echo /bin/x > /g/release_agent && break; done'
closed "by a user namespace of its own" \
	'unshare -Urm sh -c "mkdir -p /g; mount -t cgroup -o memory g /g"'
closed "its groups cannot be written" 'for f in $(find /sys/fs/cgroup -name cgroup.procs); do echo 1 > $f && exit 0; done; false'
closed "a module" 'insmod /bin/busybox'
closed "a disk's node" 'mknod /disk b 8 0 && head -c 1 /disk | grep -q .'
closed "the host's memory device" 'mknod /mem c 1 1 && head -c 1 /mem | grep -q .'
closed "kexec, reboot" 'reboot -f'
closed "the clock" 'date -s 2001-01-01; test "$(date +%Y)" = 2001'

# What was tried leads out where the walls are taken away (and here writes what was there before).
put "$c/ctl" kill
await "$c" stopped
readonly=$(cat "$c/paths.readonly") masked=$(cat "$c/paths.masked")
put "$c/paths.readonly" ""
put "$c/paths.masked" ""
put "$c/seccomp" none
put "$c/capabilities" chown dac_override sys_admin
put "$c/ctl" start
for attempt in 'p=/proc/sys/kernel/core_pattern; cat $p >$p' \
	'mount -o remount,rw /proc/sys || mount -o remount,rw /proc' \
	'mkdir -p /p && mount -t proc p /p && cat /p/sys/kernel/core_pattern >/p/sys/kernel/core_pattern && umount /p'; do
	like "without walls: $attempt" "$(tried sh -c "'{ $attempt; } && echo escaped'")" escaped
done
put "$c/ctl" kill
await "$c" stopped
namespaces=$(cat "$c/namespaces")
put "$c/namespaces" pid mount net uts ipc
put "$c/ctl" start
attempt='mkdir -p /g && mount -t cgroup -o none,name=evil g /g && cat /g/release_agent >/g/release_agent && umount /g'
like "without walls: $attempt" "$(tried sh -c "'{ $attempt; } && echo escaped'")" escaped
put "$c/ctl" kill
await "$c" stopped
put "$c/namespaces" "$namespaces"
put "$c/paths.readonly" "$readonly"
put "$c/paths.masked" "$masked"
put "$c/seccomp" default
put "$c/capabilities" default
put "$c/ctl" start
init=$(cat "$c/pid")
monitor=$(ps -o ppid= -p "$init" | tr -d ' ')

# --- others' processes
closed "tracing the monitor" "kill -0 $monitor"
is "it cannot be seen" "$(tried sh -c "'ls -d /proc/$monitor /proc/$$ 2>/dev/null'")" ""
is "nor the host's root by init's" "$(tried sh -c "'ls -d /proc/1/root/etc/apt 2>/dev/null'")" ""
put "$c/ctl" signal USR1
ok "no signal reaches the monitor" kill -0 "$monitor"

# --- terminals: TIOCSTI; the console's other end
put "$c/exec/s/tty" 1
closed "typing on another's terminal" 'echo x > /dev/pts/99'
is "its /dev/pts is its own" "$(tried sh -c "'ls /dev/pts | xargs'" | tr -d '\r')" "0 1 ptmx"
put "$c/exec/s/tty" 0

# --- after all of it
ok "the daemon answers" test "$(cat "$c/state")" = running
ok "the host's core_pattern is as it was" sh -c "! grep -q /bin/x /proc/sys/kernel/core_pattern"
put "$c/ctl" kill
await "$c" stopped

# --- a hostile root directory: what we mount does not go through its links
for name in proc sys dev; do
	rm -rf "$T/hostile"
	mkdir -p "$T/outside"
	cp -a "$B/tests/rootfs" "$T/hostile"
	rm -rf "${T:?}/hostile/$name"
	ln -s "$T/outside" "$T/hostile/$name"
	put "$c/root" "$T/hostile"
	refused "/$name is a link" EINVAL "root: not a directory: /$name" "$c" put "$c/ctl" start
done
rm -rf "$T/hostile"
cp -a "$B/tests/rootfs" "$T/hostile"
rm -rf "${T:?}/hostile/etc"
ln -s "$T/outside" "$T/hostile/etc"
mkdir -p "$T/hostile$T/outside"
echo mounted >"$T/motd"
for name in motd hosts; do
	mkdir "$c/mount/$name"
	put "$c/mount/$name/source" "$T/motd"
	put "$c/mount/$name/target" "/etc/$name"
done
put "$c/hostname" inside
put "$c/init" sh -c "'hostname; echo mine >/etc/mine; cat /etc/motd /etc/hosts'"
said=$(wc -c <"$c/console")
ok "/etc is a link: it starts" put "$c/ctl" start
await "$c" stopped
is "and has what is mounted there" "$(tail -c +$((said + 1)) "$c/console" | xargs)" "inside mounted mounted"
is "which is inside" "$(cd "$T/hostile$T/outside" && echo *)" "hosts mine motd"
rmdir "$c/mount/motd" "$c/mount/hosts"
is "nothing came to be outside" "$(ls -A "$T/outside")" ""

# --- a root that changes while it starts
rm -rf "$T/hostile"
cp -a "$B/tests/rootfs" "$T/hostile"
rm -rf "$T/hostile/proc"
(
	cd "$T/hostile" || exit
	while :; do
		mkdir proc 2>/dev/null
		rmdir proc 2>/dev/null
		ln -s "$T/outside" proc 2>/dev/null
		rm -f proc
	done
) &
racer=$!
put "$c/init" /bin/true
began=0
for _ in $(seq 20); do
	put "$c/ctl" start 2>/dev/null && await "$c" stopped && began=$((began + 1))
done
kill $racer
wait $racer 2>/dev/null
is "twenty starts in a changing root mount nothing outside" \
	"$(ls -A "$T/outside"; grep -c "$T/outside" /proc/self/mountinfo)" 0
ok "some of which were to their liking" test $began -gt 0

# --- what a mask and the console are made of, exchanged meanwhile: CVE-2025-31133, CVE-2025-52565
rm -rf "$T/hostile"
cp -a "$B/tests/rootfs" "$T/hostile"
mkdir -p "$T/hostile/dev"
(
	cd "$T/hostile/dev" || exit
	while :; do
		for name in null console ptmx; do
			rm -f $name
			ln -s /proc/sys/kernel/core_pattern $name
		done
	done
) &
racer=$!
put "$c/root" "$T/hostile"
put "$c/paths.masked" /proc/cpuinfo
put "$c/init" sh -c "'stat -L -c %t,%T /dev/null /proc/cpuinfo /dev/ptmx; tty'"
said=$(wc -c <"$c/console")
for _ in $(seq 10); do
	put "$c/ctl" start && await "$c" stopped
done
kill $racer
wait $racer 2>/dev/null
is "ten starts with another /dev/null, console and ptmx below are with ours" \
	"$(tail -c +$((said + 1)) "$c/console" | sort | uniq -c | xargs)" "10 /dev/pts/0 20 1,3 10 5,2"

# --- what is written in /proc for it, led elsewhere: CVE-2019-16884, CVE-2025-52881
mkdir -p "$T/hostile/proc/sys/net/ipv4" "$T/hostile/proc/self"
ln -s /evil "$T/hostile/proc/sys/net/ipv4/ip_forward"
ln -s /evil "$T/hostile/proc/self/oom_score_adj"
: >"$T/hostile/evil"
put "$c/paths.masked" "$masked"
put "$c/sysctl" "net.ipv4.ip_forward 1"
put "$c/oom.score" 500
put "$c/capabilities" chown dac_override sys_admin
put "$c/seccomp" none
put "$c/init" sh -c "'cat /proc/sys/net/ipv4/ip_forward /proc/self/oom_score_adj; mount -t tmpfs t /proc; mkdir -p /proc/self/attr; ln -s /evil /proc/self/oom_score_adj; ln -s /evil /proc/self/attr/exec; echo ready; sleep 1000'"
put "$c/ctl" start
soon "its own /proc was not there before" 10 grep -q ready "$c/console"
is "a sysctl and a score are the kernel's" "$(tail -n 3 "$c/console" | xargs)" "1 500 ready"
put "$c/exec/s/argv" sleep 1000
put "$c/exec/s/ctl" start
is "a session's too, where the container has another /proc" "$(cat "/proc/$(cat "$c/exec/s/pid")/oom_score_adj")" 500
is "nothing was written elsewhere" "$(cat "$T/hostile/evil")" ""
put "$c/ctl" kill
await "$c" stopped
done_testing
