#!/bin/bash
# machinefs-oci, driven as an engine drives an OCI runtime, on bundles made here.
# timeout: 240
. tests/lib.sh
. tests/oci.sh
need_root
need_command python3
machinefs_start

sh_bundle() { # NAME SCRIPT [PYTHON]
	bundle "$1" "p['args'] = ['sh', '-c', '''$2''']; ${3-}" >/dev/null
}
status_of() {
	oci state "$1" 2>/dev/null | sed -n 's/.*"status": "\(.*\)".*/\1/p'
}
status_is() {
	[ "$(status_of "$1")" = "$2" ]
}
refuses() { # NAME KEY PYTHON: create is refused with a sentence that names the key
	bundle refused "$3" >/dev/null
	like "$1" "$(oci create -b "$T/bundle-refused" r </dev/null >"$T/created" 2>&1 || { cat "$T/created"; echo refused; })" "$2.*refused"
	oci delete --force r
}

# --- run
sh_bundle io 'echo out; echo err >&2; cat; exit 7'
is "run carries what is read and printed" \
	"$(echo in | oci run -b "$T/bundle-io" a 2>"$T/err"; echo "status $?")" $'out\nin\nstatus 7'
is "errors apart" "$(cat "$T/err")" err
is "nothing is left in the tree" "$(ls "$M/container")" ""
is "nor beside it" "$(ls "$T/oci")" ""
head -c 3000000 /dev/urandom >"$T/big"
sh_bundle cat 'cat'
is "all of it, and nothing else" "$(oci run -b "$T/bundle-cat" a <"$T/big" | cksum)" "$(cksum <"$T/big")"
sh_bundle slow 'echo first; sleep 0.3; cat'
is "input that was there before it started" \
	"$({ echo early; } | oci run -b "$T/bundle-slow" a)" $'first\nearly'
sh_bundle trap 'trap "echo got it; exit 4" TERM; echo up; while :; do sleep 0.05; done'
"$OCI" --tree "$M" --root "$T/oci" run -b "$T/bundle-trap" a >"$T/out" 2>&1 </dev/null &
runner=$!
soon "it is up" 5 grep -q up "$T/out"
kill -TERM $runner
wait $runner
is "a signal to run is handed on" "$? $(tail -n 1 "$T/out")" "4 got it"

# --- what is inside is what config.json says
sh_bundle inside 'hostname; cat /proc/sys/kernel/domainname; pwd; id -u; id -G; echo $A; ulimit -n; ulimit -Hn
	grep -E "^(CapBnd|CapEff|NoNewPrivs|Seccomp:)" /proc/self/status | xargs
	touch /x 2>/dev/null || echo read-only; cat /m/f; touch /m/x 2>/dev/null || echo so is the mount
	touch /t/x && df /t | tail -n 1 | xargs | cut -d" " -f 2; cat /proc/sys/net/ipv4/ip_forward
	test -s /proc/kcore || echo masked; cat /proc/self/oom_score_adj' "
p['user'] = {'uid': 5, 'gid': 6, 'additionalGids': [7, 8], 'umask': 18}
p['env'] += ['A=b c']; p['cwd'] = '/tmp'; p['oomScoreAdj'] = 77
c['mounts'] += [{'destination': '/m', 'type': 'bind', 'source': 'data', 'options': ['rbind', 'ro', 'rprivate']},
                {'destination': '/t', 'type': 'tmpfs', 'source': 'tmpfs', 'options': ['nosuid', 'mode=1777', 'size=1m']}]
c['domainname'] = 'inside.example'; c['linux']['sysctl'] = {'net.ipv4.ip_forward': '1'}"
mkdir -p "$T/bundle-inside/data" "$T/root/m" "$T/root/t"
echo mounted >"$T/bundle-inside/data/f"
is "inside" "$(oci run -b "$T/bundle-inside" a </dev/null)" "inside
inside.example
/tmp
5
6 7 8
b c
500
1000
CapEff: 0000000000000000 CapBnd: 0000000000000021 NoNewPrivs: 1 Seccomp: 0
read-only
mounted
so is the mount
1024
1
masked
77"

sh_bundle nowhere 'cat /proc/sys/kernel/domainname' "c['domainname'] = ''"
is "an empty domain name is none" "$(oci run -b "$T/bundle-nowhere" a </dev/null)" "$(cat /proc/sys/kernel/domainname)"

sh_bundle ambient 'umask; grep -E "^Cap(Eff|Amb)" /proc/self/status | xargs' "
p['user'] = {'uid': 5, 'gid': 5, 'umask': 63}; p['surprise'] = c['surprise'] = 'ignored, as the specification wants it'
p['capabilities']['ambient'] = p['capabilities']['inheritable'] = ['CAP_KILL']"
is "a umask; capabilities that a user keeps" "$(oci run -b "$T/bundle-ambient" a </dev/null)" "0077
CapEff: 0000000000000020 CapAmb: 0000000000000020"
sh_bundle filter 'mkdir /x 2>&1; grep Seccomp: /proc/self/status' "c['linux']['seccomp'] = {'defaultAction': 'SCMP_ACT_ALLOW',
 'architectures': ['SCMP_ARCH_X86_64'], 'syscalls': [{'names': ['mkdir'], 'action': 'SCMP_ACT_ERRNO', 'errnoRet': 122}]}"
like "its filter" "$(oci run -b "$T/bundle-filter" a </dev/null)" '[Qq]uota.*Seccomp:	2'

# --- create, state, start, kill, delete
sh_bundle life 'trap "exit 3" TERM; echo up; while :; do sleep 0.05; done' "c['annotations'] = {'k': 'v'}"
id=$(printf '%064d' 1) # as long as podman's
(cd "$T/bundle-life" && oci create --pid-file "$T/pid" "$id" >"$T/out" 2>&1 </dev/null)
is "create" "$? $(status_of "$id")" "0 created"
keeper=$(cat "$T/pid")
ok "the pid is a process's" kill -0 "$keeper"
like "state tells of it" "$(oci state "$id" | xargs)" \
	"ociVersion: .* id: $id, status: created, pid: $(cat "$M/container/${id%1}/pid"), bundle: $T/bundle-life, .*k: v"
is "its namespaces are there" "$(nsenter -t "$(cat "$M/container/${id%1}/pid")" -u hostname)" inside
is "nothing of it runs" "$(cat "$T/out")" ""
is "what is executed in it does" "$(oci exec "$id" hostname </dev/null)" inside
not_ok "delete of one that was not started" oci delete "$id"
not_ok "the id is taken" oci create -b "$T/bundle-life" "$id"
not_ok "another with the first 63 letters the same is not the same" oci state "${id%1}2"
ok "start" oci start "$id"
soon "it runs" 5 grep -q up "$T/out"
is "running" "$(status_of "$id")" running
not_ok "start of a running one" oci start "$id"
like "state has its init's pid" "$(oci state "$id")" "\"pid\": $(cat "$M/container/${id%1}/pid")"
like "list" "$(oci list)" "$id +[0-9]+ +running"
is "ps" "$(oci ps -f json "$id" | grep -c "$(cat "$M/container/${id%1}/pid")")" 1
ok "pause" oci pause "$id"
is "paused" "$(status_of "$id")" paused
ok "resume" oci resume "$id"
not_ok "delete of a running one" oci delete "$id"
ok "kill" oci kill "$id" TERM
soon "stopped" 5 status_is "$id" stopped
ok "who waits for the keeper learns of it" poll 5 pid_gone "$keeper"
like "kill of a stopped one" "$(oci kill "$id" TERM 2>&1)" 'container not running'
ok "delete" oci delete "$id"
not_ok "it is gone" oci state "$id"
is "nothing is left" "$(find "$M/container" "$T/oci" -mindepth 1 -maxdepth 1)" ""
ok "delete --force of what is not there" oci delete --force "$id"

# --- who is to be told how it ended: an engine that adopts what a runtime leaves
cat >"$T/adopt.py" <<'END'
import ctypes, os, subprocess, sys
ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER, as conmon
pid_file = sys.argv[1]
subprocess.run(sys.argv[2:], check=True, stdin=subprocess.DEVNULL)
pid = int(open(pid_file).read())
os.write(1, b'%d\n' % pid)  # at once: what it runs prints there, too
status = os.waitpid(pid, 0)[1]
print('signaled', os.WTERMSIG(status)) if os.WIFSIGNALED(status) else print('exited', os.WEXITSTATUS(status))
END
adopt() { # PID-FILE COMMAND...
	python3 "$T/adopt.py" "$1" "$OCI" --tree "$M" --root "$T/oci" "${@:2}"
}
rm -f "$T/pid"
adopt "$T/pid" create -b "$T/bundle-life" --pid-file "$T/pid" b >"$T/adopted" 2>&1 &
soon "created" 5 status_is b created
oci start b
ok "kill --all KILL" oci kill --all b KILL
wait $!
is "the keeper's end is the container's" "$(tail -n 1 "$T/adopted")" "signaled 9"
oci delete b
rm -f "$T/pid"
adopt "$T/pid" create -b "$T/bundle-life" --pid-file "$T/pid" b >"$T/adopted" 2>&1 &
soon "created again" 5 status_is b created
ok "kill before it was started" oci kill b TERM
wait $!
is "ends it" "$(tail -n 1 "$T/adopted")" "signaled 15"
is "stopped" "$(status_of b)" stopped
ok "delete" oci delete b

rm -f "$T/pid"
adopt "$T/pid" create -b "$T/bundle-life" --pid-file "$T/pid" b >"$T/adopted" 2>&1 &
soon "created a third time" 5 status_is b created
oci start b
soon "it runs" 5 grep -q up "$T/adopted"
kill -KILL "$(cat "$T/pid")"
soon "who kills the pid kills the container" 10 status_is b stopped
is "as its init was" "$(cat "$M/container/b/exit")" "signaled 9"
ok "delete" oci delete b

# --- exec
oci run -d -b "$T/bundle-life" c >"$T/out" 2>&1 </dev/null
soon "run --detach" 5 grep -q up "$T/out"
is "exec" "$(echo in | oci exec -e 'V=a b' -u 5:6 --cwd /bin c sh -c 'cat; echo $V; id -u; pwd; exit 5'; echo $?)" \
	$'in\na b\n5\n/bin\n5'
python3 - "$T/bundle-life/config.json" "$T/process" <<'END'
import json, sys
p = json.load(open(sys.argv[1]))['process']
p['args'] = ['sh', '-c', 'echo from exec\nexit 6']
json.dump(p, open(sys.argv[2], 'w'))
p['capabilities']['bounding'].append('CAP_SYS_ADMIN')
json.dump(p, open(sys.argv[2] + '-more', 'w'))
END
rm -f "$T/pid"
is "exec --process --detach, its end" \
	"$(adopt "$T/pid" exec --process "$T/process" --detach --pid-file "$T/pid" c | grep -v '^[0-9]')" \
	$'from exec\nexited 6'
like "one with other capabilities is refused" "$(oci exec --process "$T/process-more" c 2>&1)" 'capabilities'
like "one line is one line" "$(oci exec --cwd $'/\n/bin' c true 2>&1)" 'cwd: not one line'
like "a program that is not there" "$(oci exec c /nothing 2>&1)" 'argv: not in the root directory'
is "no session is left" "$(ls "$M/container/c/exec")" ""

# --- without a daemon
rm -f "$T/pid"
adopt "$T/pid" create -b "$T/bundle-life" --pid-file "$T/pid" n >"$T/adopted" 2>&1 &
adopter=$!
soon "created" 5 status_is n created
oci start n
soon "it runs" 5 grep -q up "$T/adopted"
machinefs_stop
pid=$(cat "$T/pid")
sleep 0.5
ok "the keeper stays when the daemon goes" kill -0 "$pid"
machinefs_start
is "the next daemon has the container" "$(status_of n)" running
ok "which ends" oci kill n TERM
wait $adopter
is "and the keeper with it" "$(tail -n 1 "$T/adopted")" "exited 3"
ok "delete" oci delete n

# --- limits
ok "update by options" oci update --memory 33554432 --pids-limit 50 --cpu-quota 20000 --cpu-period 100000 c
echo '{"memory": {"reservation": 1048576}, "cpu": {"shares": 1024}}' >"$T/resources"
ok "update by a file" oci update -r "$T/resources" c
is "they are the tree's" "$(cat "$M/container/c/"{memory.size,pids.max,cpu.max,memory.low,cpu.weight} | xargs)" \
	"33554432 50 20000 100000 1048576 39"
not_ok "and no other" oci update --memory x c
ok "delete --force" oci delete --force c
is "all gone" "$(find "$M/container" "$T/oci" -mindepth 1 -maxdepth 1)" ""

sh_bundle limits 'true' "c['linux']['resources'].update({
 'memory': {'limit': 67108864, 'reservation': 1048576, 'swap': 134217728},
 'cpu': {'shares': 2, 'quota': 50000, 'period': 100000, 'cpus': '0'}, 'pids': {'limit': 20}})"
oci create -b "$T/bundle-limits" l </dev/null >/dev/null
is "limits of config.json" "$(cat "$M/container/l/"{memory.size,memory.low,memory.swap.max,cpu.weight,cpu.max,cpu.affinity,pids.max} | xargs)" \
	"67108864 1048576 67108864 1 50000 100000 0 20"
oci delete --force l

# --- devices
sh_bundle device 'ls -l /dev/fuse /dev/mine /dev/null | while read -r mode n uid gid major minor rest; do echo $mode $uid $gid $major $minor; done
	: </dev/mine && : </dev/fuse && echo both open' "c['linux']['devices'] = [
 {'path': '/dev/fuse', 'type': 'c', 'major': 10, 'minor': 229},
 {'path': '/dev/mine', 'type': 'c', 'major': 10, 'minor': 229, 'fileMode': 0o640, 'uid': 5, 'gid': 6}]
c['linux']['resources']['devices'] += [{'allow': True, 'type': 'c', 'major': 10, 'minor': 229, 'access': 'rw'}]
p['capabilities']['bounding'] += ['CAP_DAC_OVERRIDE']; p['capabilities']['effective'] = p['capabilities']['permitted'] = p['capabilities']['bounding']"
is "devices" "$(oci run -b "$T/bundle-device" d </dev/null)" "crw-rw-rw- root root 10, 229
crw-r----- 5 6 10, 229
crw-rw-rw- root root 1, 3
both open"

# --- a terminal
cat >"$T/console.py" <<'END'
import array, os, socket, subprocess, sys
path = sys.argv[1]
s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
s.bind(path)
s.listen(1)
p = subprocess.Popen(sys.argv[2:], stdin=subprocess.DEVNULL)
c, _ = s.accept()
_, ancillary, _, _ = c.recvmsg(4096, socket.CMSG_SPACE(4))
fd = array.array('i', ancillary[0][2])[0]
assert p.wait() == 0
subprocess.run([a if a != 'create' else 'start' for a in sys.argv[2:8]] + sys.argv[-1:], check=True)
os.write(fd, b'typed\n')
try:
    while True:
        sys.stdout.write(os.read(fd, 4096).decode())
except OSError:
    pass
END
sh_bundle tty 'test -t 0 && test -t 1 && : </dev/tty && echo a terminal; read x; echo "it was $x"' \
	"p['terminal'] = True"
like "--console-socket" "$(cd "$T" && python3 "$T/console.py" console "$OCI" --tree "$M" --root "$T/oci" \
	create -b "$T/bundle-tty" --console-socket console t | tr -d '\r')" \
	'a terminal.*it was typed'
oci delete --force t
like "without one" "$(oci create -b "$T/bundle-tty" t 2>&1 </dev/null)" 'process.terminal: .*--console-socket'

# --- another's namespaces
oci run -d -b "$T/bundle-life" web >"$T/out" 2>&1 </dev/null
soon "one to be joined" 5 grep -q up "$T/out"
keeper=$(sed -n 's/^oci.keeper \([0-9]*\) .*/\1/p' "$M/container/web/label")
init=$(cat "$M/container/web/pid")
sh_bundle join 'for n in net pid uts cgroup; do readlink /proc/self/ns/$n; done; ps' \
	"c['linux']['namespaces'] = [{'type': 'mount'}, {'type': 'ipc'}, {'type': 'cgroup', 'path': '/proc/$init/ns/cgroup'}, {'type': 'network', 'path': '/proc/$keeper/ns/net'},
 {'type': 'pid', 'path': '/proc/$init/ns/pid'}, {'type': 'uts', 'path': '/proc/$keeper/ns/uts'}]"
said=$(oci run -b "$T/bundle-join" j </dev/null)
is "network, processes, name and groups, by its keeper or its init" "$(head -n 4 <<<"$said" | xargs)" \
	"$(readlink "/proc/$init/ns/"{net,pid,uts,cgroup} | xargs)"
like "it sees them" "$said" 'echo up; while'
oci delete --force web
like "which has ended" "$(oci create -b "$T/bundle-join" j 2>&1 </dev/null)" 'process [0-9]+ is of no container of the tree'
maps="c['linux']['uidMappings'] = c['linux']['gidMappings'] = [{'containerID': 0, 'hostID': 100000, 'size': 1000}]"
sh_bundle mapped 'echo up; while :; do sleep 0.05; done' "c['linux']['namespaces'].append({'type': 'user'}); $maps"
oci run -d -b "$T/bundle-mapped" web >"$T/out" 2>&1 </dev/null
soon "one with a user namespace" 5 grep -q up "$T/out"
init=$(cat "$M/container/web/pid")
sh_bundle both 'for n in user net; do readlink /proc/self/ns/$n; done; id -u' \
	"c['linux']['namespaces'] = [{'type': 'mount'}, {'type': 'pid'}, {'type': 'network', 'path': '/proc/$init/ns/net'},
 {'type': 'user', 'path': '/proc/$init/ns/user'}]"
is "its user namespace and network are joined" "$(oci run -b "$T/bundle-both" j </dev/null | xargs)" \
	"$(readlink "/proc/$init/ns/"{user,net} | xargs) 0"
oci delete --force web
touch "$T/net" && unshare --net="$T/net" true
sh_bundle netns 'readlink /proc/self/ns/net' "[n.update(path='$T/net') for n in c['linux']['namespaces'] if n['type'] == 'network']"
is "one by a file" "$(oci run -b "$T/bundle-netns" j </dev/null)" "net:[$(stat -c %i "$T/net")]"
umount "$T/net"

# --- hooks
mkdir -p "$T/h" "$T/data" "$T/root/mnt" "$T/root/h"
echo hooked >"$T/data/f"
chmod 777 "$T/h"
cat >"$T/hook" <<'END'
#!/bin/sh
# hook NAME DIR TOP: what it reads, where it is, in which turn
name=$1 dir=$2
cat >"$dir/$name.state"
{ hostname; for n in mnt net uts pid; do readlink /proc/self/ns/$n; done; } >"$dir/$name.ns"
pwd >"$dir/$name.cwd"
env >"$dir/$name.env"
echo "$name" >>"$dir/order"
pid=$(sed 's/.*"pid": *\([0-9]*\).*/\1/' "$dir/$name.state")
case $name in
prestart)
	for n in net mnt uts pid; do readlink "/proc/$pid/ns/$n"; done >"$dir/its"
	nsenter -t "$pid" -n ip addr add 10.9.8.7/24 dev lo
	;;
createContainer) mount --bind "$3/data" "$3/root/mnt" ;;
startContainer) grep -E '^(CapEff|NoNewPrivs)' /proc/self/status >"$dir/confined" ;;
esac
END
chmod +x "$T/hook"
cp "$T/hook" "$T/root/bin/hook"
hooks="c['mounts'] += [{'destination': '/h', 'type': 'bind', 'source': '$T/h', 'options': ['rbind', 'rw', 'rprivate']}]
def hook(k): return {'path': '/bin/hook' if k == 'startContainer' else '$T/hook', 'env': ['PATH=/bin:/sbin:/usr/bin:/usr/sbin', 'OWN=' + k],
 'args': ['hook', k, '/h' if k == 'startContainer' else '$T/h', '$T']}
globals()['hook'] = hook
c['hooks'] = {k: [hook(k)] for k in ('prestart', 'createRuntime', 'createContainer', 'startContainer', 'poststart', 'poststop')}"
sh_bundle hooks 'cat /mnt/f; ip addr show lo; sleep 1000' "$hooks"
oci create -b "$T/bundle-hooks" h >"$T/out" </dev/null
is "those of create have run, in their order" "$(xargs <"$T/h/order")" "prestart createRuntime createContainer"
is "created" "$(status_of h)" created
pid=$(cat "$M/container/h/pid")
like "prestart reads the state" "$(cat "$T/h/prestart.state")" "\"id\":\"h\",\"status\":\"creating\",\"pid\":$pid,\"bundle\":\"$T/bundle-hooks\""
is "its process has its namespaces then" "$(xargs <"$T/h/its")" "$(readlink "/proc/$pid/ns/"{net,mnt,uts,pid} | xargs)"
for k in prestart createRuntime; do
	is "$k is the host's" "$(sed -n '2,4p' "$T/h/$k.ns" | xargs)" "$(readlink /proc/self/ns/{mnt,net,uts} | xargs)"
	is "$k: from the bundle" "$(cat "$T/h/$k.cwd")" "$T/bundle-hooks"
	is "$k: with its environment" "$(grep -v '^\(PWD\|OLDPWD\|SHLVL\|_\)=' "$T/h/$k.env" | sort | xargs)" \
		"OWN=$k PATH=/bin:/sbin:/usr/bin:/usr/sbin"
done
is "createContainer is the container's" "$(head -n 4 "$T/h/createContainer.ns" | xargs)" \
	"inside $(readlink "/proc/$pid/ns/"{mnt,net,uts} | xargs)"
like "which is process 1 to it" "$(cat "$T/h/createContainer.state")" '"status":"creating","pid":1,'
is "what it mounts is not the host's" "$(ls "$T/root/mnt")" ""
oci start h
like "then startContainer and poststart" "$(xargs <"$T/h/order")" 'createContainer startContainer poststart$'
is "startContainer is a process of the container's" "$(head -n 4 "$T/h/startContainer.ns" | xargs)" \
	"inside $(readlink "/proc/$pid/ns/"{mnt,net,uts} | xargs)"
is "confined as it is" "$(xargs <"$T/h/confined")" "CapEff: 0000000000000021 NoNewPrivs: 1"
like "and reads the state, too" "$(cat "$T/h/startContainer.state")" '"status":"created","pid":1,'
like "with its environment" "$(cat "$T/h/startContainer.env")" 'OWN=startContainer'
like "poststart" "$(cat "$T/h/poststart.state")" "\"status\":\"running\",\"pid\":$pid,"
soon "the program sees what was mounted" 5 grep -q hooked "$T/out"
soon "and the address" 5 grep -q '10\.9\.8\.7/24' "$T/out"
is "no session is left" "$(ls "$M/container/h/exec")" ""
oci delete --force h
like "poststop" "$(tail -n 1 "$T/h/order") $(cat "$T/h/poststop.state")" '^poststop .*"status":"stopped"'
rm -rf "${T:?}/h"/*
sh_bundle hooks 'true' "$hooks"
oci run -b "$T/bundle-hooks" h </dev/null
like "poststart reads which process it was" "$(cat "$T/h/poststart.state")" '"status":"running","pid":[1-9]'
rm -rf "${T:?}/h"/*
sh_bundle hooks 'cat /mnt/f; ip addr show lo' "$hooks"
like "run" "$(oci run -b "$T/bundle-hooks" h </dev/null)" 'hooked.*10\.9\.8\.7/24'
is "runs them all" "$(xargs <"$T/h/order")" "prestart createRuntime createContainer startContainer poststart poststop"

failing() { # NAME COMMAND [PYTHON]: a bundle with such a hook
	sh_bundle fails 'sleep 1000' "c['hooks'] = {'$1': [{'path': '/bin/sh', 'args': ['/bin/sh', '-c', r'''$2'''], 'env': ['PATH=/bin:/usr/bin']}]}
h = c['hooks']['$1'][0]
c['hooks'].setdefault('poststop', [{'path': '/bin/sh', 'args': ['sh', '-c', 'echo after >$T/after']}])
${3-}"
	rm -f "$T/after"
}
for k in prestart createRuntime createContainer; do
	failing $k 'echo why not >&2; exit 3'
	like "$k fails: so does create" "$(oci create -b "$T/bundle-fails" f 2>&1 </dev/null || echo failed)" \
		"hooks\.$k\[0\]: /bin/sh: exited with status 3: why not.*failed"
	is "$k: nothing is left" "$(find "$M/container" "$T/oci" -mindepth 1 -maxdepth 1)" ""
	is "$k: but for its last hooks" "$(cat "$T/after")" after
done
failing createRuntime 'sleep 1000' "h['timeout'] = 1"
like "one that takes too long" "$(oci create -b "$T/bundle-fails" f 2>&1 </dev/null)" 'createRuntime\[0\]: /bin/sh: it took longer than 1 s'
failing createContainer 'exec sleep 1001' "h['timeout'] = 1"
like "also inside" "$(oci create -b "$T/bundle-fails" f 2>&1 </dev/null)" 'createContainer\[0\]: /bin/sh: it took longer than 1 s'
not_ok "it is gone" pgrep -x -f 'sleep 1001'
failing createRuntime 'kill -9 $$'
like "one that is killed" "$(oci create -b "$T/bundle-fails" f 2>&1 </dev/null)" 'createRuntime\[0\]: /bin/sh: killed by signal 9'
failing prestart '' "h['path'] = '/nowhere/hook'"
like "one that is not there" "$(oci create -b "$T/bundle-fails" f 2>&1 </dev/null)" 'prestart\[0\]: /nowhere/hook: exited with status 127: it cannot be executed: No such file'
failing createRuntime 'kill -9 $(sed "s/.*pid.:\([0-9]*\).*/\1/")'
not_ok "one that kills the container" oci create -b "$T/bundle-fails" f </dev/null
is "nothing is left" "$(find "$M/container" "$T/oci" -mindepth 1 -maxdepth 1)" ""
failing createRuntime 'kill -9 $(sed "s/.*pid.:\([0-9]*\).*/\1/"); sleep 1'
not_ok "also when that is noticed before" oci create -b "$T/bundle-fails" f </dev/null
is "nothing is left then, either" "$(find "$M/container" "$T/oci" -mindepth 1 -maxdepth 1)" ""
failing startContainer 'echo not here >&2; exit 4'
oci create -b "$T/bundle-fails" f </dev/null
like "startContainer fails: so does start" "$(oci start f 2>&1)" 'hooks\.startContainer\[0\]: /bin/sh: exited 4: not here'
is "and it is stopped" "$(status_of f)" stopped
ok "delete" oci delete f
failing startContainer 'sleep 1000' "h['timeout'] = 1"
oci create -b "$T/bundle-fails" f </dev/null
like "or takes too long" "$(oci start f 2>&1)" 'startContainer\[0\]: /bin/sh: it took longer than 1 s'
oci delete --force f
failing poststart 'echo too late >&2; exit 5' "c['hooks']['poststart'].append(c['hooks']['poststop'][0])"
oci run -d -b "$T/bundle-fails" f >"$T/out" 2>&1 </dev/null
like "poststart fails: that is only told" "$(cat "$T/out") $(status_of f)" 'hooks\.poststart\[0\]: .*too late.*running'
is "the next has run" "$(cat "$T/after")" after
oci delete --force f
failing poststop 'exit 6'
oci create -b "$T/bundle-fails" f </dev/null
like "and poststop" "$(oci delete --force f 2>&1 && echo gone)" 'hooks\.poststop\[0\]: .*status 6.*gone'
failing createRuntime 'exit 0' "h['timeout'] = 0"
like "a timeout of nothing" "$(oci create -b "$T/bundle-fails" f 2>&1 </dev/null)" 'hooks\.createRuntime\[0\]: timeout: '
failing createRuntime 'exit 0' "h['path'] = 'sh'"
like "a path that is no path" "$(oci create -b "$T/bundle-fails" f 2>&1 </dev/null)" 'hooks\.createRuntime\[0\]: path: '
failing createRuntime 'head -c 300000 /dev/zero'
oci create -b "$T/bundle-fails" f </dev/null >/dev/null 2>&1
is "one that prints much" "$? $(status_of f)" "0 created"
kill -KILL "$(sed -n 's/^oci.keeper \([0-9]*\) .*/\1/p' "$M/container/f/label")"
soon "a created one whose keeper is killed ends" 10 status_is f stopped
ok "delete" oci delete f

# --- what cannot be is refused by its name
refuses "a namespace of a process that is in no container" 'linux\.namespaces: /proc/1/ns/pid: ' "c['linux']['namespaces'][0]['path'] = '/proc/1/ns/pid'"
refuses "mounts by a path" 'linux\.namespaces\[4\]: ' "c['linux']['namespaces'][4]['path'] = '/proc/1/ns/mnt'"
refuses "a rule without a device" 'linux\.resources\.devices\[0\]: beside' "c['linux']['resources']['devices'] = [{'allow': True, 'type': 'c', 'major': 10, 'minor': 229, 'access': 'rw'}]"
refuses "all devices" 'linux\.resources\.devices\[0\]: ' "c['linux']['resources']['devices'] = [{'allow': True, 'access': 'rwm'}]"
refuses "a file system of another type" 'mounts\[3\]: "overlay"' "c['mounts'] += [{'destination': '/o', 'type': 'overlay', 'source': 'overlay'}]"
refuses "an option of a mount" 'mounts\[3\]\.options: "tmpcopyup"' "c['mounts'] += [{'destination': '/o', 'type': 'tmpfs', 'options': ['tmpcopyup']}]"
refuses "a writable /sys" 'mounts\[2\].options: /sys is read-only' "c['mounts'][2]['options'].remove('ro')"
refuses "ambient capabilities beyond" 'process\.capabilities: ' "p['capabilities']['ambient'] = ['CAP_FOWNER']"
refuses "an unknown capability" 'CAP_FLY' "p['capabilities']['bounding'] = ['CAP_FLY']"
refuses "intelRdt" 'linux\.intelRdt: ' "c['linux']['intelRdt'] = {'closID': 'x'}"
refuses "a domain name that is none" 'domainname: ' "c['domainname'] = ['x']"
refuses "sysctls that are none" 'linux\.sysctl: ' "c['linux']['sysctl'] = 'x'"
refuses "a kernel memory limit" 'linux\.resources\.memory\.kernel: ' "c['linux']['resources']['memory'] = {'kernel': 5}"
refuses "a bad version" 'ociVersion: ' "c['ociVersion'] = '2.0'"
refuses "no process" 'process: missing' "del c['process']"
refuses "a root that is not there" 'root\.path: ' "c['root']['path'] = 'nowhere'"
is "nothing was made" "$(find "$M/container" "$T/oci" -mindepth 1 -maxdepth 1)" ""
printf '{' >"$T/bundle-refused/config.json"
like "no JSON" "$(oci create -b "$T/bundle-refused" r 2>&1)" 'config\.json: line 1: '
like "no id" "$(oci create -b "$T/bundle-io" ../x 2>&1)" 'is not an id'
like "no tree" "$("$OCI" --tree "$T" --root "$T/oci" create -b "$T/bundle-io" x 2>&1)" 'no machinefs is mounted'
bundle args "p['args'] = ['/nothing']" >/dev/null
oci create -b "$T/bundle-args" x </dev/null >/dev/null
like "a program that is not there" "$(oci --log "$T/log" --log-format json start x 2>&1)" 'init: not in the root directory: /nothing'
like "the log has it as JSON" "$(cat "$T/log")" '^\{"level": ?"error", ?"msg": ?"init: not in the root.*"time":'
is "it is stopped" "$(status_of x)" stopped
ok "and can be deleted" oci delete x
like "features" "$(oci features | xargs)" 'ociVersionMax: .*CAP_CHOWN'
done_testing
