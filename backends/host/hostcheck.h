/*
 * What this host can do: the files host/check, host/cpu and host/memory.
 *
 * Everything is read from /proc, /sys and /dev at the time of the call; nothing is kept, nothing
 * blocks, no process is started, and nothing on the host is changed (opening a device's node may
 * make the kernel load its module). Any thread.
 */
#ifndef BACKENDS_HOST_HOSTCHECK_H
#define BACKENDS_HOST_HOSTCHECK_H

#include "backends/base/err.h"
#include "backends/base/text.h"

/*
 * Appends one line a requirement, always the same ones in the same order:
 * "PASS|WARN|FAIL NAME: what it means and what to do". FAIL is for what machines need, WARN for
 * what only some features need. A host that lacks everything is no error: this fails only
 * without memory.
 */
int hostcheck_print(struct text *out, struct err *e);

/* Append flat keyed facts, "KEY NUMBER" a line; memory in bytes. A fact not to be had is left
 * out. */
int hostfacts_cpu(struct text *out, struct err *e);
int hostfacts_memory(struct text *out, struct err *e);

#endif
