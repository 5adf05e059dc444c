#!/bin/bash
# What is foreign or torn in the state directory fails one machine, never the daemon or the others.
# What ls, cat and words do is what is tried here.
# shellcheck disable=SC2010
. tests/lib.sh
. tests/machines.sh
machinefs_start
for name in good cut empty garbage nometa cutmeta badmeta both newer torn dir nofile busy huge future one; do
	mkdir "$M/vm/$name"
	put "$M/vm/$name/label" "name $name"
	put "$M/vm/$name/cpu.count" 3
done
mkdir "$M/container/good"
cat "$M/vm/good/config.yaml" >"$T/good.yaml"
machinefs_stop

s=$STATE_DIR/vm
truncate -s 40 "$s/cut/config.yaml"
: >"$s/empty/config.yaml"
head -c 5000 "$MACHINEFS" >"$s/garbage/config.yaml"
rm "$s/nometa/meta"
truncate -s 30 "$s/cutmeta/meta"
head -c 500 /dev/urandom >"$s/badmeta/meta"
echo 'format 1' >"$s/both/meta"
echo '[' >"$s/both/config.yaml"
sed -i 's/^format 1$/format 2/' "$s/newer/meta"
sed -i 's/^end$/label 1000\nend/' "$s/torn/meta"
sed -i 's/^end$/disk.future 1000 100 600\nend/' "$s/good/meta"
rm "$s/dir/config.yaml"
mkdir "$s/dir/config.yaml"
echo x >"$s/dir/config.yaml/inside"
rm "$s/nofile/config.yaml"
rm -r "$s/busy"
echo 'not a directory' >"$s/busy"
head -c 3000000 /dev/zero >"$s/huge/config.yaml"
echo 'disk.future: 1' >>"$s/future/config.yaml"
sed -i '/^\.\.\.$/d' "$s/future/config.yaml"
mkdir "$s/.unfinished" "$s/.halfway" "$STATE_DIR/container/.x"
echo 'format 1' >"$s/.unfinished/meta"
mkdir "$s/.halfway/deep"
echo x >"$s/.halfway/deep/file"
echo stray >"$s/.stray"
mkdir "$s/a b" "$s/-x"
echo x >"$s/a b/config.yaml"
ln -s good "$s/link"
mkfifo "$s/fifo"
mkdir "$s/fifomachine"
cp "$s/dir/meta" "$s/fifomachine/meta"
sed -i 's/^id .*/id 5000/; s/^uuid ......../uuid 00000000/' "$s/fifomachine/meta"
cp -r "$s/one" "$s/twin"
mkfifo "$s/fifomachine/config.yaml"
mkfifo "$STATE_DIR/container/good/console" "$STATE_DIR/container/good/exit"
mkdir "$STATE_DIR/container/good/console.old"
printf 'rubbish' >"$STATE_DIR/owners"
printf '%s\n' 99999999999999999999 >"$STATE_DIR/ids"

machinefs_start
pass "the daemon starts"
is "the good ones are there" "$(cat "$M/vm/good/cpu.count" "$M/vm/good/state" "$M/container/good/state" | xargs)" "3 stopped stopped"
ok "as they were" cmp "$M/vm/good/config.yaml" "$T/good.yaml"
for name in cut empty garbage nometa cutmeta badmeta both newer torn dir nofile busy huge future link fifo; do
	is "$name is failed" "$(cat "$M/vm/$name/state")" failed
	like "and says why" "$(cat "$M/vm/$name/error")" '^EIO (meta|config\.yaml) on disk( cannot be read: .| is of format 2, and|: .)'
	is "in one line" "$(wc -l <"$M/vm/$name/error")" 1
	refused "it does not start" EIO ' on disk' "$M/vm/$name" put "$M/vm/$name/ctl" start
	refused "and a single setting is refused" EIO 'write config.yaml anew' "$M/vm/$name" \
		put "$M/vm/$name/cpu.count" 2
done
is "every file of them can be read" "$(find "$M"/vm -type f -exec cat {} + 2>&1 >/dev/null | head -n 3)" ''
is "a machine whose owner is unknown is root's alone" "$(stat -c '%a' "$M/vm/nometa")" 700
is "of two with one identity, one is failed" "$(cat "$M"/vm/{one,twin}/state | sort | xargs)" "failed stopped"
like "and says whose it is" "$(cat "$M"/vm/{one,twin}/error)" '^EIO meta on disk is that of (one|twin), too$'
ok "what a newer version says of its files" chmod 600 "$M/vm/good/label"
is "is kept" "$(tail -n 2 "$s/good/meta")" $'disk.future 1000 100 600\nend'
is "a pipe is no configuration" "$(cat "$M/vm/fifomachine/state")" failed
is "a pipe is no console, and stops nobody" "$(timeout 5 cat "$M/container/good/console" 2>&1) $?" " 0"
is "numbers are still unique" "$(stat -c %i "$M"/vm/* | sort | uniq -d)" ''
is "unfinished directories are swept" "$(ls -A "$s" | grep -c '^\.')" 0
is "foreign names are no machines" "$(ls "$M/vm" | grep -c ' \|^-')" 0
ok "but they are kept" test -e "$s/a b/config.yaml"
ok "grep -r ends" timeout 10 bash -c "grep -r . '$M/vm' >'$T/grep' 2>&1; test -s '$T/grep'"

# --- healing
for name in cut empty garbage dir nofile huge future; do
	ok "config.yaml written anew heals $name" cp "$T/good.yaml" "$M/vm/$name/config.yaml"
	is "it is stopped" "$(cat "$M/vm/$name/state" "$M/vm/$name/cpu.count" | xargs)" "stopped 3"
done
for name in busy link fifo; do
	refused "$name cannot be healed" EIO 'remove the machine' "$M/vm/$name" cp "$T/good.yaml" "$M/vm/$name/config.yaml"
done
for name in busy link fifo nometa cutmeta; do
	ok "$name can be removed" rmdir "$M/vm/$name"
	ok "and made again" mkdir "$M/vm/$name"
done
ok "what the link led to is there" cmp "$s/good/config.yaml" "$T/good.yaml"
ok "so can one that had a directory for a file" rmdir "$M/vm/dir"
ok "and made again" mkdir "$M/vm/dir"
for name in badmeta both newer torn one twin fifomachine; do
	ok "$name is healed, or well" cp "$T/good.yaml" "$M/vm/$name/config.yaml"
done
machinefs_kill9
machinefs_start
is "all that was healed is well" "$(cat "$M"/vm/{cut,empty,garbage,dir,nofile,huge,future,busy,link,fifo,nometa,cutmeta,badmeta,both,newer,torn,one,twin,fifomachine}/state | sort -u)" stopped
is "as configured" "$(cat "$M"/vm/{cut,empty,garbage,nofile,huge,future}/cpu.count | sort -u)" 3
is "nothing is left unfinished" "$(ls -A "$s" | grep -c '^\.')" 0
machinefs_stop

# --- torn at every byte: a machine for each length of each file
cp -r "$s/good" "$T/whole"
rm -r "$STATE_DIR/vm"
mkdir -p "$s"
for file in meta config.yaml; do
	size=$(stat -c %s "$T/whole/$file")
	for ((i = 0; i < size; i++)); do
		cp -r "$T/whole" "$s/$file-$i"
		head -c "$i" "$T/whole/$file" >"$s/$file-$i/$file"
		[ "$file" = meta ] || sed -i "s/^id .*/id $((10000 + i))/" "$s/$file-$i/meta"
	done
done
machinefs_start
states=$(cat "$M"/vm/*/state | sort | uniq -c | xargs)
is "one that is torn at any byte is failed" "$states" "$(find "$s" -mindepth 1 -maxdepth 1 | wc -l) failed"
is "and says why" "$(cat "$M"/vm/*/error | grep -cvE '^EIO (meta|config\.yaml) on disk.*: .')" 0
is "none has changed on disk" "$(stat -c %s "$s"/config.yaml-*/config.yaml | sort -n | xargs)" "$(seq 0 $((size - 1)) | xargs)"
machinefs_stop

# --- the kinds' directories themselves
rm -r "$STATE_DIR"
mkdir -p "$STATE_DIR"
echo x >"$STATE_DIR/vm"
"$MACHINEFS" -f --state-dir "$STATE_DIR" --run-dir "$RUN_DIR" "$M" >"$T/out" 2>&1
is "a file instead of the machines' directory ends the daemon" $? 1
like "with a sentence" "$(cat "$T/out")" 'state directory: vm: Not a directory'
done_testing
