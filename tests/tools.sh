# shellcheck shell=bash
# tests/tools.sh: every common tool on the tree, as a table; sourced after tests/lib.sh.
#
#   tools_setup                 makes $M/vm/tools, and what is known of it in $T/truth
#   tools_table TRANSPORT DIR   the table, on $M as it is seen in DIR: $M itself or a remote mount
#
# A row is a promise: what the tool must print, or what must then stand in the file. Rows run in
# DIR/vm/tools; what they are judged by is read from $M. tools_tail is how a file is followed there;
# where tools_append is empty a setting cannot be appended to. Rows whose names match tools_skip are
# left out: tools_again are those that differ little from another.

tools_tail='tail -n +1 -f'
tools_append=yes
tools_skip=
tools_again='^busybox (head|tail -c|wc|md5sum|sed|awk|grep$|find (-size|\|)|cmp|sort|stat|dd of)|^(cp -p|awk >)'
tools_again+='|^(truncate|touch,|tee of two|dd conv|sed w|python, os)|, (its globs|test)$'
tools_vim=$(command -v vim.tiny || command -v vim)

tools_setup() {
	mkdir "$M/vm/tools" "$T/truth"
	put "$M/vm/tools/label" $'owner alice\nteam red\nnote two words'
	put "$M/vm/tools/boot.cmdline" 'quiet panic=-1'
	put "$M/vm/tools/cpu.count" 3
	(cd "$M/vm/tools" && find . -mindepth 1 | while IFS= read -r file; do
		if [ -L "$file" ]; then
			cp -P "$file" "$T/truth/$file"
		elif [ -d "$file" ]; then
			mkdir "$T/truth/$file"
		else
			cat "$file" >"$T/truth/$file"
		fi
	done)
}

skipped() {
	[ -n "$tools_skip" ] && [[ $1 =~ $tools_skip ]]
}

# reads NAME WANTED COMMAND: what a command prints.
reads() {
	! skipped "$1" || return 0
	is "$tools_name: $1" "$(cd "$tools_dir" && eval "$3" 2>&1)" "$2"
}

# writes NAME FILE WANTED COMMAND: a command succeeds, and FILE then says WANTED.
writes() {
	local out
	! skipped "$1" || return 0
	out=$(cd "$tools_dir" && eval "$4" 2>&1) || fail "$tools_name: $1 succeeds" "$out"
	is "$tools_name: $1" "$(cat "$M/vm/tools/$2")" "$3"
}

# refuses NAME ERRNO SENTENCE COMMAND: a command fails and says ERRNO (any, if ERRNO is ''); the
# sentence in `error` matches.
refuses() {
	local name="$tools_name: $1" wanted out
	wanted=${2:+$(errno_message "${errno_as[$2]:-$2}")}
	put "$M/vm/tools/ctl" "unlike $tools_name" 2>/dev/null # so that an older sentence is gone
	if out=$(cd "$tools_dir" && eval "$4" 2>&1 </dev/null); then
		fail "$name is refused" "this succeeded: $4"
	elif [[ $out != *"$wanted"* ]]; then
		fail "$name says $wanted" "$out"
	else
		like "$name is refused" "$(cat "$tools_dir/error")" "^${2:-E[A-Z]+} $3"
	fi
}

# takes NAME DIRECTORY: what a tool has copied out of the tree is all that is in it.
takes() {
	local out
	out=$(diff -r --no-dereference "$T/truth" "$T/out/$2" 2>&1)
	is "$tools_name: $1" "$out" ''
}

# On a terminal of its own. The command is one string; of a job in the background this is all.
terminal() {
	export TERM=xterm
	exec timeout 60 script -qec "$1" /dev/null </dev/null
}

tools_table() {
	tools_name=$1 tools_dir=$2/vm/tools
	rm -rf "$T/out"
	mkdir "$T/out"
	tools_readers
	tools_shells
	tools_copiers "$2"
	tools_terminals
	tools_followers "$2"
	tools_writers
	tools_refusals
}

tools_readers() {
	local sum box
	sum=$(md5sum <"$T/truth/label")
	for box in '' 'busybox '; do
		reads "${box}cat" 'quiet panic=-1' "${box}cat boot.cmdline"
		reads "${box}head" 'owner alice' "${box}head -n 1 label"
		reads "${box}head -c" 'owner' "${box}head -c 5 label"
		reads "${box}tail" 'note two words' "${box}tail -n 1 label"
		reads "${box}tail -c" 'words' "${box}tail -c 6 label"
		reads "${box}wc" '3 7 36' "${box}wc label | ${box}awk '{ print \$1, \$2, \$3 }'"
		reads "${box}md5sum" "${sum%% *}" "${box}md5sum label | cut -d' ' -f1"
		reads "${box}sed" 'team red' "${box}sed -n 2p label"
		reads "${box}awk" $'alice\nred\ntwo' "${box}awk '{ print \$2 }' label"
		reads "${box}dd" 'r al' "${box}dd if=label bs=4 skip=1 count=1 2>/dev/null"
		reads "${box}grep" 'team red' "${box}grep ^team label"
		reads "${box}grep -r" $'./boot.cmdline\n./config.yaml' "${box}grep -rl panic=-1 . 2>/dev/null | sort"
		reads "${box}find" $'./cpu.count\n./cpu.max\n./cpu.model\n./cpu.stat\n./cpu.weight' \
			"${box}find . -type f -name 'cpu.[cmsw]*' | sort"
		reads "${box}find -size" './label' "${box}find . -name label -size 36c"
		reads "${box}find | xargs" $'3\nquiet panic=-1' \
			"${box}find . -name cpu.count -o -name boot.cmdline | sort -r | ${box}xargs cat"
		reads "${box}ls -lR" '-rw-r--r-- 36' "${box}ls -lR . | awk '\$NF == \"label\" { print \$1, \$5 }'"
		reads "${box}cmp" '' "${box}cmp label '$T/truth/label'"
		reads "${box}sort" $'note two words\nowner alice\nteam red' "${box}sort label"
		reads "${box}stat" 36 "${box}stat -c %s label"
	done
	# The links tty and proc lead nowhere now, and into /proc while it runs.
	reads "diff -r" '' "diff -r --no-dereference . '$T/truth'"
	reads "busybox diff -r" '' "busybox diff -r . '$T/truth' 2>/dev/null"
	reads "tac" $'note two words\nteam red\nowner alice' 'tac label'
	reads "less, not on a terminal" "$(cat "$T/truth/label")" 'less label'
}

tools_shells() {
	local shell
	for shell in bash dash 'busybox sh'; do
		reads "$shell, read" 'owner alice' "$shell -c 'read -r line <label; echo \"\$line\"'"
		reads "$shell, while read" 'alice red two words ' \
			"$shell -c 'while read -r key value; do printf \"%s \" \"\$value\"; done <label'"
		reads "$shell, its globs" $'cpu.count\ncpu.max\ncpu.model\ncpu.stat\ncpu.weight' \
			"$shell -c 'for f in cpu.[cmsw]*; do echo \$f; done'"
		reads "$shell, test" 'yes' "$shell -c '[ -f label ] && [ -s label ] && [ ! -e nothing ] && echo yes'"
	done
	reads "python, open().read()" "$(cat "$T/truth/label")" "python3 -c 'print(open(\"label\").read(), end=\"\")'"
	reads "python, lines, seek, bytes" $'3\nquiet\n36' \
		"python3 -c 'import os
print(len(list(open(\"label\"))))
f = open(\"boot.cmdline\"); f.seek(0, 2); f.seek(0); print(f.read(5))
print(len(open(\"label\", \"rb\").read(1 << 20)))'"
	reads "python, os.walk" "$(find "$T/truth" -type f | wc -l)" \
		"python3 -c 'import os; print(sum(not os.path.islink(os.path.join(d, f)) for d, _, fs in os.walk(\".\") for f in fs))'"
}

# Out of the tree.
tools_copiers() {
	(
		cd "$1/vm" || exit
		cp tools/label "$T/out/label"
		cp -r tools "$T/out/cp"
		busybox cp -r tools "$T/out/busybox-cp"
		tar -cf "$T/out/tar.tar" tools && mkdir "$T/out/tar" && tar -C "$T/out/tar" -xf "$T/out/tar.tar"
		busybox tar -cf "$T/out/busybox.tar" tools && mkdir "$T/out/busybox" &&
			tar -C "$T/out/busybox" -xf "$T/out/busybox.tar"
		rsync -a tools/ "$T/out/rsync"
	) >"$T/out/said" 2>&1
	is "$tools_name: cp, cp -r, tar and rsync have nothing to complain of" "$(cat "$T/out/said")" ''
	ok "$tools_name: cp" cmp "$T/truth/label" "$T/out/label"
	takes "cp -r" cp
	takes "busybox cp -r" busybox-cp
	takes "tar" tar/tools
	takes "busybox tar" busybox/tools
	takes "rsync -a" rsync
	reads "rsync, again: nothing to do" '' "rsync -ani --checksum ./ '$T/out/rsync'"
}

tools_terminals() {
	local out
	out=$(cd "$tools_dir" && terminal 'stty rows 24; less -FX label')
	like "$tools_name: less on a terminal" "$out" $'owner alice\r?\nteam red\r?\nnote two words'
	(cd "$tools_dir" && terminal 'watch -t -n 0.1 cat boot.cmdline' >"$T/out/watch" 2>&1) &
	soon "$tools_name: watch cat" 20 grep -q 'quiet panic=-1' "$T/out/watch"
	put "$M/vm/tools/boot.cmdline" another thing
	soon "$tools_name: watch cat sees a change" 20 grep -q 'another' "$T/out/watch"
	kill $! && wait $! 2>/dev/null
	put "$M/vm/tools/boot.cmdline" 'quiet panic=-1'
}

# A log that grows. Each must have begun before more comes.
tools_followers() {
	$tools_tail "$1/events" >"$T/out/tail" 2>&1 &
	local tail=$!
	busybox tail -n +1 -f "$1/events" >"$T/out/busybox-tail" 2>&1 &
	local busybox_tail=$!
	soon "$tools_name: $tools_tail says what there is" 20 grep -q 'vm/tools created' "$T/out/tail"
	soon "$tools_name: busybox tail -f" 20 grep -q 'vm/tools created' "$T/out/busybox-tail"
	mkdir "$M/vm/followed"
	soon "$tools_name: and what comes" 20 followed created
	rmdir "$M/vm/followed"
	soon "$tools_name: and what comes then" 20 followed removed
	is "$tools_name: and nothing else" "$(cat "$T/out/tail" "$T/out/busybox-tail")" \
		"$(cat "$M/events" "$M/events")"
	kill $tail $busybox_tail
	wait $tail $busybox_tail 2>/dev/null
}

followed() {
	[ "$(grep -c "vm/followed $1" "$T/out/tail" "$T/out/busybox-tail" | grep -vc ':0$')" = 2 ]
}

# Each with a value of its own, so that its effect is seen.
tools_writers() {
	local shell n=10
	for shell in bash dash 'busybox sh'; do
		writes "$shell, >" cpu.count $((n += 1)) "$shell -c 'echo $n >cpu.count'"
		[ -z "$tools_append" ] ||
			writes "$shell, >>" cpu.count $((n += 1)) "$shell -c 'echo $n >>cpu.count'"
		writes "$shell, several lines" label $'owner alice\nteam red\nnote '"$n" \
			"$shell -c 'printf \"note default\nnote $n\n\" >label'"
	done
	writes "cat >" cpu.count 31 'echo 31 | cat >cpu.count'
	writes "tee" cpu.count 32 'echo 32 | tee cpu.count'
	writes "busybox tee" cpu.count 33 'echo 33 | busybox tee cpu.count'
	writes "tee of two" cpu.count 34 'echo 34 | tee cpu.weight cpu.count'
	writes "dd of=" cpu.count 35 'echo 35 | dd of=cpu.count 2>&1'
	writes "busybox dd of=" cpu.count 36 'echo 36 | busybox dd of=cpu.count'
	writes "dd conv=notrunc" cpu.count 37 'echo 37 | dd of=cpu.count conv=notrunc,fsync'
	writes "cp" cpu.count 38 "echo 38 >'$T/out/n'; cp '$T/out/n' cpu.count"
	writes "busybox cp" cpu.count 39 "echo 39 >'$T/out/n'; busybox cp '$T/out/n' cpu.count"
	writes "cp -p" cpu.count 40 "echo 40 >'$T/out/n'; cp -p '$T/out/n' cpu.count"
	writes "rsync --inplace" cpu.count 41 "echo 41 >'$T/out/n'; rsync --inplace -I '$T/out/n' cpu.count"
	writes "sed w" cpu.count 42 'echo 42 | sed -n "w cpu.count"'
	writes "awk >" cpu.count 43 "awk 'BEGIN { print 43 >\"cpu.count\" }'"
	writes "xargs" cpu.count 44 "echo 44 | xargs -I{} sh -c 'echo {} >cpu.count'"
	writes "python open('w')" cpu.count 45 "python3 -c 'open(\"cpu.count\", \"w\").write(\"45\n\")'"
	writes "python open('r+')" cpu.count 46 \
		"python3 -c 'f = open(\"cpu.count\", \"r+\"); f.read(); f.seek(0); f.write(\"46\n\"); f.close()'"
	writes "python pathlib" cpu.count 47 \
		"python3 -c 'import pathlib; pathlib.Path(\"cpu.count\").write_text(\"47\n\")'"
	writes "truncate, which means nothing" cpu.count 47 'truncate -s 0 cpu.count'
	writes "touch, neither" cpu.count 47 'touch cpu.count'
	writes "vim :wq" cpu.count 48 "terminal '$tools_vim -c %s/47/48/ -c wq cpu.count'"
	writes "vim :wq, a file of lines" label $'owner alice\nteam blue\nnote '"$n" \
		"terminal '$tools_vim -c %s/red/blue/ -c wq label'"
	writes "vim -es" cpu.count 49 "$tools_vim -n -es -c %s/48/49/ -c wq cpu.count"
	writes "cp config.yaml, out and back in" cpu.count 50 \
		"cp config.yaml '$T/out/c' && sed -i 's/^cpu.count: .*/cpu.count: 50/' '$T/out/c' && cp '$T/out/c' config.yaml"
	writes "vim :wq config.yaml" cpu.count 51 \
		"terminal '$tools_vim -c \"%s/cpu.count: 50/cpu.count: 51/\" -c wq config.yaml'"
	cat "$T/truth/config.yaml" >"$M/vm/tools/config.yaml"
}

tools_refusals() {
	local bad='cpu.count: 9999 is outside 1\.\.'
	refuses "bash, >" EINVAL "$bad" "bash -c 'echo 9999 >cpu.count'"
	refuses "busybox sh, >" EINVAL "$bad" "busybox sh -c 'echo 9999 >cpu.count'"
	refuses "dash, >, which calls each errno an I/O error" '' "$bad" "dash -c 'echo 9999 >cpu.count'"
	refuses "cat >" EINVAL "$bad" 'echo 9999 | cat >cpu.count'
	refuses "tee" EINVAL "$bad" 'echo 9999 | tee cpu.count'
	refuses "dd" EINVAL "$bad" 'echo 9999 | dd of=cpu.count'
	refuses "cp" EINVAL "$bad" "echo 9999 >'$T/out/n'; cp '$T/out/n' cpu.count"
	refuses "busybox cp" EINVAL "$bad" "echo 9999 >'$T/out/n'; busybox cp '$T/out/n' cpu.count"
	refuses "python" EINVAL "$bad" "python3 -c 'open(\"cpu.count\", \"wb\", 0).write(b\"9999\")'"
	refuses "rsync --inplace" EINVAL "$bad" "echo 9999 >'$T/out/n'; rsync --inplace -I '$T/out/n' cpu.count"
	refuses "vim :wq" '' 'cpu.count: ' "$tools_vim -n -es -c %s/3/9999/ -c wq -c cq cpu.count"
	refuses "cp of a bad config.yaml" EINVAL 'config.yaml: .*cpu.count' \
		"sed 's/^cpu.count: .*/cpu.count: 9999/' '$T/truth/config.yaml' >'$T/out/c'; cp '$T/out/c' config.yaml"
	refuses "sed -i, which makes a new file" EPERM '' "sed -i s/3/4/ cpu.count"
	refuses "rsync, which does too" EPERM '' "echo 4 >'$T/out/n'; rsync -I '$T/out/n' cpu.count"
	refuses "mv onto a file" EPERM '' "echo 4 >'$T/out/n'; mv '$T/out/n' cpu.count"
	refuses "rm" EPERM 'rm label: ' 'rm label'
	refuses "touch of a new file" EPERM '' 'touch new'
	refuses "ln" EPERM '' 'ln label other'
	refuses "ln -s" EPERM '' 'ln -s label other'
	is "$tools_name: nothing has changed by all that" \
		"$(diff -r --no-dereference --exclude=error "$T/truth" "$M/vm/tools")" ''
}
