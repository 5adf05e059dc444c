/* The search tree of a system call filter, run as the kernel runs it, number by number. */
#include "backends/host/callfilter.h"

#include <stdlib.h>
#include <string.h>

#include "tests/unit/tap.h"

#define KINDS	3
#define NUMBERS 300

static void emit(struct callfilter *f, unsigned answer, const void *arg)
{
	callfilter_return(f, 1000 + answer);
}

/* What the program returns for the number; 0: it runs out, or does what it should not. */
static uint32_t run(const struct callfilter *f, uint32_t number)
{
	for (size_t at = 0; at < f->n;) {
		const struct sock_filter *i = &f->code[at++];

		if (i->code == (BPF_RET | BPF_K))
			return i->k;
		if (i->code == (BPF_JMP | BPF_JGE | BPF_K))
			at += number >= i->k ? i->jt : i->jf;
		else if (i->code == (BPF_JMP | BPF_JEQ | BPF_K))
			at += number == i->k ? i->jt : i->jf;
		else
			return 0;
	}
	return 0;
}

static size_t wrong(const unsigned char *of, unsigned count, size_t *ret_length)
{
	struct callfilter_answers a = { of, count, KINDS, emit, NULL };
	struct callfilter f;
	size_t bad = 0;

	callfilter_init(&f);
	callfilter_search(&f, &a);
	if (f.overflow)
		bad++;
	for (uint32_t number = 0; number < 2 * count; number++)
		bad += run(&f, number) != 1000u + of[number < count ? number : count - 1];
	bad += run(&f, UINT32_MAX) != 1000u + of[count - 1];
	*ret_length = f.n - KINDS;
	return bad;
}

/* Runs of this many numbers at most, each with another answer than the one before. */
static void fill(unsigned char *of, unsigned longest)
{
	unsigned char answer = 0;

	for (unsigned nr = 0; nr < NUMBERS;) {
		unsigned length = 1 + (unsigned)random() % longest;

		answer = (unsigned char)((answer + 1 + random() % (KINDS - 1)) % KINDS);
		for (; length && nr < NUMBERS; length--)
			of[nr++] = answer;
	}
}

static void test_random(void)
{
	unsigned char of[NUMBERS];
	size_t bad = 0, longer = 0, length;

	for (int i = 0; i < 500; i++) {
		unsigned runs = 1;

		srandom((unsigned)i);
		fill(of, 4 + (unsigned)i % 40);
		for (unsigned nr = 1; nr < NUMBERS; nr++)
			runs += of[nr] != of[nr - 1];
		bad += wrong(of, NUMBERS, &length);
		longer += length > runs - 1;
	}
	ok(bad == 0, "500 tables at random: %zu answers are wrong", bad);
	ok(longer == 0, "none takes more comparisons than it has changes of the answer");
}

static void test_small(void)
{
	unsigned char of[20] = { 0 };
	size_t length;

	of[7] = 1;
	ok(wrong(of, 20, &length) == 0 && length == 1, "one number alone is one comparison");
	of[0] = of[9] = 2;
	ok(wrong(of, 20, &length) == 0 && length == 3, "three are three");
	memset(of, 0, sizeof(of));
	of[19] = 1;
	ok(wrong(of, 20, &length) == 0 && length == 1,
	   "the last one stands for all that are higher");
	memset(of + 10, 1, 10);
	ok(wrong(of, 20, &length) == 0 && length == 1, "two halves are one comparison");
}

int main(void)
{
	test_random();
	test_small();
	return tap_done();
}
