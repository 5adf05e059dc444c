/*
 * virtio_blk: a disk of the guest's on a struct block (Virtio 1.2, 5.2): several queues, flush,
 * discard, write zeroes, a serial number, a size that may change, limits.
 *
 * What the host cannot do is the request's error (IOERR) and counted; the device goes on. Requests
 * beyond a limit stay in the queue, so that nothing of them is in flight when the machine pauses.
 */
#ifndef VMM_VIRTIO_VIRTIO_BLK_H
#define VMM_VIRTIO_VIRTIO_BLK_H

#include "backends/block/block.h"
#include "backends/config.h"
#include "vmm/virtio/virtio.h"

#define VIRTIO_BLK_QUEUE_SIZE 256
#define VIRTIO_BLK_IN_FLIGHT  256 /* requests of all queues together */

struct virtio_blk_options {
	const char *id;	    /* "disk/root" */
	const char *serial; /* the first 20 bytes count */
	unsigned queues;
	struct rate rbps, wbps, riops, wiops; /* LIMIT_MAX: none */
};

enum virtio_blk_counter {
	BLK_READS,
	BLK_READ_BYTES,
	BLK_WRITES,
	BLK_WRITTEN_BYTES,
	BLK_FLUSHES,
	BLK_DISCARDS,
	BLK_ERRORS,
	BLK_COUNTERS,
};

/*
 * Takes b over, also when it fails. counters: BLK_COUNTERS of them that outlive the device, read by
 * others; NULL: none are kept.
 */
int virtio_blk_new(const struct virtio_env *env, struct block *b,
		   const struct virtio_blk_options *options, _Atomic uint64_t *counters,
		   struct virtio_device **ret, struct err *e);

/* Loop thread. The image is made at least so long, and the driver told of what it is then. */
int virtio_blk_resize(struct virtio_device *d, uint64_t size, struct err *e);
void virtio_blk_limit(struct virtio_device *d, const struct virtio_blk_options *options);

#endif
