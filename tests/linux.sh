# shellcheck shell=bash
# tests/linux.sh: VMs with Debian's own kernel, sourced after tests/lib.sh. They run where it boots,
# in the lab. The guest does what it is told on its console, line by line:
#
#   need_linux
#   machinefs_start
#   linux_new web virtio_rng              a stopped VM whose guest loads this module
#   linux_boot web "cpu.count 2"          settings, start; returns when the guest listens
#   is "it has both" "$(guest web nproc)" 2
#   guest_end web                         power-off, or kill

need_linux() {
	need_root
	[ -n "${IN_LAB-}" ] || skip_all "runs inside the lab only: tests/lab/run $0"
	need_device /dev/kvm
}

LINUX_VERSION=$(cat build/kernel/version 2>/dev/null)

# linux_module NAME: FILE=PATH words for mkinitrd.sh: a module and what it needs, in order.
linux_module() {
	modprobe -S "$LINUX_VERSION" --show-depends "$1" 2>/dev/null | sed -n 's/^insmod \([^ ]*\).*/\1/p'
}

# linux_program PATH: FILE=PATH words: a program and its libraries.
linux_program() {
	echo "$1=usr/bin/$(basename "$1")"
	ldd "$1" | grep -o '/[^ ]*' | while read -r library; do
		echo "$library=${library#/}"
	done
}

# linux_new NAME MODULE|PROGRAM...: PROGRAM begins with a slash.
linux_new() {
	local v=$M/vm/$1 word module n=10 files=()
	shift
	cat >"$T/linux-init" <<'INIT'
#!/bin/sh
export PATH=/bin:/usr/bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev 2>/dev/null
for m in /modules/*; do [ ! -e "$m" ] || insmod "$m" 2>/dev/null; done
stty raw -echo 2>/dev/null
echo "guest: listens"
n=0
while read -r line; do
	echo "guest: begin"
	eval "$line"
	n=$((n + 1))
	echo "guest: end $?"
done
INIT
	for word; do
		case $word in
		/*) mapfile -t -O "${#files[@]}" files < <(linux_program "$word") ;;
		*) for module in $(linux_module "$word"); do
			files+=("$module=modules/$n-$(basename "$module")")
			n=$((n + 1))
		done ;;
		esac
	done
	tests/lab/mkinitrd.sh "$T/$(basename "$v").initrd" "$T/linux-init" ${files[@]+"${files[@]}"}
	mkdir "$v" && put "$v/boot.kernel" "$PWD/build/kernel/vmlinuz" &&
		put "$v/boot.initrd" "$T/$(basename "$v").initrd" && put "$v/memory.size" 256M &&
		put "$v/boot.cmdline" "console=ttyS0 quiet panic=-1"
}

declare -A linux_from=() # by name: where its console stands

# linux_said NAME: what it printed since the last boot, or the last line for guest.
linux_said() {
	tail -c +$((${linux_from[$1]} + 1)) "$M/vm/$1/console" | tr -d '\r'
}

linux_says() {
	linux_said "$1" | grep -q "$2"
}

# linux_waits SECONDS NAME REGEXP: until it has printed that; not when it has ended. Looked for seldom: the lab has one CPU, and
# what looks takes it from the guest.
linux_waits() {
	local end=$((SECONDS + $1))
	until linux_says "$2" "$3"; do
		[ $SECONDS -lt $end ] && state_is "$M/vm/$2" running || return 1
		sleep 0.4
	done
}

# linux_boot NAME "FILE VALUE"...: fails when it does not listen within a minute.
linux_boot() {
	local name=$1 v=$M/vm/$1 setting
	shift
	for setting; do
		put "$v/${setting%% *}" "${setting#* }" || return 1
	done
	linux_from[$name]=$(stat -c %s "$v/console")
	put "$v/ctl" start || { cat "$v/error"; return 1; }
	linux_waits 300 "$name" '^guest: listens' && return
	linux_said "$name" | tail -n 30 # for who looks why
	cat "$v/state" "$v/error"
	return 1
}

# guest NAME COMMAND...: runs it there and prints what it printed; its status.
guest() {
	local name=$1
	shift
	linux_from[$name]=$(stat -c %s "$M/vm/$name/console")
	put "$M/vm/$name/console" "$*"
	linux_waits 120 "$name" '^guest: end ' || return 125
	linux_said "$name" | sed -n '/^guest: begin/,/^guest: end/{/^guest: /!p}'
	return "$(linux_said "$name" | sed -n 's/^guest: end //p' | head -n 1)"
}

guest_end() {
	put "$M/vm/$1/ctl" kill
	await "$M/vm/$1" stopped
}
