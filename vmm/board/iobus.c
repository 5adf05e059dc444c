/* struct iobus: see iobus.h. */
#include "vmm/board/iobus.h"

#include <errno.h>
#include <string.h>

int iobus_attach(struct iobus *b, uint64_t base, uint64_t len, struct device *d, unsigned region,
		 struct err *e)
{
	unsigned i = 0;

	if (len == 0 || base > UINT64_MAX - len)
		return err_set(e, -EINVAL, "%s: no such address range", d->ops->name);
	if (b->n == IOBUS_MAX)
		return err_set(e, -ENOSPC, "%s: the bus is full", d->ops->name);
	while (i < b->n && b->ranges[i].base + b->ranges[i].len <= base)
		i++;
	if (i < b->n && b->ranges[i].base < base + len)
		return err_set(e, -EBUSY, "%s: address 0x%llx is %s's", d->ops->name,
			       (unsigned long long)base, b->ranges[i].device->ops->name);
	memmove(&b->ranges[i + 1], &b->ranges[i], (b->n - i) * sizeof(b->ranges[0]));
	b->ranges[i] = (struct io_range){ base, len, d, region };
	b->n++;
	return 0;
}

static const struct io_range *iobus_find(const struct iobus *b, uint64_t addr)
{
	unsigned lo = 0, hi = b->n;

	while (lo < hi) {
		unsigned mid = (lo + hi) / 2;
		const struct io_range *r = &b->ranges[mid];

		if (addr < r->base)
			hi = mid;
		else if (addr - r->base >= r->len)
			lo = mid + 1;
		else
			return r;
	}
	return NULL;
}

/* Whether the access can go to the device whole: not what a page's end has left of another one. */
static bool range_takes(const struct io_range *r, uint64_t addr, unsigned size)
{
	return r && !(size & (size - 1)) && size <= r->device->ops->access_max &&
	       size <= r->len - (addr - r->base);
}

uint64_t iobus_read(const struct iobus *b, uint64_t addr, unsigned size)
{
	const struct io_range *r = iobus_find(b, addr);
	uint64_t v = 0;

	if (range_takes(r, addr, size)) {
		v = r->device->ops->read(r->device, r->region, addr - r->base, size);
		return size < 8 ? v & ((1ull << 8 * size) - 1) : v; // a register may be wider
	}
	if (size == 1)
		return 0xff;
	for (unsigned i = 0; i < size; i++)
		v |= iobus_read(b, addr + i, 1) << (8 * i);
	return v;
}

void iobus_write(const struct iobus *b, uint64_t addr, unsigned size, uint64_t value)
{
	const struct io_range *r = iobus_find(b, addr);

	if (range_takes(r, addr, size)) {
		r->device->ops->write(r->device, r->region, addr - r->base, size, value);
		return;
	}
	for (unsigned i = 0; size > 1 && i < size; i++)
		iobus_write(b, addr + i, 1, value >> (8 * i) & 0xff);
}
