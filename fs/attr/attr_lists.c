/* Types of values that are lists: of CPUs or nodes, rates, distances. See attr.h. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backends/base/cpulist.h"
#include "fs/attr/attr.h"

/* ---- CPUs and nodes: the kernel's list format ---- */

/* Kept as it is printed, so that it is small where there is none. */
static int parse_cpulist(const struct attr *a, const char *line, void *field, struct err *e)
{
	struct text t = TEXT_INIT;
	struct cpulist l;
	int rc = cpulist_parse(line, (unsigned)a->max, &l, e);

	if (rc < 0)
		return rc;
	cpulist_print(&l, &t);
	rc = text_failed(&t) ? err_sys(e, ENOMEM, "no memory")
			     : attr_string.parse(a, text_str(&t), field, e);
	text_free(&t);
	return rc;
}

const struct attr_type attr_cpulist = {
	.name = "list",
	.format = "Numbers and ranges, as 0-3,8, or nothing.",
	.size = sizeof(char *),
	.parse = parse_cpulist,
	.print = attr_print_string,
	.equal = attr_equal_string,
	.copy = attr_copy_string,
	.free = attr_free_string,
};

/* ---- rates: KEY=N or KEY.burst=N, as many as one likes ---- */

/* The number that a word is about; NULL: none. */
static uint64_t *rate_find(const struct attr_type *t, const char *key, size_t len, struct rate *r)
{
	static const char burst[] = ".burst";

	for (int i = 0; t->keys[i]; i++) {
		size_t n = strlen(t->keys[i]);

		if (len < n || memcmp(key, t->keys[i], n))
			continue;
		if (len == n)
			return &r[i].rate;
		if (len == n + strlen(burst) && !memcmp(key + n, burst, strlen(burst)))
			return &r[i].burst;
	}
	return NULL;
}

static int rate_parse(const struct attr_type *t, const char *word, size_t len, struct rate *r)
{
	const char *equals = memchr(word, '=', len);
	uint64_t *n = equals ? rate_find(t, word, (size_t)(equals - word), r) : NULL, value;
	bool is_rate = n && ((char *)n - (char *)r) % sizeof(*r) == 0;
	char text[32];

	if (!n || word + len - equals > (long)sizeof(text))
		return -EINVAL;
	snprintf(text, sizeof(text), "%.*s", (int)(word + len - equals - 1), equals + 1);
	if (is_rate && !strcmp(text, "max"))
		value = LIMIT_MAX;
	else if (attr_parse_number(text, true, &value) < 0 || value > 1ULL << 50 ||
		 (is_rate && value == 0))
		return -EINVAL;
	*n = value;
	return 0;
}

#define RATES_MAX 4

static unsigned rates_count(const struct attr_type *t)
{
	return (unsigned)(t->size / sizeof(struct rate));
}

static int parse_rates(const struct attr *a, const char *line, void *field, struct err *e)
{
	struct rate next[RATES_MAX];
	const char *p = line;

	memcpy(next, field, a->type->size);
	for (p += strspn(p, " "); *p; p += strspn(p, " ")) {
		size_t len = strcspn(p, " ");

		if (rate_parse(a->type, p, len, next) < 0)
			return err_set(e, -EINVAL,
				       "\"%.*s\" is not KEY=NUMBER, KEY=max or KEY.burst=NUMBER",
				       (int)(len < 64 ? len : 64), p);
		p += len;
	}
	memcpy(field, next, a->type->size);
	return 0;
}

static void print_rates(const struct attr *a, const void *field, struct text *out)
{
	const struct rate *r = field;

	for (unsigned i = 0; i < rates_count(a->type); i++) {
		text_addf(out, "%s%s=", i ? " " : "", a->type->keys[i]);
		attr_print_limit(r[i].rate, out);
		if (r[i].burst)
			text_addf(out, " %s.burst=%llu", a->type->keys[i],
				  (unsigned long long)r[i].burst);
	}
	text_add(out, "\n");
}

static const char *const io_max_keys[] = { "rbps", "wbps", "riops", "wiops", NULL };
static const char *const nic_rate_keys[] = { "in", "out", NULL };

const struct attr_type attr_io_max = {
	.name = "rates",
	.format = "Words KEY=NUMBER, KEY=max or KEY.burst=NUMBER, with the keys rbps, wbps, riops "
		  "and wiops as in cgroup v2's io.max; a write changes those that it names.",
	.size = sizeof(((struct disk_config *)NULL)->io_max),
	.keys = io_max_keys,
	.parse = parse_rates,
	.print = print_rates,
};

const struct attr_type attr_nic_rate = {
	.name = "rates",
	.format = "Words KEY=NUMBER, KEY=max or KEY.burst=NUMBER, with the keys in and out; a "
		  "write changes those that it names.",
	.size = sizeof(((struct nic_config *)NULL)->rate),
	.keys = nic_rate_keys,
	.parse = parse_rates,
	.print = print_rates,
};

_Static_assert(sizeof(((struct disk_config *)NULL)->io_max) <= RATES_MAX * sizeof(struct rate),
	       "the most rates");

/* ---- distances ---- */

#define DISTANCES(field) ((const typeof(((struct numa_config *)NULL)->distance) *)(field))

static int parse_distance(const struct attr *a, const char *line, void *field, struct err *e)
{
	typeof(((struct numa_config *)NULL)->distance) d = { 0 };

	for (const char *p = line + strspn(line, " "); *p; p += strspn(p, " ")) {
		size_t len = strcspn(p, " ");
		char word[8];
		uint64_t n;

		snprintf(word, sizeof(word), "%.*s", (int)len, p);
		if (len >= sizeof(word) || attr_parse_number(word, false, &n) < 0 || n < 10 ||
		    n > 255 || d.n == NUMA_NODES_MAX)
			return err_set(e, -EINVAL,
				       "\"%.64s\" is not numbers from 10 to 255, one a node", line);
		d.to[d.n++] = (uint8_t)n;
		p += len;
	}
	memcpy(field, &d, sizeof(d));
	return 0;
}

static void print_distance(const struct attr *a, const void *field, struct text *out)
{
	for (unsigned i = 0; i < DISTANCES(field)->n; i++)
		text_addf(out, "%s%u", i ? " " : "", DISTANCES(field)->to[i]);
	text_add(out, "\n");
}

const struct attr_type attr_distance = {
	.name = "distances",
	.format = "Numbers from 10 to 255, or nothing.",
	.size = sizeof(((struct numa_config *)NULL)->distance),
	.parse = parse_distance,
	.print = print_distance,
};
