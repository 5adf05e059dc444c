#!/bin/bash
# A fork bomb, a memory hog, a CPU hog and a disk hog beside a container that has to go on serving.
# timeout: 180
. tests/lib.sh
. tests/machines.sh
need_root
machinefs_start

# One that answers: each line that it reads comes back.
container_new serve cat
put "$M/container/serve/ctl" start
serve=$M/container/serve
asked=0
answers() { # it answers one more question
	asked=$((asked + 1))
	put "$serve/console" "question $asked"
	poll 20 grep -q "question $asked" "$serve/console"
}
ok "it serves" answers

hog() { # NAME COMMAND...: with the limits that bound it
	local h=$M/container/$1
	container_new "$@"
	put "$h/memory.size" 32M
	put "$h/pids.max" 40
	put "$h/cpu.max" 20000 100000
	put "$h/ctl" start
}

hog bomb sh -c "'f() { f | f & }; f & read x'" # init itself forks no more: it would end by that
# Only one process of it takes memory, see limits.sh.
hog memory sh -c "'while :; do tail -c 90m /dev/zero >/dev/null; done'"
hog cpu sh -c "'for i in 1 2 3 4; do (while :; do :; done) & done; while :; do :; done'"
hogs='bomb memory cpu'
# What it may write is bounded, where the kernel has overlays and a file system for each.
if command -v mkfs.ext4 >/dev/null && command -v losetup >/dev/null && { [ -e /dev/loop-control ] || modprobe loop 2>/dev/null; } &&
	losetup -f >/dev/null 2>&1 && { grep -qw overlay /proc/filesystems || modprobe overlay 2>/dev/null; }; then
	disk_new() {
		container_new disk sh -c "'i=0; while :; do i=\$((i+1)); cat /dev/zero > /full\$i || echo full; done'" &&
			put "$M/container/disk/root.writable" overlay &&
			put "$M/container/disk/quota" bytes=16M && put "$M/container/disk/ctl" start
	}
	ok "a disk hog starts" disk_new
	hogs+=' disk'
	soon "and meets its limit" 30 grep -q full "$M/container/disk/console"
	ok "what it has is bounded" test "$(du -sxk "$STATE_DIR/container/disk" | cut -f1)" -le 20000
	ok "the daemon still keeps what it is told" put "$serve/label" 'a word'
	is "which is on the disk" "$(grep -c 'a: word\|a word' "$STATE_DIR/container/serve/config.yaml")" 1
fi
for h in $hogs; do
	ok "$h runs" test "$(cat "$M/container/$h/state")" = running
done
soon "the bomb meets its limit" 20 sh -c "[ \$(cat $M/container/bomb/pids.current) -ge 30 ]"
ok "and stays within" test "$(cat "$M/container/bomb/pids.current")" -le 40
soon "the memory hog meets its own" 20 sh -c \
	"awk '\$1 == \"physpages\" && \$6 > 0 { found = 1 } END { exit !found }' $M/container/memory/accounting"
for i in 1 2 3 4 5; do
	ok "the other serves ($i)" answers
done
mkdir "$serve/exec/s"
put "$serve/exec/s/argv" echo still here
ok "a session starts in it" put "$serve/exec/s/ctl" start
await "$serve/exec/s" stopped 30
is "and runs to its end" "$(cat "$serve/exec/s/stdout")" "still here"
for h in $hogs; do
	ok "$h is killed" put "$M/container/$h/ctl" kill
	ok "and nothing of it is left" await "$M/container/$h" stopped 30
done
ok "the other serves on" answers
put "$serve/ctl" kill
await "$serve" stopped
done_testing
