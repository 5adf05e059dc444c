/*
 * Virtio devices as a hostile guest drives them: registers, queues, and saved states, on a memory
 * image. An input is a device and a row of small commands, some of which do what a good driver
 * does, so that the way into the devices is short.
 */
#include "tests/fuzz/saved.h"

#include <linux/virtio_mem.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "tests/unit/harness_virtio_pci.h"
#include "vmm/virtio/virtio_balloon.h"
#include "vmm/virtio/virtio_blk.h"
#include "vmm/virtio/virtio_console.h"
#include "vmm/virtio/virtio_mem.h"
#include "vmm/virtio/virtio_net.h"
#include "vmm/virtio/virtio_rng.h"

#define IMAGE (64u << 10)

/* Of the first byte: these bits choose among what came later. */
enum { MEM = 0x08, BALLOON = 0x10, HOT_NET = 0x18, LATER = 0x18 };

static unsigned queues; // that the driver starts
static uint64_t hot;	// where memory comes and goes; 0: nowhere
static int wire = -1;	// a tap's other end that stays

static void on_output(void *arg, const void *data, size_t len)
{
	const unsigned char *p = data;
	unsigned sum = 0;

	for (size_t i = 0; i < len; i++)
		sum += p[i];
	*(unsigned *)arg += sum;
}

/* An address near something interesting. */
static uint64_t address(struct script *s)
{
	static const uint64_t near[] = {
		0,	     RIG_RINGS,	    RIG_RINGS + 0x10000, RIG_DATA,    RIG_MEMORY,
		0xfee00000u, PCI_ECAM_BASE, UINT64_MAX - 7,	 0x80000000u, RIG_DATA + 512
	};
	unsigned i = take(s);

	if (hot && i & 0x20) // about the end of a block
		return hot + (i % 8 << 21) + take_n(s, 2) - 64;
	return near[i % 10] + take_n(s, 2) * (i & 0x80 ? 16 : 1) - (i & 0x40 ? 32 : 0);
}

static struct virtio_device *make_disk(const struct virtio_env *env, bool readonly)
{
	const struct block_options bo = { .cache = DISK_WRITEBACK,
					  .readonly = readonly,
					  .discard = true };
	const struct rate none = { LIMIT_MAX, 0 };
	const struct virtio_blk_options o = {
		.id = "disk/f", .serial = "fuzz", .queues = 2, none, none, none, none
	};
	struct virtio_device *d;
	struct block *b;
	int fd = memfd_create("image", MFD_CLOEXEC);

	fuzz_check(fd >= 0 && ftruncate(fd, IMAGE) == 0 &&
		   block_raw_new(fd, &bo, env->loop, &b, NULL) == 0 &&
		   virtio_blk_new(env, b, &o, NULL, &d, NULL) == 0);
	return d;
}

/* Its tap has some frames, and then is gone; or gets them when it is said. */
static struct virtio_device *make_net(const struct virtio_env *env, bool stays)
{
	static const unsigned char frames[4000];
	struct virtio_net_spec spec = { .mac = { { 0x52, 1 } },
					.mtu = 1500,
					.pairs = 1,
					.link = true,
					.in = RATELIMIT_NONE,
					.out = RATELIMIT_NONE };
	struct virtio_device *d;
	int fds[2];

	fuzz_check(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) == 0);
	for (size_t len = 10; !stays && len < sizeof(frames); len *= 3)
		fuzz_check(write(fds[1], frames, len) == (ssize_t)len);
	if (stays)
		wire = fds[1];
	else
		close(fds[1]);
	spec.taps = fds;
	fuzz_check(virtio_net_new(env, "nic/f", &spec, &d, NULL) == 0);
	return d;
}

/* Memory with room for more. */
static void hot_memory(struct rig *r)
{
	struct guestmem_want want = { .size = RIG_MEMORY, .possible = RIG_MEMORY + (16u << 20) };

	guestmem_free(&r->mem);
	fuzz_check(guestmem_make(&r->mem, &want, NULL) == 0);
	hot = r->mem.hot.gpa;
}

static struct virtio_device *make(struct rig *r, unsigned kind, unsigned *sum)
{
	const struct virtio_env *env = &r->env;
	struct virtio_device *d = NULL;

	if ((kind & LATER) == MEM)
		fuzz_check(virtio_mem_new(env, &r->mem, NULL, &d, NULL) == 0);
	else if ((kind & LATER) == BALLOON)
		fuzz_check(virtio_balloon_new(env, &r->mem, NULL, &d, NULL) == 0);
	else if ((kind & LATER) == HOT_NET)
		d = make_net(env, true);
	if (d)
		return d;

	switch ((kind & 7) % 5) {
	case 0:
		fuzz_check(virtio_rng_new(env, &d, NULL) == 0);
		break;
	case 1:
		fuzz_check(virtio_console_new(env, on_output, sum, &d, NULL) == 0);
		break;
	case 4:
		d = make_net(env, false);
		break;
	default:
		d = make_disk(env, (kind & 7) % 5 == 3);
	}
	return d;
}

/* Registers of the function, anywhere, in every size. */
static void touch(struct driver *d, struct script *s, bool write)
{
	static const unsigned sizes[] = { 1, 2, 4, 8 };
	unsigned how = take(s), size = sizes[how & 3];
	uint64_t at = d->bar + take_n(s, 2) % (VP_BAR_LEN + 8);

	if (how & 4)
		at = d->common + take(s) % 64;
	if (how & 8)
		at = d->config ? d->config + take(s) % 80 : at;
	if (write)
		driver_put(d, at, size, how & 16 ? address(s) : take_n(s, 2));
	else
		driver_get(d, at, size);
}

static void describe(struct driver *d, struct script *s)
{
	unsigned q = take(s) % queues, i = take(s) % 17;
	uint64_t at = address(s);
	uint32_t len = (uint32_t)take_n(s, 2);
	uint16_t flags = (uint16_t)(take(s) % 8), next = (uint16_t)take(s);

	if (take(s) & 1)
		len <<= 16;
	if (d->q[q].size)
		put_desc(d, q, i, at, len, flags, next % 20);
}

static void offer(struct driver *d, struct script *s)
{
	unsigned q = take(s) % queues;

	if (!d->q[q].size)
		return;
	driver_offer(d, q, (uint16_t)(take(s) % 20));
	driver_put(d, d->notify + 4 * q, 2, q);
}

/* A request as drivers make it: header, room, status. */
static void ask(struct driver *d, struct script *s)
{
	unsigned q = take(s) % queues, type = take(s) % 16;
	uint64_t header[2] = { type, take_n(s, 1) };
	uint32_t len = (uint32_t)take_n(s, 2);
	bool in = take(s) & 1;

	if (!d->q[q].size)
		return;
	guestmem_write(&d->rig->mem, RIG_DATA, header, sizeof(header));
	put_desc(d, q, 0, RIG_DATA, 16, VRING_DESC_F_NEXT, 1);
	put_desc(d, q, 1, RIG_DATA + 0x1000, len,
		 (uint16_t)(VRING_DESC_F_NEXT | (in ? VRING_DESC_F_WRITE : 0)), 2);
	put_desc(d, q, 2, RIG_DATA + 0x800, 1, VRING_DESC_F_WRITE, 0);
	driver_offer(d, q, 0);
	driver_put(d, d->notify + 4 * q, 2, q);
}

static void poke(struct rig *r, struct script *s)
{
	uint64_t at = address(s), v = take_n(s, 4);

	(void)guestmem_write(&r->mem, at, &v, sizeof(v));
}

static void reload(struct pci_function *f, struct script *s)
{
	fuzz_check(f->device.ops->pause(&f->device, NULL) == 0);
	saved_reload(&f->device, s);
	f->device.ops->resume(&f->device);
}

/* Of a machine with another device, as virtio-mem does it. */
static void plug_block(struct guestmem *m, unsigned type, unsigned which)
{
	if (type == 0 && !m->blocks[which % 8])
		guestmem_plug(m, which % 8, 1);
	else if (type == 1)
		guestmem_unplug(m, which % 8, 1);
}

/* A request to virtio-mem; its answer goes anywhere, if it is of a later kind. */
static void plug_memory(struct rig *r, struct driver *d, struct virtio_device *vd, struct script *s)
{
	unsigned type = take(s), how = take(s);
	struct virtio_mem_req q = { .type = (uint16_t)(type % 5) };

	if (hot && vd->ops->type != 24)
		plug_block(&r->mem, type % 5, how);
	if (!d->q[0].size || vd->ops->type != 24)
		return;
	q.u.plug.addr = d->rig->mem.hot.gpa + (how % 16 << 21) - (how & 0x80 ? 1u << 21 : 0) +
			(how & 0x40 ? take_n(s, 2) : 0);
	q.u.plug.nb_blocks = (uint16_t)(how & 0x20 ? take_n(s, 2) : how & 3);
	guestmem_write(&d->rig->mem, RIG_DATA, &q, sizeof(q));
	put_desc(d, 0, 0, RIG_DATA, sizeof(q), VRING_DESC_F_NEXT, 1);
	put_desc(d, 0, 1, type & 0x80 ? address(s) : RIG_DATA + 0x800, 10, VRING_DESC_F_WRITE, 0);
	driver_offer(d, 0, 0);
	driver_put(d, d->notify, 2, 0);
}

/* Its machine is to have more or less memory; or a frame comes. */
static void want(struct virtio_device *d, struct script *s)
{
	static const unsigned char frame[2000];
	uint64_t bytes = take_n(s, 2) << 12;

	if (wire >= 0)
		(void)!send(wire, frame, (bytes >> 12) % sizeof(frame), MSG_DONTWAIT);

	if (d->ops->type == 24)
		virtio_mem_want(d, bytes << 2);
	if (d->ops->type == 5)
		virtio_balloon_want(d, bytes);
}

static void config(struct rig *r, struct script *s)
{
	unsigned reg = take(s), size = 1u << take(s) % 3;

	rig_config(r, 1, reg, size);
	rig_set_config(r, 1, reg, size, (uint32_t)take_n(s, 4));
}

static void run(struct rig *r, struct driver *d, struct pci_function *f, struct virtio_device *vd,
		struct script *s)
{
	while (s->p < s->end) {
		switch (take(s) % 14) {
		case 0:
			touch(d, s, false);
			break;
		case 1:
			touch(d, s, true);
			break;
		case 2:
			config(r, s);
			break;
		case 3:
			driver_start(d, r, 1, queues, take(s) & 1 ? VIRTIO_EVENT_IDX : 0);
			break;
		case 4:
			describe(d, s);
			break;
		case 5:
			offer(d, s);
			break;
		case 6:
			ask(d, s);
			break;
		case 7:
			poke(r, s);
			break;
		case 8:
			rig_step(r);
			break;
		case 9:
			reload(f, s);
			break;
		case 10:
			fuzz_check(f->device.ops->pause(&f->device, NULL) == 0);
			rig_step(r);
			f->device.ops->resume(&f->device);
			break;
		case 11:
			driver_set_status(d, (uint8_t)take(s));
			break;
		case 12:
			plug_memory(r, d, vd, s);
			break;
		case 13:
			want(vd, s);
			break;
		}
	}
}

static void one(const char *data, size_t len)
{
	struct script s = { (const unsigned char *)data, (const unsigned char *)data + len };
	unsigned kind = take(&s), sum = 0;
	struct virtio_device *vd;
	struct pci_function *f;
	struct driver d;
	struct rig r;

	rig_new(&r);
	hot = 0;
	if ((kind & LATER) == MEM || (kind & LATER) == HOT_NET)
		hot_memory(&r);
	vd = make(&r, kind, &sum);
	queues = kind & LATER ? vd->nqueues : 2;
	f = rig_plug(&r, vd, 1);
	fuzz_check(driver_find(&d, &r, 1));
	if (kind & 0x80)
		driver_start(&d, &r, 1, queues, 0);
	run(&r, &d, f, vd, &s);
	rig_step(&r);
	fuzz_check(f->device.ops->pause(&f->device, NULL) == 0);
	f->device.ops->reset(&f->device);
	f->device.ops->resume(&f->device);
	// Whatever it did, after a reset a good driver finds a good device.
	fuzz_check(driver_start(&d, &r, 1, 1, 0));
	rig_unplug(&r, f);
	rig_free(&r);
	if (wire >= 0)
		close(wire);
	wire = -1;
}

int main(int argc, char **argv)
{
	return fuzz_main(argc, argv, one);
}
