/*
 * spawn_process(): a program of one's own as a fresh process, quickly, and born into a control
 * group, which posix_spawn() of this libc cannot do.
 *
 * The child leads a session of its own, has /dev/null as descriptors 0 and 1, the caller's 2,
 * the descriptors that are handed to it, and all signals blocked: it unblocks them when it is
 * ready for them.
 */
#ifndef BACKENDS_HOST_SPAWN_H
#define BACKENDS_HOST_SPAWN_H

#include <stdbool.h>
#include <sys/types.h>

#include "backends/base/err.h"

struct spawn {
	const char *exe;
	int program; /* a descriptor of what is executed in place of exe; 0 or less: none */
	char **argv;
	char **env;
	int fd;	       /* handed over ... */
	int fd_as;     /* ... under this number, above 2 */
	int also;      /* another one, under the number behind it; 0: none */
	int cgroup;    /* directory of a v2 group, or -1 */
	bool own_pids; /* in a pid namespace of its own; as root */
};

/* Returns when the program runs, or with its sentence when it cannot be executed. */
int spawn_process(const struct spawn *s, pid_t *ret_pid, struct err *e);

/*
 * This program once more, as a helper, with one end of a message socket as its fd_as; *ret_fd is
 * the other end, the caller's. Both are untouched on failure. env NULL: an empty one; program: as
 * above.
 */
int spawn_self(char **argv, char **env, int program, int fd_as, pid_t *ret_pid, int *ret_fd,
	       struct err *e);

#endif
