/*
 * virtio-vsock (Virtio 1.2, 5.10): stream sockets between the guest and UNIX sockets of the host,
 * by the names that Firecracker's users know; or, by the kernel's vhost-vsock, the host's own
 *AF_VSOCK sockets. With UNIX sockets, a directory is the device's whole world:
 *
 *	vsock	    the device listens here. Whoever connects says "CONNECT PORT\n", is answered
 *		    "OK HOSTPORT\n" when something in the guest accepts, and then talks to that.
 *	vsock_PORT  somebody may listen here: a guest's connection to PORT of CID 2 arrives there.
 *
 * The directory is a descriptor; its thread makes it its current directory, since a sandboxed
 * process can name nothing else: no other thread's is touched.
 *
 * Connections do not survive a save: after a load the guest is told so (transport reset). All
 * functions belong to the loop thread.
 */
#ifndef VMM_VIRTIO_VIRTIO_VSOCK_H
#define VMM_VIRTIO_VIRTIO_VSOCK_H

#include "vmm/virtio/virtio.h"

#define VSOCK_CID_HOST 2
#define VSOCK_CID_MIN  3
#define VSOCK_CID_MAX  0xfffffffeu

enum virtio_vsock_counter {
	VIRTIO_VSOCK_RX_BYTES, /* to the guest */
	VIRTIO_VSOCK_TX_BYTES,
	VIRTIO_VSOCK_CONNECTIONS, /* made since start, by either side */
	VIRTIO_VSOCK_REFUSED,
	VIRTIO_VSOCK_COUNTERS,
};

struct virtio_vsock_spec {
	uint64_t cid;
	int dir;		    /* taken over, also when virtio_vsock_new() fails */
	_Atomic uint64_t *counters; /* VIRTIO_VSOCK_COUNTERS of them, or NULL; outlive the device */
};

int virtio_vsock_new(const struct virtio_env *env, const char *id,
		     const struct virtio_vsock_spec *spec, struct virtio_device **ret,
		     struct err *e);

/*
 * By the kernel: fd is /dev/vhost-vsock, taken over, also when it fails; EBUSY when another guest
 * of the host's has this cid. Who speaks to whom is the kernel's business alone.
 */
int virtio_vsock_vhost_new(const struct virtio_env *env, const char *id, uint64_t cid, int fd,
			   struct virtio_device **ret, struct err *e);

#endif
