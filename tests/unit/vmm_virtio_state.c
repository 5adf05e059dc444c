/*
 * Saved and loaded in mid-traffic: a device of each kind goes on in another machine, on a copy of
 * the memory, where it stopped; and a state that is refused changes nothing.
 */
#include "tests/unit/harness_virtio_pci.h"
#include "tests/unit/harness_virtiofsd.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_mem.h>
#include <linux/virtio_vsock.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "vmm/virtio/virtio_balloon.h"
#include "vmm/virtio/virtio_blk.h"
#include "vmm/virtio/virtio_console.h"
#include "vmm/virtio/virtio_fs.h"
#include "vmm/virtio/virtio_mem.h"
#include "vmm/virtio/virtio_net.h"
#include "vmm/virtio/virtio_rng.h"
#include "vmm/virtio/virtio_vsock.h"

#define IMAGE (1u << 20)
#define BLOCK (2u << 20) // of virtio-mem
#define CID   42

static char vsock_dir[] = "/tmp/virtio-state.XXXXXX", fs_dir[] = "/tmp/virtio-state.XXXXXX";

struct msi_route {
	struct rig *rig;
	struct event *readable;
	uint64_t address;
	uint32_t data;
};

#define ROUTES 8

struct side {
	struct rig rig; // the first, for what is given a rig
	struct msi_route routes[ROUTES];
	struct virtio_device *dev;
	struct pci_function *f;
	size_t printed;
	int wire;     // the other end of a tap
	pid_t server; // virtiofsd
	bool mounted; // the driver has begun a session with it
};

/* Interrupts by eventfds, as KVM has them: here the loop reads those. */
static void on_msi_fd(evutil_socket_t fd, short what, void *arg)
{
	const struct msi_route *m = arg;
	uint64_t n;

	if (read(fd, &n, sizeof(n)) == sizeof(n))
		rig_msi(m->rig, m->address, m->data);
}

static int msi_fd(void *arg, int *route, int eventfd, uint64_t address, uint32_t data, bool on)
{
	struct side *s = arg;
	struct msi_route *m;

	for (int i = 0; *route < 0 && i < ROUTES; i++)
		if (!s->routes[i].readable)
			*route = i;
	if (*route < 0)
		return -ENOSPC;
	m = &s->routes[*route];
	if (m->readable)
		event_free(m->readable);
	*m = (struct msi_route){ &s->rig, NULL, address, data };
	if (on)
		m->readable = event_new(s->rig.loop, eventfd, EV_READ | EV_PERSIST, on_msi_fd, m);
	else
		*route = -1;
	return m->readable ? event_add(m->readable, NULL) : 0;
}

static const struct pci_host_ops side_ops = {
	.msi = rig_msi, .msi_fd = msi_fd, .hotplug = rig_hotplug, .ejected = rig_ejected
};

static void on_printed(void *arg, const void *data, size_t len)
{
	((struct side *)arg)->printed += len;
}

/* ---- the kinds: how one is made, and one request whose answer can be checked ---- */

static void make_rng(struct side *s, int image)
{
	if (virtio_rng_new(&s->rig.env, &s->dev, NULL) < 0)
		abort();
}

static bool use_rng(struct side *s, struct driver *d, unsigned n)
{
	unsigned char bytes[32];

	return driver_request(d, 0, NULL, 0, bytes, sizeof(bytes)) == sizeof(bytes);
}

static void make_console(struct side *s, int image)
{
	if (virtio_console_new(&s->rig.env, on_printed, s, &s->dev, NULL) < 0)
		abort();
}

static bool use_console(struct side *s, struct driver *d, unsigned n)
{
	size_t before = s->printed;

	return driver_request(d, 1, "hello", 5, NULL, 0) == 0 && s->printed == before + 5;
}

static void make_disk(struct side *s, int image)
{
	const struct block_options bo = { .cache = DISK_WRITEBACK, .discard = true };
	const struct rate none = { LIMIT_MAX, 0 };
	const struct virtio_blk_options o = {
		.id = "disk/s", .serial = "s", .queues = 2, none, none, none, none
	};
	struct block *b;

	if (block_raw_new(fcntl(image, F_DUPFD_CLOEXEC, 0), &bo, s->rig.loop, &b, NULL) < 0 ||
	    virtio_blk_new(&s->rig.env, b, &o, NULL, &s->dev, NULL) < 0)
		abort();
}

/* Writes a sector by one queue and reads it by the other. */
static bool use_disk(struct side *s, struct driver *d, unsigned n)
{
	struct {
		struct virtio_blk_outhdr h;
		unsigned char bytes[512];
	} out = { .h = { .type = VIRTIO_BLK_T_OUT, .sector = n } };
	unsigned char in[513];

	memset(out.bytes, (int)n + 1, sizeof(out.bytes));
	if (driver_request(d, n % 2, &out, sizeof(out), in, 1) != 1 || in[0] != 0)
		return false;
	out.h.type = VIRTIO_BLK_T_IN;
	return driver_request(d, (n + 1) % 2, &out.h, sizeof(out.h), in, 513) == 513 &&
	       !memcmp(in, out.bytes, 512) && in[512] == 0;
}

static void make_net(struct side *s, int image)
{
	struct virtio_net_spec spec = { .mac = { { 0x52, 1 } },
					.mtu = 1500,
					.pairs = 1,
					.link = true,
					.in = RATELIMIT_NONE,
					.out = RATELIMIT_NONE };
	int fds[2];

	if (socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) < 0)
		abort();
	s->wire = fds[1];
	spec.taps = fds;
	if (virtio_net_new(&s->rig.env, "nic/s", &spec, &s->dev, NULL) < 0)
		abort();
}

/* A frame out, and one of another length in. */
static bool use_net(struct side *s, struct driver *d, unsigned n)
{
	unsigned char frame[12 + 200] = { 0 }, got[300];
	size_t len = 12 + 60 + n;

	memset(frame + 12, (int)n + 1, sizeof(frame) - 12);
	if (driver_request(d, 1, frame, (uint32_t)len, NULL, 0) != 0 ||
	    read(s->wire, got, sizeof(got)) != (ssize_t)len || memcmp(got, frame, len) != 0)
		return false;
	len++;
	return write(s->wire, frame, len) == (ssize_t)len &&
	       driver_request(d, 0, NULL, 0, got, sizeof(got)) == (long)len &&
	       !memcmp(got + 12, frame + 12, len - 12);
}

static void make_vsock(struct side *s, int image)
{
	struct virtio_vsock_spec spec = { .cid = CID };

	spec.dir = open(vsock_dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (virtio_vsock_new(&s->rig.env, "vsock", &spec, &s->dev, NULL) < 0)
		abort();
}

/* A port at which nobody listens says so. */
static bool use_vsock(struct side *s, struct driver *d, unsigned n)
{
	struct virtio_vsock_hdr out = { .src_cid = CID,
					.dst_cid = VSOCK_CID_HOST,
					.src_port = 1000 + n,
					.dst_port = 1,
					.type = VIRTIO_VSOCK_TYPE_STREAM,
					.op = VIRTIO_VSOCK_OP_REQUEST };
	struct virtio_vsock_hdr in = { 0 };

	return driver_request(d, 1, &out, sizeof(out), NULL, 0) == 0 &&
	       driver_request(d, 0, NULL, 0, &in, sizeof(in)) == sizeof(in) &&
	       in.op == VIRTIO_VSOCK_OP_RST && in.src_port == 1 && in.dst_port == 1000 + n;
}

static void make_mem(struct side *s, int image)
{
	struct guestmem_want want = { .size = RIG_MEMORY, .possible = RIG_MEMORY + 8 * BLOCK };

	guestmem_free(&s->rig.mem);
	if (guestmem_make(&s->rig.mem, &want, NULL) < 0 ||
	    virtio_mem_new(&s->rig.env, &s->rig.mem, NULL, &s->dev, NULL) < 0)
		abort();
	virtio_mem_want(s->dev, 8 * BLOCK);
}

/* Plugs a block, and takes out the one that the turn before has plugged. */
static bool use_mem(struct side *s, struct driver *d, unsigned n)
{
	struct virtio_mem_req q = { .type = n % 2 ? VIRTIO_MEM_REQ_UNPLUG : VIRTIO_MEM_REQ_PLUG };
	struct virtio_mem_resp a = { .type = 99 };

	q.u.plug.addr = s->rig.mem.hot.gpa + n / 2 % 8 * BLOCK;
	q.u.plug.nb_blocks = 1;
	return driver_request(d, 0, &q, sizeof(q), &a, sizeof(a)) == sizeof(a) &&
	       a.type == VIRTIO_MEM_RESP_ACK && s->rig.mem.blocks[n / 2 % 8] == !(n % 2);
}

static void make_balloon(struct side *s, int image)
{
	if (virtio_balloon_new(&s->rig.env, &s->rig.mem, NULL, &s->dev, NULL) < 0)
		abort();
}

/* A page goes into the balloon, and is another page's worth of zeros then. */
static bool use_balloon(struct side *s, struct driver *d, unsigned n)
{
	uint32_t pfn = 0x300 + n;

	s->rig.mem.host[pfn * 4096] = 1;
	return driver_request(d, 0, &pfn, sizeof(pfn), NULL, 0) == 0 &&
	       !s->rig.mem.host[pfn * 4096] &&
	       driver_request(d, 1, &pfn, sizeof(pfn), NULL, 0) == 0;
}

static void make_fs(struct side *s, int image)
{
	struct guestmem_want want = { .size = RIG_MEMORY, .shared = true };
	int server;

	guestmem_free(&s->rig.mem);
	s->server = virtiofsd_start(fs_dir, &server);
	if (guestmem_make(&s->rig.mem, &want, NULL) < 0 ||
	    virtio_fs_new(&s->rig.env, "share/s", "s", server, &s->dev, NULL) < 0)
		abort();
}

/* The error in a request's answer. */
static int fuse(struct driver *d, uint32_t opcode, const void *arg, uint32_t len, void *ret,
		uint32_t ret_len)
{
	struct {
		struct fuse_in_header h;
		char arg[100];
	} out = { .h = { sizeof(out.h) + len, opcode, .unique = 7, .nodeid = FUSE_ROOT_ID } };
	struct {
		struct fuse_out_header h;
		char ret[200];
	} in = { .h.unique = 0 };

	memcpy(out.arg, arg, len);
	if (driver_request(d, 1, &out, out.h.len, &in, sizeof(in.h) + ret_len) < 0 ||
	    in.h.unique != 7)
		return -1000;
	memcpy(ret, in.ret, ret_len);
	return in.h.error;
}

/*
 * Looks a file up. A server that the driver has not mounted knows nothing of what it had from
 * another one: it says so, until the share is mounted anew.
 */
static bool use_fs(struct side *s, struct driver *d, unsigned n)
{
	struct fuse_init_in init = { .major = 7, .minor = 31, .max_readahead = 65536 };
	struct fuse_init_out inited;
	struct fuse_entry_out entry = { 0 };

	if (!s->mounted && (fuse(d, FUSE_LOOKUP, "file", 5, &entry, sizeof(entry)) >= 0 ||
			    fuse(d, FUSE_INIT, &init, sizeof(init), &inited, sizeof(inited)) != 0))
		return false;
	s->mounted = true;
	return fuse(d, FUSE_LOOKUP, "file", 5, &entry, sizeof(entry)) == 0 && entry.attr.size == 6;
}

static const struct kind {
	const char *name;
	unsigned queues;
	void (*make)(struct side *s, int image);
	bool (*use)(struct side *s, struct driver *d, unsigned n);
	bool (*can)(void); // NULL: everywhere
} kinds[] = {
	{ "rng", 1, make_rng, use_rng },
	{ "console", 2, make_console, use_console },
	{ "disk", 2, make_disk, use_disk },
	{ "net", 2, make_net, use_net },
	{ "vsock", 2, make_vsock, use_vsock },
	{ "mem", 1, make_mem, use_mem },
	{ "balloon", 2, make_balloon, use_balloon },
	{ "fs", 2, make_fs, use_fs, virtiofsd_there },
};

static void side_new(struct side *s, const struct kind *k, int image)
{
	memset(s, 0, sizeof(*s));
	s->wire = -1;
	rig_new_with(&s->rig, &side_ops);
	k->make(s, image);
	s->f = rig_plug(&s->rig, s->dev, 1);
}

static void side_free(struct side *s)
{
	rig_unplug(&s->rig, s->f);
	for (int i = 0; i < ROUTES; i++)
		if (s->routes[i].readable)
			event_free(s->routes[i].readable);
	rig_free(&s->rig);
	if (s->wire >= 0)
		close(s->wire);
	if (s->server)
		waitpid(s->server, NULL, 0); // it ends with its connection
}

static void test_move(const struct kind *k)
{
	int image = memfd_create("image", MFD_CLOEXEC);
	struct record *r = calloc(1, sizeof(*r));
	struct side *a = malloc(sizeof(*a)), *b = malloc(sizeof(*b));
	struct err e = { 0 };
	struct driver d;
	bool good = true;
	unsigned before;

	if (ftruncate(image, IMAGE) < 0)
		abort();
	side_new(a, k, image);
	if (!driver_start(&d, &a->rig, 1, k->queues, VIRTIO_EVENT_IDX))
		abort();
	for (unsigned n = 0; n < 21; n++)
		good &= k->use(a, &d, n);
	ok(good, "%s: traffic", k->name);
	ok(a->f->device.ops->pause(&a->f->device, &e) == 0, "%s: pauses", k->name);
	a->f->device.ops->save(&a->f->device, r);
	side_new(b, k, image);
	memcpy(b->rig.mem.host, a->rig.mem.host, RIG_MEMORY);
	ok(!r->failed && b->f->device.ops->pause(&b->f->device, &e) == 0 &&
		   b->f->device.ops->load(&b->f->device, r, &e) == 0,
	   "%s: loads into another machine (%zu bytes) %s", k->name, r->len, e.text);
	side_free(a);
	d.rig = &b->rig;
	b->f->device.ops->resume(&b->f->device);
	before = b->rig.msis;
	for (unsigned n = 21; n < 42; n++)
		good &= k->use(b, &d, n);
	ok(good && b->rig.failures == 0, "%s: traffic goes on", k->name);
	for (unsigned i = 0; i < k->queues; i++)
		good &= driver_used_idx(&d, i) == d.q[i].next;
	ok(good, "%s: each request is answered once", k->name);
	/* Of a server's there may be one for several requests. */
	ok(b->rig.msis - before >= (k->can ? 1 : 21), "%s: with its interrupts", k->name);
	ok(driver_status(&d) == 15 && driver_get(&d, COMMON(&d, MSIX), 2) == 0,
	   "%s: and its registers", k->name);
	side_free(b);
	free(a);
	free(b);
	free(r);
	close(image);
}

/* What came while the machine stood still is served by its heir. */
static void test_waiting(void)
{
	struct record *r = calloc(1, sizeof(*r));
	struct side a, b;
	struct driver d;
	uint32_t head, len;

	side_new(&a, &kinds[0], -1);
	if (!driver_start(&d, &a.rig, 1, 1, 0) || a.f->device.ops->pause(&a.f->device, NULL) < 0)
		abort();
	put_desc(&d, 0, 5, RIG_DATA, 16, VRING_DESC_F_WRITE, 0);
	driver_offer(&d, 0, 5);
	a.f->device.ops->save(&a.f->device, r);
	side_new(&b, &kinds[0], -1);
	memcpy(b.rig.mem.host, a.rig.mem.host, RIG_MEMORY);
	b.f->device.ops->pause(&b.f->device, NULL);
	b.f->device.ops->load(&b.f->device, r, NULL);
	b.f->device.ops->resume(&b.f->device);
	d.rig = &b.rig;
	ok(driver_used(&d, 0, &head, &len) && head == 5 && len == 16 && b.rig.seen[1] == 1,
	   "a request that waited is served after loading");
	side_free(&a);
	side_free(&b);
	free(r);
}

static void test_refused(const struct kind *k)
{
	int image = memfd_create("image", MFD_CLOEXEC), refused = 0, changed = 0;
	int rounds = k->can ? 30 : 300; // each starts a server
	struct record *r = calloc(1, sizeof(*r)), *before = calloc(1, sizeof(*r));
	struct side s;
	struct driver d;
	unsigned seed = 1;

	if (ftruncate(image, IMAGE) < 0)
		abort();
	for (int i = 0; i < rounds; i++) {
		side_new(&s, k, image);
		driver_start(&d, &s.rig, 1, k->queues, 0);
		k->use(&s, &d, 1);
		s.f->device.ops->pause(&s.f->device, NULL);
		memset(before, 0, sizeof(*before));
		s.f->device.ops->save(&s.f->device, before);
		*r = *before;
		r->len = (unsigned)rand_r(&seed) % (r->len + 8);
		for (int n = 0; n < 3 && r->len; n++)
			r->data[(unsigned)rand_r(&seed) % r->len] = (unsigned char)rand_r(&seed);
		if (s.f->device.ops->load(&s.f->device, r, NULL) < 0) {
			memset(r, 0, sizeof(*r));
			s.f->device.ops->save(&s.f->device, r);
			refused++;
			changed += r->len != before->len || memcmp(r->data, before->data, r->len);
		}
		s.f->device.ops->resume(&s.f->device); // whatever it was told, it only lives on
		rig_step(&s.rig);
		side_free(&s);
	}
	ok(refused > rounds * 2 / 3 && changed == 0, "%s: %d states are refused and change nothing",
	   k->name, refused);
	free(r);
	free(before);
	close(image);
}

int main(void)
{
	char command[100];

	if (!mkdtemp(vsock_dir) || !mkdtemp(fs_dir))
		return 1;
	snprintf(command, sizeof(command), "echo hello >%s/file", fs_dir);
	if (system(command) != 0)
		return 1;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (kinds[i].can && !kinds[i].can()) {
			ok(true, "%s # SKIP needs root and " VIRTIOFSD, kinds[i].name);
			continue;
		}
		test_move(&kinds[i]);
		test_refused(&kinds[i]);
	}
	test_waiting();
	snprintf(command, sizeof(command), "rm -r %s %s", vsock_dir, fs_dir);
	return system(command) || tap_done();
}
