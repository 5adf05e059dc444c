/*
 * Verbs: what can be written to a machine's `ctl`. A table row each: the word, in which states
 * it is valid, and the function. Several lines are run in order; the first that is refused
 * ends the write.
 */
#ifndef FS_MACHINE_VERB_H
#define FS_MACHINE_VERB_H

#include "fs/machine/machine.h"

/* The write and show functions of `ctl`. */
int ctl_write(struct handle *h, struct request *r, const char *data, size_t len, struct err *e);
void ctl_show(struct object *o, const struct file *f, struct text *out);
/* A verb's answer has come: goes on with the lines behind it, or finishes the request. */
void ctl_continue(struct request *r, int rc, const struct err *e);

#endif
