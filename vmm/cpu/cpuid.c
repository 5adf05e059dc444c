/*
 * cpuid: see cpuid.h. Leaves as in Intel's manual volume 2A (CPUID) and AMD's volume 3,
 * appendix E.
 */
#include "vmm/cpu/cpuid.h"

#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>

#include "vmm/cpu/cpu_model.h"

#define ECX1_X2APIC	   (1u << 21)
#define ECX1_TSC_DEADLINE  (1u << 24)
#define ECX1_HYPERVISOR	   (1u << 31)
#define EDX1_HTT	   (1u << 28)
#define EXT_ECX_CMP_LEGACY (1u << 1)
#define EXT_ECX_TOPOEXT	   (1u << 22)
#define AMD_L1		   0x80000005u
#define AMD_L1_CACHE	   0x20080140u /* 32 KiB, 8 ways, lines of 64 bytes */
#define AMD_TOPOLOGY	   0x8000001eu
#define KVM_EXT_DEST_ID	   (1u << 15)

/* Fields of an APIC id and numbers that more than one leaf has. */
struct layout {
	unsigned thread_bits;
	unsigned package_bits;
	unsigned thread_ids;  /* ids that a core has, used or not */
	unsigned package_ids; /* ids that a package has */
	unsigned per_package; /* vCPUs of a package */
	unsigned threads;     /* of a core */
	bool deadline;
	bool ext_dest_id;
	bool topoext;
};

static unsigned at_most(unsigned v, unsigned max)
{
	return v < max ? v : max;
}

static void set_features(struct kvm_cpuid_entry2 *f, const struct layout *l)
{
	f->ebx = (f->ebx & 0xff00ffffu) | at_most(l->package_ids, 255) << 16;
	f->ecx &= ~ECX1_TSC_DEADLINE;
	f->ecx |= ECX1_HYPERVISOR | ECX1_X2APIC;
	// KVM has the deadline timer in its local APIC but leaves saying so to user space.
	f->ecx |= l->deadline ? ECX1_TSC_DEADLINE : 0;
	f->edx &= ~EDX1_HTT;
	f->edx |= l->per_package > 1 ? EDX1_HTT : 0;
}

/* Leaf 4 (Intel) and 0x8000001d (AMD): caches up to level 2 are a core's own, others a package's.
 */
static void set_cache(struct kvm_cpuid_entry2 *f, const struct layout *l, bool intel)
{
	unsigned level = f->eax >> 5 & 7;
	unsigned sharing = (level > 2 ? l->package_ids : l->thread_ids) - 1;
	unsigned cores = 1u << (l->package_bits - l->thread_bits);

	if ((f->eax & 0x1f) == 0)
		return; // the end of the list
	f->eax = (f->eax & 0x3fff) | (sharing & 0xfff) << 14;
	if (intel)
		f->eax |= at_most(cores - 1, 63) << 26;
}

/* Leaves 0xb and 0x1f: level 0 is the thread, level 1 the core; edx is set by cpuid_set_id(). */
static void set_levels(struct kvm_cpuid_entry2 *f, const struct layout *l)
{
	f->eax = f->ebx = 0;
	f->ecx = f->index & 0xff;
	if (f->index == 0) {
		f->eax = l->thread_bits;
		f->ebx = l->threads;
		f->ecx |= 1u << 8;
	} else if (f->index == 1) {
		f->eax = l->package_bits;
		f->ebx = l->per_package;
		f->ecx |= 2u << 8;
	}
}

static void set_extended(struct kvm_cpuid_entry2 *f, const struct layout *l)
{
	f->ecx &= ~(EXT_ECX_CMP_LEGACY | EXT_ECX_TOPOEXT);
	f->ecx |= l->topoext ? EXT_ECX_TOPOEXT : 0;
	f->ecx |= l->topoext && l->per_package > 1 ? EXT_ECX_CMP_LEGACY : 0;
}

static void set_common(struct kvm_cpuid_entry2 *f, const struct layout *l)
{
	switch (f->function) {
	case 1:
		set_features(f, l);
		break;
	case 4:
		set_cache(f, l, true);
		break;
	case 0x8000001d:
		set_cache(f, l, false);
		break;
	case 0xb:
	case 0x1f:
		set_levels(f, l);
		break;
	case 0x80000001:
		set_extended(f, l);
		break;
	case 0x80000008: // AMD: threads of a package, and bits of the id that number them
		f->ecx = at_most(l->per_package - 1, 255) | l->package_bits << 12;
		break;
	case 0x40000001: // KVM leaves it to who has the IOAPIC to say so
		f->eax &= ~KVM_EXT_DEST_ID;
		f->eax |= l->ext_dest_id ? KVM_EXT_DEST_ID : 0;
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

static bool is_amd(struct cpuid *c)
{
	const struct kvm_cpuid_entry2 *l = cpuid_leaf(c, 0, 0);

	return l && (l->ebx == 0x68747541 || l->ebx == 0x6f677948); // "Auth", "Hygo"
}

/* Without it an AMD has no threads: it needs nothing of the hardware, so every AMD gets it. */
static void add_topoext(struct cpuid *c)
{
	struct kvm_cpuid_entry2 *ext = cpuid_leaf(c, 0x80000000, 0);

	if (ext && ext->eax < AMD_TOPOLOGY)
		ext->eax = AMD_TOPOLOGY;
	if (!cpuid_leaf(c, AMD_TOPOLOGY, 0) && c->head.nent < CPUID_MAX)
		c->entries[c->head.nent++] = (struct kvm_cpuid_entry2){ .function = AMD_TOPOLOGY };
}

/*
 * KVM leaves this leaf empty before Linux 6.3. Linux guests of AMD's family 15h divide by the ways
 * of the instruction cache, before they can tell anybody that they fail.
 */
static void add_l1_caches(struct cpuid *c)
{
	struct kvm_cpuid_entry2 *l = cpuid_leaf(c, AMD_L1, 0);

	if (!l && c->head.nent < CPUID_MAX) {
		l = &c->entries[c->head.nent++];
		*l = (struct kvm_cpuid_entry2){ .function = AMD_L1 };
	}
	if (l && !(l->ecx >> 16 & 0xff)) // data
		l->ecx = AMD_L1_CACHE;
	if (l && !(l->edx >> 16 & 0xff)) // instructions
		l->edx = AMD_L1_CACHE;
}

int cpuid_read(struct cpuid *c, int kvm_fd, struct err *e)
{
	c->head.nent = CPUID_MAX;
	if (ioctl(kvm_fd, KVM_GET_SUPPORTED_CPUID, &c->head) < 0)
		return err_sys(e, errno, "KVM_GET_SUPPORTED_CPUID");
	return 0;
}

int cpuid_settle(struct cpuid *c, const char *model, const struct cpu_topology *t,
		 const struct cpuid_host *host, struct err *e)
{
	struct layout l = { .thread_bits = cpu_topology_thread_bits(t),
			    .package_bits = cpu_topology_package_bits(t),
			    .per_package = (unsigned)(t->cores * t->threads),
			    .threads = (unsigned)t->threads,
			    .deadline = host->deadline,
			    .ext_dest_id = host->ext_dest_id,
			    .topoext = is_amd(c) };
	int r;

	l.thread_ids = 1u << l.thread_bits;
	l.package_ids = 1u << l.package_bits;
	r = cpu_model_apply(model, c, e);
	if (r < 0)
		return r;
	if (l.topoext) {
		add_topoext(c);
		add_l1_caches(c);
	}
	add_core_level(c, 0xb);
	add_core_level(c, 0x1f);
	for (unsigned i = 0; i < c->head.nent; i++)
		set_common(&c->entries[i], &l);
	return 0;
}

void cpuid_set_id(struct cpuid *c, const struct cpu_topology *t, unsigned vcpu)
{
	uint32_t id = cpu_topology_apic_id(t, vcpu);

	for (unsigned i = 0; i < c->head.nent; i++) {
		struct kvm_cpuid_entry2 *f = &c->entries[i];

		if (f->function == 1) {
			f->ebx = (f->ebx & 0x00ffffffu) | id << 24;
		} else if (f->function == 0xb || f->function == 0x1f) {
			f->edx = id;
		} else if (f->function == AMD_TOPOLOGY) { // extended id, core, node
			f->eax = id;
			f->ebx = (id >> cpu_topology_thread_bits(t) & 0xff) |
				 ((unsigned)t->threads - 1) << 8;
			f->ecx = cpu_topology_package(t, vcpu) & 0xff;
		}
	}
}

struct kvm_cpuid_entry2 *cpuid_leaf(struct cpuid *c, uint32_t function, uint32_t index)
{
	for (unsigned i = 0; i < c->head.nent; i++) {
		struct kvm_cpuid_entry2 *l = &c->entries[i];

		if (l->function == function &&
		    (l->index == index || !(l->flags & KVM_CPUID_FLAG_SIGNIFCANT_INDEX)))
			return l;
	}
	return NULL;
}
