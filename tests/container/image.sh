#!/bin/bash
# Images: what is imported, from what; and what becomes of sources that mean harm.
# timeout: 300
. tests/lib.sh
need_root
need_command python3
machinefs_start
root=$(busybox_root)
data() { # IMAGE: where its tree lies
	echo "$STATE_DIR/image/$1/data/root"
}
make() { # NAME SOURCE: $i is a new image from it
	i=$M/image/$1
	mkdir "$i" && put "$i/source" "$2"
}
import() {
	put "$i/ctl" import && put "$i/wait" ready 30
}
hostile() { # KIND: its file or directory
	echo "$T/hostile/$1"
}

mkdir "$T/hostile" && python3 tests/hostile-tar.py all "$T/hostile" || exit

# --- its files
make bb "$root"
is "a new one is empty" "$(cat "$i/state")" empty
is "what it can" "$(cat "$i/ctl")" import
ok "import returns when it is under way" put "$i/ctl" import
ok "and it gets ready" put "$i/wait" ready 30
is "its kind was found" "$(cat "$i/kind")" directory
is "all was read" "$(value "$i/progress" "done")" "$(value "$i/progress" all)"
is "what it can then" "$(cat "$i/ctl")" verify
is "it is what the source is" "$(cd "$(data bb)" && find . -printf '%P %y %m %U %G %l\n' | sort | sha256sum)" \
	"$(cd "$root" && find . -printf '%P %y %m %U %G %l\n' | sort | sha256sum)"
is "byte by byte" "$(diff -r --no-dereference "$root" "$(data bb)" 2>&1)" ""
refused "it is not imported twice" EEXIST 'ready' "$i" put "$i/ctl" import
refused "nor changed" EBUSY 'cannot change while the image is ready' "$i" put "$i/source" /srv
ok "but labelled" put "$i/label" use test
ok "verify finds it as it was" put "$i/ctl" verify
echo changed >>"$(data bb)/etc/passwd"
refused "and not when it was changed" EIO 'not what was imported' "$i" put "$i/ctl" verify
like "events tells of it all" "$(cut -d' ' -f4- "$i/events")" \
	$'created\nstate importing\nstate ready\nverified\nverified .*not what was imported'
ok "mv" mv "$i" "$M/image/other"
ok "rmdir" rmdir "$M/image/other"
left() { [ -z "$(ls -A "$STATE_DIR/image")" ]; }
soon "takes the tree with it" 10 left
mkdir "$M/image/none"
refused "nothing to import" EINVAL 'source: not set' "$M/image/none" put "$M/image/none/ctl" import
put "$M/image/none/source" /nowhere
refused "a source that is not there" ENOENT 'source: /nowhere' "$M/image/none" put "$M/image/none/ctl" import
refused "no such verb" EINVAL 'not a verb' "$M/image/none" put "$M/image/none/ctl" fly

# --- archives
tar -C "$root" -cf "$T/bb.tar" .
for pack in cat gzip xz zstd; do
	command -v $pack >/dev/null || continue
	$pack <"$T/bb.tar" >"$T/bb.$pack"
	make "tar-$pack" "$T/bb.$pack"
	ok "a tar archive by $pack" import
	is "is one" "$(cat "$i/kind")" tar
	is "and its digest the file's" "$(cat "$i/digest")" "sha256:$(sha256sum "$T/bb.$pack" | cut -d' ' -f1)"
	trees="${trees-}$(cat "$i/digest.tree")"$'\n'
done
is "they are all the same tree" "$(echo "${trees%$'\n'}" | sort -u | wc -l)" 1
make digest "$T/bb.tar"
put "$i/source.digest" "sha256:$(printf %064d 0)"
not_ok "a source of another digest than it must have" import
like "fails the import" "$(cat "$i/error")" '^EIO wait|^EINVAL source.digest: it is sha256:'
put "$i/source.digest" "sha256:$(sha256sum "$T/bb.tar" | cut -d' ' -f1)"
ok "with the right one it goes" import

# --- archives that mean harm: taken for what they can be taken, or refused with a sentence
failed() { # NAME KIND REGEXP
	make "$2" "$(hostile "$2")"
	if import 2>/dev/null; then
		fail "$1" "it was imported: $(ls -lR "$(data "$2")")"
	else
		like "$1" "$(cut -d' ' -f4- "$i/events" | tail -n 1)" "^state failed .*$3"
	fi
}
taken() { # NAME KIND COMMAND...: imported, and the command, run in its tree, succeeds
	local name=$1 kind=$2
	shift 2
	make "$kind" "$(hostile "$kind")"
	ok "$name" eval 'import && cd "$(data "$kind")" && '"$*"
}
taken "an absolute name is below the root" absolute '[ "$(cat etc/absolute)" = x ]'
failed ".. is refused" dotdot 'has ".." in its name'
failed ".. in the middle, too" dotdot-inside 'has ".." in its name'
taken "a link in the way leads into the tree only" link-parent '[ -f tmp/through-link ] && [ ! -e /tmp/through-link ]'
taken "an absolute link likewise" link-absolute '[ -f etc/inside ] && [ ! -e /etc/inside ]'
failed "links in a circle" link-loop 'entry "a/x": Too many levels'
failed "a hard link out of it" hardlink-out 'has ".." in its name'
failed "a hard link to a file of the host" hardlink-absolute 'what is not there'
failed "a hard link to a directory" hardlink-directory 'hard link to a directory'
taken "a hard link to a link is one" hardlink-link '[ "$(readlink m)" = /etc/passwd ]'
taken "a file takes the place of a link" over-link '[ -f f ] && [ ! -L f ] && [ ! -e /tmp/machinefs-over-link ]'
taken "devices are left out" device '[ ! -e dev/sda ] && [ ! -e dev/kmem ] && [ -p fifo ]'
is "and counted" "$(cat "$i/left_out.devices")" 2
taken "a device is no whiteout" whiteout-device '[ "$(cat etc/hostname)" = good ]'
failed "300 levels" deep 'is too deep'
failed "a name of 300 letters" long-name 'too long a name'
# A tmpfs before Linux 6.6 holds no attributes of users: then those are left out like the host's.
attributes() { # DIR: of every file in it
	python3 -c 'import os, sys
print(*(a for n in os.listdir(sys.argv[1]) for a in os.listxattr(os.path.join(sys.argv[1], n), follow_symlinks=False)))' "$1"
}
mkdir "$T/attributes"
python3 -c 'import os, sys
f = sys.argv[1] + "/f"; open(f, "w"); os.setxattr(f, "user.kept", b"yes")' "$T/attributes" 2>/dev/null
kept=$(attributes "$T/attributes")
taken "extended attributes for the host are left out" xattrs true
is "the others are kept (here: ${kept:-none can be})" "$(attributes "$(data xattrs)")" "$kept"
is "what is left out is counted" "$(cat "$i/left_out.xattrs")" "$([ -n "$kept" ] && echo 3 || echo 4)"
failed "an owner that cannot be" huge-id 'belongs to no possible id'
taken "set-user-id stays" setuid '[ "$(stat -c %a su)" = 4755 ]'
taken "names in UTF-8" utf8 '[ -f café ]'
taken "the last entry of a name counts" twice '[ "$(cat etc/hostname)" = again ] && [ -f d ]'
taken "directories without an entry" no-parents '[ "$(cat a/b/c/f)" = x ]'
failed "an entry without a name" empty-name 'name'
taken "a file of 1 TiB of holes" sparse '[ "$(stat -c %s f)" = 1099511627776 ] && [ "$(du -k f | cut -f1)" -lt 100 ]'
is "has one byte of data" "$(cat "$i/size")" $((1 + 5))
# What the file system takes depends on it.
make sparse-huge "$(hostile sparse-huge)"
import 2>/dev/null
like "one of 8 EiB is taken or refused" "$(tail -n 1 "$i/events")" 'state ready|entry "f": File too large'
is "at no cost" "$(($(du -sk "$STATE_DIR/image/sparse-huge" | cut -f1) < 200))" 1
make bomb "$(hostile bomb)"
put "$i/size.max" 16M
not_ok "a bomb" import
like "is stopped at size.max" "$(tail -n 1 "$i/events")" 'state failed size.max: the image has more than 16777216'
ok "what it has left can be cleared" put "$i/ctl" clear
is "and it is empty again" "$(cat "$i/state")" empty
failed "an archive cut off" truncated 'the archive'
failed "what is no archive" garbage 'the archive: Unrecognized'

# --- OCI layouts
taken "whiteouts hide what is below, and only that" oci-whiteouts \
	'[ ! -e gone ] && [ ! -e d/low ] && [ ! -e d/sub/low ] && [ -f d/high ] && [ -f d/sub/high ] && [ -f etc/hostname ]'
is "without a trace" "$(find "$(data oci-whiteouts)" -name '.wh.*')" ""
is "its kind" "$(cat "$i/kind")" oci
failed "a whiteout outside" oci-whiteout-out 'has ".." in its name'
failed "a whiteout of .." oci-whiteout-dot 'whiteout of nothing'
taken "a whiteout by way of a link stays in the tree" oci-whiteout-link '[ -d /tmp ]'
failed "a layer that is another one" oci-wrong-layer 'layer sha256:.* is another one'
failed "a manifest that is another one" oci-wrong-manifest 'is another one'
failed "a digest that is a path" oci-digest-path 'is not a digest'
failed "a blob that is a link" oci-link-blob 'blobs/sha256/.*Too many levels|symbolic'
failed "documents of endless depth" oci-deep-json 'manifest, line 1'
failed "no JSON" oci-no-json 'manifest, line 1'
failed "several images" oci-two 'source.ref: there are several images'
put "$i/source.ref" two
ok "of which one is named" import
ok "that one it is" test -f "$(data oci-two)/second"
put "$M/image/none/source" "$(hostile oci-two)"
put "$M/image/none/source.ref" three
put "$M/image/none/ctl" import
not_ok "one that is not there" put "$M/image/none/wait" ready 30
like "is not" "$(tail -n 1 "$M/image/none/events")" 'source.ref: there is no image "three"'
taken "the image for this CPU" oci-platforms '[ -f amd64 ]'
failed "indices in indices" oci-index-loop 'index in an index'
taken "its configuration" oci-config true
is "entrypoint" "$(cat "$i/entrypoint")" "/bin/sh -c"
is "cmd, quoted" "$(cat "$i/cmd")" "'echo \"it'\\''s \$GREETING\"; pwd'"
is "env" "$(cat "$i/env")" $'GREETING=hello world\nPATH=/bin'
is "the rest" "$(cat "$i/user" "$i/workdir" "$i/stop.signal" "$i/platform" | xargs)" "0:0 /etc SIGUSR1 linux/amd64"
taken "what cannot be said on a line is not said" oci-config-newline '[ -z "$(cat "$i/cmd")" ]'
taken "a list of users that is a link" oci-user-link '[ -L etc/passwd ]'
is "is one in the image" "$(cat "$i/user.ids")" 77:78
taken "one that is a link to the host's" oci-user-out '[ -L etc/passwd ]'
is "is none" "$(cat "$i/user.ids")" ""
tar -C "$(hostile oci-whiteouts)" -cf "$T/layout.tar" oci-layout index.json blobs
make layout "$T/layout.tar"
ok "a layout as an archive" import
is "is the same image" "$(cat "$i/digest.tree")" "$(cat "$M/image/oci-whiteouts/digest.tree")"

# --- nothing comes out of it
is "nothing was written elsewhere" "$(find /tmp /etc -maxdepth 1 -newer "$T/bb.tar" \( -name outside -o -name stolen \))" ""

# --- interrupted, by a user and by a death
make three "$(hostile oci-three)"
refused "there is nothing to cancel" EBUSY 'the image is empty' "$i" put "$i/ctl" cancel
put "$i/ctl" import && put "$i/wait" ready 30
is "three layers" "$(find "$(data three)" -size 4M | wc -l)" 3
machinefs_stop
failcall=$B/tests/fault/failcall
# An import that has two of them stands still before it says that it has the second.
held() { # NAME
	make "$1" "$(hostile oci-three)"
	put "$i/ctl" import
	importer=
	poll 20 stands_still
}
stands_still() {
	importer=$(pgrep -n -f '^machinefs-importer') && grep -q '^State:.*stopped' "/proc/$importer/status"
}
progress() {
	value "$i/progress" "$1"
}
first_layer() {
	stat -c %i "$(data "$1")/layer0"
}
MACHINEFS_UNDER=("$failcall" -c 0 -p .layers renameat STOP 1)
machinefs_start
held mid
ok "an import that is under way" stands_still
is "is that" "$(cat "$i/state") $(cat "$i/ctl")" "importing cancel"
two_of_three() {
	local off=$(($(progress "done") * 3 / 2 - $(progress all)))
	[ "${off#-}" -lt 1000 ]
}
ok "how much of it is done can be seen ($(xargs <"$i/progress"))" two_of_three
refused "it cannot be removed" EBUSY 'at work' "$i" rmdir "$i"
ok "cancel" put "$i/ctl" cancel
put "$i/wait" failed 30
like "ends it" "$(tail -n 1 "$i/events")" 'state failed import: cancelled'
is "what it had is there" "$(cd "$(data mid)" && echo layer*)" "layer0 layer1"
ok "until it is cleared" put "$i/ctl" clear
cleared() { [ ! -e "$(data mid)" ] && ! find "$STATE_DIR/image" -maxdepth 1 -name '.*' | grep -q /; }
soon "then there is nothing" 10 cleared
is "and it is as new" "$(cat "$i/state") $(cat "$i/ctl")" "empty import"
rmdir "$i"
machinefs_stop
machinefs_start
held mid
ok "one that is cancelled" stands_still
put "$i/ctl" cancel
put "$i/wait" failed 30
machinefs_stop
layer=$(first_layer mid)
MACHINEFS_UNDER=()
machinefs_start
i=$M/image/mid
ok "goes on when it is imported again" import
is "with what was done already" "$(first_layer mid)" "$layer"
is "to the same end" "$(cat "$i/digest.tree")" "$(cat "$M/image/three/digest.tree")"
machinefs_stop
MACHINEFS_UNDER=("$failcall" -c 0 -p .layers renameat STOP 1)
machinefs_start
held again
ok "another one, whose daemon is killed" stands_still
layer=$(first_layer again)
daemon=$(pgrep -P "$MACHINEFS_PID" -x machinefs)
# Let go before the daemon's end of its socket is closed, it would come to stand still again.
kill -KILL "$daemon"
soon "is left alone" 20 pid_gone "$daemon"
kill -CONT "$importer"
soon "and ends with its daemon" 20 pid_gone "$importer"
machinefs_kill9
MACHINEFS_UNDER=()
machinefs_start
i=$M/image/again
ok "goes on with the next daemon" put "$i/wait" ready 30
is "with what was done already" "$(first_layer again)" "$layer"
is "to the same end" "$(cat "$i/digest.tree")" "$(cat "$M/image/three/digest.tree")"
far="$(progress "done") $(progress all)"
like "all was read" "$far" '^([1-9][0-9]+) \1$'
machinefs_stop
MACHINEFS_UNDER=("$failcall" -p root openat STOP 0)
machinefs_start
put "$i/ctl" verify &
verify=$!
poll 20 stands_still
is "how much is to be verified can be seen" "$(progress "done") $(progress all)" "0 $(cat "$i/size")"
kill -CONT "$importer"
wait "$verify"
is "and ends well" $? 0
is "what was ready still is" "$(cat "$M/image/oci-config/state" "$M/image/oci-config/entrypoint" | xargs)" "ready /bin/sh -c"
is "and was read as far" "$(progress "done") $(progress all)" "$far"
is "what has failed still has" "$(cat "$M/image/dotdot/state")" failed

# --- many are removed, and what removes them is held up
removed() { find "$STATE_DIR/image" -maxdepth 1 -name '.*' | grep -c /; }
none_left() { [ "$(removed)" = 0 ]; }
soon "nothing that was removed is left" 10 none_left
python3 -c 'import fcntl, os, sys
d = os.open(sys.argv[1], os.O_RDONLY)
fcntl.flock(d, fcntl.LOCK_EX)
print("held", flush=True)
os.read(0, 1)' "$STATE_DIR/image" < <(exec sleep 1000) >"$T/held" &
holder=$!
poll 10 test -s "$T/held"
for n in {1..40}; do
	mkdir "$M/image/gone-$n" && rmdir "$M/image/gone-$n"
done
is "they are out of sight, and still there" "$(ls -d "$M"/image/gone-* 2>/dev/null; removed)" 40
make beside "$(hostile oci-three)"
ok "an import has its turn all the same" import
machinefs_kill9
machinefs_start
is "the next daemon does not wait for it, either" "$(removed)" 40
kill "$holder"
soon "in the end they are gone" 20 none_left
done_testing
