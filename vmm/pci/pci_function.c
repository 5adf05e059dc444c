/* A function of the PCI bus: how it is made, where its BARs answer, its state. See pci.h. */
#include <errno.h>
#include <string.h>

#include "vmm/pci/pci_priv.h"

enum { /* header type 0 (PCI Local Bus 3.0, 6.1) */
       VENDOR = 0x00,
       DEVICE = 0x02,
       COMMAND = 0x04,
       STATUS = 0x06,
       REVISION = 0x08,
       CLASS = 0x09,
       CACHE_LINE = 0x0c,
       LATENCY = 0x0d,
       BAR0 = 0x10,
       SUBVENDOR = 0x2c,
       SUBDEVICE = 0x2e,
       CAPABILITIES = 0x34,
       INTERRUPT_LINE = 0x3c,
       HEADER_END = 0x40,
};

#define COMMAND_MEMORY	    0x0002
#define COMMAND_MASTER	    0x0004
#define COMMAND_BITS	    0x0546 /* memory, master, parity, SERR, INTx off */
#define STATUS_CAPABILITIES 0x0010

#define BAR_64	     0x4u
#define BAR_PREFETCH 0x8u

static void put_u16(uint8_t *p, uint16_t v)
{
	p[0] = (uint8_t)v;
	p[1] = (uint8_t)(v >> 8);
}

static void put_u32(uint8_t *p, uint32_t v)
{
	put_u16(p, (uint16_t)v);
	put_u16(p + 2, (uint16_t)(v >> 16));
}

static uint32_t get_u32(const uint8_t *p)
{
	return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

/* ---- making a function ---- */

void pci_function_init(struct pci_function *f, const struct device_ops *device_ops,
		       const struct pci_function_ops *ops, const struct pci_identity *id)
{
	f->device.ops = device_ops;
	f->ops = ops;
	f->caps_end = PCI_HEADER_END;
	put_u16(f->config + VENDOR, id->vendor);
	put_u16(f->config + DEVICE, id->device);
	f->config[REVISION] = id->revision;
	f->config[CLASS] = (uint8_t)id->class_code;
	put_u16(f->config + CLASS + 1, (uint16_t)(id->class_code >> 8));
	put_u16(f->config + SUBVENDOR, id->subvendor);
	put_u16(f->config + SUBDEVICE, id->subdevice);
	put_u16(f->writable + COMMAND, COMMAND_BITS);
	f->writable[CACHE_LINE] = f->writable[LATENCY] = f->writable[INTERRUPT_LINE] = 0xff;
}

void pci_function_deinit(struct pci_function *f)
{
	msix_free(f);
}

void pci_set_bar(struct pci_function *f, unsigned bar, uint64_t len, bool wide, bool prefetch)
{
	uint64_t mask = ~(len - 1);

	f->bar[bar] = (struct pci_bar){ .len = len, .wide = wide, .prefetch = prefetch };
	f->config[BAR0 + 4 * bar] = (uint8_t)((wide ? BAR_64 : 0) | (prefetch ? BAR_PREFETCH : 0));
	put_u32(f->writable + BAR0 + 4 * bar, (uint32_t)mask);
	if (wide)
		put_u32(f->writable + BAR0 + 4 * bar + 4, (uint32_t)(mask >> 32));
}

unsigned pci_add_capability(struct pci_function *f, uint8_t id, const void *body, unsigned len)
{
	unsigned at = f->caps_end;

	if (at + 2 + len > PCI_CONFIG_SIZE)
		return 0;
	f->config[at] = id;
	f->config[at + 1] = f->config[CAPABILITIES];
	memcpy(f->config + at + 2, body, len);
	f->config[CAPABILITIES] = (uint8_t)at;
	f->config[STATUS] |= STATUS_CAPABILITIES;
	f->caps_end = (at + 2 + len + 3) & ~3u;
	return at;
}

/* ---- addresses ---- */

static bool window_has(uint64_t window, uint64_t window_len, uint64_t base, uint64_t len)
{
	return window && base >= window && len <= window_len && base - window <= window_len - len;
}

static bool bus_has(const struct pci_bus *b, uint64_t base, uint64_t len)
{
	return window_has(PCI_WINDOW32, PCI_WINDOW32_LEN, base, len) ||
	       window_has(b->window64, PCI_WINDOW64_LEN, base, len);
}

static uint64_t bar_address(const struct pci_function *f, unsigned i)
{
	const uint8_t *reg = f->config + BAR0 + 4 * i;
	uint64_t address = get_u32(reg) & ~15u;

	return f->bar[i].wide ? address | (uint64_t)get_u32(reg + 4) << 32 : address;
}

static void bar_set_address(struct pci_function *f, unsigned i, uint64_t address)
{
	uint8_t *reg = f->config + BAR0 + 4 * i;

	put_u32(reg, (uint32_t)address | (reg[0] & 15));
	if (f->bar[i].wide)
		put_u32(reg + 4, (uint32_t)(address >> 32));
}

/* Registers have changed: where BARs answer follows. What lies in no window answers nowhere. */
void pci_function_map(struct pci_function *f)
{
	bool decodes = f->bus && (pci_config_u16(f, COMMAND) & COMMAND_MEMORY), moved = false;

	for (unsigned i = 0; i < 6; i++) {
		struct pci_bar *bar = &f->bar[i];
		uint64_t base = decodes && bar->len ? bar_address(f, i) : 0;

		if (base && !bus_has(f->bus, base, bar->len))
			base = 0;
		moved |= base != bar->base;
		bar->base = base;
	}
	if (moved && f->ops->moved)
		f->ops->moved(f);
}

void pci_doorbell(struct pci_function *f, uint64_t gpa, int eventfd, bool on)
{
	// Where it fails, writes reach bar_write() all the same.
	if (f->bus && f->bus->ops->doorbell)
		(void)f->bus->ops->doorbell(f->bus->arg, gpa, eventfd, on);
}

void pci_refresh(struct pci_function *f)
{
	pci_lock(f);
	if (f->ops->moved)
		f->ops->moved(f);
	pci_unlock(f);
}

/* Where a home would meet another one's: behind that; else `base` itself. */
static uint64_t home_after(const struct pci_bus *b, uint64_t base, uint64_t len)
{
	for (unsigned s = 0; s < PCI_SLOTS; s++)
		for (unsigned i = 0; b->slots[s] && i < 6; i++) {
			const struct pci_bar *o = &b->slots[s]->bar[i];

			if (o->home && base < o->home + o->len && o->home < base + len)
				return (o->home + o->len + len - 1) & ~(len - 1);
		}
	return base;
}

static uint64_t home_find(const struct pci_bus *b, uint64_t window, uint64_t window_len,
			  uint64_t len)
{
	uint64_t base = (window + len - 1) & ~(len - 1), next;

	while (window_has(window, window_len, base, len)) {
		next = home_after(b, base, len);
		if (next == base)
			return base;
		base = next;
	}
	return 0;
}

/* Large wide ones go high, the rest below 4 GiB. The function is not yet in its slot. */
int pci_function_house(struct pci_bus *b, struct pci_function *f, struct err *e)
{
	for (unsigned i = 0; i < 6; i++) {
		struct pci_bar *bar = &f->bar[i];

		bar->home = 0;
		if (!bar->len)
			continue;
		if (bar->wide && bar->len > PCI_WINDOW32_LEN / 64)
			bar->home = home_find(b, b->window64, PCI_WINDOW64_LEN, bar->len);
		if (!bar->home)
			bar->home = home_find(b, PCI_WINDOW32, PCI_WINDOW32_LEN, bar->len);
		if (!bar->home)
			return err_set(e, -ENOSPC,
				       "no room for %llu bytes of device registers on the PCI bus",
				       (unsigned long long)bar->len);
		b->slots[f->slot] = f; // its own BARs count from here on
	}
	return 0;
}

/* The bus lock is held, or there is no bus. */
void pci_function_clear(struct pci_function *f)
{
	for (unsigned i = 0; i < PCI_CONFIG_SIZE; i++)
		f->config[i] &= (uint8_t)~f->writable[i];
	msix_reset(f);
	pci_function_map(f);
}

void pci_function_reset(struct pci_function *f)
{
	pci_lock(f);
	pci_function_clear(f);
	for (unsigned i = 0; i < 6; i++)
		if (f->bar[i].home)
			bar_set_address(f, i, f->bar[i].home);
	if (f->bus)
		put_u16(f->config + COMMAND, COMMAND_MEMORY | COMMAND_MASTER);
	pci_function_map(f);
	pci_unlock(f);
}

/* ---- a function's state ---- */

void pci_function_save(struct pci_function *f, struct record *r)
{
	pci_lock(f);
	record_put(r, f->config, sizeof(f->config));
	msix_save(f, r);
	pci_unlock(f);
}

/* What no guest can change must be as it is here: another device's state is refused. */
static bool config_fits(const struct pci_function *f, const uint8_t *config)
{
	for (unsigned i = 0; i < PCI_CONFIG_SIZE; i++)
		if ((f->config[i] ^ config[i]) & ~f->writable[i])
			return false;
	return true;
}

int pci_function_load(struct pci_function *f, struct record *r, struct err *e)
{
	uint8_t config[PCI_CONFIG_SIZE];

	record_get(r, config, sizeof(config));
	if (record_left(r) < msix_saved_len(f) || !config_fits(f, config))
		return err_set(e, -EINVAL, "%s: the saved PCI registers are another device's",
			       f->device.ops->name);
	pci_lock(f);
	memcpy(f->config, config, sizeof(config));
	msix_load(f, r);
	pci_function_map(f);
	msix_changed(f);
	pci_unlock(f);
	return 0;
}
