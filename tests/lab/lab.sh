#!/bin/bash
# The lab itself: what the other tests here rely on.
. tests/lib.sh
[ -n "${IN_LAB-}" ] || skip_all "runs inside the lab only: tests/lab/run $0"

ok "the CPUs have AMD's virtualization" grep -q '^flags.* svm' /proc/cpuinfo
is "KVM uses nested paging" "$(cat /sys/module/kvm_amd/parameters/npt)" Y
is "/dev/kvm answers with KVM's version" "$(python3 -c '
import fcntl
print(fcntl.ioctl(open("/dev/kvm"), 0xAE00))')" 12
is "there are two NUMA nodes" "$(cat /sys/devices/system/node/online)" 0-1
is "cgroup v2 is the only hierarchy" "$(grep -c ' - cgroup' /proc/self/mountinfo)" 1
for controller in cpu cpuset io memory pids hugetlb; do
	ok "the $controller controller is there for groups" \
		grep -qw "$controller" /sys/fs/cgroup/cgroup.subtree_control
done
for device in /dev/fuse /dev/net/tun /dev/kvm; do
	ok "$device can be opened" device_opens "$device"
done
ok "a nested guest's kernel is at hand" test -s build/kernel/vmlinuz
printf '#!/bin/sh\necho hello\n' >"$T/init"
ok "an initramfs can be made" tests/lab/mkinitrd.sh "$T/initrd" "$T/init"
is "it holds the script" "$(cpio --quiet -i --to-stdout init <"$T/initrd" 2>/dev/null)" \
	"$(cat "$T/init")"
done_testing
