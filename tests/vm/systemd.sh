#!/bin/bash
# A whole Debian on a virtio disk: its systemd comes up to a login prompt on the console, root logs
# in, and the power button ends it cleanly. The disk is a second copy of the lab's own.
# timeout: 240
. tests/lib.sh
. tests/linux.sh
need_linux
[ -b /dev/vdc ] || skip_all "this lab has no disk for a guest"
machinefs_start

# What the packages' own scripts would have set up.
mkdir "$T/disk"
mount -t ext4 /dev/vdc "$T/disk" || exit
(
	cd "$T/disk/etc" || exit
	echo guest >hostname
	echo '/dev/vda / ext4 defaults 0 1' >fstab
	tr -d - </proc/sys/kernel/random/uuid >machine-id
	sed -i 's/^root:[^:]*:/root:x:/' passwd
	echo 'root::19000:0:99999:7:::' >shadow
	echo 'auth sufficient pam_unix.so nullok' >pam.d/common-auth
	for kind in account password session; do
		echo "$kind required pam_unix.so" >pam.d/common-$kind
	done
	ln -sf /lib/systemd/system/multi-user.target systemd/system/default.target
	# What is emulated twice is slow: its usual patience is 90 s.
	printf '[Manager]\nDefaultTimeoutStartSec=600\nDefaultDeviceTimeoutSec=600\n' >>systemd/system.conf
)
umount "$T/disk"

cat >"$T/init" <<'END'
#!/bin/sh
export PATH=/bin
mount -t devtmpfs dev /dev
for module in /modules/*; do insmod "$module"; done
mkdir /disk
mount -t ext4 /dev/vda /disk || exec sh
exec switch_root /disk /lib/systemd/systemd
END
n=10 modules=()
for module in $(linux_module virtio_pci) $(linux_module virtio_blk); do
	modules+=("$module=modules/$n-$(basename "$module")")
	n=$((n + 1))
done
tests/lab/mkinitrd.sh "$T/initrd" "$T/init" "${modules[@]}"

v=$M/vm/v
mkdir "$v" "$v/disk/root"
put "$v/boot.kernel" "$PWD/build/kernel/vmlinuz"
put "$v/boot.initrd" "$T/initrd"
put "$v/boot.cmdline" "console=ttyS0 quiet panic=-1"
put "$v/memory.size" 512M
ok "a disk with a Debian" put "$v/disk/root/path" /dev/vdc
linux_from[v]=0
# says SECONDS REGEXP: since the last line that was typed
says() { linux_waits "$1" v "$2"; }
types() {
	linux_from[v]=$(stat -c %s "$v/console")
	put "$v/console" "$1"
}
ok "it starts" put "$v/ctl" start
if ! ok "systemd comes up to a login prompt" says 500 '^guest login: '; then
	diag "$(linux_said v | tail -n 50)"
	done_testing
fi
diag "after $(sed 's/ .*//' /proc/uptime) s of the lab's"
# Bash marks what it prints, so that nothing else begins a line.
types root
ok "root logs in" says 120 '# *$'
types 'echo "pid 1: $(cat /proc/1/comm); root: $(findmnt -no SOURCE,FSTYPE / | xargs)"'
ok "process 1 is systemd, / is on the disk" says 120 'pid 1: systemd; root: /dev/vda ext4'
types 'systemctl --no-pager --plain --no-legend --failed; echo "failed: $?"'
ok "systemctl answers" says 120 'failed: 0'
is "no unit has failed" "$(linux_said v | grep '\.\(service\|socket\|mount\)')" ''
types 'cat /proc/sys/kernel/random/boot_id >/root/was-here; systemctl is-active systemd-logind dbus systemd-udevd | xargs'
ok "logind, dbus and udev are up" says 120 'active active active'
ok "stop presses the power button" put "$v/ctl" "stop 120"
ok "which ends it" await "$v" stopped 60
is "cleanly" "$(cat "$v/exit")" poweroff
is "its root file system, too" "$(dumpe2fs -h /dev/vdc 2>/dev/null | sed -n 's/^Filesystem state: *//p')" clean
ok "e2fsck finds nothing" e2fsck -fn /dev/vdc
mount -o ro -t ext4 /dev/vdc "$T/disk"
like "what it wrote is there" "$(cat "$T/disk/root/was-here")" '^[0-9a-f-]{36}$'
done_testing
