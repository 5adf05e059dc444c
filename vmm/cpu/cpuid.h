/*
 * cpuid: what a vCPU answers to the CPUID instruction: what the host's KVM supports, cut to the
 * model (cpu_model.h), with the ids and the topology of this machine (cpu_topology.h).
 */
#ifndef VMM_CPU_CPUID_H
#define VMM_CPU_CPUID_H

#include <linux/kvm.h>
#include <stdbool.h>

#include "backends/base/err.h"
#include "vmm/cpu/cpu_topology.h"

#define CPUID_MAX 256

struct cpuid {
	struct kvm_cpuid2 head;
	struct kvm_cpuid_entry2 entries[CPUID_MAX];
};

/* Reads what KVM supports. */
int cpuid_read(struct cpuid *c, int kvm_fd, struct err *e);
/* What KVM has beside what it says in CPUID. */
struct cpuid_host {
	bool deadline;	  /* the local APIC has the TSC deadline timer */
	bool ext_dest_id; /* messages reach APIC ids of 15 bits (msi.h) */
};

/* Makes it what all vCPUs of a machine have in common. model is the text of cpu.model. */
int cpuid_settle(struct cpuid *c, const char *model, const struct cpu_topology *t,
		 const struct cpuid_host *host, struct err *e);
/* Sets the ids of one vCPU. */
void cpuid_set_id(struct cpuid *c, const struct cpu_topology *t, unsigned vcpu);

/* The entry of a leaf, or NULL; index counts only where the leaf has sub-leaves. */
struct kvm_cpuid_entry2 *cpuid_leaf(struct cpuid *c, uint32_t function, uint32_t index);

#endif
