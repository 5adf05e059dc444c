/*
 * struct engine: what runs one machine of a kind; called by the monitor (monitor.h).
 *
 * There are two: vm_engine (vmm/engine.c) and container_engine (backends/container/engine.c).
 * An engine lives in a process, or on a thread, of its own for each machine; it keeps no
 * globals, so any number may live in one process. All operations are called on the monitor's
 * loop thread, never concurrently, and must not block for longer than the work itself takes.
 *
 * A machine's life, seen from here: start() once; then any number of the other verbs; then
 * the engine calls engine_host.ended() exactly once, from any of its threads or from within an
 * operation other than start(); after that the monitor calls free() on the loop thread. When
 * start() fails it has cleaned up everything, *ret_self is untouched, free() is not called.
 */
#ifndef BACKENDS_ENGINE_H
#define BACKENDS_ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "backends/config.h"
#include "backends/err.h"

struct console;
struct event_base;

/* How a machine ended; the text form is the `exit` file. */
enum ending_kind {
	ENDING_EXITED,	 /* container: init exited; code = status.   "exited 0" */
	ENDING_SIGNALED, /* init died by, or the machine was killed with, signal code. "signaled 9"
			  */
	ENDING_POWEROFF, /* VM: the guest powered itself off */
	ENDING_RESET,	 /* VM: the guest asked for a reset (reboot) */
	ENDING_FAILED,	 /* anything else; why is the sentence.      "failed: triple fault ..." */
};

struct ending {
	enum ending_kind kind;
	int code;
	char why[256]; /* one line, for ENDING_FAILED; else "" */
};

/*
 * Descriptors that the daemon opened, with the owner's authority, and passed to the monitor.
 * The monitor closes those that are left when the machine ends; an engine that closes one
 * itself sets its slot to -1. A slot without a descriptor is -1.
 */
enum engine_fd {
	ENGINE_FD_KVM,	   /* /dev/kvm */
	ENGINE_FD_KERNEL,  /* boot.kernel, a regular file, read only */
	ENGINE_FD_INITRD,  /* boot.initrd, likewise */
	ENGINE_FD_ROOT,	   /* container: root, O_PATH directory */
	ENGINE_FD_SECCOMP, /* container: memfd with a struct sock_filter array (default profile) */
	ENGINE_FD_FREEZER, /* the machine's cgroup: see cgroup_open_freezer() */
	ENGINE_FD_FROZEN,  /* likewise: where completion is read (v2), or -1 */
	ENGINE_FD_CGROUP_V2, /* the group's directory on v2, to be cloned into, or -1 */
	ENGINE_FD_CGROUP,    /* the first of ENGINE_CGROUP_MAX cgroup.procs files, write only */
};
#define ENGINE_CGROUP_MAX 12
#define ENGINE_FD_COUNT	  (ENGINE_FD_CGROUP + ENGINE_CGROUP_MAX)

/* Counters that an engine keeps; readers in other processes see them without a call. */
enum engine_counter {
	COUNTER_CONSOLE_BYTES, /* printed by the machine since start */
	COUNTER_EXITS,	       /* VM: returns from KVM_RUN that user space handled */
	COUNTER_EXITS_IO,
	COUNTER_EXITS_MMIO,
	COUNTER_RESETS, /* VM: resets by verb */
	COUNTER_MAX,
};

/* What the monitor gives its engine. Outlives the engine's self. */
struct engine_host {
	const struct machine_config *config;
	const char *name; /* the machine's name when it was started */
	uid_t uid;	  /* its owner */
	gid_t gid;
	struct event_base *loop; /* the monitor's libevent loop: device loop of a VM */
	struct console *console; /* where the machine prints: console_output(), any thread */
	int fd[ENGINE_FD_COUNT];
	_Atomic uint64_t *counters; /* COUNTER_MAX of them; relaxed adds, any thread */
	/* Tells that the machine has ended; any thread; once. */
	void (*ended)(struct engine_host *host, const struct ending *ending);
};

struct engine {
	const char *name; /* "vm", "container" */

	/*
	 * The monitor stays root when it is (mounts, cgroups, namespaces of other users); otherwise
	 * it becomes the machine's owner, without capabilities, before start().
	 */
	bool keeps_root;

	/*
	 * Builds the machine and lets it run. On return 0 its code runs (a container's init has
	 * been exec'd; vCPU threads are running). Refusals that are the configuration's fault are
	 * EINVAL, ENOENT, EACCES with the attribute's file name first in the sentence
	 * ("boot.kernel: not a bzImage or an ELF file").
	 */
	int (*start)(struct engine_host *host, void **ret_self, struct err *e);

	/* The pid that stands for the machine to the user: a container's init; 0 = the monitor's.
	 */
	pid_t (*pid)(void *self);

	/* Asks the machine to end by itself (power button, stop signal); returns at once. */
	int (*stop)(void *self, struct err *e);
	/* Ends it now; ended() follows with ENDING_SIGNALED 9. */
	int (*kill)(void *self, struct err *e);
	/* After pause() returns 0 no code of the machine runs, until resume(). */
	int (*pause)(void *self, struct err *e);
	int (*resume)(void *self, struct err *e);
	/*
	 * VM: back to the state after start(), memory cleared; a paused one stays paused. When the
	 * kernel cannot be loaded again, ended() follows with that sentence. NULL where it cannot
	 * be.
	 */
	int (*reset)(void *self, struct err *e);
	/* Container: sends a signal to init. NULL where it cannot be. */
	int (*signal)(void *self, int signo, struct err *e);
	/* Types on the console. Returns how many bytes were taken (the rest is dropped). */
	size_t (*input)(void *self, const void *data, size_t len);

	void (*free)(void *self);
};

extern const struct engine vm_engine;
extern const struct engine container_engine;

#endif
