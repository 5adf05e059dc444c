/*
 * Unit test of virtio-net on a memory image, its tap a socket (or, where one may be made, a tap):
 * frames both ways, buffers merged and too small, rates, the link, the control queue, saving and
 * loading in mid-traffic, and drivers that do what none may.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/virtio_net.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <unistd.h>

#include "backends/net/netlink.h"
#include "backends/net/tap.h"
#include "tests/unit/harness_virtio.h"
#include "vmm/virtio/virtio_net.h"

#define HEADER	   12
#define MERGE	   (1ull << VIRTIO_NET_F_MRG_RXBUF)
#define ALL	   (~0ull)
#define RX_AT(i)   (HARNESS_BUFFERS + (uint64_t)(i)*0x20000)
#define TX_AT	   (HARNESS_BUFFERS + 0x800000)
#define CONTROL_AT (HARNESS_BUFFERS + 0x900000)

struct net {
	struct harness h;
	int wire[VIRTIO_NET_PAIRS]; /* the other ends */
	_Atomic uint64_t counters[VIRTIO_NET_COUNTERS];
};

static void net_make(struct net *n, unsigned pairs, const struct ratelimit_rates *in,
		     const struct ratelimit_rates *out)
{
	struct virtio_env env;
	struct virtio_net_spec spec = {
		.mac = { { 0x52, 0x54, 0, 1, 2, 3 } },
		.mtu = 5100,
		.pairs = pairs,
		.link = true,
		.in = in ? *in : RATELIMIT_NONE,
		.out = out ? *out : RATELIMIT_NONE,
		.counters = n->counters,
	};
	int taps[VIRTIO_NET_PAIRS], fds[2];

	memset(n, 0, sizeof(*n));
	harness_init(&n->h);
	env = harness_env(&n->h);
	for (unsigned i = 0; i < pairs; i++) {
		if (socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, fds) < 0)
			abort();
		taps[i] = fds[0];
		n->wire[i] = fds[1];
	}
	spec.taps = taps;
	if (virtio_net_new(&env, "nic/eth0", &spec, &n->h.device, NULL) < 0)
		abort();
}

static void net_free(struct net *n, unsigned pairs)
{
	harness_free(&n->h);
	for (unsigned i = 0; i < pairs; i++)
		close(n->wire[i]);
}

/* A frame as a tap gives it: a header, then bytes that tell where they belong. */
static void frame_make(unsigned char *frame, size_t len, unsigned char seed)
{
	memset(frame, 0, HEADER);
	for (size_t i = 0; i < len; i++)
		frame[HEADER + i] = (unsigned char)(seed + i * 7 + i / 256);
}

static void wire_send(struct net *n, unsigned pair, size_t len, unsigned char seed)
{
	static unsigned char frame[HEADER + 70000];

	frame_make(frame, len, seed);
	if (write(n->wire[pair], frame, HEADER + len) < 0)
		printf("# wire: %s\n", strerror(errno));
}

static void offer_in(struct net *n, unsigned queue, uint64_t at, uint32_t len)
{
	struct harness_buffer b = { at, len, true };

	harness_offer(&n->h, queue, &b, 1);
}

static bool frame_at(struct net *n, uint64_t gpa, size_t from, size_t len, unsigned char seed)
{
	static unsigned char want[HEADER + 70000];

	frame_make(want, from + len, seed);
	return !memcmp(harness_at(&n->h, gpa, len), want + HEADER + from, len);
}

static uint16_t merged(struct net *n, uint64_t gpa)
{
	return ((struct virtio_net_hdr_v1 *)harness_at(&n->h, gpa, HEADER))->num_buffers;
}

static void offer_out(struct net *n, unsigned queue, size_t len, unsigned char seed)
{
	static unsigned char frame[HEADER + 70000];
	struct harness_buffer b[3] = { { TX_AT, HEADER, false },
				       { TX_AT + HEADER, (uint32_t)len / 2, false },
				       { TX_AT + HEADER + len / 2, (uint32_t)(len - len / 2),
					 false } };

	frame_make(frame, len, seed);
	memcpy(harness_at(&n->h, TX_AT, HEADER + len), frame, HEADER + len);
	harness_offer(&n->h, queue, b, 3);
}

static bool wire_has(struct net *n, unsigned pair, size_t len, unsigned char seed)
{
	static unsigned char got[HEADER + 70000], want[HEADER + 70000];

	frame_make(want, len, seed);
	return read(n->wire[pair], got, sizeof(got)) == (ssize_t)(HEADER + len) &&
	       !memcmp(got, want, HEADER + len);
}

static uint64_t counter(struct net *n, enum virtio_net_counter which)
{
	return atomic_load(&n->counters[which]);
}

static void test_send(void)
{
	struct net n;
	struct harness_buffer header = { TX_AT, HEADER, false };

	net_make(&n, 1, NULL, NULL);
	ok(harness_start(&n.h, n.h.device, 0) == 0, "net: started");
	offer_out(&n, 1, 60, 1);
	offer_out(&n, 1, 60, 1);
	harness_kick(&n.h, 1);
	ok(wire_has(&n, 0, 60, 1) && wire_has(&n, 0, 60, 1),
	   "two frames out of three buffers each");
	ok(harness_take(&n.h, 1, NULL) == 0 && harness_take(&n.h, 1, NULL) == 0 &&
		   n.h.interrupts[1] == 1,
	   "given back, with one interrupt");
	offer_out(&n, 1, 65500, 9);
	harness_kick(&n.h, 1);
	ok(wire_has(&n, 0, 65500, 9), "a segment of 64 KiB");
	harness_offer(&n.h, 1, &header, 1);
	harness_kick(&n.h, 1);
	ok(!n.h.resets_needed && counter(&n, VIRTIO_NET_TX_DROPPED) == 1,
	   "a header without a frame is dropped");
	ok(counter(&n, VIRTIO_NET_TX_PACKETS) == 3 && counter(&n, VIRTIO_NET_TX_BYTES) == 65620,
	   "all counted");
	net_free(&n, 1);
}

static void test_receive(void)
{
	struct net n;

	net_make(&n, 1, NULL, NULL);
	harness_start(&n.h, n.h.device, 0);
	wire_send(&n, 0, 60, 1);
	harness_turn(&n.h);
	ok(harness_take(&n.h, 0, NULL) == -1 && counter(&n, VIRTIO_NET_RX_WAITS) > 0,
	   "without a buffer a frame waits");
	offer_in(&n, 0, RX_AT(0), 1530);
	harness_kick(&n.h, 0);
	ok(harness_take(&n.h, 0, NULL) == HEADER + 60 &&
		   frame_at(&n, RX_AT(0) + HEADER, 0, 60, 1) && merged(&n, RX_AT(0)) == 1 &&
		   n.h.interrupts[0] == 1,
	   "then it arrives");
	offer_in(&n, 0, RX_AT(0), 100);
	offer_in(&n, 0, RX_AT(1), 1530);
	harness_kick(&n.h, 0);
	wire_send(&n, 0, 1000, 2);
	wire_send(&n, 0, 80, 3);
	harness_turn(&n.h);
	ok(harness_take(&n.h, 0, NULL) == HEADER + 80 &&
		   frame_at(&n, RX_AT(0) + HEADER, 0, 80, 3) &&
		   counter(&n, VIRTIO_NET_RX_DROPPED) == 1,
	   "too large for the next buffer: dropped, and the buffer serves the next frame");
	wire_send(&n, 0, 1514, 4);
	harness_turn(&n.h);
	ok(harness_take(&n.h, 0, NULL) == HEADER + 1514, "a full frame");
	net_free(&n, 1);
}

static void test_merged(void)
{
	struct net n;
	bool good = true;
	uint64_t total = 0;

	net_make(&n, 1, NULL, NULL);
	harness_start(&n.h, n.h.device, MERGE);
	for (unsigned i = 0; i < 40; i++)
		offer_in(&n, 0, RX_AT(0) + 1024 * i, 1024);
	harness_kick(&n.h, 0);
	wire_send(&n, 0, 3000, 7);
	wire_send(&n, 0, 60, 8);
	harness_turn(&n.h);
	ok(harness_take(&n.h, 0, NULL) == 1024 && harness_take(&n.h, 0, NULL) == 1024 &&
		   harness_take(&n.h, 0, NULL) == HEADER + 3000 - 2048 && merged(&n, RX_AT(0)) == 3,
	   "a frame over three buffers");
	ok(frame_at(&n, RX_AT(0) + HEADER, 0, 3000, 7), "its bytes in order");
	ok(harness_take(&n.h, 0, NULL) == HEADER + 60 && merged(&n, RX_AT(0) + 3072) == 1 &&
		   frame_at(&n, RX_AT(0) + 3072 + HEADER, 0, 60, 8),
	   "the next one behind it");
	/* Down to the last buffers, which hold no full frame. */
	for (unsigned i = 0; i < 34; i++)
		wire_send(&n, 0, 900, (unsigned char)i);
	harness_turn(&n.h);
	while (total < 34) {
		good = good && harness_take(&n.h, 0, NULL) == HEADER + 900 &&
		       frame_at(&n, RX_AT(0) + 1024 * (4 + total) + HEADER, 0, 900,
				(unsigned char)total);
		total++;
	}
	ok(good, "thirty-four more");
	wire_send(&n, 0, 3000, 1);
	wire_send(&n, 0, 2000, 2);
	harness_turn(&n.h);
	ok(harness_take(&n.h, 0, NULL) == 1024 &&
		   harness_take(&n.h, 0, NULL) == HEADER + 2000 - 1024 &&
		   counter(&n, VIRTIO_NET_RX_DROPPED) == 1 &&
		   frame_at(&n, RX_AT(0) + 1024 * 38 + HEADER, 0, 2000, 2),
	   "with two left, what is larger is dropped, and what fits is not");
	/* The rings go round. */
	good = true;
	for (unsigned i = 0; i < 5000 && good; i++) {
		offer_in(&n, 0, RX_AT(0), 1024);
		offer_in(&n, 0, RX_AT(1), 1024);
		harness_kick(&n.h, 0);
		wire_send(&n, 0, 1500, (unsigned char)i);
		harness_turn(&n.h);
		good = harness_take(&n.h, 0, NULL) == 1024 &&
		       harness_take(&n.h, 0, NULL) == HEADER + 1500 - 1024 &&
		       frame_at(&n, RX_AT(0) + HEADER, 0, 1024 - HEADER, (unsigned char)i) &&
		       frame_at(&n, RX_AT(1), 1024 - HEADER, 1500 - 1024 + HEADER,
				(unsigned char)i);
	}
	ok(good, "and so five thousand times");
	net_free(&n, 1);
}

static void test_rates(void)
{
	struct ratelimit_rates slow = { { 1000, 100 }, { LIMIT_MAX, 0 } }, none = RATELIMIT_NONE;
	struct net n;

	net_make(&n, 1, &slow, &slow);
	harness_start(&n.h, n.h.device, 0);
	offer_out(&n, 1, 100, 1);
	offer_out(&n, 1, 100, 1);
	harness_kick(&n.h, 1);
	ok(wire_has(&n, 0, 100, 1) && !wire_has(&n, 0, 100, 1), "the rate lets the burst out");
	ok(harness_take(&n.h, 1, NULL) == 0 && harness_take(&n.h, 1, NULL) == -1,
	   "and leaves the rest with the guest");
	event_base_loop(n.h.loop, EVLOOP_ONCE);
	ok(wire_has(&n, 0, 100, 1), "until it may");
	for (unsigned i = 0; i < 3; i++)
		offer_in(&n, 0, RX_AT(i), 1530);
	harness_kick(&n.h, 0);
	for (unsigned i = 0; i < 3; i++)
		wire_send(&n, 0, 150, 1);
	harness_turn(&n.h);
	ok(harness_take(&n.h, 0, NULL) > 0 && harness_take(&n.h, 0, NULL) == -1,
	   "what comes in waits as well");
	virtio_net_set_rates(n.h.device, &none, &none);
	ok(harness_take(&n.h, 0, NULL) > 0 && harness_take(&n.h, 0, NULL) > 0 &&
		   counter(&n, VIRTIO_NET_RATE_WAITS) >= 2,
	   "lifted, the rest is there");
	net_free(&n, 1);
}

static uint16_t link_status(struct net *n)
{
	uint16_t status;

	n->h.device->ops->config_read(n->h.device, 6, &status, 2);
	return status;
}

static void test_link(void)
{
	struct net n;

	net_make(&n, 1, NULL, NULL);
	harness_start(&n.h, n.h.device, 1ull << VIRTIO_NET_F_GUEST_ANNOUNCE);
	ok(link_status(&n) == VIRTIO_NET_S_LINK_UP, "the link is up");
	virtio_net_set_link(n.h.device, false);
	ok(link_status(&n) == 0 && n.h.config_interrupts == 1, "down, and the guest is told");
	offer_out(&n, 1, 60, 1);
	offer_in(&n, 0, RX_AT(0), 1530);
	harness_kick(&n.h, 1);
	harness_kick(&n.h, 0);
	wire_send(&n, 0, 60, 1);
	harness_turn(&n.h);
	ok(!wire_has(&n, 0, 60, 1) && harness_take(&n.h, 1, NULL) == 0 &&
		   harness_take(&n.h, 0, NULL) == -1,
	   "nothing passes");
	virtio_net_set_link(n.h.device, true);
	ok(link_status(&n) == (VIRTIO_NET_S_LINK_UP | VIRTIO_NET_S_ANNOUNCE) &&
		   n.h.config_interrupts == 2,
	   "up again, and it is to announce itself");
	ok(harness_take(&n.h, 0, NULL) == -1, "what was sent meanwhile is not delivered late");
	wire_send(&n, 0, 61, 1);
	harness_turn(&n.h);
	ok(harness_take(&n.h, 0, NULL) == HEADER + 61, "what comes now is");
	close(n.wire[0]);
	n.wire[0] = -1;
	harness_turn(&n.h);
	net_free(&n, 1);
}

/* One command; its answer, or -1. */
static int command(struct net *n, unsigned queue, uint8_t class, uint8_t what, const void *data,
		   uint32_t len)
{
	unsigned char *p = harness_at(&n->h, CONTROL_AT, 64);
	struct harness_buffer b[2] = { { CONTROL_AT, 2 + len, false },
				       { CONTROL_AT + 60, 1, true } };

	p[0] = class;
	p[1] = what;
	memcpy(p + 2, data, len);
	p[60] = 0xaa;
	harness_offer(&n->h, queue, b, 2);
	harness_kick(&n->h, queue);
	return harness_take(&n->h, queue, NULL) == 1 ? p[60] : -1;
}

static void test_control(void)
{
	struct net n;
	uint16_t pairs = 2;
	uint64_t offloads = 1;
	uint8_t mac[6] = { 2, 0, 0, 0, 0, 9 }, got[6];

	net_make(&n, 2, NULL, NULL);
	harness_start(&n.h, n.h.device, ALL);
	offer_in(&n, 2, RX_AT(0), 65700);
	offer_in(&n, 2, RX_AT(1), 65700);
	harness_kick(&n.h, 2);
	wire_send(&n, 1, 60, 1);
	harness_turn(&n.h);
	ok(harness_take(&n.h, 2, NULL) == -1, "the second pair sleeps");
	ok(command(&n, 4, VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET, &pairs, 2) == 0,
	   "two pairs");
	harness_turn(&n.h);
	ok(harness_take(&n.h, 2, NULL) == HEADER + 60, "now it works");
	offer_out(&n, 3, 60, 5);
	harness_kick(&n.h, 3);
	ok(wire_has(&n, 1, 60, 5), "both ways");
	pairs = 3;
	ok(command(&n, 4, VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET, &pairs, 2) == 1,
	   "three are refused");
	pairs = 0;
	ok(command(&n, 4, VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET, &pairs, 2) == 1,
	   "none as well");
	ok(command(&n, 4, VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET, &pairs, 1) == 1,
	   "half a number");
	ok(command(&n, 4, VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_ADDR_SET, mac, 6) == 0 &&
		   (n.h.device->ops->config_read(n.h.device, 0, got, 6), !memcmp(got, mac, 6)),
	   "the guest takes another address");
	ok(command(&n, 4, VIRTIO_NET_CTRL_GUEST_OFFLOADS, VIRTIO_NET_CTRL_GUEST_OFFLOADS_SET,
		   &offloads, 8) == 1,
	   "an offload that was not offered is refused");
	ok(command(&n, 4, 77, 1, mac, 6) == 1, "what nobody knows is refused");
	ok(command(&n, 4, 0, 0, mac, 0) == 1 && !n.h.resets_needed, "and so is too little");
	net_free(&n, 2);
}

/* Into another device, in mid-traffic: buffers taken but not filled, a control command done. */
static void test_save(void)
{
	struct net n, m;
	struct record r = { 0 };
	uint16_t pairs = 2;
	uint8_t mac[6] = { 2, 0, 0, 0, 0, 9 };
	struct virtio_device *d;

	net_make(&n, 2, NULL, NULL);
	d = n.h.device;
	harness_start(&n.h, d, ALL);
	command(&n, 4, VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET, &pairs, 2);
	command(&n, 4, VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_ADDR_SET, mac, 6);
	for (unsigned i = 0; i < 20; i++)
		offer_in(&n, 0, RX_AT(0) + 4096 * i, 4096);
	harness_kick(&n.h, 0);
	wire_send(&n, 0, 5000, 1);
	harness_turn(&n.h);
	ok(harness_take(&n.h, 0, NULL) == 4096 &&
		   harness_take(&n.h, 0, NULL) == HEADER + 5000 - 4096,
	   "save: a frame before");
	virtio_stop(d);
	for (unsigned i = 0; i < d->nqueues; i++)
		virtq_save(&d->queues[i], &r);
	d->ops->save(d, &r);

	net_make(&m, 2, NULL, NULL);
	guestmem_write(&m.h.mem, 0, harness_at(&n.h, 0, HARNESS_MEMORY), HARNESS_MEMORY);
	d = m.h.device;
	d->features = n.h.device->features;
	memcpy(m.h.queue, n.h.queue, sizeof(m.h.queue));
	memcpy(m.h.setup, n.h.setup, sizeof(m.h.setup));
	d->transport = &m.h;
	d->transport_ops = &harness_transport;
	for (unsigned i = 0; i < d->nqueues; i++)
		virtq_load(&d->queues[i], &r);
	ok(d->ops->load(d, &r, NULL) == 0 && record_done(&r), "save: loaded");
	ok(harness_go_on(&m.h) == 0, "save: goes on");
	wire_send(&m, 0, 5001, 2);
	wire_send(&m, 1, 60, 3);
	harness_turn(&m.h);
	ok(harness_take(&m.h, 0, NULL) == 4096 &&
		   harness_take(&m.h, 0, NULL) == HEADER + 5001 - 4096 &&
		   frame_at(&m, RX_AT(0) + 2 * 4096 + HEADER, 0, 5001, 2),
	   "save: the next frame is in the next buffers");
	offer_out(&m, 3, 60, 5);
	harness_kick(&m.h, 3);
	ok(wire_has(&m, 1, 60, 5) && !memcmp(virtio_net_mac(d).byte, mac, 6),
	   "save: both pairs and the address are as they were");
	ok(link_status(&m) & VIRTIO_NET_S_ANNOUNCE, "save: and it is to announce itself");
	memset(&r, 0xff, sizeof(r));
	r.failed = false;
	r.at = 0;
	r.len = 64;
	ok(d->ops->load(d, &r, NULL) == -EINVAL, "save: nonsense is refused");
	net_free(&n, 2);
	net_free(&m, 2);
}

static void test_hostile(void)
{
	struct harness_buffer bad[2] = { { RX_AT(0), 1000, false }, { ~0ull - 10, 100, true } };
	struct net n;

	net_make(&n, 1, NULL, NULL);
	harness_start(&n.h, n.h.device, MERGE);
	harness_offer(&n.h, 0, bad, 1);
	harness_kick(&n.h, 0);
	ok(n.h.resets_needed == 1 && strstr(n.h.failed, "nic/eth0: queue 0: "),
	   "hostile: a buffer that cannot be written: %s", n.h.failed);
	virtio_reset(n.h.device);
	harness_start(&n.h, n.h.device, MERGE);
	harness_offer(&n.h, 0, bad + 1, 1);
	harness_kick(&n.h, 0);
	ok(n.h.resets_needed == 2, "hostile: outside of memory: %s", n.h.failed);
	virtio_reset(n.h.device);
	harness_start(&n.h, n.h.device, MERGE);
	offer_in(&n, 0, RX_AT(0), 5);
	harness_kick(&n.h, 0);
	ok(n.h.resets_needed == 3, "hostile: smaller than the header: %s", n.h.failed);
	virtio_reset(n.h.device);

	/* One buffer of 1,000 single bytes after the other. */
	static struct vring_desc table[1000];
	struct harness_buffer indirect = { CONTROL_AT, sizeof(table), false };

	for (unsigned i = 0; i < 1000; i++)
		table[i] = (struct vring_desc){ RX_AT(0) + i, 1, VRING_DESC_F_WRITE | (i < 999),
						(uint16_t)(i + 1) };
	guestmem_write(&n.h.mem, CONTROL_AT, table, sizeof(table));
	harness_start(&n.h, n.h.device, MERGE);
	for (unsigned i = 0; i < 40; i++) {
		uint16_t head = harness_offer(&n.h, 0, &indirect, 1);
		struct vring_desc *d = harness_at(&n.h, n.h.queue[0].base + 16u * head, 16);

		d->flags = VRING_DESC_F_INDIRECT;
	}
	harness_kick(&n.h, 0);
	wire_send(&n, 0, 900, 1);
	wire_send(&n, 0, 1500, 1);
	harness_turn(&n.h);
	ok(harness_take(&n.h, 0, NULL) == HEADER + 900 && n.h.resets_needed == 3,
	   "hostile: a thousand bytes apart are a buffer");
	net_free(&n, 1);
}

/* A tap that the administrator removes. */
/* Buffers that wait for a frame lie in memory that the guest has given back since. */
static void test_buffers_gone(uint64_t features, uint32_t len)
{
	struct guestmem_want want = { .size = HARNESS_MEMORY,
				      .possible = HARNESS_MEMORY + (4u << 20),
				      .shared = true };
	struct net n;

	net_make(&n, 1, NULL, NULL);
	guestmem_free(&n.h.mem);
	if (guestmem_make(&n.h.mem, &want, NULL) < 0 || guestmem_plug(&n.h.mem, 0, 1) < 0)
		abort();
	harness_start(&n.h, n.h.device, features);
	offer_in(&n, 0, n.h.mem.hot.gpa, len);
	harness_kick(&n.h, 0);
	guestmem_unplug(&n.h.mem, 0, 1);
	wire_send(&n, 0, 60, 1);
	harness_turn(&n.h);
	ok(n.h.resets_needed == 1 && harness_take(&n.h, 0, NULL) == -1,
	   "%u bytes of memory that has gone break the queue: %s", len, n.h.failed);
	net_free(&n, 1);
}

static void test_gone(void)
{
	struct tap_spec spec = { .name = "mftest", .mtu = 1500, .queues = 1 };
	struct ratelimit_rates none = RATELIMIT_NONE;
	struct virtio_net_spec net = {
		.mtu = 1500, .pairs = 1, .link = true, .in = none, .out = none
	};
	struct nl_sock *nl = NULL;
	struct virtio_env env;
	struct err e = { 0 };
	struct net n = { 0 };
	int tap;

	if (unshare(CLONE_NEWNET) < 0 || netlink_open(-1, &nl, &e) < 0 ||
	    tap_open(nl, &spec, &tap, &e) < 0) {
		ok(true, "gone # SKIP no tap here: %s", e.text);
		netlink_close(nl);
		return;
	}
	net.taps = &tap;
	harness_init(&n.h);
	env = harness_env(&n.h);
	virtio_net_new(&env, "nic/eth0", &net, &n.h.device, NULL);
	ok(harness_start(&n.h, n.h.device, ALL) == 0 &&
		   virtio_has(n.h.device,
			      1ull << VIRTIO_NET_F_HOST_TSO4 | 1ull << VIRTIO_NET_F_GUEST_TSO6),
	   "gone: a real tap offers segmentation both ways");
	offer_in(&n, 0, RX_AT(0), 65700);
	harness_kick(&n.h, 0);
	netlink_delete(nl, netlink_index(nl, "mftest"), NULL);
	for (int i = 0; i < 2000 && !*n.h.failed; i++) {
		usleep(1000); // the kernel takes its time
		/* It greets who may be there; a queue without a buffer would not be looked at. */
		if (harness_take(&n.h, 0, NULL) >= 0) {
			offer_in(&n, 0, RX_AT(0), 65700);
			harness_kick(&n.h, 0);
		}
		harness_turn(&n.h);
	}
	ok(strstr(n.h.failed, "nic/eth0: its interface on the host is gone") &&
		   link_status(&n) == 0 && n.h.config_interrupts == 1 && !n.h.resets_needed,
	   "gone: the guest sees its cable pulled, the user a sentence");
	offer_out(&n, 1, 60, 1);
	harness_kick(&n.h, 1);
	ok(harness_take(&n.h, 1, NULL) == 0, "gone: what it sends is dropped");
	harness_free(&n.h);
	netlink_close(nl);
}

int main(void)
{
	test_send();
	test_receive();
	test_merged();
	test_rates();
	test_link();
	test_control();
	test_save();
	test_hostile();
	test_buffers_gone(0, 1530);
	test_buffers_gone(0, 100000);
	test_buffers_gone(MERGE, 1024);
	test_gone();
	return tap_done();
}
