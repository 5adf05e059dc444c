#!/bin/bash
# Owners and modes: the creator owns, the kernel checks, and what is delegated is no more than that.
. tests/lib.sh
. tests/machines.sh
need_root
need_command setpriv
machinefs_start
chmod 711 "$T"
root=$(busybox_root)
chmod 755 "$root"

as() { # UID COMMAND...
	local uid=$1
	shift
	setpriv --reuid "$uid" --regid "$uid" --clear-groups "$@"
}

put_as() { # UID FILE TEXT...
	as "$1" bash -c 'printf "%s\n" "$2" >"$1"' - "$2" "${*:3}"
}

owned() { # what stat says of the files
	stat -c '%n %A %u %g' "$@" | sed "s|$M/||"
}

mkdir "$M/vm/v" "$M/container/c"
v=$M/vm/v c=$M/container/c

# --- modes are the access control
not_ok "another user cannot write" put_as 1000 "$v/cpu.count" 2
ok "but read" as 1000 cat "$v/cpu.count" "$v/state" "$v/error"
not_ok "not the console" as 1000 cat "$v/console"
not_ok "not an environment" as 1000 cat "$c/init.env"
not_ok "not config.yaml, which holds it" as 1000 cat "$c/config.yaml"
not_ok "nor make a machine" as 1000 mkdir "$M/vm/w"
not_ok "nor remove one" as 1000 rmdir "$M/vm/v"
not_ok "nor rename one" as 1000 mv "$M/vm/v" "$M/vm/w"
not_ok "nor start it" put_as 1000 "$v/ctl" start
not_ok "nor wait by writing" put_as 1000 "$v/wait" stopped
not_ok "nor take it" as 1000 chown 1000 "$v"
not_ok "nor open it" as 1000 chmod 777 "$v/cpu.count"
not_ok "nor shut the daemon down" put_as 1000 "$M/ctl" shutdown
not_ok "not even its times" as 1000 touch "$v/cpu.count"
is "nothing has changed" "$(cat "$v/cpu.count" "$v/state" | xargs)" "1 stopped"

# --- the creator owns
chmod 1777 "$M/vm" "$M/container"
ok "who may write vm/ makes machines" as 1000 mkdir "$M/vm/w"
is "and owns them" "$(owned "$M/vm/w" "$M/vm/w/ctl" "$M/vm/w/state" "$M/vm/w/console")" \
	"vm/w drwxr-xr-x 1000 1000
vm/w/ctl -rw-r--r-- 1000 1000
vm/w/state -r--r--r-- 1000 1000
vm/w/console -rw------- 1000 1000"
ok "and configures them" put_as 1000 "$M/vm/w/cpu.count" 2
not_ok "another does not" put_as 1001 "$M/vm/w/cpu.count" 3
not_ok "nor removes them from a sticky directory" as 1001 rmdir "$M/vm/w"
not_ok "nor renames them" as 1001 mv "$M/vm/w" "$M/vm/u"
ok "umask counts" as 1000 bash -c "umask 077; mkdir '$M/vm/u'"
is "for the directory" "$(owned "$M/vm/u")" "vm/u drwx------ 1000 1000"
not_ok "which others then cannot enter" as 1001 cat "$M/vm/u/state"
ok "the owner removes them" as 1000 rmdir "$M/vm/u"

# --- delegation
container_new d /bin/sleep 1000
d=$M/container/d
chmod 666 "$d/ctl"
ok "who may write ctl alone starts" put_as 1000 "$d/ctl" start
ok "pauses" put_as 1000 "$d/ctl" pause
ok "kills" put_as 1000 "$d/ctl" kill
not_ok "but does not resize" put_as 1000 "$d/memory.size" 1G
not_ok "nor reconfigure" put_as 1000 "$d/config.yaml" 'memory.size: 1G'
not_ok "nor remove" as 1000 rmdir "$d"
await "$d" stopped
chmod 640 "$d/memory.size"
chgrp 1005 "$d/memory.size"
ok "groups count" setpriv --reuid 1000 --regid 1005 --clear-groups cat "$d/memory.size"
not_ok "as modes say" as 1000 cat "$d/memory.size"
ok "chown -R hands over" chown -R 1000:1000 "$d"
is "all of it" "$(find "$d" -not -uid 1000 | wc -l)" 0
ok "the new owner configures" put_as 1000 "$d/memory.size" 100M
ok "and delegates" as 1000 chmod 644 "$d/memory.size"
not_ok "but does not give it away" as 1000 chown 1001 "$d"
refused "modes that mean nothing here are refused" EPERM 'mode 777 is not possible here' "$d" chmod 777 "$d/label"
refused "set-user-id too" EPERM 'mode 4644' "$d" chmod 4644 "$d/label"
is "a refused chmod changes nothing" "$(stat -c %a "$d/label")" 644

# --- they are durable
chmod 700 "$v"
chmod 600 "$v/label"
chown 1002 "$v/ctl"
all() { find "$M" -printf '%P %m %U %G\n' | grep -v /proc$ | sort; }
all >"$T/before"
machinefs_kill9
machinefs_start
all >"$T/after"
ok "modes and owners are durable" diff "$T/before" "$T/after"
mv "$v" "$M/vm/vv"
is "over a rename, too" "$(stat -c '%a %u' "$M/vm/vv" "$M/vm/vv/ctl" | xargs)" "700 0 644 1002"
rmdir "$M/vm/vv"
mkdir "$v"
is "but not for another machine of that name" "$(stat -c '%a %u' "$v" "$v/ctl" | xargs)" "755 0 644 0"

# --- the owner's authority, not the daemon's
install -d -m 700 "$T/secret"
cp "$TINY" "$T/secret/kernel" 2>/dev/null || echo text >"$T/secret/kernel"
install -m 600 /dev/null "$T/rootonly"
w=$M/vm/w
not_ok "a path in a directory that the owner cannot enter" put_as 1000 "$w/boot.kernel" "$T/secret/kernel"
like "EACCES, in a sentence" "$(cat "$w/error")" '^EACCES boot\.kernel: .*/secret/kernel'
not_ok "a file that the owner cannot read" put_as 1000 "$w/boot.kernel" "$T/rootonly"
like "likewise" "$(cat "$w/error")" '^EACCES boot\.kernel: '
refused "also when root writes it" EACCES 'boot\.kernel: ' "$w" put "$w/boot.kernel" "$T/rootonly"
printf 'boot.initrd: %s\n...\n' "$T/rootonly" >"$T/initrd.yaml"
not_ok "in config.yaml" as 1000 cp "$T/initrd.yaml" "$w/config.yaml"
ln -s "$T/secret/kernel" "$T/link"
not_ok "through a link" put_as 1000 "$w/boot.kernel" "$T/link"
put "$v/boot.kernel" "$T/rootonly"
chown -R 1000 "$v"
not_ok "what was root's own is opened as the new owner at start" put_as 1000 "$v/ctl" start
like "EACCES" "$(cat "$v/error")" '^EACCES boot\.kernel: '
is "it is stopped" "$(cat "$v/state")" stopped
cat "$w/config.yaml" >"$T/w.yaml"
not_ok "no seccomp filter is root's to grant" put_as 1000 "$d/seccomp" none
like "EPERM" "$(cat "$d/error")" '^EPERM seccomp: '
not_ok "nor other ids of the host" put_as 1000 "$d/user.map" '0 0 1'
like "EPERM" "$(cat "$d/error")" '^EPERM user\.map: '
printf 'seccomp: none\n' >"$T/seccomp.yaml"
not_ok "nor by config.yaml" as 1000 cp "$T/seccomp.yaml" "$d/config.yaml"
is "which is as it was" "$(cat "$d/seccomp" "$w/boot.initrd")" default
done_testing
