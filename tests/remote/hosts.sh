# shellcheck shell=bash
# tests/remote/hosts.sh: two hosts in the lab, sourced after tests/lib.sh. The server is the lab
# itself, where the daemon runs; the client is a network namespace behind a cable. They have one
# file system, so what the client mounts on $R can be looked at from here.

. tests/machines.sh
. tests/tools.sh
server_address=192.0.2.1
client_address=192.0.2.2
R=$T/remote
waits=()
tools_skip=$tools_again # each costs a tenth of a second and more here

# hosts_start: the hosts, with sshd on the server, as any server has one, and the daemon.
hosts_start() {
	[ -n "${IN_LAB-}" ] || skip_all "runs inside the lab only: tests/lab/run $0"
	mkdir -p "$R"
	host_new && client_pid=$!
	ip link add cable type veth peer name cable netns "$client_pid"
	ip address add $server_address/24 dev cable
	ip link set cable up
	client ip address add $client_address/24 dev cable
	client ip link set cable up
	client ip link set lo up
	grep -q ^alice: /etc/passwd || echo 'alice:x:1000:1000::/tmp:/bin/sh' >>/etc/passwd
	sshd_start
	machinefs_start
	export REMOTE=$M
	listened=$(listening)
	tools_setup
}

# host_new: another host, as a process ($!) with a network of its own.
host_new() {
	unshare --net sleep 100000 &
	poll 10 eval "[ \$(readlink /proc/$!/ns/net) != \$(readlink /proc/self/ns/net) ]"
}

# client COMMAND...: on the client. alice COMMAND...: there, by another user than root.
client() {
	nsenter --net="/proc/$client_pid/ns/net" "$@"
}

alice() {
	client setpriv --reuid=1000 --regid=1000 --clear-groups "$@"
}

# Whoever has the key may log in, as any user.
sshd_start() {
	# Where /etc/shadow does not speak of root, systemd's name service calls the account locked.
	printf '%s:*:::::::\n' root alice >/etc/shadow
	mkdir -p /run/sshd /root/.ssh "$T/ssh"
	ssh-keygen -q -t ed25519 -N '' -f "$T/ssh/host"
	ssh-keygen -q -t ed25519 -N '' -f "$T/ssh/id"
	cat >"$T/ssh/sshd_config" <<-END
		ListenAddress $server_address
		HostKey $T/ssh/host
		AuthorizedKeysFile $T/ssh/id.pub
		StrictModes no
		PidFile $T/ssh/pid
		Subsystem sftp /usr/lib/openssh/sftp-server
	END
	cat >/root/.ssh/config <<-END
		Host server
		HostName $server_address
		IdentityFile $T/ssh/id
		UserKnownHostsFile $T/ssh/known
	END
	echo "$server_address $(cut -d' ' -f1,2 "$T/ssh/host.pub")" >"$T/ssh/known"
	/usr/sbin/sshd -f "$T/ssh/sshd_config" -E "$T/ssh/log"
	poll 10 test -s "$T/ssh/pid"
}

# Where both hosts listen for TCP.
listening() {
	{
		ss -H -ltn
		client ss -H -ltn
	} | awk '{ print $4 }' | sort
}

# remote_life: a container and a VM from mkdir to rmdir, by nothing but the mount.
remote_life() {
	local c=$R/container/web v=$R/vm/db init
	init="/bin/sh -c 'trap \"exit 3\" TERM; i=0; while :; do i=\$((i+1)); echo line \$i; sleep 0.1; done'"
	M=$R container_new web /none
	is "mkdir makes a machine" "$(cat "$c/state")" stopped
	is "it is there" "$(cat "$M/container/web/init")" /none
	ok "a setting" put "$c/memory.size" 64M
	is "reads back" "$(cat "$c/memory.size")" 67108864
	refused "a bad value" EINVAL 'memory.size: ' "$c" put "$c/memory.size" -5
	is "changes nothing" "$(cat "$c/memory.size")" 67108864
	refused "a start without what it names" ENOENT 'init: not in the root' "$c" put "$c/ctl" start
	put "$c/init" "$init"
	ok "start" put "$c/ctl" start
	is "state" "$(cat "$c/state")" running
	refused "a second start" EEXIST 'start: ' "$c" put "$c/ctl" start
	refused "what cannot change while it runs" EBUSY 'init: cannot change' "$c" put "$c/init" /bin/true
	ok "what can, does" put "$c/pids.max" 77
	soon "its console" 20 grep -q 'line 3' "$c/console"
	$tools_tail "$c/console" >"$T/console" &
	soon "tail -f follows it" 30 grep -q "line $(($(wc -l <"$c/console") + 5))" "$T/console"
	kill $! && wait $! 2>/dev/null
	refused "a wait that takes too long" EBUSY 'wait: ' "$c" put "$c/wait" stopped 1
	ok "pause" put "$c/ctl" pause
	is "paused" "$(cat "$c/state")" paused
	ok "resume" put "$c/ctl" resume
	not_ok "rmdir while it runs" rmdir "$c"
	like "says why not" "$(cat "$c/error")$(cat "$R/error")" 'EBUSY .*running'
	ok "stop" put "$c/ctl" stop
	ok "wait" put "$c/wait" stopped 20
	is "exit" "$(cat "$c/exit")" 'exited 3'
	like "events" "$(cat "$c/events")" 'state running.*state stopped'
	ok "mv" mv "$c" "$R/container/shop"
	is "has moved it" "$(ls "$R/container") $(ls "$M/container")" 'shop shop'
	ok "rmdir" rmdir "$R/container/shop"
	is "has removed it" "$(ls "$R/container")$(ls "$M/container")" ''
	can_run_vms || { skip "a VM" "needs /dev/kvm"; return; }
	M=$R vm_new db hello poweroff
	ok "a VM starts" put "$v/ctl" start
	ok "and ends" put "$v/wait" stopped 30
	like "having said so" "$(cat "$v/console")" 'tiny: hello'
	is "with this exit" "$(cat "$v/exit")" poweroff
	ok "and goes" rmdir "$v"
}

# remote_errnos: what a program gets for each kind of refusal, "WHAT ERRNO" a line. docs/remote.md
# has the same table.
remote_errnos() {
	mkdir "$M/vm/busy" "$M/container/busy"
	M=$M container_new asleep /bin/sleep 1000
	put "$M/container/asleep/ctl" start
	python3 - "$R" <<-'PY'
		import errno, os, sys
		os.chdir(sys.argv[1])
		def put(path, text):
		    fd = os.open(path, os.O_WRONLY | os.O_TRUNC)
		    try:
		        os.write(fd, text.encode() + b'\n')
		    finally:
		        os.close(fd)
		def tell(what, call, *args):
		    try:
		        call(*args)
		        print(what, 'done')
		    except OSError as e:
		        print(what, errno.errorcode[e.errno])
		tell('write-EINVAL', put, 'vm/busy/cpu.count', '9999')
		tell('write-EBUSY', put, 'container/asleep/init', '/bin/true')
		tell('write-EEXIST', put, 'container/asleep/ctl', 'start')
		tell('write-ENOENT', put, 'vm/busy/boot.kernel', '/none')
		tell('wait-EBUSY', put, 'container/asleep/wait', 'stopped 0.1')
		tell('mkdir-EINVAL', os.mkdir, 'vm/.bad')
		tell('mkdir-EEXIST', os.mkdir, 'vm/busy')
		tell('rmdir-EBUSY', os.rmdir, 'container/asleep')
		tell('rmdir-ENOENT', os.rmdir, 'vm/none')
		tell('rename-EEXIST', os.rename, 'vm/busy', 'vm/tools')
		tell('create-EPERM', open, 'vm/busy/new', 'w')
		tell('unlink-EPERM', os.unlink, 'vm/busy/label')
	PY
	put "$M/container/asleep/ctl" kill
	put "$M/container/asleep/wait" stopped 10
	rmdir "$M/vm/busy" "$M/container/busy" "$M/container/asleep"
}

# remote_fresh: what changes on the server is seen by the next look from the client.
remote_fresh() {
	local v=$R/vm/fresh i stale=''
	ls "$R/vm" >/dev/null
	cat "$v/state" 2>/dev/null
	mkdir "$M/vm/fresh"
	is "a machine made there is here" "$(ls -d "$v"; cat "$v/state")" "$v"$'\n'stopped
	for i in {1..20}; do
		put "$M/vm/fresh/boot.cmdline" "$(printf '%*s' $((i % 7 * 5)) '' | tr ' ' x) $i"
		[ "$(cat "$v/boot.cmdline") $(stat -c %s "$v/boot.cmdline")" = \
			"$(cat "$M/vm/fresh/boot.cmdline") $(stat -c %s "$M/vm/fresh/boot.cmdline")" ] || stale+=" $i"
	done
	is "each of 20 changes is read at once, with its length" "$stale" ''
	exec 7<"$v/boot.cmdline"
	put "$M/vm/fresh/boot.cmdline" anew
	is "also by who has opened it before" "$(cat <&7)" anew
	exec 7<&-
	mv "$M/vm/fresh" "$M/vm/fresher"
	not_ok "a machine renamed there has no old name here" cat "$v/state"
	is "but its new one" "$(cat "$R/vm/fresher/boot.cmdline")" anew
	rmdir "$M/vm/fresher"
	not_ok "a machine removed there is gone here" cat "$R/vm/fresher/state"
	is "of every list" "$(ls "$R/vm")" tools
}

# remote_blind: what no remote mount can show.
remote_blind() {
	container_new seen /bin/sleep 1000
	inotifywait -qq -t 3 -e modify "$R/container/seen/state" &
	local remote=$!
	inotifywait -qq -t 20 -e modify "$M/container/seen/state" &
	local here=$!
	python3 - "$R/container/seen/state" >"$T/poll" <<-'PY' &
		import os, select, sys
		fd = os.open(sys.argv[1], os.O_RDONLY)
		os.read(fd, 64)
		p = select.poll()
		p.register(fd, select.POLLPRI)
		print('opened', flush=True)
		print('woken' if p.poll(3000) else 'nothing')
	PY
	local poller=$!
	soon "a poller is ready" 20 grep -q opened "$T/poll"
	poll 10 watches $remote && poll 10 watches $here
	bash -c "echo start >'$M/container/seen/ctl'"
	wait $here
	is "a watcher on the server sees a change" $? 0
	wait $remote
	is "one on the client does not" $? 2
	wait $poller
	is "nor does poll(2)" "$(tail -n 1 "$T/poll")" nothing
	put "$M/container/seen/ctl" kill
	put "$M/container/seen/wait" stopped 10
	rmdir "$M/container/seen"
}

# watches PID: it has an inotify watch by now.
watches() {
	grep -qs ^inotify /proc/"$1"/fdinfo/*
}

# remote_waits COUNT SECONDS: so many waits from the client at a time, that are in vain.
remote_waits() {
	local i
	for ((i = 0; i < $1; i++)); do
		put "$R/vm/tools/wait" running "$2" 2>/dev/null &
		waits+=($!)
	done
}

waiting_is() {
	[ "$(value "$M/stat" waiting)" = "$1" ]
}

# answers [SECONDS]: somebody else on the client gets an answer.
answers() {
	timeout "${1:-10}" cat "$R/version" >/dev/null 2>&1
}

# remote_owners: users are whom they are on the client, and no more.
remote_owners() {
	mkdir "$M/vm/hers"
	ok "chown" chown -R alice "$R/vm/hers"
	is "is seen here" "$(stat -c '%u %a' "$R/vm/hers/cpu.count")" "1000 644"
	is "and there" "$(stat -c '%u %a' "$M/vm/hers/cpu.count")" "1000 644"
	ok "alice writes to her machine" alice bash -c "echo 2 >'$R/vm/hers/cpu.count'"
	is "as herself" "$(cat "$M/vm/hers/cpu.count")" 2
	refused "not to root's" EACCES '' "$M" alice bash -c "echo 9 >'$R/vm/tools/cpu.count'"
	is "which stays as it was" "$(cat "$M/vm/tools/cpu.count")" 3
	refused "nor may she start it" EACCES '' "$M" alice bash -c "echo start >'$R/vm/tools/ctl'"
	not_ok "nor have it" alice chown alice "$R/vm/tools"
	not_ok "nor remove it" alice rmdir "$R/vm/tools"
	refused "a device" EPERM '' "$M" mknod "$R/vm/hers/null" c 1 3
	ok "chmod" chmod 600 "$R/vm/tools/label"
	refused "what is for its owner alone is not read by her" EACCES '' "$M" alice cat "$R/vm/tools/label"
	chmod 644 "$M/vm/tools/label"
	rmdir "$M/vm/hers"
}
