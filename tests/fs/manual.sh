#!/bin/bash
# The manual pages: machinefs.5 is what the tables say, both format without complaint, and every
# file of the tree is in it; make install puts everything where DESTDIR and PREFIX say.
. tests/lib.sh
need_device /dev/fuse

ok "the page can be printed" sh -c '"$0" --manual >"$1/page"' "$MACHINEFS" "$T"
ok "docs/machinefs.5 is up to date (make manual)" cmp "$T/page" docs/machinefs.5
for page in docs/machinefs.5 docs/machinefs.8 docs/machinefs-oci.8; do
	if command -v groff >/dev/null && [ -e /usr/share/groff/current/tmac/mdoc.tmac ]; then
		is "groff has nothing to say of $page" "$(groff -mdoc -Tutf8 -ww -z "$page" 2>&1)" ""
	else
		skip "groff has nothing to say of $page" "needs groff"
	fi
	if command -v mandoc >/dev/null; then
		is "mandoc warns of nothing in $page" "$(mandoc -Tlint -W warning "$page")" ""
	else
		skip "mandoc warns of nothing in $page" "needs mandoc"
	fi
	is "no request begins a line of $page by accident" \
		"$(grep -vE "^\.(\\\\\"|[A-Z][a-z] ?|[A-Z][a-z]\$)|^[^.']|^\\\\&" "$page")" ""
done

machinefs_start
mkdir "$M/vm/a" "$M/container/a"
for file in "$M"/* "$M"/host/* "$M"/vm/a/* "$M"/container/a/*; do
	if [ -L "$file" ] || [ -f "$file" ]; then
		ok "${file#"$M/"} is in machinefs(5)" grep -qx "\.It Pa ${file##*/}" docs/machinefs.5
	fi
done
for word in --state-dir --run-dir --version --help; do
	ok "$word is in machinefs(8), and an option" sh -c \
		'"$0" --help | grep -q -- "$1" && grep -q -- "Fl ${1#-}\|${1#-}" docs/machinefs.8' "$MACHINEFS" "$word"
done

ok "make install" make -s install B="$B" DESTDIR="$T/dest" PREFIX=/opt/x
is "it installs these files" "$(cd "$T/dest" && find . -type f | sort)" "./opt/x/bin/machinefs
./opt/x/bin/machinefs-oci
./opt/x/lib/systemd/system/machinefs.service
./opt/x/share/doc/machinefs/README.md
./opt/x/share/man/man5/machinefs.5
./opt/x/share/man/man8/machinefs-oci.8
./opt/x/share/man/man8/machinefs.8"
is "what it installs runs" "$("$T/dest/opt/x/bin/machinefs" --version)" "$("$MACHINEFS" --version)"
done_testing
