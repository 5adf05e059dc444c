/*
 * struct cpu_flag: one feature that CPUID tells of, by the name that Linux gives it in
 * /proc/cpuinfo (or that its own documents do, where that name stands for two of them).
 *
 * A table and nothing else. Bits that say how this machine is made (hypervisor, x2apic,
 * tsc_deadline_timer, ht, cmp_legacy, topoext) are not in it: cpuid.c decides about those.
 */
#ifndef VMM_CPU_CPU_FLAGS_H
#define VMM_CPU_CPU_FLAGS_H

#include <stdbool.h>
#include <stdint.h>

enum cpu_reg { CPU_EAX, CPU_EBX, CPU_ECX, CPU_EDX };

struct cpu_flag {
	const char *name;
	uint32_t function;
	uint32_t index;
	enum cpu_reg reg;
	unsigned bit;
	const char *needs; /* the flag without which it cannot be used, or NULL */
	/*
	 * Tells a guest how to defend itself against the processor, or of the hypervisor: every
	 * model has it where the host does.
	 */
	bool always;
};

#define CPU_FLAGS_MAX 256

extern const struct cpu_flag cpu_flags[];
extern const unsigned cpu_flag_count; /* at most CPU_FLAGS_MAX */

/* The row of a name of len bytes, or NULL. */
const struct cpu_flag *cpu_flag_find(const char *name, unsigned len);

#endif
