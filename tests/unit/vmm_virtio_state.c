/*
 * Saved and loaded in mid-traffic: a device of each kind goes on in another machine, on a copy of
 * the memory, where it stopped; and a state that is refused changes nothing.
 */
#include "tests/unit/harness_virtio_pci.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/virtio_blk.h>
#include <sys/mman.h>

#include "vmm/virtio_blk.h"
#include "vmm/virtio_console.h"
#include "vmm/virtio_rng.h"

#define IMAGE (1u << 20)

struct side {
	struct rig rig;
	struct virtio_device *dev;
	struct pci_function *f;
	size_t printed;
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

static const struct kind {
	const char *name;
	unsigned queues;
	void (*make)(struct side *s, int image);
	bool (*use)(struct side *s, struct driver *d, unsigned n);
} kinds[] = {
	{ "rng", 1, make_rng, use_rng },
	{ "console", 2, make_console, use_console },
	{ "disk", 2, make_disk, use_disk },
};

static void side_new(struct side *s, const struct kind *k, int image)
{
	memset(s, 0, sizeof(*s));
	rig_new(&s->rig);
	k->make(s, image);
	s->f = rig_plug(&s->rig, s->dev, 1);
}

static void side_free(struct side *s)
{
	rig_unplug(&s->rig, s->f);
	rig_free(&s->rig);
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
	ok(b->rig.msis - before >= 21, "%s: with its interrupts", k->name);
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
	struct record *r = calloc(1, sizeof(*r)), *before = calloc(1, sizeof(*r));
	struct side s;
	struct driver d;
	unsigned seed = 1;

	if (ftruncate(image, IMAGE) < 0)
		abort();
	for (int i = 0; i < 300; i++) {
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
	ok(refused > 200 && changed == 0, "%s: %d states are refused and change nothing", k->name,
	   refused);
	free(r);
	free(before);
	close(image);
}

int main(void)
{
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		test_move(&kinds[i]);
		test_refused(&kinds[i]);
	}
	test_waiting();
	return tap_done();
}
