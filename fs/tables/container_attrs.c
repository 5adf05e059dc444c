/*
 * The settings of containers: see machine_attrs.c.
 */
#include "fs/attr/attr.h"

#define AT(field) .offset = offsetof(struct machine_config, field)

static const char *const namespace_words[] = { "pid",	 "mount", "net",  "uts", "ipc",
					       "cgroup", "user",  "time", NULL };
static const char *const writable_words[] = { "auto", "direct", "none", "overlay", NULL };
static const char *const scheduler_words[] = { "other", "batch", "idle", NULL };

static const struct attr rows[] = {
	{ .name = "memory.size",
	  .type = &attr_size,
	  AT(memory_size),
	  .flags = ATTR_LIVE,
	  .min = 1 << 20,
	  .max = LIMIT_MAX,
	  .initial = "max",
	  .doc = "The hard limit of the container's memory.",
	  .good = "64M",
	  .bad = "64MB" },
	{ .name = "cpu.count",
	  .type = &attr_number,
	  AT(cpu_count),
	  .flags = ATTR_LIVE,
	  .min = 1,
	  .max = LIMIT_MAX,
	  .initial = "max",
	  .doc = "How many CPUs' time the container may use at once, whichever they are; cpu.max "
		 "may "
		 "say less.",
	  .good = "2",
	  .bad = "0" },
	{ .name = "cpu.burst",
	  .type = &attr_number,
	  AT(container.cpu_burst),
	  .flags = ATTR_LIVE,
	  .min = 0,
	  .max = 1000000000,
	  .initial = "0",
	  .doc = "How much unused time of earlier periods it may use beyond cpu.max. At most as "
		 "much "
		 "as the quota.",
	  .good = "0",
	  .bad = "much" },
	{ .name = "cpu.affinity",
	  .type = &attr_cpulist,
	  AT(container.cpu_affinity),
	  .flags = ATTR_LIVE,
	  .max = 4096,
	  .doc = "The host's CPUs that it runs on; when empty, those of memory.numa, or all.",
	  .good = "0",
	  .bad = "0-" },
	{ .name = "memory.numa",
	  .type = &attr_cpulist,
	  AT(container.memory_numa),
	  .flags = ATTR_LIVE,
	  .max = 1024,
	  .doc = "The host's NUMA nodes that its memory comes from, and whose CPUs it runs on "
		 "unless cpu.affinity "
		 "says; when empty, all.",
	  .good = "0",
	  .bad = "0-" },
	{ .name = "memory.high",
	  .type = &attr_size,
	  AT(container.memory_high),
	  .flags = ATTR_LIVE,
	  .min = 0,
	  .max = LIMIT_MAX,
	  .initial = "max",
	  .doc = "Above this it is slowed down and its memory reclaimed. Needs control groups of "
		 "version 2.",
	  .good = "max",
	  .bad = "64MB" },
	{ .name = "memory.low",
	  .type = &attr_size,
	  AT(container.memory_low),
	  .flags = ATTR_LIVE,
	  .min = 0,
	  .max = LIMIT_MAX,
	  .initial = "0",
	  .doc = "So much of its memory is not reclaimed while there is other. Version 1 has only "
		 "the soft limit: the rest is reclaimed first.",
	  .good = "16M",
	  .bad = "64MB" },
	{ .name = "memory.swap.max",
	  .type = &attr_size,
	  AT(container.memory_swap_max),
	  .flags = ATTR_LIVE,
	  .min = 0,
	  .max = LIMIT_MAX,
	  .initial = "max",
	  .doc = "How much of it may be swapped out. Version 1 limits the sum of both, so it takes "
		 "memory.size, too.",
	  .good = "max",
	  .bad = "64MB" },
	{ .name = "io.weight",
	  .type = &attr_number,
	  AT(container.io_weight),
	  .flags = ATTR_LIVE,
	  .min = 1,
	  .max = 10000,
	  .initial = "100",
	  .doc = "Its share of the disks' time when others want it too; where the kernel can.",
	  .good = "100",
	  .bad = "10001" },
	{ .name = "io.max",
	  .type = &attr_device_limits,
	  AT(container.io_max),
	  .flags = ATTR_LIVE,
	  .max = 255,
	  .doc = "How much it may read and write of a block device: MAJOR:MINOR and words of rbps, "
		 "wbps, riops, wiops with a number each second.",
	  .good = "8:0 rbps=1048576 wiops=120",
	  .bad = "8:0 fast" },
	{ .name = "hugetlb.max",
	  .type = &attr_page_limits,
	  AT(container.hugetlb_max),
	  .flags = ATTR_LIVE,
	  .max = 255,
	  .doc = "How many bytes of huge pages it may have, for each size of them.",
	  .good = "2M 4194304",
	  .bad = "2M many" },
	{ .name = "root",
	  .type = &attr_root,
	  AT(container.root),
	  .flags = ATTR_DIR_PATH,
	  .doc = "The container's root: a directory, or image NAME, which must be ready when it "
		 "starts. An image needs the r of its directory, for the container's owner. In a "
		 "user namespace the files of an image belong to the same users as they did in its "
		 "source; where their file system cannot be mounted so, that is made in an overlay "
		 "at the first start, an inode a file, and user.map stays what it was then.",
	  .good = "/",
	  .bad = "rootfs" },
	{ .name = "root.writable",
	  .type = &attr_word,
	  AT(container.root_writable),
	  .words = writable_words,
	  .initial = "auto",
	  .doc = "What becomes of writes to the root: they go to the directory itself (direct); "
		 "none is allowed (none); or they are kept with the container, and what is below "
		 "stays as it is (overlay). auto is overlay for an image, which is shared, and "
		 "direct for a directory. An overlay lasts as long as the container, over all its "
		 "runs.",
	  .good = "none",
	  .bad = "yes" },
	{ .name = "quota",
	  .type = &attr_quota,
	  AT(container.quota),
	  .flags = ATTR_LIVE | ATTR_ENGINE,
	  .initial = "bytes=max inodes=max",
	  .doc = "How much the container's overlay may hold. Where the state directory's file "
		 "system has project quotas (ext4 and xfs, mounted with prjquota) they are used, "
		 "and it changes at will. Elsewhere the overlay gets a file system of its own of "
		 "that many bytes, made at the first start: then it has to be set before, bytes "
		 "are needed, and may only grow.",
	  .good = "bytes=1G inodes=100000",
	  .bad = "bytes=-1" },
	{ .name = "quota.user",
	  .type = &attr_id_quota,
	  AT(container.quota_user),
	  .flags = ATTR_LIVE | ATTR_ENGINE,
	  .max = 256,
	  .doc = "How much of that each user inside may have, by his number there; "
		 "who has no line may have all. It holds for what he owns, whoever writes it, "
		 "root too. "
		 "The overlay needs a file system of its own for it, so quota has to say its "
		 "bytes, and one of both has to be set before the first start; after that "
		 "it changes at will.",
	  .good = "1000 bytes=10M inodes=100",
	  .bad = "alice bytes=10M" },
	{ .name = "quota.group",
	  .type = &attr_id_quota,
	  AT(container.quota_group),
	  .flags = ATTR_LIVE | ATTR_ENGINE,
	  .max = 256,
	  .doc = "Likewise for each group, of which a file has one.",
	  .good = "100 bytes=10M inodes=100",
	  .bad = "100 blocks=5" },
	{ .name = "quota.delegate",
	  .type = &attr_bool,
	  AT(container.quota_delegate),
	  .initial = "0",
	  .doc = "Whether the container's root sets such quotas itself, with setquota(8), "
		 "repquota(8) "
		 "and their like: then quota.user and quota.group have no lines. They see the file "
		 "system of the overlay on /dev/quota, where nothing else is to be had. "
		 "Root is who is 0 inside, with all of capabilities, "
		 "whichever these are; others ask for what is their own. The limits last as long "
		 "as the "
		 "overlay does, and count while this is set.",
	  .good = "1",
	  .bad = "2" },
	{ .name = "init",
	  .type = &attr_argv,
	  AT(container.init),
	  .max = 32768,
	  .doc = "The container's first process. The machine ends when it does. When empty: what "
		 "the "
		 "image says that is its root, with the working directory and user that it says; "
		 "else /sbin/init.",
	  .good = "/bin/sh -c 'echo hello; sleep 9'",
	  .bad = "sh -c 'unbalanced" },
	{ .name = "init.env",
	  .type = &attr_env,
	  AT(container.env),
	  .max = 4095,
	  .doc = "Its environment, beside PATH, HOME, TERM, HOSTNAME and container, which it may "
		 "override.",
	  .good = "LANG=C.UTF-8",
	  .bad = "=C" },
	{ .name = "init.cwd",
	  .type = &attr_path,
	  AT(container.cwd),
	  .initial = "/",
	  .doc = "Its working directory, inside the container.",
	  .good = "/tmp",
	  .bad = "tmp" },
	{ .name = "init.user",
	  .type = &attr_user,
	  AT(container.user),
	  .initial = "0:0",
	  .doc = "The user and groups it runs as.",
	  .good = "1000:1000,4,24",
	  .bad = "alice" },
	{ .name = "init.umask",
	  .type = &attr_mode,
	  AT(container.umask),
	  .min = 0,
	  .max = 0777,
	  .initial = "0022",
	  .doc = "The umask of its processes, in octal.",
	  .good = "0077",
	  .bad = "0888" },
	{ .name = "init.stdin",
	  .type = &attr_path,
	  AT(container.stdio[0]),
	  .flags = ATTR_SOURCE_PATH,
	  .doc = "What it reads as standard input instead of the console. A terminal also becomes "
		 "its controlling one.",
	  .good = "/dev/null",
	  .bad = "null" },
	{ .name = "init.stdout",
	  .type = &attr_path,
	  AT(container.stdio[1]),
	  .flags = ATTR_SINK_PATH,
	  .doc = "Where its standard output goes instead of to the console: a regular file grows, "
		 "a "
		 "FIFO must have a reader when the container starts. As long as one of the three "
		 "is the console, that is its controlling terminal.",
	  .good = "/dev/null",
	  .bad = "null" },
	{ .name = "init.stderr",
	  .type = &attr_path,
	  AT(container.stdio[2]),
	  .flags = ATTR_SINK_PATH,
	  .doc = "Likewise its errors.",
	  .good = "/dev/null",
	  .bad = "null" },
	{ .name = "hostname",
	  .type = &attr_hostname,
	  AT(container.hostname),
	  .doc = "The container's host name; when empty, the machine's name.",
	  .good = "db",
	  .bad = "a b" },
	{ .name = "namespaces",
	  .type = &attr_words,
	  AT(container.namespaces),
	  .words = namespace_words,
	  .initial = "pid mount net uts ipc cgroup",
	  .doc = "The namespaces of its own that the container gets. A container whose owner is "
		 "not root always has a user namespace.",
	  .good = "pid mount net uts ipc cgroup user",
	  .bad = "network" },
	{ .name = "namespaces.join",
	  .type = &attr_join,
	  AT(container.join),
	  .max = 255,
	  .doc = "Namespaces that are not its own but another container's, of the same owner, "
		 "which "
		 "runs: a pod (all but mount); or, for root's alone, those that a file leads to, "
		 "as ip-netns(8) "
		 "makes them, not in /proc. One with a user namespace of its own has no power "
		 "over these: it joins the other's user, too, and has that one's ids, whatever "
		 "user.map says. With pid its init "
		 "is not "
		 "process 1 there: what it leaves behind becomes the other's, is killed when it "
		 "ends, and it is killed when the other ends.",
	  .good = "net web",
	  .bad = "net a/b" },
	{ .name = "user.map",
	  .type = &attr_id_map,
	  AT(container.user_map),
	  .doc = "The user namespace's ids, of users and of groups. An owner who is not root may "
		 "map himself and the ids that /etc/subuid and /etc/subgid give him. When empty, "
		 "root's container has all ids as they are; in another's root is the owner, and "
		 "from 1 on his subordinate ids follow, if he has any.",
	  .good = "0 100000 65536",
	  .bad = "0 100000" },
	{ .name = "stop.signal",
	  .type = &attr_signal,
	  AT(container.stop_signal),
	  .max = 32,
	  .doc = "What stop sends to init. When empty: for the program of an image what that says, "
		 "else TERM; to systemd RTMIN+3, by which it shuts down.",
	  .good = "QUIT",
	  .bad = "FOO" },
	{ .name = "sysctl",
	  .type = &attr_sysctl,
	  AT(container.sysctl),
	  .max = 1023,
	  .doc = "Kernel settings of its own namespaces, or of those that it joins.",
	  .good = "net.ipv4.ip_forward 1",
	  .bad = "kernel.core_pattern x" },
	{ .name = "rlimit",
	  .type = &attr_rlimit,
	  AT(container.rlimit),
	  .max = 255,
	  .doc = "Resource limits of its processes, as getrlimit(2): as, core, cpu, data, fsize, "
		 "locks, memlock, msgqueue, nice, nofile, nproc, rss, rtprio, rttime, sigpending, "
		 "stack. What is not set is as the daemon has it.",
	  .good = "nofile 1024 4096",
	  .bad = "files 10" },
	{ .name = "oom.score",
	  .type = &attr_signed,
	  AT(container.oom_score),
	  .min = (uint64_t)-1000,
	  .max = 1000,
	  .initial = "0",
	  .doc = "How readily its processes are killed when the host has no memory left: "
		 "oom_score_adj. Only root's may be less than 0.",
	  .good = "500",
	  .bad = "1001" },
	{ .name = "cpu.scheduler",
	  .type = &attr_word,
	  AT(container.scheduler),
	  .words = scheduler_words,
	  .initial = "other",
	  .doc = "The scheduler's policy for its processes.",
	  .good = "batch",
	  .bad = "fifo" },
	{ .name = "cpu.nice",
	  .type = &attr_signed,
	  AT(container.nice),
	  .min = (uint64_t)-20,
	  .max = 19,
	  .initial = "0",
	  .doc = "Their nice value. Only root's may be less than 0.",
	  .good = "5",
	  .bad = "20" },
	{ .name = "io.priority",
	  .type = &attr_number,
	  AT(container.io_priority),
	  .min = 0,
	  .max = 7,
	  .initial = "4",
	  .doc = "Their priority at disks, of the best-effort class: 0 is the highest.",
	  .good = "7",
	  .bad = "8" },
	{ .name = "paths.masked",
	  .type = &attr_paths,
	  AT(container.masked),
	  .max = 4095,
	  .initial = MASKED_DEFAULT,
	  .doc = "Files and directories that are hidden in it, where they are. Only root may "
		 "change "
		 "it.",
	  .good = "/proc/kcore",
	  .bad = "proc" },
	{ .name = "paths.readonly",
	  .type = &attr_paths,
	  AT(container.readonly_paths),
	  .max = 4095,
	  .initial = READONLY_DEFAULT,
	  .doc = "Likewise what is read-only.",
	  .good = "/proc/sys",
	  .bad = "/proc/../sys" },
	{ .name = "landlock",
	  .type = &attr_landlock,
	  AT(container.landlock),
	  .max = 4095,
	  .doc = "When there are any lines its processes reach nothing but what is below these "
		 "files and directories of its own root, whoever they are: r lets them be read and "
		 "listed, x executed, w written, made, moved and removed. Nothing can be mounted "
		 "inside any more. What the paths mean is looked up when it starts. Needs a kernel "
		 "with landlock, see host/check; one with less than its version 3 does not forbid "
		 "truncate, with less than 5 no ioctl on devices, with 1 it forbids all moves to "
		 "other directories.",
	  .good = "/usr rx",
	  .bad = "/usr/.. r" },
	{ .name = "apparmor",
	  .type = &attr_string,
	  AT(container.apparmor),
	  .max = 255,
	  .doc = "The AppArmor profile of its processes, which is loaded already.",
	  .good = "container-default",
	  .bad = "a\001" },
	{ .name = "selinux",
	  .type = &attr_string,
	  AT(container.selinux),
	  .max = 255,
	  .doc = "The SELinux context of its processes.",
	  .good = "system_u:system_r:container_t:s0",
	  .bad = "a\001" },
	{ .name = "selinux.files",
	  .type = &attr_string,
	  AT(container.selinux_files),
	  .max = 255,
	  .doc = "The SELinux context of all files of what is mounted for it alone: a root with "
		 "an overlay, /dev, its terminals and shared memory, and mounts of type tmpfs. "
		 "What is the host's, as a root without an overlay or the source of a mount, keeps "
		 "its own.",
	  .good = "system_u:object_r:container_file_t:s0",
	  .bad = "a\001" },
	{ .name = "capabilities",
	  .type = &attr_capabilities,
	  AT(container.capabilities),
	  .initial = "default",
	  .doc = "The capabilities that processes in the container can have.",
	  .good = "chown net_bind_service",
	  .bad = "fly" },
	{ .name = "capabilities.ambient",
	  .type = &attr_capabilities,
	  AT(container.ambient),
	  .doc = "Those of them that a process keeps which does not run as root: the ambient and "
		 "the "
		 "inheritable set.",
	  .good = "net_bind_service",
	  .bad = "fly" },
	{ .name = "seccomp",
	  .type = &attr_seccomp,
	  AT(container.seccomp),
	  .flags = ATTR_FILE_PATH,
	  .initial = "default",
	  .doc = "The filter of system calls: as strict as the common runtimes' default, none, "
		 "which only root may say, or the path of a profile in the JSON form of OCI's "
		 "runtime specification (or docker's and podman's). With an owner who is not root "
		 "the default one holds beside his.",
	  .good = "none",
	  .bad = "strict" },
	{ .name = "cgroup.delegate",
	  .type = &attr_bool,
	  AT(container.delegate),
	  .initial = "0",
	  .doc = "Whether the container's root may make groups below its own, as systemd does: "
		 "then "
		 "it can write /sys/fs/cgroup (of version 2), but not its own limits. Its root has "
		 "to be another user than the host's: namespaces with user, and user.map.",
	  .good = "1",
	  .bad = "2" },
	{ .name = "lxcfs",
	  .type = &attr_bool,
	  AT(container.lxcfs),
	  .initial = "1",
	  .doc = "Whether /proc and /sys tell of the container's own CPUs, memory, uptime and "
		 "load, "
		 "where the host runs lxcfs on /var/lib/lxcfs; else they tell of the host's.",
	  .good = "0",
	  .bad = "yes" },
	{ .name = "no_new_privs",
	  .type = &attr_bool,
	  AT(container.no_new_privs),
	  .initial = "1",
	  .doc = "Whether set-user-id programs and file capabilities are without effect inside.",
	  .good = "0",
	  .bad = "yes" },
};

const struct attr_table container_attrs = { rows, sizeof(rows) / sizeof(rows[0]) };
