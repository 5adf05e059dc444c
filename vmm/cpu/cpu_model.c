/* cpu_model: see cpu_model.h. */
#include "vmm/cpu/cpu_model.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "vmm/cpu/cpu_flags.h"
#include "vmm/cpu/cpuid.h"

/* Leaves after these say more about the host's hardware than a model can promise. */
#define LEVEL_MAX     0xdu
#define LEVEL_EXT_MAX 0x80000021u

#define EXT_EDX_MIRROR 0x0183f3ffu

/* Without vme, which the levels do not ask for and firmware masks on some AMD processors. */
#define PSABI_V1                                                                           \
	"fpu de pse tsc msr pae mce cx8 apic sep mtrr pge mca cmov pat pse36 clflush mmx " \
	"fxsr sse sse2 syscall nx lm arat "
#define PSABI_V2 PSABI_V1 "pni ssse3 sse4_1 sse4_2 cx16 popcnt lahf_lm "
#define PSABI_V3 PSABI_V2 "xsave avx avx2 bmi1 bmi2 f16c fma abm movbe "
#define PSABI_V4 PSABI_V3 "avx512f avx512bw avx512cd avx512dq avx512vl "

#define NEHALEM	    PSABI_V2
#define SANDYBRIDGE NEHALEM "aes pclmulqdq avx xsave xsaveopt rdtscp "
#define HASWELL \
	SANDYBRIDGE "avx2 bmi1 bmi2 f16c fma abm movbe rdrand fsgsbase smep erms invpcid pcid "
#define SKYLAKE_SERVER                                                                          \
	HASWELL "adx rdseed smap 3dnowprefetch clflushopt clwb pdpe1gb xsavec xgetbv1 avx512f " \
		"avx512bw avx512cd avx512dq avx512vl "
#define ICELAKE_SERVER                                                                        \
	SKYLAKE_SERVER                                                                        \
	"avx512vbmi avx512ifma avx512_vbmi2 avx512_vnni avx512_bitalg avx512_vpopcntdq gfni " \
	"vaes vpclmulqdq sha_ni umip rdpid wbnoinvd fsrm "
#define EPYC                                                                                    \
	PSABI_V3                                                                                \
	"aes pclmulqdq rdrand rdseed adx fsgsbase smep smap clflushopt sha_ni xsaveopt xsavec " \
	"xgetbv1 rdtscp pdpe1gb mmxext fxsr_opt cr8_legacy sse4a misalignsse 3dnowprefetch "
#define EPYC_ROME  EPYC "clwb umip rdpid wbnoinvd xsaveerptr clzero "
#define EPYC_MILAN EPYC_ROME "pcid invpcid erms fsrm "
#define EPYC_GENOA                                                                        \
	EPYC_MILAN                                                                        \
	"avx512f avx512bw avx512cd avx512dq avx512vl avx512ifma avx512vbmi avx512_vbmi2 " \
	"avx512_vnni avx512_bitalg avx512_vpopcntdq avx512_bf16 gfni vaes vpclmulqdq "

#define VENDOR_INTEL "GenuineIntel"
#define VENDOR_AMD   "AuthenticAMD"

/* Family, model, stepping, as leaf 1 has them in eax. */
#define SIGNATURE(family, model, stepping)                                 \
	(((family) > 15 ? (family)-15 : 0u) << 20 | ((model) >> 4) << 16 | \
	 ((family) > 15 ? 15u : (family)) << 8 | ((model)&15u) << 4 | (stepping))

struct model {
	const char *name;
	const char *brand;
	uint32_t intel; /* signature there, or 0: not a processor of that vendor */
	uint32_t amd;
	const char *flags; /* NULL: what the host has */
};

/* A level is given the signature of the first processors that had all of it. */
static const struct model models[] = {
	{ "host", NULL, 0, 0, NULL },
	{ "x86-64-v2", "x86-64-v2 processor", SIGNATURE(6u, 0x1au, 3u), SIGNATURE(0x15u, 1u, 2u),
	  PSABI_V2 },
	{ "x86-64-v3", "x86-64-v3 processor", SIGNATURE(6u, 0x3cu, 3u), SIGNATURE(0x17u, 1u, 2u),
	  PSABI_V3 },
	{ "x86-64-v4", "x86-64-v4 processor", SIGNATURE(6u, 0x55u, 4u), SIGNATURE(0x19u, 0x11u, 1u),
	  PSABI_V4 },
	{ "Nehalem", "Intel Core i7 9xx (Nehalem)", SIGNATURE(6u, 0x1au, 3u), 0, NEHALEM },
	{ "SandyBridge", "Intel Xeon E312xx (Sandy Bridge)", SIGNATURE(6u, 0x2au, 1u), 0,
	  SANDYBRIDGE },
	{ "Haswell", "Intel Core Processor (Haswell, no TSX)", SIGNATURE(6u, 0x3cu, 1u), 0,
	  HASWELL },
	{ "Skylake-Server", "Intel Xeon Processor (Skylake)", SIGNATURE(6u, 0x55u, 4u), 0,
	  SKYLAKE_SERVER },
	{ "Icelake-Server", "Intel Xeon Processor (Icelake)", SIGNATURE(6u, 0x6au, 6u), 0,
	  ICELAKE_SERVER },
	{ "EPYC", "AMD EPYC Processor", 0, SIGNATURE(0x17u, 1u, 2u), EPYC },
	{ "EPYC-Rome", "AMD EPYC-Rome Processor", 0, SIGNATURE(0x17u, 0x31u, 0u), EPYC_ROME },
	{ "EPYC-Milan", "AMD EPYC-Milan Processor", 0, SIGNATURE(0x19u, 1u, 1u), EPYC_MILAN },
	{ "EPYC-Genoa", "AMD EPYC-Genoa Processor", 0, SIGNATURE(0x19u, 0x11u, 0u), EPYC_GENOA },
};

#define MODELS (sizeof(models) / sizeof(models[0]))
#define NAMES                                                                                    \
	"host, x86-64-v2, x86-64-v3, x86-64-v4, Nehalem, SandyBridge, Haswell, Skylake-Server, " \
	"Icelake-Server, EPYC, EPYC-Rome, EPYC-Milan, EPYC-Genoa"

const char *cpu_model_names(void)
{
	return NAMES;
}

/* ---- words ---- */

/* The next word at *at: its length, 0 at the end; *at is then where it begins. */
static size_t next_word(const char **at)
{
	*at += strspn(*at, " \t");
	return strcspn(*at, " \t");
}

static const struct model *model_find(const char *name, size_t len)
{
	for (size_t i = 0; i < MODELS; i++)
		if (strlen(models[i].name) == len && memcmp(models[i].name, name, len) == 0)
			return &models[i];
	return NULL;
}

/* What a setting asks for. */
struct wish {
	const struct model *model;
	bool has[CPU_FLAGS_MAX];   /* the model's, then as the words say */
	bool plus[CPU_FLAGS_MAX];  /* asked for by a word */
	bool minus[CPU_FLAGS_MAX]; /* likewise not wanted */
};

static unsigned flag_index(const struct cpu_flag *f)
{
	return (unsigned)(f - cpu_flags);
}

static void wish_take_list(struct wish *w, const char *list)
{
	size_t len;

	for (; (len = next_word(&list)) > 0; list += len) {
		const struct cpu_flag *f = cpu_flag_find(list, (unsigned)len);

		if (f) // a unit test sees to it that there is none without
			w->has[flag_index(f)] = true;
	}
}

static int wish_parse(struct wish *w, const char *text, struct err *e)
{
	size_t len = next_word(&text);

	memset(w, 0, sizeof(*w));
	w->model = model_find(text, len);
	if (!w->model)
		return err_set(e, -EINVAL, "\"%.*s\" is not a model; there are " NAMES, (int)len,
			       text);
	if (w->model->flags)
		wish_take_list(w, w->model->flags);
	for (text += len; (len = next_word(&text)) > 0; text += len) {
		const struct cpu_flag *f;

		if (*text != '+' && *text != '-')
			return err_set(e, -EINVAL, "\"%.*s\" is neither +FLAG nor -FLAG", (int)len,
				       text);
		f = cpu_flag_find(text + 1, (unsigned)len - 1);
		if (!f)
			return err_set(e, -EINVAL, "\"%.*s\" is not a flag that this version knows",
				       (int)len - 1, text + 1);
		w->plus[flag_index(f)] = *text == '+';
		w->minus[flag_index(f)] = *text == '-';
		w->has[flag_index(f)] = *text == '+';
	}
	return 0;
}

int cpu_model_check(const char *text, struct err *e)
{
	struct wish w;

	return wish_parse(&w, text, e);
}

/* ---- what CPUID then says ---- */

static uint32_t *flag_word(struct cpuid *c, const struct cpu_flag *f)
{
	struct kvm_cpuid_entry2 *l = cpuid_leaf(c, f->function, f->index);

	if (!l)
		return NULL;
	switch (f->reg) {
	case CPU_EAX:
		return &l->eax;
	case CPU_EBX:
		return &l->ebx;
	case CPU_ECX:
		return &l->ecx;
	default:
		return &l->edx;
	}
}

static bool flag_supported(struct cpuid *c, const struct cpu_flag *f)
{
	const uint32_t *word = flag_word(c, f);

	return word && (*word >> f->bit & 1);
}

/* Which flags the guest gets, from what the host has and what is wished. */
static int wish_settle(struct wish *w, struct cpuid *c, struct err *e)
{
	bool again = true;

	for (unsigned i = 0; i < cpu_flag_count; i++) {
		bool host = flag_supported(c, &cpu_flags[i]);

		if (w->has[i] && !host)
			return err_set(e, -ENXIO, "cpu.model: this host has no %s%s%s",
				       cpu_flags[i].name, w->plus[i] ? "" : ", which is part of ",
				       w->plus[i] ? "" : w->model->name);
		if (!w->minus[i] && (!w->model->flags || cpu_flags[i].always))
			w->has[i] |= host;
	}
	while (again) { // what needs a flag that is gone goes, too
		again = false;
		for (unsigned i = 0; i < cpu_flag_count; i++) {
			const char *need = cpu_flags[i].needs;

			if (!need || !w->has[i] ||
			    w->has[flag_index(cpu_flag_find(need, (unsigned)strlen(need)))])
				continue;
			if (w->plus[i])
				return err_set(e, -EINVAL, "cpu.model: +%s needs %s",
					       cpu_flags[i].name, need);
			w->has[i] = false;
			again = true;
		}
	}
	return 0;
}

/* Every word that holds flags: the model's own bits alone, but for `host`. */
static void words_write(const struct wish *w, struct cpuid *c)
{
	for (unsigned i = 0; w->model->flags && i < cpu_flag_count; i++) {
		uint32_t *word = flag_word(c, &cpu_flags[i]);

		if (word && cpu_flags[i].function != 0x40000001)
			*word = 0;
	}
	for (unsigned i = 0; i < cpu_flag_count; i++) {
		uint32_t *word = flag_word(c, &cpu_flags[i]);

		if (!word)
			continue;
		*word &= ~(1u << cpu_flags[i].bit);
		*word |= (uint32_t)w->has[i] << cpu_flags[i].bit;
	}
}

/* AMD's leaf 0x80000001 says once more what leaf 1 says of the oldest features. */
static void mirror_write(struct cpuid *c)
{
	const struct kvm_cpuid_entry2 *l1 = cpuid_leaf(c, 1, 0);
	struct kvm_cpuid_entry2 *ext1 = cpuid_leaf(c, 0x80000001, 0);

	if (l1 && ext1 && ext1->eax) // a signature is there on AMD's only
		ext1->edx |= l1->edx & EXT_EDX_MIRROR;
}

/* Parts of the extended state, and the flag for which each is (XCR0 and IA32_XSS). */
static const struct {
	uint32_t bits;
	const char *flag;
} states[] = {
	{ 0x00000004, "avx" }, { 0x00000018, "mpx" },	   { 0x000000e0, "avx512f" },
	{ 0x00000200, "pku" }, { 0x00060000, "amx_tile" },
};

static void state_narrow(const struct wish *w, struct cpuid *c)
{
	struct kvm_cpuid_entry2 *d0 = cpuid_leaf(c, 0xd, 0), *d1 = cpuid_leaf(c, 0xd, 1);
	uint32_t drop = 0, all = 3;
	unsigned n = 0;

	for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++) {
		const struct cpu_flag *f =
			cpu_flag_find(states[i].flag, (unsigned)strlen(states[i].flag));

		all |= states[i].bits;
		drop |= w->has[flag_index(f)] ? 0 : states[i].bits;
	}
	if (w->model->flags && d0) {
		d0->eax &= all;
		d0->edx = 0;
	}
	if (d0)
		d0->eax &= ~drop;
	if (w->model->flags && d1) // no supervisor state is part of a model
		d1->ecx = d1->edx = 0;
	for (unsigned i = 0; d0 && i < c->head.nent; i++) {
		const struct kvm_cpuid_entry2 *l = &c->entries[i];
		bool gone = l->function == 0xd && l->index >= 2 && l->index < 32 &&
			    !(d0->eax >> l->index & 1) && (w->model->flags || drop >> l->index & 1);

		if (!gone)
			c->entries[n++] = *l;
	}
	if (d0)
		c->head.nent = n;
}

static bool vendor_is(struct cpuid *c, const char *name)
{
	const struct kvm_cpuid_entry2 *l = cpuid_leaf(c, 0, 0);

	return l && !memcmp(&l->ebx, name, 4) && !memcmp(&l->edx, name + 4, 4) &&
	       !memcmp(&l->ecx, name + 8, 4);
}

/* Leaves 0x80000002 to 4 hold 48 bytes of text. */
static void brand_write(struct cpuid *c, const char *brand)
{
	char text[48] = "";

	memcpy(text, brand, strlen(brand) < sizeof(text) ? strlen(brand) : sizeof(text) - 1);
	for (unsigned i = 0; i < 3; i++) {
		struct kvm_cpuid_entry2 *l = cpuid_leaf(c, 0x80000002 + i, 0);

		if (!l)
			continue;
		memcpy(&l->eax, text + 16 * i, 4);
		memcpy(&l->ebx, text + 16 * i + 4, 4);
		memcpy(&l->ecx, text + 16 * i + 8, 4);
		memcpy(&l->edx, text + 16 * i + 12, 4);
	}
}

/* What is no flag: who made it, what it is called, which leaves there are. */
static int identity_write(const struct model *m, struct cpuid *c, struct err *e)
{
	bool amd = vendor_is(c, VENDOR_AMD) || vendor_is(c, "HygonGenuine");
	struct kvm_cpuid_entry2 *l0 = cpuid_leaf(c, 0, 0), *l1 = cpuid_leaf(c, 1, 0);
	struct kvm_cpuid_entry2 *ext = cpuid_leaf(c, 0x80000000, 0);
	struct kvm_cpuid_entry2 *ext1 = cpuid_leaf(c, 0x80000001, 0);
	unsigned n = 0;

	if (!l0 || !l1 || !ext || !ext1)
		return err_set(e, -ENXIO, "cpu.model: this host's KVM offers only the model host");
	if (!(amd ? m->amd : m->intel))
		return err_set(e, -ENXIO, "cpu.model: %s is %s processor, this host's is not",
			       m->name, m->amd ? "an AMD" : "an Intel");
	l0->eax = l0->eax < LEVEL_MAX ? l0->eax : LEVEL_MAX;
	l1->eax = amd ? m->amd : m->intel;
	ext->eax = ext->eax < LEVEL_EXT_MAX ? ext->eax : LEVEL_EXT_MAX;
	ext1->eax = amd ? m->amd : 0;
	brand_write(c, m->brand);
	for (unsigned i = 0; i < c->head.nent; i++) {
		const struct kvm_cpuid_entry2 *l = &c->entries[i];
		bool performance = l->function == 0xa; // counters are the host's own kind

		if (performance || (l->function > LEVEL_MAX && l->function < 0x40000000) ||
		    l->function > LEVEL_EXT_MAX)
			continue;
		c->entries[n++] = *l;
	}
	c->head.nent = n;
	return 0;
}

int cpu_model_apply(const char *text, struct cpuid *c, struct err *e)
{
	struct wish w;
	int r = wish_parse(&w, text, e);

	if (r < 0)
		return err_prefix(e, "cpu.model: "), r;
	if (w.model->flags)
		r = identity_write(w.model, c, e);
	if (r == 0)
		r = wish_settle(&w, c, e);
	if (r < 0)
		return r;
	words_write(&w, c);
	if (w.model->flags)
		mirror_write(c);
	state_narrow(&w, c);
	return 0;
}
