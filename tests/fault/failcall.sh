#!/bin/bash
# failcall, by which the other tests here make one system call fail.
. tests/lib.sh
need_root
failcall=$B/tests/fault/failcall
[ -x "$failcall" ] || skip_all "$failcall is not built"
cd "$T" || exit 1
failcall=$OLDPWD/$failcall

is "the call fails with the errno asked for" \
	"$("$failcall" mkdir ENOSPC 0 mkdir one 2>&1 | grep -c 'No space left on device')" 1
not_ok "and has not happened" test -e one
ok "calls before it go through" "$failcall" mkdir ENOSPC 1 mkdir two
ok "and have happened" test -d two
"$failcall" -r report mkdir EIO 1 mkdir a b c 2>/dev/null
is "only one fails, calls after it go through" "$(printf "%s " [abc])" "a c "
is "the report counts them" "$(cat report)" "3 1"
"$failcall" -c 0 -r report mkdir EIO 1 sh -c 'mkdir d; mkdir e; mkdir f' 2>/dev/null
is "with -c 0 all later ones fail, in children too" "$(printf "%s " [def])$(cat report)" \
	"d 3 2"
"$failcall" -o -r report mkdir EIO 0 sh -c 'mkdir h; true' 2>/dev/null
is "with -o those of children do not count" "$(printf "%s " h*)$(cat report)" "h 0 0"
"$failcall" -r report mkdir EIO 5 mkdir g
is "a sweep sees its end" "$(cat report)" "1 0"
"$failcall" write ENOSPC 0 sh -c 'echo x >out; exit 7' 2>/dev/null
is "the status is the program's" $? 7
"$failcall" -p j -r report mkdir EIO 0 mkdir i j k 2>/dev/null
is "with -p only those on a path count" "$(printf "%s " [ijk])$(cat report)" "i k 1 1"
"$failcall" -p m mkdir KILL 0 mkdir l m n 2>/dev/null
is "with KILL the caller is killed before it" "$? $(printf "%s " [lmn])" "137 l "
"$failcall" mkdir EIO 0 sleep 30 &
pid=$!
sleep 0.2
kill -TERM $pid
wait $pid
is "signals are passed on" $? 143
not_ok "an unknown call is refused" "$failcall" nosuchcall EIO 0 true
done_testing
