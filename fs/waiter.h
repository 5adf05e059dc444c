/* Waiters: writes to `wait`, parked until the machine is in a state. */
#ifndef FS_WAITER_H
#define FS_WAITER_H

#include "backends/err.h"
#include "fs/machine.h"

/* The write function of `wait`: "STATE [SECONDS]". */
int wait_write(struct handle *h, struct request *r, const char *data, size_t len, struct err *e);
/* The state has changed: answers those that it concerns. */
void waiters_wake(struct machine *m);
/* The machine is being removed. */
void waiters_fail(struct machine *m);

#endif
