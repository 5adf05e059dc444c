/* What every engine is given: see engine.h. */
#include "backends/engine.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

_Atomic uint64_t *engine_part_counters(struct engine_host *host, enum part_kind kind,
				       const char *part)
{
	for (unsigned i = 0; host->part_stats && i < ENGINE_PARTS_MAX; i++) {
		struct engine_part_stat *s = &host->part_stats[i];

		if (!atomic_load(&s->used)) {
			s->kind = kind;
			snprintf(s->part, sizeof(s->part), "%s", part);
			atomic_store(&s->used, 1);
			return s->counters;
		}
		if (s->kind == kind && !strcmp(s->part, part))
			return s->counters;
	}
	return NULL;
}

int engine_take_fd(struct engine_host *host, enum part_kind kind, const char *part, unsigned which)
{
	for (unsigned i = 0; i < host->npart_fds; i++) {
		struct engine_part_fd *p = &host->part_fds[i];
		int fd = p->fd;

		if (fd < 0 || p->kind != kind || p->which != which || strcmp(p->part, part) != 0)
			continue;
		p->fd = -1;
		return fd;
	}
	return -1;
}
