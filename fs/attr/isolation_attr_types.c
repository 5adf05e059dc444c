/* Types of what a container's processes are let do, beside those of attr_types.c. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "backends/base/signame.h"
#include "backends/container/landlock.h"
#include "backends/container/rlimit.h"
#include "backends/container/sysctl.h"
#include "fs/attr/attr.h"

/* KEY default, by which a line is forgotten; or no line at all, which parse_keyed refuses. */
static bool forgets(const char *line)
{
	const char *value = strchr(line, ' ');

	return !value || !strcmp(value + 1, "default");
}

/* ---- numbers with a sign ---- */

static int parse_signed(const struct attr *a, const char *line, void *field, struct err *e)
{
	const bool minus = *line == '-';
	uint64_t n;

	if (attr_parse_number(line + minus, false, &n) < 0 || n > INT32_MAX)
		return err_set(e, -EINVAL, "\"%.64s\" is not a number", line);
	if ((minus ? -(int64_t)n : (int64_t)n) < (int64_t)a->min ||
	    (minus ? -(int64_t)n : (int64_t)n) > (int64_t)a->max)
		return err_set(e, -EINVAL, "%s is outside %" PRId64 "..%" PRId64, line,
			       (int64_t)a->min, (int64_t)a->max);
	*(int64_t *)field = minus ? -(int64_t)n : (int64_t)n;
	return 0;
}

static void print_signed(const struct attr *a, const void *field, struct text *out)
{
	text_addf(out, "%" PRId64 "\n", *(const int64_t *)field);
}

const struct attr_type attr_signed = {
	.name = "signed number",
	.format = "A number, which may be negative.",
	.size = sizeof(int64_t),
	.parse = parse_signed,
	.print = print_signed,
};

/* ---- strings ---- */

static int parse_signal(const struct attr *a, const char *line, void *field, struct err *e)
{
	if (*line && signal_number(line) <= 0)
		return err_set(e, -EINVAL, "there is no signal \"%.64s\"", line);
	return attr_string.parse(a, line, field, e);
}

/* Absolute, and by way of no "..": what is meant is what is written. */
static bool path_valid(const char *p, size_t n)
{
	if (n < 1 || *p != '/')
		return false;
	for (const char *q = p; q < p + n; q++)
		if (!strncmp(q, "/../", 4) || (!strncmp(q, "/..", 3) && q + 3 == p + n))
			return false;
	return true;
}

static bool paths_valid(const char *line)
{
	for (const char *p = line; *p; p += strcspn(p, " "), p += *p == ' ') {
		size_t n = strcspn(p, " ");

		if (n < 2 || !path_valid(p, n))
			return false;
	}
	return true;
}

static int parse_paths(const struct attr *a, const char *line, void *field, struct err *e)
{
	if (!paths_valid(line))
		return err_set(e, -EINVAL, "not absolute paths with a space between them");
	return attr_string.parse(a, line, field, e);
}

const struct attr_type attr_signal = {
	.name = "signal",
	.format = "A signal's name or number, or nothing.",
	.size = sizeof(char *),
	.parse = parse_signal,
	.print = attr_print_string,
	.equal = attr_equal_string,
	.copy = attr_copy_string,
	.free = attr_free_string,
};

const struct attr_type attr_paths = {
	.name = "paths",
	.format = "Absolute paths, separated by spaces.",
	.size = sizeof(char *),
	.parse = parse_paths,
	.print = attr_print_string,
	.equal = attr_equal_string,
	.copy = attr_copy_string,
	.free = attr_free_string,
};

/* ---- lines with a key ---- */

static int parse_sysctl(const struct attr *a, const char *line, void *field, struct err *e)
{
	char name[256];
	size_t len = strcspn(line, " ");

	if (len >= sizeof(name))
		return err_set(e, -EINVAL, "the name is too long");
	memcpy(name, line, len);
	name[len] = '\0';
	if (!forgets(line) && !sysctl_namespace(name))
		return err_set(e, -EINVAL,
			       "%.64s is not a container's own: net.*, kernel.shm*, kernel.msg*, "
			       "kernel.sem, fs.mqueue.* and kernel.domainname are",
			       name);
	return attr_parse_keyed(a, line, field, e);
}

static int parse_rlimit(const struct attr *a, const char *line, void *field, struct err *e)
{
	struct container_rlimit limit;
	char name[32];
	size_t len = strcspn(line, " ");

	if (len >= sizeof(name))
		return err_set(e, -EINVAL, "there is no such limit");
	memcpy(name, line, len);
	name[len] = '\0';
	if (!forgets(line) && rlimit_parse(name, line + len + 1, &limit, e) < 0)
		return e ? e->code : -EINVAL;
	return attr_parse_keyed(a, line, field, e);
}

static int parse_join(const struct attr *a, const char *line, void *field, struct err *e)
{
	static const char *const words[] = { "net ",  "ipc ",	 "uts ", "pid ",
					     "user ", "cgroup ", "time " };
	bool known = forgets(line);

	for (size_t i = 0; !known && i < sizeof(words) / sizeof(words[0]); i++) {
		size_t len = strlen(words[i]);

		known = !strncmp(line, words[i], len) &&
			(object_name_valid(line + len) ||
			 path_valid(line + len, strlen(line + len)));
	}
	if (!known)
		return err_set(e, -EINVAL, "%s",
			       strncmp(line, "mount ", 6) ? "not net, ipc, uts, pid, user, cgroup "
							    "or time and a container's name or "
							    "a path"
							  : "whoever has another's mounts has its "
							    "root: that is a session of it, "
							    "exec/NAME");
	return attr_parse_keyed(a, line, field, e);
}

static int parse_landlock(const struct attr *a, const char *line, void *field, struct err *e)
{
	size_t len = strcspn(line, " ");

	if (!forgets(line) && (!path_valid(line, len) || !landlock_rights(line + len + 1)))
		return err_set(e, -EINVAL, "not an absolute path and letters of rwx");
	return attr_parse_keyed(a, line, field, e);
}

#define KEYED_TYPE(p)                                                                            \
	.size = sizeof(struct keyed), .separator = ' ', .parse = (p), .print = attr_print_keyed, \
	.copy = attr_copy_keyed, .free = attr_free_keyed

const struct attr_type attr_sysctl = {
	.name = "sysctl",
	.format = "Lines NAME VALUE; a write changes the names it has, NAME default forgets one.",
	KEYED_TYPE(parse_sysctl),
};

const struct attr_type attr_rlimit = {
	.name = "rlimit",
	.format = "Lines NAME SOFT HARD, or NAME BOTH, numbers or unlimited; NAME default forgets "
		  "one.",
	KEYED_TYPE(parse_rlimit),
};

const struct attr_type attr_join = {
	.name = "join",
	.format = "Lines NAMESPACE CONTAINER or NAMESPACE PATH; NAMESPACE default forgets one.",
	KEYED_TYPE(parse_join),
};

const struct attr_type attr_landlock = {
	.name = "landlock",
	.format = "Lines PATH LETTERS, of r, w and x; PATH default forgets one.",
	KEYED_TYPE(parse_landlock),
};
