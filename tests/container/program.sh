#!/bin/bash
# A container that executes /proc/self/exe gets to see the monitor's program, and may hold it open
# (CVE-2019-5736). It never comes to write it. Nor does it come to trace the monitor, or what of it is
# in a container before that is one. Its root is this machine's own, for its perl.
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
put "$c/ctl" kill
await "$c" stopped

# --- tracing: the monitor, where its process can be seen
cat >"$T/trace" <<-'END'
	my $name = shift;
	for my $dir (glob "/proc/[0-9]*") {
		my ($pid) = $dir =~ /(\d+)/;
		open(my $file, "<", "$dir/cmdline") or next;
		next if $pid == $$ || <$file> !~ /^$name/;
		print "seen\n";
		my $fd = syscall(434, $pid, 0);                                   # pidfd_open()
		print "its descriptors\n" if $fd >= 0 && grep { syscall(438, $fd, $_, 0) >= 0 } 0 .. 20; # pidfd_getfd()
		print "what they are\n" if grep { readlink "$dir/fd/$_" } 0 .. 20;
		print "its files\n" if -e "$dir/root/etc/passwd";
		print "its memory\n" if open my $memory, "+<", "$dir/mem";
		print "traced\n" if syscall(101, 0x4206, $pid, 0, 0) == 0;       # ptrace(PTRACE_SEIZE)
	}
END
traced() { # CONTAINER NAME: what a session of that one gets of processes called so
	[ -d "$1/exec/t" ] || mkdir "$1/exec/t"
	put "$1/exec/t/argv" perl /mnt/trace "$2" && put "$1/exec/t/ctl" start && await "$1/exec/t" stopped &&
		sort -u "$1/exec/t/stdout" | xargs
}
put "$c/namespaces" mount net uts ipc cgroup
put "$c/init" sleep 1000
put "$c/ctl" start
is "of a monitor that it sees it gets nothing" "$(traced "$c" "machinefs-monitor")" seen
put "$c/ctl" kill
await "$c" stopped
put "$c/capabilities" default sys_ptrace
put "$c/ctl" start
is "unless it may trace whom it likes" "$(traced "$c" "machinefs-monitor")" \
	"its descriptors its files its memory seen traced what they are"
put "$c/ctl" kill
await "$c" stopped

# --- one that is prepared, in the user and pid namespaces of another whose root may trace there
put "$c/namespaces" pid mount net uts ipc cgroup user
put "$c/user.map" 0 100000 65536
put "$c/ctl" start
d=$M/container/d
mkdir "$d"
put "$d/root" /
put "$d/root.writable" none
put "$d/init" sleep 1000
put "$d/namespaces.join" "user c"
put "$d/namespaces.join" "pid c"
put "$d/ctl" prepare
is "what is there of it before its program is seen, and no more" "$(traced "$c" machinefs)" seen
put "$d/ctl" start
like "which is like others then" "$(traced "$c" sleep)" 'traced'
done_testing
