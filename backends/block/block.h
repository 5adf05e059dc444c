/*
 * struct block: where a disk's bytes are: an image that is read and written asynchronously.
 *
 * A back end is one struct block_ops. All calls and all done() callbacks are on the thread of the
 * event loop that it was made with. Requests may end in any order; a flush covers what has ended
 * before it was submitted. Memory of a request is the caller's until done().
 *
 * No image is ever mapped: a file that shrinks or a device that fails is an error of the requests
 * concerned, never a signal.
 */
#ifndef BACKENDS_BLOCK_BLOCK_H
#define BACKENDS_BLOCK_BLOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "backends/base/err.h"
#include "backends/config.h"

struct event_base;
struct block;

enum block_op { BLOCK_READ, BLOCK_WRITE, BLOCK_FLUSH, BLOCK_DISCARD, BLOCK_ZERO };

#define BLOCK_IOV_MAX 1024

struct block_request {
	/* The caller's, before submit. */
	enum block_op op;
	uint64_t offset;
	uint64_t len;	   /* bytes; for reads and writes what iov has */
	bool unmap;	   /* BLOCK_ZERO: what is zero may be a hole */
	struct iovec *iov; /* reads and writes; the back end may change it */
	unsigned niov;
	/* 0, or -errno: EIO also where the image ends before the request does. */
	void (*done)(struct block_request *r, int result);
	/* The back end's. */
	uint64_t moved;
	bool by_writing; /* zeroes are written */
	void *bounce;
	struct iovec bounce_iov;
	struct block_request *next;
	struct block *block;
	int result;
};

struct block_ops {
	const char *name;
	/* Begins it; done() may be called from within. */
	void (*submit)(struct block *b, struct block_request *r);
	/* What was submitted may go to the host now: callers that submit several end with this. */
	void (*commit)(struct block *b);
	/* Waits until something has ended, at most ms, and calls the done() of all that has. */
	void (*wait)(struct block *b, int ms);
	/* Makes the image at least as long as size, looks how long it is, and sets b->size. */
	int (*resize)(struct block *b, uint64_t size, struct err *e);
	/* Nothing is in flight. */
	void (*free)(struct block *b);
};

struct block {
	const struct block_ops *ops;
	uint64_t size;	/* bytes */
	unsigned align; /* of offsets and lengths that are quickest: 512, 4096 */
	bool readonly;
	bool discard; /* it can, and should */
	/* Called after each round of done(); set by who uses it. */
	void (*rounded)(void *arg);
	/* Whether a request's memory is still there, which the back end may fill itself; or NULL.
	 */
	bool (*has)(void *arg, const void *p, size_t len);
	void *arg;
};

struct block_options {
	enum disk_cache cache;
	bool readonly;
	bool discard;
};

/*
 * A regular file or a block device as it is. Takes fd, also when it fails. Sentences speak of "the
 * image"; callers put the disk's name in front.
 */
int block_raw_new(int fd, const struct block_options *options, struct event_base *loop,
		  struct block **ret, struct err *e);

static inline void block_free(struct block *b)
{
	if (b)
		b->ops->free(b);
}

#endif
