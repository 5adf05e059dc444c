/*
 * The PCI bus as a hostile guest drives it: configuration space by both ways, base addresses on top
 * of each other and outside, MSI-X, plugging, resets and saved states. What the bus has asked of
 * its host, doorbells and routes, is counted: nothing is asked twice, and nothing is left.
 */
#include <linux/virtio_config.h>
#include <unistd.h>

#include "tests/fuzz/saved.h"
#include "tests/unit/harness_virtio_pci.h"
#include "vmm/virtio/virtio_rng.h"

#define DOORBELLS 64
#define PLUGGED	  6

struct host {
	struct rig rig;
	struct {
		uint64_t gpa;
		int fd;
	} doorbells[DOORBELLS];
	unsigned ndoorbells;
	int routes;
	struct pci_function *f[PLUGGED];
	unsigned reads;
};

/* ---- the host ---- */

static int on_doorbell(void *arg, uint64_t gpa, int fd, bool on)
{
	struct host *h = arg;
	unsigned i = 0;

	while (i < h->ndoorbells && (h->doorbells[i].gpa != gpa || h->doorbells[i].fd != fd))
		i++;
	if (on) {
		/* KVM has one descriptor for an address, and BARs may lie on top of each other. */
		for (unsigned k = 0; k < h->ndoorbells; k++)
			if (h->doorbells[k].gpa == gpa)
				return -EEXIST;
		fuzz_check(h->ndoorbells < DOORBELLS);
		h->doorbells[h->ndoorbells].gpa = gpa;
		h->doorbells[h->ndoorbells++].fd = fd;
	} else if (i < h->ndoorbells) {
		h->doorbells[i] = h->doorbells[--h->ndoorbells];
	}
	return 0;
}

static int on_msi_fd(void *arg, int *route, int fd, uint64_t address, uint32_t data, bool on)
{
	struct host *h = arg;

	fuzz_check(on || *route >= 0);
	h->routes += on ? *route < 0 : -1;
	*route = on ? 1 : -1;
	return 0;
}

static void forget(struct host *h, struct pci_function *f)
{
	for (unsigned i = 0; i < PLUGGED; i++)
		if (h->f[i] == f)
			h->f[i] = NULL;
	rig_unplug(&h->rig, f);
}

static void on_hostile_ejected(void *arg, struct pci_function *f)
{
	forget(arg, f);
}

/* ---- a function with nothing behind it ---- */

static uint64_t bare_read(struct pci_function *f, unsigned bar, uint64_t offset, unsigned size)
{
	fuzz_check(bar < 6 && offset < f->bar[bar].len && size <= 4);
	return offset;
}

static void bare_write(struct pci_function *f, unsigned bar, uint64_t offset, unsigned size,
		       uint64_t value)
{
	fuzz_check(bar < 6 && offset < f->bar[bar].len && size <= 4);
}

static void bare_reset(struct device *d)
{
	pci_function_reset((struct pci_function *)d);
}

static void bare_save(struct device *d, struct record *r)
{
	pci_function_save((struct pci_function *)d, r);
}

static int bare_load(struct device *d, struct record *r, struct err *e)
{
	struct pci_function *f = (struct pci_function *)d;

	if (record_left(r) != PCI_CONFIG_SIZE + 17 * (size_t)pci_msix_vectors(f))
		return err_set(e, -EINVAL, "bare: of another length");
	return pci_function_load(f, r, e);
}

static void bare_free(struct device *d)
{
	pci_function_deinit((struct pci_function *)d);
	free(d);
}

static const struct device_ops bare_device = {
	.name = "bare", .reset = bare_reset, .save = bare_save, .load = bare_load, .free = bare_free
};
static const struct pci_function_ops bare_ops = { .bar_read = bare_read, .bar_write = bare_write };

static struct pci_function *bare_new(unsigned kind)
{
	const struct pci_identity id = { .vendor = 0x1af4, .device = 1, .class_code = 0x00ff00 };
	struct pci_function *f = calloc(1, sizeof(*f));

	pci_function_init(f, &bare_device, &bare_ops, &id);
	pci_set_bar(f, 0, 0x1000, false, false);
	pci_set_bar(f, 2, kind & 1 ? 1ull << 30 : 0x4000, true, true);
	pci_set_bar(f, 4, 0x100, true, false);
	fuzz_check(pci_set_msix(f, kind & 2 ? 70 : 3, 0, 0, 0x800, NULL) == 0);
	return f;
}

static struct pci_function *virtio_new(struct host *h)
{
	struct virtio_device *d;
	struct pci_function *f;

	fuzz_check(virtio_rng_new(&h->rig.env, &d, NULL) == 0 && virtio_pci_new(d, &f, NULL) == 0);
	return f;
}

/* ---- what happens to the bus ---- */

static void plug(struct host *h, struct script *s)
{
	unsigned how = take(s), i = how % PLUGGED;
	struct pci_function *f;
	int rc;

	if (h->f[i])
		return;
	f = how & 0x40 ? virtio_new(h) : bare_new(how >> 3);
	rc = pci_plug(h->rig.bus, f, take(s) % 40, how & 0x80, NULL);
	fuzz_check(rc == 0 || rc == -EBUSY || rc == -ENOSPC);
	if (rc < 0)
		f->device.ops->free(&f->device);
	else
		h->f[i] = f;
}

static struct pci_function *pick(struct host *h, struct script *s)
{
	return h->f[take(s) % PLUGGED];
}

/* Of a register, or with this bit what a page's end leaves of one. */
static unsigned size_of(unsigned how, unsigned bit)
{
	static const unsigned odd[] = { 3, 5, 6, 7 };

	return how & bit ? odd[how & 3] : 1u << (how & 3);
}

static void config(struct host *h, struct script *s)
{
	unsigned how = take(s), size = size_of(how, 64);
	unsigned slot = take(s) % 34, reg = take(s) | (how & 8 ? 0xf00 : 0);
	uint64_t at = PCI_ECAM_BASE + (slot << 15) + reg + (how & 16 ? 0x1000 : 0);
	struct iobus *bus = &h->rig.mmio;

	if (how & 32) { // by ports, selected first
		iobus_write(&h->rig.pio, PCI_CONFIG_PORT, 4, 1u << 31 | slot << 11 | (reg & 0xfc));
		at = PCI_CONFIG_PORT + 4 + (reg & 3);
		bus = &h->rig.pio;
	}
	if (how & 4)
		iobus_write(bus, at, size, take_n(s, size));
	else
		h->reads += (unsigned)iobus_read(bus, at, size);
}

/* Where a BAR is to answer: in a window, at its edge, on another's, or nowhere. */
static void move(struct host *h, struct script *s)
{
	static const uint64_t near[] = { PCI_WINDOW32,
					 PCI_WINDOW32 + PCI_WINDOW32_LEN,
					 1ull << 38,
					 (1ull << 38) + PCI_WINDOW64_LEN,
					 0,
					 PCI_ECAM_BASE,
					 UINT64_MAX,
					 0xfee00000u };
	struct pci_function *f = pick(h, s);
	unsigned bar = take(s) % 6, which = take(s);
	uint64_t at = near[which % 8] + take_n(s, 2) * 0x100 - (which & 0x80 ? 0x10000 : 0);

	if (!f)
		return;
	rig_set_config(&h->rig, f->slot, 0x10 + 4 * bar, 4, (uint32_t)at);
	if (bar < 5 && which & 0x40)
		rig_set_config(&h->rig, f->slot, 0x14 + 4 * bar, 4, (uint32_t)(at >> 32));
}

/* An access to what answers at a BAR, its MSI-X table most of all. */
static void window(struct host *h, struct script *s)
{
	struct pci_function *f = pick(h, s);
	unsigned how = take(s), size = size_of(how, 8), bar = (how >> 4) % 6;
	uint64_t at = take_n(s, 2);

	if (!f)
		return;
	at += f->bar[bar].base ? f->bar[bar].base : PCI_WINDOW32;
	if (how & 4)
		iobus_write(&h->rig.mmio, at, size, take_n(s, 4));
	else
		h->reads += (unsigned)iobus_read(&h->rig.mmio, at, size);
}

static void signal_vector(struct host *h, struct script *s)
{
	struct pci_function *f = pick(h, s);
	unsigned how = take(s), vector = take(s);

	if (!f)
		return;
	if (how & 1)
		fuzz_check(pci_msix_fd(f, vector) != -1);
	else
		pci_msix_signal(f, vector);
}

/* A good driver begins: from then on doorbells are where its BAR is. */
static void drive(struct host *h, struct script *s)
{
	struct pci_function *f = pick(h, s);
	struct driver d;

	if (f && f->device.ops != &bare_device)
		(void)driver_start(&d, &h->rig, f->slot, 1, 0);
}

static void still(struct device *d, bool stands)
{
	if (stands && d->ops->pause)
		fuzz_check(d->ops->pause(d, NULL) == 0);
	else if (!stands && d->ops->resume)
		d->ops->resume(d);
}

static void reload(struct host *h, struct script *s)
{
	struct pci_function *f = pick(h, s);
	struct device *d = f ? &f->device : pci_bus_device(h->rig.bus);

	still(d, true);
	saved_reload(d, s);
	still(d, false);
}

static void reset(struct host *h)
{
	for (unsigned i = 0; i < PLUGGED; i++)
		if (h->f[i]) {
			still(&h->f[i]->device, true);
			device_reset(&h->f[i]->device);
			still(&h->f[i]->device, false);
		}
	device_reset(pci_bus_device(h->rig.bus));
}

static void check(struct host *h)
{
	for (unsigned i = 0; i < PLUGGED; i++)
		for (unsigned k = 0; h->f[i] && k < 6; k++) {
			const struct pci_bar *bar = &h->f[i]->bar[k];

			fuzz_check(!bar->base ||
				   (bar->base >= PCI_WINDOW32 &&
				    bar->base + bar->len <= PCI_WINDOW32 + PCI_WINDOW32_LEN) ||
				   (bar->base >= 1ull << 38 &&
				    bar->base + bar->len <= (1ull << 38) + PCI_WINDOW64_LEN));
		}
}

static void run(struct host *h, struct script *s)
{
	struct pci_function *f;
	unsigned how;

	while (s->p < s->end) {
		switch (take(s) % 13) {
		case 0:
			plug(h, s);
			break;
		case 1:
			f = pick(h, s);
			if (f)
				pci_ask_eject(h->rig.bus, f);
			break;
		case 2:
			f = pick(h, s);
			if (f)
				forget(h, f);
			break;
		case 3:
		case 4:
			config(h, s);
			break;
		case 5:
			move(h, s);
			break;
		case 6:
			window(h, s);
			break;
		case 7:
			signal_vector(h, s);
			break;
		case 8:
			how = take(s);
			if (how & 1)
				iobus_write(&h->rig.pio, PCI_HOTPLUG_PORT + how % 16, 4,
					    take_n(s, 4));
			else
				iobus_read(&h->rig.pio, PCI_HOTPLUG_PORT + how % 16, 4);
			break;
		case 9:
			rig_step(&h->rig);
			break;
		case 10:
			reload(h, s);
			break;
		case 11:
			reset(h);
			break;
		case 12:
			drive(h, s);
			break;
		}
		check(h);
	}
}

static void one(const char *data, size_t len)
{
	static const struct pci_host_ops ops = { .msi = rig_msi,
						 .doorbell = on_doorbell,
						 .msi_fd = on_msi_fd,
						 .hotplug = rig_hotplug,
						 .ejected = on_hostile_ejected };
	struct script s = { (const unsigned char *)data, (const unsigned char *)data + len };
	static struct host h;

	memset(&h, 0, sizeof(h));
	rig_new_with(&h.rig, &ops);
	run(&h, &s);
	for (unsigned i = 0; i < PLUGGED; i++)
		if (h.f[i])
			forget(&h, h.f[i]);
	fuzz_check(h.ndoorbells == 0 && h.routes == 0);
	rig_free(&h.rig);
}

int main(int argc, char **argv)
{
	return fuzz_main(argc, argv, one);
}
