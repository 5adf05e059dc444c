/*
 * nic/NAME in the daemon: which switch it may join, and the descriptors by which an engine does.
 * See part_type.h for open(), engine.h for what the descriptors are.
 */
#ifndef FS_MACHINE_NIC_H
#define FS_MACHINE_NIC_H

#include "fs/attr/part_type.h"
#include "fs/machine/fd_list.h"

/*
 * A VM's: a tap that is a port of the switch, a descriptor for each pair of queues, and where
 * vhost says so as many of /dev/vhost-net. A container's: a memory file with the index of the
 * switch's bridge. ENOENT, EACCES when its owner may not join.
 */
int nic_open(struct fd_list *l, const struct machine *m, struct wire_fd role,
	     const struct part *part, struct err *e);

/* Of the machine's `stat`: see part_type.h. */
void nic_count(const struct machine *m, uint64_t total[]);

/* `host` and `stat`. */
extern const struct part_file nic_files[];

#endif
