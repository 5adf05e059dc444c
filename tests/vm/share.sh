#!/bin/bash
# Directories of the host in a machine with Debian's own kernel, by virtiofs: what the guest may do
# with them, in whose name, and what happens to one while it runs.
# timeout: 300
. tests/lib.sh
. tests/users.sh
need_root
users_make
machinefs_start
. tests/lab/guest
guest_make virtio_pci virtiofs
chmod 711 "$T"

mkdir "$T/pub" "$T/ro" "$T/own"
echo from-the-host >"$T/pub/hello"
echo secret >"$T/secret"
ln -s ../secret "$T/pub/up"
ln -s "$T/secret" "$T/pub/across"
echo frozen >"$T/ro/file"

# share_mount TAG [OPTION...]: mounts it there, when the guest has found the device.
share_mount() {
	guest "mkdir -p /$1; for i in 1 2 3 4 5 6 7 8 9 10; do mount -t virtiofs $1 /$1 && exit 0; sleep 1; done; exit 1"
}
servers() { pgrep -x virtiofsd | wc -l; }
no_servers() { [ "$(servers)" = 0 ]; }

# --- plugged into a machine that was started without any
ok "a machine starts without a share" guest_start || { done_testing; exit; }
guest 'echo kept >/before'
mkdir "$v/share/pub"
is "mkdir alone starts no server" "$(servers)" 0
ok "a path plugs it in" put "$v/share/pub/path" "$T/pub"
ok "there is a server" test "$(servers)" -gt 0
ok "the guest mounts it by its name" share_mount pub
is "and reads what the host has" "$(guest 'cat /pub/hello')" from-the-host
guest_sees "it writes" 'echo from-the-guest >/pub/answer && seq 1 100000 >/pub/numbers && sync'
is "which the host has" "$(cat "$T/pub/answer") $(md5sum <"$T/pub/numbers")" "from-the-guest $(seq 1 100000 | md5sum)"
is "of root, whose machine it is" "$(stat -c %u:%g "$T/pub/answer")" 0:0
echo later >"$T/pub/hello"
again() { [ "$(guest 'cat /pub/hello')" = later ]; }
soon "what the host changes the guest sees" 20 again
guest_sees "directories, links, names" 'cd /pub && mkdir -p d/e && ln -s hello s && ln hello h && mv d/e d/f && [ "$(cat s h)" = "$(printf "later\nlater")" ] && rm s h && rmdir d/f d'
is "what it had in memory before is there" "$(guest 'cat /before')" kept

# --- the way out
not_ok "no way up from its root" guest 'cat /pub/../secret'
not_ok "nor by a link that leads up" guest 'cat /pub/up'
not_ok "nor by one that leads to the host" guest 'cat /pub/across'
not_ok "no devices can be made" guest 'mknod /pub/disk b 8 0'
root=$(pgrep -x -n virtiofsd)
is "its server sees that directory alone" "$(ls "/proc/$root/root/")" "$(ls "$T/pub")"
is "in no network" "$(nsenter -t "$root" -n ip -o link | wc -l)" 1
is "with few capabilities" "$(sed -n 's/^CapEff:[[:space:]]*//p' "/proc/$root/status")" 00000000800000db
is "and a system call filter" "$(sed -n 's/^Seccomp:[[:space:]]*//p' "/proc/$root/status")" 2

# --- read only
mkdir "$v/share/ro"
put "$v/share/ro/readonly" 1
ok "one that is read only" put "$v/share/ro/path" "$T/ro"
ok "is mounted" share_mount ro
is "and read" "$(guest 'cat /ro/file')" frozen
not_ok "not written" guest 'echo x >/ro/file'
not_ok "nor added to" guest 'echo x >/ro/new'
not_ok "nor removed from" guest 'rm /ro/file'
not_ok "nor changed" guest 'chmod 777 /ro/file'
is "the host's is as it was" "$(ls "$T/ro") $(cat "$T/ro/file")" "file frozen"
refused "that cannot change under the guest" EBUSY 'share/ro/readonly: .*while' "$v" put "$v/share/ro/readonly" 0

# --- a server that dies
pkill -9 -x virtiofsd
broken() { grep -q 'share/pub: its server is gone' "$v/events" && grep -q 'share/ro: its server is gone' "$v/events"; }
soon "a server that dies is told of" 20 broken
like "error has a sentence" "$(cat "$v/error")" 'share/(pub|ro): its server is gone'
is "the machine goes on" "$(cat "$v/state"): $(guest 'echo still here')" "running: still here"
ok "the share can be unplugged" rmdir "$v/share/pub"
ok "and the other" rmdir "$v/share/ro"
mkdir "$v/share/anew"
ok "and the directory plugged anew" put "$v/share/anew/path" "$T/pub"
ok "is mounted" share_mount anew
is "and read" "$(guest 'cat /anew/answer')" from-the-guest

# --- unplugged
guest_sees "the guest unmounts" 'umount /anew'
ok "it is unplugged" put "$v/share/anew/path" ''
soon "then its server is gone" 60 no_servers
again() { put "$v/share/anew/path" "$T/pub"; }
soon "and it comes again" 60 again
ok "is mounted" share_mount anew

# --- with the machine
guest_from=$(stat -c %s "$v/console")
ok "a reset" put "$v/ctl" reset
ok "boots again" guest_waits 150 '^guest: up'
ok "the share is mounted as before" share_mount anew
is "and read" "$(guest 'cat /anew/answer')" from-the-guest
put "$v/ctl" kill
await "$v" stopped
ok "with the machine its server is gone" no_servers

# --- in her name
refused "a directory that is none" EINVAL 'share/anew/path: ' "$v" put "$v/share/anew/path" relative
chown -R alice "$v" "$T/own"
chmod 700 "$T/own"
install -m 600 /dev/null "$T/own/roots"
echo hers >"$T/own/file"
chown alice "$T/own/file"
chmod 644 "$T/guest-initrd"
put "$v/share/anew/path" "$T/pub"
rm -f "$T/own/up"
mkdir -m 700 "$T/closed"
refused "what she may not open" EACCES 'share/anew/path: ' "$v" put_as alice "$v/share/anew/path" "$T/closed"
put_as alice "$v/share/anew/path" "$T/own"
ok "she starts her machine with a share" guest_start
ok "is mounted" share_mount anew
is "her file" "$(guest 'cat /anew/file')" hers
guest_sees "is written" 'echo new >/anew/new && mkdir /anew/dir && chmod 4755 /anew/new'
is "as she, by her group" "$(stat -c %u:%g "$T/own/new" "$T/own/dir" | xargs)" "2001:2001 2001:2001"
not_ok "what is root's is not" guest 'cat /anew/roots'
not_ok "and nothing becomes another's" guest 'chown 1234 /anew/new'
is "its server is she" "$(ps -o ruser= -p "$(pgrep -x -d, virtiofsd)" | sort -u)" alice
ok "in the machine's control group" grep -q "$(cat "$v/uuid")" "/proc/$(pgrep -x -n virtiofsd)/cgroup"
put_as alice "$v/ctl" kill
await "$v" stopped
ok "and gone with it" no_servers
done_testing
