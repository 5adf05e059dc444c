/* struct guestmem: see guestmem.h. Knows nothing of KVM: vm.c makes the memory slots. */
#include "vmm/guestmem.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/mempolicy.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#define MIB	   ((uint64_t)1 << 20)
#define GIB	   ((uint64_t)1 << 30)
#define HUGE_SHIFT 26 /* MFD_HUGE_SHIFT of linux/memfd.h */
#define SMALL_PAGE 4096u
#define READ_MAX   ((size_t)1 << 30) /* one pread() moves less than 2 GiB */

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

static const struct {
	uint64_t page;	/* what the guest's memory is aligned to */
	unsigned flags; /* of memfd_create() */
	const char *pool;
} backings[] = {
	[BACKING_THP] = { 2 * MIB, 0, NULL },
	[BACKING_SMALL] = { 4096, 0, NULL },
	[BACKING_HUGE_2M] = { 2 * MIB, MFD_HUGETLB | 21u << HUGE_SHIFT, "hugepages-2048kB" },
	[BACKING_HUGE_1G] = { GIB, MFD_HUGETLB | 30u << HUGE_SHIFT, "hugepages-1048576kB" },
};

static unsigned long long mib(uint64_t bytes)
{
	return bytes >> 20;
}

static uint64_t round_up(uint64_t n, uint64_t to)
{
	return (n + to - 1) / to * to;
}

/* ---- what is wanted ---- */

static int want_check(const struct guestmem_want *w, struct err *e)
{
	uint64_t page = backings[w->backing].pool ? backings[w->backing].page : 4096;
	uint64_t have = UINT64_MAX, sum = 0;
	struct sysinfo si;

	if (sysinfo(&si) == 0)
		have = (uint64_t)si.totalram * si.mem_unit;
	if (w->size == 0 || w->size % page)
		return err_set(e, -EINVAL, "memory.size: %llu is not a multiple of %llu%s",
			       (unsigned long long)w->size, (unsigned long long)page,
			       page > 4096 ? ", the size of a page (memory.backing)" : "");
	if (w->size > have)
		return err_set(e, -ENOSPC,
			       "memory.size: %llu MiB is more than the %llu MiB that this host has",
			       mib(w->size), mib(have));
	if (w->possible > w->size && (w->possible - w->size) % page)
		return err_set(e, -EINVAL,
			       "memory.possible: what it is more than memory.size is not a "
			       "multiple of %llu",
			       (unsigned long long)page);
	if (w->possible > (uint64_t)1 << 46)
		return err_set(e, -EINVAL, "memory.possible: more than 64 TiB");
	if (w->merge && (w->shared || backings[w->backing].pool))
		return err_set(
			e, -EINVAL,
			"memory.merge: memory that is shared or of huge pages is not merged");
	for (unsigned i = 0; i < w->nnodes; i++) {
		sum += w->nodes[i].size;
		if (w->nodes[i].size % page)
			return err_set(e, -EINVAL,
				       "numa: the size of node %u is not a multiple of %llu", i,
				       (unsigned long long)page);
	}
	if (w->nnodes && sum != w->size)
		return err_set(e, -EINVAL, "numa: the nodes have %llu MiB, memory.size is %llu MiB",
			       mib(sum), mib(w->size));
	return 0;
}

/* ---- its addresses ---- */

static void lay_out(struct guestmem *m, const struct guestmem_want *w)
{
	uint64_t end;

	m->size = w->size;
	m->low = m->size < GUESTMEM_HOLE ? m->size : GUESTMEM_HOLE;
	m->high = m->size - m->low;
	m->regions[m->nregions++] = (struct guestmem_region){ 0, m->low, 0 };
	if (m->high)
		m->regions[m->nregions++] =
			(struct guestmem_region){ GUESTMEM_HIGH, m->high, m->low };
	if (w->possible <= w->size)
		return;
	m->block_len = m->page > GUESTMEM_BLOCK ? m->page : GUESTMEM_BLOCK;
	while ((w->possible - w->size) / m->block_len >= GUESTMEM_BLOCKS_MAX)
		m->block_len *= 2;
	end = round_up(GUESTMEM_HIGH + m->high, GIB);
	m->hot = (struct guestmem_region){ .gpa = end,
					   .len = round_up(w->possible - w->size, m->block_len),
					   .offset = round_up(m->size, m->block_len) };
	m->regions[m->nregions++] = m->hot;
}

/* A range of addresses, aligned, in which nothing can be touched yet. */
static int reserve_addresses(struct guestmem *m, struct err *e)
{
	const struct guestmem_region *last = &m->regions[m->nregions - 1];
	uint64_t len = last->offset + last->len;

	if (len > SIZE_MAX - m->page)
		return err_set(e, -ENOSPC, "memory.size: more than there are addresses");
	m->mapping_len = len + m->page;
	m->mapping = mmap(NULL, m->mapping_len, PROT_NONE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (m->mapping == MAP_FAILED) {
		m->mapping = NULL;
		return err_sys(e, errno, "memory.size: cannot map %llu MiB", mib(len));
	}
	m->host = (unsigned char *)(uintptr_t)round_up((uintptr_t)m->mapping, m->page);
	return 0;
}

/* ---- what is behind them ---- */

/* Free pages of a pool of the host's, or -1 where it does not say. */
static long pool_free(const char *pool)
{
	char path[128], text[32];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/sys/kernel/mm/hugepages/%s/free_hugepages", pool);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (n <= 0)
		return -1;
	text[n] = 0;
	return strtol(text, NULL, 10);
}

static bool binds(const struct guestmem_want *w)
{
	bool any = w->host && *w->host;

	for (unsigned i = 0; i < w->nnodes; i++)
		any |= w->nodes[i].host && *w->nodes[i].host;
	return any;
}

static int too_few(const struct guestmem *m, const struct guestmem_want *w, struct err *e)
{
	const char *pool = backings[w->backing].pool;
	long have = pool ? pool_free(pool) : -1;

	if (!pool)
		return err_set(e, -ENOSPC,
			       "memory.prealloc: this host, or the machine's control group, has "
			       "no %llu MiB free",
			       mib(m->size));
	if (have >= 0 && (uint64_t)have < m->size / m->page)
		return err_set(e, -ENOSPC,
			       "memory.backing: %llu huge pages of %llu MiB are needed, this host "
			       "has %ld free",
			       (unsigned long long)(m->size / m->page), mib(m->page), have);
	// Behind its walls a monitor does not see the pool; or there are enough, but not for it.
	return err_set(e, -ENOSPC,
		       "memory.backing: %llu huge pages of %llu MiB are needed, more than this "
		       "host%s has free",
		       (unsigned long long)(m->size / m->page), mib(m->page),
		       binds(w) ? ", or a node that memory is to come from," : "");
}

/*
 * A file of the memory's size for good: whoever it is shared with could otherwise make it shorter,
 * and the machine would end by SIGBUS. -errno.
 */
static int make_file(const struct guestmem *m, unsigned flags)
{
	const struct guestmem_region *last = &m->regions[m->nregions - 1];
	int fd = memfd_create("memory", MFD_CLOEXEC | MFD_ALLOW_SEALING | flags), r;

	if (fd < 0)
		return -errno;
	if (ftruncate(fd, (off_t)(last->offset + last->len)) == 0 &&
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0)
		return fd;
	r = -errno;
	close(fd);
	return r;
}

static int open_file(struct guestmem *m, const struct guestmem_want *w, struct err *e)
{
	int fd;

	if (!w->shared && !backings[w->backing].pool)
		return 0;
	fd = make_file(m, backings[w->backing].flags);
	if (fd < 0 && backings[w->backing].pool)
		return err_set(e, -ENXIO, "memory.backing: this host has no huge pages of %llu MiB",
			       mib(m->page));
	if (fd < 0)
		return err_sys(e, -fd, "memory.size: a memory file");
	m->fd = fd;
	return 0;
}

/* Advice only: a kernel without huge pages refuses it and small pages do. */
static void advise(struct guestmem *m, bool sizes)
{
	for (unsigned i = 0; i < m->nregions; i++) {
		unsigned char *at = m->host + m->regions[i].offset;

		if (sizes)
			(void)madvise(at, m->regions[i].len,
				      m->huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
		// Guest RAM is a secret of the guest and most of a core file.
		(void)madvise(at, m->regions[i].len, MADV_DONTDUMP);
	}
}

/*
 * Of RAM huge pages are reserved here; mmap() of a file of them fails where there are too few. The
 * hot region gets nothing before guestmem_plug().
 */
static int map_memory(struct guestmem *m, const struct guestmem_want *w, struct err *e)
{
	int flags =
		MAP_FIXED | (m->fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE : MAP_SHARED);

	if (mmap(m->host, m->size, PROT_READ | PROT_WRITE, flags, m->fd, 0) == MAP_FAILED)
		return errno == ENOMEM && backings[w->backing].pool
			       ? too_few(m, w, e)
			       : err_sys(e, errno, "memory.size: cannot map %llu MiB",
					 mib(m->size));
	if (m->hot.len && mmap(m->host + m->hot.offset, m->hot.len, PROT_NONE,
			       flags | MAP_NORESERVE, m->fd, (off_t)m->hot.offset) == MAP_FAILED)
		return err_sys(e, errno, "memory.possible: cannot map %llu MiB", mib(m->hot.len));
	advise(m, !backings[w->backing].pool);
	if (w->merge && madvise(m->host, m->size, MADV_MERGEABLE) < 0)
		return err_set(e, -ENXIO, "memory.merge: this host's kernel has no KSM");
	return 0;
}

/* ---- where the host takes it from ---- */

static int bind_range(struct guestmem *m, uint64_t at, uint64_t len, const char *nodes,
		      const char *what, struct err *e)
{
	struct cpulist l;
	int r = cpulist_parse(nodes, CPULIST_MAX, &l, e);

	if (r < 0)
		return err_prefix(e, "%s: ", what), r;
	if (cpulist_empty(&l) || len == 0)
		return 0;
	if (syscall(SYS_mbind, m->host + at, len, MPOL_BIND, l.bits, (unsigned long)CPULIST_MAX + 1,
		    0) < 0)
		return errno == ENOSYS
			       ? err_set(e, -ENXIO, "%s: this host's kernel has no NUMA", what)
			       : err_set(e, -ENXIO, "%s: this host has no memory on node %s", what,
					 nodes);
	return 0;
}

static int bind_nodes(struct guestmem *m, const struct guestmem_want *w, struct err *e)
{
	uint64_t at = 0;
	int r = 0;

	if (w->host)
		r = bind_range(m, 0, m->size, w->host, "memory.numa", e);
	if (r == 0 && w->host && m->hot.len)
		r = bind_range(m, m->hot.offset, m->hot.len, w->host, "memory.numa", e);
	for (unsigned i = 0; r == 0 && i < w->nnodes; i++) {
		if (w->nodes[i].host)
			r = bind_range(m, at, w->nodes[i].size, w->nodes[i].host, "numa: host", e);
		at += w->nodes[i].size;
	}
	return r;
}

/* Makes the host give all pages now; -ENOMEM when it has not so many. */
static int populate(unsigned char *at, uint64_t len, uint64_t page)
{
	if (madvise(at, len, MADV_POPULATE_WRITE) == 0)
		return 0;
	if (errno != EINVAL)
		return -ENOMEM;
	// A kernel before 5.14. Only small pages come to nothing here: huge ones were reserved.
	for (uint64_t i = 0; i < len; i += page)
		((volatile unsigned char *)at)[i] = 0;
	return 0;
}

static int lock_memory(struct guestmem *m, struct err *e)
{
	struct rlimit limit;

	if (mlock2(m->host, m->size, MLOCK_ONFAULT) == 0)
		return 0;
	if (getrlimit(RLIMIT_MEMLOCK, &limit) < 0 || limit.rlim_cur >= m->size)
		return err_set(e, -ENOSPC, "memory.lock: cannot lock %llu MiB: %s", mib(m->size),
			       strerror(errno));
	return err_set(e, -ENOSPC,
		       "memory.lock: %llu MiB is more than the %llu MiB that the machine's owner "
		       "may lock",
		       mib(m->size), mib(limit.rlim_cur));
}

/* ---- making and unmaking ---- */

int guestmem_make(struct guestmem *m, const struct guestmem_want *want, struct err *e)
{
	bool pool = backings[want->backing].pool;
	int r = want_check(want, e);

	memset(m, 0, sizeof(*m));
	m->fd = -1;
	if (r < 0)
		return r;
	m->page = backings[want->backing].page;
	m->lock = want->lock;
	m->keep = want->prealloc || want->lock || pool;
	m->huge = want->backing == BACKING_THP;
	m->stays = want->lock	    ? "memory.lock"
		   : want->prealloc ? "memory.prealloc"
		   : want->merge    ? "memory.merge"
		   : binds(want)    ? "memory.numa"
				    : NULL;
	lay_out(m, want);
	r = reserve_addresses(m, e);
	if (r == 0)
		r = open_file(m, want, e);
	if (r == 0)
		r = map_memory(m, want, e);
	if (r == 0)
		r = bind_nodes(m, want, e);
	if (r == 0 && want->lock)
		r = lock_memory(m, e);
	// A reservation says nothing about nodes and control groups: only a page that is there
	// does.
	if (r == 0 && (want->prealloc || pool) &&
	    populate(m->host, m->size, pool ? m->page : 4096) < 0)
		r = too_few(m, want, e);
	if (r == 0 && m->hot.len) {
		m->blocks = calloc(m->hot.len / m->block_len, sizeof(*m->blocks));
		r = m->blocks ? 0 : err_sys(e, ENOMEM, "memory.possible");
	}
	if (r < 0)
		guestmem_free(m);
	return r;
}

/* ---- from anonymous memory to a file ---- */

#define MOVE_STEP  (2 * MIB)
#define MOVE_PIECE ((uint64_t)64 << 10) /* one that is all zero stays a hole */

struct step {
	uint64_t at, len;
	int protection;
};

/* The next one behind s, of RAM and hot region; false at the end. */
static bool step_next(const struct guestmem *m, struct step *s)
{
	s->at += s->len;
	if (s->at == m->size)
		s->at = m->hot.len ? m->hot.offset : m->size;
	if (s->at < m->size) {
		s->len = m->size - s->at < MOVE_STEP ? m->size - s->at : MOVE_STEP;
		s->protection = PROT_READ | PROT_WRITE;
		return true;
	}
	if (!m->hot.len || s->at >= m->hot.offset + m->hot.len)
		return false;
	s->len = MOVE_STEP; // blocks are multiples of it
	s->protection = m->blocks[(s->at - m->hot.offset) / m->block_len] ? PROT_READ | PROT_WRITE
									  : PROT_NONE;
	return true;
}

static bool all_zero(const unsigned char *p, uint64_t len)
{
	return p[0] == 0 && memcmp(p, p + 1, len - 1) == 0;
}

static int step_copy(const struct guestmem *m, int fd, const struct step *s)
{
	for (uint64_t done = 0; done < s->len;) {
		uint64_t piece = s->len - done < MOVE_PIECE ? s->len - done : MOVE_PIECE;
		const unsigned char *from = m->host + s->at + done;
		ssize_t n = (ssize_t)piece;

		if (!all_zero(from, piece))
			n = pwrite(fd, from, piece, (off_t)(s->at + done));
		if (n <= 0)
			return n < 0 ? -errno : -ENOSPC;
		done += (uint64_t)n;
	}
	return 0;
}

static int step_to_file(const struct guestmem *m, int fd, const struct step *s)
{
	int r = s->protection == PROT_NONE ? 0 : step_copy(m, fd, s);

	if (r == 0 && mmap(m->host + s->at, s->len, s->protection,
			   MAP_SHARED | MAP_FIXED | MAP_NORESERVE, fd, (off_t)s->at) == MAP_FAILED)
		r = -errno;
	return r;
}

/* Takes no more of the host than the file gives back. */
static void step_back(const struct guestmem *m, int fd, const struct step *s, unsigned char *buffer)
{
	unsigned char *at = m->host + s->at;

	if (s->protection != PROT_NONE)
		memcpy(buffer, at, s->len);
	if (mmap(at, s->len, s->protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE,
		 -1, 0) == MAP_FAILED)
		return; // a file's for good, of which nobody else knows
	(void)fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)s->at,
			(off_t)s->len);
	if (s->protection != PROT_NONE && !all_zero(buffer, s->len))
		memcpy(at, buffer, s->len);
}

/* Step by step, so that little is there twice; on failure all goes back. */
static int move(const struct guestmem *m, int fd)
{
	unsigned char *buffer = malloc(MOVE_STEP);
	struct step s = { 0 }, back = { 0 };
	int r = buffer ? 0 : -ENOMEM;

	while (r == 0 && step_next(m, &s))
		r = step_to_file(m, fd, &s);
	while (r < 0 && buffer && step_next(m, &back) && back.at < s.at)
		step_back(m, fd, &back, buffer);
	free(buffer);
	return r;
}

int guestmem_share(struct guestmem *m, struct err *e)
{
	int fd, r;

	if (m->fd >= 0)
		return 0;
	if (m->stays)
		return err_set(e, -EBUSY,
			       "the machine's memory cannot be shared while it runs, because of "
			       "%s; start it with a share",
			       m->stays);
	fd = make_file(m, 0);
	r = fd < 0 ? fd : move(m, fd);
	advise(m, true);
	if (r == 0) {
		m->fd = fd;
		return 0;
	}
	if (fd >= 0)
		close(fd);
	return err_set(e, -ENOSPC, "the machine's memory cannot be shared: %s", strerror(-r));
}

int guestmem_new(struct guestmem *m, uint64_t size, struct err *e)
{
	struct guestmem_want want = { .size = size, .backing = BACKING_THP };

	return guestmem_make(m, &want, e);
}

void guestmem_free(struct guestmem *m)
{
	if (m->mapping)
		munmap(m->mapping, m->mapping_len);
	if (m->mapping && m->fd >= 0)
		close(m->fd);
	free((void *)m->blocks);
	memset(m, 0, sizeof(*m));
	m->fd = -1;
}

/* ---- the gate ---- */

static bool hot_is_plugged(const struct guestmem *m, uint64_t at, uint64_t len)
{
	uint64_t last = len ? (at + len - 1) / m->block_len : at / m->block_len;

	if (at == m->hot.len)
		return true; // nothing, at its end
	for (uint64_t i = at / m->block_len; i <= last; i++)
		if (!m->blocks[i])
			return false;
	return true;
}

void *guestmem_range(const struct guestmem *m, uint64_t gpa, uint64_t len)
{
	for (unsigned i = 0; i < m->nregions; i++) {
		const struct guestmem_region *r = &m->regions[i];
		uint64_t at = gpa - r->gpa;

		if (gpa < r->gpa || at > r->len || len > r->len - at)
			continue;
		if (r->gpa == m->hot.gpa && m->hot.len && !hot_is_plugged(m, at, len))
			return NULL;
		return m->host + r->offset + at;
	}
	return NULL;
}

bool guestmem_has(const struct guestmem *m, const void *p, uint64_t len)
{
	uint64_t offset = (uint64_t)((const unsigned char *)p - m->host);

	for (unsigned i = 0; i < m->nregions; i++) {
		const struct guestmem_region *r = &m->regions[i];

		if (offset >= r->offset && offset - r->offset < r->len)
			return guestmem_range(m, r->gpa + (offset - r->offset), len) == p;
	}
	return false;
}

int guestmem_write(const struct guestmem *m, uint64_t gpa, const void *data, uint64_t len)
{
	void *p = guestmem_range(m, gpa, len);

	if (!p)
		return -EINVAL;
	memcpy(p, data, len);
	return 0;
}

int guestmem_read(const struct guestmem *m, uint64_t gpa, void *data, uint64_t len)
{
	const void *p = guestmem_range(m, gpa, len);

	if (!p)
		return -EINVAL;
	memcpy(data, p, len);
	return 0;
}

int guestmem_read_file(const struct guestmem *m, uint64_t gpa, int fd, uint64_t offset,
		       uint64_t len, struct err *e)
{
	unsigned char *p = guestmem_range(m, gpa, len);
	ssize_t n;

	if (!p)
		return err_set(e, -EINVAL,
			       "0x%llx bytes at 0x%llx do not lie in the machine's memory",
			       (unsigned long long)len, (unsigned long long)gpa);
	while (len > 0) {
		n = pread(fd, p, len < READ_MAX ? len : READ_MAX, (off_t)offset);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(e, errno, "cannot read it");
		if (n == 0)
			return err_set(e, -EINVAL, "the file ends at byte %llu; it is truncated",
				       (unsigned long long)offset);
		p += n;
		offset += (uint64_t)n;
		len -= (uint64_t)n;
	}
	return 0;
}

/* ---- giving back ---- */

static int drop(struct guestmem *m, uint64_t offset, uint64_t len)
{
	return madvise(m->host + offset, len, m->fd < 0 ? MADV_DONTNEED : MADV_REMOVE);
}

int guestmem_clear(struct guestmem *m, struct err *e)
{
	if (m->hot.len)
		guestmem_unplug(m, 0, m->hot.len / m->block_len);
	if (m->keep) // what was promised stays with the machine
		memset(m->host, 0, m->size);
	else if (drop(m, 0, m->size) < 0)
		return err_sys(e, errno, "cannot clear the machine's memory");
	return 0;
}

int guestmem_plug(struct guestmem *m, uint64_t first, uint64_t n)
{
	unsigned char *at = m->host + m->hot.offset + first * m->block_len;
	uint64_t len = n * m->block_len;

	if (first > m->hot.len / m->block_len || n > m->hot.len / m->block_len - first)
		return -EINVAL;
	if (mprotect(at, len, PROT_READ | PROT_WRITE) < 0)
		return -ENOMEM;
	if ((m->lock && mlock2(at, len, MLOCK_ONFAULT) < 0) ||
	    (m->keep && populate(at, len, m->page) < 0)) {
		guestmem_unplug(m, first, n);
		return -ENOMEM;
	}
	for (uint64_t i = 0; i < n; i++)
		m->blocks[first + i] = 1;
	return 0;
}

void guestmem_unplug(struct guestmem *m, uint64_t first, uint64_t n)
{
	uint64_t offset = m->hot.offset + first * m->block_len, len = n * m->block_len;

	if (first > m->hot.len / m->block_len || n > m->hot.len / m->block_len - first)
		return;
	for (uint64_t i = 0; i < n; i++)
		m->blocks[first + i] = 0;
	m->unplugs++;
	(void)drop(m, offset, len);
	// It fails where there are too many ranges for the kernel: then the guest can only take
	// again what it has given back.
	(void)mprotect(m->host + offset, len, PROT_NONE);
}

void guestmem_discard(struct guestmem *m, uint64_t gpa, uint64_t len)
{
	unsigned char *p = guestmem_range(m, gpa, len);

	if (p)
		guestmem_discard_at(m, p, len);
}

void guestmem_discard_at(struct guestmem *m, void *host, uint64_t len)
{
	uint64_t from = (uint64_t)((unsigned char *)host - m->host);
	uint64_t first = round_up(from, SMALL_PAGE), end = (from + len) / SMALL_PAGE * SMALL_PAGE;

	if (first < end && !m->keep)
		(void)drop(m, first, end - first);
}
