/*
 * A process of the container between clone3 and execve: its first one (child.c), or one of a
 * session's (enter.c), and what they share.
 *
 * Nothing here allocates, locks or uses stdio: see plan.h. What is told to the monitor stands in
 * report.h: from init come the console's master and slave, from a session the monitor's ends of
 * what it reads and writes. The other way goes one byte, to init, when the maps of its user
 * namespace are written.
 */
#ifndef BACKENDS_CONTAINER_CHILD_H
#define BACKENDS_CONTAINER_CHILD_H

#include <stdbool.h>
#include <stdint.h>

#include "backends/container/plan.h"
#include "backends/container/report.h"

/* On the child's stack. */
struct child {
	const struct plan *plan;
	int socket; /* at least 3 */
	int tree;   /* the root directory, as a mount of its own */
	int dev;    /* root of the mount on /dev, or -1 */
	int master; /* the console */
	int slave;
	int ruleset;  /* landlock.h, or -1 */
	int listener; /* of its calls of quotactl(2), or -1 */
	int quota;    /* with quota.delegate the layer's file system, and its device */
	char quota_device[32];
	enum engine_hold hold; /* where it is still to wait */
};

#define CHILD_NEW(plan_, socket_, ruleset_, hold_)                                               \
	{                                                                                        \
		.plan = (plan_), .socket = (socket_), .tree = -1, .dev = -1, .master = -1,       \
		.slave = -1, .ruleset = (ruleset_), .listener = -1, .quota = -1, .hold = (hold_) \
	}

/* Runs in the child; does not return. */
_Noreturn void child_main(const struct plan *plan, int socket);

/* Reports the failure and ends the process. detail may be NULL, else it follows. */
_Noreturn void child_fail(struct child *c, int errnum, const char *what, const char *detail);
/* The same with a sentence that needs no strerror. */
_Noreturn void child_refuse(struct child *c, int errnum, const char *what, const char *detail);
/* Appends to a string of at most size - 1 bytes; what does not fit is cut. */
void child_append(char *out, size_t size, const char *s);

/*
 * oom.score, of the calling process and of those that it has afterwards: while /proc is the host's,
 * and as long as its user may trace it, whose the file is then. 0 or -errno.
 */
int oom_score_set(const struct plan *p);

/* ---- steps; each ends the process when it fails ---- */

void child_write(struct child *c, int fd, const char *text, const char *what);
void child_join_cgroups(struct child *c);
void child_become(struct child *c, const struct init_user *user);
/* Scheduler, nice value, priority at disks, labels: while /proc is the host's. */
void child_set_priorities(struct child *c);
void child_set_rlimits(struct child *c);
/*
 * Nothing of the monitor's is left but the socket and, until the console is there, 0 to 2. This
 * comes early so that the child holds no other container's start open.
 */
void child_close_descriptors(struct child *c);
/*
 * Opens a pty by the multiplexer at dir/ptmx. The slave is an ordinary terminal but for ONLCR: what
 * is printed goes to a log that people read with cat and grep, and every line would end in \r\n.
 */
void child_open_console(struct child *c, int dir, const char *ptmx);
/* The slave belongs to whom the process will be. */
void child_own_console(struct child *c);
/* What is to be 0, 1, 2 and not the console's is that from here on. */
void child_take_streams(struct child *c);
/*
 * The console becomes those of 0, 1, 2 that are nothing else, and the controlling terminal if there
 * are any. Also without a console (slave -1): then what is 0 does, if it is a terminal.
 */
void child_take_console(struct child *c);
/* What execve would hand on: ignored signals, the mask, the umask, the session's keyring. */
void child_forget_monitor(struct child *c);
/*
 * The bounding, permitted and effective sets are what is configured; the inheritable and ambient
 * sets are capabilities.ambient, empty by default as with the common runtimes: so who is not root
 * has no capabilities until he executes a file that grants some. Without no_new_privs the rules of
 * landlock and a filter take CAP_SYS_ADMIN, so then they come before the last of them goes; with it
 * child_execute() installs the filter.
 */
void child_drop_privileges(struct child *c);
void child_install_filter(struct child *c);
/* With quota.delegate: c->listener. Under the same conditions. */
void child_install_listener(struct child *c);
void child_enter_cwd(struct child *c);
/*
 * The process is to die with its monitor: said after the last change of credentials, which would
 * clear it. A monitor that died before that is noticed by the socket.
 */
void child_tell_ready(struct child *c, const int *fds, int count);
_Noreturn void child_execute(struct child *c);

#endif
