#!/bin/bash
# Every fuzz target: its corpus, then what follows from it, FUZZ_SECONDS (default 60) for all of
# them together, two at a time. An input that fails is kept as build/tests/fuzz/crash-TARGET, and
# belongs in the corpus when it is understood.
# A run of one input: build/tests/fuzz/TARGET FILE; of one target: FUZZ_SEED=N build/tests/fuzz/TARGET
# timeout: 7200
. tests/lib.sh
export FUZZ_DIR=$B/tests/fuzz
sources=(tests/fuzz/*.c)
jobs=$(nproc)
FUZZ_SECONDS=$((${FUZZ_SECONDS:-60} * jobs / ${#sources[@]} + 1))
export FUZZ_SECONDS
run_one() { # NAME: its result as one line in $T/NAME
	rm -f "$FUZZ_DIR/crash-$1"
	mkdir -p "$T/$1.tmp"
	TEST_TMP=$T/$1.tmp "$FUZZ_DIR/$1" >"$T/$1.out" 2>&1
	echo $? >"$T/$1.status"
}
export T
export -f run_one
printf '%s\n' "${sources[@]##*/}" | sed 's/\.c$//' | xargs -P "$jobs" -I{} bash -c 'run_one {}'
for source in "${sources[@]}"; do
	name=$(basename "$source" .c)
	if [ "$(cat "$T/$name.status")" = 0 ]; then
		pass "$name: $(sed -n 's/^ok 1 - //p; s/^# .*: \(FUZZ_SEED=.*\)/\1;/p' "$T/$name.out" | xargs)"
	else
		fail "$name" "$(cat "$T/$name.out")"$'\n'"the input: $FUZZ_DIR/crash-$name"
	fi
done
done_testing
