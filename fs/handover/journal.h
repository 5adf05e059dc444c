/*
 * struct journal: what a daemon that is killed leaves to the one that takes its mount over.
 *
 * A memory file, kept open by whoever keeps the mount (fs/handover/keeper.h, systemd), and mapped
 * by the daemon, which notes in it: the FUSE connection's first message, which request it is at,
 * which requests are parked, and who polls. Nothing of it is needed while the daemon lives, and
 * what must survive the host is in the state directory; so noting costs a few stores, no system
 * call. One that dies in the middle of a note leaves it out: a record counts once its `used` is
 * set.
 *
 * The file is its owner's own; a successor that finds another layout refuses it.
 */
#ifndef FS_HANDOVER_JOURNAL_H
#define FS_HANDOVER_JOURNAL_H

#include <stdint.h>
#include <stddef.h>

#include "backends/base/err.h"

#define JOURNAL_LAYOUT	    1 /* moves with every change of the structs below */
#define JOURNAL_CALLS	    8192
#define JOURNAL_POLLS	    4096
#define JOURNAL_MESSAGE_MAX 232

/* A request that is parked. */
struct journal_call {
	uint32_t used;
	uint32_t len;	 /* of message; 0: it cannot be asked again */
	uint64_t unique; /* the kernel's number of it */
	int64_t since;	 /* when it came, CLOCK_MONOTONIC, microseconds */
	int32_t answer;	 /* where len is 0: bytes written, or -errno, for the successor to say */
	char message[JOURNAL_MESSAGE_MAX]; /* as the kernel sent it */
};

struct journal_page {
	uint32_t layout;
	uint32_t opening_len;	       /* 0: the kernel has not been answered yet */
	char opening[256];	       /* the connection's first message, FUSE_INIT */
	uint64_t current;	       /* the unique of the request that is being served, or 0 */
	uint64_t polls[JOURNAL_POLLS]; /* the kernel's numbers of polled files; 0: free */
	struct journal_call calls[JOURNAL_CALLS];
};

struct journal {
	int fd;
	struct journal_page *page;
	uint16_t free[JOURNAL_CALLS]; /* a stack of free calls */
	unsigned nfree;
	unsigned poll_next; /* where a free poll is looked for first */
};

/* The file of a new one. */
int journal_new(int *ret_fd, struct err *e);
/* Takes over fd. ENXIO: it is of another layout. */
int journal_open(int fd, struct journal **ret, struct err *e);
/* Closes its descriptor; whoever keeps another keeps the file. */
void journal_free(struct journal *j);

/* Notes a call; what is longer than JOURNAL_MESSAGE_MAX cannot be asked again. -1: no room. */
int journal_park(struct journal *j, uint64_t unique, const void *message, size_t len,
		 int64_t since);
void journal_unpark(struct journal *j, int call);
/* -1: no room. */
int journal_poll(struct journal *j, uint64_t number);
void journal_unpoll(struct journal *j, int poll);

/* Calls and polls of the daemon before are taken out; *ret_calls is the caller's to free. */
int journal_take(struct journal *j, struct journal_call **ret_calls, size_t *ret_n, struct err *e);

#endif
