#!/bin/bash
# The lab's half of `make bench-lab`: the same kernel, initrd and devices under the least VMM, under
# machinefs, under QEMU's microvm and q35, and under kvmtool where it was given. Each figure is the
# median of ROUNDS runs, ours and the peers' in turn; ratios are what counts: the lab is slow, and
# its clock may count instructions. Lines it prints begin with "#": it is no test.
# timeout: 1800
. tests/lib.sh
[ -n "${IN_LAB-}" ] || skip_all "runs inside the lab only: make bench-lab"
tap_planned=1
# shellcheck source=/dev/null # BENCH, ROUNDS, PHASE and SILENT
. "$B/tests/bench/lab-env"
bench=$PWD/$B/tests/bench
peer=$bench/qemu
version=$(cat build/kernel/version)
kernel=$PWD/build/kernel/vmlinuz
mark="bench: up"
kvmtool=
[ ! -x "$bench/lkvm" ] || kvmtool=kvmtool
mebibytes=256
declare -A medians

# figure NAME VALUE: one round's.
figure() {
	[ -z "$2" ] || medians[$1]+="$2 "
}

middle() {
	tr ' ' '\n' <<<"${medians[$1]-}" | grep . | sort -g | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'
}

# row TEXT UNIT OURS BESIDE THEIRS
row() {
	awk -v text="$1" -v unit="$2" -v ours="$(middle "$3")" -v peer="$4" -v theirs="$(middle "$5")" '
		function v(x) { return x == "" ? "-" : x " " unit }
		BEGIN {
			ratio = ours != "" && theirs + 0 > 0 ? sprintf("%.2f", ours / theirs) : "-"
			printf "# %-34s %16s   %-18s %16s %8s\n", text, v(ours), peer, v(theirs), ratio
		}'
}

# ---- the guest ----

# In the order in which they can be loaded.
modules=()
for module in virtio_pci virtio_mmio virtio_blk virtio_net virtio_rng virtio_console virtio_balloon \
	vmw_vsock_virtio_transport; do
	while read -r _ file _; do
		[[ " ${modules[*]} " = *" $file "* ]] || modules+=("$file")
	done < <(modprobe -S "$version" --show-depends "$module" 2>/dev/null | grep ^insmod)
done
cat >"$T/init" <<INIT
#!/bin/sh
echo "bench: up"
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev 2>/dev/null
for m in /modules/*; do insmod "\$m" 2>/dev/null; done
for word in \$(cat /proc/cmdline); do
	case \$word in
	do=disk) guest_io disk /dev/vda $PHASE ;;
	do=net)
		ip link set eth0 up
		ip addr add 10.77.0.2/24 dev eth0
		guest_io net 10.77.0.1 $PHASE
		;;
	esac
done
echo "bench: done"
while :; do sleep 1000; done
INIT
args=("$bench/guest_io=bin/guest_io")
n=10
for file in "${modules[@]}"; do
	args+=("$file=modules/$n-$(basename "$file")")
	n=$((n + 1))
done
tests/lab/mkinitrd.sh "$T/initrd" "$T/init" "${args[@]}"

truncate -s 256M "$T/disk"
dd if=/dev/urandom of="$T/disk" bs=1M count=256 conv=notrunc 2>/dev/null

# ---- the host's end of the network: a port of the same switch for the peers ----

ip tuntap add dev bench0 mode tap
ip link set bench0 up
modprobe -a vhost_net vhost_vsock 2>/dev/null
"$bench/guest_io" serve &
server=$!

# ---- the monitors ----

# Peers run in a control group, as libvirt has them and machinefs has its own: two levels more are to be
# walked whenever one of their threads sleeps or wakes, which is a twentieth of a round trip.
peers=/sys/fs/cgroup/bench/peer
mkdir -p "$peers"
sed 's/[a-z]*/+&/g' /sys/fs/cgroup/cgroup.subtree_control >"${peers%/*}/cgroup.subtree_control"

# peer_exec MACHINE KERNEL CMDLINE: one of QEMU's, or kvmtool's, with six virtio devices, its console on
# standard output.
peer_exec() {
	local bus=pci machine=q35 extra=()
	echo "$BASHPID" >"$peers/cgroup.procs"
	[ "$1" != kvmtool ] || exec "$bench/lkvm" run --name "bench$BASHPID" -c 1 -m "$mebibytes" -k "$2" -i "$T/initrd" \
		-p "$3" -d "$T/disk" -n mode=tap,tapif=bench0,guest_mac=52:54:00:00:00:77 --rng --balloon \
		--vsock 79 --console serial
	if [ "$1" = microvm ]; then
		bus=device machine=microvm,acpi=on,rtc=on,pit=off,pic=off
	fi
	[ ! -e /dev/vhost-vsock ] || extra=(-device "vhost-vsock-$bus,guest-cid=77")
	exec "$peer/lib/ld-linux-x86-64.so.2" --library-path "$peer/lib" "$peer/qemu-system-x86_64" \
		-L "$peer/share" -M "$machine" -accel kvm -cpu host -smp 1 -m "$mebibytes" \
		-nodefaults -no-user-config -display none -no-reboot -serial stdio \
		-object iothread,id=io -blockdev "driver=file,filename=$T/disk,node-name=d,aio=io_uring,cache.direct=off" \
		-device "virtio-blk-$bus,drive=d,iothread=io" \
		-netdev "tap,id=n,ifname=bench0,script=no,downscript=no,vhost=$([ -e /dev/vhost-net ] && echo on || echo off)" \
		-device "virtio-net-$bus,netdev=n,mac=52:54:00:00:00:77$([ $bus = device ] || echo ,romfile=)" \
		-device "virtio-rng-$bus" -device "virtio-serial-$bus" -device "virtio-balloon-$bus" \
		"${extra[@]}" -kernel "$2" -initrd "$T/initrd" -append "$3"
}

cmdline="console=ttyS0 quiet panic=-1"

# peer_run MACHINE KERNEL WORD PATTERN [FILE]: microseconds from its exec to a line with PATTERN;
# what it printed goes to FILE. It is left running as $pid.
peer_run() {
	local start out=${5:-$T/out} line
	rm -f "$T/pipe"
	mkfifo "$T/pipe"
	start=${EPOCHREALTIME/./}
	peer_exec "$1" "$2" "$cmdline $3" </dev/null >"$T/pipe" 2>"$T/peer.err" &
	pid=$!
	exec 8<"$T/pipe"
	: >"$out"
	while IFS= read -r -t "$SILENT" line <&8; do
		printf '%s\n' "$line" >>"$out"
		if [[ $line = *$4* ]]; then
			took=$((${EPOCHREALTIME/./} - start))
			return 0
		fi
	done
	took=
	return 1
}

peer_end() {
	kill "$pid" 2>/dev/null
	wait "$pid" 2>/dev/null
	exec 8<&-
}

# ours KERNEL WORD PATTERN [FILE]: the same of machinefs, from the write of start; by poll(2), since
# tail looks at a file of a FUSE mount only once a second.
ours() {
	local before
	put "$v/boot.kernel" "$1"
	put "$v/boot.cmdline" "$cmdline $2"
	before=$(stat -c %s "$v/console")
	took=$("$bench/machine_bench" 1 until "$M" bench "$3" "$SILENT" 2>"$T/why" | cut -d. -f1)
	tail -c "+$((before + 1))" "$v/console" >"${4:-$T/out}"
	[ -n "$took" ] || { diag "$(tail -n 1 "$T/why") $(cat "$v/error")" && return 1; }
}

ours_end() {
	put "$v/ctl" kill
	await "$v" stopped 30
}

machinefs_start
v=$M/vm/bench
mkdir "$v"
put "$v/memory.size" "${mebibytes}M"
put "$v/boot.initrd" "$T/initrd"
devices="$(
	mkdir "$v/disk/root" && put "$v/disk/root/path" "$T/disk" && printf 'disk '
	mkdir "$M/net/bench" "$v/nic/eth0" && put "$M/net/bench/address" 10.77.0.1/24 &&
		ip link set bench0 master "$(cat "$M/net/bench/host")" && put "$v/nic/eth0/net" bench &&
		printf 'nic '
	put "$v/vsock.cid" 78 && printf 'vsock '
	put "$v/rng" 1 && printf 'rng '
)"
echo "# machinefs has: $devices and what a machine always has"

# ---- what is measured ----

bench_boot() {
	local ms
	for ((i = 0; i < ROUNDS; i++)); do
		ms=$(timeout "$SILENT" "$bench/vm_floor" 1 "$bench/vmlinux" "$mebibytes" "$T/initrd" "$cmdline" "$mark" 2>"$T/why" | cut -d. -f1)
		[ -n "$ms" ] || diag "least VMM: $(tail -n 1 "$T/why")"
		figure "boot floor" "${ms:+$((ms / 1000))}"
		for k in vmlinux vmlinuz; do
			file=$kernel
			[ $k = vmlinuz ] || file=$bench/vmlinux
			ours "$file" "" "$mark" && figure "boot $k" $((took / 1000))
			ours_end
			for m in microvm q35 $kvmtool; do
				# q35's option ROM takes a bzImage only, and so does kvmtool.
				[ "$m $k" != "q35 vmlinux" ] && [ "$m $k" != "kvmtool vmlinux" ] || continue
				peer_run "$m" "$file" "" "$mark" && figure "boot $m $k" $((took / 1000))
				peer_end
			done
		done
	done
	row "boot to /init, ELF" ms "boot vmlinux" "the least VMM" "boot floor"
	row "the same" ms "boot vmlinux" "QEMU microvm" "boot microvm vmlinux"
	row "boot to /init, bzImage" ms "boot vmlinuz" "the least VMM, ELF" "boot floor"
	row "the same" ms "boot vmlinuz" "QEMU microvm" "boot microvm vmlinuz"
	row "the same" ms "boot vmlinuz" "QEMU q35" "boot q35 vmlinuz"
	[ -z "$kvmtool" ] || row "the same" ms "boot vmlinuz" kvmtool "boot kvmtool vmlinuz"
}

bench_first() {
	local tiny=$PWD/$B/tests/guest/tiny.elf
	for ((i = 0; i < ROUNDS; i++)); do
		figure "first floor" "$("$bench/vm_floor" 20 "$tiny" 64 | cut -d. -f1)"
		figure first "$("$bench/machine_bench" 20 vm "$M" "$tiny" 64 | cut -d. -f1)"
	done
	row "start to the first byte" us first "the least VMM" "first floor"
}

# io_figures WHO FILE: what guest_io printed.
io_figures() {
	local name value
	while read -r _ name value _; do
		figure "$1 $name" "$value"
	done < <(tr -d '\r' <"$2" | grep -E '^(disk|net) ')
}

bench_io() { # disk or net
	local names unit
	for ((i = 0; i < ROUNDS; i++)); do
		ours "$bench/vmlinux" "do=$1" "bench: done" "$T/out" && io_figures ours "$T/out"
		ours_end
		for m in microvm q35 $kvmtool; do
			file=$kernel
			[ "$m" != microvm ] || file=$bench/vmlinux
			peer_run "$m" "$file" "do=$1" "bench: done" "$T/out" && io_figures "$m" "$T/out"
			peer_end
		done
	done
	names="random-read-1 random-read-16 random-write-16 write read"
	[ "$1" = disk ] || names="round-trip send receive"
	for name in $names; do
		unit=MB/s
		[[ $name != random* ]] || unit=op/s
		[ "$name" != round-trip ] || unit=us
		for m in microvm q35 $kvmtool; do
			row "$1: $name" $unit "ours $name" "$m" "$m $name"
		done
	done
}

# private PID: its private memory in KiB, but for mappings as large as the guest's RAM.
private() {
	awk -v big=$((mebibytes * 512)) '
		/^[0-9a-f]+-[0-9a-f]+ / { size = 0 }
		/^Size:/ { size = $2 }
		/^Private_(Clean|Dirty):/ && size < big { sum += $2 }
		END { print sum }' "/proc/$1/smaps"
}

bench_idle() {
	ours "$bench/vmlinux" "" "bench: done"
	sleep 2
	figure "idle ours" "$(private "$(cat "$v/pid")")"
	for ((i = 0; i < 21; i++)); do
		start=${EPOCHREALTIME/./}
		echo pause >"$v/ctl"
		start=$((${EPOCHREALTIME/./} - start))
		figure "pause" $start
		echo resume >"$v/ctl"
		sleep 0.05
	done
	ours_end
	for m in microvm q35 $kvmtool; do
		file=$kernel
		[ "$m" != microvm ] || file=$bench/vmlinux
		peer_run "$m" "$file" "" "bench: done"
		sleep 2
		figure "idle $m" "$(private "$pid")"
		peer_end
	done
	for m in microvm q35 $kvmtool; do
		row "private memory of an idle monitor" KiB "idle ours" "$m" "idle $m"
	done
	row "echo pause > ctl" us pause "goal: 1000 us" none
}

# shellcheck disable=SC2153 # from lab-env
for part in $BENCH; do
	case $part in
	disk | net) bench_io "$part" ;;
	*) "bench_$part" ;;
	esac
done
kill "$server"
ip link del bench0
machinefs_stop
echo 1..0
