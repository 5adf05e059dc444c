/*
 * struct ratelimit: how many bytes and operations may pass in a second, with a burst.
 *
 * Two token buckets. Each fills at its rate up to its burst; what passes takes as many tokens as it
 * has bytes, and one for each operation, from both or from none. What is larger than the burst
 * passes when the bucket is full and leaves a debt, so that no size is stuck for ever and the mean
 * is still exact. Fractions of a token are kept: a rate of one byte a second is one byte a second.
 * Who was told to wait and comes late, as timers do, does not lose by it: what has come since then
 * is kept even where the burst has no room for it, that of RATELIMIT_LATE at the most.
 *
 * No clock of its own: the caller says what time it is, in nanoseconds of CLOCK_MONOTONIC
 * (ratelimit_clock()), and sets its own timer. Not thread-safe; no memory of its own.
 */
#ifndef BACKENDS_BASE_RATELIMIT_H
#define BACKENDS_BASE_RATELIMIT_H

#include <stdbool.h>
#include <stdint.h>

#include "backends/config.h"

#define RATELIMIT_LATE 20000000u /* nanoseconds */

/* A rate of 0 is no limit either: nothing could ever pass. */
struct ratelimit_rates {
	struct rate bytes, ops;
};

#define RATELIMIT_NONE ((struct ratelimit_rates){ { LIMIT_MAX, 0 }, { LIMIT_MAX, 0 } })

struct ratelimit {
	struct ratelimit_bucket {
		uint64_t rate;	   /* tokens a second, or LIMIT_MAX */
		uint64_t burst;	   /* at least 1 */
		int64_t level;	   /* tokens there are; below 0: a debt */
		uint64_t fraction; /* of the next token, in 1e-9 */
		uint64_t filled;   /* when level was right */
		uint64_t due;	   /* when somebody who waits was told to come, or 0 */
	} bytes, ops;
};

/*
 * Sets rates from now on. A bucket that had no limit begins full; one that had keeps its level, so
 * that writing a limit again and again gains nobody a burst. A zeroed struct has no limit set yet.
 */
void ratelimit_set(struct ratelimit *r, const struct ratelimit_rates *rates, uint64_t now);

/*
 * Takes what these bytes and operations cost and returns 0; or takes nothing and returns in how
 * many nanoseconds (at least 1) the same call would succeed if nobody else took anything.
 */
uint64_t ratelimit_take(struct ratelimit *r, uint64_t bytes, uint64_t ops, uint64_t now);

/*
 * For those who learn what passed only afterwards: in how many nanoseconds there is no debt (0:
 * now), and taking what passed, whatever there is.
 */
uint64_t ratelimit_ready(struct ratelimit *r, uint64_t now);
void ratelimit_charge(struct ratelimit *r, uint64_t bytes, uint64_t ops, uint64_t now);

/* Whether anything is limited: what is not needs no question. */
bool ratelimit_active(const struct ratelimit *r);

uint64_t ratelimit_clock(void);

#endif
