#!/bin/bash
# Every common tool on the tree itself. tests/remote/ tries the same table on remote mounts.
# timeout: 240
. tests/lib.sh
. tests/tools.sh
need_command busybox dash less python3 rsync script watch
[ -n "$tools_vim" ] || skip_all "needs vim"
machinefs_start
tools_setup
tools_table local "$M"
done_testing
