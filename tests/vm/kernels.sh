#!/bin/bash
# Stock kernels other than the one that the other tests boot: Debian's full and real-time kernels, and
# those of the releases before and after. Each with its own drivers: finds a disk, keeps time by
# kvmclock, has nothing to complain of, and powers off. And one that is no Linux: Memtest86+.
# timeout: 240
. tests/lib.sh
. tests/linux.sh
need_linux
kernels=(build/kernels/*/version)
[ -f "${kernels[0]}" ] || skip_all "no other kernels could be fetched"
machinefs_start
cat >"$T/init" <<'END'
#!/bin/sh
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev 2>/dev/null
for module in /modules/*; do insmod "$module"; done
echo "guest: Linux $(uname -r)"
echo "guest: $(cat /sys/devices/system/clocksource/clocksource0/current_clocksource)"
echo "guest: disk $(head -c 6 /dev/vda)"
for bus in acpi platform; do
	driver=/sys/bus/$bus/drivers/vmgenid
	[ ! -d $driver ] || echo "guest: generation ids $(find $driver/ -type l -name '[VM]*' ! -name module | wc -l)"
done
dmesg | grep -iE 'firmware bug|acpi.*error|BUG:|WARNING:' | sed 's/^/guest: trouble: /'
echo "guest: up"
poweroff -f
END
printf served >"$T/disk"
truncate -s 1M "$T/disk"
said() { tr -d '\r' <"$v/console" | sed -n 's/^guest: //p'; }
for version in "${kernels[@]}"; do
	dir=${version%/version}
	name=$(basename "$dir")
	files=()
	for module in "$dir"/modules/*; do
		files+=("$module=modules/$(basename "$module")")
	done
	tests/lab/mkinitrd.sh "$T/initrd" "$T/init" "${files[@]}"
	v=$M/vm/$name
	mkdir "$v" "$v/disk/d"
	put "$v/disk/d/path" "$T/disk"
	put "$v/boot.kernel" "$PWD/$dir/vmlinuz"
	put "$v/boot.initrd" "$T/initrd"
	put "$v/boot.cmdline" "console=ttyS0 quiet panic=-1"
	put "$v/memory.size" 512M
	# In the lab the size of what XSAVE saves stays that of SSE, which Linux 5.10 and 7.2 do not survive.
	put "$v/cpu.model" host -xsave
	ok "$name starts" put "$v/ctl" start
	ok "and ends" await "$v" stopped 60
	is "by itself" "$(cat "$v/exit")" poweroff
	genid= # the driver came with Linux 5.18
	[ "$name" = bullseye ] || genid=$'generation ids 1\n'
	is "it is Linux $(cat "$version"), and has what it must have" "$(said)" \
		"Linux $(cat "$version")"$'\n'"kvm-clock"$'\n'"disk served"$'\n'"${genid}up"
	[ "$(cat "$v/exit")" = poweroff ] || diag "$(tail -n 40 "$v/console")"
	put "$v/ctl" kill 2>/dev/null
done

if [ -f build/kernels/memtest ]; then
	v=$M/vm/memtest
	mkdir "$v"
	put "$v/boot.kernel" "$PWD/build/kernels/memtest"
	put "$v/boot.cmdline" "console=ttyS0,115200 nosm nopause keyboard=legacy"
	put "$v/memory.size" 64M
	ok "Memtest86+ starts" put "$v/ctl" start
	linux_from[memtest]=0
	ok "it says its name" linux_waits 90 memtest 'Memtest86+'
	ok "and finds the machine's memory" linux_waits 90 memtest 'Memory  :   64MB'
	ok "which it tests" linux_waits 90 memtest 'walking ones\|own address\|inversions'
	is "it still does" "$(cat "$v/state")" running
	guest_end memtest
else
	skip "Memtest86+" "it could not be fetched"
fi
done_testing
