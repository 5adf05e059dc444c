/* What every room asks of a configuration: see config.h. */
#include "backends/config.h"

#include <string.h>

bool object_name_valid(const char *name)
{
	size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				"0123456789._-");

	return n > 0 && n <= OBJECT_NAME_MAX && !name[n] && !strchr("._-", name[0]);
}

struct part *parts_find(const struct parts *p, const char *name)
{
	for (size_t i = 0; i < p->n; i++)
		if (!strcmp(p->list[i].name, name))
			return &p->list[i];
	return NULL;
}
