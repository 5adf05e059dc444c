/*
 * boot.kernel: bzImages with every kind of payload boot (where /dev/kvm opens), and hostile or
 * broken files are refused with a sentence. The images are made here from the tiny guest.
 */
#include "tests/unit/harness_vm.h"

#include <asm/bootparam.h>
#include <elf.h>
#include <errno.h>
#include <lz4.h>
#include <lzma.h>
#include <zlib.h>
#include <zstd.h>

#include "vmm/boot/kernel.h"

#define HDR 0x1f1u

struct blob {
	unsigned char *data;
	size_t len;
};

static struct blob elf; /* the tiny guest; a test may be one file's */

static struct blob blob_new(size_t len)
{
	return (struct blob){ calloc(1, len + 1), len };
}

static int blob_fd(const struct blob *b)
{
	int fd = memfd_create("image", MFD_CLOEXEC);

	if (write(fd, b->data, b->len) != (ssize_t)b->len)
		abort();
	return fd;
}

static struct blob read_guest(const char *name)
{
	struct blob b = blob_new(1 << 20);
	int fd = open_guest(name);
	ssize_t n = read(fd, b.data, b.len);

	if (n <= 0)
		abort();
	b.len = (size_t)n;
	close(fd);
	return b;
}

static size_t pack_gzip(struct blob in, unsigned char *out, size_t max)
{
	z_stream z = { .next_in = in.data,
		       .avail_in = (uInt)in.len,
		       .next_out = out,
		       .avail_out = (uInt)max };

	deflateInit2(&z, 9, Z_DEFLATED, MAX_WBITS + 16, 8, Z_DEFAULT_STRATEGY);
	deflate(&z, Z_FINISH);
	deflateEnd(&z);
	return max - z.avail_out;
}

/* As the kernel's build does: the x86 branch filter, then LZMA2 with a dictionary of 32 MiB. */
static size_t pack_xz(struct blob in, unsigned char *out, size_t max)
{
	lzma_options_lzma lzma;
	lzma_filter filters[] = { { LZMA_FILTER_X86, NULL },
				  { LZMA_FILTER_LZMA2, &lzma },
				  { LZMA_VLI_UNKNOWN, NULL } };
	size_t at = 0;

	lzma_lzma_preset(&lzma, 1);
	lzma.dict_size = 32 << 20;
	if (lzma_stream_buffer_encode(filters, LZMA_CHECK_CRC32, NULL, in.data, in.len, out, &at,
				      max) != LZMA_OK)
		abort();
	return at;
}

static size_t pack_zstd(struct blob in, unsigned char *out, size_t max)
{
	return ZSTD_compress(out, max, in.data, in.len, 3);
}

static size_t pack_lz4(struct blob in, unsigned char *out, size_t max)
{
	const unsigned magic = 0x184c2102;
	int n = LZ4_compress_default((char *)in.data, (char *)out + 8, (int)in.len, (int)max - 8);

	memcpy(out, &magic, 4);
	memcpy(out + 4, &n, 4);
	return (size_t)n + 8;
}

/* lzma-alone: a packer that the VMM leaves to the guest. */
static size_t pack_unknown(struct blob in, unsigned char *out, size_t max)
{
	memcpy(out, "\x5d\0\0\0\4", 5);
	memcpy(out + 5, in.data, in.len);
	return in.len + 5;
}

typedef size_t packer(struct blob in, unsigned char *out, size_t max);

static struct setup_header *header(struct blob *b)
{
	return (struct setup_header *)(b->data + HDR);
}

/* The shape of a bzImage: two setup sectors, the tiny guest as the decompressor, the payload. */
static struct blob make_bzimage(packer *pack, struct blob inner)
{
	const Elf64_Ehdr *eh = (const Elf64_Ehdr *)elf.data;
	const Elf64_Phdr *ph = (const Elf64_Phdr *)(elf.data + eh->e_phoff);
	size_t flat = (ph->p_filesz + 15) & ~15ul, code = 3 * 512;
	struct blob b = blob_new(code + flat + inner.len * 2 + 65536);
	struct setup_header *h = header(&b);

	memcpy(b.data + code, elf.data + ph->p_offset, ph->p_filesz);
	b.data[code + 0x1f0] = 1; // tiny_flat
	h->setup_sects = 2;
	h->boot_flag = 0xaa55;
	h->jump = 0x6aeb;
	h->header = 0x53726448;
	h->version = 0x020f;
	h->loadflags = LOADED_HIGH;
	h->code32_start = 0x100000;
	h->initrd_addr_max = 0x7fffffff;
	h->kernel_alignment = 0x100000;
	h->relocatable_kernel = 0;
	h->xloadflags = XLF_KERNEL_64;
	h->cmdline_size = 2047;
	h->pref_address = 0x100000;
	h->init_size = 0x40000;
	h->payload_offset = (unsigned)flat;
	h->payload_length = (unsigned)pack(inner, b.data + code + flat, inner.len * 2 + 60000);
	b.len = code + flat + h->payload_length;
	memcpy(b.data + b.len, &inner.len, 4);
	b.len += 4;
	h->syssize = (unsigned)((b.len - code + 15) / 16);
	return b;
}

static const struct {
	const char *name;
	packer *pack;
	const char *entered;
} formats[] = {
	{ "gzip", pack_gzip, "elf64" },	     { "xz", pack_xz, "elf64" },
	{ "zstd", pack_zstd, "elf64" },	     { "lz4", pack_lz4, "elf64" },
	{ "lzma", pack_unknown, "bzimage" },
};

static void boots(struct blob *image, const char *name, const char *entered)
{
	struct machine m;
	char want[64];

	machine_prepare(&m, NULL, "how poweroff");
	m.host.fd[ENGINE_FD_KERNEL] = blob_fd(image);
	snprintf(want, sizeof(want), "tiny: entered as %s\n", entered);
	ok(machine_go(&m) == 0 && machine_says(&m, want, 5000), "%s: boots as %s %s", name, entered,
	   m.err.text);
	machine_free(&m);
}

static void test_formats(void)
{
	struct blob image, text = { (unsigned char *)"#!/bin/sh\n", 10 };

	for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++) {
		image = make_bzimage(formats[i].pack, elf);
		boots(&image, formats[i].name, formats[i].entered);
		free(image.data);
	}
	image = make_bzimage(pack_gzip, text);
	boots(&image, "a payload that is no ELF file", "bzimage");
	header(&image)->payload_length = 0;
	boots(&image, "no payload", "bzimage");
	free(image.data);
	image = make_bzimage(pack_unknown, elf);
	header(&image)->pref_address = (uint64_t)1 << 40;
	header(&image)->relocatable_kernel = 1;
	boots(&image, "a preferred address outside of memory, but relocatable", "bzimage");
	free(image.data);
}

/* kernel_load() on 16 MiB of memory; refused with EINVAL and the sentence's beginning. */
static void refused(const struct blob *image, const char *name, const char *sentence)
{
	struct guestmem mem;
	struct kernel k;
	struct err e = { 0 };
	int fd = blob_fd(image), r;

	if (guestmem_new(&mem, 16 << 20, &e) < 0)
		abort();
	r = kernel_load(&mem, fd, &k, &e);
	ok(r == -EINVAL && strncmp(e.text, sentence, strlen(sentence)) == 0, "%s: %s", name,
	   e.text);
	guestmem_free(&mem);
	close(fd);
}

static void test_hostile_elf(void)
{
	struct blob b = read_guest("tiny.elf");
	Elf64_Ehdr *eh = (Elf64_Ehdr *)b.data, eh0 = *eh;
	Elf64_Phdr *ph = (Elf64_Phdr *)(b.data + eh->e_phoff), ph0 = *ph;
	size_t len = b.len;

#define ELF_CASE(change, name, sentence)                     \
	do {                                                 \
		change;                                      \
		refused(&b, name, "boot.kernel: " sentence); \
		*eh = eh0;                                   \
		*ph = ph0;                                   \
		b.len = len;                                 \
	} while (0)
	ELF_CASE(b.len = 20, "ELF of 20 bytes", "the ELF file is truncated");
	ELF_CASE(b.len = 100, "ELF without its program headers", "the ELF file's");
	ELF_CASE(b.len = len - 1000 > 5000 ? 5000 : len / 2, "truncated ELF", "the file ends at");
	ELF_CASE(eh->e_ident[EI_CLASS] = ELFCLASS32, "32-bit ELF", "the ELF file is not for 64");
	ELF_CASE(eh->e_machine = EM_AARCH64, "ELF for arm64", "the ELF file is not for 64-bit x86");
	ELF_CASE(eh->e_type = ET_REL, "object file", "the ELF file is not an executable");
	ELF_CASE(eh->e_phnum = 0, "no program headers", "the ELF file has no program headers");
	ELF_CASE(eh->e_phentsize = 1, "odd program headers", "the ELF file has no program headers");
	ELF_CASE(eh->e_phnum = 0xffff, "65535 program headers", "the ELF file's 65535");
	ELF_CASE(eh->e_phoff = UINT64_MAX - 8, "program headers at the end of time", "the ELF");
	ELF_CASE(eh->e_entry = 0x10, "entry outside", "the ELF file's entry 0x10 lies in none");
	ELF_CASE(ph->p_type = PT_NULL, "nothing to load", "the ELF file has nothing to load");
	ELF_CASE(ph->p_paddr = 0x1000, "segment in low memory", "a segment of the ELF file is for");
	ELF_CASE(ph->p_paddr = 16 << 20, "segment behind memory",
		 "a segment of the ELF file needs");
	ELF_CASE(ph->p_paddr = UINT64_MAX - 0xfff, "segment that wraps", "a segment of the ELF");
	ELF_CASE(ph->p_memsz = UINT64_MAX, "huge segment", "a segment of the ELF file needs");
	ELF_CASE(ph->p_filesz = UINT64_MAX, "more in the file than in memory", "a segment of the");
	ELF_CASE(ph->p_offset = UINT64_MAX, "offset that wraps", "a segment of the ELF file has");
	ELF_CASE(ph->p_offset = INT64_MAX, "offset beyond files", "a segment lies beyond");
	ELF_CASE(ph->p_offset = 1 << 30, "offset beyond this file", "the file ends at byte");
	// The second header becomes a copy of the first: the same place twice.
	ELF_CASE((eh->e_phnum = 2, memcpy(ph + 1, ph, sizeof(*ph))), "overlapping segments",
		 "segments of the ELF file overlap");
	free(b.data);
}

static void test_hostile_bzimage(void)
{
	struct blob b = make_bzimage(pack_zstd, elf);
	struct setup_header *h = header(&b), h0 = *h;
	size_t len = b.len, payload = 3 * 512 + h->payload_offset;
	char want[64];

#define BZ_CASE(change, name, sentence)                      \
	do {                                                 \
		change;                                      \
		refused(&b, name, "boot.kernel: " sentence); \
		*h = h0;                                     \
		b.len = len;                                 \
	} while (0)
	BZ_CASE(h->header = 0, "no HdrS", "not a bzImage or an ELF file");
	BZ_CASE(b.len = 0x210, "cut in its header", "not a bzImage or an ELF file");
	BZ_CASE(h->version = 0x0200, "old protocol", "a bzImage of boot protocol 2.00 is too old");
	BZ_CASE(h->loadflags = 0, "a zImage", "a zImage, not");
	BZ_CASE(h->setup_sects = 255, "setup longer than the file", "the bzImage is truncated");
	BZ_CASE(b.len = 3 * 512, "no protected-mode code", "the bzImage is truncated");
	BZ_CASE(b.len = payload + 100, "truncated", "the bzImage's payload");
	BZ_CASE(h->payload_offset = 0xffffffff, "payload far away", "the bzImage's payload");
	BZ_CASE(h->payload_length = 0xffffffff, "payload of 4 GiB", "the bzImage's payload");
	BZ_CASE(h->payload_length -= 50, "payload cut", "its zstd payload is truncated");
	BZ_CASE((h->payload_length = 0, h->xloadflags = 0), "no payload, no 64-bit entry",
		"its payload cannot be unpacked here and it has no 64-bit entry");
	BZ_CASE((h->payload_length = 0, h->init_size = 0xffffffff), "needs 4 GiB",
		"the machine's memory has no place for the 4194303");
	BZ_CASE((h->payload_length = 0, h->pref_address = 0), "nowhere to stand",
		"the machine's memory");
	BZ_CASE((h->payload_length = 0, h->pref_address = UINT64_MAX, h->relocatable_kernel = 1,
		 h->kernel_alignment = 3),
		"odd alignment", "the machine's memory");
	free(b.data);
	for (size_t i = 0; i < 4; i++) {
		b = make_bzimage(formats[i].pack, elf);
		memset(b.data + 3 * 512 + header(&b)->payload_offset + 40, 0xa5, 200);
		snprintf(want, sizeof(want), "boot.kernel: its %s payload is ", formats[i].name);
		refused(&b, formats[i].name, want);
		free(b.data);
	}
}

/* 40 MiB of zeros behind an ELF header whose segment begins only after them. */
static void test_bombs(void)
{
	struct blob inner = blob_new(40 << 20), b;
	Elf64_Phdr *ph;

	memcpy(inner.data, elf.data, elf.len);
	ph = (Elf64_Phdr *)(inner.data + ((Elf64_Ehdr *)inner.data)->e_phoff);
	ph->p_offset = (40 << 20) - ph->p_filesz;
	for (size_t i = 0; i < 3; i++) {
		b = make_bzimage(formats[i].pack, inner);
		refused(&b, formats[i].name, "boot.kernel: its ");
		free(b.data);
	}
	free(inner.data);
}

/* Any byte of an image may be anything: it is loaded or refused with a sentence, never worse. */
static void test_noise(void)
{
	unsigned seed = 12345, i, bad = 0;
	struct blob images[5];
	struct guestmem mem;
	struct kernel k;
	struct err e = { 0 };
	double until = now_ms() + 3000;

	if (guestmem_new(&mem, 16 << 20, &e) < 0)
		abort();
	for (i = 0; i < 4; i++)
		images[i] = make_bzimage(formats[i].pack, elf);
	images[4] = read_guest("tiny-pvh.elf");
	for (i = 0; i < 4000 && now_ms() < until; i++) {
		struct blob *from = &images[i % 5], b = blob_new(from->len);
		bool bz = i % 5 < 4;
		int fd, r;

		memcpy(b.data, from->data, b.len);
		for (unsigned n = 0; n < 1 + i % 4; n++) {
			size_t at = (seed = seed * 1103515245 + 12345) >> 8;

			at = bz ? HDR + at % (at & 1 ? 0x80 : b.len - HDR) : at % (64 + 3 * 56);
			b.data[at] = (unsigned char)((seed = seed * 1103515245 + 12345) >> 16);
		}
		fd = blob_fd(&b);
		e.text[0] = 0;
		r = kernel_load(&mem, fd, &k, &e);
		if (r != 0 && (r != -EINVAL || strncmp(e.text, "boot.kernel: ", 13)))
			bad++;
		if (r == 0 && !guestmem_range(&mem, k.rip, 1))
			bad++;
		close(fd);
		free(b.data);
	}
	guestmem_free(&mem);
	for (unsigned n = 0; n < 5; n++)
		free(images[n].data);
	ok(bad == 0, "%u images with noise in them are loaded or refused", i);
}

int main(void)
{
	int guest = open_guest("tiny.elf");

	if (guest < 0)
		skip_all("the tiny guest is not built (make build/tests/guest/tiny.elf)");
	close(guest);
	elf = read_guest("tiny.elf");
	if (have_kvm())
		test_formats();
	else
		skip("every format boots", "needs /dev/kvm");
	test_hostile_elf();
	test_hostile_bzimage();
	test_bombs();
	test_noise();
	free(elf.data);
	return tap_done();
}
