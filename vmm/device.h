/*
 * struct device: what every emulated device is to the rest of the VMM: a table of operations.
 *
 * A device is one file: its struct embeds struct device, its X_new() takes what it needs (an
 * interrupt line, callbacks) and returns the struct device's owner. It holds one lock of its own
 * and takes it in every operation, because vCPU threads read and write registers at the same
 * time as the loop thread types, resets or saves. While it holds that lock it may only raise its
 * interrupt line and call the sink it was given; neither calls back into a device.
 *
 * Nothing a guest writes is an error: what a register does not know is ignored, as hardware does.
 */
#ifndef VMM_DEVICE_H
#define VMM_DEVICE_H

#include <stdbool.h>
#include <stdint.h>

#include "backends/base/err.h"
#include "vmm/record.h"

struct device;

struct device_ops {
	const char *name; /* unique in a VM; names its record */
	/*
	 * Register access at offset of region (a port or memory range the device was attached
	 * with, in its own numbering); size is 1, 2, 4 or 8 and at most access_max: the bus
	 * splits what is wider into single bytes, as an 8-bit device on a PC's bus sees it.
	 */
	unsigned access_max;
	uint64_t (*read)(struct device *d, unsigned region, uint64_t offset, unsigned size);
	void (*write)(struct device *d, unsigned region, uint64_t offset, unsigned size,
		      uint64_t value);
	/*
	 * Between them it touches no guest memory; NULL when it never does. The vCPUs stand still.
	 * A device whose host is too slow to let go is refused (EBUSY) and goes on. save, load and
	 * reset come only in between.
	 */
	int (*pause)(struct device *d, struct err *e);
	void (*resume)(struct device *d);
	/* Back to the state after power-on. */
	void (*reset)(struct device *d);
	void (*save)(struct device *d, struct record *r);
	/* All or nothing: a record that it refuses (EINVAL) changes nothing. */
	int (*load)(struct device *d, struct record *r, struct err *e);
	void (*free)(struct device *d);
};

struct device {
	const struct device_ops *ops;
};

/* An interrupt line: set() may be called from any thread, with the device's lock held. */
struct irq {
	void (*set)(void *arg, uint32_t gsi, bool level);
	void *arg;
	uint32_t gsi;
};

static inline void irq_set(const struct irq *irq, bool level)
{
	irq->set(irq->arg, irq->gsi, level);
}

/* What a guest may ask of its machine through a device; any thread, no device lock held. */
enum guest_wish {
	GUEST_POWEROFF,
	GUEST_RESET,
	GUEST_PANICKED, /* its kernel has crashed */
	GUEST_WATCHDOG, /* its watchdog has come to 0 */
};

struct guest_wishes {
	void (*ask)(void *arg, enum guest_wish wish);
	void *arg;
};

static inline void device_reset(struct device *d)
{
	d->ops->reset(d);
}

static inline void device_free(struct device *d)
{
	if (d)
		d->ops->free(d);
}

#endif
