/* A system call filter as a search tree: see callfilter.h. */
#include "backends/host/callfilter.h"

#include <linux/seccomp.h>

void callfilter_init(struct callfilter *f)
{
	f->n = 0;
	f->overflow = false;
}

void callfilter_emit(struct callfilter *f, struct sock_filter instruction)
{
	if (f->n < CALLFILTER_MAX)
		f->code[f->n++] = instruction;
	else
		f->overflow = true;
}

void callfilter_load(struct callfilter *f, size_t offset)
{
	callfilter_emit(f,
			(struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)offset));
}

void callfilter_return(struct callfilter *f, uint32_t value)
{
	callfilter_emit(f, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, value));
}

void callfilter_jump(struct callfilter *f, unsigned op, uint32_t k, unsigned yes, unsigned no)
{
	callfilter_emit(f, (struct sock_filter)BPF_JUMP((__u16)(BPF_JMP | op | BPF_K), k, (__u8)yes,
							(__u8)no));
}

/* A jump of the search that ends it, with what it found. */
struct leaf {
	unsigned short at;
	bool holds; /* where the jump's condition does */
	unsigned char answer;
};

struct search {
	struct callfilter *filter;
	const struct callfilter_answers *answers;
	unsigned short starts[CALLFILTER_NUMBERS]; /* of the runs */
	struct leaf leaves[CALLFILTER_NUMBERS];
	size_t nleaves;
};

static void search_leaf(struct search *s, size_t at, bool holds, unsigned run)
{
	s->leaves[s->nleaves++] =
		(struct leaf){ (unsigned short)at, holds, s->answers->of[s->starts[run]] };
}

/* Conditional jumps reach 255 instructions; a tree that is longer must not be cut. */
static void jump_set(struct callfilter *f, size_t at, bool holds, size_t to)
{
	size_t distance = to - at - 1;

	if (f->overflow || distance > 255)
		f->overflow = true;
	else if (holds)
		f->code[at].jt = (__u8)distance;
	else
		f->code[at].jf = (__u8)distance;
}

/* Among the runs from first on, two at least. */
static void search_emit(struct search *s, unsigned first, unsigned count)
{
	unsigned half = count / 2;
	struct callfilter *f = s->filter;
	size_t at = f->n;

	callfilter_jump(f, BPF_JGE, s->starts[first + half], 0, 0);
	if (half == 1)
		search_leaf(s, at, false, first);
	else
		search_emit(s, first, half);
	if (count - half == 1) {
		search_leaf(s, at, true, first + half);
	} else {
		jump_set(f, at, true, f->n);
		search_emit(s, first + half, count - half);
	}
}

void callfilter_search(struct callfilter *f, const struct callfilter_answers *a)
{
	struct search s;
	unsigned count = 0;

	s.filter = f;
	s.answers = a;
	s.nleaves = 0;
	for (unsigned nr = 0; nr < a->count; nr++)
		if (nr == 0 || a->of[nr] != a->of[nr - 1])
			s.starts[count++] = (unsigned short)nr;
	search_emit(&s, 0, count);
	for (unsigned answer = 0; answer < a->kinds; answer++) {
		for (size_t i = 0; i < s.nleaves; i++)
			if (s.leaves[i].answer == answer)
				jump_set(f, s.leaves[i].at, s.leaves[i].holds, f->n);
		a->emit(f, answer, a->arg);
	}
}
