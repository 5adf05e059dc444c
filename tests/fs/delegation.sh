#!/bin/bash
# Delegation with three users: alice has a machine, bob nothing, carol what is given to her. What each
# may not do is tried on every file there is.
. tests/lib.sh
. tests/machines.sh
. tests/users.sh
need_root
need_command setpriv python3
users_make
sed -i 's/^admins:x:3002:/&carol/' "$T/etc/group"
cat "$T/etc/group" >/etc/group
machinefs_start
chmod 711 "$T"
chmod 1777 "$M/vm" "$M/container"
container_new c /bin/sleep 1000
chmod -R go+rX "$T/root"
chown -R alice:alice "$M/container/c"
as alice mkdir "$M/vm/v"
c=$M/container/c v=$M/vm/v

# Attempts on files, all in one process of the user who makes them.
cat >"$T/attempt.py" <<'PY'
import grp, os, pwd, sys
def opening(flags):
    return lambda file: os.close(os.open(file, flags))
def owner(name):
    return lambda file: os.chown(file, pwd.getpwnam(name).pw_uid, -1)
def group(name):
    return lambda file: os.chown(file, -1, grp.getgrnam(name).gr_gid)
def mode(bits):
    return lambda file: os.chmod(file, bits)
def touch(file):
    os.utime(file)
def shorten(file):
    os.truncate(file, 0)
def beside(call):
    return lambda file: call(file, os.path.join(os.path.dirname(file), 'other'))
open_files = {'append': opening(os.O_WRONLY | os.O_APPEND | os.O_CREAT), 'open for both': opening(os.O_RDWR)}
attempts = {
    'open': open_files,
    'stranger': open_files | {
        'chmod 666': mode(0o666), 'chown bob': owner('bob'), 'chgrp bob': group('bob'),
        'truncate': shorten, 'touch': touch,
        'rm': os.unlink, 'mv': beside(os.rename), 'ln': beside(os.link)},
    'owner': {
        'rm': os.unlink, 'chmod 4644': mode(0o4644), 'chmod 2644': mode(0o2644),
        'chown bob': owner('bob'), 'chgrp admins': group('admins')},
}
refused = 0
for file in sys.argv[2:]:
    for name, attempt in attempts[sys.argv[1]].items():
        try:
            attempt(file)
            print(name, os.path.basename(file))
        except OSError:
            refused += 1
print('refused:', refused)
PY

# attempt USER KIND FILE...: what he did that he may not, and how often he was refused.
attempt() {
	as "$1" timeout 60 python3 "$T/attempt.py" "${@:2}" 2>&1
}

owned() { # what stat says of a file, or several
	stat -c '%n %a %u %g' "$@" | sed "s|$M/||"
}

# --- nobody but the owner
for machine in "$c" "$v"; do
	files=()
	for file in "$machine"/*; do
		[ ! -f "$file" ] || [ -L "$file" ] || files+=("$file")
	done
	is "bob is refused on every one of ${machine#"$M"/}'s files" "$(attempt bob stranger "${files[@]}")" \
		"refused: $((${#files[@]} * 10))"
	is "not even alice removes one, gives it away, or makes it set-id" "$(attempt alice owner "${files[@]}")" \
		"refused: $((${#files[@]} * 5))"
	is "nothing has changed in ${machine#"$M"/}" "$(find "$machine" -not -uid 2001 -o -not -gid 2001 | wc -l)" 0
done
for command in "rmdir $v" "mv $v $M/vm/w" "mkdir $v/x" "touch $v/x" "chmod 777 $v" "chown bob $v" "chgrp bob $v"; do
	# shellcheck disable=SC2086 # words of a command
	not_ok "bob: ${command//"$M"\//}" as bob $command
done
not_ok "nor does alice give her machine away" as alice chown bob "$v"
not_ok "nor to a group that she is not in" as alice chgrp admins "$v"
ok "to one that she is in she does" as alice chgrp lent "$v"
for mode in 2755 4755 6777; do
	not_ok "no mode $mode" as alice chmod $mode "$v"
done
is "it is as it was, but for the group" "$(owned "$v")" "vm/v 755 2001 3001"

# --- one file each: ctl and console to carol
chown carol "$c/ctl" "$c/console"
ok "whom ctl belongs to starts" put_as carol "$c/ctl" start
ok "types" put_as carol "$c/console" hello
ok "reads the console" as carol cat "$c/console"
ok "stops" put_as carol "$c/ctl" kill
ok "may close her own file" as carol chmod 600 "$c/ctl"
not_ok "but nobody else's" as carol chmod 666 "$c/memory.size"
await "$c" stopped
refused "what she closes is closed to the machine's owner, too" EACCES '' "$c" put_as alice "$c/ctl" start
settings=$("$MACHINEFS" --manual | awk '
	/^\.Sh/ { on = /^\.Sh SETTINGS OF (EVERY|A CONTAINER)/ } on && /^\.It Pa/ { print $3 }')
like "there are settings that she has not" "$settings" 'memory\.size.*root.*seccomp'
files=()
for setting in $settings; do
	files+=("$c/$setting")
done
for user in carol bob; do
	is "$user sets none of them" "$(attempt $user open "${files[@]}")" "refused: $((${#files[@]} * 2))"
done
not_ok "she resizes nothing" put_as carol "$c/memory.size" 1G
not_ok "nor by config.yaml" put_as carol "$c/config.yaml" 'memory.size: 1G'
not_ok "nor reads what is the owner's alone" as carol cat "$c/init.env"
not_ok "nor removes the machine" as carol rmdir "$c"
not_ok "nor renames it" as carol mv "$c" "$M/container/hers"
is "nothing has changed" "$(cat "$c/memory.size" "$c/state" | xargs)" "max stopped"

# --- a group: admins, in which carol is
chgrp admins "$v/cpu.count" "$v/label"
chmod 664 "$v/cpu.count"
ok "who is in the group sets it" put_as carol "$v/cpu.count" 3
not_ok "where it may" put_as carol "$v/label" "a b"
not_ok "who is not does not" put_as bob "$v/cpu.count" 4
is "once" "$(cat "$v/cpu.count")" 3

# --- what is handed over leaves nothing with who had it, nor what he has kept open
coproc as alice bash -c '
	exec 3>"$1/ctl" 4>"$1/config.yaml" 5<"$1/console" 6>"$1/cpu.count" || exit
	echo cpu.count: 7 >&4
	echo open
	read -r go
	echo start >&3
	echo "cpu.count: 8
..." >&4
	exec 4>&-
	cat <&5
	echo 9 >&6
	echo over' - "$v" 2>&1
read -r -u "${COPROC[0]}" said
is "she has them open" "$said" open
as alice chmod 660 "$v/memory.size"
chown bob:bob "$v"
echo go >&"${COPROC[1]}"
said=$(sed /over/q <&"${COPROC[0]}")
is "all of it is refused" "$(grep -c 'denied' <<<"$said")" 4
is "nothing has happened" "$(cat "$v/state" "$v/cpu.count" | xargs)" "stopped 3"
chown carol "$v/ctl"
is "files go along, also with a mode of their own" "$(owned "$v/memory.size" "$v/boot.cmdline" | xargs)" \
	"vm/v/memory.size 660 2002 2500 vm/v/boot.cmdline 644 2002 2500"
not_ok "who had it sets nothing" put_as alice "$v/memory.size" 1G
not_ok "nor starts it" put_as alice "$v/ctl" start
is "but what was delegated" "$(owned "$v/ctl" "$v/cpu.count" | xargs)" \
	"vm/v/ctl 644 2003 2500 vm/v/cpu.count 664 2002 3002"
ok "who has it removes it" as bob rmdir "$v"

# --- vm/ for all, as /tmp
for user in alice bob carol; do
	as "$user" mkdir "$M/vm/$user"
done
is "machines belong to who makes them" "$(owned "$M/vm/alice" "$M/vm/bob/ctl" "$M/vm/carol/console" | xargs)" \
	"vm/alice 755 2001 2001 vm/bob/ctl 644 2002 2500 vm/carol/console 600 2003 2003"
for user in alice bob carol; do
	for other in alice bob carol; do
		[ "$user" != "$other" ] || continue
		not_ok "$user does not remove ${other}'s" as "$user" rmdir "$M/vm/$other"
		not_ok "nor renames it" as "$user" mv "$M/vm/$other" "$M/vm/$user.2"
		not_ok "nor puts hers in its place" as "$user" mv -T "$M/vm/$user" "$M/vm/$other"
	done
done
chmod 755 "$M/vm"
not_ok "nobody makes one where root has closed the door" as alice mkdir "$M/vm/alice.2"
chgrp admins "$M/vm" && chmod 775 "$M/vm"
ok "a group may have it" as carol mkdir "$M/vm/carol.2"
not_ok "others have not" as bob mkdir "$M/vm/bob.2"

# --- all of it lasts
all() { find "$M" -printf '%P %m %U %G\n' | grep -v '/proc ' | sort; }
all >"$T/before"
machinefs_kill9
machinefs_start
all >"$T/after"
ok "owners and modes are durable" diff "$T/before" "$T/after"
done_testing
