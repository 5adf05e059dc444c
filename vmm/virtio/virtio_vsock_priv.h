/*
 * What virtio_vsock.c (queues, packets) and virtio_vsock_conn.c (connections) share; and the device
 * as the guest sees it, which is the same where the kernel serves it (virtio_vsock_vhost.c).
 *
 * The queues' side calls conn_packet() for what the guest sent, and conn_next() when the guest has
 * a buffer; the connections' side says vsock_wants_buffer() when there is something for the guest.
 */
#ifndef VMM_VIRTIO_VIRTIO_VSOCK_PRIV_H
#define VMM_VIRTIO_VIRTIO_VSOCK_PRIV_H

#include <event2/event.h>
#include <linux/virtio_vsock.h>
#include <stdatomic.h>
#include <sys/queue.h>

#include "vmm/virtio/virtio_vsock.h"

#define VSOCK_QUEUE_SIZE  256
#define VSOCK_CONNECTIONS 256
#define VSOCK_BUFFER	  (128u * 1024) /* what the guest may send ahead on one connection */
#define VSOCK_REFUSALS	  64

enum vsock_queue { VSOCK_RX, VSOCK_TX, VSOCK_EVENT, VSOCK_QUEUES };

struct vsock;

enum conn_state {
	CONN_GREETING, /* a client of the host's has not said the port yet */
	CONN_ASKING,   /* the guest was asked */
	CONN_OPEN,
	CONN_CLOSING, /* the host's socket is closed; the guest has been, or will be, told */
};

/* What the guest is to be told, as bits: sent in this order as buffers come. */
enum conn_due {
	DUE_REQUEST = 1 << 0,
	DUE_RESPONSE = 1 << 1,
	DUE_RST = 1 << 2, /* and then it is forgotten */
	DUE_CREDIT = 1 << 3,
	DUE_SHUTDOWN = 1 << 4,
};

struct conn {
	TAILQ_ENTRY(conn) entry;
	struct vsock *vsock;
	enum conn_state state;
	int fd;
	struct event *readable, *writable;
	uint32_t host_port, guest_port;
	unsigned due;
	uint32_t shut;	     /* VIRTIO_VSOCK_SHUTDOWN_ flags that the guest was, or will be, told */
	uint32_t guest_shut; /* those that it told */
	bool has_data;	     /* the host's socket can be read, and the guest was out of something */
	/* Credit (5.10.6.3): free-running counts. */
	uint32_t guest_alloc, guest_forwarded; /* as the guest last said */
	uint32_t sent;			       /* to the guest */
	uint32_t received, forwarded;	       /* from it; on to the host's socket */
	uint32_t told;			       /* `forwarded`, as it was last told */
	/* What the host's socket has not taken yet, or the greeting so far. */
	unsigned char *buffer; /* VSOCK_BUFFER; made when it is needed */
	size_t start, len;
};

TAILQ_HEAD(conn_list, conn);

/* The first member of each kind of the device. */
struct vsock_device {
	struct virtio_device virtio;
	uint64_t cid;
	bool tell_reset; /* after a load */
};

struct vsock {
	struct vsock_device device;
	int dir;
	int listener;
	struct event *acceptable;
	struct event *refilled; /* the guest has buffers again, and more than one wants them */
	struct conn_list conns;
	unsigned nconns;
	uint32_t next_port;
	/* Refusals of what is no connection: ports, swapped. */
	unsigned nrefusals;
	struct {
		uint32_t host_port, guest_port;
	} refusals[VSOCK_REFUSALS];
	_Atomic uint64_t *counters;
	_Atomic uint64_t own_counters[VIRTIO_VSOCK_COUNTERS];
	struct iovec iov[VIRTQ_CHAIN_MAX];
};

static inline void vsock_count(struct vsock *v, enum virtio_vsock_counter which, uint64_t by)
{
	atomic_fetch_add_explicit(&v->counters[which], by, memory_order_relaxed);
}

/* ---- virtio_vsock.c ---- */

/* Some connection has something for the guest: conn_next() is called for it, now or later. */
void vsock_wants_buffer(struct vsock *v);
/*
 * Of a struct vsock_device. Tells the guest that all its connections are no more (5.10.6.7), if
 * that is due and as soon as it has a buffer for it.
 */
void vsock_tell_reset(struct virtio_device *d);
/* Operations. What is loaded has no connections: nothing of them is saved. */
void vsock_config_read(struct virtio_device *d, unsigned offset, void *data, unsigned len);
void vsock_save(struct virtio_device *d, struct record *r);
int vsock_load(struct virtio_device *d, struct record *r, struct err *e);

/* ---- virtio_vsock_conn.c ---- */

/* Begins to listen in the directory. */
int conn_listen(struct vsock *v, struct err *e);
/* Takes up reading and writing, or leaves it off. */
void conn_start_all(struct vsock *v);
void conn_stop_all(struct vsock *v);
void conn_free_all(struct vsock *v);
/* A packet of the guest's; data are the bytes behind its header, iovecs in guest memory. */
void conn_packet(struct vsock *v, const struct virtio_vsock_hdr *h, const struct virtq_chain *c);
/*
 * Fills in the next packet for the guest: the header, and bytes read from the host into iov, of
 * which there are n. Returns false when there is nothing to be said.
 */
bool conn_next(struct vsock *v, struct virtio_vsock_hdr *h, struct iovec *iov, unsigned n);

#endif
