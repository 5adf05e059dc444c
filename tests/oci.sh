# shellcheck shell=bash
# tests/oci.sh: bundles and machinefs-oci for the tests of it, sourced after tests/lib.sh.

OCI=$PWD/$B/machinefs-oci

# oci COMMAND...: on this test's tree.
oci() {
	"$OCI" --tree "$M" --root "$T/oci" "$@"
}

# bundle NAME [PYTHON]: a directory with busybox's root and a config.json in which the statements
# (c is the document, p its process) have changed what they like. Prints its path.
bundle() {
	local dir=$T/bundle-$1
	[ -d "$T/root" ] || busybox_root >/dev/null || return 1
	mkdir -p "$dir" && python3 - "$dir/config.json" "$T/root" "${2-}" <<-'END' && echo "$dir"
	import json, sys
	c = {
	    'ociVersion': '1.0.2',
	    'process': {
	        'user': {'uid': 0, 'gid': 0}, 'cwd': '/', 'args': ['true'],
	        'env': ['PATH=/bin:/sbin:/usr/bin', 'TERM=xterm'],
	        'capabilities': {k: ['CAP_KILL', 'CAP_CHOWN'] for k in ('bounding', 'effective', 'permitted')},
	        'rlimits': [{'type': 'RLIMIT_NOFILE', 'hard': 1000, 'soft': 500}],
	        'noNewPrivileges': True,
	    },
	    'root': {'path': sys.argv[2], 'readonly': True},
	    'hostname': 'inside',
	    'mounts': [
	        {'destination': '/proc', 'type': 'proc', 'source': 'proc'},
	        {'destination': '/dev', 'type': 'tmpfs', 'source': 'tmpfs',
	         'options': ['nosuid', 'strictatime', 'mode=755', 'size=65536k']},
	        {'destination': '/sys', 'type': 'sysfs', 'source': 'sysfs',
	         'options': ['nosuid', 'noexec', 'nodev', 'ro']},
	    ],
	    'linux': {
	        'namespaces': [{'type': t} for t in ('pid', 'network', 'ipc', 'uts', 'mount', 'cgroup')],
	        'resources': {'devices': [{'allow': False, 'access': 'rwm'}]},
	        'maskedPaths': ['/proc/kcore'], 'readonlyPaths': ['/proc/sys'],
	    },
	}
	p = c['process']
	exec(sys.argv[3])
	json.dump(c, open(sys.argv[1], 'w'))
	END
}
