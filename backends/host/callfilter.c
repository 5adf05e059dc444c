/* A system call filter as a search tree: see callfilter.h. */
#include "backends/host/callfilter.h"

#include <limits.h>
#include <linux/seccomp.h>
#include <string.h>

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

/*
 * Numbers fall into runs of one answer each, and these into stretches: runs in a row, most of whose
 * numbers have one answer, and so few another that each of these is compared for itself. The tree
 * is one of stretches: where a number stands alone that is one comparison, and not one on either
 * side.
 */
struct search {
	struct callfilter *filter;
	const struct callfilter_answers *answers;
	unsigned short runs[CALLFILTER_NUMBERS];      /* their first numbers */
	unsigned short stretches[CALLFILTER_NUMBERS]; /* their first runs, and the end */
	unsigned nruns, nstretches;
	struct leaf leaves[CALLFILTER_NUMBERS];
	size_t nleaves;
};

#define EXCEPTIONS_MAX 3 /* in a stretch: they are compared one after the other */

static unsigned char run_answer(const struct search *s, unsigned run)
{
	return s->answers->of[s->runs[run]];
}

/* The last one goes on for ever: no exception. */
static unsigned run_length(const struct search *s, unsigned run)
{
	return run + 1 < s->nruns ? s->runs[run + 1] - s->runs[run] : CALLFILTER_NUMBERS;
}

/* Of some runs: how many numbers have which answer, and which one most have. */
struct tally {
	unsigned have[UCHAR_MAX + 1], all;
	unsigned char most;
};

static void tally_begin(struct tally *t, const struct search *s)
{
	memset(t->have, 0, s->answers->kinds * sizeof(t->have[0]));
	t->all = 0;
	t->most = 0;
}

static void tally_add(struct tally *t, const struct search *s, unsigned run)
{
	const unsigned char answer = run_answer(s, run);

	t->all += run_length(s, run);
	t->have[answer] += run_length(s, run);
	if (t->have[answer] > t->have[t->most])
		t->most = answer;
}

static unsigned tally_others(const struct tally *t)
{
	return t->all - t->have[t->most];
}

static void find_runs(struct search *s)
{
	const struct callfilter_answers *a = s->answers;

	for (unsigned nr = 0; nr < a->count; nr++)
		if (nr == 0 || a->of[nr] != a->of[nr - 1])
			s->runs[s->nruns++] = (unsigned short)nr;
}

/* Such that there are as few comparisons as can be: one for each stretch and each exception. */
static void find_stretches(struct search *s)
{
	unsigned short cost[CALLFILTER_NUMBERS + 1], first[CALLFILTER_NUMBERS + 1];
	unsigned at = CALLFILTER_NUMBERS - 1;
	struct tally t;

	cost[0] = first[0] = 0;
	for (unsigned end = 1; end <= s->nruns; end++) {
		cost[end] = USHRT_MAX;
		tally_begin(&t, s);
		for (unsigned run = end; run-- > 0;) {
			tally_add(&t, s, run);
			if (tally_others(&t) > EXCEPTIONS_MAX)
				break;
			if (cost[run] + 1 + tally_others(&t) >= cost[end])
				continue;
			cost[end] = (unsigned short)(cost[run] + 1 + tally_others(&t));
			first[end] = (unsigned short)run;
		}
	}
	s->stretches[at] = (unsigned short)s->nruns;
	for (unsigned end = s->nruns; end > 0; end = first[end])
		s->stretches[--at] = first[end];
	s->nstretches = CALLFILTER_NUMBERS - 1 - at;
	memmove(s->stretches, s->stretches + at, (s->nstretches + 1) * sizeof(s->stretches[0]));
}

static void search_leaf(struct search *s, size_t at, bool holds, unsigned char answer)
{
	s->leaves[s->nleaves++] = (struct leaf){ (unsigned short)at, holds, answer };
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

/* Where the jump at `at` has decided for this stretch; its exceptions are compared here. */
static void stretch_emit(struct search *s, unsigned stretch, size_t at, bool holds)
{
	const unsigned first = s->stretches[stretch], end = s->stretches[stretch + 1];
	struct callfilter *f = s->filter;
	struct tally t;

	tally_begin(&t, s);
	for (unsigned run = first; run < end; run++)
		tally_add(&t, s, run);
	if (tally_others(&t) && at != f->n)
		jump_set(f, at, holds, f->n);
	for (unsigned run = first; tally_others(&t) && run < end; run++) {
		unsigned char answer = run_answer(s, run);

		for (unsigned i = 0; answer != t.most && i < run_length(s, run); i++) {
			at = f->n;
			holds = false;
			callfilter_jump(f, BPF_JEQ, s->runs[run] + i, 0, 0);
			search_leaf(s, at, true, answer);
		}
	}
	search_leaf(s, at, holds, t.most);
}

/* Among the stretches from first on, for which the jump at `at` has decided. */
static void search_emit(struct search *s, unsigned first, unsigned count, size_t at, bool holds)
{
	unsigned half = count / 2;
	struct callfilter *f = s->filter;

	if (count == 1) {
		stretch_emit(s, first, at, holds);
		return;
	}
	if (at != f->n)
		jump_set(f, at, holds, f->n);
	at = f->n;
	callfilter_jump(f, BPF_JGE, s->runs[s->stretches[first + half]], 0, 0);
	search_emit(s, first, half, at, false);
	search_emit(s, first + half, count - half, at, true);
}

void callfilter_search(struct callfilter *f, const struct callfilter_answers *a)
{
	struct search s;

	s.filter = f;
	s.answers = a;
	s.nruns = 0;
	s.nleaves = 0;
	find_runs(&s);
	find_stretches(&s);
	search_emit(&s, 0, s.nstretches, f->n, false);
	for (unsigned answer = 0; answer < a->kinds; answer++) {
		for (size_t i = 0; i < s.nleaves; i++)
			if (s.leaves[i].answer == answer)
				jump_set(f, s.leaves[i].at, s.leaves[i].holds, f->n);
		a->emit(f, answer, a->arg);
	}
}
