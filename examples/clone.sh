#!/bin/sh
# clone.sh FROM TO: makes a machine with the settings of another of its kind, for example
# clone.sh vm/web vm/web2. What it names on the host (root, kernel) is shared, not copied.
set -u
if [ $# != 2 ] || [ "${1%%/*}" != "${2%%/*}" ]; then
	echo "usage: clone.sh vm/FROM vm/TO, or clone.sh container/FROM container/TO" >&2
	exit 2
fi
cd "${MACHINES:=/run/machines}" 2>/dev/null && [ -e version ] ||
	{ echo "clone.sh: no machinefs on $MACHINES" >&2; exit 1; }
[ -e "$1/config.yaml" ] || { echo "clone.sh: there is no $1" >&2; exit 1; }
[ ! -e "$2" ] || { echo "clone.sh: there is a $2 already" >&2; exit 1; }
mkdir "$2" 2>/dev/null || { sed 's/^/clone.sh: /' error >&2; exit 1; }
cat "$1/config.yaml" 2>/dev/null >"$2/config.yaml" && exit
sed 's/^/clone.sh: /' "$2/error" >&2
rmdir "$2"
exit 1
