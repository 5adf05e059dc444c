/* struct fd_list: descriptors on their way to a monitor, each with what it is for (wire.h). */
#ifndef FS_MACHINE_FD_LIST_H
#define FS_MACHINE_FD_LIST_H

#include "backends/base/err.h"
#include "backends/monitor/wire.h"
#include "fs/machine/machine.h"

struct fd_list {
	unsigned n;
	int fd[WIRE_FDS_MAX]; /* owned */
	struct wire_fd role[WIRE_FDS_MAX];
};

/* Takes fd over, also when it fails. */
int fd_list_add(struct fd_list *l, struct wire_fd role, int fd, struct err *e);
void fd_list_close(struct fd_list *l);

/*
 * Opens, as the owner, what the parts in c name: those that an engine is told of, by their places
 * among them. `old` (or NULL): only what is new or another there.
 */
int fd_list_add_parts(struct fd_list *l, const struct machine *m, const struct machine_config *c,
		      const struct machine_config *old, struct err *e);

#endif
