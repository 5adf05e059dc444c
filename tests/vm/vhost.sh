#!/bin/bash
# A machine with Debian's own kernel whose frames the host's kernel moves (vhost-net): what happens to
# an interface while it does, and when it does not.
# timeout: 300
. tests/lib.sh
machinefs_start
. tests/lab/guest
GUEST_CMDLINE="memhp_default_state=online"
guest_make virtio_pci virtio_net virtio_mem
mkdir "$M/net/lan"
put "$M/net/lan/address" 10.9.0.1/24
n=$v/nic/eth0
mkdir "$n"
put "$n/net" lan
put "$n/queues" 2
put "$v/cpu.count" 2
put "$v/memory.possible" 512M

# --- where the host has none
modprobe -r vhost_net 2>/dev/null # and tun, which only it may have used
modprobe tun
rm -f /dev/vhost-net
is "it is used where it can be" "$(cat "$n/vhost")" auto
ok "or always" put "$n/vhost" on
not_ok "which is refused where there is none" put "$v/ctl" start
is "with a sentence" "$(cat "$v/error")" \
	"ENXIO nic/eth0/vhost: there is no /dev/vhost-net here: the kernel's module vhost_net"
modprobe vhost_net || { done_testing; exit; }
put "$n/rate" in=1M
not_ok "nor does it go with a rate" put "$v/ctl" start
like "with a sentence" "$(cat "$v/error")" '^EINVAL nic/eth0/rate: the kernel moves the frames \(vhost is on\)'
put "$n/rate" in=max

# --- frames
# The kernel's threads are in no namespace of ours: what they belong to is seen, and that they are there.
devices() { find "/proc/$(cat "$v/pid")/fd" -lname /dev/vhost-net | wc -l; }
group() { wc -l <"/sys/fs/cgroup$(cut -d: -f3 "/proc/$(cat "$v/pid")/cgroup")/cgroup.threads"; }
handed() { sed -n 's/^nic.vhost_starts //p' "$v/stat"; }
ok "a stock kernel boots with it" guest_start || { done_testing; exit; }
is "each pair of queues is a vhost device" "$(devices)" 2
is "to which they were handed" "$(handed)" 1
with=$(group)
is "the guest has both" "$(guest 'ls /sys/class/net/eth0/queues | xargs')" "rx-0 rx-1 tx-0 tx-1"
guest_sees "it sets itself up" 'ip addr add 10.9.0.2/24 dev eth0 && ip link set eth0 up'
guest_sees "it reaches the host" 'ping -c 3 -W 5 10.9.0.1'
ok "and is reached" busybox ping -c 1 -W 5 10.9.0.2
# Checksums (0, 1), segments both ways (7, 8, 11, 12), merged buffers, queues, indirect, event indexes.
features=$(guest 'cat /sys/class/net/eth0/device/features')
for bit in 0 1 7 8 11 12 15 16 17 22 28 29 32; do
	is "feature $bit is agreed on" "${features:bit:1}" 1
done
mkdir "$T/www"
head -c 32M /dev/urandom >"$T/www/noise"
sum=$(md5sum <"$T/www/noise")
busybox httpd -f -p 5001 -h "$T/www" &
server=$!
fetch='wget -q -O /noise http://10.9.0.1:5001/noise; md5sum </noise'
is "what comes is whole" "$(guest "$fetch")" "$sum"
guest_sees "and what goes" 'httpd -p 5002 -h /'
is "is whole" "$(busybox wget -q -O - http://10.9.0.2:5002/noise | md5sum)" "$sum"
counter() { sed -n "s/^$1 //p" "$2"; }
for c in rx_bytes tx_bytes; do
	ok "stat tells of $c" test "$(counter "nic.$c" "$v/stat")" -ge 32000000
	ok "also the interface's" test "$(counter "$c" "$n/stat")" -ge 32000000
done
ok "and of packets" test "$(counter nic.rx_packets "$v/stat")" -ge 500

# --- in the middle of traffic
guest "(rm /noise; $fetch >/sum) >/dev/null 2>&1 &"
paused=0
for i in 1 2 3 4 5 6 7 8; do
	put "$v/ctl" pause && paused=$((paused + 1))
	[ "$i" != 4 ] || sleep 1
	put "$v/ctl" resume
	sleep 0.2
done
is "eight times it pauses" "$paused" 8
fetched() { [ "$(guest 'cat /sum')" = "$sum" ]; }
soon "and what comes meanwhile is whole" 90 fetched
is "each time the kernel had the queues again" "$(handed)" 9
guest "(rm /noise /sum; $fetch >/sum) >/dev/null 2>&1 &"
put "$v/memory.size" 384M
mkdir "$v/share"/s 2>/dev/null
ok "its memory becomes a file" put "$v/share/s/path" "$T/www"
soon "and what comes meanwhile is whole" 90 fetched
grown() { [ "$(counter memory.plugged "$v/stat")" = $((128 << 20)) ]; }
soon "it has more memory" 60 grown
is "which can be received into" "$(guest "rm /noise; dd if=/dev/zero of=/zero bs=1M count=60 2>/dev/null; $fetch; rm /zero")" "$sum"

# --- the link; a rate
carrier() { [ "$(guest 'cat /sys/class/net/eth0/carrier')" = "$1" ]; }
ok "the link goes down" put "$n/link" down
soon "which the guest sees" 30 carrier 0
not_ok "nothing gets through" guest 'ping -c 1 -W 2 10.9.0.1'
before=$(handed)
ok "and up" put "$n/link" up
soon "which it sees, too" 30 carrier 1
is "the kernel has the queues again" "$(handed)" $((before + 1))
guest_sees "it works again" 'ping -c 2 -W 5 10.9.0.1'
not_ok "with vhost on there is no rate" put "$n/rate" "in=1M"
like "as a sentence says" "$(cat "$v/error")" '^EINVAL nic/eth0/rate: '
put "$n/net" ""
gone() { [ "$(devices)" = 0 ]; }
soon "unplugged, the devices are gone" 60 gone
plugged() { put "$n/net" lan; }
put "$n/vhost" auto
soon "it comes again" 60 plugged
has() { guest 'ls /sys/class/net/eth0'; }
soon "the guest finds it" 60 has
setup='ip addr add 10.9.0.2/24 dev eth0; ip link set eth0 up'
guest "$setup"
is "the kernel has it" "$(devices)" 2
guest_sees "it works" 'ping -c 2 -W 5 10.9.0.1'
ok "a rate is set" put "$n/rate" "in=4M"
begin=$(date +%s%N)
is "what comes is whole" "$(guest "$fetch")" "$sum"
ok "and takes its time" test $((($(date +%s%N) - begin) / 1000000)) -ge 6000
before=$(handed)
ok "the rate goes" put "$n/rate" "in=max"
is "the kernel has the queues again" "$(handed)" $((before + 1))
is "what comes is whole" "$(guest "$fetch")" "$sum"

# --- the host's side disappears
ip link del "$(cat "$n/host")"
soon "a tap that disappears is told of" 20 grep -q 'nic/eth0: its interface on the host is gone' "$v/error"
soon "the guest sees that its link is down" 30 carrier 0
is "the machine goes on" "$(cat "$v/state")" running
put "$n/net" ""
soon "it is unplugged" 60 gone
soon "and plugged anew" 60 plugged
soon "the guest finds it" 60 has
guest "$setup"
guest_sees "it works" 'ping -c 2 -W 5 10.9.0.1'

# --- a reset; without
guest "($fetch) >/dev/null 2>&1 &"
guest_from=$(stat -c %s "$v/console")
ok "a reset in the middle of traffic" put "$v/ctl" reset
ok "boots again" guest_waits 150 '^guest: up'
guest "$setup"
guest_sees "it works" 'ping -c 2 -W 5 10.9.0.1'
put "$v/ctl" kill
await "$v" stopped
rmdir "$v/share/s"
put "$n/vhost" off
ok "with vhost off it boots" guest_start
is "there is no device" "$(devices)" 0
guest "$setup"
guest_sees "it works" 'ping -c 2 -W 5 10.9.0.1'
is "by its monitor" "$(handed)" 0
is "the two threads of the kernel's were in the machine's control group" "$with" $(($(group) + 2))
put "$v/ctl" kill
await "$v" stopped
kill "$server"
done_testing
