/* virtio_mem: see virtio_mem.h. */
#include "vmm/virtio/virtio_mem.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define F_UNPLUGGED_INACCESSIBLE (1ull << 1)

enum { REQ_PLUG, REQ_UNPLUG, REQ_UNPLUG_ALL, REQ_STATE };
enum { RESP_ACK, RESP_NACK, RESP_BUSY, RESP_ERROR };
enum { STATE_PLUGGED, STATE_UNPLUGGED, STATE_MIXED };

struct mem_config {
	uint64_t block_size;
	uint16_t node;
	uint8_t padding[6];
	uint64_t addr;
	uint64_t region_size;
	uint64_t usable_size;
	uint64_t plugged_size;
	uint64_t requested_size;
};

struct mem_request {
	uint16_t type;
	uint16_t padding[3];
	uint64_t addr;
	uint16_t blocks;
	uint16_t padding2[3];
};

struct mem_response {
	uint16_t type;
	uint16_t padding[3];
	uint16_t state;
};

#define RESPONSE_SIZE 10

struct virtio_mem {
	struct virtio_device virtio;
	struct guestmem *mem;
	_Atomic uint64_t *plugged;
	struct mem_config config; /* the lock: what config_read() shows */
};

static struct virtio_mem *mem_of(struct virtio_device *d)
{
	return (struct virtio_mem *)((char *)d - offsetof(struct virtio_mem, virtio));
}

static uint64_t blocks_of(const struct virtio_mem *m)
{
	return m->mem->hot.len / m->mem->block_len;
}

static void set_plugged(struct virtio_mem *m, uint64_t bytes)
{
	pthread_mutex_lock(&m->virtio.lock);
	m->config.plugged_size = bytes;
	pthread_mutex_unlock(&m->virtio.lock);
	if (m->plugged)
		atomic_store_explicit(m->plugged, bytes, memory_order_relaxed);
}

/* ---- requests ---- */

/* Blocks of a request; false where it asks for what is not there. */
static bool range_of(const struct virtio_mem *m, const struct mem_request *q, uint64_t *first)
{
	uint64_t at = q->addr - m->mem->hot.gpa;

	if (q->addr < m->mem->hot.gpa || at % m->mem->block_len || q->blocks == 0)
		return false;
	*first = at / m->mem->block_len;
	return *first < blocks_of(m) && q->blocks <= blocks_of(m) - *first;
}

static unsigned count_plugged(const struct virtio_mem *m, uint64_t first, unsigned n)
{
	unsigned count = 0;

	for (unsigned i = 0; i < n; i++)
		count += m->mem->blocks[first + i];
	return count;
}

static uint16_t do_plug(struct virtio_mem *m, const struct mem_request *q)
{
	uint64_t first, len = q->blocks * m->mem->block_len;

	if (!range_of(m, q, &first) || count_plugged(m, first, q->blocks))
		return RESP_ERROR;
	if (m->config.plugged_size + len > m->config.requested_size)
		return RESP_NACK;
	if (guestmem_plug(m->mem, first, q->blocks) < 0)
		return RESP_BUSY; // the host has no memory: the driver tries again later
	set_plugged(m, m->config.plugged_size + len);
	return RESP_ACK;
}

static uint16_t do_unplug(struct virtio_mem *m, const struct mem_request *q)
{
	uint64_t first;

	if (!range_of(m, q, &first) || count_plugged(m, first, q->blocks) != q->blocks)
		return RESP_ERROR;
	guestmem_unplug(m->mem, first, q->blocks);
	set_plugged(m, m->config.plugged_size - q->blocks * m->mem->block_len);
	return RESP_ACK;
}

static uint16_t do_unplug_all(struct virtio_mem *m)
{
	guestmem_unplug(m->mem, 0, blocks_of(m));
	set_plugged(m, 0);
	return RESP_ACK;
}

static uint16_t do_state(struct virtio_mem *m, const struct mem_request *q, uint16_t *state)
{
	uint64_t first;
	unsigned count;

	if (!range_of(m, q, &first))
		return RESP_ERROR;
	count = count_plugged(m, first, q->blocks);
	*state = count == q->blocks ? STATE_PLUGGED : count ? STATE_MIXED : STATE_UNPLUGGED;
	return RESP_ACK;
}

/* Whether there still is memory where the answer is to be: the request may have taken it away. */
static bool has_room(const struct virtio_mem *m, const struct virtq_chain *c)
{
	for (unsigned i = 0; i < c->nin; i++)
		if (!guestmem_has(m->mem, c->in[i].iov_base, c->in[i].iov_len))
			return false;
	return true;
}

static int64_t mem_work(struct virtio_device *d, unsigned queue, const struct virtq_chain *c)
{
	struct virtio_mem *m = mem_of(d);
	struct mem_request q = { 0 };
	struct mem_response a = { .type = RESP_ERROR };

	if (virtq_copy_out(c, 0, &q, sizeof(q)) < sizeof(q) || c->in_len < RESPONSE_SIZE)
		return -EINVAL;
	switch (q.type) {
	case REQ_PLUG:
		a.type = do_plug(m, &q);
		break;
	case REQ_UNPLUG:
		a.type = do_unplug(m, &q);
		break;
	case REQ_UNPLUG_ALL:
		a.type = do_unplug_all(m);
		break;
	case REQ_STATE:
		a.type = do_state(m, &q, &a.state);
		break;
	default:
		break;
	}
	return has_room(m, c) ? (int64_t)virtq_copy_in(c, 0, &a, RESPONSE_SIZE) : -EINVAL;
}

/* ---- the device ---- */

static int mem_start(struct virtio_device *d, struct err *e)
{
	if (!virtio_has(d, F_UNPLUGGED_INACCESSIBLE))
		return err_set(e, -ENXIO, "the driver would touch memory that is not plugged in");
	return 0;
}

static void mem_kick(struct virtio_device *d, unsigned queue)
{
	virtio_serve(d, queue, mem_work);
}

static void mem_stop(struct virtio_device *d)
{
}

static void mem_config_read(struct virtio_device *d, unsigned offset, void *data, unsigned len)
{
	memcpy(data, (const char *)&mem_of(d)->config + offset, len);
}

void virtio_mem_want(struct virtio_device *d, uint64_t bytes)
{
	struct virtio_mem *m = mem_of(d);

	pthread_mutex_lock(&d->lock);
	bytes = bytes < m->config.region_size ? bytes : m->config.region_size;
	m->config.requested_size = bytes - bytes % m->config.block_size;
	pthread_mutex_unlock(&d->lock);
	virtio_notify_config(d);
}

/* Which blocks have memory; what is in them is saved with all memory. */
static void mem_save(struct virtio_device *d, struct record *r)
{
	struct virtio_mem *m = mem_of(d);

	record_put_u8(r, 1);
	record_put_u64(r, m->mem->hot.gpa);
	record_put_u64(r, m->mem->block_len);
	record_put_u64(r, blocks_of(m));
	record_put_u64(r, m->config.requested_size);
	for (uint64_t i = 0; i < blocks_of(m); i += 8) {
		uint8_t byte = 0;

		for (uint64_t k = 0; k < 8 && i + k < blocks_of(m); k++)
			byte |= (uint8_t)(m->mem->blocks[i + k] << k);
		record_put_u8(r, byte);
	}
}

static int load_blocks(struct virtio_mem *m, const uint8_t *bits)
{
	for (uint64_t i = 0; i < blocks_of(m); i++)
		if ((bits[i / 8] >> (i % 8) & 1) && guestmem_plug(m->mem, i, 1) < 0)
			return -ENOMEM;
	return 0;
}

static int mem_load(struct virtio_device *d, struct record *r, struct err *e)
{
	struct virtio_mem *m = mem_of(d);
	uint8_t bits[GUESTMEM_BLOCKS_MAX / 8] = { 0 };
	uint8_t version = record_get_u8(r);
	uint64_t gpa = record_get_u64(r), block = record_get_u64(r), n = record_get_u64(r);
	uint64_t requested = record_get_u64(r), plugged = 0;

	if (version != 1 || gpa != m->mem->hot.gpa || block != m->mem->block_len ||
	    n != blocks_of(m) || requested > m->mem->hot.len || requested % block)
		return err_set(e, -EINVAL, "%s: not a state of a machine with this memory", d->id);
	record_get(r, bits, (n + 7) / 8);
	for (uint64_t i = 0; i < n; i++)
		plugged += (bits[i / 8] >> (i % 8) & 1) * block;
	if (!record_done(r))
		return err_set(e, -EINVAL, "%s: the state is of another length", d->id);
	guestmem_unplug(m->mem, 0, n);
	if (load_blocks(m, bits) < 0) {
		guestmem_unplug(m->mem, 0, n);
		set_plugged(m, 0);
		return err_set(e, -ENOSPC, "%s: the host has no memory for it", d->id);
	}
	pthread_mutex_lock(&d->lock);
	m->config.requested_size = requested;
	pthread_mutex_unlock(&d->lock);
	set_plugged(m, plugged);
	return 0;
}

/* A driver that resets its device keeps its memory. */
static void mem_reset(struct virtio_device *d)
{
}

void virtio_mem_emptied(struct virtio_device *d)
{
	set_plugged(mem_of(d), 0);
}

static void mem_free(struct virtio_device *d)
{
	virtio_deinit(d);
	free(mem_of(d));
}

static const struct virtio_ops mem_ops = {
	.name = "virtio-mem",
	.type = 24,
	.pci_class = 0x00ff00,
	.start = mem_start,
	.kick = mem_kick,
	.stop = mem_stop,
	.reset = mem_reset,
	.config_read = mem_config_read,
	.save = mem_save,
	.load = mem_load,
	.free = mem_free,
};

int virtio_mem_new(const struct virtio_env *env, struct guestmem *mem, _Atomic uint64_t *plugged,
		   struct virtio_device **ret, struct err *e)
{
	struct virtio_mem *m = calloc(1, sizeof(*m));
	int r;

	if (!m)
		return err_sys(e, ENOMEM, "mem");
	m->mem = mem;
	m->plugged = plugged;
	m->config = (struct mem_config){ .block_size = mem->block_len,
					 .addr = mem->hot.gpa,
					 .region_size = mem->hot.len,
					 .usable_size = mem->hot.len };
	r = virtio_init(&m->virtio, &mem_ops, env, "mem", 1, 64, F_UNPLUGGED_INACCESSIBLE,
			sizeof(m->config), e);
	if (r < 0) {
		mem_free(&m->virtio);
		return r;
	}
	*ret = &m->virtio;
	return 0;
}
