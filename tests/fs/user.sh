#!/bin/bash
# timeout: 180
# An ordinary user's own daemon: no root, but fusermount3. Run by root the test makes a user, gives
# her what an administrator would (/dev/kvm by a group, subordinate ids, on cgroup v2 a group of her
# own), and goes on as she; run by anybody else it goes on as he is.
. tests/lib.sh
. tests/machines.sh
. tests/users.sh
need_command fusermount3 setpriv

# What a root's daemon leaves behind; and on version 2 a group that is hers, as systemd delegates one:
# this test is in one part of it, her daemon gets the other for itself.
SLICE=/sys/fs/cgroup/alice.slice
control_groups() {
	machinefs_start && mkdir "$M/container/x" && rmdir "$M/container/x" && machinefs_stop
	[ "$(stat -fc %T /sys/fs/cgroup)" = cgroup2fs ] || return 0
	mkdir -p $SLICE/session $SLICE/daemon
	echo "+cpu +memory +pids" >$SLICE/cgroup.subtree_control
	local group
	for group in $SLICE $SLICE/session $SLICE/daemon; do
		chown alice "$group" "$group"/cgroup.{procs,subtree_control,threads}
	done
	echo $$ >$SLICE/session/cgroup.procs
	export OWN_GROUP=1
}

# A daemon that comes after another goes where that has been.
in_own_group() {
	local group=$SLICE/daemon
	[ ! -d $group/machinefs.daemon ] || group=$group/machinefs.daemon
	MACHINEFS_UNDER=(bash -c 'echo $$ >"$0/cgroup.procs" && exec "$@"' "$group")
}

if [ "$(id -u)" = 0 ]; then
	users_make
	subordinate alice 100000 65536
	device kvm lent 660
	device fuse root 666
	control_groups
	install -d -o alice -g alice "$T/alice"
	[ ! -d "$B/tests/rootfs" ] || cp -a "$B/tests/rootfs" "$T/alice/root"
	chown -R alice:alice "$T/alice"
	install -m 600 /dev/null "$T/alice/roots"
	M='' own_tmp=''
	TEST_TMP=$T/alice exec setpriv --reuid alice --regid alice --init-groups "$BASH" "$0"
fi

me=$(id -u)
roots=$T/roots
[ -e "$roots" ] || roots=/etc/shadow
[ -d "$T/root" ] || busybox_root >/dev/null
if [ -n "${OWN_GROUP-}" ]; then
	# Somebody else is in this group: cpu and pids would make threads of those below.
	machinefs_start
	mkdir "$M/container/c"
	put "$M/container/c/root" "$T/root"
	put "$M/container/c/init" /bin/true
	ok "in a group that is not the daemon's alone a container runs without" put "$M/container/c/ctl" start ||
		diag "$(cat "$M/container/c/error")"
	await "$M/container/c" stopped
	put "$M/container/c/pids.max" 50
	refused "and limits are refused" ENXIO 'not alone in its control group' "$M/container/c" put "$M/container/c/ctl" start
	rmdir "$M/container/c"
	machinefs_stop
	in_own_group
fi
machinefs_start
ok "an ordinary user's daemon mounts" cat "$M/version"
like "the mount is hers" "$(grep " $M " /proc/self/mountinfo)" "user_id=$me"
is "so is all in it" "$(find "$M" -not -uid "$me" | wc -l)" 0
is "the daemon is she" "$(stat -c %u "/proc/$MACHINEFS_PID")" "$me"

# status PID FIELD
status() {
	sed -n "s/^$2:[[:space:]]*//p" "/proc/$1/status" | xargs
}

empty() { # nothing of the machines is left on disk, and no socket
	! find "$STATE_DIR/vm" "$STATE_DIR/container" -mindepth 1 | grep -q . && ! find "$RUN_DIR" -type s | grep -q .
}

# --- settings
ok "she makes machines" mkdir "$M/vm/v" "$M/container/c"
v=$M/vm/v c=$M/container/c
ok "and sets them" put "$v/cpu.count" 2
put "$v/cpu.count" 1
refused "what may not be hers is refused" EACCES 'boot.kernel: ' "$v" put "$v/boot.kernel" "$roots"
refused "likewise to the last" EPERM 'user\.map: ' "$c" put "$c/user.map" '0 0 1'
not_ok "she gives nothing away" chown 0 "$v"
is "it is hers still" "$(stat -c %u "$v")" "$me"

# --- a container
put "$c/root" "$T/root"
put "$c/init" "/bin/sh -c 'id -u; tr -s \" \" </proc/self/uid_map; touch /made; exit 3'"
ok "a container starts" put "$c/ctl" start || diag "$(cat "$c/error")"
await "$c" stopped
is "and ends" "$(cat "$c/exit")" "exited 3"
like "she is root inside" "$(cat "$c/console")" "^0"$'\n'" 0 $me 1"
is "what it makes is hers" "$(stat -c %u "$T/root/made")" "$me"
if grep -q "^$(id -un):" /etc/subuid && grep -q "^$(id -un):" /etc/subgid && command -v newuidmap >/dev/null; then
	like "her subordinate ids follow" "$(cat "$c/console")" " 1 $(sed -n "s/^$(id -un):\([0-9]*\):/\1 /p" /etc/subuid)"
	put "$c/init.user" 1000
	put "$c/init" "/bin/sh -c 'id -u'"
	ok "so that init may be another user" put "$c/ctl" start
	await "$c" stopped
	like "and is" "$(tail -n 1 "$c/console")" '^1000'
	put "$c/init.user" 0
fi
put "$c/init" "/bin/sleep 1000"
ok "one that runs" put "$c/ctl" start
pid=$(cat "$c/pid")
is "is hers" "$(status "$pid" Uid)" "$me $me $me $me"
monitor=$(status "$pid" PPid)
is "so is its monitor" "$(status "$monitor" Uid)" "$me $me $me $me"
is "which has no capability" "$(status "$monitor" CapEff)" 0000000000000000
d=$M/container/d
mkdir "$d" "$d/exec/s"
put "$d/root" "$T/root"
put "$d/init" "/bin/sleep 1000"
put "$d/oom.score" 500
put "$d/namespaces.join" $'user c\nnet c\nuts c'
ok "a second one shares its user namespace, network and name" put "$d/ctl" start || diag "$(cat "$d/error")"
is "which are the first's" "$(readlink "$d/ns/"{user,net,uts} | xargs)" "$(readlink "$c/ns/"{user,net,uts} | xargs)"
put "$d/exec/s/argv" /bin/sh -c "'id -u; cat /proc/self/oom_score_adj'"
put "$d/exec/s/ctl" start && await "$d/exec/s" stopped
is "where its root is hers, too" "$(head -n 1 "$d/exec/s/stdout") $(status "$(cat "$d/pid")" Uid)" "0 $me $me $me $me"
is "what is to be killed first is a session's, too" "$(tail -n 1 "$d/exec/s/stdout") $(cat "/proc/$(cat "$d/pid")/oom_score_adj")" "500 500"
put "$d/ctl" kill && await "$d" stopped
rmdir "$d"
machinefs_kill9
[ -z "${OWN_GROUP-}" ] || in_own_group
machinefs_start
is "the next daemon finds it" "$(cat "$c/state") $(cat "$c/pid")" "running $pid"
ok "kill" put "$c/ctl" kill
ok "it ends" await "$c" stopped

# --- limits: where she has control groups, or a sentence
put "$c/pids.max" 50
put "$c/init" "/bin/sh -c 'cat /sys/fs/cgroup/pids.max'"
if [ -n "${OWN_GROUP-}" ]; then
	ok "limits hold in a group of her own" put "$c/ctl" start || diag "$(cat "$c/error")"
	await "$c" stopped
	is "as they are set" "$(tail -n 1 "$c/console")" 50
	put "$c/init" "/bin/sleep 1000"
	put "$c/ctl" start
	ok "pause" put "$c/ctl" pause
	ok "resume" put "$c/ctl" resume
	put "$c/ctl" kill && await "$c" stopped
else
	refused "limits without a control group of her own" ENXIO 'no limits are possible: ' "$c" put "$c/ctl" start
fi
put "$c/pids.max" max

# --- a virtual machine
if can_run_vms; then
	put "$v/memory.size" 32M
	put "$v/boot.kernel" "$TINY"
	put "$v/boot.cmdline" hello halt
	ok "a VM starts" put "$v/ctl" start || diag "$(cat "$v/error")"
	soon "and prints" 10 grep -q '^tiny: hello' "$v/console"
	pid=$(cat "$v/pid")
	is "its monitor is hers" "$(status "$pid" Uid)" "$me $me $me $me"
	is "without capabilities" "$(status "$pid" CapEff)" 0000000000000000
	ok "pause" put "$v/ctl" pause
	ok "resume" put "$v/ctl" resume
	ok "kill" put "$v/ctl" kill
	ok "it ends" await "$v" stopped
	is "as it was told" "$(cat "$v/exit")" "signaled 9"
	put "$v/isolation" thread
	ok "on a thread of her daemon" put "$v/ctl" start
	put "$v/ctl" kill
	ok "and ends" await "$v" stopped
else
	put "$v/boot.kernel" /bin/sh # it is opened, not run
	refused "no VM without /dev/kvm" ENXIO 'kvm' "$v" put "$v/ctl" start
fi

# --- nothing is left
ok "rmdir" rmdir "$v" "$c"
soon "leaves nothing" 5 empty
is "no control group either" "$(find /sys/fs/cgroup \( -name 'vm-*' -o -name 'container-*' \) -user "$me" 2>/dev/null | wc -l)" 0
machinefs_stop
is "SIGTERM ends the daemon" $? 0
is "and its mount" "$(grep -c " $M " /proc/self/mountinfo)" 0
done_testing
