/*
 * struct guestmem: the RAM of one VM, and the only gate through which the VMM reaches it.
 *
 * RAM starts at guest-physical 0. What is larger than GUESTMEM_HOLE goes on at 4 GiB, so that the
 * addresses between are free for devices. On the host it is one anonymous mapping, aligned to
 * 2 MiB and advised for transparent huge pages, never touched before the guest or a loader does.
 *
 * Every guest-physical address comes from a guest or a file and is hostile: nobody adds one to
 * a pointer, everybody asks guestmem_range(). Any thread may call it; the layout is fixed from
 * guestmem_new() on. What the bytes hold may change at any time under the reader (the guest's
 * other vCPUs run): copy first, then check, then use.
 */
#ifndef VMM_GUESTMEM_H
#define VMM_GUESTMEM_H

#include <stddef.h>
#include <stdint.h>

#include "backends/err.h"

#define GUESTMEM_HOLE 0xc0000000u  /* where RAM below 4 GiB ends at the latest */
#define GUESTMEM_HIGH 0x100000000u /* where it goes on */

struct guestmem {
	unsigned char *host; /* size bytes; low part first, then the high part */
	uint64_t size;
	uint64_t low;  /* bytes at guest-physical 0 */
	uint64_t high; /* bytes at GUESTMEM_HIGH */
	void *mapping; /* what munmap() takes */
	size_t mapping_len;
};

/*
 * Reserves size bytes. EINVAL for a size that is no multiple of 4 KiB, ENOSPC for more than the
 * host has; sentences start with "memory.size: ".
 */
int guestmem_new(struct guestmem *m, uint64_t size, struct err *e);
/* Takes one that is zeroed or half-built. */
void guestmem_free(struct guestmem *m);

/* The host address of len bytes at gpa, or NULL unless all of them are RAM without a break. */
void *guestmem_range(const struct guestmem *m, uint64_t gpa, uint64_t len);
/* Copies in and out; -EINVAL unless the whole range is RAM. */
int guestmem_write(const struct guestmem *m, uint64_t gpa, const void *data, uint64_t len);
int guestmem_read(const struct guestmem *m, uint64_t gpa, void *data, uint64_t len);

/*
 * Reads exactly len bytes at offset of a file into RAM. EINVAL where the range is not RAM or the
 * file ends before; no SIGBUS when the file shrinks meanwhile.
 */
int guestmem_read_file(const struct guestmem *m, uint64_t gpa, int fd, uint64_t offset,
		       uint64_t len, struct err *e);

/* All zero again, and the host's pages given back. No vCPU may run. */
int guestmem_clear(struct guestmem *m, struct err *e);

#endif
