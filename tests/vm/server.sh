#!/bin/bash
# A share's server on the host, with the tiny guest, which does not look: who it is, what it has, and
# when it ends. What a guest sees of it, tests/vm/share.sh shows.
. tests/lib.sh
. tests/machines.sh
. tests/users.sh
need_root
need_command setpriv
need_device /dev/kvm
virtiofsd=/usr/lib/qemu/virtiofsd
[ -x $virtiofsd ] || skip_all "needs $virtiofsd"
users_make
machinefs_start
chmod 711 "$T"
install -d -o alice "$T/dir" "$T/other"
echo x >"$T/dir/file"
servers() { pgrep -x virtiofsd | xargs; }
some() { [ -n "$(servers)" ]; }
none() { [ -z "$(servers)" ]; }
status() { sed -n "s/^$2:[[:space:]]*//p" "/proc/$1/status" | xargs; }

vm_new v hello halt
v=$M/vm/v
chown -R alice "$v"
mkdir "$v/share/data"
mount --bind /dev/null $virtiofsd
put "$v/share/data/path" "$T/dir"
refused "without a virtiofsd there is no share" ENXIO "share/data/path: this host has no $virtiofsd" "$v" put "$v/ctl" start
umount $virtiofsd
is "the machine is as before" "$(cat "$v/state")" stopped
ok "with one it starts" put_as alice "$v/ctl" start
soon "it is served" 10 some
for pid in $(servers); do
	is "by her" "$(status "$pid" Uid) $(status "$pid" Gid)" "2001 2001 2001 2001 2001 2001 2001 2001"
	is "without her groups" "$(status "$pid" Groups)" ""
	is "in a user namespace in which she is root" "$(xargs <"/proc/$pid/uid_map")" "0 2001 1"
	is "with no way to more" "$(status "$pid" NoNewPrivs)" 1
	is "in a root that is the directory" "$(ls "/proc/$pid/root/")" file
	is "and nothing of the daemon's but its standard error" "$(find "/proc/$pid/fd" -lname "$T/*" ! -name 2)" ""
done
as alice mkdir "$v/share/more"
ok "another one is plugged in" put_as alice "$v/share/more/path" "$T/other"
before=$(servers)
refused "what is no directory is not" EINVAL 'share/more/path: ' "$v" put_as alice "$v/share/more/path" "$T/dir/file"
is "and changes nothing" "$(servers)" "$before"
machinefs_kill9
machinefs_start
is "servers outlive the daemon" "$(servers)" "$before"
put "$v/ctl" kill
await "$v" stopped
soon "not their machine" 10 none
rmdir "$v/share/more"
put "$v/ctl" start
soon "nor" 10 some
kill -9 "$(cat "$v/pid")"
soon "a monitor that is killed" 10 none
poll 10 state_is "$v" failed

# --- in an ordinary user's own daemon, who cannot drop groups
machinefs_stop
device kvm alice 660
device fuse alice 666
install -d -o alice "$T/hers" "$T/hers/m"
cp "$MACHINEFS" "$TINY" "$T/hers"
as alice "$T/hers/machinefs" -f --state-dir "$T/hers/s" --run-dir "$T/hers/r" "$T/hers/m" >"$T/hers.log" 2>&1 &
poll 10 as alice cat "$T/hers/m/version"
v=$T/hers/m/vm/v
as alice mkdir "$v" "$v/share/data"
put_as alice "$v/boot.kernel" "$T/hers/tiny.elf"
put_as alice "$v/boot.cmdline" hello halt
put_as alice "$v/share/data/path" "$T/dir"
ok "she starts one" put_as alice "$v/ctl" start
soon "served by her" 10 some
is "in a root that is the directory" "$(ls "/proc/$(pgrep -n -x virtiofsd)/root/")" file
put_as alice "$v/ctl" kill
soon "as long as it runs" 10 none
as alice fusermount3 -u -z "$T/hers/m"
done_testing
