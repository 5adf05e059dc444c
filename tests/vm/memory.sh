#!/bin/bash
# What a VM's memory is made of, with the tiny guest: it is the host's side that counts.
. tests/lib.sh
. tests/machines.sh
need_root
need_device /dev/kvm
machinefs_start
vm_new v hello halt
v=$M/vm/v
pool=/sys/kernel/mm/hugepages/hugepages-2048kB

smaps() { # FIELD: KiB, of all mappings
	sed -n "s/^$1: *\([0-9]*\) kB/\1/p" "/proc/$(cat "$v/pid")/smaps" | awk '{n += $1} END {print n + 0}'
}

starts() { # FILE VALUE...
	while [ $# -gt 0 ]; do
		put "$v/$1" "$2" || return 1
		shift 2
	done
	put "$v/ctl" start && poll 20 grep -q 'tiny: hello' "$v/console"
}

ends() {
	put "$v/ctl" kill
	await "$v" stopped
}

if grep -q '\[never\]' /sys/kernel/mm/transparent_hugepage/enabled 2>/dev/null; then
	skip "huge pages where they can be had" "this host gives none"
else
	ok "thp" starts memory.backing thp
	ok "gives huge pages for what the guest touches" test "$(smaps AnonHugePages)" -ge 2048
	ends
fi
ok "small pages" starts memory.backing small
is "are small" "$(smaps AnonHugePages)" 0
ok "what the guest does not use costs nothing" test "$(smaps Rss)" -lt 16384
ends
ok "prealloc" starts memory.prealloc 1
ok "takes all of it at the start" test "$(smaps Rss)" -ge 32768
ok "which memory.current counts" test "$(cat "$v/memory.current")" -ge 33554432
ends
if (ulimit -l unlimited) 2>/dev/null; then
	ok "lock" starts memory.prealloc 0 memory.lock 1
	ok "locks what is used" test "$(smaps Locked)" -gt 0
	ends
else # root is not allowed to allow it
	put "$v/memory.prealloc" 0
	refused "lock, of more than may be locked" ENOSPC 'memory.lock: ' "$v" starts memory.lock 1
fi
put "$v/memory.lock" 0
if [ -e /sys/kernel/mm/ksm/run ]; then
	ok "merge" starts memory.merge 1
	like "lets KSM look at it" "$(grep VmFlags "/proc/$(cat "$v/pid")/smaps")" ' mg'
	ends
	if [ -n "${IN_LAB-}" ]; then # KSM is all of the machine's
		ok "merge, of memory that is all there" starts memory.prealloc 1
		before=$(smaps Pss)
		echo 20000 >/sys/kernel/mm/ksm/pages_to_scan
		echo 1 >/sys/kernel/mm/ksm/run
		merged() { [ "$(smaps Pss)" -lt $((before / 2)) ]; }
		soon "what is the same is there once ($before KiB before)" 30 merged
		diag "$(smaps Pss) KiB now"
		echo 2 >/sys/kernel/mm/ksm/run
		ends
		put "$v/memory.prealloc" 0
	fi
else
	refused "merge, without KSM" ENXIO 'memory.merge: ' "$v" starts memory.merge 1
fi
put "$v/memory.merge" 0

have=$(cat $pool/free_hugepages 2>/dev/null)
if [ "${have:-0}" -ge 8 ]; then
	ok "huge pages" starts memory.backing "hugetlb 2M" memory.size 16M
	is "are taken from the pool at once" "$(cat $pool/free_hugepages)" $((have - 8))
	ok "reset" put "$v/ctl" reset
	is "keeps them" "$(cat $pool/free_hugepages)" $((have - 8))
	ends
	is "and are given back" "$(cat $pool/free_hugepages)" "$have"
	put "$v/memory.size" $(((have + 1) * 2))M
	refused "one too few" ENOSPC \
		"memory.backing: .*$((have + 1)) huge pages of 2 MiB" "$v" put "$v/ctl" start
	is "leaves the pool as it was" "$(cat $pool/free_hugepages)" "$have"
	here=$(cat /sys/devices/system/node/node1/hugepages/hugepages-2048kB/free_hugepages 2>/dev/null)
	if [ -n "$here" ] && [ "$here" -lt "$have" ]; then
		put "$v/memory.size" $((have * 2))M
		put "$v/memory.numa" 1
		refused "enough, but not on the node" ENOSPC "memory.backing: $have huge pages of 2 MiB .*node" "$v" put "$v/ctl" start
		put "$v/memory.numa" ''
		is "leaves the pool as it was" "$(cat $pool/free_hugepages)" "$have"
	fi
else
	skip "huge pages" "this host's pool has none"
fi
large=/sys/kernel/mm/hugepages/hugepages-1048576kB
[ -z "${IN_LAB-}" ] || echo 1 >$large/nr_hugepages
have=$(cat $large/free_hugepages 2>/dev/null)
if [ "${have:-0}" -ge 1 ]; then
	ok "a page of 1 GiB" starts memory.backing "hugetlb 1G" memory.size 1G
	is "is taken from its pool" "$(cat $large/free_hugepages)" $((have - 1))
	like "is what the guest's memory is" "$(grep KernelPageSize "/proc/$(cat "$v/pid")/smaps")" ' 1048576 kB'
	ends
	is "and is given back" "$(cat $large/free_hugepages)" "$have"
	put "$v/memory.size" $((have + 1))G
	refused "one too few" ENOSPC "memory.backing: $((have + 1)) huge pages of 1024 MiB are needed" "$v" put "$v/ctl" start
	put "$v/memory.size" 32M
	refused "less than one" EINVAL 'memory.size: 33554432 is not a multiple of 1073741824' "$v" put "$v/ctl" start
else
	skip "pages of 1 GiB" "this host has none"
fi
[ -z "${IN_LAB-}" ] || echo 0 >$large/nr_hugepages
put "$v/memory.size" 32M
put "$v/memory.backing" thp
if [ -d /sys/devices/system/node/node1 ]; then
	ok "memory of one node of the host" starts memory.numa 1
	like "is bound to it" "$(cat "/proc/$(cat "$v/pid")/numa_maps")" 'bind:1 '
	ends
fi
refused "a node that the host has not" ENXIO 'memory.numa: this host has no' "$v" starts memory.numa 63
done_testing
