/*
 * boot: see boot.h. Linux's 64-bit protocol is the kernel document x86/boot; PVH's start_info is
 * Xen's public header arch-x86/hvm/start_info.h.
 */
#include "vmm/boot/boot.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "vmm/board/pm.h"

#define CMDLINE_ROOM 0x10000u

#define PTE_PRESENT 0x01u
#define PTE_WRITE   0x02u
#define PTE_HUGE    0x80u

#define PVH_MAGIC 0x336ec578u

enum { MAP_RAM = 1, MAP_RESERVED = 2 }; /* e820 and PVH agree on the types */
#define MAP_MAX 4

struct map_entry {
	uint64_t addr;
	uint64_t size;
	uint32_t type;
};

struct pvh_start_info {
	uint32_t magic;
	uint32_t version;
	uint32_t flags;
	uint32_t nr_modules;
	uint64_t modlist_paddr;
	uint64_t cmdline_paddr;
	uint64_t rsdp_paddr;
	uint64_t memmap_paddr;
	uint32_t memmap_entries;
	uint32_t reserved;
};

struct pvh_module {
	uint64_t paddr;
	uint64_t size;
	uint64_t cmdline_paddr;
	uint64_t reserved;
};

struct pvh_memmap {
	uint64_t addr;
	uint64_t size;
	uint32_t type;
	uint32_t reserved;
};

/* PVH's tables, together at BOOT_PARAMS. */
struct pvh_block {
	struct pvh_start_info info;
	struct pvh_module initrd;
	struct pvh_memmap map[MAP_MAX];
};

struct initrd {
	uint64_t gpa;
	uint64_t size; /* 0: none */
};

static unsigned map_make(const struct guestmem *m, struct map_entry map[MAP_MAX])
{
	unsigned n = 0;

	map[n++] = (struct map_entry){ 0, BOOT_EBDA, MAP_RAM };
	map[n++] = (struct map_entry){ BOOT_ACPI, BOOT_1M - BOOT_ACPI, MAP_RESERVED };
	map[n++] = (struct map_entry){ BOOT_1M, m->low - BOOT_1M, MAP_RAM };
	if (m->high)
		map[n++] = (struct map_entry){ GUESTMEM_HIGH, m->high, MAP_RAM };
	return n;
}

static int initrd_load(const struct guestmem *m, int fd, const struct kernel *k, struct initrd *ret,
		       struct err *e)
{
	uint64_t top = m->low < k->initrd_max + 1 ? m->low : k->initrd_max + 1;
	struct stat st;
	int r;

	ret->gpa = ret->size = 0;
	if (fd < 0)
		return 0;
	if (fstat(fd, &st) < 0)
		return err_sys(e, errno, "boot.initrd");
	if (st.st_size == 0)
		return 0;
	ret->size = (uint64_t)st.st_size;
	if (k->end > top || ret->size > top - k->end)
		goto too_big;
	ret->gpa = (top - ret->size) & ~(uint64_t)0xfff;
	if (ret->gpa < k->end)
		goto too_big;
	r = guestmem_read_file(m, ret->gpa, fd, 0, ret->size, e);
	if (r < 0)
		err_prefix(e, "boot.initrd: ");
	return r;
too_big:
	return err_set(e, -EINVAL,
		       "boot.initrd: its %llu KiB do not fit into memory.size beside the kernel",
		       (unsigned long long)(ret->size >> 10));
}

static int cmdline_load(const struct guestmem *m, const char *cmdline, const struct kernel *k,
			struct err *e)
{
	uint64_t len = strlen(cmdline),
		 max = k->cmdline_max < CMDLINE_ROOM ? k->cmdline_max : CMDLINE_ROOM - 1;

	if (len > max)
		return err_set(
			e, -EINVAL,
			"boot.cmdline: %llu bytes are more than the %llu that this kernel takes",
			(unsigned long long)len, (unsigned long long)max);
	return guestmem_write(m, BOOT_CMDLINE, cmdline, len + 1);
}

static int linux_params(const struct guestmem *m, const struct kernel *k, const struct initrd *rd)
{
	struct boot_params *p = guestmem_range(m, BOOT_PARAMS, sizeof(*p));
	struct map_entry map[MAP_MAX];

	if (!p)
		return -EINVAL;
	p->hdr = k->hdr;
	p->hdr.type_of_loader = 0xff; // not one of the registered loaders
	p->hdr.loadflags |= LOADED_HIGH;
	p->hdr.cmd_line_ptr = BOOT_CMDLINE;
	p->hdr.ramdisk_image = (uint32_t)rd->gpa;
	p->hdr.ramdisk_size = (uint32_t)rd->size;
	p->acpi_rsdp_addr = ACPI_RSDP;
	p->e820_entries = (uint8_t)map_make(m, map);
	for (unsigned i = 0; i < p->e820_entries; i++)
		p->e820_table[i] =
			(struct boot_e820_entry){ map[i].addr, map[i].size, map[i].type };
	return 0;
}

static int pvh_params(const struct guestmem *m, const struct initrd *rd)
{
	struct pvh_block *p = guestmem_range(m, BOOT_PARAMS, sizeof(*p));
	struct map_entry map[MAP_MAX];

	if (!p)
		return -EINVAL;
	p->info.magic = PVH_MAGIC;
	p->info.version = 1;
	p->info.cmdline_paddr = BOOT_CMDLINE;
	p->info.rsdp_paddr = ACPI_RSDP;
	p->info.memmap_paddr = BOOT_PARAMS + offsetof(struct pvh_block, map);
	p->info.memmap_entries = map_make(m, map);
	for (unsigned i = 0; i < p->info.memmap_entries; i++)
		p->map[i] = (struct pvh_memmap){ map[i].addr, map[i].size, map[i].type, 0 };
	if (rd->size) {
		p->info.nr_modules = 1;
		p->info.modlist_paddr = BOOT_PARAMS + offsetof(struct pvh_block, initrd);
		p->initrd.paddr = rd->gpa;
		p->initrd.size = rd->size;
	}
	return 0;
}

/* The GDT that the protocol asks for, and 4 GiB mapped 1:1 by 2 MiB pages. */
static int tables_make(const struct guestmem *m)
{
	uint64_t *gdt = guestmem_range(m, BOOT_GDT, 32);
	uint64_t *pml4 = guestmem_range(m, BOOT_PML4, 6 * 4096);
	uint64_t *pdpt, *pd;

	if (!gdt || !pml4)
		return -EINVAL;
	pdpt = pml4 + 512;
	pd = pdpt + 512;
	gdt[BOOT_CS / 8] = 0x00af9b000000ffff; // 64-bit code
	gdt[BOOT_DS / 8] = 0x00cf93000000ffff; // data, 4 GiB
	pml4[0] = (BOOT_PML4 + 4096) | PTE_PRESENT | PTE_WRITE;
	for (unsigned i = 0; i < 4; i++)
		pdpt[i] = (BOOT_PML4 + 4096 * (2 + i)) | PTE_PRESENT | PTE_WRITE;
	for (uint64_t i = 0; i < 4 * 512; i++)
		pd[i] = i << 21 | PTE_PRESENT | PTE_WRITE | PTE_HUGE;
	return 0;
}

/*
 * All the BIOS there is: 16-bit code at the reset vector that resets the machine. Linux jumps there
 * to reboot a machine of ACPI's hardware-reduced model that has no EFI, before it tries the
 * reset register itself.
 */
static int reset_vector_make(const struct guestmem *m)
{
	enum { PORT = PM_PORT + PM_RESET };
	static const uint8_t code[] = {
		0xb0, PM_RESET_VALUE,		 // mov $value, %al
		0xba, PORT & 0xff,    PORT >> 8, // mov $port, %dx
		0xee,				 // out %al, (%dx)
		0xf4,				 // hlt
	};

	return guestmem_write(m, BOOT_RESET, code, sizeof(code));
}

int boot_load(const struct guestmem *m, const struct boot_source *src, struct boot_entry *ret,
	      struct err *e)
{
	struct initrd rd = { 0 };
	struct kernel k;
	int r;

	if (m->low < 2 * BOOT_1M)
		return err_set(e, -EINVAL, "memory.size: less than 2 MiB cannot boot anything");
	r = kernel_load(m, src->kernel, &k, e);
	if (r == 0)
		r = initrd_load(m, src->initrd, &k, &rd, e);
	if (r == 0)
		r = cmdline_load(m, src->cmdline, &k, e);
	if (r == 0)
		r = acpi_build(m, &src->machine, e);
	if (r < 0)
		return r;
	if (k.entry == KERNEL_PVH32)
		r = pvh_params(m, &rd);
	else
		r = linux_params(m, &k, &rd);
	if (r == 0)
		r = tables_make(m);
	if (r == 0)
		r = reset_vector_make(m);
	if (r == 0)
		r = guestmem_write(m, ACPI_GENID, src->genid, 16);
	if (r < 0)
		return err_set(e, -EINVAL, "memory.size: too small for the boot data");
	*ret = (struct boot_entry){ k.entry, k.rip, BOOT_PARAMS };
	return 0;
}
