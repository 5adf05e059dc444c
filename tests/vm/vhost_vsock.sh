#!/bin/bash
# A machine with Debian's own kernel that has a number among the host's own sockets (vhost-vsock).
# timeout: 300
. tests/lib.sh
. tests/users.sh
need_root
users_make
machinefs_start
. tests/lab/guest
sock=$B/tests/guest/sock
GUEST_FILES=("$sock=/bin/sock")
guest_make virtio_pci vmw_vsock_virtio_transport
modprobe -r vhost_vsock 2>/dev/null
rm -f /dev/vhost-vsock
put "$v/vsock.cid" 77
chmod 711 "$T"
chown alice "$v"
chown alice "$v"/vsock.*
is "by default it has not" "$(cat "$v/vsock.vhost")" 0
refused "an owner may not ask for it" EPERM 'vsock.vhost: only root may say' "$v" put_as alice "$v/vsock.vhost" 1
ok "root may" put "$v/vsock.vhost" 1
refused "an owner may not choose another number then" EPERM 'vsock.cid: only root may say' "$v" put_as alice "$v/vsock.cid" 78
refused "a host without it says so" ENXIO 'vsock.vhost: /dev/vhost-vsock: No such file or directory: the kernel.s module vhost_vsock' "$v" put "$v/ctl" start
modprobe vhost_vsock || { done_testing; exit; }
ok "a stock kernel boots with it" guest_start || { done_testing; exit; }
is "there are no sockets in a directory" "$(readlink "$v/vsock")" nowhere
is "the kernel has its queues" "$(find "/proc/$(cat "$v/pid")/fd" -lname /dev/vhost-vsock | wc -l)" 1
head -c 8M /dev/urandom >"$T/noise"
sum=$(md5sum <"$T/noise")

# --- both ways
# serve FILE: a guest's connection to port 5000 gets it; what it sends is in $T/got.
serve() {
	timeout 90 "$sock" listen vsock:5000 <"$1" >"$T/got" &
	server=$!
	sleep 0.5
}
not_ok "where nobody listens the guest is refused" guest 'sock connect vsock:2:5000 </dev/null'
serve "$T/noise"
is "what comes is whole" "$(guest 'sock connect vsock:2:5000 </dev/null >/noise; md5sum </noise')" "$sum"
wait "$server"
serve /dev/null
guest_sees "and what goes" 'sock connect vsock:2:5000 </noise'
wait "$server"
is "is whole" "$(md5sum <"$T/got")" "$sum"
not_ok "where nobody listens in the guest the host is refused" "$sock" connect vsock:77:6000 </dev/null
guest '(sock listen vsock:6000 </noise >/heard) >/dev/null 2>&1 &'
is "the host connects, and hears the guest" "$(timeout 90 "$sock" connect vsock:77:6000 <"$T/noise" | md5sum)" "$sum"
is "which hears it" "$(guest 'md5sum </heard')" "$sum"

# --- in the middle of it
guest '(sock listen vsock:6000 </noise >/heard) >/dev/null 2>&1 &'
timeout 120 "$sock" connect vsock:77:6000 <"$T/noise" >"$T/got" &
client=$!
paused=0
for _ in 1 2 3 4 5 6; do
	put "$v/ctl" pause && paused=$((paused + 1))
	sleep 0.1
	put "$v/ctl" resume
done
is "six times it pauses" "$paused" 6
wait "$client"
is "meanwhile nothing is lost" "$(md5sum <"$T/got")" "$sum"
is "in neither direction" "$(guest 'md5sum </heard')" "$sum"

# --- one number, one machine
mkdir "$M/vm/other"
sed '/^\.\.\.$/d' "$v/config.yaml" >"$T/config"
{ cat "$T/config"; echo ...; } >"$M/vm/other/config.yaml"
refused "another machine cannot have the same number" EBUSY \
	'vsock.cid: vhost: another machine of this host has number 77' "$M/vm/other" put "$M/vm/other/ctl" start
guest_from=$(stat -c %s "$v/console")
ok "a reset" put "$v/ctl" reset
ok "boots again" guest_waits 150 '^guest: up'
echo hello >"$T/hello"
serve "$T/hello"
is "and the host is there" "$(guest 'sock connect vsock:2:5000 </dev/null')" hello
put "$v/ctl" kill
await "$v" stopped
ok "when it has ended another may" put "$M/vm/other/ctl" start
put "$M/vm/other/ctl" kill
await "$M/vm/other" stopped
done_testing
