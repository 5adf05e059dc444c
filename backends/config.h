/*
 * struct machine_config: everything a user can set on one machine, parsed and in bounds.
 *
 * The attribute tables in fs/ say for each field its file name, default, bounds and meaning;
 * this header only lays the fields out. A config owns its strings. It is filled, copied,
 * printed and freed by the functions of fs/attr/attr.h, so that an engine never parses text: it
 * reads the fields.
 */
#ifndef BACKENDS_CONFIG_H
#define BACKENDS_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>

/* A limit that is not set: printed and accepted as `max`. */
#define LIMIT_MAX UINT64_MAX

/* cgroup v2's cpu.max: at most quota microseconds of CPU time in each period. */
struct cpu_max {
	uint64_t quota; /* microseconds, or LIMIT_MAX */
	uint64_t period;
};

/* Lines "KEY VALUE", keys unique, in the order they were first set. */
struct keyed {
	size_t n;
	struct keyed_entry {
		char *key;
		char *value;
	} * entries;
};

/* One line of a uid and gid map: count ids from container on are host and following outside. */
struct id_map {
	size_t n;
	struct id_map_range {
		uint32_t container;
		uint32_t host;
		uint32_t count;
	} * ranges;
};

/* The user that a process of a container runs as, and its groups beside gid. */
#define INIT_GROUPS_MAX 64
struct init_user {
	uint32_t uid;
	uint32_t gid;
	uint32_t ngroups;
	uint32_t groups[INIT_GROUPS_MAX];
};

enum machine_kind { KIND_VM, KIND_CONTAINER };

enum isolation { ISOLATION_PROCESS, ISOLATION_THREAD };

enum restart_policy { RESTART_NEVER, RESTART_ON_FAILURE, RESTART_ALWAYS };

/* Bits of container_config.namespaces; in the order of the words in the file. */
enum namespace_bit {
	NS_PID = 1 << 0,
	NS_MOUNT = 1 << 1,
	NS_NET = 1 << 2,
	NS_UTS = 1 << 3,
	NS_IPC = 1 << 4,
	NS_CGROUP = 1 << 5,
	NS_USER = 1 << 6,
	NS_TIME = 1 << 7,
};

/* Auto: direct for a directory, overlay for an image. */
enum root_writable { ROOT_AUTO, ROOT_DIRECT, ROOT_NONE, ROOT_OVERLAY };

/* What a container may write: bytes and files, or LIMIT_MAX. */
struct quota {
	uint64_t bytes;
	uint64_t inodes;
};

/* Sockets, cores in each, threads in each of those; sockets 0: `auto`. */
struct cpu_topology {
	uint64_t sockets;
	uint64_t cores;
	uint64_t threads;
};

enum guest_action { ACTION_NONE, ACTION_RESET, ACTION_POWEROFF, ACTION_PAUSE, ACTION_FAIL };

/* What the host's pages of a VM's memory are. */
enum memory_backing { BACKING_THP, BACKING_SMALL, BACKING_HUGE_2M, BACKING_HUGE_1G };

enum scheduler { SCHEDULER_OTHER, SCHEDULER_BATCH, SCHEDULER_IDLE };

/* What the common runtimes hide and protect: state of the host that has no namespace. */
#define MASKED_DEFAULT                                                                          \
	"/proc/acpi /proc/asound /proc/kcore /proc/keys /proc/latency_stats /proc/sched_debug " \
	"/proc/scsi /proc/timer_list /proc/timer_stats /sys/firmware "                          \
	"/sys/devices/virtual/powercap"
#define READONLY_DEFAULT "/proc/bus /proc/fs /proc/irq /proc/sys /proc/sysrq-trigger"

/* Which devices a VM's console is; both: typing goes to the one that it last printed on. */
enum vm_serial { SERIAL_UART, SERIAL_VIRTIO, SERIAL_BOTH };

struct vm_config {
	char *kernel;	       /* host path, or "" */
	char *initrd;	       /* host path, or "" */
	char *cmdline;	       /* without a newline */
	uint64_t vsock_cid;    /* 0: no vsock device */
	bool vsock_vhost;      /* among the host's own sockets */
	uint64_t cpu_possible; /* how far cpu_count may grow; less than that: not at all */
	char *cpu_model;       /* words of vmm/cpu/cpu_model.h */
	struct cpu_topology cpu_topology;
	char *dump_path; /* host path that the verb dump writes to, or "" */
	enum vm_serial serial;
	bool rng;
	enum guest_action panic;    /* what becomes of it when its kernel crashes */
	enum guest_action watchdog; /* when its watchdog comes to 0; NONE: it has none */
	uint64_t memory_possible;   /* how far memory_size may grow; less than that: not at all */
	enum memory_backing memory_backing;
	bool memory_prealloc;
	bool memory_lock;
	bool memory_merge;
	char *memory_numa;	   /* host nodes, a list of backends/base/cpulist.h; "": any */
	uint64_t memory_balloon;   /* bytes that the guest is asked to give back */
	struct keyed cpu_affinity; /* vCPUs, host CPUs: lists of backends/base/cpulist.h */
};

struct container_config {
	char *root; /* host path of the root directory, "image NAME", or "" */
	enum root_writable root_writable;
	struct quota quota;	  /* of the overlay */
	struct keyed quota_user;  /* ids inside, words of struct quota, `max` or digits: */
	struct keyed quota_group; /* "bytes=N inodes=max" */
	bool quota_delegate;	  /* such quotas are its root's to set */
	char *init;		  /* argv as one shell-quoted line; split by argv_split() */
	struct keyed env;	  /* init.env */
	char *cwd;		  /* absolute, inside the container */
	struct init_user user;
	char *stdio[3];	     /* host paths that are init's 0, 1, 2; "": the console */
	char *hostname;	     /* "" means the machine's name */
	uint64_t namespaces; /* enum namespace_bit */
	struct id_map user_map;
	uint64_t capabilities; /* bit N is capability number N of linux/capability.h */
	uint64_t ambient;      /* likewise; those of them that who is not root keeps */
	uint64_t umask;
	char *seccomp; /* "default", "none", or the host path of a profile */
	bool no_new_privs;
	bool delegate;	       /* its control group, to its root */
	bool lxcfs;	       /* shown where the host has it */
	char *stop_signal;     /* a name of signame.h; "": as init is */
	struct keyed sysctl;   /* names with dots */
	struct keyed rlimit;   /* names as in prlimit(1), "SOFT HARD" */
	int64_t oom_score;     /* oom_score_adj */
	char *masked;	       /* paths, words; hidden */
	char *readonly_paths;  /* likewise; read-only */
	struct keyed join;     /* a namespace's word, the container whose it is */
	struct keyed landlock; /* paths inside, letters of "rwx" */
	enum scheduler scheduler;
	int64_t nice;
	uint64_t io_priority; /* of the best-effort class, 0..7 */
	char *apparmor;	      /* a profile, or "" */
	char *selinux;	      /* a context, or "" */
	char *selinux_files;  /* likewise, of the files of its own mounts */
	uint64_t cpu_burst;   /* microseconds */
	char *cpu_affinity;   /* CPUs, a list of cpulist.h; "": any */
	char *memory_numa;    /* nodes, likewise */
	uint64_t memory_high; /* bytes, or LIMIT_MAX, as are: */
	uint64_t memory_low;
	uint64_t memory_swap_max;
	uint64_t io_weight;	  /* 1..10000, as cgroup v2 */
	struct keyed io_max;	  /* MAJOR:MINOR, words WORD=NUMBER as cgroup v2's */
	struct keyed hugetlb_max; /* "2M", bytes */
};

/* ---- parts: what a machine has any number of, each with a name ---- */

/* So much a second, or LIMIT_MAX; and how much at once, 0: what passes in a tenth of a second. */
struct rate {
	uint64_t rate;
	uint64_t burst;
};

enum disk_format { DISK_RAW, DISK_QCOW2 };

/* As the words of other VMMs: whose cache holds it, and whether the guest's flushes count. */
enum disk_cache {
	DISK_WRITEBACK, /* the host's page cache; a flush is an fdatasync */
	DISK_NONE,	/* O_DIRECT */
	DISK_UNSAFE,	/* as writeback, flushes are not done */
};

struct disk_config {
	char *path; /* a regular file or a block device; never "" in an engine's configuration */
	enum disk_format format;
	bool readonly;
	uint64_t size; /* bytes that the file is grown to, or 0: it stays as it is */
	enum disk_cache cache;
	char *serial; /* at most 20 bytes; "": made from the name */
	uint64_t queues;
	struct {
		struct rate rbps, wbps, riops, wiops;
	} io_max;
	bool discard;
};

/* "10.0.0.2/24", or without a prefix (then all bits). family 0: none. */
struct net_address {
	sa_family_t family; /* AF_INET, AF_INET6 */
	uint8_t prefix;
	uint8_t bytes[16]; /* network order, 4 or 16 of them */
};

#define NET_ADDRESSES_MAX 4
struct net_addresses {
	unsigned n;
	struct net_address list[NET_ADDRESSES_MAX];
};

/* Whether the kernel moves a VM's frames; auto: where the host can. */
enum nic_vhost { VHOST_AUTO, VHOST_ON, VHOST_OFF };

struct nic_config {
	char *net;	/* the switch net/NAME */
	uint8_t mac[6]; /* all 0: made from the machine's uuid and the name */
	struct net_addresses address;
	struct net_addresses gateway; /* without prefixes */
	uint64_t mtu;
	uint64_t queues;
	struct {
		struct rate in, out; /* bytes a second, as the machine sees them */
	} rate;
	bool link; /* up */
	enum nic_vhost vhost;
};

struct share_config {
	char *path; /* a directory of the host */
	bool readonly;
};

#define NUMA_NODES_MAX 64
struct numa_config {
	char *cpus;    /* of the guest: a list of backends/base/cpulist.h */
	uint64_t size; /* bytes of memory */
	char *host;    /* list of nodes that its memory comes from; "": any */
	struct {
		unsigned n;
		uint8_t to[NUMA_NODES_MAX]; /* n of them; those behind: 10 to itself, else 20 */
	} distance;
};

enum mount_type { MOUNT_BIND, MOUNT_TMPFS };

struct mount_config {
	char *source; /* bind: a host path; else "" */
	char *target; /* absolute, inside the container */
	enum mount_type type;
	char *options; /* as mount(8)'s -o: "ro,nosuid,size=64m" */
};

enum device_permission { DEVICE_READ = 1 << 0, DEVICE_WRITE = 1 << 1, DEVICE_MKNOD = 1 << 2 };

struct device_config {
	char *path;   /* of the node, in the container and, without a number, on the host */
	char *target; /* where else in the container; "": there */
	struct device_number {
		char type; /* 'c', 'b'; 0: that of the host's node */
		uint32_t major, minor;
	} number;
	uint64_t mode, uid, gid; /* of the node, where it is made */
	uint64_t permissions;	 /* enum device_permission */
};

enum part_kind { PART_DISK, PART_NIC, PART_SHARE, PART_NUMA, PART_MOUNT, PART_DEVICE, PART_KINDS };

struct part {
	char name[64];
	union {
		struct disk_config disk;
		struct nic_config nic;
		struct share_config share;
		struct numa_config numa;
		struct mount_config mount;
		struct device_config device;
	};
};

#define PARTS_MAX 64 /* of one kind */

/* In the order they were made in. */
struct parts {
	size_t n;
	struct part *list; /* owned */
};

struct machine_config {
	enum machine_kind kind; /* set when the machine is made, not a file */
	struct keyed label;
	bool autostart;
	uint64_t autostart_order;
	uint64_t autostart_delay; /* seconds */
	enum restart_policy restart;
	uint64_t restart_delay; /* seconds */
	uint64_t restart_max;	/* times in a row, or LIMIT_MAX */
	bool ephemeral;
	enum isolation isolation;
	uint64_t cpu_count;  /* VM: vCPUs. Container: how many CPUs at once, or LIMIT_MAX */
	uint64_t cpu_weight; /* 1..10000, as cgroup v2 */
	struct cpu_max cpu_max;
	uint64_t memory_size; /* bytes; VM: guest RAM. Container: hard limit or LIMIT_MAX */
	uint64_t pids_max;    /* or LIMIT_MAX */
	struct vm_config vm;
	struct container_config container;
	struct parts parts[PART_KINDS];
};

/* Names of objects in the tree: of machines, of their parts. */
#define OBJECT_NAME_MAX 63
bool object_name_valid(const char *name);

/* NULL: there is none of that name. */
struct part *parts_find(const struct parts *p, const char *name);

#endif
