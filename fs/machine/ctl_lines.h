/*
 * A write to `ctl` as verbs, a line each: what is left of it waits in the request's `rest` while
 * the one before is under way.
 */
#ifndef FS_MACHINE_CTL_LINES_H
#define FS_MACHINE_CTL_LINES_H

#include "fs/node.h"

/* One line. Returns 0, -errno with a sentence, or NODE_PARKED: then ctl_lines_go_on() follows. */
typedef int ctl_line(struct object *o, struct request *r, const char *line, struct err *e);

/* Takes the write, and runs its lines until one is refused or parks the request. */
int ctl_lines_begin(struct handle *h, struct request *r, const char *data, size_t len,
		    ctl_line *run, struct err *e);
/* The parked line has come to rc, as e says: runs the others, or answers. */
void ctl_lines_go_on(struct request *r, int rc, const struct err *e, ctl_line *run);

#endif
