/*
 * virtio_balloon: memory that the guest gives back on request, statistics of its memory, and free
 * pages that it reports by itself (Virtio 1.2, 5.5).
 *
 * Pages in the balloon, and reported ones, go back to the host at once; the guest takes them
 * again by touching them. Nothing enforces that it leaves them alone.
 */
#ifndef VMM_VIRTIO_VIRTIO_BALLOON_H
#define VMM_VIRTIO_VIRTIO_BALLOON_H

#include "vmm/virtio/virtio.h"

/* What a guest tells of its memory, by the tags of the specification; bytes or events. */
enum balloon_figure {
	BALLOON_SWAP_IN,
	BALLOON_SWAP_OUT,
	BALLOON_MAJOR_FAULTS,
	BALLOON_MINOR_FAULTS,
	BALLOON_FREE,
	BALLOON_TOTAL,
	BALLOON_AVAILABLE,
	BALLOON_CACHES,
	BALLOON_HUGE_ALLOCATED,
	BALLOON_HUGE_FAILED,
	BALLOON_TAGS,
	BALLOON_ACTUAL = BALLOON_TAGS, /* bytes in the balloon */
	BALLOON_REPORTED,	       /* bytes that the guest reported as free, in all */
	BALLOON_FIGURES,
};

/* figures: BALLOON_FIGURES of them, kept up to date; NULL: nobody wants them. */
int virtio_balloon_new(const struct virtio_env *env, struct guestmem *mem,
		       _Atomic uint64_t *figures, struct virtio_device **ret, struct err *e);
/* How large the balloon should be. Loop thread. */
void virtio_balloon_want(struct virtio_device *d, uint64_t bytes);

#endif
