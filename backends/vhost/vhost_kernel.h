/*
 * struct vhost_kernel: a device whose queues the host's kernel serves, by <linux/vhost.h>: an open
 * /dev/vhost-net or /dev/vhost-vsock. Guest memory is this process's, through which the kernel
 * reaches it: it finds out from the page tables what is there. The driver's kicks and the
 * interrupts are eventfds, so that nothing of the traffic passes here.
 *
 * What works there is a thread of the kernel's. It belongs to the process that calls
 * vhost_kernel_new(), in whose control groups, and by whose priority, it runs.
 *
 * Nothing here waits for a guest. What a guest puts into its rings the kernel checks; when it
 * cannot go on with them it says so by vhost_kernel_error_fd().
 */
#ifndef BACKENDS_VHOST_VHOST_KERNEL_H
#define BACKENDS_VHOST_VHOST_KERNEL_H

#include <stdbool.h>
#include <stdint.h>

#include "backends/base/err.h"
#include "backends/vhost/vhost.h"

struct vhost_kernel;

/* Takes fd over, also when it fails: ENXIO when it is no vhost device, EBUSY when another's. */
int vhost_kernel_new(int fd, struct vhost_kernel **ret, struct err *e);
/* The kernel lets go of all queues. Takes NULL. */
void vhost_kernel_free(struct vhost_kernel *v);
/* An eventfd that is signalled when a queue's rings are wrong. */
int vhost_kernel_error_fd(const struct vhost_kernel *v);

/* What it can, features of virtio among it; what it shall do: before queues are set. */
int vhost_kernel_features(struct vhost_kernel *v, uint64_t *ret, struct err *e);
int vhost_kernel_set_features(struct vhost_kernel *v, uint64_t features, struct err *e);
int vhost_kernel_set_memory(struct vhost_kernel *v, const struct vhost_region *regions, unsigned n,
			    struct err *e);
/*
 * Says of a queue, by its number in the device, what the kernel has not been told before; it runs
 * when there is something behind it.
 */
int vhost_kernel_set_queue(struct vhost_kernel *v, unsigned queue, const struct vhost_vring *vring,
			   struct err *e);
/* Where one stands that nothing is behind any more. It keeps its eventfds, for the next time. */
int vhost_kernel_queue_base(struct vhost_kernel *v, unsigned queue, uint16_t *ret_base,
			    struct err *e);
/* It forgets them: from now on kicks are others'. */
void vhost_kernel_unbind(struct vhost_kernel *v, unsigned queue);

/*
 * vhost-net: the queue's frames go to this tap's queue and come from it, or with -1 no longer: when
 * that returns the kernel touches neither rings nor buffers.
 */
int vhost_kernel_net(struct vhost_kernel *v, unsigned queue, int tap, struct err *e);

/* vhost-vsock: the guest's number among the host's own sockets. EBUSY when another has it. */
int vhost_kernel_vsock_cid(struct vhost_kernel *v, uint64_t cid, struct err *e);
/* Its two queues are served, or no longer: as above, when that returns. */
int vhost_kernel_vsock_run(struct vhost_kernel *v, bool on, struct err *e);

#endif
