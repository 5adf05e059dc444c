/* struct cpuplug: see cpuplug.h. */
#include "vmm/board/cpuplug.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct cpuplug {
	struct device device;
	struct cpuplug_host host;
	const struct cpu_topology *topology;
	unsigned places;
	pthread_mutex_t lock; /* everything below */
	uint32_t selected;
	uint8_t flags[CPU_VCPUS_MAX];
};

static struct cpuplug *cpuplug_of(struct device *d)
{
	return (struct cpuplug *)((char *)d - offsetof(struct cpuplug, device));
}

static uint32_t first_event(const struct cpuplug *p)
{
	for (unsigned i = 0; i < p->places; i++)
		if (p->flags[i] & (CPUPLUG_COMES | CPUPLUG_GOES))
			return i;
	return ~0u;
}

static uint64_t cpuplug_read(struct device *d, unsigned region, uint64_t offset, unsigned size)
{
	struct cpuplug *p = cpuplug_of(d);
	uint32_t v = 0;

	pthread_mutex_lock(&p->lock);
	if (offset == CPUPLUG_SELECT)
		v = p->selected;
	else if (offset == CPUPLUG_NEXT)
		v = first_event(p);
	else if (p->selected < p->places && offset == CPUPLUG_FLAGS)
		v = p->flags[p->selected];
	else if (p->selected < p->places && offset == CPUPLUG_APIC)
		v = cpu_topology_apic_id(p->topology, p->selected);
	pthread_mutex_unlock(&p->lock);
	return v;
}

/* True when the write ejects the selected vCPU. */
static bool write_flags(struct cpuplug *p, uint8_t value)
{
	uint8_t *flags = &p->flags[p->selected];
	bool eject = (value & CPUPLUG_EJECT) && (*flags & CPUPLUG_PRESENT) && p->selected > 0;

	*flags &= (uint8_t) ~(value & (CPUPLUG_COMES | CPUPLUG_GOES));
	if (eject)
		*flags = 0;
	return eject;
}

static void cpuplug_write(struct device *d, unsigned region, uint64_t offset, unsigned size,
			  uint64_t value)
{
	struct cpuplug *p = cpuplug_of(d);
	bool eject = false;
	uint32_t vcpu;

	pthread_mutex_lock(&p->lock);
	if (offset == CPUPLUG_SELECT && size == 4)
		p->selected = (uint32_t)value;
	else if (offset == CPUPLUG_FLAGS && p->selected < p->places)
		eject = write_flags(p, (uint8_t)value);
	vcpu = p->selected;
	pthread_mutex_unlock(&p->lock);
	if (eject)
		p->host.ejected(p->host.arg, vcpu);
}

void cpuplug_add(struct cpuplug *p, unsigned vcpu)
{
	pthread_mutex_lock(&p->lock);
	p->flags[vcpu] = CPUPLUG_PRESENT | CPUPLUG_COMES;
	pthread_mutex_unlock(&p->lock);
}

void cpuplug_ask(struct cpuplug *p, unsigned vcpu)
{
	pthread_mutex_lock(&p->lock);
	if (p->flags[vcpu] & CPUPLUG_PRESENT)
		p->flags[vcpu] |= CPUPLUG_GOES;
	pthread_mutex_unlock(&p->lock);
}

bool cpuplug_present(struct cpuplug *p, unsigned vcpu)
{
	bool present;

	pthread_mutex_lock(&p->lock);
	present = p->flags[vcpu] & CPUPLUG_PRESENT;
	pthread_mutex_unlock(&p->lock);
	return present;
}

void cpuplug_set(struct cpuplug *p, unsigned n)
{
	pthread_mutex_lock(&p->lock);
	for (unsigned i = 0; i < p->places; i++)
		p->flags[i] = i < n ? CPUPLUG_PRESENT : 0;
	pthread_mutex_unlock(&p->lock);
}

/* Which vCPUs there are is the machine's affair, not the guest's: it outlives a reset. */
static void cpuplug_reset(struct device *d)
{
	struct cpuplug *p = cpuplug_of(d);

	pthread_mutex_lock(&p->lock);
	p->selected = 0;
	for (unsigned i = 0; i < p->places; i++)
		p->flags[i] &= CPUPLUG_PRESENT;
	pthread_mutex_unlock(&p->lock);
}

static void cpuplug_save(struct device *d, struct record *r)
{
	struct cpuplug *p = cpuplug_of(d);

	pthread_mutex_lock(&p->lock);
	record_put_u8(r, 1);
	record_put_u32(r, p->places);
	record_put_u32(r, p->selected);
	record_put(r, p->flags, p->places);
	pthread_mutex_unlock(&p->lock);
}

static int cpuplug_load(struct device *d, struct record *r, struct err *e)
{
	struct cpuplug *p = cpuplug_of(d);
	uint8_t version = record_get_u8(r), flags[CPU_VCPUS_MAX] = { 0 };
	uint32_t places = record_get_u32(r), selected = record_get_u32(r);
	bool good = version == 1 && places == p->places;

	if (good)
		record_get(r, flags, places);
	good &= record_done(r);
	for (unsigned i = 0; good && i < places; i++)
		good = flags[i] <= (CPUPLUG_PRESENT | CPUPLUG_COMES | CPUPLUG_GOES) &&
		       (flags[i] == 0 || (flags[i] & CPUPLUG_PRESENT)) && (i > 0 || flags[0]);
	if (!good)
		return err_set(e, -EINVAL, "cpuplug: not a state that this machine can load");
	pthread_mutex_lock(&p->lock);
	p->selected = selected;
	memcpy(p->flags, flags, places);
	pthread_mutex_unlock(&p->lock);
	return 0;
}

static void cpuplug_free(struct device *d)
{
	struct cpuplug *p = cpuplug_of(d);

	pthread_mutex_destroy(&p->lock);
	free(p);
}

static const struct device_ops cpuplug_ops = {
	.name = "cpuplug",
	.access_max = 4,
	.read = cpuplug_read,
	.write = cpuplug_write,
	.reset = cpuplug_reset,
	.save = cpuplug_save,
	.load = cpuplug_load,
	.free = cpuplug_free,
};

int cpuplug_new(unsigned places, unsigned present, const struct cpu_topology *topology,
		struct cpuplug_host host, struct cpuplug **ret, struct err *e)
{
	struct cpuplug *p = calloc(1, sizeof(*p));

	if (!p)
		return err_sys(e, ENOMEM, "cpuplug");
	p->device.ops = &cpuplug_ops;
	p->host = host;
	p->topology = topology;
	p->places = places < CPU_VCPUS_MAX ? places : CPU_VCPUS_MAX;
	pthread_mutex_init(&p->lock, NULL);
	cpuplug_set(p, present);
	*ret = p;
	return 0;
}

struct device *cpuplug_device(struct cpuplug *p)
{
	return &p->device;
}
