#!/bin/bash
# What a container's init, or a session, reads and prints to when that is a path of the host's.
. tests/lib.sh
. tests/machines.sh
need_root
need_command setpriv script
machinefs_start
chmod 711 "$T"
container_new c /bin/sh -c "'echo out; echo err >&2; cat'"
c=$M/container/c

mkfifo "$T/in" "$T/pipe"
truncate -s 0 "$T/out" "$T/err"
put "$c/init.stdin" "$T/in"
put "$c/init.stdout" "$T/out"
put "$c/init.stderr" "$T/err"
echo hello >"$T/in" & # waits for a reader
ok "a FIFO to read and files to print to" put "$c/ctl" start
await "$c" stopped
is "init read the FIFO to its end, and printed to the file" "$(cat "$T/out")" $'out\nhello'
is "errors went to theirs" "$(cat "$T/err")" err
is "the console has nothing of it" "$(cat "$c/console")" ""

put "$c/init.stdin" /dev/null
put "$c/ctl" start
await "$c" stopped
is "a file grows" "$(cat "$T/out")" $'out\nhello\nout'

put "$c/init" /bin/sh -c "'tty; : </dev/tty'"
put "$c/ctl" start
await "$c" stopped
like "without a console there is no controlling terminal" "$(cat "$T/out" "$T/err")" \
	'not a tty.*/dev/tty'
put "$c/init.stderr" ''
put "$c/init" /bin/sh -c "'echo to the console >&2; : </dev/tty && echo controlled'"
put "$c/ctl" start
await "$c" stopped
is "one that is the console's is its controlling one" "$(cat "$c/console")" 'to the console'
is "that can be opened" "$(tail -n 1 "$T/out")" controlled

# --- a terminal of the host's
cat >"$T/terminal" <<-END
	mine=\$(tty)
	for f in stdin stdout stderr; do echo "\$mine" >'$c/init.'\$f; done
	echo start >'$c/ctl'
	echo stopped 10 >'$c/wait'
END
put "$c/init" /bin/sh -c "'test -t 0 && test -t 2 && echo a terminal'"
like "a terminal" "$(script -qec "sh $T/terminal" /dev/null </dev/null)" 'a terminal'
for f in stdin stdout stderr; do put "$c/init.$f" ''; done

# --- refusals
put "$c/init.stdout" "$T/pipe"
refused "a FIFO that nobody reads" EBUSY 'init.stdout: nobody reads' "$c" put "$c/ctl" start
is "nothing runs" "$(cat "$c/state")" stopped
refused "a directory" EINVAL 'init.stdout: .* is a directory' "$c" put "$c/init.stdout" "$T"
refused "a device" EINVAL 'init.stdin: .* is a character device' "$c" put "$c/init.stdin" /dev/zero
refused "what is not there" ENOENT 'init.stdin' "$c" put "$c/init.stdin" "$T/nothing"
refused "what /proc has" EACCES 'init.stdout' "$c" put "$c/init.stdout" /proc/self/fd/1
put "$c/init.stdout" ''
: >"$T/closed"
chmod 600 "$T/closed"
chown -R 4242 "$c"
refused "what its owner may not write" EACCES 'init.stdout' "$c" put "$c/init.stdout" "$T/closed"
refused "or not read" EACCES 'init.stdin' "$c" put "$c/init.stdin" "$T/closed"
chown 4242 "$T/closed"
ok "but what he may" put "$c/init.stdin" "$T/closed"
put "$c/init.stdin" ''
chown -R 0:0 "$c"

# --- groups
put "$c/init.user" 5:6,7,8
put "$c/init" /bin/sh -c "'id -G; while :; do sleep 0.05; done'"
is "groups are read as they are written" "$(cat "$c/init.user")" 5:6,7,8
refused "a group that is none" EINVAL 'UID:GID\[,GID' "$c" put "$c/init.user" 5:6,x
put "$c/ctl" start
soon "init has them" 5 grep -qx '6 7 8' "$c/console"
is "its processes can be listed" "$(grep -cx "$(cat "$c/pid")" "$c/cgroup.procs")" 1

# --- sessions
x=$c/exec/x
mkdir "$x"
put "$x/argv" sh -c "'id -G; echo err >&2; cat'"
put "$x/user" 1:2,3
truncate -s 0 "$T/out" "$T/err"
put "$x/stdin.path" "$T/in"
put "$x/stdout.path" "$T/out"
put "$x/stderr.path" "$T/err"
echo hello >"$T/in" &
ok "a session, too" put "$x/ctl" start
await "$x" stopped
is "what it printed" "$(cat "$T/out")" $'2 3\nhello'
is "its errors" "$(cat "$T/err")" err
is "its logs have nothing of it" "$(cat "$x/stdout" "$x/stderr")" ""
put "$x/stdin.path" ''
put "$x/stderr.path" ''
put "$x/argv" sh -c "'echo err >&2; cat'"
put "$x/ctl" start
put "$x/stdin" "typed"
put "$x/ctl" eof
await "$x" stopped
is "one of them alone" "$(tail -n 1 "$T/out")" typed
is "the others are as ever" "$(cat "$x/stderr")" err
put "$x/tty" 1
refused "no tty beside" EINVAL 'tty: ' "$x" put "$x/ctl" start
put "$x/tty" 0
put "$x/stdout.path" "$T/pipe"
refused "a FIFO that nobody reads" EBUSY 'stdout.path: nobody reads' "$x" put "$x/ctl" start

# --- a word of several lines
put "$x/stdout.path" ''
put "$x/argv" "sh -c \$'echo one\\necho two'"
put "$x/ctl" start
await "$x" stopped
is "a word of several lines" "$(cat "$x/stdout")" $'one\ntwo'
done_testing
