/*
 * A tap: an interface of the host whose other end is a file descriptor: a VM's NIC. It lives as
 * long as a descriptor of it is open, so that nothing is left behind whoever dies.
 */
#ifndef BACKENDS_NET_TAP_H
#define BACKENDS_NET_TAP_H

#include <stdint.h>
#include <sys/types.h>

#include "backends/base/err.h"
#include "backends/net/netaddr.h"

struct nl_sock;

struct tap_spec {
	const char *name; /* on the host */
	struct mac mac;	  /* the guest's: the tap's own is derived from it */
	uint32_t mtu;
	int bridge; /* index of the bridge it is a port of, or 0 */
	uid_t owner;
	unsigned queues;
};

/* virtio's header before each frame, as virtio-net has it: with the number of buffers. */
#define TAP_HEADER 12

/* Makes it, up, with one descriptor a queue (non-blocking). ENXIO where there is no /dev/net/tun.
 */
int tap_open(struct nl_sock *nl, const struct tap_spec *spec, int *ret_fds, struct err *e);

/*
 * What the reader of a queue's frames can do: TUN_F_CSUM and so on; what is not offered is done by
 * the host's kernel before. And whether a queue takes part. By anybody who has the descriptor.
 */
int tap_offload(int fd, unsigned offloads);
int tap_attach(int fd, int attach);

#endif
