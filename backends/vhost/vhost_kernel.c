/* Devices that the kernel serves: see vhost_kernel.h. */
#include "backends/vhost/vhost_kernel.h"

#include <errno.h>
#include <linux/vhost.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define QUEUES 2u /* of each such device */

struct vhost_kernel {
	int fd;
	int error;
	struct vhost_queue {
		bool bound; /* it has eventfds */
		bool known; /* what vring says, but for the index */
		struct vhost_vring vring;
	} queues[QUEUES];
};

/* One request; what says what it was about. */
static int ask(const struct vhost_kernel *v, unsigned long request, const void *arg,
	       const char *what, struct err *e)
{
	return ioctl(v->fd, request, arg) < 0 ? err_sys(e, errno, "vhost: %s", what) : 0;
}

static int ask_queue(const struct vhost_kernel *v, unsigned long request, unsigned queue,
		     unsigned number, const char *what, struct err *e)
{
	struct vhost_vring_state state = { queue, number };

	return ask(v, request, &state, what, e);
}

static int give_fd(const struct vhost_kernel *v, unsigned long request, unsigned queue, int fd,
		   const char *what, struct err *e)
{
	struct vhost_vring_file file = { queue, fd };

	return ask(v, request, &file, what, e);
}

static int own(const struct vhost_kernel *v, struct err *e)
{
	if (ioctl(v->fd, VHOST_SET_OWNER) == 0)
		return 0;
	if (errno == ENOTTY || errno == EINVAL)
		return err_set(e, -ENXIO, "vhost: not a vhost device of the kernel's");
	return err_sys(e, errno, "vhost: the kernel's worker");
}

int vhost_kernel_new(int fd, struct vhost_kernel **ret, struct err *e)
{
	struct vhost_kernel *v = calloc(1, sizeof(*v));
	int r;

	if (!v) {
		close(fd);
		return err_sys(e, ENOMEM, "vhost");
	}
	v->fd = fd;
	v->error = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	r = v->error < 0 ? err_sys(e, errno, "vhost: eventfd") : own(v, e);
	if (r < 0) {
		vhost_kernel_free(v);
		return r;
	}
	*ret = v;
	return 0;
}

void vhost_kernel_free(struct vhost_kernel *v)
{
	if (!v)
		return;
	close(v->fd);
	if (v->error >= 0)
		close(v->error);
	free(v);
}

int vhost_kernel_error_fd(const struct vhost_kernel *v)
{
	return v->error;
}

int vhost_kernel_features(struct vhost_kernel *v, uint64_t *ret, struct err *e)
{
	return ask(v, VHOST_GET_FEATURES, ret, "features", e);
}

int vhost_kernel_set_features(struct vhost_kernel *v, uint64_t features, struct err *e)
{
	return ask(v, VHOST_SET_FEATURES, &features, "features", e);
}

int vhost_kernel_set_memory(struct vhost_kernel *v, const struct vhost_region *regions, unsigned n,
			    struct err *e)
{
	struct {
		struct vhost_memory head;
		struct vhost_memory_region region[VHOST_REGIONS];
	} table = { .head.nregions = n };

	if (n > VHOST_REGIONS)
		return err_set(e, -EINVAL, "vhost: %u regions of memory", n);
	for (unsigned i = 0; i < n; i++)
		table.region[i] = (struct vhost_memory_region){
			.guest_phys_addr = regions[i].gpa,
			.memory_size = regions[i].len,
			.userspace_addr = regions[i].address,
		};
	return ask(v, VHOST_SET_MEM_TABLE, &table, "memory", e);
}

/* All but the index. */
static int describe(struct vhost_kernel *v, unsigned queue, const struct vhost_vring *vring,
		    struct err *e)
{
	struct vhost_vring_addr address = {
		.index = queue,
		.desc_user_addr = vring->desc,
		.used_user_addr = vring->used,
		.avail_user_addr = vring->avail,
	};
	int r = ask_queue(v, VHOST_SET_VRING_NUM, queue, vring->size, "a queue's size", e);

	if (r == 0)
		r = ask(v, VHOST_SET_VRING_ADDR, &address, "its rings", e);
	if (r == 0)
		r = give_fd(v, VHOST_SET_VRING_CALL, queue, vring->call, "its interrupt", e);
	if (r == 0)
		r = give_fd(v, VHOST_SET_VRING_ERR, queue, v->error, "its errors", e);
	if (r == 0)
		r = give_fd(v, VHOST_SET_VRING_KICK, queue, vring->kick, "its doorbell", e);
	return r;
}

static bool same(const struct vhost_vring *x, const struct vhost_vring *y)
{
	return x->size == y->size && x->desc == y->desc && x->used == y->used &&
	       x->avail == y->avail && x->kick == y->kick && x->call == y->call;
}

/*
 * A doorbell that is set or taken away makes the kernel wait for the thread that works: a machine
 * that is paused and goes on needs neither.
 */
int vhost_kernel_set_queue(struct vhost_kernel *v, unsigned queue, const struct vhost_vring *vring,
			   struct err *e)
{
	struct vhost_queue *q = queue < QUEUES ? &v->queues[queue] : NULL;
	int r = 0;

	if (!q)
		return err_set(e, -EINVAL, "vhost: no queue %u", queue);
	if (!q->known || !same(&q->vring, vring)) {
		q->bound = true;
		q->known = false;
		r = describe(v, queue, vring, e);
	}
	if (r == 0)
		r = ask_queue(v, VHOST_SET_VRING_BASE, queue, vring->base, "its index", e);
	if (r < 0)
		return r;
	q->known = true;
	q->vring = *vring;
	return 0;
}

int vhost_kernel_queue_base(struct vhost_kernel *v, unsigned queue, uint16_t *ret_base,
			    struct err *e)
{
	struct vhost_vring_state state = { .index = queue };
	int r = ask(v, VHOST_GET_VRING_BASE, &state, "its index", e);

	if (r == 0)
		*ret_base = (uint16_t)state.num;
	return r;
}

void vhost_kernel_unbind(struct vhost_kernel *v, unsigned queue)
{
	struct vhost_queue *q = &v->queues[queue];

	if (!q->bound)
		return;
	(void)give_fd(v, VHOST_SET_VRING_KICK, queue, VHOST_FILE_UNBIND, "its doorbell", NULL);
	(void)give_fd(v, VHOST_SET_VRING_CALL, queue, VHOST_FILE_UNBIND, "its interrupt", NULL);
	q->bound = q->known = false;
}

int vhost_kernel_net(struct vhost_kernel *v, unsigned queue, int tap, struct err *e)
{
	return give_fd(v, VHOST_NET_SET_BACKEND, queue, tap, "the tap", e);
}

int vhost_kernel_vsock_cid(struct vhost_kernel *v, uint64_t cid, struct err *e)
{
	if (ioctl(v->fd, VHOST_VSOCK_SET_GUEST_CID, &cid) == 0)
		return 0;
	if (errno == EADDRINUSE)
		return err_set(e, -EBUSY, "vhost: another machine of this host has number %llu",
			       (unsigned long long)cid);
	return err_sys(e, errno, "vhost: number %llu", (unsigned long long)cid);
}

int vhost_kernel_vsock_run(struct vhost_kernel *v, bool on, struct err *e)
{
	int run = on;

	return ask(v, VHOST_VSOCK_SET_RUNNING, &run, "its queues", e);
}
