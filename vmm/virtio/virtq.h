/*
 * struct virtq: one split virtqueue (Virtio 1.2, 2.7) as the device sees it, with indirect
 * descriptors and event indexes.
 *
 * The loop thread owns a queue from virtq_start() to virtq_stop(); nobody locks. Everything in
 * the rings is written by the guest at any time and hostile: each field is copied once, checked,
 * then used. A queue that is driven wrongly is broken: `broken` says how, nothing more is taken
 * from it or put into it, until it is started anew. The owner tells the transport with
 *virtio_fail().
 *
 * The usual way through a queue, in a kick():
 *
 *	do {
 *		virtq_disarm(q);
 *		while ((r = virtq_pop(q, iov, N, &chain)) > 0)
 *			virtq_push(q, chain.head, work(&chain));
 *	} while (r == 0 && virtq_arm(q));
 *	virtio_notify(d, index);
 */
#ifndef VMM_VIRTIO_VIRTQ_H
#define VMM_VIRTIO_VIRTQ_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "backends/base/err.h"
#include "vmm/guestmem.h"
#include "vmm/record.h"

#define VIRTQ_SIZE_MAX	1024
#define VIRTQ_CHAIN_MAX 1024 /* descriptors in one chain; as many as one readv() takes */

/* What a driver has said of a queue: the transport's registers. */
struct virtq_setup {
	uint16_t size; /* a power of two, at most VIRTQ_SIZE_MAX */
	bool enabled;
	uint64_t desc, avail, used; /* guest-physical; "driver" and "device" areas in Virtio 1.2 */
};

struct virtq {
	struct virtq_setup setup;
	const struct guestmem *mem;
	bool event_idx;
	bool running;	  /* between start and stop */
	unsigned unplugs; /* the memory's, when the pointers were right */
	const void *desc;
	const void *avail;
	void *used;
	uint16_t next_avail; /* how many were popped; both count on and wrap */
	uint16_t next_used;  /* how many were pushed */
	uint16_t signalled;  /* next_used when that was last thought of */
	const char *broken;  /* or NULL; a sentence without a subject: "descriptors form a loop" */
};

/*
 * One request: what the driver wrote, for the device to read (out), then what the device may
 * write (in). The iovecs lie in guest memory: their bytes may change under the reader. They are
 * good until the loop turns: a guest may give memory back while a request is in flight. The kernel
 * answers EFAULT then; who touches them himself later asks guestmem_has().
 */
struct virtq_chain {
	uint16_t head; /* names it towards virtq_push() */
	unsigned nout, nin;
	struct iovec *out; /* nout of them, then nin: `in` is out + nout */
	struct iovec *in;
	size_t out_len, in_len; /* bytes */
};

/*
 * Begins, or goes on where next_avail and next_used stand (which a fresh queue has zero).
 * -EINVAL when the rings do not lie in memory or are not aligned; `broken` says so.
 */
int virtq_start(struct virtq *q, const struct guestmem *mem, const struct virtq_setup *setup,
		bool event_idx);
void virtq_stop(struct virtq *q);
/* As after power-on, stopped. */
void virtq_reset(struct virtq *q);

/*
 * Takes the next chain, its iovecs into iov, of which there are cap: 1, or 0 when there is none
 * or the queue does not run, or -EINVAL when the queue is, or now became, broken. A chain of more
 * than cap buffers breaks the queue. Empty buffers are left out.
 */
int virtq_pop(struct virtq *q, struct iovec *iov, unsigned cap, struct virtq_chain *ret);
/* Puts the last n popped chains back, unused, as if they had not been taken. */
void virtq_unpop(struct virtq *q, unsigned n);
/* Whether a pop would find something, without taking it. */
bool virtq_pending(struct virtq *q);
/* Gives a chain back, `written` bytes of its `in` part filled, in any order of heads. */
void virtq_push(struct virtq *q, uint16_t head, uint32_t written);
/*
 * The same in two steps, for several chains that the driver must see at once: it sees none that was
 * filled before virtq_publish(). No other operation may come between.
 */
void virtq_fill(struct virtq *q, uint16_t head, uint32_t written);
void virtq_publish(struct virtq *q);

/* Asks the driver not to kick; advice only. */
void virtq_disarm(struct virtq *q);
/* Asks it to kick at the next chain; true when one came meanwhile, for which no kick comes. */
bool virtq_arm(struct virtq *q);
/* Whether the driver wants an interrupt for what was pushed since the last call. */
bool virtq_should_notify(struct virtq *q);

/* Copies between a chain's iovecs, from byte `at` on, and the device; how many bytes fitted. */
size_t virtq_copy_out(const struct virtq_chain *c, size_t at, void *data, size_t len);
size_t virtq_copy_in(const struct virtq_chain *c, size_t at, const void *data, size_t len);

/* The indexes; setup is the transport's to save. load() only reads the record. */
void virtq_save(const struct virtq *q, struct record *r);
void virtq_load(struct virtq *q, struct record *r);

#endif
