/*
 * Unit test of devices whose queues the kernel serves. What is no vhost device is refused anywhere;
 * where this host has /dev/vhost-net, frames pass, and the queues change hands in mid-traffic:
 * stopped, saved and loaded, limited, driven wrongly.
 */
#include <fcntl.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/virtio_net.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include "backends/net/netlink.h"
#include "backends/net/tap.h"
#include "backends/vhost/vhost_kernel.h"
#include "tests/unit/harness_virtio.h"
#include "vmm/virtio/virtio_net.h"

#define HEADER	 sizeof(struct virtio_net_hdr_v1)
#define PROTOCOL 0x88b5 /* of local experiments: nobody else speaks it */
#define IN	 HARNESS_BUFFERS
#define OUT	 (HARNESS_BUFFERS + 0x10000)

static int zero_or_null(void)
{
	return open("/dev/null", O_RDWR | O_CLOEXEC);
}

/* ---- anywhere ---- */

static void test_refused(void)
{
	struct vhost_kernel *v = NULL;
	struct err e = { 0 };
	int fd = zero_or_null();

	ok(vhost_kernel_new(fd, &v, &e) == -ENXIO && !v &&
		   !strcmp(e.text, "vhost: not a vhost device of the kernel's"),
	   "what is no vhost device is refused: %s", e.text);
	ok(fcntl(fd, F_GETFD) < 0, "and closed");
	vhost_kernel_free(NULL);
}

/* A device on socket pairs, with descriptors for vhost that are none. */
static int make_without(struct harness *h, bool must, bool given, int *wire, struct err *e)
{
	struct virtio_env env = harness_env(h);
	int taps[2], vhosts[2] = { zero_or_null(), zero_or_null() }, fds[2], r;
	struct virtio_net_spec spec = {
		.mtu = 1500,
		.pairs = 2,
		.taps = taps,
		.vhosts = given ? vhosts : NULL,
		.must_vhost = must,
		.link = true,
		.in = RATELIMIT_NONE,
		.out = RATELIMIT_NONE,
	};

	for (int i = 0; i < 2; i++) {
		if (socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, fds) < 0)
			abort();
		taps[i] = fds[0];
		wire[i] = fds[1];
	}
	r = virtio_net_new(&env, "nic/a", &spec, &h->device, e);
	for (int i = 0; !given && i < 2; i++)
		close(vhosts[i]);
	ok(fcntl(vhosts[0], F_GETFD) < 0 && fcntl(vhosts[1], F_GETFD) < 0,
	   "without: what is no vhost device is closed");
	return r;
}

static void test_without(void)
{
	struct harness_buffer b = { OUT, HEADER + 60, false };
	struct harness h;
	struct err e = { 0 };
	unsigned char got[100];
	int wire[2];

	harness_init(&h);
	ok(make_without(&h, true, true, wire, &e) == -ENXIO && *e.text,
	   "without: an interface that must have it is refused: %s", e.text);
	close(wire[0]);
	close(wire[1]);
	ok(make_without(&h, true, false, wire, &e) == -ENXIO,
	   "without: also when there is no descriptor: %s", e.text);
	close(wire[0]);
	close(wire[1]);
	ok(make_without(&h, false, true, wire, &e) == 0 && harness_start(&h, h.device, 0) == 0,
	   "without: one that may is there");
	harness_offer(&h, 1, &b, 1);
	harness_kick(&h, 1);
	ok(read(wire[0], got, sizeof(got)) == (ssize_t)HEADER + 60, "without: and sends by itself");
	harness_free(&h);
	close(wire[0]);
	close(wire[1]);
}

/* ---- with the kernel ---- */

struct nic {
	struct harness h;
	_Atomic uint64_t counters[VIRTIO_NET_COUNTERS];
	char name[IFNAMSIZ];
	int wire; /* a socket on the tap: the network */
};

static int wire_open(const char *name)
{
	struct sockaddr_ll at = { .sll_family = AF_PACKET,
				  .sll_protocol = htons(PROTOCOL),
				  .sll_ifindex = (int)if_nametoindex(name) };
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, htons(PROTOCOL));

	if (fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof(at)) < 0)
		abort();
	return fd;
}

/* by_kernel: it has a descriptor of /dev/vhost-net. */
static void nic_make(struct nic *n, struct nl_sock *nl, const char *name, bool by_kernel)
{
	struct tap_spec tap_spec = { .name = name, .mtu = 1500, .queues = 1 };
	int tap, vhost = open("/dev/vhost-net", O_RDWR | O_CLOEXEC);
	struct virtio_net_spec spec = {
		.mac = { { 0x52, 1 } },
		.mtu = 1500,
		.pairs = 1,
		.taps = &tap,
		.vhosts = by_kernel ? &vhost : NULL,
		.must_vhost = by_kernel,
		.link = true,
		.in = RATELIMIT_NONE,
		.out = RATELIMIT_NONE,
		.counters = n->counters,
	};
	struct virtio_env env;
	struct err e = { 0 };

	memset(n, 0, sizeof(*n));
	harness_init(&n->h);
	env = harness_env(&n->h);
	for (int i = 0; i < 2; i++) {
		n->h.kick_fd[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		n->h.call_fd[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	}
	snprintf(n->name, sizeof(n->name), "%s", name);
	if (tap_open(nl, &tap_spec, &tap, &e) < 0 ||
	    virtio_net_new(&env, "nic/a", &spec, &n->h.device, &e) < 0) {
		printf("Bail out! %s\n", e.text);
		exit(1);
	}
	if (!by_kernel)
		close(vhost);
	n->wire = wire_open(name);
}

static void nic_free(struct nic *n)
{
	harness_free(&n->h);
	for (int i = 0; i < 2; i++) {
		close(n->h.kick_fd[i]);
		close(n->h.call_fd[i]);
	}
	close(n->wire);
}

static uint64_t handed(struct nic *n)
{
	return atomic_load(&n->counters[VIRTIO_NET_HANDED]);
}

/* As a guest does, which knows nothing of who serves it. */
static void kick(struct nic *n, unsigned queue)
{
	harness_kick(&n->h, queue);
	harness_kick_again(&n->h, queue);
}

/* The length of the next chain, which may take a while. */
static int64_t take(struct nic *n, unsigned queue)
{
	int64_t len = -1;

	for (int i = 0; i < 3000 && len < 0; i++) {
		harness_turn(&n->h);
		len = harness_take(&n->h, queue, NULL);
		if (len < 0)
			usleep(1000);
	}
	return len;
}

static size_t frame_make(unsigned char *frame, unsigned seed)
{
	size_t len = 60 + seed;

	memset(frame, 0xff, 12);
	frame[12] = PROTOCOL >> 8;
	frame[13] = PROTOCOL & 0xff;
	memset(frame + 14, (int)seed + 1, len - 14);
	return len;
}

/* A frame from the guest, and one to it. */
static bool use(struct nic *n, unsigned seed)
{
	unsigned char frame[400], got[400];
	size_t len = frame_make(frame, seed);
	struct harness_buffer out = { OUT, (uint32_t)(HEADER + len), false },
			      in = { IN, 2000, true };
	ssize_t there = -1;

	memset(harness_at(&n->h, OUT, HEADER), 0, HEADER);
	memcpy(harness_at(&n->h, OUT + HEADER, len), frame, len);
	harness_offer(&n->h, 1, &out, 1);
	kick(n, 1);
	if (take(n, 1) != 0)
		return false;
	for (int i = 0; i < 2000 && there < 0; i++, usleep(there < 0 ? 1000 : 0))
		there = recv(n->wire, got, sizeof(got), 0);
	if (there != (ssize_t)len || memcmp(got, frame, len) != 0)
		return false;
	harness_offer(&n->h, 0, &in, 1);
	kick(n, 0);
	len = frame_make(frame, seed + 1);
	return write(n->wire, frame, len) == (ssize_t)len &&
	       take(n, 0) == (int64_t)(HEADER + len) &&
	       !memcmp(harness_at(&n->h, IN + HEADER, len), frame, len);
}

static bool use_some(struct nic *n, unsigned times)
{
	bool good = true;

	for (unsigned i = 0; good && i < times; i++)
		good = use(n, i);
	return good;
}

/* n, which was saved, goes on in m, which was not started. */
static bool move(struct nic *n, struct nic *m)
{
	struct virtio_device *from = n->h.device, *to = m->h.device;
	struct record r = { 0 };

	virtio_stop(from);
	for (unsigned i = 0; i < from->nqueues; i++)
		virtq_save(&from->queues[i], &r);
	from->ops->save(from, &r);
	guestmem_write(&m->h.mem, 0, harness_at(&n->h, 0, HARNESS_MEMORY), HARNESS_MEMORY);
	to->features = from->features;
	memcpy(m->h.queue, n->h.queue, sizeof(m->h.queue));
	memcpy(m->h.setup, n->h.setup, sizeof(m->h.setup));
	to->transport = &m->h;
	to->transport_ops = &harness_transport;
	for (unsigned i = 0; i < to->nqueues; i++)
		virtq_load(&to->queues[i], &r);
	return to->ops->load(to, &r, NULL) == 0 && record_done(&r) && harness_go_on(&m->h) == 0;
}

static void test_moves(struct nl_sock *nl)
{
	struct nic *n = malloc(3 * sizeof(*n));
	struct virtio_device *d;

	nic_make(&n[0], nl, "mfa", true);
	nic_make(&n[1], nl, "mfb", false);
	nic_make(&n[2], nl, "mfc", true);
	d = n[0].h.device;
	ok(d->offered == n[1].h.device->offered, "what is offered is the same without the kernel");
	ok(harness_start(&n[0].h, d, ~0ull) == 0 && handed(&n[0]) == 1,
	   "the kernel has the queues");
	ok(use_some(&n[0], 100), "a hundred frames each way");
	virtio_stop(d);
	ok(d->queues[0].next_avail == 100 && d->queues[1].next_avail == 100,
	   "stopped, the queues stand where they should (%u, %u)", d->queues[0].next_avail,
	   d->queues[1].next_avail);
	ok(harness_go_on(&n[0].h) == 0 && handed(&n[0]) == 2 && use_some(&n[0], 10),
	   "it goes on where it stood");
	ok(move(&n[0], &n[1]) && handed(&n[1]) == 0 && use_some(&n[1], 20),
	   "saved, it goes on without the kernel");
	ok(move(&n[1], &n[2]) && handed(&n[2]) == 1 && use_some(&n[2], 20),
	   "and with the kernel again");
	for (int i = 0; i < 3; i++)
		nic_free(&n[i]);
	free(n);
}

static void test_hands(struct nl_sock *nl)
{
	struct ratelimit_rates none = RATELIMIT_NONE, some = none;
	struct harness_buffer out = { OUT, HEADER + 60, false };
	struct nic *n = malloc(sizeof(*n));
	struct virtio_device *d;

	some.bytes = (struct rate){ 1 << 20, 0 };
	nic_make(n, nl, "mfa", true);
	d = n->h.device;
	harness_start(&n->h, d, ~0ull);
	ok(use_some(n, 5), "frames pass");
	virtio_net_set_rates(d, &some, &none);
	ok(use_some(n, 5) && atomic_load(&n->counters[VIRTIO_NET_RX_PACKETS]) == 5,
	   "with a rate the device moves them itself");
	virtio_net_set_rates(d, &none, &none);
	ok(handed(n) == 2 && use_some(n, 5) &&
		   atomic_load(&n->counters[VIRTIO_NET_RX_PACKETS]) == 5,
	   "without it the kernel");
	virtio_net_set_link(d, false);
	harness_offer(&n->h, 1, &out, 1);
	kick(n, 1);
	ok(take(n, 1) == 0 && atomic_load(&n->counters[VIRTIO_NET_TX_DROPPED]) == 1,
	   "with the link down they are dropped");
	virtio_net_set_link(d, true);
	ok(handed(n) == 3 && use_some(n, 5), "and pass again when it is up");
	virtio_stop(d);
	virtio_reset(d);
	harness_kick_again(&n->h, 1);
	n->h.call_fd[0] = -ENXIO - n->h.call_fd[0];
	harness_start(&n->h, d, ~0ull);
	n->h.call_fd[0] = -ENXIO - n->h.call_fd[0];
	ok(handed(n) == 3 && use_some(n, 5), "a driver without a vector is served by the device");
	nic_free(n);
	free(n);
}

static void test_hostile(struct nl_sock *nl)
{
	struct nic *n = malloc(sizeof(*n));
	struct virtio_device *d;
	uint16_t *avail;

	nic_make(n, nl, "mfa", true);
	d = n->h.device;
	harness_start(&n->h, d, ~0ull);
	use_some(n, 5);
	avail = harness_at(&n->h, n->h.queue[1].base + 0x1000, 4);
	avail[1] += 1000;
	kick(n, 1);
	for (int i = 0; i < 2000 && !*n->h.failed; i++) {
		usleep(1000);
		harness_turn(&n->h);
	}
	ok(n->h.resets_needed == 1 &&
		   !strcmp(n->h.failed, "nic/a: queues 0 and 1: the kernel cannot go on with them"),
	   "rings that are wrong break the device: %s", n->h.failed);
	virtio_reset(d);
	ok(harness_start(&n->h, d, ~0ull) == 0 && use_some(n, 5), "after a reset it works");
	netlink_delete(nl, (int)if_nametoindex(n->name), NULL);
	*n->h.failed = '\0';
	for (int i = 0; i < 3000 && !*n->h.failed; i++) {
		usleep(1000);
		harness_turn(&n->h);
	}
	ok(!strcmp(n->h.failed, "nic/a: its interface on the host is gone") &&
		   n->h.resets_needed == 1,
	   "a tap that disappears is told of: %s", n->h.failed);
	nic_free(n);
	free(n);
}

static void test_owned(void)
{
	int fd = open("/dev/vhost-net", O_RDWR | O_CLOEXEC), other = dup(fd);
	struct vhost_kernel *v = NULL, *w = NULL;
	struct vhost_vring vring = { .size = 3, .kick = -1, .call = -1 };
	struct vhost_region region = { .len = 4096 };
	struct err e = { 0 };

	ok(vhost_kernel_new(fd, &v, &e) == 0, "owned %s", e.text);
	ok(vhost_kernel_new(other, &w, &e) == -EBUSY, "once: %s", e.text);
	ok(vhost_kernel_set_features(v, 1ull << 63, &e) < 0, "features it has not: %s", e.text);
	ok(vhost_kernel_set_memory(v, &region, VHOST_REGIONS + 1, &e) == -EINVAL,
	   "more memory than there can be: %s", e.text);
	ok(vhost_kernel_set_queue(v, 0, &vring, &e) < 0, "a size that cannot be: %s", e.text);
	ok(vhost_kernel_set_queue(v, 7, &vring, &e) < 0, "a queue that is not there: %s", e.text);
	ok(vhost_kernel_net(v, 0, 0, &e) < 0, "a tap that is none: %s", e.text);
	vhost_kernel_free(v);
}

int main(void)
{
	struct nl_sock *nl = NULL;
	int fd;

	test_refused();
	test_without();
	(void)!system("modprobe -aq tun vhost_net 2>/dev/null");
	fd = open("/dev/vhost-net", O_RDWR | O_CLOEXEC);
	if (fd < 0 || unshare(CLONE_NEWNET) < 0 || netlink_open(-1, &nl, NULL) < 0) {
		ok(true, "with the kernel # SKIP no /dev/vhost-net here");
		return tap_done();
	}
	close(fd);
	/* Frames of nobody's but ours. */
	(void)!system("echo 1 >/proc/sys/net/ipv6/conf/default/disable_ipv6");
	test_owned();
	test_moves(nl);
	test_hands(nl);
	test_hostile(nl);
	netlink_close(nl);
	return tap_done();
}
