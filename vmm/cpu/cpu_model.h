/*
 * cpu_model: the setting cpu.model: which processor a guest takes its vCPUs for.
 *
 * The first word is a model, the others are features of cpu_flags.h that it has in addition
 * (+FLAG) or not (-FLAG); the last word about a flag counts. `host` is all that the host's KVM
 * supports. The others are lists of features: the levels of the x86-64 psABI, and processors
 * as they were sold. What one of them says is the same on every host, which is what makes a
 * machine movable; a host that lacks a flag of it refuses the machine. Two sorts of flags come from
 * the host in any case, where it has them: those by which a guest defends itself against the
 * processor's faults, and those of KVM itself.
 */
#ifndef VMM_CPU_CPU_MODEL_H
#define VMM_CPU_CPU_MODEL_H

#include "backends/base/err.h"

struct cpuid;

/* EINVAL, with a sentence, for an unknown model or flag. Any host. */
int cpu_model_check(const char *text, struct err *e);

/*
 * c holds what KVM supports and becomes what the model has. ENXIO names the flag, or the vendor,
 * that this host has not; sentences start with "cpu.model: ".
 */
int cpu_model_apply(const char *text, struct cpuid *c, struct err *e);

/* "host, x86-64-v2, ..."; for documentation. */
const char *cpu_model_names(void);

#endif
