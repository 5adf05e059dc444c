/*
 * boot: fills a machine's memory with what its first vCPU needs: kernel, initrd, command line,
 * memory map, ACPI tables, page tables; and says how that vCPU starts. Used by start and reset.
 * The memory must be all zero. The loop thread; no vCPU runs.
 */
#ifndef VMM_BOOT_BOOT_H
#define VMM_BOOT_BOOT_H

#include <stdint.h>

#include "backends/base/err.h"
#include "vmm/boot/acpi.h"
#include "vmm/boot/kernel.h"
#include "vmm/guestmem.h"

/* Below 1 MiB: what lies where. */
#define BOOT_GDT     0x500u  /* four descriptors */
#define BOOT_PARAMS  0x7000u /* struct boot_params, or PVH's start_info and its tables */
#define BOOT_STACK   0x8ff0u /* grows down; entry code may use a little */
#define BOOT_PML4    0x9000u /* then the PDPT and four page directories: 4 GiB, 1:1 */
#define BOOT_CMDLINE 0x20000u
#define BOOT_EBDA    0x9f000u	 /* RAM ends here ... */
#define BOOT_ACPI    ACPI_TABLES /* ... and ACPI's tables lie here ... */
#define BOOT_RESET   0xffff0u	 /* ... up to what stands for a BIOS: see boot.c */
#define BOOT_1M	     0x100000u

#define BOOT_CS 0x10 /* selectors in the GDT */
#define BOOT_DS 0x18

struct boot_source {
	int kernel; /* descriptors; initrd may be -1 */
	int initrd;
	const char *cmdline;
	const unsigned char *genid;  /* 16 bytes, the VM generation id */
	struct acpi_machine machine; /* what ACPI tells of it */
};

/* What vCPU 0's registers start with. */
struct boot_entry {
	enum kernel_entry mode;
	uint64_t rip;
	uint64_t arg; /* rsi or ebx */
};

/* Sentences start with "boot.kernel: ", "boot.initrd: " or "boot.cmdline: ". */
int boot_load(const struct guestmem *m, const struct boot_source *src, struct boot_entry *ret,
	      struct err *e);

#endif
