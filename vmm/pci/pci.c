/* struct pci_bus: see pci.h. Functions are in pci_function.c, MSI-X in pci_msix.c. */
#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "vmm/pci/pci_priv.h"

/* Plugging: three 32-bit registers with a bit for each slot. */
enum { HOTPLUG_PLUGGED = 0, HOTPLUG_ASKED = 4, HOTPLUG_EJECT = 8 };

/* ---- configuration space ---- */

static uint32_t config_read(struct pci_bus *b, unsigned slot, unsigned offset, unsigned size)
{
	struct pci_function *f = b->slots[slot];
	uint32_t v = 0;

	if (!f)
		return ~0u;
	if (offset + size > PCI_CONFIG_SIZE)
		return 0; // no extended capabilities
	if (f->ops->config && f->ops->config(f, false, offset, size, &v))
		return v;
	for (unsigned i = size; i-- > 0;)
		v = v << 8 | f->config[offset + i];
	return v;
}

static void config_write(struct pci_bus *b, unsigned slot, unsigned offset, unsigned size,
			 uint32_t value)
{
	struct pci_function *f = b->slots[slot];

	if (!f || offset + size > PCI_CONFIG_SIZE)
		return;
	if (f->ops->config && f->ops->config(f, true, offset, size, &value))
		return;
	for (unsigned i = 0; i < size; i++, value >>= 8) {
		uint8_t *reg = &f->config[offset + i], writable = f->writable[offset + i];

		*reg = (uint8_t)((*reg & ~writable) | (value & writable));
	}
	if (offset < PCI_HEADER_END)
		pci_function_map(f);
	else
		msix_changed(f);
}

/* ECAM: bus 0 is all there is; offset is device, function, register (7.2.2). */
static uint32_t ecam_read(struct pci_bus *b, uint64_t offset, unsigned size)
{
	if (offset >> 12 & 7)
		return ~0u; // one function a slot
	return config_read(b, offset >> 15 & 31, offset & 0xfff, size);
}

static void ecam_write(struct pci_bus *b, uint64_t offset, unsigned size, uint32_t value)
{
	if (!(offset >> 12 & 7))
		config_write(b, offset >> 15 & 31, offset & 0xfff, size, value);
}

/* Ports: the address register takes whole words only; data lies at bytes 4 to 7. */
static bool ports_select(const struct pci_bus *b, uint64_t offset, unsigned *slot, unsigned *reg)
{
	*slot = b->address >> 11 & 31;
	*reg = (b->address & 0xfc) + (unsigned)(offset - 4);
	return b->address >> 31 && !(b->address >> 8 & 7) && !(b->address >> 16 & 0xff);
}

static uint32_t ports_read(struct pci_bus *b, uint64_t offset, unsigned size)
{
	unsigned slot, reg;

	if (offset < 4)
		return offset == 0 && size == 4 ? b->address : ~0u;
	return ports_select(b, offset, &slot, &reg) ? config_read(b, slot, reg, size) : ~0u;
}

static void ports_write(struct pci_bus *b, uint64_t offset, unsigned size, uint32_t value)
{
	unsigned slot, reg;

	if (offset < 4) {
		if (offset == 0 && size == 4)
			b->address = value & 0x80fffffc;
	} else if (ports_select(b, offset, &slot, &reg)) {
		config_write(b, slot, reg, size, value);
	}
}

/* ---- plugging ---- */

static uint32_t hotplug_read(struct pci_bus *b, uint64_t offset)
{
	uint32_t v = 0;

	if (offset == HOTPLUG_PLUGGED) {
		v = b->plugged;
		b->plugged = 0;
	} else if (offset == HOTPLUG_ASKED) {
		v = b->asked;
		b->asked = 0;
	}
	return v;
}

static void hotplug_write(struct pci_bus *b, uint64_t offset, uint32_t value)
{
	uint64_t one = 1;

	if (offset != HOTPLUG_EJECT)
		return;
	b->ejected |= value & ~1u; // the bridge stays
	// A full counter is as good a signal.
	(void)!write(b->eject_fd, &one, sizeof(one));
}

/* Loop thread. */
static void bus_eject(int fd, short what, void *arg)
{
	struct pci_bus *b = arg;
	uint64_t count;
	uint32_t slots;

	(void)!read(fd, &count, sizeof(count));
	pthread_mutex_lock(&b->lock);
	slots = b->ejected;
	b->ejected = 0;
	pthread_mutex_unlock(&b->lock);
	for (unsigned s = 1; s < PCI_SLOTS; s++)
		if ((slots >> s & 1) && b->slots[s])
			b->ops->ejected(b->arg, b->slots[s]);
}

int pci_plug(struct pci_bus *b, struct pci_function *f, unsigned slot, bool hot, struct err *e)
{
	int r;

	for (unsigned s = 1; slot == 0 && s < PCI_SLOTS; s++)
		if (!b->slots[s])
			slot = s;
	if (slot == 0 || slot >= PCI_SLOTS)
		return err_set(e, -ENOSPC, "the PCI bus has no free slot");
	if (b->slots[slot])
		return err_set(e, -EBUSY, "PCI slot %u is taken", slot);
	pthread_mutex_lock(&b->lock);
	f->slot = slot;
	r = pci_function_house(b, f, e);
	b->slots[slot] = r == 0 ? f : NULL;
	b->plugged |= r == 0 && hot ? 1u << slot : 0;
	pthread_mutex_unlock(&b->lock);
	if (r < 0)
		return r;
	f->bus = b;
	if (!hot)
		pci_function_reset(f);
	else if (b->ops->hotplug)
		b->ops->hotplug(b->arg);
	return 0;
}

void pci_ask_eject(struct pci_bus *b, struct pci_function *f)
{
	pthread_mutex_lock(&b->lock);
	b->asked |= 1u << f->slot;
	pthread_mutex_unlock(&b->lock);
	if (b->ops->hotplug)
		b->ops->hotplug(b->arg);
}

void pci_unplug(struct pci_bus *b, struct pci_function *f)
{
	pthread_mutex_lock(&b->lock);
	pci_function_clear(f);
	b->slots[f->slot] = NULL;
	b->plugged &= ~(1u << f->slot);
	b->asked &= ~(1u << f->slot);
	pthread_mutex_unlock(&b->lock);
	f->bus = NULL;
}

/* ---- the bus as a device ---- */

enum { PORTS, HOTPLUG, ECAM, WINDOW32, WINDOW64 };

static struct pci_bus *bus_of(struct device *d)
{
	return (struct pci_bus *)((char *)d - offsetof(struct pci_bus, device));
}

/* Who answers at an address of a window; offset becomes the one within the BAR. Lock held. */
static struct pci_function *window_find(struct pci_bus *b, unsigned region, uint64_t *offset,
					unsigned *ret_bar)
{
	uint64_t at = *offset + (region == WINDOW32 ? PCI_WINDOW32 : b->window64);

	for (unsigned s = 1; s < PCI_SLOTS; s++)
		for (unsigned i = 0; b->slots[s] && i < 6; i++) {
			const struct pci_bar *bar = &b->slots[s]->bar[i];

			if (bar->base && at >= bar->base && at - bar->base < bar->len) {
				*offset = at - bar->base;
				*ret_bar = i;
				return b->slots[s];
			}
		}
	return NULL;
}

static uint64_t window_read(struct pci_bus *b, unsigned region, uint64_t offset, unsigned size)
{
	struct pci_function *f;
	unsigned bar;
	uint32_t v = ~0u;
	bool done;

	pthread_mutex_lock(&b->lock);
	f = window_find(b, region, &offset, &bar);
	done = !f || msix_read(f, bar, offset, &v);
	pthread_mutex_unlock(&b->lock);
	return done ? v & (0xffffffffu >> (32 - 8 * size)) : f->ops->bar_read(f, bar, offset, size);
}

static void window_write(struct pci_bus *b, unsigned region, uint64_t offset, unsigned size,
			 uint64_t value)
{
	struct pci_function *f;
	unsigned bar;
	bool done;

	pthread_mutex_lock(&b->lock);
	f = window_find(b, region, &offset, &bar);
	done = !f || msix_write(f, bar, offset, size, (uint32_t)value);
	pthread_mutex_unlock(&b->lock);
	if (!done)
		f->ops->bar_write(f, bar, offset, size, value);
}

static uint64_t bus_read(struct device *d, unsigned region, uint64_t offset, unsigned size)
{
	struct pci_bus *b = bus_of(d);
	uint64_t v;

	if (size == 8)
		return (uint32_t)bus_read(d, region, offset, 4) | bus_read(d, region, offset + 4, 4)
									  << 32;
	if (region >= WINDOW32)
		return window_read(b, region, offset, size);
	if (region == PORTS && offset == 1 && size == 1 && b->cf9)
		return b->cf9->ops->read(b->cf9, b->cf9_region, 0, 1);
	pthread_mutex_lock(&b->lock);
	if (region == PORTS)
		v = ports_read(b, offset, size);
	else if (region == ECAM)
		v = ecam_read(b, offset, size);
	else
		v = hotplug_read(b, offset);
	pthread_mutex_unlock(&b->lock);
	return v;
}

static void bus_write(struct device *d, unsigned region, uint64_t offset, unsigned size,
		      uint64_t value)
{
	struct pci_bus *b = bus_of(d);

	if (size == 8) {
		bus_write(d, region, offset, 4, value & 0xffffffff);
		bus_write(d, region, offset + 4, 4, value >> 32);
		return;
	}
	if (region >= WINDOW32) {
		window_write(b, region, offset, size, value);
		return;
	}
	if (region == PORTS && offset == 1 && size == 1 && b->cf9) {
		b->cf9->ops->write(b->cf9, b->cf9_region, 0, 1, value);
		return;
	}
	pthread_mutex_lock(&b->lock);
	if (region == PORTS)
		ports_write(b, offset, size, (uint32_t)value);
	else if (region == ECAM)
		ecam_write(b, offset, size, (uint32_t)value);
	else
		hotplug_write(b, offset, (uint32_t)value);
	pthread_mutex_unlock(&b->lock);
}

static void bus_reset(struct device *d)
{
	struct pci_bus *b = bus_of(d);

	pthread_mutex_lock(&b->lock);
	b->address = b->plugged = b->asked = 0;
	pthread_mutex_unlock(&b->lock);
	pci_function_reset(&b->bridge);
}

static void bus_save(struct device *d, struct record *r)
{
	struct pci_bus *b = bus_of(d);

	record_put_u8(r, 1);
	pthread_mutex_lock(&b->lock);
	record_put_u32(r, b->address);
	record_put_u32(r, b->plugged);
	record_put_u32(r, b->asked);
	pthread_mutex_unlock(&b->lock);
	pci_function_save(&b->bridge, r);
}

static int bus_load(struct device *d, struct record *r, struct err *e)
{
	struct pci_bus *b = bus_of(d);
	uint8_t version = record_get_u8(r);
	uint32_t v[3];

	for (int i = 0; i < 3; i++)
		v[i] = record_get_u32(r);
	if (version != 1 || record_left(r) != PCI_CONFIG_SIZE ||
	    pci_function_load(&b->bridge, r, NULL) < 0)
		return err_set(e, -EINVAL, "pci: not a state that this version can load");
	pthread_mutex_lock(&b->lock);
	b->address = v[0] & 0x80fffffc;
	b->plugged = v[1];
	b->asked = v[2];
	pthread_mutex_unlock(&b->lock);
	return 0;
}

static void bus_free(struct device *d)
{
	struct pci_bus *b = bus_of(d);

	if (b->eject_event)
		event_free(b->eject_event);
	if (b->eject_fd >= 0)
		close(b->eject_fd);
	pci_function_deinit(&b->bridge);
	pthread_mutex_destroy(&b->lock);
	free(b);
}

static const struct device_ops bus_ops = {
	.name = "pci",
	.access_max = 8,
	.read = bus_read,
	.write = bus_write,
	.reset = bus_reset,
	.save = bus_save,
	.load = bus_load,
	.free = bus_free,
};

static const struct pci_function_ops bridge_ops = { 0 };

int pci_bus_new(const struct pci_host_ops *ops, void *arg, struct event_base *loop,
		uint64_t window64, struct pci_bus **ret, struct err *e)
{
	// The host bridge that guests know from QEMU; no driver wants anything of it.
	const struct pci_identity id = { .vendor = 0x1b36,
					 .device = 0x0008,
					 .class_code = 0x060000 };
	struct pci_bus *b = calloc(1, sizeof(*b));

	if (!b)
		return err_sys(e, ENOMEM, "pci");
	b->device.ops = &bus_ops;
	b->ops = ops;
	b->arg = arg;
	b->window64 = window64;
	pthread_mutex_init(&b->lock, NULL);
	pci_function_init(&b->bridge, &bus_ops, &bridge_ops, &id);
	b->slots[0] = &b->bridge;
	b->bridge.bus = b;
	pci_function_reset(&b->bridge);
	b->eject_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (b->eject_fd >= 0)
		b->eject_event = event_new(loop, b->eject_fd, EV_READ | EV_PERSIST, bus_eject, b);
	if (!b->eject_event || event_add(b->eject_event, NULL) < 0) {
		bus_free(&b->device);
		return err_sys(e, ENOMEM, "pci");
	}
	*ret = b;
	return 0;
}

void pci_set_cf9(struct pci_bus *b, struct device *d, unsigned region)
{
	b->cf9 = d;
	b->cf9_region = region;
}

struct device *pci_bus_device(struct pci_bus *b)
{
	return &b->device;
}

uint64_t pci_bus_window64(const struct pci_bus *b)
{
	return b->window64;
}
