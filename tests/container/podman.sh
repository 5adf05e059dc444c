#!/bin/bash
# podman with machinefs-oci as its runtime: containers of a local root directory.
# timeout: 240
. tests/lib.sh
need_root
need_command podman conmon
# podman's own networks are to be in a network of the test's.
[ -n "${OWN_NETWORK-}" ] || OWN_NETWORK=1 exec unshare --net "$BASH" "$0"
machinefs_start
busybox_root >/dev/null
cat >"$T/runtime" <<END
#!/bin/sh
exec '$PWD/$B/machinefs-oci' --tree '$M' --root '$T/oci' "\$@"
END
chmod +x "$T/runtime"

pod() {
	podman --root "$T/storage" --runroot "$T/podrun" --tmpdir "$T/podtmp" --storage-driver vfs \
		--events-backend none --cgroup-manager cgroupfs --runtime "$T/runtime" "$@"
}
# What it would have raised beyond this host's own limits stays below.
run() {
	pod run --network none --ulimit nofile=1024:1024 --ulimit nproc=1024:1024 "$@"
}
pod info >/dev/null 2>"$T/why" || skip_all "podman does not work here: $(head -n 1 "$T/why")"

is "podman run" "$(run --rm --rootfs "$T/root" echo hello)" hello
run --name a --rootfs "$T/root" sh -c 'echo out; echo err >&2; exit 5' >"$T/out" 2>"$T/err"
is "the status is the container's" $? 5
is "output and errors apart" "$(cat "$T/out") $(cat "$T/err")" "out err"
is "logs" "$(pod logs a 2>&1 | sort | xargs)" "err out"
like "ps -a" "$(pod ps -a)" 'Exited \(5\)'
ok "rm" pod rm a
is "all that is read" "$(head -c 1000000 /dev/zero | run -i --rm --rootfs "$T/root" wc -c)" 1000000
like "a terminal" "$(run -t --rm --rootfs "$T/root" sh -c 'test -t 0 && : </dev/tty && echo it is')" 'it is'
is "a volume" "$(mkdir "$T/data" && echo in >"$T/data/f" &&
	run --rm -v "$T/data:/data:ro" --rootfs "$T/root" cat /data/f)" in
like "a user, a directory, variables" "$(run --rm -u 5:6 -w /bin -e 'A=b c' --rootfs "$T/root" \
	sh -c 'id -u; pwd; echo $A' | xargs)" '^5 /bin b c$'
is "read only" "$(run --rm --read-only --read-only-tmpfs=false --rootfs "$T/root" \
	sh -c 'touch /x 2>/dev/null || echo no')" no
like "a capability less" "$(run --rm --cap-drop all --rootfs "$T/root" grep CapEff /proc/self/status)" '0000000000000000'

ok "run --detach, with limits" run -d --name b --memory 64m --pids-limit 100 --rootfs "$T/root" \
	sh -c 'trap "exit 9" TERM; echo up; while :; do sleep 0.05; done'
c=$(echo "$M"/container/*)
is "they are the tree's" "$(cat "$c/memory.size" "$c/pids.max" | xargs)" "67108864 100"
soon "logs while it runs" 10 sh -c "test -n \"\$(podman --root '$T/storage' --runroot '$T/podrun' --tmpdir '$T/podtmp' --storage-driver vfs --events-backend none logs b)\""
is "exec" "$(echo in | pod exec -i b sh -c 'cat; exit 3'; echo $?)" $'in\n3'
like "exec with a terminal" "$(pod exec -t b sh -c 'test -t 0 && echo it is')" 'it is'
is "exec as somebody else" "$(pod exec -u 7:8 b id -u)" 7
is "no session is left" "$(ls "$c/exec")" ""
ok "update" pod update --memory 32m b
is "is the tree's" "$(cat "$c/memory.size")" 33554432
ok "pause" pod pause b
is "it is paused" "$(cat "$c/state")" paused
ok "unpause" pod unpause b
ok "stop" pod stop -t 10 b
like "ended by itself" "$(pod ps -a --format '{{.Status}}')" 'Exited \(9\)'
ok "start, once more" pod start b
soon "it runs" 10 grep -qx running "$M/container/"*/state
ok "kill" pod kill b
ok "wait" pod wait b
ok "rm" pod rm b
is "nothing is left in the tree" "$(ls "$M/container")" ""
is "nor beside it" "$(ls "$T/oci")" ""

# --- created and not started; hooks
ok "create" pod create --network none --ulimit nofile=1024:1024 --ulimit nproc=1024:1024 --name h --rootfs "$T/root" sleep 1000
ok "init" pod init h
is "makes all of it but its program" "$(cat "$M/container/"*/state)" prepared
is "which podman calls so, too" "$(pod inspect -f '{{.State.Status}}' h)" initialized
ok "start" pod start h
is "runs it" "$(cat "$M/container/"*/state)" running
pod rm -f -t 0 h >/dev/null
ok "create and init, once more" eval 'pod create --network none --ulimit nofile=1024:1024 --ulimit nproc=1024:1024 --name h --rootfs "$T/root" sleep 1000 && pod init h'
ok "rm of one that was not started" pod rm -f -t 0 h
is "nothing is left of it" "$(ls "$M/container")" ""
mkdir "$T/hooks.d" "$T/hooked"
cat >"$T/hook" <<'END'
#!/bin/sh
cat >"$2/$1"
pid=$(sed 's/.*"pid": *\([0-9]*\).*/\1/' "$2/$1")
[ "$1" != prestart ] || nsenter -t "$pid" -n ip addr add 10.9.8.7/24 dev lo
[ "$1" != createRuntime ] || nsenter -t "$pid" -m mount --bind "$2" "$3/mnt"
END
chmod +x "$T/hook"
mkdir -p "$T/root/mnt"
for stage in prestart createRuntime createContainer poststop; do
	cat >"$T/hooks.d/$stage.json" <<-END
	{ "version": "1.0.0", "when": { "always": true }, "stages": ["$stage"],
	  "hook": { "path": "$T/hook", "args": ["hook", "$stage", "$T/hooked", "$T/root"], "env": ["PATH=$PATH"] } }
	END
done
said=$(pod --hooks-dir "$T/hooks.d" run --rm --network none --ulimit nofile=1024:1024 --ulimit nproc=1024:1024 \
	--rootfs "$T/root" sh -c 'ip addr show lo; ls /mnt' 2>&1)
like "a hook changes its network" "$said" '10\.9\.8\.7/24'
like "another mounts what it sees" "$said" 'prestart'
is "all have run" "$(cd "$T/hooked" && echo *)" "createContainer createRuntime poststop prestart"
is "with its state" "$(grep -l '"status":"creating"' "$T/hooked/"* | wc -l)" 3
printf '#!/bin/sh\necho no such thing here >&2; exit 9\n' >"$T/hook"
like "one that fails is podman's failure" "$(pod --hooks-dir "$T/hooks.d" run --rm --network none --ulimit nofile=1024:1024 \
	--ulimit nproc=1024:1024 --rootfs "$T/root" true 2>&1; echo "status $?")" 'no such thing here.*status 12[67]'
is "and leaves nothing" "$(ls "$M/container")" ""

# --- another's namespaces
# A pod's first container takes no limits from the command line.
printf '[containers]\ndefault_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]\n' >"$T/containers.conf"
export CONTAINERS_CONF=$T/containers.conf
namespaces='for n in net ipc uts pid; do readlink /proc/self/ns/$n; done'
namespaces_of() {
	readlink "/proc/$(cat "$M/container/"*/pid)/ns/"{net,ipc,uts,pid}
}
ok "one to be joined" run -d --name web --rootfs "$T/root" sleep 1001
is "--network, --ipc, --uts, --pid container:NAME" \
	"$(pod run --rm --network container:web --ipc container:web --uts container:web --pid container:web \
		--rootfs "$T/root" sh -c "$namespaces" 2>&1)" "$(namespaces_of)"
like "its processes are seen" "$(run --rm --pid container:web --rootfs "$T/root" ps)" 'sleep 1001'
pod rm -f -t 0 web >/dev/null
tar -C "$T/root" -c . | pod import - localhost/base >/dev/null 2>&1
ok "pod create" pod pod create --name p --infra-image localhost/base --infra-command '/bin/sleep 1002' \
	--network none --share net,ipc,uts,pid
joined=$(pod run --rm --pod p --rootfs "$T/root" sh -c "$namespaces; hostname; ps" 2>&1)
is "who is in a pod has its namespaces" "$(head -n 4 <<<"$joined")" "$(namespaces_of)"
like "its name, and its processes" "$joined" $'\np\n.*sleep 1002'
ok "pod rm" pod pod rm -f -t 0 p
touch "$T/net" && unshare --net="$T/net" true
is "--network ns:PATH" "$(pod run --rm --network "ns:$T/net" --rootfs "$T/root" readlink /proc/self/ns/net 2>&1)" \
	"net:[$(stat -c %i "$T/net")]"
umount "$T/net"
if [ -e /usr/lib/cni/bridge ] && mkdir -p /var/lib/cni && mount -t tmpfs none /var/lib/cni && ip link set lo up; then
	like "a network of podman's" "$(pod run --rm --rootfs "$T/root" ip addr show eth0 2>&1)" 'inet 10\.88\.'
else
	skip "a network of podman's" "no plugins for it"
fi

# --- an image that podman has written: the library is skopeo's
pod run --name changed --network none localhost/base sh -c 'rm /etc/group; echo new >/etc/new; mkdir /data' >/dev/null
ok "commit" pod commit -q -f oci -c 'ENV GREETING="hello you"' -c 'WORKDIR /data' -c 'USER 5:6' -c 'STOPSIGNAL SIGUSR1' \
	-c 'ENTRYPOINT ["/bin/sh", "-c"]' -c 'CMD ["trap \"exit 3\" USR1; pwd; id -u; echo $GREETING; ls /etc/group /etc/new; while :; do sleep 0.05; done"]' changed localhost/two
for format in oci-dir oci-archive; do
	ok "save as $format" pod save -q --format $format -o "$T/$format" localhost/two
	i=$M/image/$format
	mkdir "$i"
	put "$i/source" "$T/$format"
	put "$i/ctl" import
	ok "is an image" put "$i/wait" ready 30
done
ok "save as docker would" pod save -q --format docker-archive -o "$T/docker" localhost/two
mkdir "$M/image/docker"
put "$M/image/docker/source" "$T/docker"
put "$M/image/docker/ctl" import
not_ok "is none" put "$M/image/docker/wait" ready 30
like "and it says what is" "$(tail -n 1 "$M/image/docker/events")" 'source: an archive as docker save writes it, no OCI layout'
rmdir "$M/image/docker"
is "the same by both" "$(cat "$M/image/oci-archive/digest.tree")" "$(cat "$M/image/oci-dir/digest.tree")"
is "in layers" "$(cat "$M/image/oci-dir/kind") $(python3 -c 'import json, sys
d = sys.argv[1]
load = lambda m: json.load(open(d + "/blobs/" + m["digest"].replace(":", "/")))
print(len(load(json.load(open(d + "/index.json"))["manifests"][0])["layers"]))' "$T/oci-dir")" "oci 2"
mkdir "$M/container/o"
put "$M/container/o/root" image oci-dir
ok "a container on it" put "$M/container/o/ctl" start
poll 10 grep -q '^/etc/new' "$M/container/o/console"
is "does what it says, as whom it says, on what the layers come to" "$(xargs <"$M/container/o/console")" \
	"/data 5 hello you ls: /etc/group: No such file or directory /etc/new"
put "$M/container/o/ctl" stop 20
await "$M/container/o" stopped
is "and is asked to stop as it says" "$(cat "$M/container/o/exit")" "exited 3"
rmdir "$M/container/o" "$M/image/oci-dir" "$M/image/oci-archive"
pod rm changed >/dev/null
unset CONTAINERS_CONF
is "a device" "$(run --rm --device /dev/fuse --rootfs "$T/root" sh -c ': </dev/fuse && echo opens')" opens
like "what the tree cannot do is refused in its words" \
	"$(run --rm --privileged --rootfs "$T/root" true 2>&1)" 'config\.json: .*: '
is "and leaves nothing" "$(ls "$M/container")" ""
done_testing
