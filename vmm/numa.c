/* struct numa: see numa.h. */
#include "vmm/numa.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SHARE ((uint64_t)2 << 20) /* what a node without a size gets a multiple of */

static const struct part *part_of_node(const struct parts *p, unsigned node)
{
	char name[16];

	snprintf(name, sizeof(name), "%u", node);
	for (size_t i = 0; i < p->n; i++)
		if (!strcmp(p->list[i].name, name))
			return &p->list[i];
	return NULL;
}

static int node_settle(const struct numa_config *c, unsigned node, unsigned n, uint64_t vcpus,
		       struct numa_node *ret, struct err *e)
{
	int r = cpulist_parse(c->cpus ? c->cpus : "", CPULIST_MAX, &ret->cpus, e);

	if (r == 0 && cpulist_next(&ret->cpus, (unsigned)vcpus) < CPULIST_MAX)
		r = err_set(e, -EINVAL, "there are only %llu vCPUs", (unsigned long long)vcpus);
	if (r < 0)
		return err_prefix(e, "numa/%u/cpus: ", node), r;
	ret->size = c->size;
	ret->host = c->host ? c->host : "";
	for (unsigned to = 0; to < n; to++)
		ret->distance[to] = to < c->distance.n ? c->distance.to[to] : to == node ? 10 : 20;
	if (ret->distance[node] != 10)
		return err_set(e, -EINVAL, "numa/%u/distance: a node is 10 from itself, not %u",
			       node, ret->distance[node]);
	return 0;
}

/* Memory that no node claims goes to those without a size, in equal parts; the last has the rest.
 */
static int share_rest(struct numa *n, uint64_t size, struct err *e)
{
	uint64_t rest = size;
	unsigned takers = 0;

	for (unsigned i = 0; i < n->n; i++) {
		if (n->nodes[i].size > rest)
			return err_set(e, -EINVAL,
				       "numa/%u/size: the nodes have more than memory.size", i);
		rest -= n->nodes[i].size;
		takers += n->nodes[i].size == 0;
	}
	if (rest && !takers)
		return err_set(e, -EINVAL, "numa: memory.size is %llu MiB more than all nodes have",
			       (unsigned long long)(rest >> 20));
	for (unsigned i = 0; i < n->n && takers; i++) {
		if (n->nodes[i].size)
			continue;
		n->nodes[i].size = takers == 1 ? rest : rest / takers / SHARE * SHARE;
		rest -= n->nodes[i].size;
		takers--;
	}
	return 0;
}

static int check_cpus(const struct numa *n, struct err *e)
{
	struct cpulist seen = { 0 };

	for (unsigned i = 0; i < n->n; i++) {
		for (unsigned w = 0; w < CPULIST_MAX / 64; w++) {
			if (seen.bits[w] & n->nodes[i].cpus.bits[w])
				return err_set(e, -EINVAL,
					       "numa/%u/cpus: another node has one of them too", i);
			seen.bits[w] |= n->nodes[i].cpus.bits[w];
		}
	}
	return 0;
}

int numa_settle(const struct machine_config *c, uint64_t vcpus, struct numa *ret, struct err *e)
{
	const struct parts *parts = &c->parts[PART_NUMA];
	int r = 0;

	memset(ret, 0, sizeof(*ret));
	if (parts->n > NUMA_NODES_MAX)
		return err_set(e, -EINVAL, "numa: more than %d nodes", NUMA_NODES_MAX);
	ret->n = (unsigned)parts->n;
	for (unsigned i = 0; r == 0 && i < ret->n; i++) {
		const struct part *p = part_of_node(parts, i);

		if (!p)
			return err_set(e, -EINVAL,
				       "numa: nodes are numbered from 0 on; there is no numa/%u",
				       i);
		r = node_settle(&p->numa, i, ret->n, vcpus, &ret->nodes[i], e);
	}
	if (r == 0 && ret->n)
		r = share_rest(ret, c->memory_size, e);
	if (r == 0)
		r = check_cpus(ret, e);
	return r;
}

unsigned numa_of_vcpu(const struct numa *n, unsigned vcpu)
{
	for (unsigned i = 0; i < n->n; i++)
		if (cpulist_has(&n->nodes[i].cpus, vcpu))
			return i;
	return 0;
}
