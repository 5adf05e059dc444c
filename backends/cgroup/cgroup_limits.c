/*
 * The limits of a control group: one row each, with its name on v1 and on v2, and what it is
 * written as. See cgroup.h.
 */
#include "backends/cgroup/cgroup_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backends/base/cpulist.h"
#include "backends/host/hostnodes.h"

#define CPU_WEIGHT_DEFAULT 100
#define CPU_SHARES_DEFAULT 1024
#define JOIN_ROUNDS	   100

/* ---- what is written ---- */

static void number(uint64_t value, const char *unlimited, struct text *out)
{
	if (value == LIMIT_MAX)
		text_add(out, unlimited);
	else
		text_add_number(out, value);
}

/* The kernel's own relation of the two: weight 100 and 1024 shares are the same nice level. */
static void cpu_weight(const struct machine_config *c, bool v2, struct text *out)
{
	uint64_t shares =
		(c->cpu_weight * CPU_SHARES_DEFAULT + CPU_WEIGHT_DEFAULT / 2) / CPU_WEIGHT_DEFAULT;

	number(v2 ? c->cpu_weight : shares, "", out);
}

/* cpu.max, and for a container as many CPUs at once as cpu.count says. */
static struct cpu_max cpu_quota(const struct machine_config *c)
{
	struct cpu_max max = c->cpu_max;
	uint64_t all;

	if (c->kind != KIND_CONTAINER || c->cpu_count == LIMIT_MAX)
		return max;
	all = c->cpu_count * max.period;
	if (max.quota == LIMIT_MAX || max.quota > all)
		max.quota = all;
	return max;
}

static void cpu_period(const struct machine_config *c, bool v2, struct text *out)
{
	if (!v2) // there the quota's file has it
		number(c->cpu_max.period, "", out);
}

static void cpu_max(const struct machine_config *c, bool v2, struct text *out)
{
	struct cpu_max max = cpu_quota(c);

	number(max.quota, v2 ? "max" : "-1", out);
	if (v2)
		text_addf(out, " %" PRIu64, max.period);
}

static void cpu_burst(const struct machine_config *c, bool v2, struct text *out)
{
	number(c->container.cpu_burst, "", out);
}

/* Those of the nodes that its memory comes from, where it does not say. */
static void cpuset_cpus(const struct machine_config *c, bool v2, struct text *out)
{
	struct cpulist cpus;

	if (c->container.cpu_affinity && *c->container.cpu_affinity) {
		text_add(out, c->container.cpu_affinity);
		return;
	}
	hostnodes_cpus(HOST_NODES, c->container.memory_numa, &cpus);
	cpulist_print(&cpus, out);
}

static void cpuset_mems(const struct machine_config *c, bool v2, struct text *out)
{
	text_add(out, c->container.memory_numa ? c->container.memory_numa : "");
}

static void memory_max(const struct machine_config *c, bool v2, struct text *out)
{
	number(c->memory_size, v2 ? "max" : "-1", out);
}

static void memory_high(const struct machine_config *c, bool v2, struct text *out)
{
	number(c->container.memory_high, "max", out);
}

/* v1's nearest is what is reclaimed down to first: it protects nothing that is below. */
static void memory_low(const struct machine_config *c, bool v2, struct text *out)
{
	if (v2 || c->container.memory_low)
		number(c->container.memory_low, "max", out);
	else
		text_add(out, "-1");
}

/* v1 limits the sum of both. */
static void swap_max(const struct machine_config *c, bool v2, struct text *out)
{
	uint64_t swap = c->container.memory_swap_max;

	if (v2)
		number(swap, "max", out);
	else if (swap == LIMIT_MAX || c->memory_size == LIMIT_MAX)
		text_add(out, "-1");
	else
		number(c->memory_size + swap, "-1", out);
}

/* The sum may not be less than memory.size: out of the way while that changes. */
static void swap_lift(const struct machine_config *c, bool v2, struct text *out)
{
	if (v2)
		return;
	text_add(out, "-1");
	if (c->container.memory_swap_max != LIMIT_MAX)
		text_addf(out, " for %" PRIu64, c->memory_size);
}

static void pids_max(const struct machine_config *c, bool v2, struct text *out)
{
	number(c->pids_max, "max", out);
}

static void io_weight(const struct machine_config *c, bool v2, struct text *out)
{
	number(c->container.io_weight, "", out);
}

/* The same for the scheduler bfq, whose weights end at 1000. */
static void io_bfq_weight(const struct machine_config *c, bool v2, struct text *out)
{
	uint64_t weight = c->container.io_weight;

	number(weight <= 100 ? weight : 100 + (weight - 100) * 900 / 9900, "", out);
}

/* ---- devices and page sizes: lines with a key ---- */

static const struct {
	const char *word, *v1;
} io_words[] = {
	{ "rbps", "blkio.throttle.read_bps_device" },
	{ "wbps", "blkio.throttle.write_bps_device" },
	{ "riops", "blkio.throttle.read_iops_device" },
	{ "wiops", "blkio.throttle.write_iops_device" },
};

#define IO_WORDS (sizeof(io_words) / sizeof(io_words[0]))

/* The number behind "WORD=" in the value of a line of io.max; LIMIT_MAX where it has none. */
static uint64_t io_number(const char *value, const char *word)
{
	size_t len = strlen(word);

	for (const char *p = value; p && *p; p = strchr(p, ' '), p = p ? p + 1 : NULL)
		if (!strncmp(p, word, len) && p[len] == '=' && p[len + 1] != 'm')
			return strtoull(p + len + 1, NULL, 10);
	return LIMIT_MAX;
}

static int io_set(int dir, bool v2, const char *device, const char *value)
{
	struct text line = TEXT_INIT;
	int r = 0;

	text_add(&line, device);
	for (size_t i = 0; v2 && i < IO_WORDS; i++) {
		text_addf(&line, " %s=", io_words[i].word);
		number(io_number(value, io_words[i].word), "max", &line);
	}
	if (v2)
		r = cgroup_write_file(dir, "io.max", text_str(&line));
	for (size_t i = 0; r == 0 && !v2 && i < IO_WORDS; i++) {
		uint64_t n = io_number(value, io_words[i].word);

		text_clear(&line);
		text_addf(&line, "%s %" PRIu64, device, n == LIMIT_MAX ? 0 : n);
		r = cgroup_write_file(dir, io_words[i].v1, text_str(&line));
	}
	text_free(&line);
	return r == -ENODEV ? -ENXIO : r;
}

/* "2M": the files have it as 2MB. */
static int hugetlb_set(int dir, bool v2, const char *size, const char *value)
{
	char file[64];

	snprintf(file, sizeof(file), "hugetlb.%.16sB.%s", size, v2 ? "max" : "limit_in_bytes");
	return cgroup_write_file(dir, file, *value ? value : v2 ? "max" : "-1");
}

static const struct keyed *io_max(const struct machine_config *c)
{
	return &c->container.io_max;
}

static const struct keyed *hugetlb_max(const struct machine_config *c)
{
	return &c->container.hugetlb_max;
}

/* ---- the tables ---- */

#define OF_CONTAINER (1u << KIND_CONTAINER)
#define OF_BOTH	     (1u << KIND_VM | OF_CONTAINER)

/* In the order they are set in. `fresh` is what a new group has, as print() says it. */
static const struct limit {
	const char *attribute; /* as users know it */
	enum cgroup_need need;
	unsigned kinds;
	const char *v1, *v2; /* NULL: that version has no such limit */
	void (*print)(const struct machine_config *c, bool v2, struct text *out);
	const char *fresh_v1, *fresh_v2;
	bool twin; /* the kernel has one or more of those */
} limits[] = {
	{ "cpu.weight", NEED_CPU, OF_BOTH, "cpu.shares", "cpu.weight", cpu_weight, "1024", "100" },
	{ "cpu.max", NEED_CPU, OF_BOTH, "cpu.cfs_period_us", NULL, cpu_period, "100000", "" },
	{ "cpu.max", NEED_CPU, OF_BOTH, "cpu.cfs_quota_us", "cpu.max", cpu_max, "-1",
	  "max 100000" },
	{ "cpu.burst", NEED_CPU, OF_CONTAINER, "cpu.cfs_burst_us", "cpu.max.burst", cpu_burst, "0",
	  "0" },
	{ "cpu.affinity", NEED_CPUSET, OF_CONTAINER, "cpuset.cpus", "cpuset.cpus", cpuset_cpus, "",
	  "" },
	{ "memory.numa", NEED_CPUSET, OF_CONTAINER, "cpuset.mems", "cpuset.mems", cpuset_mems, "",
	  "" },
	{ "memory.swap.max", NEED_MEMORY, OF_CONTAINER, "memory.memsw.limit_in_bytes", NULL,
	  swap_lift, "-1", "" },
	/* A VM's memory is what it has, not a limit. */
	{ "memory.size", NEED_MEMORY, OF_CONTAINER, "memory.limit_in_bytes", "memory.max",
	  memory_max, "-1", "max" },
	{ "memory.swap.max", NEED_MEMORY, OF_CONTAINER, "memory.memsw.limit_in_bytes",
	  "memory.swap.max", swap_max, "-1", "max" },
	{ "memory.high", NEED_MEMORY, OF_CONTAINER, NULL, "memory.high", memory_high, "max",
	  "max" },
	{ "memory.low", NEED_MEMORY, OF_CONTAINER, "memory.soft_limit_in_bytes", "memory.low",
	  memory_low, "-1", "0" },
	{ "pids.max", NEED_PIDS, OF_BOTH, "pids.max", "pids.max", pids_max, "max", "max" },
	{ "io.weight", NEED_IO, OF_CONTAINER, "blkio.weight", "io.weight", io_weight, "100", "100",
	  true },
	{ "io.weight", NEED_IO, OF_CONTAINER, "blkio.bfq.weight", "io.bfq.weight", io_bfq_weight,
	  "100", "100", true },
};

static const struct keyed_limit {
	const char *attribute;
	enum cgroup_need need;
	const struct keyed *(*get)(const struct machine_config *c);
	/* value "": no limit any more */
	int (*set)(int dir, bool v2, const char *key, const char *value);
} keyed_limits[] = {
	{ "io.max", NEED_IO, io_max, io_set },
	{ "hugetlb.max", NEED_HUGETLB, hugetlb_max, hugetlb_set },
};

#define LIMIT_COUNT (sizeof(limits) / sizeof(limits[0]))
#define KEYED_COUNT (sizeof(keyed_limits) / sizeof(keyed_limits[0]))

/* ---- late hierarchies ---- */

/* v1 lets nobody into a set without CPUs and nodes: a new one has those of the one above. */
static int cpuset_fill(int parent, int dir)
{
	static const char *const files[] = { "cpuset.cpus", "cpuset.mems" };
	int r = 0;

	for (size_t i = 0; r == 0 && i < 2; i++) {
		struct text t = TEXT_INIT;

		r = cgroup_read_file(dir, files[i], &t);
		if (r == 0 && t.len <= 1) {
			text_clear(&t);
			r = cgroup_read_file(parent, files[i], &t);
			if (r == 0)
				r = cgroup_write_file(dir, files[i], text_str(&t));
		}
		text_free(&t);
	}
	return r;
}

static int cpuset_prepare(int parent, int dir)
{
	int above = openat(parent, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC), r;

	if (above < 0)
		return -errno;
	r = cpuset_fill(above, parent);
	close(above);
	return r < 0 ? r : cpuset_fill(parent, dir);
}

static bool list_has(const char *list, const char *pid, size_t len)
{
	for (; *list; list += strcspn(list, "\n"), list += *list == '\n')
		if (strcspn(list, "\n") == len && !memcmp(list, pid, len))
			return true;
	return false;
}

/* Moves whom `from` lists into `to`; returns how many were not there yet. */
static int join_listed(int from, int to)
{
	struct text there = TEXT_INIT, here = TEXT_INIT;
	int moved = 0;

	cgroup_read_file(from, "cgroup.procs", &there);
	cgroup_read_file(to, "cgroup.procs", &here);
	for (const char *p = text_str(&there); *p; p += strcspn(p, "\n"), p += *p == '\n') {
		size_t len = strcspn(p, "\n");
		char pid[32];

		if (len >= sizeof(pid) || list_has(text_str(&here), p, len))
			continue;
		snprintf(pid, sizeof(pid), "%.*s", (int)len, p);
		moved += cgroup_write_file(to, "cgroup.procs", pid) == 0;
	}
	text_free(&there);
	text_free(&here);
	return moved;
}

/* Who is forked meanwhile is found in the next round. */
static void join_all(struct cgroup *g, int to)
{
	int from = -1;

	for (int i = 0; i < g->host->n; i++)
		if (!g->host->hier[i].late && g->dir[i] >= 0)
			from = g->dir[i];
	for (int i = 0; from >= 0 && i < JOIN_ROUNDS && join_listed(from, to) > 0; i++)
		continue;
}

/* Makes the group in a late hierarchy, with the processes that it has in the others. */
static int group_need(struct cgroup *g, enum cgroup_need need, struct err *e)
{
	int i = g->host->where[need], r = 0, dir;

	if (i < 0 || g->dir[i] >= 0)
		return 0;
	if (mkdirat(g->host->hier[i].parent, g->name, 0755) < 0 && errno != EEXIST)
		return err_sys(e, errno, "control group %s", g->name);
	dir = openat(g->host->hier[i].parent, g->name,
		     O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (dir < 0)
		return err_sys(e, errno, "control group %s", g->name);
	if (g->host->hier[i].needs & 1u << NEED_CPUSET)
		r = cpuset_prepare(g->host->hier[i].parent, dir);
	if (r < 0) {
		close(dir);
		return err_sys(e, -r, "control group %s", g->name);
	}
	g->dir[i] = dir;
	join_all(g, dir);
	return 0;
}

/* ---- setting ---- */

static int limit_failed(int r, const char *attribute, struct err *e)
{
	if (r == -ENOENT)
		return err_set(e, -ENXIO, "%s: this kernel has no such limit", attribute);
	if (r == -EBUSY)
		return err_set(e, r, "%s: more than that is in use and cannot be reclaimed",
			       attribute);
	if (r == -ENXIO)
		return err_set(e, r, "%s: there is no such device", attribute);
	return err_sys(e, -r, "%s: control group", attribute);
}

/* Where to write a limit; -1 in *ret_dir when there is nowhere, and no need. */
static int limit_dir(struct cgroup *g, enum cgroup_need need, bool needed, const char *attribute,
		     bool *ret_v2, int *ret_dir, struct err *e)
{
	int r = needed ? group_need(g, need, e) : 0;

	if (r < 0)
		return err_prefix(e, "%s: ", attribute);
	*ret_dir = cgroup_dir(g, need, ret_v2);
	if (*ret_dir < 0 && needed)
		return err_set(e, -ENXIO, "%s: this host has no control group controller for it",
			       attribute);
	return 0;
}

static bool is_fresh(const struct limit *l, const struct machine_config *c)
{
	struct text v1 = TEXT_INIT, v2 = TEXT_INIT;
	bool fresh;

	l->print(c, false, &v1);
	l->print(c, true, &v2);
	fresh = !strcmp(text_str(&v1), l->fresh_v1) && !strcmp(text_str(&v2), l->fresh_v2);
	text_free(&v1);
	text_free(&v2);
	return fresh;
}

/* All that the group above has. */
static int write_all(struct cgroup *g, const struct limit *l, int dir, bool v2)
{
	int above = g->host->hier[g->host->where[NEED_CPUSET]].parent, r;
	struct text all = TEXT_INIT;
	char from[32];

	snprintf(from, sizeof(from), "%s%s", l->v1, v2 ? ".effective" : "");
	r = cgroup_read_file(above, from, &all);
	if (r == 0)
		r = cgroup_write_file(dir, v2 ? l->v2 : l->v1, text_str(&all));
	text_free(&all);
	return r;
}

/* v1 takes no empty set from a group with processes, nor does v2 in some kernels (ENOSPC). */
static int write_empty(struct cgroup *g, const struct limit *l, int dir, bool v2)
{
	int r = v2 ? cgroup_write_file(dir, l->v2, "\n") : -ENOSPC;

	return r == -ENOSPC ? write_all(g, l, dir, v2) : r;
}

static int write_limit(struct cgroup *g, const struct limit *l, int dir, bool v2, char *text)
{
	const char *file = v2 ? l->v2 : l->v1;

	if (!file)
		return -ENOENT;
	if (!*text)
		return write_empty(g, l, dir, v2);
	text[strcspn(text, v2 ? "" : " ")] = '\0'; // v1's are one word
	return cgroup_write_file(dir, file, text);
}

static bool has_twin(const struct limit *l, int dir, bool v2)
{
	for (const struct limit *other = limits; l->twin && other < limits + LIMIT_COUNT; other++)
		if (other != l && other->twin &&
		    faccessat(dir, v2 ? other->v2 : other->v1, F_OK, 0) == 0)
			return true;
	return false;
}

static int set_limit(struct cgroup *g, const struct limit *l, const struct machine_config *c,
		     const struct machine_config *old, struct err *e)
{
	struct text now = TEXT_INIT, before = TEXT_INIT;
	bool fresh = is_fresh(l, c), v2 = false;
	int dir, r = limit_dir(g, l->need, !fresh, l->attribute, &v2, &dir, e);

	if (r < 0 || dir < 0)
		return r;
	l->print(c, v2, &now);
	if (old)
		l->print(old, v2, &before);
	else
		text_add(&before, v2 ? l->fresh_v2 : l->fresh_v1);
	/* One that was not made for this may have any limits. */
	if (text_failed(&now))
		r = -ENOMEM;
	else if (strcmp(text_str(&now), text_str(&before)) != 0 || (!old && !g->fresh))
		r = now.data ? write_limit(g, l, dir, v2, now.data)
			     : write_limit(g, l, dir, v2, (char[]){ "" });
	/* What is not there cannot be set to its default either, and need not. */
	if (r == -ENOENT && (fresh || (v2 && !l->v2) || has_twin(l, dir, v2)))
		r = 0;
	text_free(&now);
	text_free(&before);
	return r < 0 ? limit_failed(r, l->attribute, e) : 0;
}

static const char *keyed_value(const struct keyed *k, const char *key)
{
	for (size_t i = 0; k && i < k->n; i++)
		if (!strcmp(k->entries[i].key, key))
			return k->entries[i].value;
	return NULL;
}

static int set_keyed(struct cgroup *g, const struct keyed_limit *l, const struct machine_config *c,
		     const struct machine_config *old, struct err *e)
{
	const struct keyed *now = l->get(c), *before = old ? l->get(old) : NULL;
	bool v2 = false;
	int dir, r = limit_dir(g, l->need, now->n > 0, l->attribute, &v2, &dir, e);

	if (r < 0 || dir < 0)
		return r;
	for (size_t i = 0; before && i < before->n; i++)
		if (!keyed_value(now, before->entries[i].key))
			l->set(dir, v2, before->entries[i].key, "");
	for (size_t i = 0; r == 0 && i < now->n; i++) {
		const char *was = keyed_value(before, now->entries[i].key);

		if (!was || strcmp(was, now->entries[i].value) != 0)
			r = l->set(dir, v2, now->entries[i].key, now->entries[i].value);
	}
	return r < 0 ? limit_failed(r, l->attribute, e) : 0;
}

int cgroup_limit(struct cgroup *g, const struct machine_config *c, const struct machine_config *old,
		 struct err *e)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < LIMIT_COUNT; i++)
		if (limits[i].kinds & 1u << c->kind)
			r = set_limit(g, &limits[i], c, old, e);
	for (size_t i = 0; r == 0 && c->kind == KIND_CONTAINER && i < KEYED_COUNT; i++)
		r = set_keyed(g, &keyed_limits[i], c, old, e);
	return r;
}

void cgroup_limit_again(struct cgroup *g, const struct machine_config *c)
{
	bool fresh = g->fresh;

	g->fresh = false;
	for (size_t i = 0; i < LIMIT_COUNT; i++)
		if (limits[i].kinds & 1u << c->kind)
			set_limit(g, &limits[i], c, NULL, NULL);
	for (size_t i = 0; c->kind == KIND_CONTAINER && i < KEYED_COUNT; i++)
		set_keyed(g, &keyed_limits[i], c, NULL, NULL);
	g->fresh = fresh;
}

bool cgroup_limits_asked(const struct machine_config *c)
{
	for (size_t i = 0; i < LIMIT_COUNT; i++)
		if ((limits[i].kinds & 1u << c->kind) && !is_fresh(&limits[i], c))
			return true;
	for (size_t i = 0; c->kind == KIND_CONTAINER && i < KEYED_COUNT; i++)
		if (keyed_limits[i].get(c)->n)
			return true;
	return false;
}
