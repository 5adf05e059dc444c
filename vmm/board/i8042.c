/* struct i8042: see i8042.h. */
#include "vmm/board/i8042.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define STATUS_OUTPUT  0x01 /* a byte waits to be read */
#define STATUS_SYSTEM  0x04 /* self test passed */
#define STATUS_COMMAND 0x08 /* the last write was a command */

#define CMD_READ_CONFIG	 0x20
#define CMD_WRITE_CONFIG 0x60
#define CMD_SELF_TEST	 0xaa
#define CMD_TEST_KBD	 0xab
#define CMD_PULSE	 0xf0 /* to 0xff: pulse the output lines whose bit is 0; line 0 is reset */

struct i8042 {
	struct device device;
	struct guest_wishes wishes;
	pthread_mutex_t lock; /* everything below */
	uint8_t status;
	uint8_t config;
	uint8_t output;	 /* valid with STATUS_OUTPUT */
	uint8_t command; /* that waits for its data byte, or 0 */
};

static struct i8042 *i8042_of(struct device *d)
{
	return (struct i8042 *)((char *)d - offsetof(struct i8042, device));
}

static uint64_t i8042_read(struct device *d, unsigned region, uint64_t offset, unsigned size)
{
	struct i8042 *k = i8042_of(d);
	uint8_t v;

	pthread_mutex_lock(&k->lock);
	if (region == 1) {
		v = k->status;
	} else {
		v = k->output;
		k->status &= (uint8_t)~STATUS_OUTPUT;
	}
	pthread_mutex_unlock(&k->lock);
	return v;
}

static void i8042_answer(struct i8042 *k, uint8_t v)
{
	k->output = v;
	k->status |= STATUS_OUTPUT;
}

/* True when the guest pulsed the reset line. */
static bool i8042_command(struct i8042 *k, uint8_t v)
{
	k->status |= STATUS_COMMAND;
	k->command = v;
	switch (v) {
	case CMD_READ_CONFIG:
		i8042_answer(k, k->config);
		break;
	case CMD_SELF_TEST:
		i8042_answer(k, 0x55); // passed
		break;
	case CMD_TEST_KBD:
		i8042_answer(k, 0x01); // clock line stuck low: there is no keyboard
		break;
	default:
		return v >= CMD_PULSE && !(v & 1);
	}
	return false;
}

static void i8042_data(struct i8042 *k, uint8_t v)
{
	k->status &= (uint8_t)~STATUS_COMMAND;
	if (k->command == CMD_WRITE_CONFIG)
		k->config = v;
	k->command = 0;
}

static void i8042_write(struct device *d, unsigned region, uint64_t offset, unsigned size,
			uint64_t value)
{
	struct i8042 *k = i8042_of(d);
	bool reset = false;

	pthread_mutex_lock(&k->lock);
	if (region == 1)
		reset = i8042_command(k, (uint8_t)value);
	else
		i8042_data(k, (uint8_t)value);
	pthread_mutex_unlock(&k->lock);
	if (reset)
		k->wishes.ask(k->wishes.arg, GUEST_RESET);
}

static void i8042_reset(struct device *d)
{
	struct i8042 *k = i8042_of(d);

	pthread_mutex_lock(&k->lock);
	k->status = STATUS_SYSTEM;
	k->config = k->output = k->command = 0;
	pthread_mutex_unlock(&k->lock);
}

static void i8042_save(struct device *d, struct record *r)
{
	struct i8042 *k = i8042_of(d);

	pthread_mutex_lock(&k->lock);
	record_put(r, (uint8_t[]){ 1, k->status, k->config, k->output, k->command }, 5);
	pthread_mutex_unlock(&k->lock);
}

static int i8042_load(struct device *d, struct record *r, struct err *e)
{
	struct i8042 *k = i8042_of(d);
	uint8_t v[5];

	record_get(r, v, sizeof(v));
	if (v[0] != 1 || !record_done(r))
		return err_set(e, -EINVAL, "i8042: not a state that this version can load");
	pthread_mutex_lock(&k->lock);
	k->status = v[1];
	k->config = v[2];
	k->output = v[3];
	k->command = v[4];
	pthread_mutex_unlock(&k->lock);
	return 0;
}

static void i8042_free(struct device *d)
{
	struct i8042 *k = i8042_of(d);

	pthread_mutex_destroy(&k->lock);
	free(k);
}

static const struct device_ops i8042_ops = {
	.name = "i8042",
	.access_max = 1,
	.read = i8042_read,
	.write = i8042_write,
	.reset = i8042_reset,
	.save = i8042_save,
	.load = i8042_load,
	.free = i8042_free,
};

int i8042_new(struct guest_wishes wishes, struct device **ret, struct err *e)
{
	struct i8042 *k = calloc(1, sizeof(*k));

	if (!k)
		return err_sys(e, ENOMEM, "i8042");
	k->device.ops = &i8042_ops;
	k->wishes = wishes;
	pthread_mutex_init(&k->lock, NULL);
	i8042_reset(&k->device);
	*ret = &k->device;
	return 0;
}
