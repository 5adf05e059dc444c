/* struct pty: a terminal of the host's devpts that passes bytes as they are. */
#ifndef BACKENDS_MONITOR_PTY_H
#define BACKENDS_MONITOR_PTY_H

#include <sys/types.h>

struct pty {
	int master;    /* does not block; -1: there could be none */
	int slave;     /* kept open: without it the master reads EIO when nobody has it open */
	char name[64]; /* "/dev/pts/N", or "" */
};

#define PTY_NONE ((struct pty){ .master = -1, .slave = -1 })

/* PTY_NONE where none can be had. */
void pty_open(struct pty *ret);
/* Makes it uid's; closes it where that cannot be. */
void pty_give(struct pty *p, uid_t uid);
void pty_close(struct pty *p);

#endif
