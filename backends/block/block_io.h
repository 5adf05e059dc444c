/*
 * struct block_io: asynchronous system calls on one descriptor: by io_uring, or, where the host
 * does not allow that, by a few threads. For back ends; the same rules as in block.h.
 */
#ifndef BACKENDS_BLOCK_BLOCK_IO_H
#define BACKENDS_BLOCK_BLOCK_IO_H

#include "backends/block/block.h"

struct block_io;

enum block_call { BLOCK_CALL_READV, BLOCK_CALL_WRITEV, BLOCK_CALL_SYNC, BLOCK_CALL_FALLOCATE };

/* One call for a request; its iov, offset and so on are given apart. result as the call's, or
 * -errno */
struct block_io_call {
	enum block_call call;
	const struct iovec *iov;
	unsigned niov;
	uint64_t offset, len;
	int mode; /* of fallocate */
};

struct block_io_ops {
	const char *name;
	/* r->next is the implementation's meanwhile. */
	void (*start)(struct block_io *io, struct block_request *r, const struct block_io_call *c);
	void (*commit)(struct block_io *io);
	void (*wait)(struct block_io *io, int ms);
	void (*free)(struct block_io *io);
};

struct block_io {
	const struct block_io_ops *ops;
	/* A call has ended; may start another one for the same request. Loop thread. */
	void (*ended)(struct block_request *r, int64_t result);
	/* After each round of them. */
	void (*rounded)(void *arg);
	void *arg;
};

#define BLOCK_IO_DEPTH 256 /* calls that are started at once; the caller sees to it */

int block_uring_new(int fd, struct event_base *loop, struct block_io **ret, struct err *e);
int block_threads_new(int fd, struct event_base *loop, struct block_io **ret, struct err *e);

#endif
