/* core: see core.h. */
#include "vmm/core.h"

#include <elf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/procfs.h>
#include <unistd.h>

#define CHUNK	     65536u
#define SEGMENTS_MAX 60000 /* e_phnum has 16 bits */
#define ALIGN	     4096u

struct note {
	Elf64_Nhdr head;
	char name[8]; /* "CORE", padded */
	struct elf_prstatus status;
} __attribute__((packed));

_Static_assert(sizeof(struct elf_prstatus) % 4 == 0, "notes are padded to 4 bytes");

struct segment {
	uint64_t gpa, len;
	const unsigned char *host;
};

static int add_segment(struct segment **list, size_t *n, const struct guestmem *m, uint64_t gpa,
		       uint64_t len)
{
	struct segment *grown = realloc(*list, (*n + 1) * sizeof(*grown));

	if (!grown)
		return -ENOMEM;
	*list = grown;
	grown[(*n)++] = (struct segment){ gpa, len, guestmem_range(m, gpa, len) };
	return 0;
}

/* Runs of blocks that have memory. */
static int hot_segments(struct segment **list, size_t *n, const struct guestmem *m)
{
	uint64_t blocks = m->hot.len ? m->hot.len / m->block_len : 0;
	int r = 0;

	for (uint64_t i = 0; r == 0 && i < blocks && *n < SEGMENTS_MAX; i++) {
		uint64_t first = i;

		while (i < blocks && m->blocks[i])
			i++;
		if (i > first)
			r = add_segment(list, n, m, m->hot.gpa + first * m->block_len,
					(i - first) * m->block_len);
	}
	return r;
}

static int write_at(int fd, const void *data, size_t len, uint64_t at, struct err *e)
{
	const char *p = data;

	while (len > 0) {
		ssize_t n = pwrite(fd, p, len, (off_t)at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return err_sys(e, n < 0 ? errno : EIO, "dump.path: cannot write");
		p += n;
		at += (uint64_t)n;
		len -= (size_t)n;
	}
	return 0;
}

static bool all_zero(const unsigned char *p, size_t len)
{
	return p[0] == 0 && memcmp(p, p + 1, len - 1) == 0;
}

static int write_segment(int fd, const struct segment *s, uint64_t at, struct err *e)
{
	int r = 0;

	for (uint64_t done = 0; r == 0 && done < s->len; done += CHUNK) {
		size_t len = s->len - done < CHUNK ? s->len - done : CHUNK;

		if (!all_zero(s->host + done, len))
			r = write_at(fd, s->host + done, len, at + done, e);
	}
	return r;
}

static int write_notes(int fd, const struct core_cpu *cpus, unsigned n, uint64_t at, struct err *e)
{
	struct note *notes = calloc(n, sizeof(*notes));
	int r;

	if (!notes)
		return err_sys(e, ENOMEM, "dump");
	for (unsigned i = 0; i < n; i++) {
		notes[i].head = (Elf64_Nhdr){ 5, sizeof(notes[i].status), NT_PRSTATUS };
		memcpy(notes[i].name, "CORE", 5);
		notes[i].status.pr_pid = (pid_t)cpus[i].id + 1; // 0 is no thread to gdb
		memcpy(&notes[i].status.pr_reg, &cpus[i].regs, sizeof(notes[i].status.pr_reg));
	}
	r = write_at(fd, notes, n * sizeof(*notes), at, e);
	free(notes);
	return r;
}

static int write_headers(int fd, const struct segment *list, size_t n, uint64_t notes_len,
			 uint64_t data, struct err *e)
{
	Elf64_Ehdr head = { .e_ident = { ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64,
					 ELFDATA2LSB, EV_CURRENT },
			    .e_type = ET_CORE,
			    .e_machine = EM_X86_64,
			    .e_version = EV_CURRENT,
			    .e_phoff = sizeof(head),
			    .e_ehsize = sizeof(head),
			    .e_phentsize = sizeof(Elf64_Phdr),
			    .e_phnum = (uint16_t)(n + 1) };
	Elf64_Phdr *segments = calloc(n + 1, sizeof(*segments));
	int r = write_at(fd, &head, sizeof(head), 0, e);

	if (!segments)
		return err_sys(e, ENOMEM, "dump");
	segments[0] = (Elf64_Phdr){ .p_type = PT_NOTE,
				    .p_offset = sizeof(head) + (n + 1) * sizeof(*segments),
				    .p_filesz = notes_len };
	for (size_t i = 0; i < n; i++) {
		segments[i + 1] = (Elf64_Phdr){ .p_type = PT_LOAD,
						.p_flags = PF_R | PF_W | PF_X,
						.p_offset = data,
						.p_vaddr = list[i].gpa,
						.p_paddr = list[i].gpa,
						.p_filesz = list[i].len,
						.p_memsz = list[i].len,
						.p_align = ALIGN };
		data += list[i].len;
	}
	if (r == 0)
		r = write_at(fd, segments, (n + 1) * sizeof(*segments), sizeof(head), e);
	free(segments);
	return r;
}

int core_write(int fd, const struct guestmem *m, const struct core_cpu *cpus, unsigned n,
	       struct err *e)
{
	uint64_t notes_at, notes_len = n * sizeof(struct note), data, at;
	struct segment *list = NULL;
	size_t segments = 0;
	int r = add_segment(&list, &segments, m, 0, m->low);

	if (r == 0 && m->high)
		r = add_segment(&list, &segments, m, GUESTMEM_HIGH, m->high);
	if (r == 0)
		r = hot_segments(&list, &segments, m);
	if (r < 0) {
		free(list);
		return err_sys(e, ENOMEM, "dump");
	}
	notes_at = sizeof(Elf64_Ehdr) + (segments + 1) * sizeof(Elf64_Phdr);
	data = at = (notes_at + notes_len + ALIGN - 1) / ALIGN * ALIGN;
	r = write_headers(fd, list, segments, notes_len, data, e);
	if (r == 0)
		r = write_notes(fd, cpus, n, notes_at, e);
	for (size_t i = 0; r == 0 && i < segments; i++) {
		r = write_segment(fd, &list[i], at, e);
		at += list[i].len;
	}
	if (r == 0 && ftruncate(fd, (off_t)at) < 0)
		r = err_sys(e, errno, "dump.path: cannot write");
	free(list);
	return r;
}
