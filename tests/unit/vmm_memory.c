/* Guest memory: its layout, what backs it, what comes and goes; and NUMA nodes. No KVM. */
#include "tests/unit/tap.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "vmm/guestmem.h"
#include "vmm/numa.h"

#define MIB ((uint64_t)1 << 20)
#define GIB ((uint64_t)1 << 30)

/* KiB of a field of /proc/self/smaps that the mapping of an address has; -1: no such mapping. */
static long smaps(const void *addr, const char *field)
{
	FILE *f = fopen("/proc/self/smaps", "r");
	char line[512];
	unsigned long from, to;
	long kib = -1;
	bool here = false;

	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%lx-%lx ", &from, &to) == 2)
			here = (uintptr_t)addr >= from && (uintptr_t)addr < to;
		else if (here && !strncmp(line, field, strlen(field)))
			sscanf(line + strlen(field), ": %ld", &kib);
	}
	if (f)
		fclose(f);
	return kib;
}

static long pool_free(void)
{
	FILE *f = fopen("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages", "r");
	long n = -1;

	if (f && fscanf(f, "%ld", &n) != 1)
		n = -1;
	if (f)
		fclose(f);
	return n;
}

static void test_layout(void)
{
	struct guestmem_want want = { .size = 5 * GIB, .possible = 9 * GIB };
	struct guestmem m;
	struct err e = { 0 };

	if (guestmem_make(&m, &want, &e) == -ENOSPC) {
		printf("# layout: %s\n", e.text);
		return;
	}
	ok(m.low == 3 * GIB && m.high == 2 * GIB && m.nregions == 3 && m.hot.gpa == 6 * GIB &&
		   m.hot.len == 4 * GIB,
	   "low, high and hot memory");
	ok(!((uintptr_t)m.host % (2 * MIB)), "it is aligned to huge pages");
	ok(guestmem_range(&m, 0, 3 * GIB) && !guestmem_range(&m, 0, 3 * GIB + 1) &&
		   guestmem_range(&m, GUESTMEM_HIGH, 2 * GIB) &&
		   !guestmem_range(&m, GUESTMEM_HIGH - 1, 1) && !guestmem_range(&m, 3 * GIB, 1) &&
		   !guestmem_range(&m, UINT64_MAX, 2) && !guestmem_range(&m, 4 * GIB, UINT64_MAX),
	   "the gate knows the hole and the ends");
	ok(!guestmem_range(&m, m.hot.gpa, 1), "hot memory is not there");
	ok(guestmem_plug(&m, 1, 2) == 0 && guestmem_range(&m, m.hot.gpa + 2 * MIB, 4 * MIB) &&
		   !guestmem_range(&m, m.hot.gpa + 2 * MIB, 4 * MIB + 1) &&
		   !guestmem_range(&m, m.hot.gpa + 2 * MIB - 1, 2),
	   "until blocks of it are plugged");
	memset(guestmem_range(&m, m.hot.gpa + 2 * MIB, 4 * MIB), 7, 4 * MIB);
	guestmem_unplug(&m, 2, 1);
	ok(guestmem_range(&m, m.hot.gpa + 2 * MIB, 2 * MIB) &&
		   !guestmem_range(&m, m.hot.gpa + 4 * MIB, 1),
	   "and after they are unplugged");
	ok(guestmem_plug(&m, 2, 1) == 0 && *(char *)guestmem_range(&m, m.hot.gpa + 4 * MIB, 1) == 0,
	   "a block that comes again is zero");
	ok(guestmem_plug(&m, 2048, 1) == -EINVAL && guestmem_plug(&m, 2047, 2) == -EINVAL &&
		   guestmem_plug(&m, UINT64_MAX, 2) == -EINVAL && guestmem_plug(&m, 2047, 1) == 0,
	   "blocks end where the region does");
	guestmem_write(&m, 8 * MIB, "x", 1);
	ok(guestmem_clear(&m, &e) == 0 && *(char *)guestmem_range(&m, 8 * MIB, 1) == 0 &&
		   !guestmem_range(&m, m.hot.gpa + 2 * MIB, 1),
	   "cleared, all is zero and nothing hot is left");
	guestmem_free(&m);
	guestmem_free(&m);
}

static void refused(const char *what, const struct guestmem_want *want, int code,
		    const char *sentence)
{
	struct guestmem m;
	struct err e = { 0 };
	int r = guestmem_make(&m, want, &e);

	ok(r == code && strstr(e.text, sentence) == e.text && !m.mapping, "%s: %s", what, e.text);
	guestmem_free(&m);
}

static void test_refusals(void)
{
	static const struct guestmem_node unequal[] = { { 32 * MIB, "" }, { 16 * MIB, "" } };

	refused("odd", &(struct guestmem_want){ .size = 64 * MIB + 1 }, -EINVAL, "memory.size: ");
	refused("odd for huge pages",
		&(struct guestmem_want){ .size = 65 * MIB, .backing = BACKING_HUGE_2M }, -EINVAL,
		"memory.size: 68157440 is not a multiple of 2097152");
	refused("possible is odd",
		&(struct guestmem_want){ .size = 64 * MIB, .possible = 64 * MIB + 1 }, -EINVAL,
		"memory.possible: ");
	refused("KSM of shared memory",
		&(struct guestmem_want){ .size = 64 * MIB, .shared = true, .merge = true }, -EINVAL,
		"memory.merge: ");
	refused("nodes that are not the whole",
		&(struct guestmem_want){ .size = 64 * MIB, .nnodes = 2, .nodes = unequal }, -EINVAL,
		"numa: the nodes have 48 MiB, memory.size is 64 MiB");
	refused("a node of the host that is not there",
		&(struct guestmem_want){ .size = 64 * MIB, .host = "63" }, -ENXIO, "memory.numa: ");
	refused("far too much", &(struct guestmem_want){ .size = (uint64_t)1 << 50 }, -ENOSPC,
		"memory.size: ");
}

static void test_huge(void)
{
	long have = pool_free();
	struct guestmem_want want = { .size = 64 * MIB, .backing = BACKING_HUGE_2M };
	struct guestmem m;
	struct err e = { 0 };
	char text[160];

	if (have < 0) {
		printf("# no pool of huge pages here\n");
		return;
	}
	want.size = ((uint64_t)have + 1) * 2 * MIB;
	snprintf(text, sizeof(text),
		 "memory.backing: %ld huge pages of 2 MiB are needed, this host has %ld free",
		 have + 1, have);
	refused("one huge page too few", &want, -ENOSPC, text);
	ok(pool_free() == have, "and none was taken");
	if (have == 0)
		return;
	want.size = (uint64_t)have * 2 * MIB;
	ok(guestmem_make(&m, &want, &e) == 0, "%ld huge pages: %s", have, e.text);
	ok(pool_free() == 0 && m.fd >= 0, "they are taken at once");
	memset(m.host, 1, want.size);
	ok(guestmem_clear(&m, &e) == 0 && m.host[0] == 0 && pool_free() == 0,
	   "cleared, they stay the machine's");
	guestmem_discard(&m, 0, 2 * MIB);
	ok(pool_free() == 0, "a balloon does not take from what was promised");
	guestmem_free(&m);
	ok(pool_free() == have, "freed, they go back");
}

static void test_small(void)
{
	long rss;
	struct guestmem_want want = { .size = 16 * MIB, .backing = BACKING_SMALL };
	struct guestmem m;
	struct err e = { 0 };

	ok(guestmem_make(&m, &want, &e) == 0 && smaps(m.host, "Rss") == 0,
	   "memory that nobody touched costs nothing");
	memset(m.host, 1, 4 * MIB);
	ok(smaps(m.host, "Rss") == 4096 && smaps(m.host, "AnonHugePages") == 0,
	   "small pages are small");
	guestmem_discard(&m, MIB, 2 * MIB);
	ok(smaps(m.host, "Rss") == 2048 && m.host[MIB] == 0 && m.host[0] == 1,
	   "what a guest does not need goes back");
	rss = smaps(m.host, "Rss");
	guestmem_discard(&m, 15 * MIB, 2 * MIB);
	ok(smaps(m.host, "Rss") == rss && m.host[0] == 1,
	   "a range that leaves its memory is left alone");
	guestmem_free(&m);
	want.prealloc = true;
	ok(guestmem_make(&m, &want, &e) == 0 && smaps(m.host, "Rss") == 16384,
	   "prealloc: the host gives all at once");
	m.host[5] = 5;
	ok(guestmem_clear(&m, &e) == 0 && m.host[5] == 0 && smaps(m.host, "Rss") == 16384,
	   "and leaves it when it is cleared");
	guestmem_free(&m);
}

/* Whoever has the file can make it neither shorter, for a SIGBUS here, nor unwritable. */
static bool size_is_fixed(int fd)
{
	return ftruncate(fd, 4096) < 0 && errno == EPERM && ftruncate(fd, (off_t)GIB) < 0 &&
	       errno == EPERM && fcntl(fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE) < 0;
}

static void test_shared(void)
{
	struct guestmem_want want = { .size = 4 * MIB, .possible = 8 * MIB, .shared = true };
	struct guestmem m;
	struct err e = { 0 };
	char c = 0;

	ok(guestmem_make(&m, &want, &e) == 0 && m.fd >= 0, "shared memory is a file");
	ok(size_is_fixed(m.fd), "of one size for good");
	guestmem_write(&m, MIB, "s", 1);
	ok(pread(m.fd, &c, 1, MIB) == 1 && c == 's', "which another process sees");
	ok(guestmem_plug(&m, 0, 1) == 0 && guestmem_write(&m, m.hot.gpa, "h", 1) == 0 &&
		   pread(m.fd, &c, 1, (off_t)m.hot.offset) == 1 && c == 'h',
	   "hot memory too");
	ok(guestmem_clear(&m, &e) == 0 && pread(m.fd, &c, 1, MIB) == 1 && c == 0, "cleared: zero");
	guestmem_free(&m);
}

static int writes_left = -1; /* then pwrite() fails; -1: never */

ssize_t pwrite(int fd, const void *data, size_t len, off_t at)
{
	if (writes_left == 0) {
		errno = ENOSPC;
		return -1;
	}
	if (writes_left > 0)
		writes_left--;
	return syscall(SYS_pwrite64, fd, data, len, at);
}

/* Marks in RAM, at its start, middle and odd end, and in the hot region's second block. */
static bool marks_are(struct guestmem *m, bool set)
{
	uint64_t at[] = { 0, 3 * MIB + 17, m->size - 1, m->hot.offset + 2 * MIB + 5 };
	bool are = true;

	for (int i = 0; i < 4; i++) {
		if (set)
			m->host[at[i]] = (unsigned char)(i + 1);
		are &= m->host[at[i]] == i + 1;
	}
	return are;
}

static void test_becomes_shared(void)
{
	struct guestmem_want want = { .size = 6 * MIB + 4096, .possible = 14 * MIB + 4096 };
	struct guestmem m;
	struct err e = { 0 };
	char c = 0;

	if (!ok(guestmem_make(&m, &want, &e) == 0 && m.fd < 0 && guestmem_plug(&m, 1, 1) == 0,
		"memory that is no file %s", e.text))
		return;
	marks_are(&m, true);
	writes_left = 2;
	ok(guestmem_share(&m, &e) == -ENOSPC && m.fd < 0 && marks_are(&m, false),
	   "does not become one when the host is full: %s", e.text);
	ok(smaps(m.host, "Private_Dirty") > 0 && smaps(m.host + 4 * MIB, "Shared_Dirty") == 0,
	   "and is what it was");
	writes_left = -1;
	ok(guestmem_share(&m, &e) == 0 && m.fd >= 0 && marks_are(&m, false),
	   "becomes one with all that is in it");
	ok(size_is_fixed(m.fd), "of one size for good");
	m.host[MIB] = 77;
	ok(pread(m.fd, &c, 1, MIB) == 1 && c == 77 &&
		   pread(m.fd, &c, 1, (off_t)m.hot.offset + 2 * (off_t)MIB + 5) == 1 && c == 4,
	   "which another process sees");
	ok(guestmem_plug(&m, 0, 1) == 0 && guestmem_write(&m, m.hot.gpa, "h", 1) == 0 &&
		   pread(m.fd, &c, 1, (off_t)m.hot.offset) == 1 && c == 'h',
	   "as what comes later");
	ok(guestmem_clear(&m, &e) == 0 && m.host[0] == 0 && m.host[m.size - 1] == 0,
	   "and is cleared");
	guestmem_free(&m);
	want.prealloc = true;
	ok(guestmem_make(&m, &want, &e) == 0 && guestmem_share(&m, &e) == -EBUSY &&
		   strstr(e.text, "memory.prealloc"),
	   "not what was promised: %s", e.text);
	guestmem_free(&m);
}

static void test_lock(void)
{
	struct guestmem_want want = { .size = 64 * MIB, .lock = true };
	struct rlimit before, little = { 1 << 20, 1 << 20 };
	struct guestmem m;
	struct err e = { 0 };

	getrlimit(RLIMIT_MEMLOCK, &before);
	little.rlim_max = before.rlim_max;
	if (setrlimit(RLIMIT_MEMLOCK, &little) == 0 && geteuid() != 0)
		refused("more than may be locked", &want, -ENOSPC,
			"memory.lock: 64 MiB is more than the 1 MiB");
	setrlimit(RLIMIT_MEMLOCK, &before);
	if (guestmem_make(&m, &want, &e) < 0) {
		printf("# %s\n", e.text);
		return;
	}
	memset(m.host, 1, 2 * MIB);
	ok(smaps(m.host, "Locked") >= 2048 && smaps(m.host, "Rss") < 65536,
	   "what is used is locked, what is not takes nothing");
	guestmem_free(&m);
}

/* ---- NUMA ---- */

static struct part node(const char *name, const char *cpus, uint64_t size)
{
	struct part p = { .numa = { .cpus = (char *)cpus, .size = size, .host = (char *)"" } };

	snprintf(p.name, sizeof(p.name), "%s", name);
	return p;
}

static void numa_refused(const char *what, struct part *list, size_t n, const char *sentence)
{
	struct machine_config c = { .memory_size = 64 * MIB };
	struct numa numa;
	struct err e = { 0 };

	c.parts[PART_NUMA] = (struct parts){ n, list };
	ok(numa_settle(&c, 4, &numa, &e) == -EINVAL && strstr(e.text, sentence) == e.text, "%s: %s",
	   what, e.text);
}

static void test_numa(void)
{
	struct machine_config c = { .memory_size = 64 * MIB };
	struct part two[] = { node("1", "2-3", 0), node("0", "0", 16 * MIB) };
	struct part rest[] = { node("0", "", 0), node("1", "", 0), node("2", "", 10 * MIB) };
	struct numa n;
	struct err e = { 0 };

	ok(numa_settle(&c, 4, &n, &e) == 0 && n.n == 0, "no parts, no nodes");
	c.parts[PART_NUMA] = (struct parts){ 2, two };
	ok(numa_settle(&c, 4, &n, &e) == 0 && n.n == 2 && n.nodes[0].size == 16 * MIB &&
		   n.nodes[1].size == 48 * MIB,
	   "nodes by their number; one without a size has the rest: %s", e.text);
	ok(numa_of_vcpu(&n, 0) == 0 && numa_of_vcpu(&n, 1) == 0 && numa_of_vcpu(&n, 3) == 1,
	   "a vCPU that none has is node 0's");
	ok(n.nodes[0].distance[0] == 10 && n.nodes[0].distance[1] == 20, "distances: 10 and 20");
	two[1].numa.distance.n = 2;
	two[1].numa.distance.to[0] = 10;
	two[1].numa.distance.to[1] = 42;
	ok(numa_settle(&c, 4, &n, &e) == 0 && n.nodes[0].distance[1] == 42 &&
		   n.nodes[1].distance[0] == 20,
	   "or as they are set");
	c.parts[PART_NUMA] = (struct parts){ 3, rest };
	ok(numa_settle(&c, 4, &n, &e) == 0 && n.nodes[0].size == 26 * MIB &&
		   n.nodes[1].size == 28 * MIB,
	   "two without a size share it");
	numa_refused("a gap in the numbers", &two[0], 1, "numa: nodes are numbered from 0 on");
	numa_refused("a vCPU too many", (struct part[]){ node("0", "0-4", 0) }, 1,
		     "numa/0/cpus: there are only 4 vCPUs");
	numa_refused("memory too much", (struct part[]){ node("0", "", 65 * MIB) }, 1,
		     "numa/0/size: the nodes have more than memory.size");
	numa_refused("memory too little", (struct part[]){ node("0", "", 63 * MIB) }, 1,
		     "numa: memory.size is 1 MiB more than all nodes have");
	numa_refused("a vCPU twice", (struct part[]){ node("0", "1", 0), node("1", "1-2", 0) }, 2,
		     "numa/1/cpus: another node has one of them too");
}

int main(void)
{
	test_layout();
	test_refusals();
	test_small();
	test_huge();
	test_shared();
	test_becomes_shared();
	test_lock();
	test_numa();
	return tap_done();
}
