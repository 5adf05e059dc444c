/* PCI, the virtio transport and virtqueues, driven as a guest would, well and badly; without KVM.
 */
#include "tests/unit/harness_virtio_pci.h"

#include <errno.h>

#include "vmm/virtio/virtio_console.h"
#include "vmm/virtio/virtio_rng.h"
#include "vmm/virtio/virtq.h"

/* ---- PCI ---- */

static struct pci_function *plug_rng(struct rig *r, unsigned slot)
{
	struct virtio_device *d;

	if (virtio_rng_new(&r->env, &d, NULL) < 0)
		abort();
	return rig_plug(r, d, slot);
}

static void test_config(void)
{
	struct rig r;
	struct pci_function *f;
	uint32_t home;

	rig_new(&r);
	f = plug_rng(&r, 3);
	ok(rig_config(&r, 0, 8, 4) >> 8 == 0x060000 && rig_config(&r, 1, 0, 4) == 0xffffffff,
	   "pci: a host bridge, and nothing in an empty slot");
	ok(rig_config(&r, 3, 0, 4) == 0x10441af4 && rig_config(&r, 3, 8, 1) == 1,
	   "pci: a modern entropy device");
	iobus_write(&r.pio, 0xcf8, 4, 0x80000000 | 3 << 11);
	ok(iobus_read(&r.pio, 0xcfc, 4) == 0x10441af4 && iobus_read(&r.pio, 0xcfe, 2) == 0x1044 &&
		   iobus_read(&r.pio, 0xcfd, 1) == 0x1a,
	   "pci: the same by ports, in every width");
	iobus_write(&r.pio, 0xcf8, 4, 0x80010000 | 3 << 11);
	ok(iobus_read(&r.pio, 0xcfc, 4) == 0xffffffff, "pci: there is one bus");
	ok(rig_config(&r, 3, 0x100, 4) == 0 && rig_config(&r, 3, 0xfff, 1) == 0,
	   "pci: no extended capabilities");
	rig_set_config(&r, 3, 0, 4, 0);
	ok(rig_config(&r, 3, 0, 4) == 0x10441af4, "pci: identities are read only");

	home = rig_config(&r, 3, 0x10, 4);
	ok((home & 15) == 4 && (home & ~15u) >= PCI_WINDOW32, "pci: the BAR has an address");
	rig_set_config(&r, 3, 0x10, 4, 0xffffffff);
	rig_set_config(&r, 3, 0x14, 4, 0xffffffff);
	ok(rig_config(&r, 3, 0x10, 4) == (uint32_t)(~(VP_BAR_LEN - 1) | 4) &&
		   rig_config(&r, 3, 0x14, 4) == 0xffffffff,
	   "pci: and says its size");
	ok(iobus_read(&r.mmio, home & ~15u, 4) == 0xffffffff, "pci: it has left its old place");
	rig_set_config(&r, 3, 0x10, 4, 0x10000000);
	rig_set_config(&r, 3, 0x14, 4, 0x40); // window64 + 256 MiB
	ok(iobus_read(&r.mmio, 0x4010000000 + 0x12, 2) == 1, "pci: it answers where it was moved");
	rig_set_config(&r, 3, 4, 2, 0);
	ok(iobus_read(&r.mmio, 0x4010000000 + 0x12, 2) == 0xffff, "pci: not without decoding");
	rig_set_config(&r, 3, 0x14, 4, 0);
	rig_set_config(&r, 3, 0x10, 4, 0x1000); // over RAM
	rig_set_config(&r, 3, 4, 2, 2);
	ok(f->bar[0].base == 0, "pci: nor where no window is");
	f->device.ops->reset(&f->device);
	ok(rig_config(&r, 3, 0x10, 4) == home && iobus_read(&r.mmio, (home & ~15u) + 0x12, 2) == 1,
	   "pci: a reset brings it home");
	rig_unplug(&r, f);
	ok(iobus_read(&r.mmio, home & ~15u, 4) == 0xffffffff, "pci: unplugged, it is gone");
	rig_free(&r);
}

static void test_slots(void)
{
	struct rig r;
	struct pci_function *f[PCI_SLOTS];
	struct virtio_device *d;
	struct err e = { 0 };
	bool apart = true;

	rig_new(&r);
	for (unsigned i = 1; i < PCI_SLOTS; i++)
		f[i] = plug_rng(&r, 0);
	for (unsigned i = 1; i < PCI_SLOTS; i++)
		for (unsigned k = 1; k < i; k++)
			apart &= f[i]->bar[0].base != f[k]->bar[0].base && f[i]->slot == i;
	ok(apart, "pci: 31 devices, each at an address of its own");
	if (virtio_rng_new(&r.env, &d, NULL) < 0 || virtio_pci_new(d, &f[0], NULL) < 0)
		abort();
	ok(pci_plug(r.bus, f[0], 0, false, &e) == -ENOSPC, "pci: not 32: %s", e.text);
	ok(pci_plug(r.bus, f[0], 5, false, &e) == -EBUSY, "pci: not two in a slot: %s", e.text);
	rig_unplug(&r, f[7]);
	ok(pci_plug(r.bus, f[0], 0, true, &e) == 0 && f[0]->slot == 7 && r.hotplugs == 1,
	   "pci: plugged while it runs: the guest is told");
	ok(iobus_read(&r.pio, PCI_HOTPLUG_PORT, 4) == 1 << 7 &&
		   iobus_read(&r.pio, PCI_HOTPLUG_PORT, 4) == 0,
	   "pci: of which slot, once");
	ok(rig_config(&r, 7, 0x10, 4) == 4 && rig_config(&r, 7, 4, 2) == 0,
	   "pci: its addresses are the guest's to give");
	pci_ask_eject(r.bus, f[9]);
	ok(iobus_read(&r.pio, PCI_HOTPLUG_PORT + 4, 4) == 1 << 9 && !r.ejected,
	   "pci: asked to let one go");
	iobus_write(&r.pio, PCI_HOTPLUG_PORT + 8, 4, 1 << 9 | 1);
	rig_step(&r);
	ok(r.ejected == f[9] && rig_config(&r, 9, 0, 4) == 0xffffffff &&
		   rig_config(&r, 0, 0, 4) != 0xffffffff,
	   "pci: it does; the bridge stays");
	f[7] = f[0];
	for (unsigned i = 1; i < PCI_SLOTS; i++)
		rig_unplug(&r, f[i]);
	rig_free(&r);
}

static void test_msix(void)
{
	struct rig r;
	struct pci_function *f;
	struct driver d;
	uint64_t table;

	rig_new(&r);
	f = plug_rng(&r, 1);
	driver_find(&d, &r, 1);
	table = d.bar + VP_TABLE;
	pci_msix_signal(f, 0);
	ok(r.msis == 0 && driver_get(&d, d.bar + VP_PENDING, 4) == 1,
	   "msix: off: the interrupt is pending");
	driver_put(&d, table, 4, 0xfee00000);
	driver_put(&d, table + 8, 4, 33);
	driver_put(&d, table + 12, 4, 0);
	ok(r.msis == 0, "msix: unmasking the vector alone is not enough");
	rig_set_config(&r, 1, d.msix + 2, 2, 0xc000);
	ok(r.msis == 0, "msix: nor is it while all are masked");
	rig_set_config(&r, 1, d.msix + 2, 2, 0x8000);
	ok(r.msis == 1 && r.msi_data == 33 && driver_get(&d, d.bar + VP_PENDING, 4) == 0,
	   "msix: then it comes, once");
	driver_put(&d, table + 12, 4, 1);
	pci_msix_signal(f, 0);
	pci_msix_signal(f, 0);
	ok(r.msis == 1, "msix: masked");
	driver_put(&d, table + 8, 4, 34);
	driver_put(&d, table + 12, 4, 0);
	ok(r.msis == 2 && r.msi_data == 34, "msix: and unmasked, with new data");
	pci_msix_signal(f, 2);
	pci_msix_signal(f, 5000);
	ok(r.msis == 2, "msix: there is no third vector");
	ok(iobus_read(&r.mmio, table + 8, 8) == 34 && driver_get(&d, d.bar + VP_TABLE + 32, 4) == 0,
	   "msix: the table is read in words, and ends");
	driver_put(&d, table + 8, 1, 7);
	driver_put(&d, d.bar + VP_PENDING, 4, 0xff);
	ok(driver_get(&d, table + 8, 4) == 34 && driver_get(&d, d.bar + VP_PENDING, 4) == 0,
	   "msix: odd writes do nothing");
	rig_unplug(&r, f);
	rig_free(&r);
}

/* ---- the transport ---- */

static void test_transport(void)
{
	struct rig r;
	struct pci_function *f;
	struct driver d;
	unsigned char bytes[64] = { 0 };
	int set = 0;

	rig_new(&r);
	f = plug_rng(&r, 1);
	ok(driver_find(&d, &r, 1), "virtio: its capabilities are found");
	ok(!driver_negotiate(&d, 0), "virtio: no driver without VERSION_1");
	driver_set_status(&d, 0);
	rig_step(&r);
	ok(driver_status(&d) == 0, "virtio: reset");
	ok(!driver_negotiate(&d, VIRTIO_VERSION_1 | 1ull << 50),
	   "virtio: nor with what is not offered");
	driver_set_status(&d, 0);
	rig_step(&r);
	ok(driver_start(&d, &r, 1, 1, 0), "virtio: a driver starts");
	ok(driver_request(&d, 0, NULL, 0, bytes, sizeof(bytes)) == sizeof(bytes),
	   "virtio: a request is served");
	for (size_t i = 0; i < sizeof(bytes); i++)
		set += bytes[i] != 0;
	ok(set > 32 && r.seen[1] == 1, "virtio: with random bytes, and an interrupt");
	driver_put(&d, COMMON(&d, Q_DESCLO), 4, 0);
	driver_put(&d, COMMON(&d, Q_SIZE), 2, 8);
	ok(driver_get(&d, COMMON(&d, Q_SIZE), 2) == 16 &&
		   driver_request(&d, 0, NULL, 0, bytes, 8) == 8,
	   "virtio: a queue in use stands still");
	driver_put(&d, COMMON(&d, Q_SELECT), 2, 7);
	ok(driver_get(&d, COMMON(&d, Q_SIZE), 2) == 0,
	   "virtio: a queue that is not there has size 0");
	driver_put(&d, COMMON(&d, Q_ENABLE), 2, 1);
	// The window in configuration space reads the same registers.
	for (unsigned at = rig_config(&r, 1, 0x34, 1); at; at = rig_config(&r, 1, at + 1, 1))
		if (rig_config(&r, 1, at, 1) == 9 && rig_config(&r, 1, at + 3, 1) == 5) {
			rig_set_config(&r, 1, at + 4, 1, 0);
			rig_set_config(&r, 1, at + 8, 4, 0x12);
			rig_set_config(&r, 1, at + 12, 4, 2);
			ok(rig_config(&r, 1, at + 16, 2) == 1,
			   "virtio: the window in configuration space");
			rig_set_config(&r, 1, at + 8, 4, 0xfffffffe);
			ok(rig_config(&r, 1, at + 16, 2) == 0, "virtio: is closed beyond the BAR");
		}
	ok(f->device.ops->pause(&f->device, NULL) == 0, "virtio: paused");
	put_desc(&d, 0, 0, RIG_DATA, 8, VRING_DESC_F_WRITE, 0);
	driver_offer(&d, 0, 0);
	driver_kick(&d, 0);
	ok(driver_used_idx(&d, 0) == d.q[0].seen, "virtio: nothing happens then");
	f->device.ops->resume(&f->device);
	ok(driver_used_idx(&d, 0) != d.q[0].seen, "virtio: and is made up for");
	driver_set_status(&d, 0);
	rig_step(&r);
	ok(driver_status(&d) == 0 && driver_start(&d, &r, 1, 1, VIRTIO_EVENT_IDX) &&
		   driver_request(&d, 0, NULL, 0, bytes, 8) == 8,
	   "virtio: reset and started anew, without event indexes");
	ok(r.failures == 0, "virtio: nothing failed");
	rig_unplug(&r, f);
	rig_free(&r);
}

static char printed[256];
static size_t nprinted;

static void on_printed(void *arg, const void *data, size_t len)
{
	for (size_t i = 0; i < len && nprinted < sizeof(printed); i++)
		printed[nprinted++] = ((const char *)data)[i];
}

static void test_console(void)
{
	struct rig r;
	struct virtio_device *vd;
	struct pci_function *f;
	struct driver d;
	uint32_t head, len;
	char got[16] = "";

	rig_new(&r);
	if (virtio_console_new(&r.env, on_printed, NULL, &vd, NULL) < 0)
		abort();
	f = rig_plug(&r, vd, 1);
	ok(virtio_console_input(vd, "ab", 2) == 2, "console: typing before there is a driver");
	ok(driver_start(&d, &r, 1, 2, 0), "console: a driver starts");
	ok(driver_request(&d, 1, "hello\n", 6, NULL, 0) == 0 && nprinted == 6 &&
		   !memcmp(printed, "hello\n", 6),
	   "console: prints");
	put_desc(&d, 0, 3, RIG_DATA + 0x1000, 3, VRING_DESC_F_WRITE, 0);
	driver_offer(&d, 0, 3);
	driver_kick(&d, 0);
	ok(driver_used(&d, 0, &head, &len) && head == 3 && len == 2 && r.seen[1] == 1,
	   "console: what was typed arrives");
	driver_offer(&d, 0, 3);
	driver_kick(&d, 0);
	ok(virtio_console_input(vd, "cdefg", 5) == 5 && driver_used(&d, 0, &head, &len) && len == 3,
	   "console: as much as there is room for");
	driver_offer(&d, 0, 3);
	driver_kick(&d, 0);
	guestmem_read(&r.mem, RIG_DATA + 0x1000, got, 2);
	ok(driver_used(&d, 0, &head, &len) && len == 2 && !memcmp(got, "fg", 2),
	   "console: the rest in the next");
	rig_unplug(&r, f);
	rig_free(&r);
}

/* ---- queues driven badly ---- */

/* Each makes a started entropy device's queue wrong, and kicks. */
static void bad_head(struct driver *d)
{
	driver_offer(d, 0, 16);
}

static void bad_index(struct driver *d)
{
	uint16_t idx = (uint16_t)(d->q[0].next + 17);

	guestmem_write(&d->rig->mem, d->q[0].avail + 2, &idx, 2);
}

static void bad_loop(struct driver *d)
{
	put_desc(d, 0, 0, RIG_DATA, 8, VRING_DESC_F_WRITE | VRING_DESC_F_NEXT, 1);
	put_desc(d, 0, 1, RIG_DATA, 8, VRING_DESC_F_WRITE | VRING_DESC_F_NEXT, 0);
	driver_offer(d, 0, 0);
}

static void bad_empty_loop(struct driver *d)
{
	put_desc(d, 0, 0, RIG_DATA, 0, VRING_DESC_F_WRITE | VRING_DESC_F_NEXT, 0);
	driver_offer(d, 0, 0);
}

static void bad_next(struct driver *d)
{
	put_desc(d, 0, 0, RIG_DATA, 8, VRING_DESC_F_WRITE | VRING_DESC_F_NEXT, 60000);
	driver_offer(d, 0, 0);
}

static void bad_address(struct driver *d)
{
	put_desc(d, 0, 0, RIG_MEMORY - 4, 8, VRING_DESC_F_WRITE, 0);
	driver_offer(d, 0, 0);
}

static void bad_wrap(struct driver *d)
{
	put_desc(d, 0, 0, UINT64_MAX - 3, 0xffffffff, VRING_DESC_F_WRITE, 0);
	driver_offer(d, 0, 0);
}

static void bad_order(struct driver *d)
{
	put_desc(d, 0, 0, RIG_DATA, 8, VRING_DESC_F_WRITE | VRING_DESC_F_NEXT, 1);
	put_desc(d, 0, 1, RIG_DATA, 8, 0, 0);
	driver_offer(d, 0, 0);
}

static void bad_indirect_length(struct driver *d)
{
	put_desc(d, 0, 0, RIG_DATA, 24, VRING_DESC_F_INDIRECT, 0);
	driver_offer(d, 0, 0);
}

static void bad_indirect_empty(struct driver *d)
{
	put_desc(d, 0, 0, RIG_DATA, 0, VRING_DESC_F_INDIRECT, 0);
	driver_offer(d, 0, 0);
}

static void bad_indirect_place(struct driver *d)
{
	put_desc(d, 0, 0, RIG_MEMORY - 16, 32, VRING_DESC_F_INDIRECT, 0);
	driver_offer(d, 0, 0);
}

static void bad_indirect_next(struct driver *d)
{
	put_desc(d, 0, 0, RIG_DATA, 32, VRING_DESC_F_INDIRECT | VRING_DESC_F_NEXT, 1);
	driver_offer(d, 0, 0);
}

static void bad_indirect_nested(struct driver *d)
{
	struct vring_desc inner = { RIG_DATA, 16, VRING_DESC_F_INDIRECT, 0 };

	guestmem_write(&d->rig->mem, RIG_DATA, &inner, sizeof(inner));
	put_desc(d, 0, 0, RIG_DATA, 16, VRING_DESC_F_INDIRECT, 0);
	driver_offer(d, 0, 0);
}

static void bad_indirect_loop(struct driver *d)
{
	struct vring_desc inner = { RIG_DATA, 4, VRING_DESC_F_WRITE | VRING_DESC_F_NEXT, 0 };

	guestmem_write(&d->rig->mem, RIG_DATA, &inner, sizeof(inner));
	put_desc(d, 0, 0, RIG_DATA, 16, VRING_DESC_F_INDIRECT, 0);
	driver_offer(d, 0, 0);
}

static void bad_indirect_huge(struct driver *d)
{
	put_desc(d, 0, 0, 0, 0xfffffff0, VRING_DESC_F_INDIRECT, 0);
	driver_offer(d, 0, 0);
}

static void bad_many(struct driver *d)
{
	struct vring_desc inner = { RIG_DATA, 4, VRING_DESC_F_WRITE | VRING_DESC_F_NEXT, 0 };

	for (uint16_t i = 0; i < 100; i++) {
		inner.next = (uint16_t)(i + 1);
		guestmem_write(&d->rig->mem, RIG_DATA + 16 * i, &inner, sizeof(inner));
	}
	put_desc(d, 0, 0, RIG_DATA, 100 * 16, VRING_DESC_F_INDIRECT, 0);
	driver_offer(d, 0, 0);
}

static void test_bad_queues(void)
{
	static const struct {
		const char *name;
		void (*make)(struct driver *d);
		const char *why;
	} bad[] = {
		{ "a head beyond the table", bad_head, "beyond its table" },
		{ "an index too far ahead", bad_index, "more requests" },
		{ "a loop", bad_loop, "loop" },
		{ "a loop of empty buffers", bad_empty_loop, "loop" },
		{ "a next beyond the table", bad_next, "beyond its table" },
		{ "a buffer over the end of memory", bad_address, "memory" },
		{ "a buffer that wraps", bad_wrap, "memory" },
		{ "to be read after to be written", bad_order, "follows" },
		{ "an indirect table of an odd length", bad_indirect_length, "impossible length" },
		{ "an empty indirect table", bad_indirect_empty, "impossible length" },
		{ "an indirect table outside of memory", bad_indirect_place, "memory" },
		{ "an indirect descriptor with a next", bad_indirect_next, "next one" },
		{ "an indirect table in another", bad_indirect_nested, "inside of another" },
		{ "a loop in an indirect table", bad_indirect_loop, "loop" },
		{ "an indirect table of 4 GiB", bad_indirect_huge, "impossible length" },
		{ "more buffers than are taken", bad_many, "too many buffers" },
	};
	unsigned char bytes[8];
	struct rig r;
	struct pci_function *f;
	struct driver d;

	rig_new(&r);
	f = plug_rng(&r, 1);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		r.failures = 0;
		r.why[0] = 0;
		r.seen[0] = 0;
		if (!driver_start(&d, &r, 1, 1, 0))
			abort();
		bad[i].make(&d);
		driver_kick(&d, 0);
		driver_kick(&d, 0);
		ok(r.failures == 1 && strstr(r.why, bad[i].why) &&
			   (driver_status(&d) & VIRTIO_CONFIG_S_NEEDS_RESET) && r.seen[0] == 1,
		   "queue: %s: needs a reset: %s", bad[i].name, r.why);
		driver_set_status(&d, 0);
		rig_step(&r);
	}
	ok(driver_start(&d, &r, 1, 1, 0) && driver_request(&d, 0, NULL, 0, bytes, 8) == 8,
	   "queue: after a reset it serves again");
	rig_unplug(&r, f);
	rig_free(&r);
}

/* Rings where none can be: the device fails at its start. */
static void test_bad_rings(void)
{
	static const uint64_t at[][3] = {
		{ RIG_MEMORY - 16, RIG_RINGS, RIG_RINGS },
		{ RIG_RINGS, RIG_MEMORY, RIG_RINGS },
		{ RIG_RINGS, RIG_RINGS, RIG_MEMORY - 4 },
		{ RIG_RINGS + 8, RIG_RINGS, RIG_RINGS },
		{ RIG_RINGS, RIG_RINGS + 1, RIG_RINGS },
		{ RIG_RINGS, RIG_RINGS, UINT64_MAX - 3 },
		{ 0xfee00000, 0xe0000000, 0xfffffffffffffff0 },
	};
	struct rig r;
	struct pci_function *f;
	struct driver d;

	rig_new(&r);
	f = plug_rng(&r, 1);
	for (size_t i = 0; i < sizeof(at) / sizeof(at[0]); i++) {
		r.failures = 0;
		if (!driver_find(&d, &r, 1) || !driver_negotiate(&d, VIRTIO_VERSION_1))
			abort();
		driver_put(&d, COMMON(&d, Q_SELECT), 2, 0);
		for (unsigned k = 0; k < 3; k++) {
			driver_put(&d, COMMON(&d, Q_DESCLO) + 8 * k, 4, at[i][k]);
			driver_put(&d, COMMON(&d, Q_DESCLO) + 8 * k + 4, 4, at[i][k] >> 32);
		}
		driver_put(&d, COMMON(&d, Q_ENABLE), 2, 1);
		driver_ok(&d);
		driver_put(&d, d.notify, 2, 0);
		rig_step(&r);
		ok(r.failures == 1 && (driver_status(&d) & VIRTIO_CONFIG_S_NEEDS_RESET),
		   "rings: %s", r.why);
		driver_set_status(&d, 0);
		rig_step(&r);
	}
	rig_unplug(&r, f);
	rig_free(&r);
}

/* Rings in memory that the guest then gives back. */
static void test_lost_memory(void)
{
	const struct guestmem_want want = { .size = RIG_MEMORY,
					    .possible = RIG_MEMORY + (4 << 20) };
	unsigned char bytes[8];
	struct rig r;
	struct pci_function *f;
	struct driver d;

	rig_new(&r);
	guestmem_free(&r.mem);
	if (guestmem_make(&r.mem, &want, NULL) < 0 || guestmem_plug(&r.mem, 0, 1) < 0)
		abort();
	f = plug_rng(&r, 1);
	driver_find(&d, &r, 1);
	ok(driver_negotiate(&d, VIRTIO_VERSION_1), "memory: a driver");
	driver_queue_at(&d, 0, 16, r.mem.hot.gpa + 0x1000);
	driver_ok(&d);
	ok(driver_request(&d, 0, NULL, 0, bytes, 8) == 8,
	   "memory: with its rings in what came later");
	guestmem_unplug(&r.mem, 0, 1);
	driver_kick(&d, 0);
	ok(r.failures == 1 && strstr(r.why, "memory"), "memory: which goes again: %s", r.why);
	rig_unplug(&r, f);
	rig_free(&r);
}

/* A driver that ignores every rule of order, everywhere: nothing but survival is asked. */
static void test_disorder(void)
{
	struct rig r;
	struct pci_function *f;
	struct driver d;
	unsigned seed = 7;

	rig_new(&r);
	f = plug_rng(&r, 1);
	driver_find(&d, &r, 1);
	for (int i = 0; i < 200000; i++) {
		static const unsigned sizes[] = { 1, 2, 4, 8 };
		unsigned size = sizes[rand_r(&seed) % 4];
		uint64_t at = (uint64_t)rand_r(&seed) % (VP_BAR_LEN + 16);

		if (rand_r(&seed) % 3)
			at = d.common - d.bar + (unsigned)rand_r(&seed) % 64;
		if (rand_r(&seed) % 2)
			driver_put(&d, d.bar + at, size,
				   (uint64_t)rand_r(&seed) << (rand_r(&seed) % 40));
		else
			driver_get(&d, d.bar + at, size);
		if (i % 16 == 0)
			rig_step(&r);
	}
	f->device.ops->reset(&f->device);
	ok(driver_find(&d, &r, 1) && driver_start(&d, &r, 1, 1, 0),
	   "disorder: after 200000 accesses without sense and a reset, it works");
	rig_unplug(&r, f);
	rig_free(&r);
}

int main(void)
{
	test_config();
	test_slots();
	test_msix();
	test_transport();
	test_console();
	test_bad_queues();
	test_bad_rings();
	test_lost_memory();
	test_disorder();
	return tap_done();
}
