/*
 * struct machine_config: everything a user can set on one machine, parsed and in bounds.
 *
 * The attribute tables in fs/ say for each field its file name, default, bounds and meaning;
 * this header only lays the fields out. A config owns its strings. It is filled, copied,
 * printed and freed by the functions of fs/attr.h, so that an engine never parses text: it
 * reads the fields.
 */
#ifndef BACKENDS_CONFIG_H
#define BACKENDS_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
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

/* The user that a container's init runs as. */
struct init_user {
	uint32_t uid;
	uint32_t gid;
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

enum root_writable { ROOT_DIRECT, ROOT_NONE };

enum seccomp_profile { SECCOMP_PROFILE_DEFAULT, SECCOMP_PROFILE_NONE };

struct vm_config {
	char *kernel;  /* host path, or "" */
	char *initrd;  /* host path, or "" */
	char *cmdline; /* without a newline */
};

struct container_config {
	char *root; /* host path of the root directory, or "" */
	enum root_writable root_writable;
	char *init;	  /* argv as one shell-quoted line; split by argv_split() */
	struct keyed env; /* init.env */
	char *cwd;	  /* absolute, inside the container */
	struct init_user user;
	char *hostname;	     /* "" means the machine's name */
	uint64_t namespaces; /* enum namespace_bit */
	struct id_map user_map;
	uint64_t capabilities; /* bit N is capability number N of linux/capability.h */
	enum seccomp_profile seccomp;
	bool no_new_privs;
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
	uint64_t cpu_count;  /* VM: vCPUs. Containers: not used */
	uint64_t cpu_weight; /* 1..10000, as cgroup v2 */
	struct cpu_max cpu_max;
	uint64_t memory_size; /* bytes; VM: guest RAM. Container: hard limit or LIMIT_MAX */
	uint64_t pids_max;    /* or LIMIT_MAX */
	struct vm_config vm;
	struct container_config container;
};

#endif
