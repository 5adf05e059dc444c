/*
 * struct virtio_device: what every virtio device is to its transport, and what a transport does
 * for it (Virtio 1.2). A device includes this and virtq.h and knows nothing of PCI, KVM or
 * interrupts; the transport (virtio_pci.h) knows nothing of what devices do.
 *
 * Making one: X_new(env, id, ..., &ret, e) callocs a struct that begins with struct virtio_device,
 * calls virtio_init(), and returns &x->virtio; virtio_pci_new() takes it over and frees it. Any
 * number of devices of one kind may be in a machine: `id` ("disk/root") tells them apart.
 *
 * Life, all of it on the device loop (the loop thread), never concurrently for one device:
 *
 *	new - (start - kick*, or own events - stop - [settle] - [reset])* - free
 *
 *   start   the driver has said DRIVER_OK, or a stopped device goes on: features are final, the
 *           enabled queues run. A kick() of each enabled queue follows at once.
 *   kick    the driver has put something into a queue. Not called while stopped or broken.
 *   stop    takes nothing more from queues, begins nothing. What is in flight goes on.
 *   settle  waits until nothing is in flight, at most ms: only while stopped.
 *   reset   stopped and settled: forgets what the driver has set up.
 *
 * While a device is stopped and nothing is in flight, it touches neither guest memory nor its
 * queues: that is what a paused machine, a save and a reset rely on. A device that finishes what
 * it does before its operation returns leaves in_flight and settle NULL.
 *
 * Threads and locks: vCPU threads read and write registers only. Of a device they call
 * config_read() and config_write(), holding `lock`, which is all that it protects: a device takes
 * it on the loop thread only to change what config_read() shows, or to read what config_write()
 * changed, and calls no service below while holding it. Everything else needs no lock. Devices may
 * make libevent events on env->loop, and no threads.
 */
#ifndef VMM_VIRTIO_VIRTIO_H
#define VMM_VIRTIO_VIRTIO_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "backends/base/err.h"
#include "vmm/guestmem.h"
#include "vmm/record.h"
#include "vmm/virtio/virtq.h"

struct event_base;
struct pace;
struct virtio_device;

/* Feature bits that the transport and virtq.c look after (Virtio 1.2, 6). */
#define VIRTIO_INDIRECT	 (1ull << 28)
#define VIRTIO_EVENT_IDX (1ull << 29)
#define VIRTIO_VERSION_1 (1ull << 32)

#define VIRTIO_QUEUES_MAX 128

/* What a machine gives its devices; outlives them. */
struct virtio_env {
	const struct guestmem *mem;
	struct event_base *loop;
	/* A device stopped working; the sentence begins with its id. Loop thread. */
	void (*failed)(void *arg, const char *why);
	void *arg;
	struct pace *pace; /* of the loop; or NULL */
};

struct virtio_ops {
	const char *name; /* "virtio-blk" */
	uint16_t type;	  /* Virtio 1.2, 5: 1 net, 2 block, 3 console ... */
	uint32_t pci_class;
	/*
	 * Whether somebody else serves the queue (vhost), who uses virtio_kick_fd() and
	 * virtio_call_fd(): then kick() is not called. May be another at each start(). NULL: none.
	 */
	bool (*own_kicks)(const struct virtio_device *d, unsigned queue);

	/* May fail: the device then needs a reset, and the sentence says why. */
	int (*start)(struct virtio_device *d, struct err *e);
	void (*kick)(struct virtio_device *d, unsigned queue);
	void (*stop)(struct virtio_device *d);
	unsigned (*in_flight)(struct virtio_device *d);	 /* requests; may be NULL */
	void (*settle)(struct virtio_device *d, int ms); /* with in_flight */
	void (*reset)(struct virtio_device *d);

	/* offset and len lie within config_len. Any thread, `lock` held. config_write may be NULL.
	 */
	void (*config_read)(struct virtio_device *d, unsigned offset, void *data, unsigned len);
	void (*config_write)(struct virtio_device *d, unsigned offset, const void *data,
			     unsigned len);

	/*
	 * What the device knows beside status, features and queues, a version first. Only while
	 * stopped and settled. load() comes last, its queues and features are loaded already; it
	 * is all or nothing, and asks record_done() before it changes anything.
	 */
	void (*save)(struct virtio_device *d, struct record *r);
	int (*load)(struct virtio_device *d, struct record *r, struct err *e);
	void (*free)(struct virtio_device *d);
};

/* The transport's side: interrupts and descriptors. Loop thread. */
struct virtio_transport_ops {
	void (*notify_queue)(void *transport, unsigned queue);
	void (*notify_config)(void *transport);
	void (*kick_again)(void *transport, unsigned queue);
	void (*needs_reset)(void *transport);
	void (*settled)(void *transport);
	void (*restart)(void *transport);
	int (*kick_fd)(void *transport, unsigned queue);
	int (*call_fd)(void *transport, unsigned queue);
};

struct virtio_device {
	const struct virtio_ops *ops;
	struct virtio_env env;
	char id[80];
	uint64_t offered;  /* features; fixed once the transport has it */
	uint64_t features; /* what driver and device agreed on; from start to reset */
	unsigned config_len;
	unsigned nqueues;
	uint16_t queue_size; /* the most that each queue may have */
	struct virtq *queues;
	bool running; /* between start and stop */
	bool failed;  /* virtio_fail() was called; until the reset */
	pthread_mutex_t lock;
	const struct virtio_transport_ops *transport_ops; /* NULL until a transport has it */
	void *transport;
};

/*
 * ---- for devices ----
 *
 * offered need not name VERSION_1, INDIRECT, EVENT_IDX: virtio_init() adds them (own_kicks
 * devices pass what their back end has in `offered` and clear the others afterwards).
 */
int virtio_init(struct virtio_device *d, const struct virtio_ops *ops, const struct virtio_env *env,
		const char *id, unsigned nqueues, uint16_t queue_size, uint64_t offered,
		unsigned config_len, struct err *e);
/* What virtio_init() made; the last thing that ops->free() calls. Takes a zeroed one. */
void virtio_deinit(struct virtio_device *d);

static inline bool virtio_has(const struct virtio_device *d, uint64_t feature)
{
	return (d->features & feature) == feature;
}

/*
 * The whole of a kick() for a device that finishes each request at once: takes chains of at most
 * VIRTIO_SERVE_IOV buffers, has `work` say how many bytes it wrote into `in`, or -errno to fail the
 * device, gives them back, and interrupts. A queue that its driver fills as fast as it is emptied
 * is left after a queue's length, and comes again after what else waits on the loop.
 */
typedef int64_t virtio_work(struct virtio_device *d, unsigned queue, const struct virtq_chain *c);
void virtio_serve(struct virtio_device *d, unsigned queue, virtio_work *work);
#define VIRTIO_SERVE_IOV 64

/*
 * Has kick() called again from the loop: for who leaves a queue before it is empty. Where somebody
 * else serves the queue, that one is kicked.
 */
void virtio_kick_again(struct virtio_device *d, unsigned queue);
/* Interrupts the driver for what was pushed to the queue, if it wants that. */
void virtio_notify(struct virtio_device *d, unsigned queue);
/* Configuration space has changed. No `lock` held. */
void virtio_notify_config(struct virtio_device *d);
/*
 * The driver does what no driver may, or the host cannot go on: no kick any more until the driver
 * resets the device (NEEDS_RESET). The device is stopped from within; the sentence is prefixed
 * with its id and told to the machine. Call it where a pop failed: virtio_fail_queue().
 */
__attribute__((format(printf, 2, 3))) void virtio_fail(struct virtio_device *d, const char *fmt,
						       ...);
void virtio_fail_queue(struct virtio_device *d, unsigned queue);
/* in_flight() has become 0 while the device was stopped. */
void virtio_settled(struct virtio_device *d);
/*
 * Stops a device that runs and starts it again where its queues stand, so that others may serve
 * them. For devices that have nothing in flight, and not from within kick() or start().
 */
void virtio_restart(struct virtio_device *d);
/*
 * For vhost, between start and stop: an eventfd that is signalled when the driver kicks, and one
 * that interrupts the driver when it is signalled; the transport's. -ENXIO where there is none.
 */
int virtio_kick_fd(struct virtio_device *d, unsigned queue);
int virtio_call_fd(struct virtio_device *d, unsigned queue);

/* ---- for transports ---- loop thread ---- */

/* Starts the queues that are enabled in setups[nqueues], then the device, then kicks each queue. */
int virtio_start(struct virtio_device *d, const struct virtq_setup *setups, struct err *e);
void virtio_stop(struct virtio_device *d);
/* Stopped, and nothing of it touches guest memory. */
bool virtio_is_settled(struct virtio_device *d);
/* Waits for that, at most ms; -EBUSY with a sentence when it is not so by then. */
int virtio_settle(struct virtio_device *d, int ms, struct err *e);
/* Stopped and settled: features, queues and device as after power-on. */
void virtio_reset(struct virtio_device *d);
void virtio_kick(struct virtio_device *d, unsigned queue);
void virtio_free(struct virtio_device *d);

#endif
