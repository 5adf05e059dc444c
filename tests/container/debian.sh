#!/bin/bash
# A template by debootstrap, made with examples/debian-template.sh, and containers that share it.
# timeout: 600
. tests/lib.sh
. tests/machines.sh
need_root
need_command debootstrap
machinefs_start
export MACHINES=$M
ex=examples/debian-template.sh

if ! $ex deb stable iproute2 >"$T/out" 2>"$T/err" && grep -q 'E: Failed getting\|E: Couldn.t download' "$T/err"; then
	skip_all "no Debian archive can be reached"
fi
is "without arguments" "$($ex 2>&1 | cut -d' ' -f1-2; echo "${PIPESTATUS[0]}")" $'usage: debian-template.sh\n2'
is "without a mount" "$(MACHINES=$T/nowhere $ex deb 2>&1)" "debian-template.sh: no machinefs on $T/nowhere"
not_ok "a suite that there is not" $ex none no-such-suite
not_ok "leaves no image" test -e "$M/image/none"
not_ok "a name that is taken" $ex deb
is "the image is ready" "$(cat "$M/image/deb/state")" ready
like "it says how much was read" "$(cat "$T/out")" $'^done [0-9]+\nall [0-9]+'
for c in a b; do
	mkdir "$M/container/$c"
	put "$M/container/$c/root" image deb
	put "$M/container/$c/init" sh -c "'. /etc/os-release; echo \$ID; dpkg-query -W libc6; ip -br address; echo $c >/etc/mine; cat /etc/mine; sleep 1000'"
	ok "$c starts from it" put "$M/container/$c/ctl" start
done
for c in a b; do
	soon "$c is a Debian" 20 grep -q '^debian' "$M/container/$c/console"
	soon "with its packages" 20 grep -q '^libc6' "$M/container/$c/console"
	soon "what it writes is its own" 20 grep -q "^$c" "$M/container/$c/console"
done
not_ok "the image, which they use, cannot be removed" rmdir "$M/image/deb"
for c in a b; do
	put "$M/container/$c/ctl" kill
	await "$M/container/$c" stopped
	rmdir "$M/container/$c"
done
ok "then it can" rmdir "$M/image/deb"
done_testing
