/*
 * struct cpulist: a set of small numbers, CPUs or NUMA nodes, in the kernel's list format
 * ("0-3,8"), as cpuset.cpus and /sys/devices/system/cpu/online have it.
 */
#ifndef BACKENDS_BASE_CPULIST_H
#define BACKENDS_BASE_CPULIST_H

#include <stdbool.h>
#include <stdint.h>

#include "backends/base/err.h"
#include "backends/base/text.h"

#define CPULIST_MAX 4096

struct cpulist {
	uint64_t bits[CPULIST_MAX / 64];
};

/* "" is the empty set. EINVAL, with a sentence, for what is no list or is not below max. */
int cpulist_parse(const char *text, unsigned max, struct cpulist *ret, struct err *e);
/* Without a newline. */
void cpulist_print(const struct cpulist *l, struct text *out);

static inline bool cpulist_has(const struct cpulist *l, unsigned n)
{
	return n < CPULIST_MAX && (l->bits[n / 64] >> (n % 64) & 1);
}

static inline void cpulist_add(struct cpulist *l, unsigned n)
{
	if (n < CPULIST_MAX)
		l->bits[n / 64] |= 1ull << (n % 64);
}

/* The first member from n on; CPULIST_MAX when there is none. */
static inline unsigned cpulist_next(const struct cpulist *l, unsigned n)
{
	for (; n < CPULIST_MAX; n = (n / 64 + 1) * 64) {
		uint64_t rest = l->bits[n / 64] >> (n % 64);

		if (rest)
			return n + (unsigned)__builtin_ctzll(rest);
	}
	return n;
}

static inline bool cpulist_empty(const struct cpulist *l)
{
	return cpulist_next(l, 0) == CPULIST_MAX;
}

#endif
