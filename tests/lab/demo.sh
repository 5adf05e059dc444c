#!/bin/bash
# The demo's virtual machine: Debian's own kernel, by the script that `make demo` runs.
. tests/lib.sh
[ -n "${IN_LAB-}" ] || skip_all "runs inside the lab only: tests/lab/run $0"

DEMO_DIR=$T examples/demo.sh --vm 2>&1 | tee "$T/out" | sed -u 's/^/# | /'
status=${PIPESTATUS[0]}
out=$(cat "$T/out")
is "the demo succeeds" "$status" 0
like "the guest says hello" "$out" 'hello from Linux .* on 2 CPUs'
like "it powered itself off" "$out" $'\npoweroff'
like "a refused write says why" "$out" 'EBUSY cpu.count: '
done_testing
