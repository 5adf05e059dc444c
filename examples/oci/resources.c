/* Limits: linux.resources of config.json and of update. See oci.h. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "examples/oci/oci.h"

static void set(json_t *settings, const char *name, const char *value)
{
	json_object_set_new(settings, name, json_string(value));
}

/* Below `least` it means no limit. */
static int set_number(json_t *settings, const char *name, const char *path, const json_t *v,
		      json_int_t least, struct err *e)
{
	json_int_t n;
	char text[32];
	int rc = json_number(v, path, &n, e);

	if (rc < 0)
		return rc;
	snprintf(text, sizeof(text), "%lld", (long long)n);
	set(settings, name, n < least ? "max" : text);
	return 0;
}

static int refuse_true(void *arg, const char *path, const json_t *v, struct err *e)
{
	return json_is_true(v) ? refuse(path, "machinefs has nothing for it", e) : 0;
}

static int refuse_number(void *arg, const char *path, const json_t *v, struct err *e)
{
	return json_is_integer(v) && json_integer_value(v) == 0
		       ? 0
		       : refuse(path, "machinefs has nothing for it", e);
}

/* ---- memory ---- */

static int memory_limit(void *arg, const char *path, const json_t *v, struct err *e)
{
	return set_number(arg, "memory.size", path, v, 1, e);
}

static int memory_reservation(void *arg, const char *path, const json_t *v, struct err *e)
{
	return set_number(arg, "memory.low", path, v, 0, e);
}

/* Of the specification it is memory and swap together. */
static int memory_swap(void *arg, const char *path, const json_t *v, struct err *e)
{
	json_t *settings = arg;
	json_int_t both, memory = json_integer_value(json_object_get(settings, "memory.limit"));
	char text[32];
	int rc = json_number(v, path, &both, e);

	if (rc < 0)
		return rc;
	if (both > 0 && (memory <= 0 || both < memory))
		return refuse(path, "less than memory.limit, or without one", e);
	snprintf(text, sizeof(text), "%lld", (long long)(both - memory));
	if (both)
		set(settings, "memory.swap.max", both < 0 ? "max" : text);
	return 0;
}

static int take_memory(void *arg, const char *path, const json_t *v, struct err *e)
{
	static const struct key keys[] = {
		{ "limit", memory_limit },
		{ "reservation", memory_reservation },
		{ "swap", memory_swap },
		{ "kernel", refuse_number },
		{ "kernelTCP", refuse_number },
		{ "disableOOMKiller", refuse_true },
		{ "checkBeforeUpdate", refuse_true },
		{ "swappiness", key_refuse },
		{ "useHierarchy", NULL }, // there is no other way
	};
	json_t *limit = json_object_get(v, "limit");
	int rc;

	/* For memory_swap(), wherever it stands. */
	if (limit)
		json_object_set(arg, "memory.limit", limit);
	rc = KEYS_TAKE(keys, arg, path, v, e);
	json_object_del(arg, "memory.limit");
	return rc;
}

/* ---- cpu ---- */

/* As runc and crun convert shares: 2..262144 to 1..10000. */
static int cpu_shares(void *arg, const char *path, const json_t *v, struct err *e)
{
	json_int_t n;
	char text[32];
	int rc = json_number(v, path, &n, e);

	if (rc < 0 || n == 0)
		return rc;
	if (n < 2 || n > 262144)
		return refuse(path, "outside 2..262144", e);
	snprintf(text, sizeof(text), "%lld", (long long)(1 + (n - 2) * 9999 / 262142));
	set(arg, "cpu.weight", text);
	return 0;
}

static int cpu_burst(void *arg, const char *path, const json_t *v, struct err *e)
{
	return set_number(arg, "cpu.burst", path, v, 0, e);
}

static int cpu_list(void *arg, const char *path, const json_t *v, struct err *e)
{
	json_object_set(arg, strstr(path, "mems") ? "memory.numa" : "cpu.affinity", (json_t *)v);
	return 0;
}

static int take_cpu(void *arg, const char *path, const json_t *v, struct err *e)
{
	static const struct key keys[] = {
		{ "shares", cpu_shares },
		{ "quota", NULL },
		{ "period", NULL },
		{ "burst", cpu_burst },
		{ "cpus", cpu_list },
		{ "mems", cpu_list },
		{ "realtimeRuntime", refuse_number },
		{ "realtimePeriod", refuse_number },
		{ "idle", refuse_number },
	};
	json_int_t quota = json_integer_value(json_object_get(v, "quota"));
	json_int_t period = json_integer_value(json_object_get(v, "period"));
	char text[64];
	int rc = KEYS_TAKE(keys, arg, path, v, e);

	if (rc < 0 || (!quota && !period))
		return rc;
	period = period ? period : 100000;
	if (quota > 0)
		snprintf(text, sizeof(text), "%lld %lld", (long long)quota, (long long)period);
	else
		snprintf(text, sizeof(text), "max %lld", (long long)period);
	set(arg, "cpu.max", text);
	return 0;
}

/* ---- the others ---- */

static int pids_limit(void *arg, const char *path, const json_t *v, struct err *e)
{
	return set_number(arg, "pids.max", path, v, 1, e);
}

static int take_pids(void *arg, const char *path, const json_t *v, struct err *e)
{
	static const struct key keys[] = { { "limit", pids_limit } };

	return KEYS_TAKE(keys, arg, path, v, e);
}

/* 10..1000 to 1..10000, as runc and crun. */
static int io_weight(void *arg, const char *path, const json_t *v, struct err *e)
{
	json_int_t n;
	char text[32];
	int rc = json_number(v, path, &n, e);

	if (rc < 0 || n == 0)
		return rc;
	if (n < 10 || n > 1000)
		return refuse(path, "outside 10..1000", e);
	snprintf(text, sizeof(text), "%lld", (long long)(1 + (n - 10) * 9999 / 990));
	set(arg, "io.weight", text);
	return 0;
}

/* Each of the four adds its word to the device's line. */
static int io_throttle(void *arg, const char *path, const json_t *v, struct err *e)
{
	static const char *const words[][2] = { { "ReadBpsDevice", "rbps" },
						{ "WriteBpsDevice", "wbps" },
						{ "ReadIOPSDevice", "riops" },
						{ "WriteIOPSDevice", "wiops" } };
	json_t *settings = arg, *limits = json_object_get(settings, "io.max");
	const char *word = "";

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (strstr(path, words[i][0]))
			word = words[i][1];
	if (!limits) {
		limits = json_object();
		json_object_set_new(settings, "io.max", limits);
	}
	for (size_t i = 0; i < json_array_size(v); i++) {
		const json_t *d = json_array_get(v, i);
		char device[48], value[160];

		snprintf(device, sizeof(device), "%lld:%lld",
			 (long long)json_integer_value(json_object_get(d, "major")),
			 (long long)json_integer_value(json_object_get(d, "minor")));
		snprintf(value, sizeof(value), "%s%s%s=%lld", json_text(limits, device),
			 *json_text(limits, device) ? " " : "", word,
			 (long long)json_integer_value(json_object_get(d, "rate")));
		json_object_set_new(limits, device, json_string(value));
	}
	return 0;
}

static int take_io(void *arg, const char *path, const json_t *v, struct err *e)
{
	static const struct key keys[] = {
		{ "weight", io_weight },
		{ "leafWeight", key_refuse },
		{ "weightDevice", key_refuse },
		{ "throttleReadBpsDevice", io_throttle },
		{ "throttleWriteBpsDevice", io_throttle },
		{ "throttleReadIOPSDevice", io_throttle },
		{ "throttleWriteIOPSDevice", io_throttle },
	};

	return KEYS_TAKE(keys, arg, path, v, e);
}

/* "2MB" is "2M" in the tree. */
static int take_hugepages(void *arg, const char *path, const json_t *v, struct err *e)
{
	json_t *limits = json_object();

	for (size_t i = 0; i < json_array_size(v); i++) {
		const json_t *l = json_array_get(v, i);
		char size[32], bytes[32];
		size_t len;

		snprintf(size, sizeof(size), "%s", json_text(l, "pageSize"));
		len = strlen(size);
		if (len && size[len - 1] == 'B')
			size[len - 1] = '\0';
		snprintf(bytes, sizeof(bytes), "%lld",
			 (long long)json_integer_value(json_object_get(l, "limit")));
		json_object_set_new(limits, size, json_string(bytes));
	}
	json_object_set_new(arg, "hugetlb.max", limits);
	return 0;
}

/* Files of cgroup v2 that the tree has, too. */
static int take_unified(void *arg, const char *path, const json_t *v, struct err *e)
{
	static const char *const names[][2] = {
		{ "memory.max", "memory.size" },   { "memory.high", "memory.high" },
		{ "memory.low", "memory.low" },	   { "memory.swap.max", "memory.swap.max" },
		{ "cpu.max", "cpu.max" },	   { "cpu.weight", "cpu.weight" },
		{ "cpu.max.burst", "cpu.burst" },  { "pids.max", "pids.max" },
		{ "cpuset.cpus", "cpu.affinity" }, { "cpuset.mems", "memory.numa" },
	};
	const char *file;
	json_t *value;

	json_object_foreach((json_t *)v, file, value)
	{
		const char *name = NULL;

		for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
			if (!strcmp(names[i][0], file))
				name = names[i][1];
		if (!name)
			return err_set(e, -EINVAL,
				       "config.json: %s.%.60s: machinefs has nothing for it", path,
				       file);
		json_object_set(arg, name, value);
	}
	return 0;
}

int spec_resources(json_t *settings, const char *path, const json_t *resources, struct err *e)
{
	static const struct key keys[] = {
		{ "memory", take_memory },
		{ "cpu", take_cpu },
		{ "pids", take_pids },
		{ "blockIO", take_io },
		{ "hugepageLimits", take_hugepages },
		{ "devices", NULL }, // of config.json: spec_device_rules()
		{ "unified", take_unified },
		{ "network", key_refuse },
		{ "rdma", key_refuse },
	};

	return KEYS_TAKE(keys, settings, path, resources, e);
}
