/*
 * core: a machine's memory and registers as an ELF core file (System V gABI; notes as Linux writes
 * them), which gdb, readelf and crash read: a segment for each range of RAM, at its
 * guest-physical address, a thread for each vCPU. Pages of zeros are left as holes.
 */
#ifndef VMM_CORE_H
#define VMM_CORE_H

#include <stdint.h>
#include <sys/user.h>

#include "backends/base/err.h"
#include "vmm/guestmem.h"

struct core_cpu {
	unsigned id;
	struct user_regs_struct regs;
};

/* Writes it from the beginning of an empty file. No vCPU runs. ENOSPC where it does not fit. */
int core_write(int fd, const struct guestmem *m, const struct core_cpu *cpus, unsigned n,
	       struct err *e);

#endif
