#!/bin/bash
# Containers on a switch: they reach the host and each other, within their limits, and leave nothing
# behind. In a network namespace of its own: no interface of the host is touched.
if [ "$(id -u)" = 0 ] && [ -z "${OWN_NET-}" ]; then
	OWN_NET=1 exec unshare --net "$BASH" "$0" "$@"
fi
. tests/lib.sh
. tests/users.sh
need_root
need_command ip tc busybox setpriv
users_make
subordinate alice 700000 65536
chmod 711 "$T"
ip link set lo up
machinefs_start
lan=$M/net/lan
root=$(busybox_root)

links() {
	ip -o link | sed 's/^[0-9]*: \([^:@]*\).*/\1/' | grep -v '^lo$' | sort | xargs
}

# container NAME SETTING VALUE...: one whose interface eth0 has these settings and no others.
container() {
	local c=$M/container/$1
	shift
	[ -d "$c" ] || mkdir "$c"
	put "$c/root" "$root"
	put "$c/init" "/bin/sh -c 'while :; do sleep 1000; done'"
	[ ! -d "$c/nic/eth0" ] || rmdir "$c/nic/eth0"
	mkdir "$c/nic/eth0"
	while [ $# -gt 0 ]; do
		put "$c/nic/eth0/$1" "$2"
		shift 2
	done
}

# inside NAME COMMAND...: runs it in the network of that container.
inside() {
	local pid
	pid=$(cat "$M/container/$1/pid")
	shift
	nsenter -t "$pid" -n "$@"
}

# --- the switch ---
ok "mkdir makes a switch" mkdir "$lan"
bridge=$(cat "$lan/host")
ok "which is a bridge" test -d "/proc/sys/net/ipv4/conf/$bridge"
put "$lan/address" 10.9.0.1/24
like "with an address of the host's" "$(ip -o addr show "$bridge")" '10\.9\.0\.1/24'
refused "no nonsense as an address" EINVAL 'address' "$lan" put "$lan/address" 10.9.0.256/24
refused "no uplink that is not there" ENOENT 'uplink: there is no interface nothing' "$lan" \
	put "$lan/uplink" nothing
is "refused, it is as it was" "$(cat "$lan/uplink")" ''
ip link add name uplink0 type veth peer name uplink1
put "$lan/uplink" uplink0
like "an interface becomes its uplink" "$(ip -o link show uplink0)" "master $bridge"
put "$lan/uplink" ''
unlike "and is let go" "$(ip -o link show uplink0)" "master"
ip link del uplink0
put "$lan/mtu" 1400
like "its MTU" "$(ip -o link show "$bridge")" 'mtu 1400'
put "$lan/mtu" 1500
echo 0 >/proc/sys/net/ipv4/ip_forward
refused "no translation on a host that does not forward" ENXIO 'nat: this host does not forward' \
	"$lan" put "$lan/nat" 1
if command -v nft >/dev/null; then
	echo 1 >/proc/sys/net/ipv4/ip_forward
	ok "translation of addresses" put "$lan/nat" 1
	like "by a table of its own" "$(nft list tables)" "$bridge"
	put "$lan/nat" 0
	unlike "taken back" "$(nft list tables)" "$bridge"
fi

# --- a container ---
container a net lan address "10.9.0.2/24 fd00::2/64" gateway 10.9.0.1 mac 52:54:00:aa:bb:cc
container b net lan address 10.9.0.3/24 mtu 1300
a=$M/container/a
ok "a container starts on it" put "$a/ctl" start
ok "another one" put "$M/container/b/ctl" start
like "it has its addresses" "$(inside a ip -o addr show eth0)" '10\.9\.0\.2/24.*fd00::2/64'
like "its hardware address" "$(inside a ip -o link show eth0)" '52:54:00:aa:bb:cc'
like "its gateway" "$(inside a ip route)" 'default via 10\.9\.0\.1 dev eth0'
like "its MTU" "$(inside b ip -o link show eth0)" 'mtu 1300'
unlike "one that is not set is made" "$(inside b ip -o link show eth0)" '52:54:00:aa:bb:cc|00:00:00:00:00:00 brd'
ok "it reaches the host" inside a busybox ping -c 1 -W 5 10.9.0.1
ok "and the other" inside a busybox ping -c 1 -W 5 10.9.0.3
ok "the host reaches it" busybox ping -c 1 -W 5 10.9.0.2
is "the switch lists its ports" "$(sed 's/ .*//' "$lan/ports" | xargs)" \
	"container/a/eth0 container/b/eth0"
is "by their names on the host" "$(links)" "$({ echo "$bridge"; sed 's/.* //' "$lan/ports"; } | sort | xargs)"
refused "a switch in use stays" EBUSY 'has the port container/a/eth0' "$lan" rmdir "$lan"

is "each says its own" "$(cat "$a/nic/eth0/host")" "$(sed -n 's,^container/a/eth0 ,,p' "$lan/ports")"
ok "and what it has received" test "$(value "$a/nic/eth0/stat" rx_packets)" -gt 0
ok "and sent" test "$(value "$a/nic/eth0/stat" tx_bytes)" -gt 0

# --- changed while it runs ---
eth0=$a/nic/eth0
ok "another address" put "$eth0/address" "10.9.0.4/24"
like "is the container's" "$(inside a ip -o addr show eth0)" '10\.9\.0\.4/24'
unlike "in place of the one before" "$(inside a ip -o addr show eth0)" '10\.9\.0\.2/24'
like "its gateway is still there" "$(inside a ip route)" 'default via 10\.9\.0\.1'
refused "a gateway in no network is refused" EINVAL 'gateway: 192\.0\.2\.1 is in no network' "$a" \
	put "$eth0/gateway" 192.0.2.1
is "and the setting is what it was" "$(cat "$eth0/gateway")" 10.9.0.1
like "as is the route" "$(inside a ip route)" 'default via 10\.9\.0\.1'
ok "the cable is pulled" put "$eth0/link" down
like "which is seen inside" "$(inside a ip -o link show eth0)" 'NO-CARRIER|M-DOWN'
not_ok "nothing passes" inside a busybox ping -c 1 -W 1 10.9.0.1
put "$eth0/link" up
ok "plugged in again, it does" inside a busybox ping -c 1 -W 5 10.9.0.1
ok "its rate is limited" put "$eth0/rate" "in=1000000 out=2000000"
qdiscs=$(tc qdisc show)
like "both ways" "$qdiscs" 'rate 8Mbit.*rate 16Mbit|rate 16Mbit.*rate 8Mbit'
ok "it still works" inside a busybox ping -c 1 -W 5 10.9.0.1
put "$eth0/rate" "in=max out=max"
unlike "and no longer" "$(tc qdisc show)" 'tbf'
mkdir "$a/nic/eth1"
put "$a/nic/eth1/address" 10.9.0.5/24
ok "another interface is plugged in" put "$a/nic/eth1/net" lan
like "and is there" "$(inside a ip -o addr show eth1)" '10\.9\.0\.5/24'
ok "it is unplugged" rmdir "$a/nic/eth1"
not_ok "and is gone" inside a ip link show eth1
put "$eth0/address" "10.9.0.2/24 fd00::2/64"

# --- nothing stays ---
before=$(links)
for state in kill "signal 9"; do
	put "$a/ctl" "$state"
	await "$a" stopped
	is "after $state nothing of it is left" "$(links)" "$(tr ' ' '\n' <<<"$before" | grep -vx "$(sed -n 's,^container/a/eth0 ,,p' "$lan/ports")" | xargs)"
	put "$a/ctl" start
done
monitor=$(ps -o ppid= -p "$(cat "$a/pid")" | xargs)
kill -9 "$monitor"
ok "its monitor killed, it fails" await "$a" failed
gone() { [ "$(links | wc -w)" = $(($(wc -w <<<"$before") - 1)) ]; }
soon "and nothing of it is left" 10 gone
ok "it starts again" put "$a/ctl" start
is "with the same name on the host" "$(links)" "$before"

# --- refusals ---
put "$a/ctl" kill
await "$a" stopped
container a net none
refused "a switch that is not there" ENOENT 'nic/eth0/net: there is no net/none' "$a" put "$a/ctl" start
container a net lan address 10.9.0.2/24 gateway 192.0.2.1
refused "a gateway in no network" EINVAL 'nic/eth0/gateway: 192\.0\.2\.1 is in no network' "$a" \
	put "$a/ctl" start
is "and nothing is left of it" "$(links | wc -w)" $(($(wc -w <<<"$before") - 1))
container a net lan address 10.9.0.2/24
namespaces=$(cat "$a/namespaces")
put "$a/namespaces" "${namespaces/net /}"
refused "no interface without a network of its own" EINVAL 'nic: the container has no net' "$a" \
	put "$a/ctl" start
put "$a/namespaces" "$namespaces"

# --- whose switch it is ---
chown -R alice:alice "$a" "$root"
refused "another's machine may not join" EACCES 'nic/eth0/net: user 2001 may not join net/lan' "$a" \
	put "$a/ctl" start
chmod 777 "$lan"
ok "unless it may write the switch" put "$a/ctl" start
like "then it has its interface" "$(inside a ip -o addr show eth0)" '10\.9\.0\.2/24'
ok "that works" inside a busybox ping -c 1 -W 5 10.9.0.1
put "$a/ctl" kill
await "$a" stopped
chown alice "$lan" "$lan/address"
refused "the host's network is root's all the same" EPERM 'address: only root' "$lan" \
	setpriv --reuid=2001 --clear-groups bash -c "echo 10.9.9.1/24 >$lan/address"

# --- durable ---
machinefs_stop
ip link del "$bridge"
machinefs_start
like "a bridge that is gone is made again" "$(ip -o addr show "$bridge" 2>&1)" '10\.9\.0\.1/24'
is "whose the switch is is kept" "$(stat -c %u:%a "$lan")" 2001:777
put "$M/container/b/ctl" kill
await "$M/container/b" stopped
ok "containers are removed" rmdir "$a" "$M/container/b"
ok "and the switch" rmdir "$lan"
is "nothing is left" "$(links)" ''
done_testing
