#!/bin/bash
# A guest's NUMA nodes: what its kernel sees, and where the host takes their memory from.
# timeout: 200
. tests/lib.sh
. tests/linux.sh
need_linux
[ -d /sys/devices/system/node/node1 ] || skip_all "this host has one NUMA node"
machinefs_start
numactl=$(command -v numactl)
linux_new v ${numactl:+"$numactl"}
v=$M/vm/v
# numa SIZE0 CPUS0 HOST0 HOST1: two nodes, in one transaction
numa() {
	{
		sed '/^\.\.\./d; /^numa:/,/^[^ ]/{/^numa:/d; /^ /d}' "$v/config.yaml"
		printf 'numa:\n  "0":\n    cpus: "%s"\n    size: %s\n    host: "%s"\n' "$2" "$1" "$3"
		printf '  "1":\n    cpus: "1"\n    host: "%s"\n    distance: 35 10\n...\n' "$4"
	} >"$T/yaml"
	cat "$T/yaml" >"$v/config.yaml"
}
ok "two nodes" numa 192M 0 1 0
ok "a guest with two nodes boots" linux_boot v "cpu.count 2" "memory.size 512M" || done_testing
is "it sees two" "$(guest v cat /sys/devices/system/node/online)" 0-1
is "with their vCPUs" "$(guest v cat /sys/devices/system/node/node0/cpulist /sys/devices/system/node/node1/cpulist | xargs)" "0 1"
is "and distances" "$(guest v cat /sys/devices/system/node/node0/distance /sys/devices/system/node/node1/distance | xargs)" "10 20 35 10"
is "devices are on the first" "$(guest v 'cat /sys/bus/pci/devices/*/numa_node | sort -u')" 0
total() { guest v "sed -n 's/.*MemTotal: *\([0-9]*\).*/\1/p' /sys/devices/system/node/node$1/meminfo"; }
# The kernel keeps some for itself before it counts.
first=$(total 0) second=$(total 1)
ok "node 0 has 192 MiB ($first KiB)" test "$first" -gt 130000 -a "$first" -le 196608
ok "node 1 has the rest ($second KiB)" test "$second" -gt 280000 -a "$second" -le 327680
if [ -n "$numactl" ]; then
	like "numactl agrees" "$(guest v numactl -H)" 'available: 2 nodes.*node 0 cpus: 0.*node 1 cpus: 1'
else
	skip "numactl agrees" "numactl is not here"
fi
# Each range of the host's memory that is bound, with how many pages came from which node.
maps=$(grep -E 'bind:[01]' "/proc/$(cat "$v/pid")/numa_maps")
diag "$maps"
like "on the host, the first is bound to node 1" "$maps" 'bind:1'
like "the second to node 0" "$maps" 'bind:0'
is "and comes from nowhere else" "$(grep -c -e 'bind:1 .*N0=' -e 'bind:0 .*N1=' <<<"$maps")" 0
like "what the guest touched comes from there" "$maps" 'bind:1 .*N1=[1-9]'
guest_end v
numa 192M 0 1 7
refused "a node that the host has not" ENXIO 'numa' "$v" put "$v/ctl" start
numa 192M 0-1 1 0
refused "a vCPU on two nodes" EINVAL 'numa/1/cpus: ' "$v" put "$v/ctl" start
done_testing
