/*
 * OpenVZ's beancounters from what control groups count: see cgroup_accounting() in cgroup.h. Sizes
 * are in OpenVZ's units: kmemsize and dcachesize in bytes, the others in pages.
 */
#include "backends/cgroup/cgroup_priv.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Where a number comes from: a file, or a word's line in it; NULL: this version has none. */
struct source {
	const char *v1, *v1_key, *v2, *v2_key;
};

enum column { HELD, MAXHELD, BARRIER, LIMIT, FAILCNT, COLUMNS };

static const char *const heads[COLUMNS] = { "held", "maxheld", "barrier", "limit", "failcnt" };

static const struct row {
	const char *resource;
	enum cgroup_need need;
	bool pages; /* where the kernel says bytes */
	struct source from[COLUMNS];
} rows[] = {
	{ "kmemsize",
	  NEED_MEMORY,
	  false,
	  { [HELD] = { "memory.kmem.usage_in_bytes", NULL, "memory.stat", "kernel" },
	    [MAXHELD] = { "memory.kmem.max_usage_in_bytes", NULL, NULL, NULL },
	    [FAILCNT] = { "memory.kmem.failcnt", NULL, NULL, NULL } } },
	{ "lockedpages",
	  NEED_MEMORY,
	  true,
	  { [HELD] = { "memory.stat", "total_unevictable", "memory.stat", "unevictable" } } },
	{ "shmpages",
	  NEED_MEMORY,
	  true,
	  { [HELD] = { "memory.stat", "total_shmem", "memory.stat", "shmem" } } },
	{ "numproc",
	  NEED_PIDS,
	  false,
	  { [HELD] = { "pids.current", NULL, "pids.current", NULL },
	    [MAXHELD] = { "pids.peak", NULL, "pids.peak", NULL },
	    [BARRIER] = { "pids.max", NULL, "pids.max", NULL },
	    [LIMIT] = { "pids.max", NULL, "pids.max", NULL },
	    [FAILCNT] = { "pids.events", "max", "pids.events", "max" } } },
	{ "physpages",
	  NEED_MEMORY,
	  true,
	  { [HELD] = { "memory.usage_in_bytes", NULL, "memory.current", NULL },
	    [MAXHELD] = { "memory.max_usage_in_bytes", NULL, "memory.peak", NULL },
	    [BARRIER] = { "memory.soft_limit_in_bytes", NULL, "memory.high", NULL },
	    [LIMIT] = { "memory.limit_in_bytes", NULL, "memory.max", NULL },
	    [FAILCNT] = { "memory.failcnt", NULL, "memory.events", "max" } } },
	{ "oomguarpages",
	  NEED_MEMORY,
	  true,
	  { [HELD] = { "memory.usage_in_bytes", NULL, "memory.current", NULL },
	    [MAXHELD] = { "memory.max_usage_in_bytes", NULL, "memory.peak", NULL },
	    [BARRIER] = { NULL, NULL, "memory.low", NULL },
	    [FAILCNT] = { "memory.oom_control", "oom_kill", "memory.events", "oom_kill" } } },
	{ "swappages",
	  NEED_MEMORY,
	  true,
	  { [HELD] = { "memory.stat", "total_swap", "memory.swap.current", NULL },
	    [MAXHELD] = { NULL, NULL, "memory.swap.peak", NULL },
	    [BARRIER] = { NULL, NULL, "memory.swap.high", NULL },
	    [LIMIT] = { NULL, NULL, "memory.swap.max", NULL },
	    [FAILCNT] = { NULL, NULL, "memory.swap.events", "fail" } } },
	{ "dcachesize",
	  NEED_MEMORY,
	  false,
	  { [HELD] = { NULL, NULL, "memory.stat", "slab_reclaimable" } } },
};

/* v1's unlimited is the largest number of whole pages. */
#define V1_UNLIMITED (UINT64_C(1) << 62)

static void print_column(int dir, bool v2, const struct source *s, bool pages, struct text *out)
{
	const char *file = v2 ? s->v2 : s->v1, *key = v2 ? s->v2_key : s->v1_key, *p;
	const uint64_t unit = pages ? (uint64_t)sysconf(_SC_PAGESIZE) : 1;
	struct text t = TEXT_INIT;
	uint64_t n;

	if (!file || cgroup_read_file(dir, file, &t) < 0) {
		text_addf(out, " %16s", "-");
	} else {
		p = text_str(&t);
		n = key ? cgroup_keyed_number(p, key) : strtoull(p, NULL, 10);
		if (!key && (!strncmp(p, "max", 3) || n > V1_UNLIMITED))
			text_addf(out, " %16s", "max");
		else
			text_addf(out, " %16" PRIu64, n / unit);
	}
	text_free(&t);
}

void cgroup_accounting(struct cgroup *g, struct text *out)
{
	text_addf(out, "%-12s", "resource");
	for (int c = 0; c < COLUMNS; c++)
		text_addf(out, " %16s", heads[c]);
	text_add(out, "\n");
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct row *r = &rows[i];
		bool v2 = false;
		int dir = cgroup_dir(g, r->need, &v2);

		if (dir < 0)
			continue;
		text_addf(out, "%-12s", r->resource);
		for (int c = 0; c < COLUMNS; c++)
			print_column(dir, v2, &r->from[c], r->pages && c != FAILCNT, out);
		text_add(out, "\n");
	}
}
