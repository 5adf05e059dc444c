#!/bin/bash
# Network interfaces of a machine with Debian's own kernel, whose monitor moves the frames: segments,
# queues, and what happens to one while it runs. vhost.sh is about those that the host's kernel moves.
# timeout: 240
. tests/lib.sh
machinefs_start
. tests/lab/guest
guest_make virtio_pci virtio_net

ok "mkdir makes a switch" mkdir "$M/net/lan"
put "$M/net/lan/address" 10.9.0.1/24

# nic LINE...: the machine's only interface has these settings.
nic() {
	{
		sed '/^nic:/,$d; /^\.\.\.$/d' "$v/config.yaml"
		printf 'nic:\n  eth0:\n'
		printf '    %s\n' "$@"
		echo ...
	} >"$T/config"
	cat "$T/config" >"$v/config.yaml"
}

ok "a machine joins it" nic "net: lan" "mac: 52:54:00:12:34:56" "queues: 2" "mtu: 1500" "vhost: off"
put "$v/cpu.count" 2
like "the switch knows the port" "$(cat "$M/net/lan/ports")" '^vm/guest/eth0 mf'
tap=$(cut -d' ' -f2 "$M/net/lan/ports")
ok "a stock kernel boots with it" guest_start
is "the tap is a port of the switch" "$(basename "$(readlink -f "/sys/class/net/$tap/master")")" \
	"$(cat "$M/net/lan/host")"

is "the guest has the address that was set" "$(guest 'cat /sys/class/net/eth0/address')" 52:54:00:12:34:56
is "both queues" "$(guest 'ls /sys/class/net/eth0/queues | xargs')" "rx-0 rx-1 tx-0 tx-1"
guest_sees "it sets itself up" 'ip addr add 10.9.0.2/24 dev eth0 && ip link set eth0 up'
guest_sees "it reaches the host" 'ping -c 3 -W 5 10.9.0.1'
ok "and is reached" busybox ping -c 1 -W 5 10.9.0.2
# Bit by bit from the left: checksums (0, 1), segments both ways (7, 8, 11, 12), merged buffers (15).
features=$(guest 'cat /sys/class/net/eth0/device/features')
for bit in 0 1 7 8 11 12 15 16 17 22; do
	is "feature $bit is agreed on" "${features:bit:1}" 1
done

mkdir "$T/www"
head -c 8M /dev/urandom >"$T/www/noise"
sum=$(md5sum <"$T/www/noise")
count() { cat "/sys/class/net/$tap/statistics/$1"; }
before=$(count tx_packets)
busybox httpd -f -p 5001 -h "$T/www" &
server=$!
is "eight megabytes to the guest arrive whole" \
	"$(guest 'wget -q -O /noise http://10.9.0.1:5001/noise; md5sum </noise')" "$sum"
kill "$server"
ok "in segments larger than frames" test $(($(count tx_packets) - before)) -lt 3500
before=$(count rx_packets)
guest_sees "and from the guest" 'httpd -p 5002 -h /'
is "whole" "$(busybox wget -q -O - http://10.9.0.2:5002/noise | md5sum)" "$sum"
ok "in segments too" test $(($(count rx_packets) - before)) -lt 3500
is "no message tells of trouble" \
	"$(guest 'dmesg -r | grep "^<[0-3]>" | grep -v "RETBleed\|Spectre\|microcode"')" ""
put "$v/ctl" kill
await "$v" stopped
not_ok "with the machine the tap is gone" test -e "/sys/class/net/$tap"
lan=$(cat "$M/net/lan/host")
ok "the switch is removed" rmdir "$v" "$M/net/lan"
not_ok "and is gone" test -e "/sys/class/net/$lan"
done_testing
