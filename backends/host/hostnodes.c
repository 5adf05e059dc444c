/* The host's NUMA nodes: see hostnodes.h. */
#include "backends/host/hostnodes.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void add_node(const char *dir, unsigned node, struct cpulist *to)
{
	struct text list = TEXT_INIT;
	struct cpulist cpus;
	char path[256];
	int fd;

	snprintf(path, sizeof(path), "%s/node%u/cpulist", dir, node);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0 && text_read_fd(&list, fd) == 0) {
		text_cut(&list, strcspn(text_str(&list), "\n"));
		if (cpulist_parse(text_str(&list), CPULIST_MAX, &cpus, NULL) == 0)
			for (size_t i = 0; i < CPULIST_MAX / 64; i++)
				to->bits[i] |= cpus.bits[i];
	}
	if (fd >= 0)
		close(fd);
	text_free(&list);
}

void hostnodes_cpus(const char *dir, const char *nodes, struct cpulist *ret)
{
	struct cpulist l;

	memset(ret, 0, sizeof(*ret));
	if (!nodes || cpulist_parse(nodes, CPULIST_MAX, &l, NULL) < 0)
		return;
	for (unsigned n = cpulist_next(&l, 0); n < CPULIST_MAX; n = cpulist_next(&l, n + 1))
		add_node(dir, n, ret);
}
