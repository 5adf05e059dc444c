/*
 * Waiters: writes to `wait`, parked until an object is in a state; a machine, an image, whatever
 * has states. Its class says what they are: struct class.states.
 */
#ifndef FS_MACHINE_WAITER_H
#define FS_MACHINE_WAITER_H

#include <stdbool.h>

#include "backends/base/err.h"
#include "fs/node.h"

struct states {
	const char *noun; /* "machine": for sentences */
	const char *const *words;
	int count;
	int (*now)(const struct object *o);
	/* It has come to rest: another state is only somebody's new verb away. */
	bool (*rests)(const struct object *o);
	/* Bits of states that are ends: who waits for one of them learns of another at once. */
	unsigned ends;
};

/* The write function of `wait`: "STATE [SECONDS]". */
int wait_write(struct handle *h, struct request *r, const char *data, size_t len, struct err *e);
/* The state has changed: answers those that it concerns. */
void waiters_wake(struct object *o);
/* The object is being removed. */
void waiters_fail(struct object *o);

#endif
