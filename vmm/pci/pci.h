/*
 * struct pci_bus: the machine's one PCI bus: configuration space by ECAM and by ports 0xcf8 and
 * 0xcfc, base address registers that the guest may move, MSI-X, and plugging.
 * (PCI Local Bus 3.0; PCI Express 3.0, 7.2.2; PCI Firmware 3.0, 4.1.)
 *
 * Slot 0 is the host bridge; slots 1 to 31 take one struct pci_function each, all of them
 * hot-pluggable: acpi.c describes each slot with _EJ0. There are no INTx lines: drivers use MSI-X.
 * What firmware would do is done when a function is plugged and at reset: each BAR has an
 * address, memory decoding is on.
 *
 * The bus is one struct device on the two I/O buses (its regions below) and passes an access to
 * the function whose BAR is there. vCPU threads call it. `lock` protects configuration spaces,
 * addresses of BARs and MSI-X tables; a function's bar_read() and bar_write() run without it, under
 * the function's own lock. Plugging and removing happen on the loop thread while no vCPU runs.
 */
#ifndef VMM_PCI_PCI_H
#define VMM_PCI_PCI_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "backends/base/err.h"
#include "backends/base/text.h"
#include "vmm/device.h"

struct event_base;
struct event;

/* Where things are in the guest's address space. */
#define PCI_CONFIG_PORT	  0xcf8 /* region 0: address at 0, data at 4 to 7 */
#define PCI_CONFIG_PORTS  8
#define PCI_HOTPLUG_PORT  0xae00 /* region 1: see "plugging" in pci.c */
#define PCI_HOTPLUG_PORTS 12
#define PCI_ECAM_BASE	  0xe0000000u /* region 2: one bus, 1 MiB */
#define PCI_ECAM_LEN	  0x100000u
#define PCI_WINDOW32	  0xc0000000u /* region 3 */
#define PCI_WINDOW32_LEN  0x20000000u
#define PCI_WINDOW64_LEN                                                         \
	0x1000000000u /* region 4: 64 GiB, at bus->window64; none when that is 0 \
		       */

#define PCI_SLOTS	32
#define PCI_CONFIG_SIZE 256
#define PCI_MSIX_MAX	256 /* vectors of a function */

struct pci_bus;
struct pci_function;

/* What the bus needs of the machine; a unit test gives its own. Any thread, bus lock held. */
struct pci_host_ops {
	/* Delivers a message-signalled interrupt. */
	void (*msi)(void *arg, uint64_t address, uint32_t data);
	/*
	 * Makes a write to gpa (of any width) signal an eventfd without leaving the kernel, or ends
	 * that. NULL or -errno: writes reach bar_write(), which does it.
	 */
	int (*doorbell)(void *arg, uint64_t gpa, int eventfd, bool on);
	/*
	 * Makes a signal on eventfd deliver an MSI; *route is the sink's, -1 at first and again
	 * after `on` false. NULL: never.
	 */
	int (*msi_fd)(void *arg, int *route, int eventfd, uint64_t address, uint32_t data, bool on);
	/* Plugging events wait in the hotplug registers: raise the GED's interrupt. */
	void (*hotplug)(void *arg);
	/* The guest has let go of a function. Loop thread, no bus lock: who plugged it pauses the
	 * vCPUs, calls pci_unplug() and frees it. */
	void (*ejected)(void *arg, struct pci_function *f);
};

struct pci_bar {
	uint64_t len; /* a power of two from 4096, 0: none */
	bool wide;    /* 64-bit: takes two registers */
	bool prefetch;
	uint64_t home; /* what firmware would give it */
	uint64_t base; /* where it answers now, 0: nowhere. Bus lock */
};

struct pci_function_ops {
	/* Accesses to a BAR but for the MSI-X table, which is the bus's. vCPU threads, no bus lock.
	 */
	uint64_t (*bar_read)(struct pci_function *f, unsigned bar, uint64_t offset, unsigned size);
	void (*bar_write)(struct pci_function *f, unsigned bar, uint64_t offset, unsigned size,
			  uint64_t value);
	/* Configuration space beyond the writable bits (virtio's PCI cfg window); may be NULL. Bus
	 * lock held. true: it was this function's own, value is the result of a read. */
	bool (*config)(struct pci_function *f, bool write, unsigned offset, unsigned size,
		       uint32_t *value);
	/* The BARs have moved: doorbells follow. Bus lock held; may be NULL. */
	void (*moved)(struct pci_function *f);
};

struct msix; /* pci_msix.c */

/* Embedded in what is behind it. Its struct device saves, resets and frees the whole. */
struct pci_function {
	struct device device;
	const struct pci_function_ops *ops;
	struct pci_bus *bus; /* NULL: not plugged */
	unsigned slot;
	struct pci_bar bar[6];
	unsigned caps_end; /* where the next capability goes */
	struct msix *msix;
	uint8_t config[PCI_CONFIG_SIZE];
	uint8_t writable[PCI_CONFIG_SIZE]; /* bits that a guest's write changes */
};

struct pci_identity {
	uint16_t vendor, device, subvendor, subdevice;
	uint8_t revision;
	uint32_t class_code; /* class, subclass, interface */
};

/* ---- a function's making; not on a bus yet ---- */

void pci_function_init(struct pci_function *f, const struct device_ops *device_ops,
		       const struct pci_function_ops *ops, const struct pci_identity *id);
void pci_function_deinit(struct pci_function *f);
void pci_set_bar(struct pci_function *f, unsigned bar, uint64_t len, bool wide, bool prefetch);
/* Appends a capability: its body after the two bytes of id and next. Returns its offset, or 0. */
unsigned pci_add_capability(struct pci_function *f, uint8_t id, const void *body, unsigned len);
/* n vectors, table and pending bits in `bar` at these offsets. */
int pci_set_msix(struct pci_function *f, unsigned n, unsigned bar, uint32_t table, uint32_t pending,
		 struct err *e);

/* ---- services ---- */

/* Interrupts with a vector, or marks it pending. Any thread, no bus lock held. */
void pci_msix_signal(struct pci_function *f, unsigned vector);
/* An eventfd that does the same when it is signalled, the function's; -ENXIO where there is none.
 */
int pci_msix_fd(struct pci_function *f, unsigned vector);
unsigned pci_msix_vectors(const struct pci_function *f);
/* What a function saves first, and loads: configuration, BARs, MSI-X. load() changes nothing unless
 * it returns 0; the addresses are in force at once. */
void pci_function_save(struct pci_function *f, struct record *r);
int pci_function_load(struct pci_function *f, struct record *r, struct err *e);
/* Registers and addresses as firmware leaves them; without a bus, as after power-on. */
void pci_function_reset(struct pci_function *f);
/* For moved(), with the bus lock held: see pci_host_ops. */
void pci_doorbell(struct pci_function *f, uint64_t gpa, int eventfd, bool on);
/* Calls moved(): doorbells are to be there or not, where they were not or were. */
void pci_refresh(struct pci_function *f);

/* ---- the bus ---- loop thread ---- */

int pci_bus_new(const struct pci_host_ops *ops, void *arg, struct event_base *loop,
		uint64_t window64, struct pci_bus **ret, struct err *e);
struct device *pci_bus_device(struct pci_bus *b);
uint64_t pci_bus_window64(const struct pci_bus *b);

/* Byte accesses to port 0xcf9 are this device's, as chipsets have it: the reset register. */
void pci_set_cf9(struct pci_bus *b, struct device *d, unsigned region);

/*
 * Puts a function into a slot, 0 for the lowest free one. ENOSPC, EBUSY. No vCPU runs. A guest that
 * has been running is told of it (hot); it gives the BARs their addresses then.
 */
int pci_plug(struct pci_bus *b, struct pci_function *f, unsigned slot, bool hot, struct err *e);
/* Asks the guest to let go of it; the host's ejected() follows when it has. Again: asks again. */
void pci_ask_eject(struct pci_bus *b, struct pci_function *f);
/* Takes it off at once. No vCPU runs. */
void pci_unplug(struct pci_bus *b, struct pci_function *f);

#endif
