#!/bin/bash
# remote-sshfs.sh [USER@]HOST [MOUNTPOINT]: mounts the machines of HOST here, by sshfs: as USER, who
# may do there what the tree lets USER do. HOST needs nothing but ssh, and no port of its own.
# `fusermount3 -u MOUNTPOINT` ends it. REMOTE=DIR: where the machines are on HOST.
set -u
if [ $# -lt 1 ] || [ $# -gt 2 ] || [[ $1 == -* ]]; then
	echo "usage: remote-sshfs.sh [USER@]HOST [MOUNTPOINT]   (~/machines)" >&2
	exit 2
fi
dir=${2:-$HOME/machines}
mkdir -p "$dir" || exit 1

# Nothing is kept here, and a write returns when it is done there.
exec sshfs -o direct_io,sshfs_sync,dir_cache=no,attr_timeout=0,entry_timeout=0 \
	-o ServerAliveInterval=15 "$1:${REMOTE:-/run/machines}" "$dir"
