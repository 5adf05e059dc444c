/*
 * cpuid: see cpuid.h. Leaves as in Intel's manual volume 2A (CPUID) and AMD's volume 3,
 * appendix E.
 */
#include "vmm/cpuid.h"

#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>

#define ECX1_TSC_DEADLINE (1u << 24)
#define ECX1_X2APIC	  (1u << 21)
#define ECX1_HYPERVISOR	  (1u << 31)
#define EDX1_HTT	  (1u << 28)

/* Bits of an APIC id that number the cores. */
static unsigned id_bits(unsigned cpus)
{
	unsigned bits = 0;

	while ((1u << bits) < cpus)
		bits++;
	return bits;
}

static void set_features(struct kvm_cpuid_entry2 *f, unsigned cpus, bool deadline)
{
	unsigned ids = 1u << id_bits(cpus);

	f->ebx = (f->ebx & 0xff00ffffu) | (ids > 255 ? 255 : ids) << 16;
	f->ecx |= ECX1_HYPERVISOR | ECX1_X2APIC;
	// KVM has the deadline timer in its local APIC but leaves saying so to user space.
	f->ecx |= deadline ? ECX1_TSC_DEADLINE : 0;
	f->edx &= ~EDX1_HTT;
	f->edx |= cpus > 1 ? EDX1_HTT : 0;
}

/* Leaf 4 (Intel) and 0x8000001d (AMD): caches up to level 2 are a core's own, others shared. */
static void set_cache(struct kvm_cpuid_entry2 *f, unsigned cpus, bool intel)
{
	unsigned level = f->eax >> 5 & 7, ids = 1u << id_bits(cpus);
	unsigned sharing = level > 2 ? ids - 1 : 0;

	if ((f->eax & 0x1f) == 0)
		return; // the end of the list
	f->eax = (f->eax & 0x3fff) | (sharing & 0xfff) << 14;
	if (intel)
		f->eax |= (ids - 1 < 63 ? ids - 1 : 63) << 26;
}

/* Leaves 0xb and 0x1f: level 0 is the thread, level 1 the core; edx is set by cpuid_set_id(). */
static void set_topology(struct kvm_cpuid_entry2 *f, unsigned cpus)
{
	f->eax = f->ebx = 0;
	f->ecx = f->index & 0xff;
	if (f->index == 0) {
		f->ebx = 1;
		f->ecx |= 1u << 8;
	} else if (f->index == 1) {
		f->eax = id_bits(cpus);
		f->ebx = cpus;
		f->ecx |= 2u << 8;
	}
}

static void set_common(struct kvm_cpuid_entry2 *f, unsigned cpus, bool deadline)
{
	switch (f->function) {
	case 1:
		set_features(f, cpus, deadline);
		break;
	case 4:
		set_cache(f, cpus, true);
		break;
	case 0x8000001d:
		set_cache(f, cpus, false);
		break;
	case 0xb:
	case 0x1f:
		set_topology(f, cpus);
		break;
	case 0x80000008: // AMD: cores, and bits of the id that number them
		f->ecx = (cpus > 256 ? 255 : cpus - 1) | id_bits(cpus) << 12;
		break;
	default:
		break;
	}
}

/* KVM may list only the first sub-leaf of a topology leaf: makes sure that level 1 is there. */
static void add_core_level(struct cpuid *c, unsigned function)
{
	bool has = false;

	for (unsigned i = 0; i < c->head.nent; i++) {
		if (c->entries[i].function == function && c->entries[i].index == 1)
			return;
		has |= c->entries[i].function == function;
	}
	if (has && c->head.nent < CPUID_MAX)
		c->entries[c->head.nent++] = (struct kvm_cpuid_entry2){
			.function = function, .index = 1, .flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX
		};
}

int cpuid_init(struct cpuid *c, int kvm_fd, unsigned cpus, struct err *e)
{
	bool deadline = ioctl(kvm_fd, KVM_CHECK_EXTENSION, KVM_CAP_TSC_DEADLINE_TIMER) > 0;

	c->head.nent = CPUID_MAX;
	if (ioctl(kvm_fd, KVM_GET_SUPPORTED_CPUID, &c->head) < 0)
		return err_sys(e, errno, "KVM_GET_SUPPORTED_CPUID");
	add_core_level(c, 0xb);
	add_core_level(c, 0x1f);
	for (unsigned i = 0; i < c->head.nent; i++)
		set_common(&c->entries[i], cpus, deadline);
	return 0;
}

void cpuid_set_id(struct cpuid *c, unsigned id)
{
	for (unsigned i = 0; i < c->head.nent; i++) {
		struct kvm_cpuid_entry2 *f = &c->entries[i];

		if (f->function == 1)
			f->ebx = (f->ebx & 0x00ffffffu) | id << 24;
		else if (f->function == 0xb || f->function == 0x1f)
			f->edx = id;
		else if (f->function == 0x8000001e) { // AMD: extended id, core id, node
			f->eax = id;
			f->ebx = id & 0xff;
			f->ecx = 0;
		}
	}
}
