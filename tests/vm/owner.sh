#!/bin/bash
# A virtual machine of an ordinary user under root's daemon: its monitor is she, with nothing else.
. tests/lib.sh
. tests/machines.sh
. tests/users.sh
need_root
need_command setpriv
need_device /dev/kvm
users_make
machinefs_start
chmod 711 "$T"
# What only her other group opens is opened for her; the monitor does not need it.
install -d -m 750 -g lent "$T/shared"
install -m 640 -g lent "$TINY" "$T/shared/kernel"

status() { # PID FIELD
	sed -n "s/^$2:[[:space:]]*//p" "/proc/$1/status" | xargs
}

v=$M/vm/v
mkdir "$v"
chown alice:admins "$v"
put_as alice "$v/boot.kernel" "$T/shared/kernel"
put_as alice "$v/memory.size" 32M
put_as alice "$v/boot.cmdline" hello halt
ok "she starts it" put_as alice "$v/ctl" start
soon "it runs" 10 grep -q '^tiny: hello' "$v/console"
pid=$(cat "$v/pid")
is "its monitor has her uid" "$(status "$pid" Uid)" "2001 2001 2001 2001"
is "and her main group, not the directory's" "$(status "$pid" Gid)" "2001 2001 2001 2001"
is "none of her others, nor the daemon's" "$(status "$pid" Groups)" ""
for set in CapInh CapPrm CapEff CapAmb; do
	is "no capability: $set" "$(status "$pid" $set)" 0000000000000000
done
is "no way to get any" "$(status "$pid" NoNewPrivs)" 1
is "every thread likewise" "$(cat "/proc/$pid/task/"*/status | grep -cE '^Uid:[[:space:]]2001[[:space:]]2001[[:space:]]2001[[:space:]]2001$')" \
	"$(find "/proc/$pid/task" -mindepth 1 -maxdepth 1 | wc -l)"
is "it is not the opener" "$(pgrep -P "$MACHINEFS_PID" -f machinefs-opener | grep -cx "$pid")" 0
is "its terminal is hers" "$(stat -Lc %u "$v/tty")" 2001
not_ok "she cannot trace it: it was root once" as alice cat "/proc/$pid/environ"

# --- who commands it
refused "it cannot become another's while it runs as she" EBUSY 'owner cannot change while .* user 2001' "$v" chown bob "$v"
ok "its group can" chgrp lent "$v"
ok "and its files' owners" chown bob "$v/ctl"
ok "by which another may end it" put_as bob "$v/ctl" kill
await "$v" stopped
ok "then it can" chown -R bob:bob "$v"
refused "but her kernel is not his" EACCES 'boot\.kernel: ' "$v" put_as bob "$v/ctl" start
machinefs_kill9
chown -R root "$T/shared"
chmod 755 "$T/shared" && chmod 644 "$T/shared/kernel"
machinefs_start
ok "he starts one that is" put_as bob "$v/ctl" start
is "which runs as he, in his main group" "$(status "$(cat "$v/pid")" Uid) $(status "$(cat "$v/pid")" Gid)" \
	"2002 2002 2002 2002 2500 2500 2500 2500"
machinefs_kill9
machinefs_start
refused "the next daemon knows whom it runs as" EBUSY 'owner cannot change' "$v" chown alice "$v"
put "$v/ctl" kill
await "$v" stopped
done_testing
