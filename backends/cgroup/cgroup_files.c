/*
 * Figures of a control group: the table of what each is called on v1 and on v2, and the
 * translations where v1 says it differently. See cgroup.h; limits are in cgroup_limits.c.
 */
#include "backends/cgroup/cgroup_priv.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The number after "KEY " in a flat keyed text, or 0. */
uint64_t cgroup_keyed_number(const char *text, const char *key)
{
	size_t len = strlen(key);

	for (const char *p = text; p && *p; p = strchr(p, '\n'), p = p ? p + 1 : NULL)
		if (!strncmp(p, key, len) && p[len] == ' ')
			return strtoull(p + len + 1, NULL, 10);
	return 0;
}

static uint64_t read_number(int dir, const char *file)
{
	struct text t = TEXT_INIT;
	uint64_t value;

	cgroup_read_file(dir, file, &t);
	value = strtoull(text_str(&t), NULL, 10);
	text_free(&t);
	return value;
}

/* Throttling where v1 has the cpu controller. */
static void read_throttling_v1(struct cgroup *g, struct text *out)
{
	struct text t = TEXT_INIT;
	bool v2;
	int cpu = cgroup_dir(g, NEED_CPU, &v2);

	if (cpu >= 0 && !v2 && cgroup_read_file(cpu, "cpu.stat", &t) == 0) {
		const char *s = text_str(&t);

		text_addf(out, "nr_periods %" PRIu64 "\n", cgroup_keyed_number(s, "nr_periods"));
		text_addf(out, "nr_throttled %" PRIu64 "\n",
			  cgroup_keyed_number(s, "nr_throttled"));
		text_addf(out, "throttled_usec %" PRIu64 "\n",
			  cgroup_keyed_number(s, "throttled_time") / 1000);
	}
	text_free(&t);
}

/* Usage is v2's own, or v1's cpuacct (nanoseconds); throttling may be elsewhere. */
static int read_cpu_stat(struct cgroup *g, int dir, bool v2, struct text *out)
{
	int r = 0;

	if (v2) {
		r = cgroup_read_file(dir, "cpu.stat", out);
	} else {
		text_addf(out, "usage_usec %" PRIu64 "\n",
			  read_number(dir, "cpuacct.usage") / 1000);
		text_addf(out, "user_usec %" PRIu64 "\n",
			  read_number(dir, "cpuacct.usage_user") / 1000);
		text_addf(out, "system_usec %" PRIu64 "\n",
			  read_number(dir, "cpuacct.usage_sys") / 1000);
	}
	read_throttling_v1(g, out);
	return r;
}

/* v1's total_ figures include the groups below, as all of v2's do. */
static int read_memory_stat_v1(int dir, struct text *out)
{
	static const struct {
		const char *v2, *v1;
	} names[] = {
		{ "anon", "total_rss" },
		{ "file", "total_cache" },
		{ "shmem", "total_shmem" },
		{ "file_mapped", "total_mapped_file" },
		{ "file_dirty", "total_dirty" },
		{ "file_writeback", "total_writeback" },
		{ "anon_thp", "total_rss_huge" },
		{ "inactive_anon", "total_inactive_anon" },
		{ "active_anon", "total_active_anon" },
		{ "inactive_file", "total_inactive_file" },
		{ "active_file", "total_active_file" },
		{ "unevictable", "total_unevictable" },
		{ "pgfault", "total_pgfault" },
		{ "pgmajfault", "total_pgmajfault" },
	};
	struct text t = TEXT_INIT;
	int r = cgroup_read_file(dir, "memory.stat", &t);

	for (size_t i = 0; r == 0 && i < sizeof(names) / sizeof(names[0]); i++) {
		text_addf(out, "%s %" PRIu64 "\n", names[i].v2,
			  cgroup_keyed_number(text_str(&t), names[i].v1));
		if (i == 1) /* v2's place for it */
			text_addf(out, "kernel %" PRIu64 "\n",
				  read_number(dir, "memory.kmem.usage_in_bytes"));
	}
	text_free(&t);
	return r;
}

int cgroup_read(struct cgroup *g, enum cgroup_file file, struct text *out, struct err *e)
{
	static const struct {
		const char *v2;
		enum cgroup_need need;
		const char *v1; /* NULL: not there, or translated below */
	} files[] = {
		/* A v2 group has pressure figures without controllers. */
		[CGROUP_MEMORY_CURRENT] = { "memory.current", NEED_MEMORY,
					    "memory.usage_in_bytes" },
		[CGROUP_MEMORY_STAT] = { "memory.stat", NEED_MEMORY, NULL },
		[CGROUP_MEMORY_PRESSURE] = { "memory.pressure", NEED_CPUACCT, NULL },
		[CGROUP_CPU_STAT] = { "cpu.stat", NEED_CPUACCT, NULL },
		[CGROUP_CPU_PRESSURE] = { "cpu.pressure", NEED_CPUACCT, NULL },
		[CGROUP_PIDS_CURRENT] = { "pids.current", NEED_PIDS, "pids.current" },
		[CGROUP_PROCS] = { "cgroup.procs", NEED_PIDS, "cgroup.procs" },
	};
	const char *name = files[file].v2;
	bool v2 = false;
	int dir = cgroup_dir(g, files[file].need, &v2), r = -ENOENT;

	if (dir >= 0 && file == CGROUP_CPU_STAT)
		r = read_cpu_stat(g, dir, v2, out);
	else if (dir >= 0 && v2)
		r = cgroup_read_file(dir, name, out);
	else if (dir >= 0 && files[file].v1)
		r = cgroup_read_file(dir, files[file].v1, out);
	else if (dir >= 0 && file == CGROUP_MEMORY_STAT)
		r = read_memory_stat_v1(dir, out);
	/* A kernel without pressure figures, or with them turned off (psi=0: EOPNOTSUPP). */
	if (r == -ENOENT || r == -EOPNOTSUPP)
		return err_set(e, -ENXIO, "%s: this host's control groups do not have it%s", name,
			       dir >= 0 && !v2 ? " (version 1)" : "");
	return r < 0 ? err_sys(e, -r, "%s", name) : 0;
}
