#!/bin/bash
# Interfaces that come, change and go while a machine with Debian's own kernel runs, and its monitor
# moves the frames.
# timeout: 240
. tests/lib.sh
machinefs_start
. tests/lab/guest
guest_make virtio_pci virtio_net
mkdir "$M/net/lan" "$M/net/wan"
put "$M/net/lan/address" 10.19.0.1/24
put "$M/net/wan/address" 10.18.0.1/24
ok "a machine starts without an interface" guest_start || { done_testing; exit; }
n=$v/nic/a
mkdir "$n"
put "$n/vhost" off
put "$n/mac" 52:54:00:00:00:0a
ok "one is plugged in" put "$n/net" lan
has() { guest "ls /sys/class/net/eth$1"; }
has_not() { ! has "$1"; }
soon "the guest finds it" 60 has 0
is "with its address" "$(guest 'cat /sys/class/net/eth0/address')" 52:54:00:00:00:0a
tap=$(cat "$n/host")
port_of() { basename "$(readlink -f "/sys/class/net/$tap/master" 2>/dev/null)"; }
is "its tap is a port of the switch" "$(port_of)" "$(cat "$M/net/lan/host")"
guest_sees "it is set up" 'ip addr add 10.19.0.2/24 dev eth0 && ip link set eth0 up'
guest_sees "and works" 'ping -c 2 -W 5 10.19.0.1'

# --- the link
carrier() { [ "$(guest 'cat /sys/class/net/eth0/carrier')" = "$1" ]; }
ok "the link goes down" put "$n/link" down
soon "which the guest sees" 30 carrier 0
not_ok "nothing gets through" guest 'ping -c 1 -W 2 10.19.0.1'
ok "and up" put "$n/link" up
soon "which it sees, too" 30 carrier 1
guest_sees "it works again" 'ping -c 2 -W 5 10.19.0.1'

# --- limits and switches
ok "a rate is set while it runs" put "$n/rate" "in=200K out=200K"
mkdir "$T/www"
head -c 1M /dev/urandom >"$T/www/noise"
busybox httpd -f -p 5001 -h "$T/www" &
server=$!
begin=$(date +%s%N)
is "what comes is whole" "$(guest 'wget -q -O - http://10.19.0.1:5001/noise | md5sum')" "$(md5sum <"$T/www/noise")"
ok "and takes its time" test $((($(date +%s%N) - begin) / 1000000)) -ge 3000
ok "the limit goes" put "$n/rate" "in=max out=max"
kill "$server"
ok "it moves to another switch" put "$n/net" wan
is "its tap is a port of that" "$(port_of)" "$(cat "$M/net/wan/host")"
is "and not of the other" "$(cat "$M/net/lan/ports")" ""
guest_sees "where it works" 'ip addr flush dev eth0 && ip addr add 10.18.0.2/24 dev eth0 && ping -c 2 -W 5 10.18.0.1'

# --- a second one; both through a pause
mkdir "$v/nic/b"
put "$v/nic/b/vhost" off
put "$v/nic/b/queues" 1
ok "a second one is plugged in" put "$v/nic/b/net" lan
soon "the guest finds it" 60 has 1
guest_sees "it works" 'ip addr add 10.19.0.3/24 dev eth1 && ip link set eth1 up && ping -c 2 -W 5 10.19.0.1'
ok "pause" put "$v/ctl" pause
ok "resume" put "$v/ctl" resume
guest_sees "both work after a pause" 'ping -c 2 -W 5 10.19.0.1 && ping -c 2 -W 5 10.18.0.1'

# --- unplugged
ok "the first is unplugged" rmdir "$n"
soon "the guest lets go" 60 has_not 0
gone() { [ ! -e "/sys/class/net/$tap" ]; }
soon "its tap is gone" 20 gone
guest_sees "the second works" 'ping -c 2 -W 5 10.19.0.1'
plugged() { [ -d "$n" ] || mkdir "$n" && put "$n/vhost" off && put "$n/net" wan; }
soon "one of the same name comes" 60 plugged
soon "the guest finds it" 60 has 0
guest_sees "it works" 'ip addr add 10.18.0.2/24 dev eth0 && ip link set eth0 up && ping -c 2 -W 5 10.18.0.1'

# --- the host's side disappears
ip link del "$(cat "$v/nic/b/host")"
soon "a tap that disappears is told of" 20 grep -q 'nic/b: its interface on the host is gone' "$v/error"
lost() { [ "$(guest 'cat /sys/class/net/eth1/carrier')" = 0 ]; }
soon "the guest sees that its link is down" 30 lost
is "the machine goes on" "$(cat "$v/state")" running
guest_sees "with the other" 'ping -c 2 -W 5 10.18.0.1'
ok "it is unplugged" rmdir "$v/nic/b"
soon "the guest lets go" 60 has_not 1
mkdir "$v/nic/b"
put "$v/nic/b/vhost" off
ok "and plugged anew" put "$v/nic/b/net" lan
soon "the guest finds it" 60 has 1
guest_sees "it works" 'ip addr add 10.19.0.3/24 dev eth1 && ip link set eth1 up && ping -c 2 -W 5 10.19.0.1'
guest_from=$(stat -c %s "$v/console")
ok "a reset" put "$v/ctl" reset
ok "boots again" guest_waits 150 '^guest: up'
is "with both" "$(guest 'ls /sys/class/net | grep eth | xargs')" "eth0 eth1"
guest_sees "which work" 'ip addr add 10.19.0.3/24 dev eth1 && ip link set eth1 up && ip addr add 10.18.0.2/24 dev eth0 && ip link set eth0 up && ping -c 2 -W 5 10.19.0.1 && ping -c 2 -W 5 10.18.0.1'
put "$v/ctl" kill
await "$v" stopped
is "with the machine all taps are gone" "$(find /sys/class/net -name "${tap%?????}*")" ""
ok "the switches are removed" rmdir "$v" "$M/net/lan" "$M/net/wan"
done_testing
