/* struct virtq: see virtq.h. Sections are Virtio 1.2's. */
#include "vmm/virtio/virtq.h"

#include <errno.h>
#include <linux/virtio_ring.h>
#include <stdatomic.h>
#include <string.h>

/* The rings' layout (2.7): flags and index, then the entries, then the other side's event index. */
#define AVAIL_LEN(n) (4 + 2 * (uint64_t)(n) + 2)
#define USED_LEN(n)  (4 + 8 * (uint64_t)(n) + 2)

/* A 16-bit field of a ring, shared with the guest's CPUs; little-endian as this host is. */
typedef _Atomic uint16_t ring_u16;

static uint16_t ring_get(const void *ring, size_t offset, memory_order order)
{
	const ring_u16 *p = (const ring_u16 *)((const char *)ring + offset);

	return atomic_load_explicit(p, order);
}

static void ring_put(void *ring, size_t offset, uint16_t v, memory_order order)
{
	atomic_store_explicit((ring_u16 *)((char *)ring + offset), v, order);
}

static uint16_t avail_idx(const struct virtq *q)
{
	return ring_get(q->avail, 2, memory_order_acquire);
}

static int virtq_break(struct virtq *q, const char *why)
{
	if (!q->broken)
		q->broken = why;
	return -EINVAL;
}

/* Where the rings lie on the host. */
static int virtq_map(struct virtq *q)
{
	unsigned n = q->setup.size;

	q->unplugs = q->mem->unplugs;
	q->desc = guestmem_range(q->mem, q->setup.desc, 16 * (uint64_t)n);
	q->avail = guestmem_range(q->mem, q->setup.avail, AVAIL_LEN(n));
	q->used = guestmem_range(q->mem, q->setup.used, USED_LEN(n));
	if (!q->desc || !q->avail || !q->used)
		return virtq_break(q, "its rings do not lie in the machine's memory");
	return 0;
}

/*
 * Whether the rings may be touched. Memory that a guest gives back is gone, also when its rings
 * lay there.
 */
static bool virtq_usable(struct virtq *q)
{
	return q->running && !q->broken && (q->unplugs == q->mem->unplugs || virtq_map(q) == 0);
}

int virtq_start(struct virtq *q, const struct guestmem *mem, const struct virtq_setup *setup,
		bool event_idx)
{
	unsigned n = setup->size;

	q->setup = *setup;
	q->mem = mem;
	q->event_idx = event_idx;
	q->broken = NULL;
	q->running = false;
	if (n == 0 || n > VIRTQ_SIZE_MAX || (n & (n - 1)))
		return virtq_break(q, "its size is no power of two in bounds");
	if (setup->desc % 16 || setup->avail % 2 || setup->used % 4)
		return virtq_break(q, "its rings are not aligned");
	if (virtq_map(q) < 0)
		return -EINVAL;
	q->running = true;
	return 0;
}

void virtq_stop(struct virtq *q)
{
	q->running = false;
}

void virtq_reset(struct virtq *q)
{
	memset(q, 0, sizeof(*q));
}

/* ---- taking ---- */

static void copy_desc(struct vring_desc *d, const void *table, unsigned i)
{
	memcpy(d, (const char *)table + 16 * (size_t)i, sizeof(*d));
	// The guest may write it meanwhile: nothing below may look there a second time.
	atomic_signal_fence(memory_order_seq_cst);
}

/* Adds one buffer to the chain. */
static int chain_add(struct virtq *q, const struct vring_desc *d, struct iovec *iov, unsigned cap,
		     struct virtq_chain *c)
{
	bool in = d->flags & VRING_DESC_F_WRITE;
	void *p = guestmem_range(q->mem, d->addr, d->len);

	if (!p)
		return virtq_break(q, "a buffer does not lie in the machine's memory");
	if (!in && c->nin)
		return virtq_break(q, "a buffer to be read follows one to be written");
	if (d->len == 0)
		return 0;
	if (c->nout + c->nin == cap)
		return virtq_break(q, "a request has too many buffers");
	iov[c->nout + c->nin] = (struct iovec){ p, d->len };
	c->nout += !in;
	c->nin += in;
	c->out_len += in ? 0 : d->len;
	c->in_len += in ? d->len : 0;
	return 0;
}

/* A walk over a table of n descriptors; an indirect one may end the queue's own table's. */
struct walk {
	const void *table;
	unsigned n;
	unsigned seen; /* more than n: a loop */
	bool indirect;
};

static int walk_enter(struct virtq *q, struct walk *w, const struct vring_desc *d)
{
	if (w->indirect)
		return virtq_break(q, "an indirect table is inside of another");
	if (d->flags & VRING_DESC_F_NEXT)
		return virtq_break(q, "an indirect descriptor has a next one");
	if (d->len == 0 || d->len % 16 || d->len / 16 > VIRTQ_CHAIN_MAX)
		return virtq_break(q, "an indirect table has an impossible length");
	*w = (struct walk){ guestmem_range(q->mem, d->addr, d->len), d->len / 16, 0, true };
	if (!w->table)
		return virtq_break(q, "an indirect table does not lie in the machine's memory");
	return 0;
}

static int chain_walk(struct virtq *q, struct iovec *iov, unsigned cap, struct virtq_chain *c)
{
	struct walk w = { q->desc, q->setup.size, 0, false };
	unsigned i = c->head;
	struct vring_desc d;
	int r;

	for (;;) {
		if (i >= w.n)
			return virtq_break(q, "a descriptor's index is beyond its table");
		if (++w.seen > w.n)
			return virtq_break(q, "descriptors form a loop");
		copy_desc(&d, w.table, i);
		if (d.flags & VRING_DESC_F_INDIRECT) {
			r = walk_enter(q, &w, &d);
			i = 0;
		} else {
			r = chain_add(q, &d, iov, cap, c);
			i = d.next;
		}
		if (r < 0)
			return r;
		if (!(d.flags & (VRING_DESC_F_NEXT | VRING_DESC_F_INDIRECT)))
			return 0;
	}
}

int virtq_pop(struct virtq *q, struct iovec *iov, unsigned cap, struct virtq_chain *ret)
{
	uint16_t idx;
	int r;

	if (!virtq_usable(q))
		return q->broken ? -EINVAL : 0;
	idx = avail_idx(q);
	if (idx == q->next_avail)
		return 0;
	if ((uint16_t)(idx - q->next_avail) > q->setup.size)
		return virtq_break(q, "more requests are available than it has room for");
	// A driver may offer no more than all: else a request comes a second time, in flight.
	if ((uint16_t)(q->next_avail - q->next_used) >= q->setup.size)
		return virtq_break(q, "more requests are in flight than it has room for");
	memset(ret, 0, sizeof(*ret));
	ret->head = ring_get(q->avail, 4 + 2 * (size_t)(q->next_avail & (q->setup.size - 1)),
			     memory_order_relaxed);
	r = chain_walk(q, iov, cap, ret);
	if (r < 0)
		return r;
	ret->out = iov;
	ret->in = iov + ret->nout;
	q->next_avail++;
	return 1;
}

void virtq_unpop(struct virtq *q, unsigned n)
{
	q->next_avail = (uint16_t)(q->next_avail - n);
}

bool virtq_pending(struct virtq *q)
{
	return virtq_usable(q) && avail_idx(q) != q->next_avail;
}

/* ---- giving back ---- */

void virtq_fill(struct virtq *q, uint16_t head, uint32_t written)
{
	struct vring_used_elem elem = { .id = head, .len = written };
	size_t at = 4 + 8 * (size_t)(q->next_used & (q->setup.size - 1));

	if (!virtq_usable(q))
		return;
	memcpy((char *)q->used + at, &elem, sizeof(elem));
	q->next_used++;
}

void virtq_publish(struct virtq *q)
{
	if (q->running && !q->broken)
		ring_put(q->used, 2, q->next_used, memory_order_release);
}

void virtq_push(struct virtq *q, uint16_t head, uint32_t written)
{
	virtq_fill(q, head, written);
	virtq_publish(q);
}

/* ---- telling each other (2.7.7, 2.7.10) ---- */

void virtq_disarm(struct virtq *q)
{
	if (!q->event_idx && virtq_usable(q))
		ring_put(q->used, 0, VRING_USED_F_NO_NOTIFY, memory_order_relaxed);
}

bool virtq_arm(struct virtq *q)
{
	if (!virtq_usable(q))
		return false;
	if (q->event_idx)
		ring_put(q->used, USED_LEN(q->setup.size) - 2, q->next_avail, memory_order_relaxed);
	else
		ring_put(q->used, 0, 0, memory_order_relaxed);
	atomic_thread_fence(memory_order_seq_cst); // the index is read after the wish is seen
	return avail_idx(q) != q->next_avail;
}

bool virtq_should_notify(struct virtq *q)
{
	uint16_t old = q->signalled, event;

	if (q->next_used == old || !virtq_usable(q))
		return false;
	q->signalled = q->next_used;
	atomic_thread_fence(memory_order_seq_cst); // the wish is read after the index is seen
	if (!q->event_idx)
		return !(ring_get(q->avail, 0, memory_order_relaxed) & VRING_AVAIL_F_NO_INTERRUPT);
	event = ring_get(q->avail, AVAIL_LEN(q->setup.size) - 2, memory_order_relaxed);
	return vring_need_event(event, q->next_used, old);
}

/* ---- copies ---- */

static size_t iov_copy(const struct iovec *iov, unsigned n, size_t at, void *data, size_t len,
		       bool in)
{
	size_t done = 0;

	for (unsigned i = 0; i < n && done < len; i++) {
		size_t part = iov[i].iov_len;
		char *p = iov[i].iov_base;

		if (at >= part) {
			at -= part;
			continue;
		}
		part -= at;
		if (part > len - done)
			part = len - done;
		if (in)
			memcpy(p + at, (const char *)data + done, part);
		else
			memcpy((char *)data + done, p + at, part);
		done += part;
		at = 0;
	}
	return done;
}

size_t virtq_copy_out(const struct virtq_chain *c, size_t at, void *data, size_t len)
{
	return iov_copy(c->out, c->nout, at, data, len, false);
}

size_t virtq_copy_in(const struct virtq_chain *c, size_t at, const void *data, size_t len)
{
	return iov_copy(c->in, c->nin, at, (void *)(uintptr_t)data, len, true);
}

/* ---- state ---- */

void virtq_save(const struct virtq *q, struct record *r)
{
	record_put_u32(r, q->next_avail | (uint32_t)q->next_used << 16);
	record_put_u32(r, q->signalled);
}

void virtq_load(struct virtq *q, struct record *r)
{
	uint32_t indexes = record_get_u32(r), signalled = record_get_u32(r);

	q->next_avail = (uint16_t)indexes;
	q->next_used = (uint16_t)(indexes >> 16);
	q->signalled = (uint16_t)signalled;
}
