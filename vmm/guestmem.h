/*
 * struct guestmem: the RAM of one VM, and the only gate through which the VMM reaches it.
 *
 * RAM starts at guest-physical 0. What is larger than GUESTMEM_HOLE goes on at 4 GiB, so that the
 * addresses between are free for devices. Behind it, at a multiple of 1 GiB, there may be room
 * for memory that comes and goes in blocks while the machine runs (virtio-mem). On the host all
 * three lie side by side in one range of addresses, aligned to the largest page that backs them.
 *
 * Every guest-physical address comes from a guest or a file and is hostile: nobody adds one to
 * a pointer, everybody asks guestmem_range(). Any thread may call it; the layout is fixed from
 * guestmem_new() on. What the bytes hold may change at any time under the reader (the guest's
 * other vCPUs run): copy first, then check, then use.
 */
#ifndef VMM_GUESTMEM_H
#define VMM_GUESTMEM_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "backends/base/cpulist.h"
#include "backends/base/err.h"
#include "backends/config.h"

#define GUESTMEM_HOLE 0xc0000000u  /* where RAM below 4 GiB ends at the latest */
#define GUESTMEM_HIGH 0x100000000u /* where it goes on */

#define GUESTMEM_BLOCK	    ((uint64_t)2 << 20) /* what comes and goes at once, at least */
#define GUESTMEM_BLOCKS_MAX 16384		/* in the hot region: larger ones are larger */

#define GUESTMEM_REGIONS 3

/* A range of guest-physical addresses, and where it lies on the host. */
struct guestmem_region {
	uint64_t gpa;
	uint64_t len;	 /* never 0 */
	uint64_t offset; /* from guestmem.host, and in the memory file */
};

struct guestmem {
	unsigned char *host;	    /* all regions */
	int fd;			    /* the memory file behind it, or -1: anonymous memory */
	uint64_t size;		    /* of RAM: the regions but for the hot one */
	uint64_t low;		    /* bytes at guest-physical 0 */
	uint64_t high;		    /* bytes at GUESTMEM_HIGH */
	struct guestmem_region hot; /* len 0: none */
	unsigned nregions;
	struct guestmem_region regions[GUESTMEM_REGIONS];
	uint64_t page;		 /* bytes: what the host gives it in */
	_Atomic uint8_t *blocks; /* of the hot region: 1 where there is memory */
	uint64_t block_len;
	bool lock;	   /* what is used is not swapped out */
	unsigned unplugs;  /* how often guestmem_unplug() took some: who keeps pointers asks anew */
	bool keep;	   /* its pages are not given back at a reset */
	const char *stays; /* the setting that keeps it from becoming a file later, or NULL */
	bool huge;	   /* THP */
	void *mapping;	   /* what munmap() takes */
	size_t mapping_len;
};

/* A guest node: the RAM behind that of the nodes before it. */
struct guestmem_node {
	uint64_t size;
	const char *host; /* nodes of the host, a list of cpulist.h; "": any */
};

struct guestmem_want {
	uint64_t size;
	uint64_t possible; /* with what may come; at most size: nothing may */
	enum memory_backing backing;
	bool prealloc, lock, merge;
	bool shared; /* a memory file, which another process can map */
	unsigned nnodes;
	const struct guestmem_node *nodes; /* together they are size; none: `host` for all */
	const char *host;
};

/*
 * Makes it. EINVAL for what does not fit together, ENOSPC for more than the host has, huge pages
 * and what may be locked among it: nothing that was promised fails later. Sentences start with the
 * setting's name.
 */
int guestmem_make(struct guestmem *m, const struct guestmem_want *want, struct err *e);
/* size bytes of the default kind. */
int guestmem_new(struct guestmem *m, uint64_t size, struct err *e);
/* Takes one that is zeroed or half-built. */
void guestmem_free(struct guestmem *m);

/* The host address of len bytes at gpa, or NULL unless all of them are RAM without a break. */
void *guestmem_range(const struct guestmem *m, uint64_t gpa, uint64_t len);
/* Copies in and out; -EINVAL unless the whole range is RAM. */
int guestmem_write(const struct guestmem *m, uint64_t gpa, const void *data, uint64_t len);
int guestmem_read(const struct guestmem *m, uint64_t gpa, void *data, uint64_t len);

/* Whether a pointer that guestmem_range() once gave, for these len bytes, is still good. */
bool guestmem_has(const struct guestmem *m, const void *p, uint64_t len);

/*
 * Anonymous memory becomes a memory file, at the same addresses: EBUSY where a setting stands
 * against it, ENOSPC when the host has not so much more at once: a page of it is there twice for a
 * moment. No vCPU runs, no device touches it.
 */
int guestmem_share(struct guestmem *m, struct err *e);

/*
 * Reads exactly len bytes at offset of a file into RAM. EINVAL where the range is not RAM or the
 * file ends before; no SIGBUS when the file shrinks meanwhile.
 */
int guestmem_read_file(const struct guestmem *m, uint64_t gpa, int fd, uint64_t offset,
		       uint64_t len, struct err *e);

/* All zero again, and the host's pages given back; the hot region is empty. No vCPU may run. */
int guestmem_clear(struct guestmem *m, struct err *e);

/* ---- memory that comes and goes; loop thread ---- */

/*
 * Blocks of the hot region, from `first` on, get memory, which is zero, or lose it with its
 * content. -ENOMEM when the host has none, and nothing has changed. Those that have none cannot be
 * touched: a vCPU that tries ends its machine.
 */
int guestmem_plug(struct guestmem *m, uint64_t first, uint64_t n);
void guestmem_unplug(struct guestmem *m, uint64_t first, uint64_t n);

/*
 * The guest does not need this range's content: gives the host's pages back, where it can; the
 * next access finds zeros, or what was there. Ranges that are not RAM are left alone.
 */
void guestmem_discard(struct guestmem *m, uint64_t gpa, uint64_t len);
/* Likewise of a range that guestmem_range() gave; the whole pages in it. */
void guestmem_discard_at(struct guestmem *m, void *host, uint64_t len);

#endif
