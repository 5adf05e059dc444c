#!/bin/bash
# 9P through ssh, by examples/remote-9p.sh: a machine's whole life from another host.
# timeout: 240
. tests/lib.sh
. tests/remote/hosts.sh
hosts_start
tools_tail='tail ---disable-inotify -s 0.1 -n +1 -f' # a plain one believes 9P to be local

like "without a host: usage" "$(examples/remote-9p.sh 2>&1)" '^usage: '
like "no such machines" "$(REMOTE=/none client examples/remote-9p.sh server "$R" 2>&1)" '/none: No such file'
ok "it mounts" client examples/remote-9p.sh server "$R" || done_testing
is "and opens no port" "$(listening)" "$listened"

tools_table 9p "$R"
remote_life
is "errnos" "$(remote_errnos)" "write-EINVAL EINVAL
write-EBUSY EBUSY
write-EEXIST EEXIST
write-ENOENT ENOENT
wait-EBUSY EBUSY
mkdir-EINVAL EINVAL
mkdir-EEXIST EEXIST
rmdir-EBUSY EBUSY
rmdir-ENOENT ENOENT
rename-EEXIST EEXIST
create-EPERM EPERM
unlink-EPERM EPERM"
remote_fresh
remote_blind
remote_owners

# A blocked wait holds one of diod's 16 threads.
remote_waits 8 10
soon "eight waits" 20 waiting_is 8
ok "leave room for others" answers
kill "${waits[@]}"
ok "a wait whose writer is killed" waiting_is 8
soon "goes on until its time is over" 20 waiting_is 0
remote_waits 20 10
soon "of twenty, as many wait as diod has threads" 20 waiting_is 16
not_ok "and nothing else is answered" answers 2
soon "until they end" 60 answers
wait "${waits[@]}" 2>/dev/null

machinefs_stop
not_ok "without a daemon nothing answers" answers
machinefs_start
ok "a new one is found by itself" answers
is "with all there is" "$(cat "$R/vm/tools/cpu.count")" 3
pkill -KILL -x diod
not_ok "a server that was killed is an error" answers
ok "umount" umount "$R"
ok "and a new mount" client examples/remote-9p.sh server "$R"
ok "answers" answers
ok "umount again" umount "$R"
gone() { ! pgrep -x diod && ! pgrep -f "ssh .*server"; }
soon "leaves no process on either host" 20 gone
done_testing
