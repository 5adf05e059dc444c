/* The kernel's list format. */
#include "tests/unit/tap.h"

#include <errno.h>
#include <string.h>

#include "backends/base/cpulist.h"

int main(void)
{
	static const struct {
		const char *in, *out; /* out NULL: refused */
	} cases[] = {
		{ "", "" },
		{ "0", "0" },
		{ "0-3,8", "0-3,8" },
		{ "8,0-3", "0-3,8" },
		{ "1,2,3", "1-3" },
		{ "5-5", "5" },
		{ "0-4095", "0-4095" },
		{ "63,64", "63-64" },
		{ "63,65,127-128", "63,65,127-128" },
		{ "4095", "4095" },
		{ "4096", NULL },
		{ "0-4096", NULL },
		{ "3-1", NULL },
		{ "1,", NULL },
		{ ",1", NULL },
		{ "-1", NULL },
		{ "1-", NULL },
		{ "1 2", NULL },
		{ "0x1", NULL },
		{ "a", NULL },
		{ "1--2", NULL },
		{ "99999999999999999999", NULL },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct cpulist l = { { 7 } };
		struct text t = TEXT_INIT;
		struct err e = { 0 };
		int r = cpulist_parse(cases[i].in, CPULIST_MAX, &l, &e);

		cpulist_print(&l, &t);
		if (cases[i].out)
			ok(r == 0 && !strcmp(text_str(&t), cases[i].out), "\"%s\" is \"%s\"",
			   cases[i].in, text_str(&t));
		else
			ok(r == -EINVAL && *e.text && !strcmp(text_str(&t), "0-2"),
			   "\"%s\" is refused and changes nothing: %s", cases[i].in, e.text);
		text_free(&t);
	}
	return tap_done();
}
