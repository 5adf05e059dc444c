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

#include "backends/base/err.h"
#include "backends/config.h"

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
	ENGINE_FD_KVM,	  /* /dev/kvm */
	ENGINE_FD_KERNEL, /* boot.kernel, a regular file, read only */
	ENGINE_FD_INITRD, /* boot.initrd, likewise */
	ENGINE_FD_VSOCK,  /* the directory of its vsock sockets: see fs/machine/vsock_dir.h; with
			     vsock.vhost /dev/vhost-vsock; or -1 */
	ENGINE_FD_ROOT,	 /* container: root, O_PATH directory, or a file system's file to be read */
	ENGINE_FD_LAYER, /* container: the directory for what it writes, if that is not the root */
	ENGINE_FD_SECCOMP, /* container: memfd with a struct sock_filter array (default profile) */
	ENGINE_FD_SECCOMP_FILE, /* container: another profile, beside it or in its place, to be read
				 */
	ENGINE_FD_FREEZER,	/* the machine's cgroup: see cgroup_open_freezer() */
	ENGINE_FD_FROZEN,	/* likewise: where completion is read (v2), or -1 */
	ENGINE_FD_DEVICES, /* container: its cgroup's directory for cgroup_allow_devices(), or -1 */
	ENGINE_FD_STDIN,   /* container: init.stdin, O_PATH, as are: */
	ENGINE_FD_STDOUT,
	ENGINE_FD_STDERR,
	ENGINE_FD_NET_NS, /* container: namespaces.join: the namespace to join, or -1, as are */
	ENGINE_FD_IPC_NS,
	ENGINE_FD_UTS_NS,
	ENGINE_FD_CGROUP_NS,
	ENGINE_FD_TIME_NS,
	ENGINE_FD_PID_NS,
	ENGINE_FD_USER_NS,
	ENGINE_FD_LANDLOCK,  /* container: its rules, which init makes: not the daemon's to send */
	ENGINE_FD_CGROUP_V2, /* the group's directory on v2, to be cloned into, or -1 */
	ENGINE_FD_CGROUP,    /* the first of ENGINE_CGROUP_MAX cgroup.procs files, write only */
};
#define ENGINE_CGROUP_MAX 12
#define ENGINE_VCPUS_MAX  1024
#define ENGINE_REGISTERS  27 /* in the order of show_registers() in fs/machine/machine_files.c */
#define ENGINE_FD_COUNT	  (ENGINE_FD_CGROUP + ENGINE_CGROUP_MAX)

/* What an engine says of each vCPU. */
enum vcpu_figure {
	VCPU_THREAD, /* its thread's id, as the thread knows it; 0: it has none */
	VCPU_EXITS,  /* returns from KVM_RUN that user space handled */
	VCPU_EXITS_IO,
	VCPU_EXITS_MMIO,
	VCPU_EXITS_MSR,
	VCPU_EXITS_SIGNAL, /* taken out of KVM_RUN, to pause for one */
	VCPU_FIGURES = 8,
};

/* Counters that an engine keeps; readers in other processes see them without a call. */
enum engine_counter {
	COUNTER_CONSOLE_BYTES,	/* printed by the machine since start */
	COUNTER_RESETS,		/* VM: resets by verb */
	COUNTER_MEMORY_PLUGGED, /* VM: bytes that came while it ran */
	COUNTER_BALLOON, /* VM: the first of enum balloon_figure (vmm/virtio/virtio_balloon.h) */
	COUNTER_BALLOON_END = COUNTER_BALLOON + 12,
	COUNTER_CPUS_ONLINE =
		COUNTER_BALLOON_END, /* VM: the first of words with a bit for each vCPU that runs */
	COUNTER_CPUS_ONLINE_END = COUNTER_CPUS_ONLINE + ENGINE_VCPUS_MAX / 64,
	COUNTER_REGISTERS = COUNTER_CPUS_ONLINE_END, /* VM: of each vCPU, when it was paused last */
	COUNTER_VCPUS = /* VM: of each vCPU, VCPU_FIGURES of enum vcpu_figure; cache lines apart */
	(COUNTER_REGISTERS + ENGINE_VCPUS_MAX * ENGINE_REGISTERS + VCPU_FIGURES - 1) /
	VCPU_FIGURES * VCPU_FIGURES,
	COUNTER_MAX = COUNTER_VCPUS + ENGINE_VCPUS_MAX * VCPU_FIGURES,
};

/* What an engine tells of beside the end. */
enum engine_notice {
	NOTICE_CPUS = 1, /* cpu.online is another */
	NOTICE_PANIC,	 /* the guest's kernel has crashed; what became of the machine */
	NOTICE_WATCHDOG, /* the guest's watchdog has come to 0; likewise */
	NOTICE_DEVICE,	 /* a device stopped working; the sentence */
	NOTICE_PAUSED,	 /* the machine stands still as after pause(), by itself */
	NOTICE_END,
};

/*
 * A session: a further process in a running container (exec/NAME). It is known by the id that the
 * daemon gave it. What it prints goes to two growing logs, or with a tty to the first of them; its
 * ending also to a file, as the machine's does.
 */
enum exec_fd {
	EXEC_FD_STDOUT, /* logs, see growlog.h */
	EXEC_FD_STDOUT_OLD,
	EXEC_FD_STDERR,
	EXEC_FD_STDERR_OLD,
	EXEC_FD_EXIT, /* gets the ending's text */
	EXEC_FD_COUNT,
};

#define EXEC_GROUPS_MAX 4

struct exec_spec {
	uint64_t id;
	const char *argv; /* one shell-quoted line */
	const char *cwd;
	struct keyed env; /* beside init.env */
	struct init_user user;
	bool tty;
	int fd[EXEC_FD_COUNT]; /* the engine's, which sets those that it takes to -1 */
	int stdio[3];	       /* O_PATH, what is its 0, 1, 2 instead of pipes; or -1 */
	/* Control groups that the machine came to have since its start: see cgroup_open_late(). */
	int groups[EXEC_GROUPS_MAX];
	unsigned ngroups;
};

struct exec_state {
	uint64_t id;
	uint64_t token; /* of the start() that this answers; 0: unasked */
	bool running;	/* else it has ended, as ending says */
	pid_t pid;
	struct ending ending;
};

struct engine_host;

/* What an engine tells of its sessions; loop thread. */
struct exec_listener {
	/* It runs now, or has ended. */
	void (*state)(struct engine_host *host, const struct exec_state *s);
	/* It has printed; coalesced. Bit 0: stdout, bit 1: stderr. */
	void (*grew)(struct engine_host *host, uint64_t id, unsigned streams);
	/*
	 * Answers input(), or a start() of which nothing came; either gave the token, once. code 0,
	 * or as e says.
	 */
	void (*answer)(struct engine_host *host, uint64_t token, int code, const struct err *e);
};

struct exec_ops {
	/*
	 * Returns 0 when it is under way: state() tells when its program runs, answer() why not.
	 * The spec's strings are the caller's and used before this returns.
	 */
	int (*start)(void *self, struct exec_spec *s, uint64_t token, struct err *e);
	/*
	 * Gives it to read; len 0: there is no more. Returns 0 when answer() will tell that it was
	 * taken: so a writer is as slow as the reader.
	 */
	int (*input)(void *self, uint64_t id, const void *data, size_t len, uint64_t token,
		     struct err *e);
	int (*signal)(void *self, uint64_t id, int signo, struct err *e);
	/* Tells the state of all that run, to a daemon that is new. */
	void (*list)(void *self);
};

/* Where a machine is held on its way into its program; until release() lets it go on. */
enum engine_hold {
	HOLD_NONE,    /* nowhere: the program runs */
	HOLD_OUTSIDE, /* all is made, but it has not entered its root: it sees the host's files */
	HOLD_INSIDE,  /* all but the program */
	HOLD_END,
};

/* What an engine counts of one part; what each is, fs/tables/part_types.c says by kinds. */
#define ENGINE_PART_COUNTERS 16
struct engine_part_stat {
	_Atomic uint32_t used; /* 1: kind and part are there; they do not change again */
	uint32_t kind;	       /* enum part_kind */
	char part[64];
	_Atomic uint64_t counters[ENGINE_PART_COUNTERS];
};

/*
 * The memory that an engine counts in and the daemon reads, without a word between them. What is
 * not used of it costs nothing. The daemon makes and seals it.
 */
#define ENGINE_PARTS_MAX 128
struct engine_page {
	_Atomic uint64_t counters[COUNTER_MAX];
	struct engine_part_stat parts[ENGINE_PARTS_MAX];
};

/* A descriptor for a part of the machine, until the engine takes it. */
struct engine_part_fd {
	int fd; /* -1: taken */
	enum part_kind kind;
	unsigned which;
	char part[64];
};

/* What the monitor gives its engine. Outlives the engine's self. */
struct engine_host {
	/*
	 * What the machine is now. A part that is not yet all there, a disk without a path, is not
	 * in it. It changes in place when configure() has returned 0: pointers into its lists and
	 * strings are no longer good then, the pointer to it is.
	 */
	const struct machine_config *config;
	const char *name;      /* the machine's name when it was started */
	const char *uuid;      /* and for ever */
	bool own_process;      /* nothing else runs in this one, which ignores but SIGPIPE */
	bool confined;	       /* its threads narrow themselves: monitor_filter_install() */
	enum engine_hold hold; /* how far start() goes */
	uid_t uid;	       /* its owner */
	gid_t gid;
	struct event_base *loop; /* the monitor's libevent loop: device loop of a VM */
	struct console *console; /* where the machine prints: console_output(), any thread */
	int fd[ENGINE_FD_COUNT];
	struct engine_part_fd *part_fds; /* see engine_take_fd() */
	unsigned npart_fds;
	void *prepared; /* what engine.prepare() has returned in this process, or NULL */
	_Atomic uint64_t *counters;	     /* COUNTER_MAX of them; relaxed adds, any thread */
	struct engine_part_stat *part_stats; /* see engine_part_counters(); NULL: none */
	const struct exec_listener *exec;
	/* Tells that the machine has ended; any thread; once. */
	void (*ended)(struct engine_host *host, const struct ending *ending);
	/* Tells of something; the text is one line, for `events`. Loop thread, not in start(). */
	void (*notice)(struct engine_host *host, enum engine_notice notice, const char *text);
};

struct engine {
	const char *name; /* "vm", "container" */

	/*
	 * The monitor stays root when it is (mounts, cgroups, namespaces of other users); otherwise
	 * it becomes the machine's owner, without capabilities, before start().
	 */
	bool keeps_root;

	/*
	 * What can be learnt of the host before there is a machine and would take time of its
	 * start, or made for it. For a monitor in waiting (spare_wait.h), which then has the
	 * daemon's authority. *ret_prepared is host->prepared, until the monitor gives it to
	 * forget(); NULL: start() sees to it itself. -errno: this process is of no use any more.
	 * NULL where there is nothing to prepare.
	 */
	int (*prepare)(void **ret_prepared);
	void (*forget)(void *prepared);

	/*
	 * Builds the machine and lets it run. On return 0 its code runs (a container's init has
	 * been exec'd; vCPU threads are running), or it waits at host->hold. Refusals that are the
	 * configuration's fault are EINVAL, ENOENT, EACCES with the attribute's file name first in
	 * the sentence ("boot.kernel: not a bzImage or an ELF file").
	 */
	int (*start)(struct engine_host *host, void **ret_self, struct err *e);
	/*
	 * Lets one that is held go on, to a later hold or for good; on return 0 it is there. When
	 * it cannot, ended() follows with that sentence. Meanwhile there are kill(), and with
	 * HOLD_INSIDE sessions and configure(), but no stop(), pause() or signal(). NULL where
	 * nothing is ever held.
	 */
	int (*release)(void *self, enum engine_hold hold, struct err *e);

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
	 * Makes the running machine what `next` says, all or nothing; host->config is what it is
	 * now. Parts are the same by their names; one that is missing in next is to be unplugged,
	 * one that is new to be plugged in. What needs the guest's cooperation is under way on
	 * return. What cannot change is refused with ENXIO, what is in use with EBUSY, and a
	 * sentence that begins with the file's name: "disk/root/readonly: ...". Descriptors of
	 * parts that are new or name another path: engine_take_fd(). It is also called with what
	 * is so already, by a daemon that does not know whether the one before it has asked, and
	 * then with descriptors of all. NULL: nothing can change.
	 */
	int (*configure)(void *self, const struct machine_config *next, struct err *e);
	/*
	 * VM: back to the state after start(), memory cleared; a paused one stays paused. When the
	 * kernel cannot be loaded again, ended() follows with that sentence. NULL where it cannot
	 * be.
	 */
	int (*reset)(void *self, struct err *e);
	/*
	 * Writes a core file into fd, an empty file, which stays the caller's. The machine stands
	 * still meanwhile. NULL where it cannot be.
	 */
	int (*dump)(void *self, int fd, struct err *e);
	/* Container: sends a signal to init. NULL where it cannot be. */
	int (*signal)(void *self, int signo, struct err *e);
	/* Types on the console. Returns how many bytes were taken (the rest is dropped). */
	size_t (*input)(void *self, const void *data, size_t len);

	/*
	 * A directory on the file system that the machine has for its writes alone, of which can be
	 * asked how much is used (container/userquota.h); stays the engine's. -1: it has none; NULL
	 * where none ever has.
	 */
	int (*layer)(void *self);

	/* Container: sessions. NULL where there can be none. */
	const struct exec_ops *exec;

	void (*free)(void *self);
};

/*
 * A descriptor that the daemon has opened for a part, with the owner's rights: the caller's from
 * now on; or -1. For start() and configure(); what they have not taken is closed when they return.
 * which: 0 for the part's only path (disk/NAME/path, opened for writing too unless readonly;
 * share/NAME/path and mount/NAME/source, O_PATH; device/NAME/path, O_PATH). nic/NAME of a VM: the
 * tap, one for each pair of queues, and behind these as many of /dev/vhost-net, or none; of a
 * container: a file with the index of the switch's bridge.
 */
int engine_take_fd(struct engine_host *host, enum part_kind kind, const char *part, unsigned which);

/*
 * The counters of a part, ENGINE_PART_COUNTERS of them, good as long as the host; relaxed adds, any
 * thread. A part that comes again goes on with what it had. NULL where there is no room: then they
 * are not counted. Loop thread.
 */
_Atomic uint64_t *engine_part_counters(struct engine_host *host, enum part_kind kind,
				       const char *part);

extern const struct engine vm_engine;
extern const struct engine container_engine;

#endif
