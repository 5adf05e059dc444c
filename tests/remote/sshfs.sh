#!/bin/bash
# sshfs, by examples/remote-sshfs.sh: a machine's whole life from another host.
# timeout: 240
. tests/lib.sh
. tests/remote/hosts.sh
hosts_start
# sftp has few words for errors.
errno_as=([EINVAL]=EIO [EBUSY]=EIO [EEXIST]=EIO [ENOENT]=EIO [EPERM]=EACCES)

like "without a host: usage" "$(examples/remote-sshfs.sh 2>&1)" '^usage: '
like "no such machines" "$(REMOTE=/none client examples/remote-sshfs.sh server "$R" 2>&1)" 'No such file'
ok "it mounts" client examples/remote-sshfs.sh server "$R" || done_testing
is "and opens no port" "$(listening)" "$listened"

tools_table sshfs "$R"
remote_life
is "errnos" "$(remote_errnos)" "write-EINVAL EIO
write-EBUSY EIO
write-EEXIST EIO
write-ENOENT EIO
wait-EBUSY EIO
mkdir-EINVAL EBADMSG
mkdir-EEXIST EEXIST
rmdir-EBUSY ENOTEMPTY
rmdir-ENOENT ENOENT
rename-EEXIST EPERM
create-EPERM EACCES
unlink-EPERM EACCES"
remote_fresh
remote_blind

# One wait holds the connection, which does one thing at a time.
remote_waits 1 5
soon "a wait" 20 waiting_is 1
not_ok "lets nothing else be answered" answers 2
soon "until it ends" 30 answers
wait "${waits[@]}" 2>/dev/null

machinefs_stop
not_ok "without a daemon nothing answers" answers
machinefs_start
ok "a new one is found by itself" answers
is "with all there is" "$(cat "$R/vm/tools/cpu.count")" 3
pkill -KILL -x sftp-server
unmounted() { ! mountpoint -q "$R"; }
soon "the mount goes with its server" 20 unmounted

# Another user than root, on both hosts: what that user may do, whoever asks.
mkdir "$M/vm/hers"
chown -R alice "$M/vm/hers"
ok "alice's own mount" client examples/remote-sshfs.sh alice@server "$R"
ok "writes to her machine" put "$R/vm/hers/cpu.count" 2
is "which is hers there" "$(cat "$M/vm/hers/cpu.count")" 2
errno_as[EACCES]=EACCES
refused "not to root's, though root asks" EACCES '' "$M" put "$R/vm/tools/cpu.count" 9
is "which stays as it was" "$(cat "$M/vm/tools/cpu.count")" 3
not_ok "nor may she remove it" rmdir "$R/vm/tools"
ok "umount again" fusermount3 -u "$R"
gone() { ! pgrep -x sftp-server && ! pgrep -f "ssh .*server"; }
soon "leaves no process on either host" 20 gone
done_testing
