/*
 * A PCI bus on a memory image, without KVM, and the driver's half of virtio: finds a device as a
 * guest would, sets it up and moves chains. The test's main thread is the loop; a step() of the
 * loop is what time is here.
 */
#ifndef TESTS_UNIT_HARNESS_VIRTIO_PCI_H
#define TESTS_UNIT_HARNESS_VIRTIO_PCI_H

#include <event2/event.h>
#include <linux/virtio_config.h>
#include <linux/virtio_pci.h>
#include <linux/virtio_ring.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/unit/tap.h"
#include "vmm/board/iobus.h"
#include "vmm/guestmem.h"
#include "vmm/pci/pci.h"
#include "vmm/virtio/virtio_pci.h"

#define RIG_MEMORY (4u << 20)
#define RIG_RINGS  0x10000u /* the queues' rings, 64 KiB apart */
#define RIG_DATA   0x200000u

struct rig {
	struct event_base *loop;
	struct guestmem mem;
	struct pci_bus *bus;
	struct iobus pio, mmio;
	struct virtio_env env;
	unsigned msis;	   /* interrupts so far */
	uint32_t msi_data; /* the last one's */
	unsigned seen[64]; /* by data below 64 */
	unsigned hotplugs;
	struct pci_function *ejected;
	unsigned failures;
	char why[300];
};

static void rig_msi(void *arg, uint64_t address, uint32_t data)
{
	struct rig *r = arg;

	r->msis++;
	r->msi_data = data;
	if (data < 64)
		r->seen[data]++;
}

static void rig_hotplug(void *arg)
{
	((struct rig *)arg)->hotplugs++;
}

static void rig_ejected(void *arg, struct pci_function *f)
{
	struct rig *r = arg;

	r->ejected = f;
	pci_unplug(r->bus, f);
}

static void rig_failed(void *arg, const char *why)
{
	struct rig *r = arg;

	r->failures++;
	snprintf(r->why, sizeof(r->why), "%s", why);
}

static const struct pci_host_ops rig_ops = { .msi = rig_msi,
					     .hotplug = rig_hotplug,
					     .ejected = rig_ejected };

/* ops are given the rig. */
__attribute__((unused)) static void rig_new_with(struct rig *r, const struct pci_host_ops *ops)
{
	const uint64_t window64 = 1ull << 38;
	struct device *d;

	memset(r, 0, sizeof(*r));
	r->loop = event_base_new();
	if (guestmem_new(&r->mem, RIG_MEMORY, NULL) < 0 ||
	    pci_bus_new(ops, r, r->loop, window64, &r->bus, NULL) < 0)
		abort();
	d = pci_bus_device(r->bus);
	iobus_attach(&r->pio, PCI_CONFIG_PORT, PCI_CONFIG_PORTS, d, 0, NULL);
	iobus_attach(&r->pio, PCI_HOTPLUG_PORT, PCI_HOTPLUG_PORTS, d, 1, NULL);
	iobus_attach(&r->mmio, PCI_ECAM_BASE, PCI_ECAM_LEN, d, 2, NULL);
	iobus_attach(&r->mmio, PCI_WINDOW32, PCI_WINDOW32_LEN, d, 3, NULL);
	iobus_attach(&r->mmio, window64, PCI_WINDOW64_LEN, d, 4, NULL);
	r->env = (struct virtio_env){ &r->mem, r->loop, rig_failed, r };
}

__attribute__((unused)) static void rig_new(struct rig *r)
{
	rig_new_with(r, &rig_ops);
}

__attribute__((unused)) static void rig_free(struct rig *r)
{
	device_free(pci_bus_device(r->bus));
	guestmem_free(&r->mem);
	event_base_free(r->loop);
}

/* Everything that is ready on the loop. */
__attribute__((unused)) static void rig_step(struct rig *r)
{
	for (int i = 0; i < 4; i++)
		event_base_loop(r->loop, EVLOOP_NONBLOCK);
}

/* Puts a device into a slot. */
__attribute__((unused)) static struct pci_function *rig_plug(struct rig *r, struct virtio_device *d,
							     unsigned slot)
{
	struct pci_function *f;

	if (virtio_pci_new(d, &f, NULL) < 0 || pci_plug(r->bus, f, slot, false, NULL) < 0)
		abort();
	return f;
}

__attribute__((unused)) static void rig_unplug(struct rig *r, struct pci_function *f)
{
	if (f->bus)
		pci_unplug(r->bus, f);
	f->device.ops->free(&f->device);
}

static inline uint32_t rig_config(struct rig *r, unsigned slot, unsigned reg, unsigned size)
{
	return (uint32_t)iobus_read(&r->mmio, PCI_ECAM_BASE + (slot << 15) + reg, size);
}

static inline void rig_set_config(struct rig *r, unsigned slot, unsigned reg, unsigned size,
				  uint32_t v)
{
	iobus_write(&r->mmio, PCI_ECAM_BASE + (slot << 15) + reg, size, v);
}

/* ---- a driver ---- */

struct driver_queue {
	unsigned size;
	uint64_t desc, avail, used; /* guest-physical */
	uint16_t next, seen;	    /* avail and used indexes of the driver's */
};

struct driver {
	struct rig *rig;
	unsigned slot;
	uint64_t bar; /* where the registers are */
	uint64_t common, notify, config;
	unsigned msix; /* the capability */
	uint64_t features;
	struct driver_queue q[8];
	uint64_t data; /* where the next buffer may lie */
};

static inline uint64_t driver_get(struct driver *d, uint64_t at, unsigned size)
{
	return iobus_read(&d->rig->mmio, at, size);
}

static inline void driver_put(struct driver *d, uint64_t at, unsigned size, uint64_t v)
{
	iobus_write(&d->rig->mmio, at, size, v);
}

#define COMMON(d, field) ((d)->common + VIRTIO_PCI_COMMON_##field)

/* Walks the capabilities as a guest does; false when one is missing. */
__attribute__((unused)) static bool driver_find(struct driver *d, struct rig *r, unsigned slot)
{
	unsigned at = rig_config(r, slot, 0x34, 1);

	memset(d, 0, sizeof(*d));
	d->rig = r;
	d->slot = slot;
	d->data = RIG_DATA;
	d->bar = (rig_config(r, slot, 0x10, 4) & ~15u) | (uint64_t)rig_config(r, slot, 0x14, 4)
								 << 32;
	for (int n = 0; at && n < 32; n++, at = rig_config(r, slot, at + 1, 1)) {
		unsigned id = rig_config(r, slot, at, 1);
		uint64_t where = d->bar + rig_config(r, slot, at + 8, 4);

		if (id == 0x11)
			d->msix = at;
		if (id != 0x09)
			continue;
		switch (rig_config(r, slot, at + 3, 1)) {
		case VIRTIO_PCI_CAP_COMMON_CFG:
			d->common = where;
			break;
		case VIRTIO_PCI_CAP_NOTIFY_CFG:
			d->notify = where;
			break;
		case VIRTIO_PCI_CAP_DEVICE_CFG:
			d->config = where;
			break;
		}
	}
	return d->common && d->notify && d->msix;
}

__attribute__((unused)) static uint64_t driver_offered(struct driver *d)
{
	uint64_t f;

	driver_put(d, COMMON(d, DFSELECT), 4, 0);
	f = driver_get(d, COMMON(d, DF), 4);
	driver_put(d, COMMON(d, DFSELECT), 4, 1);
	return f | driver_get(d, COMMON(d, DF), 4) << 32;
}

static inline uint8_t driver_status(struct driver *d)
{
	return (uint8_t)driver_get(d, COMMON(d, STATUS), 1);
}

static inline void driver_set_status(struct driver *d, uint8_t v)
{
	driver_put(d, COMMON(d, STATUS), 1, v);
}

/* Negotiates; false when the device does not agree. */
__attribute__((unused)) static bool driver_negotiate(struct driver *d, uint64_t features)
{
	driver_set_status(d, 3);
	driver_put(d, COMMON(d, GFSELECT), 4, 0);
	driver_put(d, COMMON(d, GF), 4, features & 0xffffffff);
	driver_put(d, COMMON(d, GFSELECT), 4, 1);
	driver_put(d, COMMON(d, GF), 4, features >> 32);
	driver_set_status(d, 3 | VIRTIO_CONFIG_S_FEATURES_OK);
	d->features = features;
	return driver_status(d) & VIRTIO_CONFIG_S_FEATURES_OK;
}

/* Vector i of the MSI-X table: data i, unmasked. */
__attribute__((unused)) static void driver_msix(struct driver *d, unsigned vectors)
{
	uint64_t table = d->bar + (rig_config(d->rig, d->slot, d->msix + 4, 4) & ~7u);

	rig_set_config(d->rig, d->slot, d->msix + 2, 2, 0x8000);
	for (unsigned i = 0; i < vectors; i++) {
		driver_put(d, table + 16 * i, 4, 0xfee00000);
		driver_put(d, table + 16 * i + 8, 4, i);
		driver_put(d, table + 16 * i + 12, 4, 0);
	}
}

__attribute__((unused)) static void driver_queue_at(struct driver *d, unsigned i, unsigned size,
						    uint64_t rings)
{
	struct driver_queue *q = &d->q[i];

	*q = (struct driver_queue){ size, rings, rings + 0x4000, rings + 0x5000, 0, 0 };
	memset(guestmem_range(&d->rig->mem, rings, 0x8000), 0, 0x8000);
	driver_put(d, COMMON(d, Q_SELECT), 2, i);
	driver_put(d, COMMON(d, Q_SIZE), 2, size);
	driver_put(d, COMMON(d, Q_MSIX), 2, i + 1);
	driver_put(d, COMMON(d, Q_DESCLO), 4, q->desc);
	driver_put(d, COMMON(d, Q_DESCHI), 4, q->desc >> 32);
	driver_put(d, COMMON(d, Q_AVAILLO), 4, q->avail);
	driver_put(d, COMMON(d, Q_AVAILHI), 4, q->avail >> 32);
	driver_put(d, COMMON(d, Q_USEDLO), 4, q->used);
	driver_put(d, COMMON(d, Q_USEDHI), 4, q->used >> 32);
	driver_put(d, COMMON(d, Q_ENABLE), 2, 1);
}

static inline void driver_ok(struct driver *d)
{
	driver_set_status(d, driver_status(d) | VIRTIO_CONFIG_S_DRIVER_OK);
	rig_step(d->rig);
}

/* Finds, negotiates all that is offered but what is in `without`, and starts n queues. */
__attribute__((unused)) static bool driver_start(struct driver *d, struct rig *r, unsigned slot,
						 unsigned n, uint64_t without)
{
	if (!driver_find(d, r, slot) || !driver_negotiate(d, driver_offered(d) & ~without))
		return false;
	driver_msix(d, n + 1);
	driver_put(d, COMMON(d, MSIX), 2, 0);
	for (unsigned i = 0; i < n; i++)
		driver_queue_at(d, i, 16, RIG_RINGS + 0x10000 * i + 0x80000 * (slot & 1));
	driver_ok(d);
	return true;
}

static inline void put_desc(struct driver *d, unsigned i, unsigned slot, uint64_t addr,
			    uint32_t len, uint16_t flags, uint16_t next)
{
	struct vring_desc desc = { addr, len, flags, next };

	guestmem_write(&d->rig->mem, d->q[i].desc + 16 * slot, &desc, sizeof(desc));
}

/* Makes a head available, without a kick. */
__attribute__((unused)) static void driver_offer(struct driver *d, unsigned i, uint16_t head)
{
	struct driver_queue *q = &d->q[i];

	guestmem_write(&d->rig->mem, q->avail + 4 + 2 * (q->next % q->size), &head, 2);
	q->next++;
	guestmem_write(&d->rig->mem, q->avail + 2, &q->next, 2);
}

__attribute__((unused)) static void driver_kick(struct driver *d, unsigned i)
{
	driver_put(d, d->notify + 4 * i, 2, i);
	rig_step(d->rig);
}

static inline uint16_t driver_used_idx(struct driver *d, unsigned i)
{
	uint16_t idx = 0;

	guestmem_read(&d->rig->mem, d->q[i].used + 2, &idx, 2);
	return idx;
}

/* The next used element: false when there is none. */
__attribute__((unused)) static bool driver_used(struct driver *d, unsigned i, uint32_t *head,
						uint32_t *len)
{
	struct driver_queue *q = &d->q[i];
	struct vring_used_elem elem;

	if (driver_used_idx(d, i) == q->seen)
		return false;
	guestmem_read(&d->rig->mem, q->used + 4 + 8 * (q->seen % q->size), &elem, sizeof(elem));
	q->seen++;
	*head = elem.id;
	*len = elem.len;
	return true;
}

/*
 * One request from out bytes and room for in bytes, one descriptor each, from descriptor `slot` on.
 * Waits for its end; what came back is in in[]. Returns the length told, or -1.
 */
__attribute__((unused)) static long driver_request(struct driver *d, unsigned i, const void *out,
						   uint32_t out_len, void *in, uint32_t in_len)
{
	uint64_t at = d->data, in_at = at + ((out_len + 511) & ~511u);
	uint32_t head, len;

	if (out_len) {
		guestmem_write(&d->rig->mem, at, out, out_len);
		put_desc(d, i, 0, at, out_len, in_len ? VRING_DESC_F_NEXT : 0, 1);
	}
	if (in_len)
		put_desc(d, i, out_len ? 1 : 0, in_at, in_len, VRING_DESC_F_WRITE, 0);
	driver_offer(d, i, 0);
	driver_kick(d, i);
	for (int n = 0; n < 10000 && driver_used_idx(d, i) == d->q[i].seen; n++) {
		rig_step(d->rig);
		usleep(1000);
	}
	if (!driver_used(d, i, &head, &len))
		return -1;
	if (in_len)
		guestmem_read(&d->rig->mem, in_at, in, in_len);
	return (long)len;
}

#endif
