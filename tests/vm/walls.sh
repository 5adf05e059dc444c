#!/bin/bash
# The walls around a VM's monitor, looked at from outside; tests/unit/monitor_filter.c tries them from
# inside.
. tests/lib.sh
. tests/machines.sh
. tests/users.sh
need_root
need_command setpriv
need_device /dev/kvm
users_make
machinefs_start
chmod 711 "$T"
install -m 644 "$TINY" "$T/kernel"

walls() { # WHOSE UID: of the VM that runs
	local pid name wrong=''
	pid=$(cat "$v/pid")
	for name in mnt pid net ipc uts; do
		[ "$(readlink "/proc/$pid/ns/$name")" != "$(readlink "/proc/self/ns/$name")" ] || wrong+=" $name"
	done
	is "$1: namespaces of its own" "$wrong" ''
	is "$1: where it is the only process" "$(sed -n 's/^NSpid:[[:space:]]*//p' "/proc/$pid/status" | cut -f 2)" 1
	is "$1: from where no other can be seen" "$(nsenter -t "$pid" -p unshare -m --propagation private sh -c \
		'mount -t proc proc /proc && cat /proc/[0-9]*/comm' | sort -u | grep -vx -e cat -e sh)" v
	is "$1: nothing in its root" "$(ls -A "/proc/$pid/root/")" ''
	not_ok "$1: and nothing to be made" touch "/proc/$pid/root/x"
	is "$1: no interface but a loopback that is down" "$(awk -F: 'NR > 2 { print $1 }' "/proc/$pid/net/dev" | xargs)" lo
	if sanitized; then
		skip "$1: every thread is filtered" "a sanitizer makes calls of its own"
	else
		is "$1: every thread is filtered" "$(cat /proc/"$pid"/task/*/status | grep -c '^Seccomp:[[:space:]]2$')" \
			"$(find "/proc/$pid/task" -mindepth 1 -maxdepth 1 | wc -l)"
		is "$1: vCPUs once more" "$(grep -l '^vcpu' /proc/"$pid"/task/*/comm | while read -r name; do
			sed -n 's/^Seccomp_filters:[[:space:]]*//p' "${name%comm}status"; done | sort -u)" 2
	fi
	is "$1: no core is dumped" "$(awk '/^Max core/ { print $5, $6 }' "/proc/$pid/limits")" "0 0"
	is "$1: its uid" "$(sed -n 's/^Uid:[[:space:]]*//p' "/proc/$pid/status" | xargs)" "$2 $2 $2 $2"
	is "$1: no capabilities" "$(sed -n 's/^Cap\(Inh\|Prm\|Eff\|Amb\):[[:space:]]*//p' "/proc/$pid/status" | sort -u)" \
		0000000000000000
}

vm_new v hello smp=2 halt
v=$M/vm/v
put "$v/boot.kernel" "$T/kernel"
put "$v/cpu.count" 2
put "$v/ctl" start
soon "it runs" 20 grep -q '^tiny: hello' "$v/console"
walls "root's" 0
ok "behind them it is paused" put "$v/ctl" pause
ok "resumed" put "$v/ctl" resume
ok "reset" put "$v/ctl" reset
ok "and killed" put "$v/ctl" kill
await "$v" stopped
is "as it was told" "$(cat "$v/exit")" "signaled 9"
chown -R alice:alice "$v"
put_as alice "$v/ctl" start
soon "another's runs" 20 grep -q '^tiny: hello' "$v/console"
walls "hers" 2001
is "which she may not look into" "$(stat -c %U "/proc/$(cat "$v/pid")/"{fd,mem} | xargs)" "root root"
put "$v/ctl" kill
await "$v" stopped
chown -R root:root "$v"
put "$v/isolation" thread
put "$v/ctl" start
is "one on a thread leaves the daemon as it is" "$(sed -n 's/^Seccomp:[[:space:]]*//p' "/proc/$MACHINEFS_PID/status")" 0
put "$v/ctl" kill
await "$v" stopped
done_testing
