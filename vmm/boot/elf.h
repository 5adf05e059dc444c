/*
 * struct elf_plan: what an ELF kernel wants loaded where, checked against the machine's memory.
 *
 * A plan is made from the file's first bytes and says nothing that was not checked: at most
 * ELF_SEGMENTS segments, each in RAM at or above 1 MiB, none overlapping another, none larger in
 * the file than in memory. Only 64-bit little-endian x86 executables are taken. Sentences speak
 * of "the ELF file"; callers put "boot.kernel: " in front.
 */
#ifndef VMM_BOOT_ELF_H
#define VMM_BOOT_ELF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "backends/base/err.h"
#include "vmm/guestmem.h"

#define ELF_HEAD     4096 /* the header and all program headers must lie in so many bytes */
#define ELF_SEGMENTS 64
#define ELF_LOWEST   0x100000u /* boot data lies below */

struct elf_plan {
	uint64_t entry;	   /* physical; checked only by elf_check_entry() */
	uint64_t start;	   /* lowest address loaded */
	uint64_t end;	   /* end of the highest */
	uint64_t file_end; /* bytes of the file that the segments need */
	unsigned n;
	struct elf_segment {
		uint64_t offset;
		uint64_t filesz;
		uint64_t gpa;
		uint64_t memsz;
	} segments[ELF_SEGMENTS];
	uint64_t note_offset; /* the first PT_NOTE, or note_len = 0 */
	uint64_t note_len;
};

bool elf_is(const void *head, size_t len);
int elf_plan(const void *head, size_t len, const struct guestmem *m, struct elf_plan *ret,
	     struct err *e);
/* EINVAL unless the address lies in a segment that was loaded. */
int elf_check_entry(const struct elf_plan *p, uint64_t entry, struct err *e);

/* Loads all segments from a file. */
int elf_load_file(const struct elf_plan *p, int fd, const struct guestmem *m, struct err *e);

/* Finds XEN_ELFNOTE_PHYS32_ENTRY: the 32-bit entry of the PVH boot protocol. */
int elf_find_pvh(const struct elf_plan *p, int fd, bool *ret_found, uint32_t *ret_entry,
		 struct err *e);

/* Loads an ELF file that arrives in pieces, front to back. */
struct elf_stream {
	const struct guestmem *m;
	struct elf_plan plan; /* valid once planned */
	bool planned;
	uint64_t at; /* bytes seen */
	unsigned char head[ELF_HEAD];
};

/* Takes the next piece; 1 when everything that the plan needs has come, 0 for more, or -errno. */
int elf_stream_take(struct elf_stream *s, const void *data, size_t len, struct err *e);

#endif
