/* Token buckets: see ratelimit.h. */
#include "backends/base/ratelimit.h"

#include <time.h>

#define SECOND 1000000000u
/* What a level may be at most, either way: far beyond any second's traffic, far from overflow. */
#define LEVEL_MAX (INT64_MAX / 4)

static bool bucket_limits(const struct ratelimit_bucket *b)
{
	return b->rate != 0 && b->rate != LIMIT_MAX;
}

/* How full it may become, in 1e-9 tokens: the burst, and what has come since somebody was due. */
static __int128 bucket_full(const struct ratelimit_bucket *b, uint64_t now)
{
	uint64_t late = b->due && now > b->due ? now - b->due : 0;
	__int128 full;

	if (late > RATELIMIT_LATE)
		late = RATELIMIT_LATE;
	full = (__int128)b->burst * SECOND + (__int128)late * b->rate;
	return full < (__int128)LEVEL_MAX * SECOND ? full : (__int128)LEVEL_MAX * SECOND;
}

static void bucket_fill(struct ratelimit_bucket *b, uint64_t now)
{
	__int128 had = (__int128)b->level * SECOND + b->fraction, full = bucket_full(b, now), has;
	int64_t rest;

	if (now <= b->filled)
		return;
	/* What was kept for one who came late he may use, if he goes on at once. */
	if (full < had && now - b->filled < RATELIMIT_LATE)
		full = had;
	has = had + (__int128)(now - b->filled) * b->rate;
	has = has < full ? has : full;
	rest = (int64_t)(has % SECOND);
	b->filled = now;
	b->level = (int64_t)(has / SECOND) - (rest < 0);
	b->fraction = (uint64_t)(rest < 0 ? rest + SECOND : rest);
}

static void bucket_set(struct ratelimit_bucket *b, struct rate r, uint64_t now)
{
	bool limited = bucket_limits(b);

	if (limited)
		bucket_fill(b, now);
	b->rate = r.rate;
	b->burst = r.burst ? r.burst : r.rate / 10;
	if (b->burst > LEVEL_MAX)
		b->burst = LEVEL_MAX;
	if (b->burst == 0)
		b->burst = 1;
	b->due = 0;
	if (!limited || b->level > (int64_t)b->burst)
		b->level = (int64_t)b->burst;
	if (!limited || b->level == (int64_t)b->burst)
		b->fraction = 0;
	b->filled = now;
}

/* How long until n may be taken. */
static uint64_t bucket_wait(struct ratelimit_bucket *b, uint64_t n, uint64_t now)
{
	uint64_t need = n < b->burst ? n : b->burst;
	unsigned __int128 missing;

	if (!bucket_limits(b) || n == 0)
		return 0;
	bucket_fill(b, now);
	if (b->level >= (int64_t)need)
		return 0;
	missing = (unsigned __int128)((__int128)need - b->level) * SECOND - b->fraction;
	missing = (missing + b->rate - 1) / b->rate;
	if (missing > UINT64_MAX - now)
		return UINT64_MAX;
	b->due = now + (uint64_t)missing;
	return (uint64_t)missing;
}

static void bucket_take(struct ratelimit_bucket *b, uint64_t n)
{
	if (!bucket_limits(b))
		return;
	if (n > LEVEL_MAX)
		n = LEVEL_MAX;
	b->due = 0;
	b->level -= (int64_t)n;
	if (b->level < -LEVEL_MAX)
		b->level = -LEVEL_MAX;
}

void ratelimit_set(struct ratelimit *r, const struct ratelimit_rates *rates, uint64_t now)
{
	bucket_set(&r->bytes, rates->bytes, now);
	bucket_set(&r->ops, rates->ops, now);
}

uint64_t ratelimit_take(struct ratelimit *r, uint64_t bytes, uint64_t ops, uint64_t now)
{
	uint64_t for_bytes = bucket_wait(&r->bytes, bytes, now);
	uint64_t for_ops = bucket_wait(&r->ops, ops, now);

	if (for_bytes || for_ops)
		return for_bytes > for_ops ? for_bytes : for_ops;
	bucket_take(&r->bytes, bytes);
	bucket_take(&r->ops, ops);
	return 0;
}

uint64_t ratelimit_ready(struct ratelimit *r, uint64_t now)
{
	uint64_t for_bytes = bucket_wait(&r->bytes, 1, now), for_ops = bucket_wait(&r->ops, 1, now);

	return for_bytes > for_ops ? for_bytes : for_ops;
}

void ratelimit_charge(struct ratelimit *r, uint64_t bytes, uint64_t ops, uint64_t now)
{
	bucket_fill(&r->bytes, now);
	bucket_fill(&r->ops, now);
	bucket_take(&r->bytes, bytes);
	bucket_take(&r->ops, ops);
}

bool ratelimit_active(const struct ratelimit *r)
{
	return bucket_limits(&r->bytes) || bucket_limits(&r->ops);
}

uint64_t ratelimit_clock(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * SECOND + (uint64_t)now.tv_nsec;
}
