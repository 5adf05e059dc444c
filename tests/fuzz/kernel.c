/*
 * Hostile kernels: a file as boot.kernel, another as boot.initrd, and ACPI's tables beside them. It
 * is refused with a sentence that names the setting, or loaded where the machine has memory. The
 * first eight bytes say how large the initrd and the command line are, and how many vCPUs and
 * nodes; the kernel follows. Kernels to begin with are made here: ELF files, and bzImages with each
 * packer.
 */
#include <asm/bootparam.h>
#include <elf.h>
#include <errno.h>
#include <lz4.h>
#include <lzma.h>
#include <sys/mman.h>
#include <zlib.h>
#include <zstd.h>

#include "tests/fuzz/script.h"
#include "vmm/boot/boot.h"
#include "vmm/boot/unpack.h"
#include "vmm/numa.h"

#define MEMORY (6u << 20)
#define ELF_AT 4096u /* where the segment lies in the file: behind what elf.h looks at */
#define HDR    0x1f1u
#define SETUP  1024u /* a boot sector and one of setup */
#define FIRST  8u

/* ---- what a builder of kernels would write ---- */

static size_t make_elf(unsigned char *out, bool pvh)
{
	static const uint32_t note[] = { 4, 4, 18, 0x006e6558 /* Xen */, 0x100000 };
	Elf64_Ehdr *h = (Elf64_Ehdr *)out;
	Elf64_Phdr *p = (Elf64_Phdr *)(out + sizeof(*h));

	memset(out, 0, ELF_AT);
	memcpy(h->e_ident, ELFMAG, SELFMAG);
	h->e_ident[EI_CLASS] = ELFCLASS64;
	h->e_ident[EI_DATA] = ELFDATA2LSB;
	h->e_type = ET_EXEC;
	h->e_machine = EM_X86_64;
	h->e_entry = 0x100000;
	h->e_phoff = sizeof(*h);
	h->e_phentsize = sizeof(*p);
	h->e_phnum = pvh ? 3 : 2;
	p[0] = (Elf64_Phdr){ PT_LOAD, 5, ELF_AT, 0, 0x100000, 64, 0x1000, 16 };
	p[1] = (Elf64_Phdr){ PT_LOAD, 6, ELF_AT + 64, 0, 0x102000, 64, 0x8000, 16 };
	p[2] = (Elf64_Phdr){ PT_NOTE, 4, 512, 0, 0, sizeof(note), sizeof(note), 4 };
	memcpy(out + 512, note, sizeof(note));
	memset(out + ELF_AT, 0xf4, 128);
	return ELF_AT + 128;
}

static size_t pack(enum unpack_format format, const unsigned char *in, size_t len,
		   unsigned char *out, size_t max)
{
	z_stream z = { .next_in = (unsigned char *)in,
		       .avail_in = (uInt)len,
		       .next_out = out,
		       .avail_out = (uInt)max };
	const uint32_t magic = 0x184c2102;
	size_t at = 0;
	int n;

	switch (format) {
	case UNPACK_GZIP:
		deflateInit2(&z, 9, Z_DEFLATED, MAX_WBITS + 16, 8, Z_DEFAULT_STRATEGY);
		deflate(&z, Z_FINISH);
		deflateEnd(&z);
		return max - z.avail_out;
	case UNPACK_XZ:
		fuzz_check(lzma_easy_buffer_encode(1, LZMA_CHECK_CRC32, NULL, in, len, out, &at,
						   max) == LZMA_OK);
		return at;
	case UNPACK_ZSTD:
		return ZSTD_compress(out, max, in, len, 3);
	case UNPACK_LZ4:
		n = LZ4_compress_default((const char *)in, (char *)out + 8, (int)len, (int)max - 8);
		memcpy(out, &magic, 4);
		memcpy(out + 4, &n, 4);
		return (size_t)n + 8;
	default: /* none that is known: the guest unpacks it itself */
		memcpy(out, in, 256);
		return 256;
	}
}

static void add_bzimage(enum unpack_format format)
{
	static _Alignas(8) unsigned char input[FUZZ_MAX], elf[FUZZ_MAX];
	unsigned char *image = input + FIRST;
	struct setup_header h = {
		.setup_sects = 1,
		.boot_flag = 0xaa55,
		.jump = 0x6aeb,
		.header = 0x53726448,
		.version = 0x020f,
		.loadflags = LOADED_HIGH,
		.initrd_addr_max = 0x7fffffff,
		.kernel_alignment = 0x100000,
		.relocatable_kernel = 1,
		.xloadflags = XLF_KERNEL_64,
		.cmdline_size = 2047,
		.pref_address = 0x100000,
		.init_size = 0x40000,
		.payload_offset = 0x210,
	};
	size_t len = make_elf(elf, false);

	memset(input, 0, sizeof(input));
	input[0] = 1;
	h.payload_length = (uint32_t)pack(format, elf, len, image + SETUP + 0x210,
					  sizeof(input) - FIRST - SETUP - 0x210);
	memcpy(image + HDR, &h, sizeof(h));
	fuzz_add(input, FIRST + SETUP + 0x210 + h.payload_length);
}

static void add_elf(bool pvh)
{
	_Alignas(8) unsigned char input[FUZZ_MAX] = { 2, 3, 1 };

	fuzz_add(input, FIRST + make_elf(input + FIRST, pvh));
}

/* ---- a machine that boots it ---- */

static int file_of(const void *data, size_t len, off_t size)
{
	int fd = memfd_create("file", MFD_CLOEXEC);

	fuzz_check(fd >= 0 && write(fd, data, len) == (ssize_t)len);
	if (size)
		fuzz_check(ftruncate(fd, size) == 0);
	return fd;
}

static bool names_setting(const char *text)
{
	return !strncmp(text, "boot.kernel: ", 13) || !strncmp(text, "boot.initrd: ", 13) ||
	       !strncmp(text, "boot.cmdline: ", 14);
}

/* Nodes as settled ones are: all of memory and each vCPU is one's. */
static void nodes_of(struct numa *numa, unsigned n, unsigned cpus, unsigned how)
{
	uint64_t left = MEMORY;

	memset(numa, 0, sizeof(*numa));
	numa->n = n;
	for (unsigned i = 0; i < n; i++) {
		numa->nodes[i].size = i + 1 < n ? left / (1 + (how + i) % 4) & ~4095ull : left;
		left -= numa->nodes[i].size;
		memset(numa->nodes[i].distance, 10 + (int)how % 200, n);
	}
	for (unsigned c = 0; n && c < cpus; c++)
		cpulist_add(&numa->nodes[(c * (how + 1)) % n].cpus, c);
}

static void one(const char *data, size_t len)
{
	static struct numa numa;
	static const unsigned char genid[16];
	static char cmdline[8 * 256];
	struct script s = { (const unsigned char *)data, (const unsigned char *)data + len };
	off_t initrd = (off_t)take(&s) << 14;
	unsigned words = take(&s), cpus = 1 + take(&s);
	const struct cpu_topology topology = { 1, cpus, 1 };
	struct boot_source source = {
		.initrd = initrd ? file_of("", 0, initrd) : -1,
		.cmdline = cmdline,
		.genid = genid,
		.machine = { .cpus = cpus,
			     .present = 1,
			     .topology = &topology,
			     .watchdog = words & 1,
			     .uart = words & 2,
			     .pci = words & 4,
			     .window64 = words & 8 ? 1ull << 38 : 0 },
	};
	struct boot_entry entry;
	struct guestmem mem;
	struct err e = { 0 };
	int rc;

	unsigned nodes = take(&s); // as many as there can be more often than not

	nodes_of(&numa, nodes < NUMA_NODES_MAX ? nodes : NUMA_NODES_MAX, cpus, take(&s));
	source.machine.numa = &numa;
	take_n(&s, 3);
	memset(cmdline, 'x', words * 8);
	cmdline[words * 8] = '\0';
	source.kernel = file_of(s.p, (size_t)(s.end - s.p), 0);
	fuzz_check(guestmem_new(&mem, MEMORY, NULL) == 0);
	rc = boot_load(&mem, &source, &entry, &e);
	if (rc < 0)
		fuzz_check(rc == e.code && names_setting(e.text));
	else
		fuzz_check(guestmem_range(&mem, entry.rip, 1) && entry.rip >= BOOT_1M &&
			   guestmem_range(&mem, entry.arg, 1));
	guestmem_free(&mem);
	close(source.kernel);
	if (source.initrd >= 0)
		close(source.initrd);
}

int main(int argc, char **argv)
{
	if (argc < 2) {
		for (enum unpack_format f = UNPACK_UNKNOWN; f <= UNPACK_LZ4; f++)
			add_bzimage(f);
		add_elf(false);
		add_elf(true);
	}
	return fuzz_main(argc, argv, one);
}
