/*
 * cpuid: what a vCPU answers to the CPUID instruction: what the host's KVM supports, with the
 * ids and the topology of this machine: one package of `cpus` cores, one thread each, APIC ids
 * 0 to cpus - 1.
 */
#ifndef VMM_CPUID_H
#define VMM_CPUID_H

#include <linux/kvm.h>
#include <stdbool.h>

#include "backends/err.h"

#define CPUID_MAX 256

struct cpuid {
	struct kvm_cpuid2 head;
	struct kvm_cpuid_entry2 entries[CPUID_MAX];
};

/* Reads what KVM supports and sets what is the same for all vCPUs. */
int cpuid_init(struct cpuid *c, int kvm_fd, unsigned cpus, struct err *e);
/* Sets the ids of one vCPU. */
void cpuid_set_id(struct cpuid *c, unsigned id);

#endif
