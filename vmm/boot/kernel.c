/* struct kernel: see kernel.h. Offsets in a bzImage are those of the kernel document x86/boot. */
#include "vmm/boot/kernel.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmm/boot/elf.h"
#include "vmm/boot/unpack.h"

#define SECTOR		512u
#define HDR_AT		0x1f1u	    /* where struct setup_header lies in the file */
#define HDR_MAGIC	0x53726448u /* "HdrS" */
#define HDR_LENGTH_AT	0x201u	    /* the byte that says how far past 0x202 it goes */
#define PAYLOAD_VERSION 0x0208	    /* protocol that has payload_offset */
#define XLF_VERSION	0x020c	    /* that has xloadflags */
#define ENTRY64		0x200u	    /* of the protected-mode code */
#define CMDLINE_DEFAULT 2047u	    /* for an ELF file, which does not say */
#define INITRD_DEFAULT	0x7fffffffu
#define UNPACKED_SLACK	((uint64_t)16 << 20) /* symbols and padding around the segments */

/* Where the parts of a bzImage lie, checked against the file's size. */
struct bzimage {
	struct setup_header hdr;
	uint64_t code; /* offset of the protected-mode code */
	uint64_t code_len;
	uint64_t payload; /* offset of the packed kernel; payload_len = 0: none */
	uint64_t payload_len;
};

static int read_head(int fd, unsigned char *head, size_t *ret_len, struct err *e)
{
	ssize_t n;

	do
		n = pread(fd, head, ELF_HEAD, 0);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return err_sys(e, errno, "cannot read it");
	*ret_len = (size_t)n;
	return 0;
}

static bool is_bzimage(const unsigned char *head, size_t len)
{
	uint32_t magic;

	if (len < HDR_AT + sizeof(struct setup_header))
		return false;
	memcpy(&magic, head + 0x202, sizeof(magic));
	return head[0x1fe] == 0x55 && head[0x1ff] == 0xaa && magic == HDR_MAGIC;
}

static int bzimage_parse(const unsigned char *head, uint64_t file_size, struct bzimage *z,
			 struct err *e)
{
	size_t hdr_len = 0x202u + head[HDR_LENGTH_AT] - HDR_AT;

	memset(z, 0, sizeof(*z));
	if (hdr_len > sizeof(z->hdr))
		hdr_len = sizeof(z->hdr);
	memcpy(&z->hdr, head + HDR_AT, hdr_len);
	if (!(z->hdr.loadflags & LOADED_HIGH))
		return err_set(e, -EINVAL, "a zImage, not a bzImage");
	if (z->hdr.version < 0x0206)
		return err_set(e, -EINVAL, "a bzImage of boot protocol %u.%02u is too old",
			       z->hdr.version >> 8, z->hdr.version & 0xff);
	z->code = ((z->hdr.setup_sects ? z->hdr.setup_sects : 4u) + 1) * SECTOR;
	if (z->code >= file_size)
		return err_set(e, -EINVAL, "the bzImage is truncated");
	z->code_len = file_size - z->code;
	if (z->hdr.version < PAYLOAD_VERSION || z->hdr.payload_length == 0)
		return 0;
	if (z->hdr.payload_offset > z->code_len ||
	    z->hdr.payload_length > z->code_len - z->hdr.payload_offset)
		return err_set(
			e, -EINVAL,
			"the bzImage's payload (0x%x bytes at 0x%x) ends beyond the file; it is "
			"truncated",
			z->hdr.payload_length, z->hdr.payload_offset);
	z->payload = z->code + z->hdr.payload_offset;
	z->payload_len = z->hdr.payload_length;
	return 0;
}

/* The first bytes of output tell whether it is an ELF file; -ENOEXEC stops unpacking. */
static int payload_take(void *arg, const void *data, size_t len, struct err *e)
{
	struct elf_stream *s = arg;

	if (s->at == 0 && len && !elf_is(data, len))
		return err_set(e, -ENOEXEC, "the bzImage's payload is not an ELF file");
	return elf_stream_take(s, data, len, e);
}

/* 1 when loaded, 0 when the guest must unpack it itself, or -errno. */
static int payload_load(const struct guestmem *m, int fd, const struct bzimage *z, struct kernel *k,
			struct err *e)
{
	unsigned char magic[UNPACK_MAGIC];
	enum unpack_format format;
	struct elf_stream *s;
	int r;

	if (z->payload_len < sizeof(magic) ||
	    pread(fd, magic, sizeof(magic), (off_t)z->payload) != sizeof(magic))
		return 0;
	format = unpack_detect(magic);
	if (format == UNPACK_UNKNOWN)
		return 0;
	s = calloc(1, sizeof(*s));
	if (!s)
		return err_sys(e, ENOMEM, "cannot unpack it");
	s->m = m;
	r = unpack(format, fd, z->payload, z->payload_len, m->size + UNPACKED_SLACK, payload_take,
		   s, e);
	if (r == 0)
		r = elf_check_entry(&s->plan, s->plan.entry, e);
	if (r == 0) {
		k->rip = s->plan.entry;
		k->end = s->plan.end;
		if (s->plan.start + z->hdr.init_size > k->end)
			k->end = s->plan.start + z->hdr.init_size;
	}
	free(s);
	return r == -ENOEXEC ? 0 : r < 0 ? r : 1;
}

/* Where the guest's own decompressor may stand with init_size bytes to work in; 0 if nowhere. */
static uint64_t decompressor_place(const struct guestmem *m, const struct setup_header *h,
				   uint64_t room)
{
	uint64_t align = h->kernel_alignment, at;

	if (h->version >= 0x020a && h->pref_address >= ELF_LOWEST &&
	    h->pref_address < GUESTMEM_HOLE && guestmem_range(m, h->pref_address, room))
		return h->pref_address;
	if (!h->relocatable_kernel || align == 0 || (align & (align - 1)) || align > 1u << 30)
		return 0;
	at = (ELF_LOWEST + align - 1) & ~(align - 1);
	return guestmem_range(m, at, room) ? at : 0;
}

static int decompressor_load(const struct guestmem *m, int fd, const struct bzimage *z,
			     struct kernel *k, struct err *e)
{
	uint64_t room = z->hdr.init_size > z->code_len ? z->hdr.init_size : z->code_len, at;
	int r;

	if (z->hdr.version < XLF_VERSION || !(z->hdr.xloadflags & XLF_KERNEL_64))
		return err_set(e, -EINVAL,
			       "its payload cannot be unpacked here and it has no 64-bit entry");
	if (z->code_len <= ENTRY64)
		return err_set(e, -EINVAL, "the bzImage is truncated");
	at = decompressor_place(m, &z->hdr, room);
	if (!at)
		return err_set(e, -EINVAL,
			       "the machine's memory has no place for the %llu KiB in which it "
			       "unpacks itself",
			       (unsigned long long)(room >> 10));
	r = guestmem_read_file(m, at, fd, z->code, z->code_len, e);
	if (r < 0)
		return r;
	k->rip = at + ENTRY64;
	k->end = at + room;
	return 0;
}

static int bzimage_load(const struct guestmem *m, int fd, const unsigned char *head, uint64_t size,
			struct kernel *k, struct err *e)
{
	struct bzimage z;
	int r = bzimage_parse(head, size, &z, e);

	if (r < 0)
		return r;
	k->entry = KERNEL_LINUX64;
	k->hdr = z.hdr;
	k->initrd_max = z.hdr.initrd_addr_max;
	k->cmdline_max = z.hdr.cmdline_size ? z.hdr.cmdline_size : 255;
	r = payload_load(m, fd, &z, k, e);
	if (r != 0)
		return r < 0 ? r : 0;
	return decompressor_load(m, fd, &z, k, e);
}

static int elf_load(const struct guestmem *m, int fd, const unsigned char *head, size_t len,
		    struct kernel *k, struct err *e)
{
	struct elf_plan plan;
	uint32_t pvh = 0;
	bool has_pvh;
	int r;

	r = elf_plan(head, len, m, &plan, e);
	if (r == 0)
		r = elf_find_pvh(&plan, fd, &has_pvh, &pvh, e);
	if (r < 0)
		return r;
	k->entry = has_pvh ? KERNEL_PVH32 : KERNEL_LINUX64;
	k->rip = has_pvh ? pvh : plan.entry;
	k->end = plan.end;
	k->initrd_max = INITRD_DEFAULT;
	k->cmdline_max = CMDLINE_DEFAULT;
	k->hdr.boot_flag = 0xaa55;
	k->hdr.header = HDR_MAGIC;
	k->hdr.version = 0x020f;
	k->hdr.kernel_alignment = 0x1000000;
	k->hdr.cmdline_size = CMDLINE_DEFAULT;
	r = elf_check_entry(&plan, k->rip, e);
	if (r == 0)
		r = elf_load_file(&plan, fd, m, e);
	return r;
}

int kernel_load(const struct guestmem *m, int fd, struct kernel *ret, struct err *e)
{
	unsigned char head[ELF_HEAD];
	struct kernel k;
	struct stat st;
	size_t len = 0;
	int r;

	memset(&k, 0, sizeof(k));
	if (fd < 0)
		return err_set(e, -EINVAL, "boot.kernel: no kernel is set");
	if (fstat(fd, &st) < 0)
		return err_sys(e, errno, "boot.kernel");
	r = read_head(fd, head, &len, e);
	if (r == 0) {
		if (elf_is(head, len))
			r = elf_load(m, fd, head, len, &k, e);
		else if (is_bzimage(head, len))
			r = bzimage_load(m, fd, head, (uint64_t)st.st_size, &k, e);
		else
			r = err_set(e, -EINVAL,
				    len ? "not a bzImage or an ELF file" : "the file is empty");
	}
	if (r < 0) {
		err_prefix(e, "boot.kernel: ");
		return r;
	}
	*ret = k;
	return 0;
}
