/*
 * A session's start on the wire: struct exec_spec to the free bytes of EXEC_START and back.
 *
 * They are texts, each with its NUL: argv, cwd, then name and value of each variable.
 */
#ifndef BACKENDS_MONITOR_WIRE_EXEC_H
#define BACKENDS_MONITOR_WIRE_EXEC_H

#include "backends/base/text.h"
#include "backends/monitor/wire.h"

#define WIRE_ENV_MAX 1024

/* Fills in body and texts. EINVAL when that is more than one message may be. */
int wire_exec_pack(const struct exec_spec *s, struct wire_exec *body, struct text *texts,
		   struct err *e);

/*
 * The spec that an EXEC_START holds: its strings are the message's, its descriptors taken from it;
 * the array of its variables is freed by wire_exec_free(). EINVAL for what does not add up.
 */
int wire_exec_unpack(struct wire_message *m, struct exec_spec *ret, struct err *e);
/* Also closes the descriptors that nobody took. */
void wire_exec_free(struct exec_spec *s);

#endif
