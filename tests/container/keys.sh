#!/bin/bash
# Two more ways out that were published: keyrings, which no namespace divides, and typing on the
# terminal of whoever started it all (TIOCSTI). The container's root is this machine's own, for its perl.
. tests/lib.sh
. tests/machines.sh
need_root
need_command perl script
secret=secret-$$
# The daemon has a terminal, and a key in its session's keyring.
cat >"$T/with-key" <<-'END'
	syscall(250, 1, 0) >= 0 or exit 77;                             # keyctl(KEYCTL_JOIN_SESSION_KEYRING)
	my ($type, $name, $value) = ("user", shift, "told");
	syscall(248, $type, $name, $value, 4, -3) >= 0 or exit 77;      # add_key(), to the session's
	exec @ARGV;
END
perl "$T/with-key" "$secret" true || skip_all "this kernel has no keys"
printf '#!/bin/sh\nexec script -q -e -f -c "exec perl %s %s $*" %s\n' "$T/with-key" "$secret" "$T/typescript" >"$T/under"
chmod +x "$T/under"
MACHINEFS_UNDER=("$T/under")
machinefs_start
daemon=$(pgrep -f -n "^$MACHINEFS -f --state-dir $STATE_DIR")
c=$M/container/c
mkdir "$c"
put "$c/root" /
put "$c/root.writable" none
put "$c/init" sleep 1000

cat >"$T/keys" <<-'END'
	my ($type, $name, $none) = ("user", shift, "");
	my $key = syscall(249, $type, $name, 0, 0);                     # request_key()
	print $key >= 0 ? "found" : "not found: $!", "\n";
	my ($mine, $value) = ("mine", "x");
	print syscall(248, $type, $mine, $value, 1, -3) >= 0 ? "added" : "not added: $!", "\n";
	print syscall(250, 0, -3, 1) >= 0 ? "a keyring" : "no keyring: $!", "\n";
END
cat >"$T/typing" <<-'END'
	for my $name ("/dev/tty", "/dev/console", "/proc/1/fd/0", </dev/pts/*>) {
		open(my $terminal, "+<", $name) or next;
		for my $c (split //, "typed") { my $byte = $c; ioctl($terminal, 0x5412, $byte); } # TIOCSTI
	}
	open(my $own, "+<", "/dev/tty") and print "a terminal\n";
END
chmod 755 "$T"
mkdir "$c/mount/t"
put "$c/mount/t/source" "$T"
put "$c/mount/t/options" ro,bind
put "$c/mount/t/target" /mnt

session() { # COMMAND...: what it prints
	session_said "$c" "$@"
}

# --- keys
is "the key is there for who inherits the keyring" \
	"$(perl "$T/with-key" "$secret" perl "$T/keys" "$secret" | head -n 1)" found
ok "a container" put "$c/ctl" start
like "the filter refuses all that has to do with keys" "$(session perl /mnt/keys "$secret")" \
	$'^not found: Operation not permitted\nnot added: Operation not permitted\nno keyring: Operation not permitted'
put "$c/ctl" kill
await "$c" stopped
put "$c/seccomp" none
put "$c/ctl" start
like "without it the keyring is another one" "$(session perl /mnt/keys "$secret")" \
	$'^not found: Required key not available\nadded\na keyring'
like "in init, too" "$(session sh -c "'perl /mnt/keys mine'")" '^not found'
put "$c/ctl" kill
await "$c" stopped
put "$c/init" perl /mnt/keys "$secret"
put "$c/ctl" start
await "$c" stopped
like "init has none of the daemon's" "$(cat "$c/console")" '^not found: Required key'

# --- the terminal
like "the daemon has a terminal" "$(awk '{ print $7 }' "/proc/$daemon/stat")" '^[1-9]'
put "$c/init" perl -e "'do \"/mnt/typing\"; sleep 1000'"
put "$c/ctl" start
soon "init has one" 20 grep -q 'a terminal' "$c/console"
# By its number the two may be the same, one in each of two file systems.
unlike "which is another" "$(stat -L -c %d:%i "/proc/$(cat "$c/pid")/fd/0")" "^$(stat -c %d /dev/pts):"
is "a session has none" "$(session perl /mnt/typing)" ""
put "$c/exec/s/tty" 1
like "or its own" "$(session perl /mnt/typing | tr -d '\r')" 'a terminal'
unlike "nothing was typed on the daemon's" "$(cat "$T/typescript")" typed
put "$c/ctl" kill
await "$c" stopped
ok "the daemon answers" cat "$M/version"
kill -TERM "$daemon"
done_testing
