/*
 * struct iobus: which device answers at which port (or memory) address. A VM has two, one for
 * ports and one for MMIO.
 *
 * Locking: ranges are attached before the vCPUs run and never change while one does (whoever
 * will hotplug pauses the vCPUs first), so look-ups take no lock. The devices lock themselves
 * (device.h). vCPU threads call iobus_read() and iobus_write().
 *
 * An address that nobody answers reads as all ones and swallows writes, as an ISA bus does.
 */
#ifndef VMM_BOARD_IOBUS_H
#define VMM_BOARD_IOBUS_H

#include <stdint.h>

#include "backends/base/err.h"
#include "vmm/device.h"

#define IOBUS_MAX 64

struct iobus {
	unsigned n;
	struct io_range {
		uint64_t base;
		uint64_t len;
		struct device *device;
		unsigned region; /* the device's own number for this range */
	} ranges[IOBUS_MAX];	 /* sorted by base, disjoint */
};

/* EBUSY where the range meets another one, ENOSPC when the table is full. */
int iobus_attach(struct iobus *b, uint64_t base, uint64_t len, struct device *d, unsigned region,
		 struct err *e);

/* size is 1 to 8: an access over a page's end comes in two, of whatever size. */
uint64_t iobus_read(const struct iobus *b, uint64_t addr, unsigned size);
void iobus_write(const struct iobus *b, uint64_t addr, unsigned size, uint64_t value);

#endif
