/* Resource limits as text: see rlimit.h. */
#include "backends/container/rlimit.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static const struct {
	const char *name;
	int resource;
} names[] = {
	{ "as", RLIMIT_AS },
	{ "core", RLIMIT_CORE },
	{ "cpu", RLIMIT_CPU },
	{ "data", RLIMIT_DATA },
	{ "fsize", RLIMIT_FSIZE },
	{ "locks", RLIMIT_LOCKS },
	{ "memlock", RLIMIT_MEMLOCK },
	{ "msgqueue", RLIMIT_MSGQUEUE },
	{ "nice", RLIMIT_NICE },
	{ "nofile", RLIMIT_NOFILE },
	{ "nproc", RLIMIT_NPROC },
	{ "rss", RLIMIT_RSS },
	{ "rtprio", RLIMIT_RTPRIO },
	{ "rttime", RLIMIT_RTTIME },
	{ "sigpending", RLIMIT_SIGPENDING },
	{ "stack", RLIMIT_STACK },
};

static bool number(const char **at, rlim_t *ret)
{
	char *end;

	if (!strncmp(*at, "unlimited", 9)) {
		*ret = RLIM_INFINITY;
		*at += 9;
		return true;
	}
	if (**at < '0' || **at > '9')
		return false;
	*ret = strtoull(*at, &end, 10);
	*at = end;
	return true;
}

int rlimit_parse(const char *name, const char *value, struct container_rlimit *ret, struct err *e)
{
	struct container_rlimit l = { .resource = -1 };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (!strcmp(names[i].name, name))
			l.resource = names[i].resource;
	if (l.resource < 0)
		return err_set(e, -EINVAL, "there is no limit \"%.32s\"", name);
	if (!number(&value, &l.value.rlim_cur))
		return err_set(e, -EINVAL, "%s: not SOFT HARD", name);
	l.value.rlim_max = l.value.rlim_cur;
	if (*value == ' ') {
		value++;
		if (!number(&value, &l.value.rlim_max))
			return err_set(e, -EINVAL, "%s: not SOFT HARD", name);
	}
	if (*value || l.value.rlim_cur > l.value.rlim_max)
		return err_set(e, -EINVAL, "%s: not SOFT HARD, the first the lower one", name);
	*ret = l;
	return 0;
}
