#!/bin/bash
# Containers of ordinary users under root's daemon: who they are inside and outside, and which ids.
. tests/lib.sh
. tests/users.sh
need_root
need_command setpriv
users_make
MACHINEFS_UNDER=(setpriv --groups 3002)
machinefs_start
chmod 711 "$T"
root=$(busybox_root)
chown -R alice:alice "$root"
for group in lent admins; do
	echo content >"$root/$group"
	chgrp "$group" "$root/$group"
	chmod 040 "$root/$group"
done
mkdir "$root/open" "$root/proc" "$root/sys" "$root/dev" 2>/dev/null
chmod 777 "$root/open"
c=$M/container/c
mkdir "$c" && chown -R alice:alice "$c"
put "$c/root" "$root"

# inside COMMAND: its output, from a fresh run; or the refusal.
inside() {
	put "$c/init" "/bin/sh -c '$*'"
	local before
	before=$(wc -c <"$c/console")
	if put "$c/ctl" start 2>/dev/null; then
		await "$c" stopped
		tail -c +$((before + 1)) "$c/console"
	else
		cat "$c/error"
	fi
}

maps() {
	inside "cat /proc/self/uid_map /proc/self/gid_map /proc/self/setgroups" | xargs
}

status() { # PID FIELD
	sed -n "s/^$2:[[:space:]]*//p" "/proc/$1/status" | xargs
}

# --- without subordinate ids
is "root inside is the owner, and nobody else is there" "$(maps)" "0 2001 1 0 2001 1 deny"
like "so nobody else can be init" "$(put "$c/init.user" 7 && inside true)" '^EINVAL init\.user: '
put "$c/init.user" 0
is "what he makes is the owner's" "$(inside 'echo x >/open/his'; stat -c '%u %g' "$root/open/his")" "2001 2001"
is "he has the owner's groups" "$(inside 'cat /lent')" content
like "and not the daemon's" "$(inside 'cat /admins 2>&1')" 'denied'
chown bob "$c"
is "an owner's group is his main one" "$(maps)" "0 2002 1 0 2500 1 deny"
chgrp admins "$c"
is "not that of the directory" "$(maps)" "0 2002 1 0 2500 1 deny"
chown 54321:54322 "$c"
is "but for one whom the user database does not know" "$(maps)" "0 54321 1 0 54322 1 deny"
chown alice:alice "$c"

# --- processes
put "$c/init" "/bin/sleep 1000"
put "$c/ctl" start
pid=$(cat "$c/pid")
is "init is the owner outside" "$(status "$pid" Uid) $(status "$pid" Gid)" "2001 2001 2001 2001 2001 2001 2001 2001"
is "with his groups" "$(status "$pid" Groups)" "2001 3001"
monitor=$(status "$pid" PPid)
is "the monitor stays root: it makes mounts and namespaces of others" "$(status "$monitor" Uid)" "0 0 0 0"
put "$c/ctl" kill
await "$c" stopped

# --- with them
subordinate alice 100000 65536
is "they come behind the owner" "$(maps)" "0 2001 1 1 100000 65536 0 2001 1 1 100000 65536 allow"
put "$c/init.user" 1000:1001
is "init may be another user" "$(inside 'echo x >/open/other; id -u; id -g'; stat -c '%u %g' "$root/open/other")" "1000
1001
100999 101000"
put "$c/init.user" 0
is "its groups are dropped then" "$(inside 'cat /lent 2>&1 | grep -c denied')" 1
echo 'alice:300000:10' >>/etc/subuid
echo 'alice:400000:20' >>/etc/subgid
is "ranges of either kind follow each other" "$(maps)" \
	"0 2001 1 1 100000 65536 65537 300000 10 0 2001 1 1 100000 65536 65537 400000 20 allow"
subordinate alice 100000 65536
echo '2002:200000:1000' >>/etc/subuid
echo '2002:200000:1000' >>/etc/subgid
chown bob "$c"
is "a range may be given to a number" "$(maps)" "0 2002 1 1 200000 1000 0 2500 1 1 200000 1000 allow"
chown alice "$c"

# --- user.map
map() { # LINE...
	local line
	for line in 0 1 2; do put "$c/user.map" "$line default" 2>/dev/null; done
	for line; do put "$c/user.map" "$line" || return; done
}
ok "he may map his own" map '0 100000 1000'
is "which it is" "$(maps)" "0 100000 1000 0 100000 1000 allow"
ok "also in parts, with himself" map '1 100000 10' '0 2001 1' '2000 165535 1'
like "both are" "$(maps)" "0 2001 1 .*2000 165535 1"
put "$c/user.map" "2000 default"
ok "himself alone" map '0 2001 1'
is "then groups cannot be dropped" "$(maps)" "0 2001 1 0 2001 1 deny"
for line in '0 0 1' '0 0 4294967295' '0 99999 2' '0 165535 2' '0 165536 1' '0 200000 10' '0 2002 1' '0 2001 2' \
	'0 100000 65537' '0 3001 1'; do
	put "$c/user.map" "0 default"
	refused "not $line" EPERM 'user\.map: .*are not user 2001' "$c" put "$c/user.map" "$line"
	like "nor does he himself" "$(put_as alice "$c/user.map" "$line" 2>&1)" 'not permitted'
done
is "nothing is set" "$(cat "$c/user.map")" ""
printf 'user.map:\n  0: 0 1\n' >"$T/map.yaml"
refused "nor by config.yaml" EPERM 'user\.map' "$c" cp "$T/map.yaml" "$c/config.yaml"
map
grep -v alice "$T/etc/subgid" >"$T/lines"
cat "$T/lines" >/etc/subgid
refused "uids alone are not enough" EPERM 'user\.map: .*/etc/subgid' "$c" put "$c/user.map" '0 100000 10'
is "so there are none by default" "$(maps)" "0 2001 1 0 2001 1 deny"
subordinate alice 100000 65536
put "$c/user.map" "0 100000 10"
subordinate alice
refused "what was taken from him is missed at the start" EPERM 'user\.map: ' "$c" put "$c/ctl" start
chown bob "$c"
refused "another owner has other ids" EPERM "user\.map: .*user 2002's" "$c" put "$c/ctl" start
chown alice "$c"
map

# --- the walls that are only root's to take down
refused "a machine of another user is not run inside the daemon" EPERM 'isolation: ' "$c" put "$c/isolation" thread
chown root "$c"
put "$c/isolation" thread
chown alice "$c"
refused "nor one that root has let" EPERM 'isolation: thread' "$c" put "$c/ctl" start
put "$c/isolation" process
done_testing
