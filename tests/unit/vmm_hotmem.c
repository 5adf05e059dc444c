/* virtio-mem and virtio-balloon, driven as a guest would and as it should not, on a memory image.
 */
#include "tests/unit/harness_virtio_pci.h"

#include <errno.h>
#include <linux/virtio_balloon.h>
#include <linux/virtio_mem.h>
#include <stddef.h>

#include "vmm/virtio/virtio_balloon.h"
#include "vmm/virtio/virtio_mem.h"

#define MIB ((uint64_t)1 << 20)

/* A rig whose memory has room for 16 MiB more. */
static void hot_rig(struct rig *r)
{
	struct guestmem_want want = { .size = RIG_MEMORY, .possible = RIG_MEMORY + 16 * MIB };

	rig_new(r);
	guestmem_free(&r->mem);
	if (guestmem_make(&r->mem, &want, NULL) < 0)
		abort();
}

/* One request to virtio-mem: its answer, and the state if it was asked for. */
static int ask(struct driver *d, unsigned type, uint64_t addr, unsigned blocks, int *state)
{
	struct virtio_mem_req q = { .type = (uint16_t)type };
	struct virtio_mem_resp a = { .type = 99 };

	q.u.plug.addr = addr;
	q.u.plug.nb_blocks = (uint16_t)blocks;
	if (driver_request(d, 0, &q, sizeof(q), &a, sizeof(a)) != sizeof(a))
		return -1;
	if (state)
		*state = a.u.state.state;
	return a.type;
}

static void test_mem(void)
{
	struct rig r;
	struct virtio_device *vd;
	struct pci_function *f;
	struct driver d;
	_Atomic uint64_t plugged = 7;
	uint64_t base;
	int state = -1;
	char c = 'x';

	hot_rig(&r);
	if (virtio_mem_new(&r.env, &r.mem, &plugged, &vd, NULL) < 0)
		abort();
	f = rig_plug(&r, vd, 1);
	ok(driver_start(&d, &r, 1, 1, 0), "mem: a driver starts");
	base = driver_get(&d, d.config + offsetof(struct virtio_mem_config, addr), 8);
	ok(base == r.mem.hot.gpa && driver_get(&d, d.config, 8) == 2 * MIB &&
		   driver_get(&d, d.config + offsetof(struct virtio_mem_config, region_size), 8) ==
			   16 * MIB,
	   "mem: it learns where");
	ok(ask(&d, VIRTIO_MEM_REQ_PLUG, base, 1, NULL) == VIRTIO_MEM_RESP_NACK,
	   "mem: nobody wants more memory: refused");
	virtio_mem_want(vd, 5 * MIB);
	ok(driver_get(&d, d.config + offsetof(struct virtio_mem_config, requested_size), 8) ==
			   4 * MIB &&
		   r.seen[0] == 1,
	   "mem: 5 MiB are wanted, two blocks; the driver is told");
	ok(ask(&d, VIRTIO_MEM_REQ_PLUG, base + 2 * MIB, 2, NULL) == VIRTIO_MEM_RESP_ACK &&
		   plugged == 4 * MIB && guestmem_write(&r.mem, base + 2 * MIB, &c, 1) == 0,
	   "mem: plugged");
	ok(ask(&d, VIRTIO_MEM_REQ_PLUG, base, 1, NULL) == VIRTIO_MEM_RESP_NACK, "mem: no more");
	ok(ask(&d, VIRTIO_MEM_REQ_PLUG, base + 4 * MIB, 1, NULL) == VIRTIO_MEM_RESP_ERROR,
	   "mem: nor what is plugged already");
	ok(ask(&d, VIRTIO_MEM_REQ_STATE, base, 4, &state) == VIRTIO_MEM_RESP_ACK &&
		   state == VIRTIO_MEM_STATE_MIXED,
	   "mem: state: mixed");
	ok(ask(&d, VIRTIO_MEM_REQ_STATE, base + 2 * MIB, 2, &state) == VIRTIO_MEM_RESP_ACK &&
		   state == VIRTIO_MEM_STATE_PLUGGED,
	   "mem: state: plugged");
	ok(ask(&d, VIRTIO_MEM_REQ_UNPLUG, base, 2, NULL) == VIRTIO_MEM_RESP_ERROR,
	   "mem: what is not plugged cannot go");
	ok(ask(&d, VIRTIO_MEM_REQ_UNPLUG, base + 2 * MIB, 1, NULL) == VIRTIO_MEM_RESP_ACK &&
		   plugged == 2 * MIB && guestmem_write(&r.mem, base + 2 * MIB, &c, 1) < 0,
	   "mem: unplugged");
	ok(ask(&d, VIRTIO_MEM_REQ_PLUG, base + 1, 1, NULL) == VIRTIO_MEM_RESP_ERROR &&
		   ask(&d, VIRTIO_MEM_REQ_PLUG, base - 2 * MIB, 1, NULL) == VIRTIO_MEM_RESP_ERROR &&
		   ask(&d, VIRTIO_MEM_REQ_PLUG, base + 16 * MIB, 1, NULL) ==
			   VIRTIO_MEM_RESP_ERROR &&
		   ask(&d, VIRTIO_MEM_REQ_UNPLUG, base + 14 * MIB, 65535, NULL) ==
			   VIRTIO_MEM_RESP_ERROR &&
		   ask(&d, VIRTIO_MEM_REQ_STATE, ~0ull << 21, 2, NULL) == VIRTIO_MEM_RESP_ERROR &&
		   ask(&d, VIRTIO_MEM_REQ_STATE, base, 0, NULL) == VIRTIO_MEM_RESP_ERROR &&
		   ask(&d, 77, base, 1, NULL) == VIRTIO_MEM_RESP_ERROR,
	   "mem: nonsense is answered with an error");
	ok(ask(&d, VIRTIO_MEM_REQ_UNPLUG_ALL, 0, 0, NULL) == VIRTIO_MEM_RESP_ACK && plugged == 0,
	   "mem: all unplugged");
	put_desc(&d, 0, 0, RIG_DATA, 5, 0, 0);
	driver_offer(&d, 0, 0);
	driver_kick(&d, 0);
	ok(r.failures == 1, "mem: half a request breaks the device: %s", r.why);
	rig_unplug(&r, f);
	rig_free(&r);
}

/* Where the answer is to be written there may be no memory any more when it is known. */
static void test_mem_answer_gone(unsigned type)
{
	struct virtio_mem_req q = { .type = (uint16_t)type };
	struct rig r;
	struct virtio_device *vd;
	struct pci_function *f;
	struct driver d;
	uint32_t head, len;

	hot_rig(&r);
	if (virtio_mem_new(&r.env, &r.mem, NULL, &vd, NULL) < 0)
		abort();
	f = rig_plug(&r, vd, 1);
	virtio_mem_want(vd, 4 * MIB);
	driver_start(&d, &r, 1, 1, 0);
	ok(ask(&d, VIRTIO_MEM_REQ_PLUG, r.mem.hot.gpa, 2, NULL) == VIRTIO_MEM_RESP_ACK,
	   "mem: plugged");
	q.u.unplug.addr = r.mem.hot.gpa;
	q.u.unplug.nb_blocks = 1;
	guestmem_write(&r.mem, RIG_DATA, &q, sizeof(q));
	put_desc(&d, 0, 0, RIG_DATA, sizeof(q), VRING_DESC_F_NEXT, 1);
	put_desc(&d, 0, 1, r.mem.hot.gpa + 2 * MIB - 5, 10, VRING_DESC_F_WRITE, 0);
	driver_offer(&d, 0, 0);
	driver_kick(&d, 0);
	ok(!r.mem.blocks[0] && r.failures == 1 && !driver_used(&d, 0, &head, &len),
	   "mem: request %u takes away where its answer was to be: %s", type, r.why);
	rig_unplug(&r, f);
	rig_free(&r);
}

static void test_mem_old_driver(void)
{
	struct rig r;
	struct virtio_device *vd;
	struct pci_function *f;
	struct driver d;

	hot_rig(&r);
	if (virtio_mem_new(&r.env, &r.mem, NULL, &vd, NULL) < 0)
		abort();
	f = rig_plug(&r, vd, 1);
	driver_start(&d, &r, 1, 1, 1ull << VIRTIO_MEM_F_UNPLUGGED_INACCESSIBLE);
	ok(driver_status(&d) & VIRTIO_CONFIG_S_NEEDS_RESET,
	   "mem: a driver that may touch what is not plugged is refused: %s", r.why);
	rig_unplug(&r, f);
	rig_free(&r);
}

static void test_mem_saved(void)
{
	struct rig r;
	struct virtio_device *a;
	struct record rec = { 0 }, bad;
	struct err e = { 0 };
	_Atomic uint64_t plugged = 0;
	unsigned refused = 0;

	hot_rig(&r);
	if (virtio_mem_new(&r.env, &r.mem, &plugged, &a, NULL) < 0)
		abort();
	virtio_mem_want(a, 8 * MIB);
	guestmem_plug(&r.mem, 1, 1);
	guestmem_plug(&r.mem, 6, 1);
	a->ops->save(a, &rec);
	guestmem_unplug(&r.mem, 0, 8);
	ok(a->ops->load(a, &rec, &e) == 0 && r.mem.blocks[1] && r.mem.blocks[6] &&
		   !r.mem.blocks[0] && plugged == 4 * MIB,
	   "mem: saved and loaded: the same blocks");
	for (size_t i = 0; i < 33; i++) { // version, address, block, number, wanted
		bad = rec;
		bad.at = 0;
		bad.failed = false;
		bad.data[i] ^= 0x81;
		refused += a->ops->load(a, &bad, &e) == -EINVAL;
	}
	ok(refused == 33, "mem: a state of other memory is refused (%u of 33)", refused);
	bad = rec;
	bad.at = 0;
	bad.len = 10;
	ok(a->ops->load(a, &bad, &e) == -EINVAL && r.mem.blocks[1], "mem: one cut short, too");
	virtio_free(a);
	rig_free(&r);
}

static void test_balloon(void)
{
	struct rig r;
	struct virtio_device *vd;
	struct pci_function *f;
	struct driver d;
	_Atomic uint64_t figures[BALLOON_FIGURES] = { 0 };
	struct virtio_balloon_stat stats[2] = { { VIRTIO_BALLOON_S_AVAIL, 12345 }, { 500, 1 } };
	uint32_t pfns[4] = { 0x300, 0x301, 0x3ff, 0xffffffff }, head, len;

	rig_new(&r);
	if (virtio_balloon_new(&r.env, &r.mem, figures, &vd, NULL) < 0)
		abort();
	f = rig_plug(&r, vd, 1);
	virtio_balloon_want(vd, MIB);
	ok(driver_start(&d, &r, 1, 4, 0), "balloon: a driver starts");
	ok(driver_get(&d, d.config, 4) == 256, "balloon: 1 MiB is wanted");
	memset(r.mem.host + 0x300000, 1, 0x100000);
	ok(driver_request(&d, 0, pfns, sizeof(pfns), NULL, 0) == 0 && !r.mem.host[0x300000] &&
		   !r.mem.host[0x301fff] && r.mem.host[0x302000] && !r.mem.host[0x3ff000],
	   "balloon: pages are given back, those alone");
	driver_put(&d, d.config + 4, 4, 3);
	ok(figures[BALLOON_ACTUAL] == 3 * 4096, "balloon: the guest says how large it is");
	ok(driver_request(&d, 1, pfns, 12, NULL, 0) == 0, "balloon: and takes them again");
	guestmem_write(&r.mem, RIG_DATA, stats, sizeof(stats));
	put_desc(&d, 2, 0, RIG_DATA, sizeof(stats), 0, 0);
	driver_offer(&d, 2, 0);
	driver_kick(&d, 2);
	ok(figures[BALLOON_AVAILABLE] == 12345 && driver_used_idx(&d, 2) == 0,
	   "balloon: statistics; the buffer is kept until new ones are wanted");
	while (!driver_used(&d, 2, &head, &len))
		event_base_loop(r.loop, EVLOOP_ONCE);
	ok(head == 0 && r.seen[3] == 1, "balloon: which they are after a while");
	memset(r.mem.host + 0x300000, 1, 0x100000);
	put_desc(&d, 3, 0, 0x300800, 0x2000, VRING_DESC_F_WRITE, 0);
	driver_offer(&d, 3, 0);
	driver_kick(&d, 3);
	ok(driver_used(&d, 3, &head, &len) && r.mem.host[0x300fff] && !r.mem.host[0x301000] &&
		   r.mem.host[0x302000] && figures[BALLOON_REPORTED] == 0x2000,
	   "balloon: of a reported range the whole pages go back");
	rig_unplug(&r, f);
	rig_free(&r);
}

int main(void)
{
	test_mem();
	test_mem_answer_gone(VIRTIO_MEM_REQ_UNPLUG);
	test_mem_answer_gone(VIRTIO_MEM_REQ_UNPLUG_ALL);
	test_mem_old_driver();
	test_mem_saved();
	test_balloon();
	return tap_done();
}
