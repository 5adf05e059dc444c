#!/bin/bash
# remote-nfs.sh: the machines of one host on another, by NFSv4.2 inside WireGuard. As root:
#
#   remote-nfs.sh key                            on both: prints the host's public key
#   remote-nfs.sh serve CLIENT_KEY               on the server
#   remote-nfs.sh mount SERVER_KEY HOST [DIR]    on the client: HOST's machines on DIR
#   remote-nfs.sh umount [DIR]                   on the client
#   remote-nfs.sh stop                           on the server
#
# The server opens one UDP port, 51820, which answers to nobody but the holder of CLIENT_KEY; NFS
# listens inside the tunnel only. It trusts the client's root to say who its users are.
# REMOTE=DIR: where the machines are on the server; THREADS=N: of its NFS server (16).
set -u
remote=${REMOTE:-/run/machines} key=${KEY:-/etc/machinefs/remote-nfs.key}
server=10.77.0.1 client=10.77.0.2 wg=machinefs

usage() {
	sed -n '4,8s/^# *//p' "$0" >&2
	exit 2
}

die() {
	echo "remote-nfs.sh: $*" >&2
	exit 1
}

make_key() {
	[ -s "$key" ] && return
	mkdir -p "$(dirname "$key")" && (umask 077 && wg genkey >"$key")
}

# tunnel ADDRESS PEER_KEY PEER_ADDRESS WORD...: the WireGuard device, with a route to the peer.
tunnel() {
	local address=$1 peer=$2 peer_address=$3
	shift 3
	make_key && ip link add "$wg" type wireguard || return
	wg set "$wg" private-key "$key" "$@" peer "$peer" allowed-ips "$peer_address/32" \
		${ENDPOINT:+endpoint "$ENDPOINT" persistent-keepalive 25} &&
		ip address add "$address/24" dev "$wg" && ip link set "$wg" up
}

serve() {
	modprobe nfsd && mountpoint -q /proc/fs/nfsd || mount -t nfsd nfsd /proc/fs/nfsd || return
	[ "$(cat /proc/fs/nfsd/threads)" = 0 ] || die "NFS is served here already: see docs/remote.md"
	tunnel "$server" "$1" "$client" listen-port 51820 || return
	# Linux answers to its addresses on every device; this one is for the tunnel alone.
	nft -f - <<-END || return
		table inet machinefs_nfs {
			chain input {
				type filter hook input priority filter
				ip daddr $server iifname != $wg drop
			}
		}
	END
	# A client that is given a delegation would go on reading what it has read before.
	echo 0 >/proc/sys/fs/leases-enable
	exportfs -o rw,fsid=77,no_subtree_check,no_root_squash "$client:$remote" &&
		rpc.mountd --no-udp --no-tcp --no-nfs-version 2 --no-nfs-version 3 &&
		rpc.nfsd --no-udp --no-nfs-version 3 --host "$server" "${THREADS:-16}" &&
		echo Y >/proc/fs/nfsd/v4_end_grace # nobody has locks here to reclaim
}

stop() {
	rpc.nfsd 0
	exportfs -u "$client:$remote"
	pkill -x rpc.mountd
	nft delete table inet machinefs_nfs
	ip link delete "$wg"
}

case ${1-}:$# in
key:1) make_key && wg pubkey <"$key" ;;
serve:2) serve "$2" || { stop 2>/dev/null; die "cannot serve"; } ;;
stop:1) stop ;;
mount:3 | mount:4)
	dir=${4:-/mnt/machines}
	mkdir -p "$dir"
	ENDPOINT=$3:51820 tunnel "$client" "$2" "$server" || die "cannot make the tunnel"
	mount -t nfs -o vers=4.2,noac,lookupcache=none "$server:$remote" "$dir" ||
		{ ip link delete "$wg"; exit 1; }
	;;
umount:1 | umount:2) umount "${2:-/mnt/machines}" && ip link delete "$wg" ;;
*) usage ;;
esac
