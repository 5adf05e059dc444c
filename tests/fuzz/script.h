/* An input as a row of small numbers; behind its end there are zeros. */
#ifndef TESTS_FUZZ_SCRIPT_H
#define TESTS_FUZZ_SCRIPT_H

#include "tests/fuzz/fuzz.h"

#include <errno.h>

struct script {
	const unsigned char *p, *end;
};

static inline unsigned take(struct script *s)
{
	return s->p < s->end ? *s->p++ : 0;
}

static inline uint64_t take_n(struct script *s, unsigned bytes)
{
	uint64_t v = 0;

	while (bytes--)
		v = v << 8 | take(s);
	return v;
}

#endif
