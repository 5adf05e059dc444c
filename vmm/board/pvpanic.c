/* struct pvpanic: see pvpanic.h. It has no state, so no lock. */
#include "vmm/board/pvpanic.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>

struct pvpanic {
	struct device device;
	struct guest_wishes wishes;
};

static struct pvpanic *pvpanic_of(struct device *d)
{
	return (struct pvpanic *)((char *)d - offsetof(struct pvpanic, device));
}

static uint64_t pvpanic_read(struct device *d, unsigned region, uint64_t offset, unsigned size)
{
	return PVPANIC_PANICKED;
}

static void pvpanic_write(struct device *d, unsigned region, uint64_t offset, unsigned size,
			  uint64_t value)
{
	struct pvpanic *p = pvpanic_of(d);

	if (value & PVPANIC_PANICKED)
		p->wishes.ask(p->wishes.arg, GUEST_PANICKED);
}

static void pvpanic_reset(struct device *d)
{
}

static void pvpanic_save(struct device *d, struct record *r)
{
	record_put_u8(r, 1);
}

static int pvpanic_load(struct device *d, struct record *r, struct err *e)
{
	if (record_get_u8(r) != 1 || !record_done(r))
		return err_set(e, -EINVAL, "pvpanic: not a state that this version can load");
	return 0;
}

static void pvpanic_free(struct device *d)
{
	free(pvpanic_of(d));
}

static const struct device_ops pvpanic_ops = {
	.name = "pvpanic",
	.access_max = 1,
	.read = pvpanic_read,
	.write = pvpanic_write,
	.reset = pvpanic_reset,
	.save = pvpanic_save,
	.load = pvpanic_load,
	.free = pvpanic_free,
};

int pvpanic_new(struct guest_wishes wishes, struct device **ret, struct err *e)
{
	struct pvpanic *p = calloc(1, sizeof(*p));

	if (!p)
		return err_sys(e, ENOMEM, "pvpanic");
	p->device.ops = &pvpanic_ops;
	p->wishes = wishes;
	*ret = &p->device;
	return 0;
}
