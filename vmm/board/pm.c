/* struct pm: see pm.h. */
#include "vmm/board/pm.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define SLP_EN	   0x20
#define SLP_TYP(v) ((v) >> 2 & 7)
#define WAK_STS	   0x80
#define RESET_CPU  0x04 /* the bit of 0xcf9 whose rising edge resets */

struct pm {
	struct device device;
	struct irq irq;
	struct guest_wishes wishes;
	pthread_mutex_t lock; /* everything below */
	uint8_t events;
	uint8_t status;
	uint8_t reset; /* last written to the reset register */
};

static struct pm *pm_of(struct device *d)
{
	return (struct pm *)((char *)d - offsetof(struct pm, device));
}

static uint64_t pm_read(struct device *d, unsigned region, uint64_t offset, unsigned size)
{
	struct pm *p = pm_of(d);
	uint8_t v = 0;

	pthread_mutex_lock(&p->lock);
	if (region == 1 || offset == PM_RESET)
		v = p->reset;
	else if (offset == PM_SLEEP_STS)
		v = p->status;
	else if (offset == PM_EVENTS) {
		v = p->events;
		p->events = 0;
	}
	pthread_mutex_unlock(&p->lock);
	return v;
}

static void pm_write(struct device *d, unsigned region, uint64_t offset, unsigned size,
		     uint64_t value)
{
	struct pm *p = pm_of(d);
	bool off = false, reset = false;

	pthread_mutex_lock(&p->lock);
	if (region == 1 || offset == PM_RESET) {
		reset = value & ~(uint64_t)p->reset & RESET_CPU;
		p->reset = (uint8_t)value;
	} else if (offset == PM_SLEEP_CTL) {
		off = (value & SLP_EN) && SLP_TYP(value) == PM_S5;
	} else if (offset == PM_SLEEP_STS) {
		p->status &= (uint8_t) ~(value & WAK_STS); // write one to clear
	}
	pthread_mutex_unlock(&p->lock);
	if (off)
		p->wishes.ask(p->wishes.arg, GUEST_POWEROFF);
	if (reset)
		p->wishes.ask(p->wishes.arg, GUEST_RESET);
}

/*
 * The event register collects what happened, so a pulse is enough: a second event before the
 * guest has read it only adds its bit, and one after it makes a new edge.
 */
void pm_event(struct pm *p, uint8_t event)
{
	pthread_mutex_lock(&p->lock);
	p->events |= event;
	irq_set(&p->irq, true);
	irq_set(&p->irq, false);
	pthread_mutex_unlock(&p->lock);
}

static void pm_reset(struct device *d)
{
	struct pm *p = pm_of(d);

	pthread_mutex_lock(&p->lock);
	p->events = p->status = p->reset = 0;
	pthread_mutex_unlock(&p->lock);
}

static void pm_save(struct device *d, struct record *r)
{
	struct pm *p = pm_of(d);

	pthread_mutex_lock(&p->lock);
	record_put(r, (uint8_t[]){ 1, p->events, p->status, p->reset }, 4);
	pthread_mutex_unlock(&p->lock);
}

static int pm_load(struct device *d, struct record *r, struct err *e)
{
	struct pm *p = pm_of(d);
	uint8_t v[4];

	record_get(r, v, sizeof(v));
	if (v[0] != 1 || !record_done(r))
		return err_set(e, -EINVAL, "pm: not a state that this version can load");
	pthread_mutex_lock(&p->lock);
	p->events = v[1];
	p->status = v[2];
	p->reset = v[3];
	pthread_mutex_unlock(&p->lock);
	return 0;
}

static void pm_free(struct device *d)
{
	struct pm *p = pm_of(d);

	pthread_mutex_destroy(&p->lock);
	free(p);
}

static const struct device_ops pm_ops = {
	.name = "pm",
	.access_max = 1,
	.read = pm_read,
	.write = pm_write,
	.reset = pm_reset,
	.save = pm_save,
	.load = pm_load,
	.free = pm_free,
};

int pm_new(struct irq irq, struct guest_wishes wishes, struct pm **ret, struct err *e)
{
	struct pm *p = calloc(1, sizeof(*p));

	if (!p)
		return err_sys(e, ENOMEM, "pm");
	p->device.ops = &pm_ops;
	p->irq = irq;
	p->wishes = wishes;
	pthread_mutex_init(&p->lock, NULL);
	*ret = p;
	return 0;
}

struct device *pm_device(struct pm *p)
{
	return &p->device;
}
