/*
 * Files that objects of several classes have: a row is one of these and, mostly, a `.doc`. They
 * show what the object itself has (its refusal, events, identity) and its class's states, so a new
 * kind of object has them by their rows alone.
 */
#ifndef FS_COMMON_FILES_H
#define FS_COMMON_FILES_H

#include "fs/machine/waiter.h"
#include "fs/node.h"

#define COMMON_STATE \
	.name = "state", .mode = 0444, .changes = CHANGE_STATE, .event = true, .show = state_show
#define COMMON_WAIT \
	.name = "wait", .mode = 0644, .parks = true, .show = state_show, .write = wait_write
#define COMMON_ERROR \
	.name = "error", .mode = 0444, .changes = CHANGE_REFUSAL, .show = object_show_refusal
#define COMMON_EVENTS                                                                             \
	.name = "events", .mode = 0444, .kind = FILE_LOG, .event = true, .log_size = events_size, \
	.log_read = events_read
#define COMMON_UUID                                                               \
	.name = "uuid", .mode = 0444, .changes = CHANGE_NEVER, .show = uuid_show, \
	.doc = "Its name for ever."
#define COMMON_CREATED                                                                  \
	.name = "created", .mode = 0444, .changes = CHANGE_NEVER, .show = created_show, \
	.doc = "When it was made, in seconds of the epoch."

void state_show(struct object *o, const struct file *f, struct text *out);
void uuid_show(struct object *o, const struct file *f, struct text *out);
void created_show(struct object *o, const struct file *f, struct text *out);
off_t events_size(struct object *o, const struct file *f);
ssize_t events_read(struct object *o, const struct file *f, char *buf, size_t size, off_t at);

/* The class gets a copy of these n rows, and room for so many more behind them. */
int files_init(struct class *ret, const struct file *rows, size_t n, size_t more, struct err *e);

#endif
