/* struct cpulist: see cpulist.h. */
#include "backends/base/cpulist.h"

#include <errno.h>
#include <string.h>

/* Decimal digits at *s, which moves behind them; -1 when there are none or too many. */
static int number(const char **s)
{
	int n = -1;

	for (; **s >= '0' && **s <= '9' && n < CPULIST_MAX; (*s)++)
		n = (n < 0 ? 0 : n) * 10 + (**s - '0');
	return n;
}

int cpulist_parse(const char *text, unsigned max, struct cpulist *ret, struct err *e)
{
	struct cpulist l = { 0 };
	const char *s = text;

	while (*s) {
		int first = number(&s), last = first;

		if (*s == '-') {
			s++;
			last = number(&s);
		}
		if (first < 0 || last < first || (*s && *s != ',') || (*s == ',' && !s[1]))
			return err_set(e, -EINVAL, "\"%.64s\" is not a list like 0-3,8", text);
		if ((unsigned)last >= max || last >= CPULIST_MAX)
			return err_set(e, -EINVAL, "%d is not below %u", last, max);
		for (int n = first; n <= last; n++)
			cpulist_add(&l, (unsigned)n);
		s += *s == ',';
	}
	*ret = l;
	return 0;
}

void cpulist_print(const struct cpulist *l, struct text *out)
{
	const char *comma = "";

	for (unsigned n = cpulist_next(l, 0); n < CPULIST_MAX; n = cpulist_next(l, n)) {
		unsigned first = n;

		while (cpulist_has(l, n + 1))
			n++;
		text_addf(out, n > first ? "%s%u-%u" : "%s%u", comma, first, n);
		comma = ",";
		n++;
	}
}
