/* struct guestmem: see guestmem.h. Knows nothing of KVM: vm.c makes the memory slots. */
#include "vmm/guestmem.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#define HUGE_PAGE ((uint64_t)2 << 20)
#define READ_MAX  ((size_t)1 << 30) /* one pread() moves less than 2 GiB */

static uint64_t host_memory(void)
{
	struct sysinfo si;

	if (sysinfo(&si) < 0)
		return UINT64_MAX;
	return (uint64_t)si.totalram * si.mem_unit;
}

int guestmem_new(struct guestmem *m, uint64_t size, struct err *e)
{
	uint64_t have = host_memory();
	uintptr_t at;

	memset(m, 0, sizeof(*m));
	if (size == 0 || size % 4096)
		return err_set(e, -EINVAL, "memory.size: %llu is not a multiple of 4096",
			       (unsigned long long)size);
	if (size > have || size > SIZE_MAX - HUGE_PAGE)
		return err_set(e, -ENOSPC,
			       "memory.size: %llu MiB is more than the %llu MiB that this host has",
			       (unsigned long long)(size >> 20), (unsigned long long)(have >> 20));
	m->mapping_len = size + HUGE_PAGE;
	m->mapping = mmap(NULL, m->mapping_len, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (m->mapping == MAP_FAILED) {
		m->mapping = NULL;
		return err_sys(e, errno, "memory.size: cannot map %llu MiB",
			       (unsigned long long)(size >> 20));
	}
	at = ((uintptr_t)m->mapping + HUGE_PAGE - 1) & ~(uintptr_t)(HUGE_PAGE - 1);
	m->host = (unsigned char *)at;
	m->size = size;
	m->low = size < GUESTMEM_HOLE ? size : GUESTMEM_HOLE;
	m->high = size - m->low;
	// Advice only: a kernel without huge pages refuses it and small pages do.
	(void)madvise(m->host, size, MADV_HUGEPAGE);
	// Guest RAM is a secret of the guest and most of a core file.
	(void)madvise(m->host, size, MADV_DONTDUMP);
	return 0;
}

void guestmem_free(struct guestmem *m)
{
	if (m->mapping)
		munmap(m->mapping, m->mapping_len);
	memset(m, 0, sizeof(*m));
}

void *guestmem_range(const struct guestmem *m, uint64_t gpa, uint64_t len)
{
	if (gpa <= m->low && len <= m->low - gpa)
		return m->host + gpa;
	if (gpa < GUESTMEM_HIGH)
		return NULL;
	gpa -= GUESTMEM_HIGH;
	if (gpa <= m->high && len <= m->high - gpa)
		return m->host + m->low + gpa;
	return NULL;
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

int guestmem_clear(struct guestmem *m, struct err *e)
{
	if (madvise(m->host, m->size, MADV_DONTNEED) < 0)
		return err_sys(e, errno, "cannot clear the machine's memory");
	return 0;
}
