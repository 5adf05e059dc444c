/* virtio_blk: see virtio_blk.h. Sections are Virtio 1.2's. */
#include "vmm/virtio/virtio_blk.h"

#include <errno.h>
#include <event2/event.h>
#include <linux/virtio_blk.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "backends/base/ratelimit.h"
#include "vmm/pace.h"

#define SECTOR		512u
#define SEGMENTS	254u /* of a request, without header and status */
#define IOV_MAX_BLK	(SEGMENTS + 2)
#define DISCARD_SECTORS (1u << 22) /* 2 GiB */
#define ZERO_SECTORS	(1u << 15) /* 16 MiB: they may have to be written */
#define SPARE_REQUESTS	16	   /* kept for the next ones */

struct blk_request {
	struct block_request io;
	struct virtio_blk *blk;
	uint16_t queue, head;
	uint32_t written; /* of the guest's buffers, without the status */
	unsigned char *status;
	unsigned unplugs;	  /* the memory's, when status was found */
	struct blk_request *next; /* of the spare ones */
	struct iovec iov[IOV_MAX_BLK];
};

struct virtio_blk {
	struct virtio_device virtio;
	struct block *block;
	char serial[VIRTIO_BLK_ID_BYTES];
	struct virtio_blk_config config; /* under the device's lock */
	_Atomic uint64_t *counters;
	unsigned in_flight;
	unsigned ended;	 /* since the pace was told */
	bool committing; /* inside of a kick: what ends is told at its end */
	bool *dirty;	 /* queues with something pushed and not told yet */
	bool *starved;	 /* queues that were left because too much was in flight */
	struct ratelimit read_limit, write_limit;
	struct event *refill; /* a limited queue may go on ... */
	uint64_t refill_at;   /* ... at this time of ratelimit_clock() */
	uint64_t limited;     /* bit by queue, 63 for those behind */
	struct blk_request *spare;
	unsigned nspare;
};

static struct virtio_blk *blk_of(struct virtio_device *d)
{
	return (struct virtio_blk *)((char *)d - offsetof(struct virtio_blk, virtio));
}

static void blk_count(struct virtio_blk *v, enum virtio_blk_counter which, uint64_t n)
{
	if (v->counters)
		atomic_fetch_add_explicit(&v->counters[which], n, memory_order_relaxed);
}

/* A guest may give memory back while a request is in flight. */
static bool blk_has(void *arg, const void *p, size_t len)
{
	return guestmem_has(((struct virtio_blk *)arg)->virtio.env.mem, p, len);
}

/* ---- requests in memory ---- */

static struct blk_request *request_get(struct virtio_blk *v)
{
	struct blk_request *r = v->spare;

	if (!r)
		return malloc(sizeof(*r));
	v->spare = r->next;
	v->nspare--;
	return r;
}

static void request_put(struct virtio_blk *v, struct blk_request *r)
{
	if (v->nspare >= SPARE_REQUESTS) {
		free(r);
		return;
	}
	r->next = v->spare;
	v->spare = r;
	v->nspare++;
}

/* ---- the end of a request ---- */

static void blk_tell(struct virtio_blk *v)
{
	for (unsigned i = 0; i < v->virtio.nqueues; i++)
		if (v->dirty[i]) {
			v->dirty[i] = false;
			virtio_notify(&v->virtio, i);
		}
}

static void blk_push(struct virtio_blk *v, struct blk_request *r, uint8_t status)
{
	if (r->unplugs == v->virtio.env.mem->unplugs || blk_has(v, r->status, 1))
		*r->status = status;
	virtq_push(&v->virtio.queues[r->queue], r->head, r->written + 1);
	v->dirty[r->queue] = true;
	request_put(v, r);
}

static uint8_t blk_status(int result)
{
	if (result == 0)
		return VIRTIO_BLK_S_OK;
	return result == -EOPNOTSUPP ? VIRTIO_BLK_S_UNSUPP : VIRTIO_BLK_S_IOERR;
}

static void blk_done(struct block_request *io, int result)
{
	struct blk_request *r =
		(struct blk_request *)((char *)io - offsetof(struct blk_request, io));
	struct virtio_blk *v = r->blk;

	if (result < 0) {
		r->written = 0;
		blk_count(v, BLK_ERRORS, 1);
	}
	v->in_flight--;
	v->ended++;
	blk_push(v, r, blk_status(result));
}

/* After a round of blk_done(). */
static void blk_rounded(void *arg)
{
	struct virtio_blk *v = arg;

	if (v->committing)
		return;
	blk_tell(v);
	if (v->ended)
		pace_ended(v->virtio.env.pace, v->ended, ratelimit_clock());
	v->ended = 0;
	for (unsigned i = 0; i < v->virtio.nqueues; i++)
		if (v->starved[i]) {
			v->starved[i] = false;
			virtio_kick_again(&v->virtio, i);
		}
	if (!v->virtio.running && v->in_flight == 0)
		virtio_settled(&v->virtio);
}

/* ---- a request (5.2.6) ---- */

static bool blk_in_bounds(const struct virtio_blk *v, uint64_t sector, uint64_t len)
{
	uint64_t sectors = v->block->size / SECTOR;

	return len % SECTOR == 0 && sector <= sectors && len / SECTOR <= sectors - sector;
}

/* Takes n bytes off the front of the device-readable part. */
static void chain_skip_out(struct virtq_chain *c, size_t n)
{
	c->out_len -= n;
	while (n && c->nout) {
		size_t part = c->out->iov_len < n ? c->out->iov_len : n;

		c->out->iov_base = (char *)c->out->iov_base + part;
		c->out->iov_len -= part;
		n -= part;
		if (c->out->iov_len == 0) {
			c->out++;
			c->nout--;
		}
	}
}

/* Takes the last byte off the device-writable part: it is the status. */
static unsigned char *chain_take_status(struct virtq_chain *c)
{
	struct iovec *last = &c->in[c->nin - 1];

	c->in_len--;
	last->iov_len--;
	if (last->iov_len == 0)
		c->nin--;
	return (unsigned char *)last->iov_base + last->iov_len;
}

static void blk_submit(struct virtio_blk *v, struct blk_request *r)
{
	r->io.done = blk_done;
	v->in_flight++;
	v->block->ops->submit(v->block, &r->io);
}

static void blk_refuse(struct virtio_blk *v, struct blk_request *r, uint8_t status)
{
	if (status == VIRTIO_BLK_S_IOERR)
		blk_count(v, BLK_ERRORS, 1);
	blk_push(v, r, status);
}

static void blk_transfer(struct virtio_blk *v, struct blk_request *r, bool write, uint64_t sector,
			 struct virtq_chain *c)
{
	uint64_t len = write ? c->out_len : c->in_len;

	if (!blk_in_bounds(v, sector, len) || (write && v->block->readonly)) {
		blk_refuse(v, r, VIRTIO_BLK_S_IOERR);
		return;
	}
	r->io.op = write ? BLOCK_WRITE : BLOCK_READ;
	r->io.offset = sector * SECTOR;
	r->io.len = len;
	r->io.iov = write ? c->out : c->in;
	r->io.niov = write ? c->nout : c->nin;
	r->written = write ? 0 : (uint32_t)len;
	blk_count(v, write ? BLK_WRITES : BLK_READS, 1);
	blk_count(v, write ? BLK_WRITTEN_BYTES : BLK_READ_BYTES, len);
	if (len == 0)
		blk_refuse(v, r, VIRTIO_BLK_S_OK);
	else
		blk_submit(v, r);
}

/* Discard and write zeroes, of one segment each. */
static void blk_clear(struct virtio_blk *v, struct blk_request *r, bool zero,
		      const struct virtq_chain *c)
{
	struct virtio_blk_discard_write_zeroes seg;
	uint32_t max = zero ? ZERO_SECTORS : DISCARD_SECTORS;

	if (!virtio_has(&v->virtio,
			1ull << (zero ? VIRTIO_BLK_F_WRITE_ZEROES : VIRTIO_BLK_F_DISCARD)) ||
	    c->out_len != sizeof(seg)) {
		blk_refuse(v, r, VIRTIO_BLK_S_UNSUPP);
		return;
	}
	virtq_copy_out(c, 0, &seg, sizeof(seg));
	if ((seg.flags & ~(zero ? VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP : 0u))) {
		blk_refuse(v, r, VIRTIO_BLK_S_UNSUPP);
		return;
	}
	if (v->block->readonly || seg.num_sectors > max ||
	    !blk_in_bounds(v, seg.sector, (uint64_t)seg.num_sectors * SECTOR)) {
		blk_refuse(v, r, VIRTIO_BLK_S_IOERR);
		return;
	}
	r->io.op = zero ? BLOCK_ZERO : BLOCK_DISCARD;
	r->io.offset = seg.sector * SECTOR;
	r->io.len = (uint64_t)seg.num_sectors * SECTOR;
	r->io.unmap = seg.flags & VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP;
	blk_count(v, BLK_DISCARDS, 1);
	if (seg.num_sectors == 0)
		blk_refuse(v, r, VIRTIO_BLK_S_OK);
	else
		blk_submit(v, r);
}

static void blk_get_id(struct virtio_blk *v, struct blk_request *r, const struct virtq_chain *c)
{
	r->written = (uint32_t)virtq_copy_in(c, 0, v->serial, sizeof(v->serial));
	blk_refuse(v, r, VIRTIO_BLK_S_OK);
}

static void blk_begin(struct virtio_blk *v, struct blk_request *r,
		      const struct virtio_blk_outhdr *h, struct virtq_chain *c)
{
	r->written = 0;
	r->status = chain_take_status(c);
	r->unplugs = v->virtio.env.mem->unplugs;
	chain_skip_out(c, sizeof(*h));
	switch (h->type) {
	case VIRTIO_BLK_T_IN:
	case VIRTIO_BLK_T_OUT:
		blk_transfer(v, r, h->type == VIRTIO_BLK_T_OUT, h->sector, c);
		break;
	case VIRTIO_BLK_T_FLUSH:
		r->io.op = BLOCK_FLUSH;
		blk_count(v, BLK_FLUSHES, 1);
		blk_submit(v, r);
		break;
	case VIRTIO_BLK_T_GET_ID:
		blk_get_id(v, r, c);
		break;
	case VIRTIO_BLK_T_DISCARD:
	case VIRTIO_BLK_T_WRITE_ZEROES:
		blk_clear(v, r, h->type == VIRTIO_BLK_T_WRITE_ZEROES, c);
		break;
	default:
		blk_refuse(v, r, VIRTIO_BLK_S_UNSUPP);
	}
}

/* ---- limits ---- */

/* 0, or the nanoseconds until this request may pass. */
static uint64_t blk_limit(struct virtio_blk *v, const struct virtio_blk_outhdr *h,
			  const struct virtq_chain *c)
{
	struct ratelimit *l = &v->write_limit;
	uint64_t len = c->out_len - sizeof(*h);

	if (h->type == VIRTIO_BLK_T_IN) {
		l = &v->read_limit;
		len = c->in_len - 1;
	} else if (h->type != VIRTIO_BLK_T_OUT) {
		len = 0; // an operation all the same
	}
	if (h->type == VIRTIO_BLK_T_GET_ID || !ratelimit_active(l))
		return 0;
	return ratelimit_take(l, len, 1, ratelimit_clock());
}

static void blk_refilled(int fd, short what, void *arg)
{
	struct virtio_blk *v = arg;
	uint64_t limited = v->limited;

	v->limited = 0;
	for (unsigned i = 0; i < v->virtio.nqueues; i++)
		if (limited >> (i < 63 ? i : 63) & 1)
			virtio_kick(&v->virtio, i);
}

/* The queue waits until its next request may pass. */
static void blk_wait_refill(struct virtio_blk *v, unsigned queue, uint64_t ns)
{
	uint64_t us = ns / 1000 + 1, at = ratelimit_clock() + ns;
	struct timeval tv = { .tv_sec = (time_t)(us / 1000000), .tv_usec = us % 1000000 };

	v->limited |= 1ull << (queue < 63 ? queue : 63);
	// The sooner of the two: a queue that comes too early only asks again.
	if (evtimer_pending(v->refill, NULL) && v->refill_at <= at)
		return;
	v->refill_at = at;
	evtimer_add(v->refill, &tv);
}

/* ---- a queue ---- */

enum taken { TAKEN, NONE, LEFT, BROKEN };

/* Takes one request from a queue and begins it. */
static enum taken blk_take(struct virtio_blk *v, unsigned queue)
{
	struct virtq *q = &v->virtio.queues[queue];
	struct blk_request *r;
	struct virtio_blk_outhdr h;
	struct virtq_chain c;
	uint64_t ns;
	int n;

	if (v->in_flight >= VIRTIO_BLK_IN_FLIGHT || !(r = request_get(v))) {
		v->starved[queue] = virtq_pending(q);
		return v->starved[queue] ? LEFT : NONE;
	}
	n = virtq_pop(q, r->iov, IOV_MAX_BLK, &c);
	if (n > 0 && (c.in_len < 1 || c.out_len < sizeof(h))) {
		q->broken = "a request has no header or no status";
		n = -EINVAL;
	}
	if (n <= 0) {
		request_put(v, r);
		return n < 0 ? BROKEN : NONE;
	}
	virtq_copy_out(&c, 0, &h, sizeof(h));
	ns = blk_limit(v, &h, &c);
	if (ns) {
		virtq_unpop(q, 1);
		request_put(v, r);
		blk_wait_refill(v, queue, ns);
		return LEFT;
	}
	r->blk = v;
	r->queue = (uint16_t)queue;
	r->head = c.head;
	blk_begin(v, r, &h, &c);
	return TAKEN;
}

static void blk_kick(struct virtio_device *d, unsigned queue)
{
	struct virtio_blk *v = blk_of(d);
	struct virtq *q = &d->queues[queue];
	unsigned left = q->setup.size;
	enum taken t;

	v->committing = true;
	do {
		virtq_disarm(q);
		do
			t = blk_take(v, queue);
		while (t == TAKEN && --left);
	} while (t == NONE && virtq_arm(q));
	v->block->ops->commit(v->block);
	v->committing = false;
	if (t == TAKEN)
		virtio_kick_again(d, queue);
	if (t == BROKEN)
		virtio_fail_queue(d, queue);
	blk_rounded(v);
}

/* ---- life ---- */

static int blk_start(struct virtio_device *d, struct err *e)
{
	return 0;
}

static void blk_stop(struct virtio_device *d)
{
	struct virtio_blk *v = blk_of(d);

	evtimer_del(v->refill);
	v->limited = 0;
	memset(v->starved, 0, d->nqueues * sizeof(v->starved[0]));
}

static unsigned blk_in_flight(struct virtio_device *d)
{
	return blk_of(d)->in_flight;
}

static void blk_settle(struct virtio_device *d, int ms)
{
	struct virtio_blk *v = blk_of(d);
	uint64_t now = ratelimit_clock(), until = now + (uint64_t)ms * 1000000;

	for (; v->in_flight && now < until; now = ratelimit_clock())
		v->block->ops->wait(v->block, (int)((until - now) / 1000000) + 1);
}

static void blk_reset(struct virtio_device *d)
{
}

static void blk_config_read(struct virtio_device *d, unsigned offset, void *data, unsigned len)
{
	memcpy(data, (const char *)&blk_of(d)->config + offset, len);
}

/* Nothing is in flight: all that there is to know is in the queues and in the image. */
static void blk_save(struct virtio_device *d, struct record *r)
{
	record_put_u8(r, 1);
}

static int blk_load(struct virtio_device *d, struct record *r, struct err *e)
{
	if (record_get_u8(r) != 1 || !record_done(r))
		return err_set(e, -EINVAL, "%s: not a state that this version can load", d->id);
	return 0;
}

static void blk_free(struct virtio_device *d)
{
	struct virtio_blk *v = blk_of(d);

	block_free(v->block);
	while (v->spare) {
		struct blk_request *r = v->spare;

		v->spare = r->next;
		free(r);
	}
	if (v->refill)
		event_free(v->refill);
	free(v->dirty);
	free(v->starved);
	virtio_deinit(d);
	free(v);
}

static const struct virtio_ops blk_ops = {
	.name = "virtio-blk",
	.type = 2,
	.pci_class = 0x010000,
	.start = blk_start,
	.kick = blk_kick,
	.stop = blk_stop,
	.in_flight = blk_in_flight,
	.settle = blk_settle,
	.reset = blk_reset,
	.config_read = blk_config_read,
	.save = blk_save,
	.load = blk_load,
	.free = blk_free,
};

/* ---- making and changing it ---- */

void virtio_blk_limit(struct virtio_device *d, const struct virtio_blk_options *o)
{
	struct virtio_blk *v = blk_of(d);
	struct ratelimit_rates reads = { o->rbps, o->riops };
	struct ratelimit_rates writes = { o->wbps, o->wiops };
	uint64_t now = ratelimit_clock();

	ratelimit_set(&v->read_limit, &reads, now);
	ratelimit_set(&v->write_limit, &writes, now);
	evtimer_del(v->refill);
	blk_refilled(-1, 0, v);
}

int virtio_blk_resize(struct virtio_device *d, uint64_t size, struct err *e)
{
	struct virtio_blk *v = blk_of(d);
	uint64_t before = v->block->size;
	int r = v->block->ops->resize(v->block, size, e);

	if (r < 0)
		return r;
	pthread_mutex_lock(&d->lock);
	v->config.capacity = v->block->size / SECTOR;
	pthread_mutex_unlock(&d->lock);
	if (v->block->size != before)
		virtio_notify_config(d);
	return 0;
}

static uint64_t blk_features(const struct block *b)
{
	uint64_t f = 1ull << VIRTIO_BLK_F_SEG_MAX | 1ull << VIRTIO_BLK_F_BLK_SIZE |
		     1ull << VIRTIO_BLK_F_FLUSH | 1ull << VIRTIO_BLK_F_MQ;

	if (b->readonly)
		return f | 1ull << VIRTIO_BLK_F_RO;
	f |= 1ull << VIRTIO_BLK_F_WRITE_ZEROES;
	return b->discard ? f | 1ull << VIRTIO_BLK_F_DISCARD : f;
}

static struct virtio_blk_config blk_config(const struct block *b, unsigned queues)
{
	return (struct virtio_blk_config){ .capacity = b->size / SECTOR,
					   .seg_max = SEGMENTS,
					   .blk_size = b->align,
					   .num_queues = (uint16_t)queues,
					   .max_discard_sectors = DISCARD_SECTORS,
					   .max_discard_seg = 1,
					   .discard_sector_alignment = b->align / SECTOR,
					   .max_write_zeroes_sectors = ZERO_SECTORS,
					   .max_write_zeroes_seg = 1,
					   .write_zeroes_may_unmap = 1 };
}

int virtio_blk_new(const struct virtio_env *env, struct block *b,
		   const struct virtio_blk_options *o, _Atomic uint64_t *counters,
		   struct virtio_device **ret, struct err *e)
{
	struct virtio_blk *v = calloc(1, sizeof(*v));
	unsigned queues = o->queues ? o->queues : 1;
	int r;

	if (!v) {
		block_free(b);
		return err_sys(e, ENOMEM, "%s", o->id);
	}
	v->block = b;
	v->counters = counters;
	v->config = blk_config(b, queues);
	memcpy(v->serial, o->serial, strnlen(o->serial, sizeof(v->serial))); // no NUL (5.2.6)
	r = virtio_init(&v->virtio, &blk_ops, env, o->id, queues, VIRTIO_BLK_QUEUE_SIZE,
			blk_features(b), sizeof(v->config), e);
	v->dirty = calloc(queues, sizeof(v->dirty[0]));
	v->starved = calloc(queues, sizeof(v->starved[0]));
	v->refill = evtimer_new(env->loop, blk_refilled, v);
	if (r == 0 && (!v->dirty || !v->starved || !v->refill))
		r = err_sys(e, ENOMEM, "%s", o->id);
	if (r < 0) {
		blk_free(&v->virtio);
		return r;
	}
	b->rounded = blk_rounded;
	b->has = blk_has;
	b->arg = v;
	virtio_blk_limit(&v->virtio, o);
	*ret = &v->virtio;
	return 0;
}
