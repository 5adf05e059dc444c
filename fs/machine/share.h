/* share/NAME in the daemon: a process that serves its directory. See part_type.h for open(). */
#ifndef FS_MACHINE_SHARE_H
#define FS_MACHINE_SHARE_H

#include "fs/machine/fd_list.h"

/*
 * Starts its virtiofsd (backends/vhost/virtiofsd.h) on the directory that was just opened, the last
 * in the list; what the engine gets instead is the connection to it.
 */
int share_open(struct fd_list *l, const struct machine *m, struct wire_fd role,
	       const struct part *part, struct err *e);

#endif
