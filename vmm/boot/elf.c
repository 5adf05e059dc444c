/* struct elf_plan: see elf.h. */
#include "vmm/boot/elf.h"

#include <elf.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#define NOTE_MAX		 65536
#define XEN_ELFNOTE_PHYS32_ENTRY 18

bool elf_is(const void *head, size_t len)
{
	return len >= SELFMAG && memcmp(head, ELFMAG, SELFMAG) == 0;
}

static int elf_check_header(const Elf64_Ehdr *h, size_t len, struct err *e)
{
	if (h->e_ident[EI_CLASS] != ELFCLASS64 || h->e_ident[EI_DATA] != ELFDATA2LSB ||
	    h->e_machine != EM_X86_64)
		return err_set(e, -EINVAL, "the ELF file is not for 64-bit x86");
	if (h->e_type != ET_EXEC && h->e_type != ET_DYN)
		return err_set(e, -EINVAL, "the ELF file is not an executable");
	if (h->e_phentsize != sizeof(Elf64_Phdr) || h->e_phnum == 0)
		return err_set(e, -EINVAL, "the ELF file has no program headers");
	if (h->e_phoff > len || h->e_phnum > (len - h->e_phoff) / sizeof(Elf64_Phdr))
		return err_set(
			e, -EINVAL,
			"the ELF file's %u program headers at 0x%llx do not lie in its first "
			"%d bytes",
			h->e_phnum, (unsigned long long)h->e_phoff, ELF_HEAD);
	return 0;
}

static bool segment_overlaps(const struct elf_plan *p, const struct elf_segment *s)
{
	for (unsigned i = 0; i < p->n; i++)
		if (s->gpa < p->segments[i].gpa + p->segments[i].memsz &&
		    p->segments[i].gpa < s->gpa + s->memsz)
			return true;
	return false;
}

static int plan_segment(struct elf_plan *p, const Elf64_Phdr *ph, const struct guestmem *m,
			struct err *e)
{
	struct elf_segment s = { ph->p_offset, ph->p_filesz, ph->p_paddr, ph->p_memsz };

	if (s.memsz == 0)
		return 0;
	if (s.filesz > s.memsz || s.offset > UINT64_MAX - s.filesz)
		return err_set(e, -EINVAL, "a segment of the ELF file has impossible sizes");
	if (s.gpa < ELF_LOWEST)
		return err_set(e, -EINVAL, "a segment of the ELF file is for 0x%llx, below 1 MiB",
			       (unsigned long long)s.gpa);
	if (!guestmem_range(m, s.gpa, s.memsz))
		return err_set(
			e, -EINVAL,
			"a segment of the ELF file needs 0x%llx bytes at 0x%llx, which is not "
			"all memory of this machine",
			(unsigned long long)s.memsz, (unsigned long long)s.gpa);
	if (segment_overlaps(p, &s))
		return err_set(e, -EINVAL, "segments of the ELF file overlap at 0x%llx",
			       (unsigned long long)s.gpa);
	if (p->n == ELF_SEGMENTS)
		return err_set(e, -EINVAL, "the ELF file has more than %d segments", ELF_SEGMENTS);
	p->segments[p->n++] = s;
	if (p->n == 1 || s.gpa < p->start)
		p->start = s.gpa;
	if (s.gpa + s.memsz > p->end)
		p->end = s.gpa + s.memsz;
	if (s.filesz && s.offset + s.filesz > p->file_end)
		p->file_end = s.offset + s.filesz;
	return 0;
}

int elf_plan(const void *head, size_t len, const struct guestmem *m, struct elf_plan *ret,
	     struct err *e)
{
	struct elf_plan p = { 0 };
	Elf64_Ehdr h;
	Elf64_Phdr ph;
	int r;

	if (len < sizeof(h))
		return err_set(e, -EINVAL, "the ELF file is truncated");
	memcpy(&h, head, sizeof(h));
	r = elf_check_header(&h, len, e);
	for (unsigned i = 0; r == 0 && i < h.e_phnum; i++) {
		memcpy(&ph, (const char *)head + h.e_phoff + i * sizeof(ph), sizeof(ph));
		if (ph.p_type == PT_LOAD)
			r = plan_segment(&p, &ph, m, e);
		if (ph.p_type == PT_NOTE && !p.note_len) {
			p.note_offset = ph.p_offset;
			p.note_len = ph.p_filesz;
		}
	}
	if (r < 0)
		return r;
	if (p.n == 0)
		return err_set(e, -EINVAL, "the ELF file has nothing to load");
	p.entry = h.e_entry;
	*ret = p;
	return 0;
}

int elf_check_entry(const struct elf_plan *p, uint64_t entry, struct err *e)
{
	for (unsigned i = 0; i < p->n; i++)
		if (entry >= p->segments[i].gpa &&
		    entry - p->segments[i].gpa < p->segments[i].filesz)
			return 0;
	return err_set(e, -EINVAL, "the ELF file's entry 0x%llx lies in none of its segments",
		       (unsigned long long)entry);
}

int elf_load_file(const struct elf_plan *p, int fd, const struct guestmem *m, struct err *e)
{
	for (unsigned i = 0; i < p->n; i++) {
		const struct elf_segment *s = &p->segments[i];
		int r;

		if (s->filesz > INT64_MAX || s->offset > INT64_MAX - s->filesz)
			return err_set(e, -EINVAL, "a segment lies beyond the end of the ELF file");
		r = guestmem_read_file(m, s->gpa, fd, s->offset, s->filesz, e);
		if (r < 0)
			return r;
	}
	return 0;
}

static size_t align4(size_t n)
{
	return (n + 3) & ~(size_t)3;
}

/* Walks the notes; sizes are 32-bit and len at most NOTE_MAX, so no sum overflows. */
static bool note_find_pvh(const unsigned char *notes, size_t len, uint32_t *ret_entry)
{
	for (size_t at = 0; len - at >= sizeof(Elf64_Nhdr);) {
		Elf64_Nhdr h;
		size_t name = at + sizeof(h), desc, next;

		memcpy(&h, notes + at, sizeof(h));
		desc = name + align4(h.n_namesz);
		next = desc + align4(h.n_descsz);
		if (h.n_namesz > len || h.n_descsz > len || next > len)
			return false;
		if (h.n_type == XEN_ELFNOTE_PHYS32_ENTRY && h.n_namesz == 4 && h.n_descsz >= 4 &&
		    memcmp(notes + name, "Xen", 4) == 0) {
			memcpy(ret_entry, notes + desc, 4);
			return true;
		}
		at = next;
	}
	return false;
}

int elf_find_pvh(const struct elf_plan *p, int fd, bool *ret_found, uint32_t *ret_entry,
		 struct err *e)
{
	unsigned char notes[4096];
	uint64_t len = p->note_len < NOTE_MAX ? p->note_len : NOTE_MAX;
	ssize_t n;

	*ret_found = false;
	if (len == 0 || p->note_offset > INT64_MAX - NOTE_MAX)
		return 0;
	if (len > sizeof(notes))
		len = sizeof(notes);
	n = pread(fd, notes, len, (off_t)p->note_offset);
	if (n < 0)
		return err_sys(e, errno, "cannot read the ELF file's notes");
	*ret_found = note_find_pvh(notes, (size_t)n, ret_entry);
	return 0;
}

/* Copies what of [at, at + len) of the file belongs into segments. */
static int stream_place(struct elf_stream *s, uint64_t at, const unsigned char *data, size_t len,
			struct err *e)
{
	for (unsigned i = 0; i < s->plan.n; i++) {
		const struct elf_segment *g = &s->plan.segments[i];
		uint64_t from = at > g->offset ? at : g->offset;
		uint64_t to = at + len < g->offset + g->filesz ? at + len : g->offset + g->filesz;

		if (from < to && guestmem_write(s->m, g->gpa + (from - g->offset),
						data + (from - at), to - from) < 0)
			return err_set(e, -EINVAL, "a segment of the ELF file is not in memory");
	}
	return 0;
}

int elf_stream_take(struct elf_stream *s, const void *data, size_t len, struct err *e)
{
	uint64_t at = s->at;
	size_t take = 0;
	int r = 0;

	if (!s->planned) {
		take = len < ELF_HEAD - s->at ? len : ELF_HEAD - s->at;
		memcpy(s->head + s->at, data, take);
		s->at += take;
		if (s->at < ELF_HEAD)
			return 0;
		r = elf_plan(s->head, ELF_HEAD, s->m, &s->plan, e);
		if (r == 0)
			r = stream_place(s, 0, s->head, ELF_HEAD, e);
		if (r < 0)
			return r;
		s->planned = true;
		at = s->at;
	}
	r = stream_place(s, at, (const unsigned char *)data + take, len - take, e);
	if (r < 0)
		return r;
	s->at = at + (len - take);
	return s->at >= s->plan.file_end;
}
