/*
 * A log that a monitor writes (backends/monitor/growlog.h), as readers see it: NAME.old followed by
 * NAME, as one file.
 */
#ifndef FS_STORE_KEPTLOG_H
#define FS_STORE_KEPTLOG_H

#include <sys/types.h>

/* Of a file that is not there: 0. */
off_t keptlog_size(int dirfd, const char *name);
/* How many bytes there were from `at` on, or a negative errno of machinefs(5). */
ssize_t keptlog_read(int dirfd, const char *name, char *buf, size_t size, off_t at);

#endif
