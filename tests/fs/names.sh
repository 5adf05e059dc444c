#!/bin/bash
# Names: what may be made, renamed and removed, and what is part of the tree.
# What ls, cat and words do is what is tried here.
# shellcheck disable=SC2002,SC2010,SC2011
. tests/lib.sh
. tests/machines.sh
machinefs_start

rename() {
	python3 -c 'import os, sys; os.rename(sys.argv[1], sys.argv[2])' "$@"
}

py() {
	python3 -c "import os, sys; os.chdir(sys.argv[1]); $1" "$M"
}

# --- mkdir
long=$(printf 'n%.0s' {1..63})
for name in a A 0 a.b a_b a-b a..b 9x "$long" web.example.org; do
	ok "mkdir vm/$name" mkdir "$M/vm/$name"
	ok "rmdir vm/$name" rmdir "$M/vm/$name"
done
for name in .a _a -a 'a b' ' a' 'a ' $'a\nb' $'a\tb' $'a\001' $'\033[31m' $'a\177' 'größe' $'\xff' "${long}n" \
	'a:b' 'a*' 'a\b' "a'b" 'a"b' '$a' 'a;b' '~' '#a' 'a=b' 'a,b' '%s%s%n'; do
	for kind in vm container; do
		refused "mkdir $kind/$(printf %q "$name")" EINVAL 'is not a name' "$M" mkdir -- "$M/$kind/$name"
	done
	is "its sentence is one line" "$(wc -l <"$M/error")" 1
done
refused "mkdir of 255 bytes" EINVAL 'is not a name' "$M" mkdir "$M/vm/$(printf 'x%.0s' {1..255})"
not_ok "mkdir of 2000 bytes" mkdir "$M/vm/$(printf 'x%.0s' {1..2000})"
not_ok "a name with a slash is a path" mkdir "$M/vm/a/b"
not_ok "mkdir vm/." mkdir "$M/vm/."
not_ok "mkdir vm/.." mkdir "$M/vm/.."
is "nothing was made" "$(ls -A "$M/vm" "$M/container" | grep -c '^[^/]*$')" 1
mkdir "$M/vm/a"
not_ok "a name that is taken" mkdir "$M/vm/a"
ok "the other kind has names of its own" mkdir "$M/container/a"
rmdir "$M/container/a"
for dir in . host; do
	refused "mkdir in $dir" EPERM 'nothing can be made here' "$M" mkdir "$M/$dir/x"
done
refused "mkdir in a machine" EPERM 'nothing can be made here' "$M/vm/a" mkdir "$M/vm/a/disks"
is "the directory's link count counts" "$(stat -c %h "$M/vm")" 3

# --- mv
ok "mv" mv "$M/vm/a" "$M/vm/b"
ok "it has its new name" test -e "$M/vm/b/ctl"
not_ok "and no more its old one" test -e "$M/vm/a"
like "events tells" "$(tail -n 1 "$M/events")" 'vm/b renamed vm/a$'
is "its own events too" "$(tail -n 1 "$M/vm/b/events" | cut -d ' ' -f 2-)" "$(tail -n 1 "$M/events" | cut -d ' ' -f 2-)"
for name in 'a b' .x "${long}n" $'a\nb' 'ä'; do
	# mv(1) has a sentence of its own for EINVAL.
	refused "mv to $(printf %q "$name")" EINVAL 'is not a name: 1 to 63 of ' "$M" rename "$M/vm/b" "$M/vm/$name"
done
mkdir "$M/vm/c"
not_ok "mv -T to a name that is taken" mv -T "$M/vm/b" "$M/vm/c"
like "and says so" "$(cat "$M/error")" '^EEXIST vm/c exists$'
refused "mv to the other kind" EPERM 'only a machine or a part of it can be renamed, in its place' "$M" \
	mv -T "$M/vm/b" "$M/container/b"
refused "mv of vm" EPERM 'only a machine' "$M" mv -T "$M/vm" "$M/vms"
refused "mv of a file" EPERM 'only a machine' "$M/vm/b" mv -T "$M/vm/b/label" "$M/vm/b/labels"
not_ok "mv out of the mount" mv -T "$M/vm/b/label" "$T/label"
not_ok "mv of what is not there" mv "$M/vm/nosuch" "$M/vm/x"
not_ok "exchange of two names" py 'import ctypes; c = ctypes.CDLL(None, use_errno=True)
sys.exit(c.renameat2(-100, b"vm/b", -100, b"vm/c", 2) != 0)'
ok "both are there" test -d "$M/vm/b" -a -d "$M/vm/c"
ok "mv onto itself does nothing" py 'os.rename("vm/b", "vm/b")'
machinefs_stop
machinefs_start
is "names are durable" "$(ls -A "$M/vm" | xargs)" "b c"

# --- files come and go with their directory
refused "a new file" EPERM 'create new: files come and go' "$M/vm/b" sh -c ": >'$M/vm/b/new'"
refused "a new file in vm" EPERM 'create new: ' "$M" sh -c ": >'$M/vm/new'"
refused "unlink" EPERM 'rm label: ' "$M/vm/b" unlink "$M/vm/b/label"
refused "unlink of a link" EPERM 'rm proc: ' "$M/vm/b" unlink "$M/vm/b/proc"
refused "symlink" EPERM 'ln new: ' "$M/vm/b" ln -s x "$M/vm/b/new"
refused "symlink beside the machines" EPERM '' "$M" ln -s b "$M/vm/d"
refused "hard link" EPERM 'ln label2: ' "$M/vm/b" ln "$M/vm/b/label" "$M/vm/b/label2"
refused "mknod" EPERM 'mknod null: ' "$M/vm/b" mknod "$M/vm/b/null" c 1 3
refused "mkfifo" EPERM 'mknod fifo: ' "$M/vm/b" mkfifo "$M/vm/b/fifo"
ok "the tree is as it was" test ! -e "$M/vm/b/new" -a -e "$M/vm/b/label"

# --- rmdir
for dir in vm container host; do
	refused "rmdir $dir" EPERM 'part of the tree' "$M" rmdir "$M/$dir"
done
not_ok "rmdir of a file" rmdir "$M/vm/b/label"
not_ok "rmdir of what is not there" rmdir "$M/vm/nosuch"
not_ok "rm -r gets nowhere with the files" rm -r "$M/vm/b/label"
ok "and harms nothing" test -e "$M/vm/b/label"
refused "what cannot be written, also by root" EPERM 'state: cannot be written' "$M/vm/b" \
	sh -c "echo running >'$M/vm/b/state'"
exec 3<"$M/vm/b/label" 4>"$M/vm/b/cpu.count" 5<"$M/vm/b"
ok "rmdir while files are open" rmdir "$M/vm/b"
is "reading one of them then is ESTALE" "$(cat <&3 2>&1 | grep -c 'Stale file handle')" 1
refused "and writing one" ESTALE '' "$M" bash -c 'echo 2 >&4'
not_ok "and using the directory" py 'os.stat("/proc/self/fd/5/label")'
exec 3<&- 4>&- 5<&-
if [ "$(id -u)" = 0 ]; then
	container_new run /bin/sleep 1000
	put "$M/container/run/ctl" start
	refused "rmdir of a running machine" EBUSY 'the machine is running; stop it first' \
		"$M/container/run" rmdir "$M/container/run"
	put "$M/container/run/ctl" pause
	refused "rmdir of a paused one" EBUSY 'the machine is paused' "$M/container/run" rmdir "$M/container/run"
	ok "mv of it" mv "$M/container/run" "$M/container/moved"
	is "which goes on" "$(cat "$M/container/moved/state")" paused
	put "$M/container/moved/ctl" kill
	await "$M/container/moved" stopped
	ok "rmdir when it has stopped" rmdir "$M/container/moved"
fi
is "the daemon is there" "$(cat "$M/version" | wc -l)" 1
done_testing
