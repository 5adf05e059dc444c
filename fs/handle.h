/*
 * struct handle: an open file of an object's, and struct request: an operation that is to be
 * answered, at once or later. On the daemon's one thread.
 */
#ifndef FS_HANDLE_H
#define FS_HANDLE_H

#include "fs/object.h"

struct node;

#define NODE_PARKED    1 /* a write that will be answered later, by request_finish() */
#define NODE_WRITE_MAX (1 << 20)

struct handle {
	struct object *object;
	const struct file *file;
	LIST_ENTRY(handle) link;
	int flags; /* of open(2) */
	struct caller who;
	uid_t owner; /* the file's when it was opened; when that changes, it is of no use */
	bool rendered;
	struct text text;  /* what reads see */
	char *refusal;	   /* the last one of this handle; read back by who may read and write */
	struct text draft; /* collected writes, for files that commit later */
	bool draft_bad;	   /* a part of it was refused: nothing is taken until the last close */
	bool orphan;	   /* handle_orphan() */
	bool restated;	   /* read in other words than it was written: closing moves times */
	uint32_t seen;	   /* version at the last read from the beginning */
	off_t read_end;	   /* of a log: up to where it was read */
	void *poll;	   /* front's */
};

/*
 * An operation of a client's. The front allocates it and gets it back through answer(), once:
 * at once, or, when the operation was parked, later. While it is parked, `cancel` is how the
 * front takes it back (the client has gone).
 */
struct request {
	struct handle *handle;
	struct caller who;
	size_t len;    /* bytes written: the result of a write that succeeds */
	int64_t since; /* when it came, CLOCK_MONOTONIC, microseconds */
	void (*answer)(struct request *r, int result);
	void (*cancel)(struct request *r);
	void *parked; /* of who parked it */
	bool again;   /* set by him: another daemon may be asked the same */
	bool brief;   /* likewise: the answer is a matter of moments, so not any signal ends it */
	bool noted;   /* the refusal stands in `error` already, in more words */
	char *rest;   /* lines of a ctl write that are still to be run; owned */
	TAILQ_ENTRY(request) link;
};

int node_open(struct node n, int flags, struct caller who, struct handle **ret);
void handle_close(struct handle *h);
/* It was opened with a daemon that was killed: what was collected there is lost. */
void handle_orphan(struct handle *h);
ssize_t handle_read(struct handle *h, size_t size, off_t at, const char **ret_data);
/*
 * The result is given to r->answer(); NODE_PARKED: later, and until then r->cancel() takes the
 * request back. Otherwise r is gone when this returns.
 */
int handle_write(struct handle *h, struct request *r, const char *data, size_t len, off_t at);
int handle_flush(struct handle *h, struct request *r);
/* Returns poll(2) events; keeps poll (the front's) to be woken, and frees the one before. */
unsigned handle_poll(struct handle *h, void *poll);

/* Answers a parked request; on failure notes the refusal. */
void request_finish(struct request *r, int rc, const struct err *e);

#endif
