/* struct ioapic: see ioapic.h. */
#include "vmm/board/ioapic.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define REG_SELECT 0x00
#define REG_WINDOW 0x10

#define INDEX_ID      0x00
#define INDEX_VERSION 0x01
#define INDEX_ENTRIES 0x10

#define VERSION (0x20u | (IOAPIC_PINS - 1) << 16)

#define ENTRY_MASKED   (1ull << 16)
#define ENTRY_WRITABLE 0xfffe00000001afffull /* not delivery status, Remote IRR, reserved bits */

struct ioapic {
	struct device device;
	ioapic_msi *msi;
	void *arg;
	pthread_mutex_t lock; /* everything below */
	uint32_t select;
	uint32_t id;
	uint32_t levels;  /* lines that are high, a bit each */
	uint32_t waiting; /* lines that rose while they were masked */
	uint64_t entries[IOAPIC_PINS];
};

static struct ioapic *ioapic_of(struct device *d)
{
	return (struct ioapic *)((char *)d - offsetof(struct ioapic, device));
}

/* An entry's fields where a message has them (Intel's manual, volume 3, 11.11). */
static void deliver(struct ioapic *i, unsigned pin)
{
	uint64_t entry = i->entries[pin];
	uint64_t address = 0xfee00000u | (entry >> 56 & 0xff) << 12 | (entry >> 11 & 1) << 2 |
			   (entry >> 49 & 0x7f) << 5;

	i->waiting &= ~(1u << pin);
	i->msi(i->arg, address, (uint32_t)(entry & 0x7ff));
}

void ioapic_set(struct ioapic *i, uint32_t pin, bool level)
{
	bool rises;

	if (pin >= IOAPIC_PINS)
		return;
	pthread_mutex_lock(&i->lock);
	rises = level && !(i->levels >> pin & 1);
	i->levels &= ~(1u << pin);
	i->levels |= (uint32_t)level << pin;
	if (rises && (i->entries[pin] & ENTRY_MASKED))
		i->waiting |= 1u << pin;
	else if (rises)
		deliver(i, pin);
	pthread_mutex_unlock(&i->lock);
}

static uint32_t window_read(const struct ioapic *i)
{
	unsigned at = i->select - INDEX_ENTRIES;

	if (i->select == INDEX_ID)
		return i->id;
	if (i->select == INDEX_VERSION)
		return VERSION;
	if (i->select >= INDEX_ENTRIES && at < 2 * IOAPIC_PINS)
		return (uint32_t)(i->entries[at / 2] >> (at % 2 * 32));
	return 0;
}

/* A line that rose while it was masked is not lost: it is told when the mask goes. */
static void window_write(struct ioapic *i, uint32_t value)
{
	unsigned at = i->select - INDEX_ENTRIES, shift = at % 2 * 32;
	uint64_t *entry;

	if (i->select == INDEX_ID)
		i->id = value & 0x0f000000;
	if (i->select < INDEX_ENTRIES || at >= 2 * IOAPIC_PINS)
		return;
	entry = &i->entries[at / 2];
	*entry &= ~(0xffffffffull << shift);
	*entry |= (uint64_t)value << shift & ENTRY_WRITABLE;
	if (!(*entry & ENTRY_MASKED) && (i->waiting >> at / 2 & 1))
		deliver(i, at / 2);
}

static uint64_t ioapic_read(struct device *d, unsigned region, uint64_t offset, unsigned size)
{
	struct ioapic *i = ioapic_of(d);
	uint32_t v = 0;

	pthread_mutex_lock(&i->lock);
	if (offset == REG_SELECT)
		v = i->select;
	else if (offset == REG_WINDOW)
		v = window_read(i);
	pthread_mutex_unlock(&i->lock);
	return v;
}

static void ioapic_write(struct device *d, unsigned region, uint64_t offset, unsigned size,
			 uint64_t value)
{
	struct ioapic *i = ioapic_of(d);

	pthread_mutex_lock(&i->lock);
	if (offset == REG_SELECT)
		i->select = value & 0xff;
	else if (offset == REG_WINDOW && size == 4)
		window_write(i, (uint32_t)value);
	pthread_mutex_unlock(&i->lock);
}

static void ioapic_reset(struct device *d)
{
	struct ioapic *i = ioapic_of(d);

	pthread_mutex_lock(&i->lock);
	i->select = i->id = i->levels = i->waiting = 0;
	for (unsigned pin = 0; pin < IOAPIC_PINS; pin++)
		i->entries[pin] = ENTRY_MASKED;
	pthread_mutex_unlock(&i->lock);
}

static void ioapic_save(struct device *d, struct record *r)
{
	struct ioapic *i = ioapic_of(d);

	pthread_mutex_lock(&i->lock);
	record_put_u8(r, 1);
	record_put_u32(r, i->select);
	record_put_u32(r, i->id);
	record_put_u32(r, i->levels);
	record_put_u32(r, i->waiting);
	for (unsigned pin = 0; pin < IOAPIC_PINS; pin++)
		record_put_u64(r, i->entries[pin]);
	pthread_mutex_unlock(&i->lock);
}

static int ioapic_load(struct device *d, struct record *r, struct err *e)
{
	struct ioapic *i = ioapic_of(d);
	uint8_t version = record_get_u8(r);
	uint32_t v[4];
	uint64_t entries[IOAPIC_PINS];

	for (unsigned n = 0; n < 4; n++)
		v[n] = record_get_u32(r);
	for (unsigned pin = 0; pin < IOAPIC_PINS; pin++)
		entries[pin] = record_get_u64(r) & ENTRY_WRITABLE;
	if (version != 1 || !record_done(r))
		return err_set(e, -EINVAL, "ioapic: not a state that this version can load");
	pthread_mutex_lock(&i->lock);
	i->select = v[0] & 0xff;
	i->id = v[1] & 0x0f000000;
	i->levels = v[2] & ((1u << IOAPIC_PINS) - 1);
	i->waiting = v[3] & ((1u << IOAPIC_PINS) - 1);
	memcpy(i->entries, entries, sizeof(entries));
	pthread_mutex_unlock(&i->lock);
	return 0;
}

static void ioapic_free(struct device *d)
{
	struct ioapic *i = ioapic_of(d);

	pthread_mutex_destroy(&i->lock);
	free(i);
}

static const struct device_ops ioapic_ops = {
	.name = "ioapic",
	.access_max = 4,
	.read = ioapic_read,
	.write = ioapic_write,
	.reset = ioapic_reset,
	.save = ioapic_save,
	.load = ioapic_load,
	.free = ioapic_free,
};

int ioapic_new(ioapic_msi *msi, void *arg, struct ioapic **ret, struct err *e)
{
	struct ioapic *i = calloc(1, sizeof(*i));

	if (!i)
		return err_sys(e, ENOMEM, "ioapic");
	i->device.ops = &ioapic_ops;
	i->msi = msi;
	i->arg = arg;
	pthread_mutex_init(&i->lock, NULL);
	ioapic_reset(&i->device);
	*ret = i;
	return 0;
}

struct device *ioapic_device(struct ioapic *i)
{
	return &i->device;
}
