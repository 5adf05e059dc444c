/*
 * struct kernel: a boot.kernel that has been loaded, and how it wants to be entered.
 *
 * Taken are bzImages and ELF files. A bzImage's payload is unpacked here and loaded as the ELF
 * file that it is, which saves the guest the work; where it cannot be (a packer that unpack.h does
 * not know, a payload that is no ELF file) the guest's own decompressor is loaded and does it.
 * An ELF file that has a PVH note is entered by that, else at its 64-bit entry by Linux's 64-bit
 * boot protocol (kernel document x86/boot).
 */
#ifndef VMM_BOOT_KERNEL_H
#define VMM_BOOT_KERNEL_H

#include <asm/bootparam.h>
#include <stdint.h>

#include "backends/base/err.h"
#include "vmm/guestmem.h"

enum kernel_entry {
	KERNEL_LINUX64, /* 64-bit mode, rsi = struct boot_params */
	KERNEL_PVH32,	/* 32-bit mode, ebx = struct hvm_start_info */
};

struct kernel {
	enum kernel_entry entry;
	uint64_t rip;
	uint64_t end;		 /* RAM below this, from 1 MiB on, is its own */
	uint64_t initrd_max;	 /* highest address an initrd's last byte may have */
	uint64_t cmdline_max;	 /* bytes, without the final NUL */
	struct setup_header hdr; /* a bzImage's own; for an ELF file a minimal one */
};

/* Sentences start with "boot.kernel: ". */
int kernel_load(const struct guestmem *m, int fd, struct kernel *ret, struct err *e);

#endif
