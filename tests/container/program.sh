#!/bin/bash
# A container that executes /proc/self/exe gets to see the monitor's program, and may hold it open
# (CVE-2019-5736). It never comes to write it. Its root is this machine's own, for its perl.
. tests/lib.sh
need_root
need_command perl
! sanitized || skip_all "with a sanitizer the program has to have its name"
# A copy, should it be written after all.
cp "$MACHINEFS" "$T/machinefs"
MACHINEFS=$T/machinefs
before=$(sha256sum <"$MACHINEFS")
machinefs_start
c=$M/container/c
mkdir "$c"
put "$c/root" /
put "$c/root.writable" none
cat >"$T/attack" <<-'END'
	$| = 1;
	print "up\n";
	my $held;
	until ($held) { # the program of a process that is not perl
		for my $exe (glob "/proc/[0-9]*/exe") {
			my $of = readlink $exe;
			next if !defined $of || $of =~ /perl/ || !open(my $file, "<", $exe);
			read $file, my $magic, 4;
			$held = $file, last if $magic eq "\x7fELF";
		}
	}
	print "has it\n";
	<STDIN>;
	open(my $out, "+>", "/proc/self/fd/" . fileno $held) or print("not written: $!\n"), sleep 1000;
	print $out "overwritten";
	print "written\n";
	sleep 1000;
END
chmod 755 "$T"
mkdir "$c/mount/t"
put "$c/mount/t/source" "$T"
put "$c/mount/t/options" ro,bind
put "$c/mount/t/target" /mnt
put "$c/init" perl /mnt/attack
ok "a container" put "$c/ctl" start
soon "waits for a program that is not its own" 10 grep -q up "$c/console"
mkdir "$c/exec/s"
put "$c/exec/s/argv" /proc/self/exe --help
for _ in $(seq 200); do
	grep -q 'has it' "$c/console" && break
	put "$c/exec/s/ctl" start && await "$c/exec/s" stopped
done
soon "it has one, which a session has executed" 10 grep -q 'has it' "$c/console"
like "that is the monitor's" "$(cat "$c/exec/s/stdout")" 'usage: machinefs'
put "$c/console" go
soon "it has tried" 10 grep -q written "$c/console"
like "nobody can write it, whether it runs or not" "$(cat "$c/console")" 'not written: Read-only file system'
is "it is what it was" "$(sha256sum <"$MACHINEFS")" "$before"
ok "and runs" state_is "$c" running
done_testing
