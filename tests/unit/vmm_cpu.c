/* cpu.model and cpu.topology: what CPUID says, on hosts that are made up here. */
#include "tests/unit/tap.h"

#include <errno.h>
#include <string.h>

#include "vmm/cpu/cpu_flags.h"
#include "vmm/cpu/cpu_model.h"
#include "vmm/cpu/cpuid.h"

/* ---- hosts ---- */

static struct kvm_cpuid_entry2 *add(struct cpuid *c, uint32_t function, uint32_t index)
{
	struct kvm_cpuid_entry2 *l = &c->entries[c->head.nent++];
	bool sub = function == 4 || function == 7 || function == 0xb || function == 0xd ||
		   function == 0x8000001d;

	*l = (struct kvm_cpuid_entry2){ .function = function,
					.index = index,
					.flags = sub ? KVM_CPUID_FLAG_SIGNIFCANT_INDEX : 0 };
	return l;
}

static void vendor(struct kvm_cpuid_entry2 *l, const char *name)
{
	memcpy(&l->ebx, name, 4);
	memcpy(&l->edx, name + 4, 4);
	memcpy(&l->ecx, name + 8, 4);
}

static void flag_set(struct cpuid *c, const struct cpu_flag *f, bool on)
{
	struct kvm_cpuid_entry2 *l = cpuid_leaf(c, f->function, f->index);
	uint32_t *word[] = { &l->eax, &l->ebx, &l->ecx, &l->edx };

	*word[f->reg] &= ~(1u << f->bit);
	*word[f->reg] |= (uint32_t)on << f->bit;
}

static bool has(struct cpuid *c, const char *name)
{
	const struct cpu_flag *f = cpu_flag_find(name, (unsigned)strlen(name));
	struct kvm_cpuid_entry2 *l = f ? cpuid_leaf(c, f->function, f->index) : NULL;
	uint32_t word[] = { l ? l->eax : 0, l ? l->ebx : 0, l ? l->ecx : 0, l ? l->edx : 0 };

	if (!f)
		printf("# no flag %s\n", name);
	return l && (word[f->reg] >> f->bit & 1);
}

/* A host with every flag of the table but those named. */
static void host(struct cpuid *c, bool amd, const char *without)
{
	memset(c, 0, sizeof(*c));
	vendor(add(c, 0, 0), amd ? "AuthenticAMD" : "GenuineIntel");
	cpuid_leaf(c, 0, 0)->eax = 0x1f;
	add(c, 1, 0)->eax = 0x00b40f40; // a family that no model has
	add(c, 4, 0)->eax = 1 | 1 << 5;
	add(c, 4, 1)->eax = 3 | 3 << 5;
	add(c, 6, 0);
	for (unsigned i = 0; i < 3; i++)
		add(c, 7, i);
	add(c, 0xa, 0)->eax = 0x08300802;
	add(c, 0xb, 0);
	add(c, 0xd, 0)->eax = 0x000602e7;
	add(c, 0xd, 1)->ecx = 0x1800;
	add(c, 0xd, 2)->eax = 256; // AVX
	add(c, 0xd, 5)->eax = 64;  // AVX-512
	add(c, 0xd, 9)->eax = 8;
	add(c, 0x14, 0)->ebx = 0xff;
	add(c, 0x80000000, 0)->eax = 0x80000022;
	add(c, 0x80000001, 0)->ecx = 1u << 22;
	for (unsigned i = 2; i <= 4; i++)
		add(c, 0x80000000 + i, 0);
	add(c, 0x80000007, 0);
	add(c, 0x80000008, 0)->eax = 48;
	add(c, 0x8000001d, 0)->eax = 1 | 1 << 5;
	add(c, 0x8000001d, 3)->eax = 3 | 3 << 5;
	add(c, 0x8000001e, 0);
	add(c, 0x80000021, 0);
	add(c, 0x80000022, 0)->eax = 1;
	add(c, 0x40000000, 0)->eax = 0x40000001;
	add(c, 0x40000001, 0)->eax = 1u << 31; // a feature that is not in the table
	for (unsigned i = 0; i < cpu_flag_count; i++)
		flag_set(c, &cpu_flags[i], true);
	for (size_t n; *without; without += n) {
		without += strspn(without, " ");
		n = strcspn(without, " ");
		if (n)
			flag_set(c, cpu_flag_find(without, (unsigned)n), false);
	}
}

/* ---- the tables ---- */

static void test_tables(void)
{
	unsigned bad = 0, clashes = 0;

	for (unsigned i = 0; i < cpu_flag_count; i++) {
		const struct cpu_flag *a = &cpu_flags[i];

		bad += a->bit > 31 || cpu_flag_find(a->name, (unsigned)strlen(a->name)) != a ||
		       (a->needs && !cpu_flag_find(a->needs, (unsigned)strlen(a->needs)));
		for (unsigned j = 0; j < i; j++)
			clashes += a->function == cpu_flags[j].function &&
				   a->index == cpu_flags[j].index && a->reg == cpu_flags[j].reg &&
				   a->bit == cpu_flags[j].bit;
	}
	ok(bad == 0 && clashes == 0, "%u flags, each with a bit of its own", cpu_flag_count);
}

static void test_words(void)
{
	static const struct {
		const char *text, *sentence; /* NULL: accepted */
	} cases[] = {
		{ "host", NULL },
		{ "  x86-64-v2  +aes\t-sse4_2 ", NULL },
		{ "EPYC-Milan -pcid", NULL },
		{ "", "\"\" is not a model; there are host, x86-64-v2" },
		{ "pentium", "\"pentium\" is not a model" },
		{ "hos", "\"hos\" is not a model" },
		{ "host avx", "\"avx\" is neither +FLAG nor -FLAG" },
		{ "host +warp", "\"warp\" is not a flag" },
		{ "host +", "\"\" is not a flag" },
	};
	struct err e;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int r = cpu_model_check(cases[i].text, &e);

		ok(cases[i].sentence ? r == -EINVAL && strstr(e.text, cases[i].sentence) == e.text
				     : r == 0,
		   "\"%s\": %s", cases[i].text, r < 0 ? e.text : "accepted");
	}
}

/* ---- models ---- */

static const struct cpuid_host new = { true, true }, old = { false, false };

static int apply(struct cpuid *c, const char *text, struct err *e)
{
	static const struct cpu_topology one = { 1, 1, 1 };

	*e = (struct err){ 0 };
	return cpuid_settle(c, text, &one, &new, e);
}

/* Every name that the documentation gives is a model that one vendor's best host can be. */
static void test_models(void)
{
	char names[400], *save, *name;
	struct cpuid c;
	struct err e;

	snprintf(names, sizeof(names), "%s", cpu_model_names());
	for (name = strtok_r(names, ", ", &save); name; name = strtok_r(NULL, ", ", &save)) {
		bool amd = strncmp(name, "EPYC", 4) == 0, lm, kvm;
		int r;

		host(&c, amd, "");
		r = apply(&c, name, &e);
		lm = has(&c, "lm") && has(&c, "fpu") && has(&c, "sse2") && has(&c, "cx16");
		kvm = has(&c, "kvmclock") && has(&c, "kvm_pv_eoi") && has(&c, "ibpb") &&
		      cpuid_leaf(&c, 0x40000001, 0)->eax >> 31;
		ok(r == 0 && lm && kvm, "%s: %s", name, e.text);
	}
}

static void test_host(void)
{
	struct cpuid c, all;
	struct err e;

	host(&all, false, "avx512f");
	c = all;
	ok(apply(&c, "host", &e) == 0 && has(&c, "amx_tile") && has(&c, "mpx") &&
		   cpuid_leaf(&c, 1, 0)->eax == 0x00b40f40 && cpuid_leaf(&c, 0x14, 0) &&
		   cpuid_leaf(&c, 0xa, 0),
	   "host: all that the host has");
	ok(!has(&c, "avx512bw") && !(cpuid_leaf(&c, 0xd, 0)->eax & 0xe0) &&
		   cpuid_leaf(&c, 0xd, 2) && !cpuid_leaf(&c, 0xd, 5),
	   "what needs a flag that is not there goes too, with its state");
	ok(cpuid_leaf(&c, 1, 0)->ecx >> 31 && cpuid_leaf(&c, 1, 0)->ecx >> 24 & 1 &&
		   cpuid_leaf(&c, 1, 0)->ecx >> 21 & 1,
	   "hypervisor, deadline timer and x2APIC are always told");
	c = all;
	ok(apply(&c, "host -avx -ibpb -kvm_pv_eoi", &e) == 0 && !has(&c, "avx2") &&
		   !has(&c, "vaes") && !has(&c, "fma") && has(&c, "xsave") && !has(&c, "ibpb") &&
		   !has(&c, "kvm_pv_eoi") && has(&c, "kvmclock"),
	   "-avx takes with it what needs AVX, -FLAG works for every sort");
	c = all;
	ok(apply(&c, "host +avx512f", &e) == -ENXIO &&
		   !strcmp(e.text, "cpu.model: this host has no avx512f"),
	   "+FLAG that the host lacks: %s", e.text);
	c = all;
	ok(apply(&c, "host -avx -avx +avx", &e) == 0 && has(&c, "avx"), "the last word counts");
	c = all;
	ok(apply(&c, "host -avx +avx2", &e) == -EINVAL &&
		   !strcmp(e.text, "cpu.model: +avx2 needs avx"),
	   "+FLAG without what it needs: %s", e.text);
}

static void test_named(void)
{
	struct cpuid c, all;
	struct err e;

	host(&all, false, "");
	c = all;
	ok(apply(&c, "x86-64-v3 +aes -movbe", &e) == 0 && has(&c, "avx2") && has(&c, "aes") &&
		   !has(&c, "movbe") && !has(&c, "avx512f") && !has(&c, "vmx") &&
		   !has(&c, "amx_tile") && has(&c, "spec_ctrl"),
	   "a level: its flags, the words', the mitigations, no others");
	ok(cpuid_leaf(&c, 1, 0)->eax == 0x000306c3 && cpuid_leaf(&c, 0, 0)->eax == 0xd &&
		   !cpuid_leaf(&c, 0x14, 0) && !cpuid_leaf(&c, 0xa, 0) &&
		   !cpuid_leaf(&c, 0x80000022, 0),
	   "it is the same processor on every host");
	ok(cpuid_leaf(&c, 0xd, 0)->eax == 7 && cpuid_leaf(&c, 0xd, 1)->ecx == 0 &&
		   cpuid_leaf(&c, 0xd, 2) && !cpuid_leaf(&c, 0xd, 9),
	   "extended state is that of its flags");
	ok(!memcmp(&cpuid_leaf(&c, 0x80000002, 0)->eax, "x86-64-v3 proces", 16),
	   "its name is in the brand string");
	c = all;
	ok(apply(&c, "EPYC", &e) == -ENXIO && strstr(e.text, "EPYC is an AMD processor"),
	   "a processor of the other vendor: %s", e.text);
	host(&c, true, "");
	ok(apply(&c, "Haswell", &e) == -ENXIO && strstr(e.text, "Haswell is an Intel processor"),
	   "and the other way: %s", e.text);
	host(&c, true, "");
	ok(apply(&c, "EPYC-Rome", &e) == 0 && cpuid_leaf(&c, 1, 0)->eax == 0x00830f10 &&
		   cpuid_leaf(&c, 0x80000001, 0)->eax == 0x00830f10 &&
		   (cpuid_leaf(&c, 0x80000001, 0)->edx & 0x0183f3ff) ==
			   (cpuid_leaf(&c, 1, 0)->edx & 0x0183f3ff),
	   "EPYC-Rome is family 0x17, model 0x31");
	host(&c, true, "avx512cd");
	ok(apply(&c, "x86-64-v4", &e) == -ENXIO &&
		   !strcmp(e.text,
			   "cpu.model: this host has no avx512cd, which is part of x86-64-v4"),
	   "a host that lacks a flag of it: %s", e.text);
	host(&c, true, "avx512cd");
	ok(apply(&c, "x86-64-v4 -avx512cd", &e) == 0 && has(&c, "avx512f"),
	   "but without that flag");
	memset(&c, 0, sizeof(c));
	ok(apply(&c, "EPYC", &e) == -ENXIO, "a KVM that tells nothing: %s", e.text);
	ok(apply(&c, "host", &e) == 0, "which host can do without");
}

/* ---- topology ---- */

static void test_topology(void)
{
	static const struct cpu_topology automatic = { 0 }, given = { 2, 3, 2 };
	struct cpu_topology t;
	struct err e;
	uint32_t ids[12];
	bool same = true;

	ok(cpu_topology_settle(&automatic, 5, &t, &e) == 0 && t.sockets == 1 && t.cores == 5 &&
		   t.threads == 1,
	   "auto: one package");
	ok(cpu_topology_settle(&given, 5, &t, &e) == -EINVAL &&
		   strstr(e.text, "cpu.topology: it has places for 12 vCPUs, the machine has 5 "),
	   "another number: %s", e.text);
	ok(cpu_topology_settle(&given, 12, &t, &e) == 0, "2 x 3 x 2");
	for (unsigned i = 0; i < 12; i++)
		ids[i] = cpu_topology_apic_id(&t, i);
	for (unsigned i = 0; i < 12; i++)
		same &= ids[i] == (i < 6 ? i : i + 2);
	ok(same && cpu_topology_package(&t, 5) == 0 && cpu_topology_package(&t, 6) == 1,
	   "APIC ids have a gap where 3 is no power of two");
}

/* KVM before Linux 6.3 leaves it empty; Linux divides by its numbers of ways. */
static void test_l1_caches(void)
{
	static const struct cpu_topology one = { 1, 1, 1 };
	struct cpuid c;
	struct err e;

	host(&c, true, "");
	ok(cpuid_settle(&c, "host", &one, &new, &e) == 0 && cpuid_leaf(&c, 0x80000005, 0) &&
		   cpuid_leaf(&c, 0x80000005, 0)->ecx == 0x20080140 &&
		   cpuid_leaf(&c, 0x80000005, 0)->edx == 0x20080140,
	   "AMD's caches of level 1, where KVM says nothing of them");
	host(&c, true, "");
	add(&c, 0x80000005, 0)->edx = 0x40040140;
	ok(cpuid_settle(&c, "x86-64-v2", &one, &new, &e) == 0 &&
		   cpuid_leaf(&c, 0x80000005, 0)->ecx == 0x20080140 &&
		   cpuid_leaf(&c, 0x80000005, 0)->edx == 0x40040140,
	   "as KVM says, where it does");
	host(&c, false, "");
	ok(cpuid_settle(&c, "host", &one, &new, &e) == 0 && !cpuid_leaf(&c, 0x80000005, 0),
	   "no such leaf on Intel's");
}

static void test_topology_leaves(void)
{
	static const struct cpu_topology t = { 2, 3, 2 }, big = { 1, 300, 1 };
	struct cpuid c;
	struct err e;

	host(&c, true, "");
	ok(cpuid_settle(&c, "host", &t, &old, &e) == 0, "2 x 3 x 2 on AMD");
	cpuid_set_id(&c, &t, 9); // package 1, core 1, thread 1: id 8 + 2 + 1
	ok((cpuid_leaf(&c, 1, 0)->ebx >> 16) == (11u << 8 | 8) &&
		   cpuid_leaf(&c, 1, 0)->edx >> 28 & 1 && !(cpuid_leaf(&c, 1, 0)->ecx >> 24 & 1),
	   "leaf 1: id, ids of a package, HTT, no deadline timer where KVM has none");
	ok(cpuid_leaf(&c, 0xb, 0)->eax == 1 && cpuid_leaf(&c, 0xb, 0)->ebx == 2 &&
		   cpuid_leaf(&c, 0xb, 0)->ecx == 0x100 && cpuid_leaf(&c, 0xb, 1)->eax == 3 &&
		   cpuid_leaf(&c, 0xb, 1)->ebx == 6 && cpuid_leaf(&c, 0xb, 1)->ecx == 0x201 &&
		   cpuid_leaf(&c, 0xb, 1)->edx == 11,
	   "leaf 0xb: threads, cores, id");
	ok(cpuid_leaf(&c, 0x80000008, 0)->ecx == (5 | 3 << 12) &&
		   cpuid_leaf(&c, 0x8000001e, 0)->eax == 11 &&
		   cpuid_leaf(&c, 0x8000001e, 0)->ebx == (5 | 1 << 8) &&
		   cpuid_leaf(&c, 0x8000001e, 0)->ecx == 1 &&
		   cpuid_leaf(&c, 0x80000001, 0)->ecx >> 22 & 1,
	   "AMD's leaves");
	ok(cpuid_leaf(&c, 0x8000001d, 0)->eax >> 14 == 1 &&
		   cpuid_leaf(&c, 0x8000001d, 3)->eax >> 14 == 7 &&
		   cpuid_leaf(&c, 4, 0)->eax >> 14 == (1 | 3 << 12),
	   "caches: a core's and a package's");
	host(&c, false, "");
	ok(cpuid_settle(&c, "host", &big, &new, &e) == 0, "300 cores");
	cpuid_set_id(&c, &big, 299);
	ok(cpuid_leaf(&c, 0xb, 1)->edx == 299 && cpuid_leaf(&c, 0xb, 1)->eax == 9 &&
		   cpuid_leaf(&c, 1, 0)->ebx >> 24 == (299 & 255) &&
		   (cpuid_leaf(&c, 1, 0)->ebx >> 16 & 255) == 255,
	   "an id of more than 8 bits is in leaf 0xb whole");
}

int main(void)
{
	test_tables();
	test_words();
	test_models();
	test_host();
	test_named();
	test_topology();
	test_l1_caches();
	test_topology_leaves();
	return tap_done();
}
