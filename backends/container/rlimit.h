/* Resource limits of a container's processes, getrlimit(2), as text. */
#ifndef BACKENDS_CONTAINER_RLIMIT_H
#define BACKENDS_CONTAINER_RLIMIT_H

#include <sys/resource.h>

#include "backends/base/err.h"

#define RLIMITS_MAX 16

struct container_rlimit {
	int resource;
	struct rlimit value;
};

/* name as prlimit(1) has it, in lower case: "nofile"; value "SOFT HARD", or one for both. EINVAL.
 */
int rlimit_parse(const char *name, const char *value, struct container_rlimit *ret, struct err *e);

#endif
