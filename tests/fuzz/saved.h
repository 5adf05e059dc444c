/*
 * Any device's saved state, made hostile: what is refused has changed nothing, and what a device
 * says after it has taken one, it takes again.
 */
#ifndef TESTS_FUZZ_SAVED_H
#define TESTS_FUZZ_SAVED_H

#include "tests/fuzz/script.h"
#include "vmm/device.h"

static struct record *saved_of(struct device *d)
{
	struct record *r = calloc(1, sizeof(*r));

	d->ops->save(d, r);
	fuzz_check(!r->failed);
	return r;
}

static bool saved_same(const struct record *a, const struct record *b)
{
	return a->len == b->len && !memcmp(a->data, b->data, a->len);
}

/* Some bytes of it changed, cut off, or added; the script says which. */
static void saved_spoil(struct record *r, struct script *s)
{
	for (unsigned n = take(s) % 4; n && r->len; n--)
		r->data[take_n(s, 2) % r->len] = (unsigned char)take(s);
	if (take(s) & 1)
		r->len = take_n(s, 2) % (r->len + 9);
}

/* The device stands still: paused, if that is something that it does. */
__attribute__((unused)) static void saved_reload(struct device *d, struct script *s)
{
	struct record *before = saved_of(d), *spoilt = calloc(1, sizeof(*spoilt)), *after;
	struct err e = { 0 };
	int rc;

	*spoilt = *before;
	saved_spoil(spoilt, s);
	rc = d->ops->load(d, spoilt, &e);
	after = saved_of(d);
	if (rc < 0)
		fuzz_check(rc == -EINVAL && *e.text && saved_same(before, after));
	else
		fuzz_check(d->ops->load(d, after, &e) == 0);
	free(before);
	free(spoilt);
	free(after);
}

#endif
