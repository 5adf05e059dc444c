/* Settings on disk as lines: see rows.h. */
#include "fs/attr/rows.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

void rows_print(const struct schema *s, const void *base, struct text *out)
{
	struct text value = TEXT_INIT;
	const struct attr *a;

	for (size_t i = 0; (a = schema_attr(s, i)); i++) {
		text_clear(&value);
		attr_show(a, base, &value);
		for (const char *p = text_str(&value); *p; p += strcspn(p, "\n"), p += *p == '\n')
			text_addf(out, "%s %.*s\n", a->name, (int)strcspn(p, "\n"), p);
	}
	text_free(&value);
}

int rows_read(const struct schema *s, void *base, const char *line, size_t len, struct err *e)
{
	size_t name = strcspn(line, " \n");
	const struct attr *a;
	char key[64];
	int rc;

	if (name >= sizeof(key) || name >= len)
		return err_set(e, -EIO, "on disk: not NAME VALUE");
	snprintf(key, sizeof(key), "%.*s", (int)name, line);
	a = schema_find(s, key);
	if (!a)
		return 0;
	rc = attr_store(a, base, line + name + 1, len - name - 1, e);
	return rc < 0 ? rc : 1;
}
