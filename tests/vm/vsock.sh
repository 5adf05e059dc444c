#!/bin/bash
# Stream sockets between a machine with Debian's own kernel and UNIX sockets of the host, both ways.
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
chmod 711 "$T"
chown alice "$v"
put "$v/vsock.cid" 77
is "a stopped machine's link leads nowhere" "$(readlink "$v/vsock")" nowhere
ok "a stock kernel boots with it" guest_start || { done_testing; exit; }
ok "a running one's leads to its sockets" test -S "$v/vsock/vsock"
is "which are its owner's" "$(stat -Lc %U:%a "$v/vsock")" alice:700
not_ok "and nobody else's" as bob "$sock" connect "unix:$v/vsock/vsock" </dev/null
head -c 3M /dev/urandom >"$T/noise"
sum=$(md5sum <"$T/noise")

# --- from the guest
not_ok "where nobody listens the guest is refused" guest 'sock connect vsock:2:5000 </dev/null'
# serve FILE: a guest's connection to port 5000 gets it; what it sends is in $T/got.
serve() {
	rm -f "$v/vsock/vsock_5000"
	as alice timeout 90 "$sock" listen "unix:$v/vsock/vsock_5000" <"$1" >"$T/got" &
	server=$!
	poll 5 test -S "$v/vsock/vsock_5000"
}
echo from-the-host >"$T/hello"
serve "$T/hello"
is "the guest connects, and hears the host" "$(guest 'echo from-the-guest | sock connect vsock:2:5000')" from-the-host
wait "$server"
is "which hears it" "$(cat "$T/got")" from-the-guest
serve "$T/noise"
is "three megabytes to the guest arrive whole" "$(guest 'sock connect vsock:2:5000 </dev/null >/noise; md5sum </noise')" "$sum"
wait "$server"
serve /dev/null
guest_sees "and back" 'sock connect vsock:2:5000 </noise'
wait "$server"
is "whole" "$(md5sum <"$T/got")" "$sum"
serve "$T/noise"
is "both at once" "$(guest 'sock connect vsock:2:5000 </noise | md5sum')" "$sum"
wait "$server"
is "whole too" "$(md5sum <"$T/got")" "$sum"

# --- from the host
dial() { # PORT: standard input goes to the guest; the first line of the answer is OK and a number
	{ echo "CONNECT $1"; cat; } | as alice timeout 60 "$sock" connect "unix:$v/vsock/vsock"
}
is "where nobody listens in the guest there is no answer" "$(dial 6000 </dev/null)" ""
is "nor to what is no question" "$(echo 'HELLO' | timeout 60 "$sock" connect "unix:$v/vsock/vsock")" ""
guest '(echo hello from the guest | sock listen vsock:6000 >/heard) >/dev/null 2>&1 &'
answer=$(echo hello from the host | dial 6000)
like "the host connects" "$answer" '^OK [0-9]+'$'\n''hello from the guest$'
is "and is heard" "$(guest 'cat /heard')" "hello from the host"
guest '(sock listen vsock:6000 </noise >/heard) >/dev/null 2>&1 &'
dial 6000 <"$T/noise" >"$T/got"
is "three megabytes both ways" "$(tail -n +2 "$T/got" | md5sum)" "$sum"
is "are whole" "$(guest 'md5sum </heard')" "$sum"
guest 'for n in 1 2 3 4 5 6 7 8 9 10; do (echo $n | sock listen vsock:700$n) >/dev/null 2>&1 & done'
dials=()
for n in 1 2 3 4 5 6 7 8 9 10; do
	dial "700$n" </dev/null >"$T/many$n" &
	dials+=($!)
done
wait "${dials[@]}"
is "ten at once, each its own" "$(tail -qn +2 "$T"/many* | sort -n | xargs)" "1 2 3 4 5 6 7 8 9 10"

# --- ends
guest '(sock listen vsock:6000 </dev/zero >/dev/null; echo ended >/ended) >/dev/null 2>&1 &'
dial 6000 </dev/null | head -c 100000 >/dev/null
ended() { [ "$(guest 'cat /ended')" = ended ]; }
soon "when the host hangs up the guest's end is over" 20 ended
guest '(sock listen vsock:6000 </dev/zero >/dev/null) >/dev/null 2>&1 &'
(dial 6000 </dev/null >/dev/null; echo >"$T/over") &
sleep 1
ok "pause" put "$v/ctl" pause
ok "resume" put "$v/ctl" resume
serve "$T/hello"
is "connections come after a pause" "$(guest 'sock connect vsock:2:5000 </dev/null')" from-the-host
guest_from=$(stat -c %s "$v/console")
ok "a reset" put "$v/ctl" reset
soon "ends what was connected" 20 test -e "$T/over"
ok "boots again" guest_waits 150 '^guest: up'
serve "$T/hello"
is "and the sockets are there again" "$(guest 'sock connect vsock:2:5000 </dev/null')" from-the-host
dir=$(readlink "$v/vsock")
put "$v/ctl" kill
await "$v" stopped
not_ok "they go with the machine" test -e "$dir"
done_testing
