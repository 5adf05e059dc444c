/*
 * struct growlog: what a program prints, kept on disk in bounded room.
 *
 * The last GROWLOG_MAX bytes at least are kept, in two files: when `log` reaches GROWLOG_MAX its
 * content replaces that of `old` and `log` is emptied, so the whole is `old` followed by `log`.
 * Both are open descriptors, so the writer needs no authority over their directory. Not
 * thread-safe.
 */
#ifndef BACKENDS_MONITOR_GROWLOG_H
#define BACKENDS_MONITOR_GROWLOG_H

#include <stddef.h>
#include <sys/types.h>

#include "backends/base/err.h"

#define GROWLOG_MAX (1u << 20)

struct growlog {
	int log, old; /* the caller's, until growlog_close() */
	off_t size;   /* of log */
};

/* Begins at the end of log. The descriptors stay the caller's on failure. */
int growlog_init(struct growlog *g, int log, int old, struct err *e);
/* What a full or lost disk does not take is lost; the machine goes on. */
void growlog_add(struct growlog *g, const char *data, size_t len);
/* Closes both, where they are not -1. */
void growlog_close(struct growlog *g);

#endif
