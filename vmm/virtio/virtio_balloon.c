/* virtio_balloon: see virtio_balloon.h. */
#include "vmm/virtio/virtio_balloon.h"

#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>

#define F_STATS		 (1ull << 1)
#define F_DEFLATE_ON_OOM (1ull << 2)
#define F_REPORTING	 (1ull << 5)

#define PAGE	      4096u /* the balloon's, whatever the guest's are */
#define PFNS_AT_ONCE  256
#define PFNS_MAX      (64 * 1024) /* in one request; drivers have 256 */
#define STATS_SECONDS 5
#define STATS_MAX     64 /* in one buffer */

enum { QUEUE_INFLATE, QUEUE_DEFLATE, QUEUE_STATS, QUEUES = 4 };

struct balloon_config {
	uint32_t num_pages;
	uint32_t actual;
};

struct balloon_stat {
	uint16_t tag;
	uint64_t value;
} __attribute__((packed));

struct balloon {
	struct virtio_device virtio;
	struct guestmem *mem;
	_Atomic uint64_t *figures;
	_Atomic uint64_t own[BALLOON_FIGURES]; /* where nobody wants them */
	struct balloon_config config;	       /* the lock */
	struct event *timer;
	bool has_stats; /* the driver's buffer is here, to be given back when figures are wanted */
	uint16_t stats_head;
};

static struct balloon *balloon_of(struct virtio_device *d)
{
	return (struct balloon *)((char *)d - offsetof(struct balloon, virtio));
}

static void figure_set(struct balloon *b, enum balloon_figure f, uint64_t v)
{
	atomic_store_explicit(&b->figures[f], v, memory_order_relaxed);
}

/* ---- inflating ---- */

/* Runs of neighbours are given back at once. */
static void give_back(struct balloon *b, const uint32_t *pfns, size_t n)
{
	size_t run;

	for (size_t i = 0; i < n; i += run) {
		for (run = 1; i + run < n && pfns[i + run] == pfns[i] + run; run++)
			;
		guestmem_discard(b->mem, (uint64_t)pfns[i] * PAGE, (uint64_t)run * PAGE);
	}
}

static int64_t inflate_work(struct virtio_device *d, unsigned queue, const struct virtq_chain *c)
{
	uint32_t pfns[PFNS_AT_ONCE];
	size_t n;

	if (c->out_len > PFNS_MAX * sizeof(pfns[0]))
		return -EINVAL;
	for (size_t at = 0; at < c->out_len; at += n) {
		n = virtq_copy_out(c, at, pfns, sizeof(pfns));
		give_back(balloon_of(d), pfns, n / sizeof(pfns[0]));
	}
	return 0;
}

/* What comes out of the balloon is there when it is touched. */
static int64_t deflate_work(struct virtio_device *d, unsigned queue, const struct virtq_chain *c)
{
	return 0;
}

/* Each buffer is a range of pages that the guest does not use. */
static int64_t report_work(struct virtio_device *d, unsigned queue, const struct virtq_chain *c)
{
	struct balloon *b = balloon_of(d);
	uint64_t sum = 0;

	for (unsigned i = 0; i < c->nin; i++) {
		guestmem_discard_at(b->mem, c->in[i].iov_base, c->in[i].iov_len);
		sum += c->in[i].iov_len;
	}
	atomic_fetch_add_explicit(&b->figures[BALLOON_REPORTED], sum, memory_order_relaxed);
	return 0;
}

/* ---- statistics ---- */

static void stats_read(struct balloon *b, const struct virtq_chain *c)
{
	struct balloon_stat s[STATS_MAX];
	size_t n = virtq_copy_out(c, 0, s, sizeof(s)) / sizeof(s[0]);

	for (size_t i = 0; i < n; i++)
		if (s[i].tag < BALLOON_TAGS)
			figure_set(b, s[i].tag, s[i].value);
}

/* The driver gives one buffer; it fills it again whenever it gets it back. */
static void stats_kick(struct virtio_device *d)
{
	struct balloon *b = balloon_of(d);
	struct virtq *q = &d->queues[QUEUE_STATS];
	unsigned left = q->setup.size;
	struct iovec iov[8];
	struct virtq_chain c;
	int r = 0;

	for (; left > 0 && (r = virtq_pop(q, iov, 8, &c)) > 0; left--) {
		stats_read(b, &c);
		if (b->has_stats) { // a second one is more than it should have given
			virtq_push(q, b->stats_head, 0);
			virtio_notify(d, QUEUE_STATS);
		}
		b->has_stats = true;
		b->stats_head = c.head;
	}
	if (r < 0)
		virtio_fail_queue(d, QUEUE_STATS);
	else if (r > 0)
		virtio_kick_again(d, QUEUE_STATS);
}

static void on_timer(int fd, short what, void *arg)
{
	struct balloon *b = arg;

	if (!b->has_stats || !b->virtio.running)
		return;
	b->has_stats = false;
	virtq_push(&b->virtio.queues[QUEUE_STATS], b->stats_head, 0);
	virtio_notify(&b->virtio, QUEUE_STATS);
}

/* ---- the device ---- */

/* Queues that the driver did not want have no number. */
static unsigned report_queue(const struct virtio_device *d)
{
	if (!virtio_has(d, F_REPORTING))
		return QUEUES;
	return virtio_has(d, F_STATS) ? QUEUE_STATS + 1 : QUEUE_STATS;
}

static int balloon_start(struct virtio_device *d, struct err *e)
{
	struct timeval often = { .tv_sec = STATS_SECONDS };

	if (virtio_has(d, F_STATS) && event_add(balloon_of(d)->timer, &often) < 0)
		return err_sys(e, ENOMEM, "no timer");
	return 0;
}

static void balloon_kick(struct virtio_device *d, unsigned queue)
{
	if (queue == QUEUE_INFLATE)
		virtio_serve(d, queue, inflate_work);
	else if (queue == QUEUE_DEFLATE)
		virtio_serve(d, queue, deflate_work);
	else if (queue == report_queue(d))
		virtio_serve(d, queue, report_work);
	else if (queue == QUEUE_STATS && virtio_has(d, F_STATS))
		stats_kick(d);
}

static void balloon_stop(struct virtio_device *d)
{
	event_del(balloon_of(d)->timer);
}

static void balloon_reset(struct virtio_device *d)
{
	struct balloon *b = balloon_of(d);

	b->has_stats = false;
	pthread_mutex_lock(&d->lock);
	b->config.actual = 0;
	pthread_mutex_unlock(&d->lock);
	figure_set(b, BALLOON_ACTUAL, 0);
}

static void balloon_config_read(struct virtio_device *d, unsigned offset, void *data, unsigned len)
{
	memcpy(data, (const char *)&balloon_of(d)->config + offset, len);
}

static void balloon_config_write(struct virtio_device *d, unsigned offset, const void *data,
				 unsigned len)
{
	struct balloon *b = balloon_of(d);

	if (offset != offsetof(struct balloon_config, actual) || len != sizeof(b->config.actual))
		return;
	memcpy(&b->config.actual, data, len);
	figure_set(b, BALLOON_ACTUAL, (uint64_t)b->config.actual * PAGE);
}

void virtio_balloon_want(struct virtio_device *d, uint64_t bytes)
{
	struct balloon *b = balloon_of(d);
	uint64_t most = b->mem->size / PAGE, pages = bytes / PAGE;

	pages = pages < most ? pages : most;
	pthread_mutex_lock(&d->lock);
	b->config.num_pages = pages < UINT32_MAX ? (uint32_t)pages : UINT32_MAX;
	pthread_mutex_unlock(&d->lock);
	virtio_notify_config(d);
}

static void balloon_save(struct virtio_device *d, struct record *r)
{
	struct balloon *b = balloon_of(d);

	record_put_u8(r, 1);
	record_put_u32(r, b->config.num_pages);
	record_put_u32(r, b->config.actual);
	record_put_u8(r, b->has_stats);
	record_put_u32(r, b->stats_head);
}

static int balloon_load(struct virtio_device *d, struct record *r, struct err *e)
{
	struct balloon *b = balloon_of(d);
	uint8_t version = record_get_u8(r), has_stats;
	struct balloon_config c;
	uint32_t head;

	c.num_pages = record_get_u32(r);
	c.actual = record_get_u32(r);
	has_stats = record_get_u8(r);
	head = record_get_u32(r);
	if (version != 1 || has_stats > 1 || head >= VIRTQ_SIZE_MAX || !record_done(r))
		return err_set(e, -EINVAL, "%s: not a state that this version can load", d->id);
	pthread_mutex_lock(&d->lock);
	b->config = c;
	pthread_mutex_unlock(&d->lock);
	b->has_stats = has_stats;
	b->stats_head = (uint16_t)head;
	figure_set(b, BALLOON_ACTUAL, (uint64_t)c.actual * PAGE);
	return 0;
}

static void balloon_free(struct virtio_device *d)
{
	struct balloon *b = balloon_of(d);

	if (b->timer)
		event_free(b->timer);
	virtio_deinit(d);
	free(b);
}

static const struct virtio_ops balloon_ops = {
	.name = "virtio-balloon",
	.type = 5,
	.pci_class = 0x00ff00,
	.start = balloon_start,
	.kick = balloon_kick,
	.stop = balloon_stop,
	.reset = balloon_reset,
	.config_read = balloon_config_read,
	.config_write = balloon_config_write,
	.save = balloon_save,
	.load = balloon_load,
	.free = balloon_free,
};

/* Memory that was promised to the guest is not given back: no reports are asked for then. */
int virtio_balloon_new(const struct virtio_env *env, struct guestmem *mem,
		       _Atomic uint64_t *figures, struct virtio_device **ret, struct err *e)
{
	struct balloon *b = calloc(1, sizeof(*b));
	int r;

	if (!b)
		return err_sys(e, ENOMEM, "balloon");
	b->mem = mem;
	b->figures = figures ? figures : b->own;
	r = virtio_init(&b->virtio, &balloon_ops, env, "balloon", QUEUES, 128,
			F_STATS | F_DEFLATE_ON_OOM | (mem->keep ? 0 : F_REPORTING),
			sizeof(b->config), e);
	if (r == 0) {
		b->timer = event_new(env->loop, -1, EV_PERSIST, on_timer, b);
		r = b->timer ? 0 : err_sys(e, ENOMEM, "balloon: no timer");
	}
	if (r < 0) {
		balloon_free(&b->virtio);
		return r;
	}
	*ret = &b->virtio;
	return 0;
}
