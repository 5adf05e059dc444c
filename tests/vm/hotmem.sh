#!/bin/bash
# RAM that comes and goes while Debian's kernel runs (virtio-mem), and that it gives back (balloon).
# timeout: 300
. tests/lib.sh
. tests/linux.sh
need_linux
machinefs_start
linux_new v virtio_pci virtio_mem virtio_balloon
v=$M/vm/v
total() { guest v "sed -n 's/MemTotal: *\([0-9]*\).*/\1/p' /proc/meminfo"; }
stat_is() { test "$(value "$v/stat" "$1")" "$2" "$3"; }
soon_stat() { # NAME KEY OP VALUE: asked seldom

	for _ in {1..60}; do
		! stat_is "$2" "$3" "$4" || { pass "$1"; return; }
		sleep 1
	done
	fail "$1" "$(cat "$v/stat")"
}

ok "a guest with room for memory boots" linux_boot v "memory.size 256M" "memory.possible 768M" \
	"memory.backing small" "boot.cmdline console=ttyS0 quiet panic=-1 memhp_default_state=online_movable" || done_testing
before=$(total)
ok "it has 256 MiB ($before KiB)" test "$before" -gt 200000 -a "$before" -le 262144
ok "256 MiB more" put "$v/memory.size" 512M
soon_stat "come" memory.plugged = 268435456
after=$(total)
ok "the guest has them ($after KiB)" test $((after - before)) -gt 240000
ok "half of it goes" put "$v/memory.size" 384M
soon_stat "again" memory.plugged = 134217728
refused "less than it was started with" EBUSY 'memory.size: cannot be less than the 256 MiB' "$v" put "$v/memory.size" 128M
refused "more than there is room for" EBUSY 'memory.size: there is room for 768 MiB' "$v" put "$v/memory.size" 1G
is "changes nothing" "$(cat "$v/memory.size")" 402653184

soon_stat "the guest's figures arrive" guest.total -gt 200000000
ok "memory.available says what it could give" test "$(cat "$v/memory.available")" -gt 50000000
# Fills memory and frees it, so that there is something to give back.
guest v 'mkdir /fill; mount -t tmpfs -o size=100m tmpfs /fill; dd if=/dev/zero of=/fill/x bs=1M count=90 2>/dev/null' >/dev/null
rss() { sed -n 's/^VmRSS:[^0-9]*\([0-9]*\).*/\1/p' "/proc/$(cat "$v/pid")/status"; }
full=$(rss) # now: what is free the guest reports within seconds
guest v 'rm /fill/x' >/dev/null
ok "64 MiB are asked back" put "$v/memory.balloon" 64M
soon_stat "and given" balloon.current = 67108864
soon_stat "free pages are reported without asking" balloon.reported -gt 1000000
less() { for _ in {1..30}; do [ "$(rss)" -ge $((full - 50000)) ] || return 0; sleep 1; done; return 1; }
ok "the host has its memory back ($full KiB before)" less
put "$v/memory.balloon" 0
soon_stat "the balloon is let down" balloon.current = 0
ok "reset" put "$v/ctl" reset
linux_from[v]=$(stat -c %s "$v/console")
ok "it boots again" linux_waits 300 v '^guest: listens'
soon_stat "and gets what memory.size says" memory.plugged = 134217728
guest_end v
done_testing
