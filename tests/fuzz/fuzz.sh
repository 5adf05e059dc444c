#!/bin/bash
# Every fuzz target for FUZZ_SECONDS each (default 5); an input that fails is kept beside the log.
# A run of one input: build/tests/fuzz/TARGET FILE.  timeout: 600
. tests/lib.sh
export FUZZ_DIR=$B/tests/fuzz
n=0
for source in tests/fuzz/*.c; do
	name=$(basename "$source" .c)
	target=$B/tests/fuzz/$name
	rm -f "$FUZZ_DIR/crash-$name"
	n=$((n + 1))
	if out=$("$target" 2>&1); then
		pass "$name: $(sed -n 's/^ok 1 - //p' <<<"$out")"
	else
		fail "$name" "$out"$'\n'"FUZZ_SEED=${FUZZ_SEED-}; the input: $FUZZ_DIR/crash-$name"
	fi
done
[ $n -gt 0 ] || skip_all "no targets"
done_testing
