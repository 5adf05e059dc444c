#!/bin/bash
# NFSv4.2 through WireGuard, by examples/remote-nfs.sh: a machine's whole life from another host.
# timeout: 240
. tests/lib.sh
. tests/remote/hosts.sh
hosts_start
errno_as=([EBUSY]=EIO)
tools_append= # the client sends what is there along with what is added
nfs=examples/remote-nfs.sh
client_key() { KEY=$T/client.key client $nfs "$@"; }

like "without words: usage" "$($nfs 2>&1)" 'remote-nfs.sh serve CLIENT_KEY'
server=$(KEY=$T/server.key $nfs key)
ok "it serves" env KEY="$T/server.key" THREADS=4 $nfs serve "$(client_key key)"
is "on no port but the tunnel's" "$(comm -13 <(echo "$listened") <(listening))" 10.77.0.1:2049
ok "it mounts" client_key mount "$server" $server_address "$R" || done_testing
not_ok "a second server" env KEY="$T/server.key" $nfs serve "$(client_key key)"

# Who has no key: a neighbour of the client's, who knows the address.
host_new && stranger_pid=$!
ip link add cable2 type veth peer name cable2 netns "$stranger_pid"
ip address add 198.51.100.1/24 dev cable2
ip link set cable2 up
stranger() { nsenter --net="/proc/$stranger_pid/ns/net" "$@"; }
stranger ip address add 198.51.100.2/24 dev cable2
stranger ip link set cable2 up
stranger ip route add default via 198.51.100.1
ok "a stranger reaches the server" stranger bash -c ": </dev/tcp/$server_address/22"
for address in $server_address 198.51.100.1 10.77.0.1; do
	not_ok "but no NFS at $address" stranger timeout 2 bash -c ": </dev/tcp/$address/2049"
done
not_ok "nor do users of the server" setpriv --reuid=1000 --clear-groups timeout 2 bash -c ": </dev/tcp/10.77.0.1/2049"

tools_table nfs "$R"
remote_life
is "errnos" "$(remote_errnos)" "write-EINVAL EINVAL
write-EBUSY EIO
write-EEXIST EEXIST
write-ENOENT ENOENT
wait-EBUSY EIO
mkdir-EINVAL EINVAL
mkdir-EEXIST EEXIST
rmdir-EBUSY EBUSY
rmdir-ENOENT ENOENT
rename-EEXIST EEXIST
create-EPERM EPERM
unlink-EPERM EPERM"
remote_fresh
remote_blind
remote_owners

# A blocked wait holds one of nfsd's threads, here four.
remote_waits 3 10
soon "three waits" 20 waiting_is 3
ok "leave room for others" answers
kill "${waits[@]}"
ok "a wait whose writer is killed" waiting_is 3
soon "goes on until its time is over" 20 waiting_is 0
remote_waits 6 10
soon "of six, as many wait as there are threads" 20 waiting_is 4
not_ok "and nothing else is answered" answers 2
soon "until they end" 60 answers
wait "${waits[@]}" 2>/dev/null

machinefs_stop
machinefs_start
not_ok "after a restart of the daemon nothing answers" answers
exportfs -f
ok "until exportfs -f" answers
is "with all there is" "$(cat "$R/vm/tools/cpu.count")" 3

rpc.nfsd 0
not_ok "without a server nothing answers" answers 2
rpc.nfsd --no-udp --no-nfs-version 3 --host 10.77.0.1 4
echo Y >/proc/fs/nfsd/v4_end_grace
soon "until it is back" 60 answers

ok "umount" client_key umount "$R"
ok "the server stops" $nfs stop
is "and leaves no port" "$(listening)" "$listened"
is "nor a process" "$(pgrep rpc.mountd)" ''
done_testing
