#!/bin/bash
# memory.numa: machines run on the CPUs of the nodes that their memory comes from, unless cpu.affinity
# says otherwise. On a host with a CPU on each of two nodes.
# cpus: 2
. tests/lib.sh
. tests/machines.sh
[ -n "${IN_LAB-}" ] || skip_all "runs inside the lab only: tests/lab/run $0"
nodes=/sys/devices/system/node
is "two nodes with a CPU each" "$(cat $nodes/node0/cpulist $nodes/node1/cpulist | xargs)" "0 1"
machinefs_start

# --- a container
container_new c sleep 1000
c=$M/container/c
cpus() { sed -n 's/^Cpus_allowed_list:\t//p' "/proc/$(cat "$c/pid")/status"; }
put "$c/memory.numa" 1
put "$c/ctl" start
is "a container with memory of node 1 runs on its CPU" "$(cpus)" 1
ok "another node while it runs" put "$c/memory.numa" 0
is "brings its CPU" "$(cpus)" 0
ok "cpu.affinity" put "$c/cpu.affinity" 1
is "has the last word" "$(cpus)" 1
put "$c/memory.numa" 0-1
is "also when the nodes change" "$(cpus)" 1
put "$c/cpu.affinity" ''
is "until it is gone" "$(cpus)" 0-1
put "$c/memory.numa" 1
is "then it is the nodes again" "$(cpus)" 1
put "$c/memory.numa" ''
is "without nodes it runs on all" "$(cpus)" 0-1
put "$c/memory.numa" 0
refused "a node that is not there" EINVAL 'memory.numa' "$c" put "$c/memory.numa" 63
is "changes nothing" "$(cpus)" 0

# --- a VM
vm_new v hello halt
v=$M/vm/v
on() { cat "$v/vcpu/0/affinity" "$v/vcpu/1/affinity" | xargs; }
boots() {
	put "$v/ctl" start && poll 20 grep -q 'tiny: hello' "$v/console"
}
ends() {
	put "$v/ctl" kill && await "$v" stopped
}
put "$v/cpu.count" 2
ok "a VM" boots
is "runs on all" "$(on)" "0-1 0-1"
ends
put "$v/memory.numa" 1
ok "a VM with memory of node 1" boots
is "runs on its CPU" "$(on)" "1 1"
ok "cpu.affinity, while it runs" put "$v/cpu.affinity" 0 0
is "has the last word on what it names" "$(on)" "0 1"
put "$v/cpu.affinity" 0 default
is "then it is the node again" "$(on)" "1 1"
is "cpu.affinity shows what was set" "$(cat "$v/cpu.affinity")" ""
machinefs_kill9
machinefs_start
is "the next daemon leaves it so" "$(on)" "1 1"
put "$v/cpu.affinity" 1 0-1
is "and can change it" "$(on)" "1 0-1"
put "$v/cpu.affinity" 1 default
ends
put "$v/memory.numa" ''
mkdir "$v/numa/0" "$v/numa/1"
put "$v/numa/0/cpus" 0
put "$v/numa/0/host" 1
put "$v/numa/1/cpus" 1
put "$v/numa/1/host" 0
ok "a VM with nodes of its own" boots
is "has each vCPU beside its memory" "$(on)" "1 0"
ends
done_testing
