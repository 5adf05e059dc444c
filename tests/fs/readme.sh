#!/bin/bash
# README.md: its session, pasted, answers what it says it does; what it names is there.
. tests/lib.sh
need_root
need_command busybox unshare
need_device /dev/fuse
[ -x "$B/machinefs" ] || skip_all "$B/machinefs is not built"

# block N: the Nth fenced block.
block() {
	awk -v wanted="$1" '/^```/ { n++; next } n == 2 * wanted - 1' README.md
}

block 1 >"$T/session"
is "the session has ten lines" "$(wc -l <"$T/session")" 10
# In a mount namespace where /run, /tmp and /var/lib are empty, so that it finds what a newcomer has.
cat >"$T/paste" <<'PASTE'
here=$PWD
mount --bind "$here" /mnt
for dir in /run /var/lib /tmp; do
	mount -t tmpfs tmpfs "$dir"
done
cd /mnt
PASTE
{
	cat "$T/paste" "$T/session"
	echo 'rmdir container/web; echo shutdown >ctl'
} >"$T/all"
sed -i "s|build/machinefs|$B/machinefs|" "$T/all"
unshare -m bash <"$T/all" >"$T/out" 2>"$T/err"
said=$(cat "$T/out")
is "it answers what the README says" "$said" "$(block 2 | grep -v '^bash: ')"
is "but for the refused write, which complains" \
	"$(sed 's/^.*line [0-9]*: /bash: /' "$T/err")" "$(block 2 | grep '^bash: ')"

grep -o '](\([^)]*\))' README.md | tr -d ']()' >"$T/links"
while read -r file; do
	ok "$file, to which it points, is there" test -e "$file"
done <"$T/links"
for target in demo check help; do
	ok "make $target is there" make -n $target
done

machinefs_start
mkdir "$M/vm/a" "$M/container/a"
grep -o '^| [^|]*' README.md | sed -n '/README/,/no_new_privs/p' | grep -o '`[^`]*`' | tr -d '`' |
	sed -e 's|/NAME/|/a|' >"$T/names"
found() {
	compgen -G "$M/$1" || compgen -G "$M/vm/a/$1" || compgen -G "$M/container/a/$1"
}
while read -r name; do
	ok "$name is in the tree" found "$name"
done <"$T/names"
done_testing
