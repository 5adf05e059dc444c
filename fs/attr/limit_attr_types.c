/* Types of limits that have a key: of block devices, of sizes of pages. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "fs/attr/attr.h"

/* KEY default, by which a line is forgotten. */
static bool forgets(const char *value)
{
	return !strcmp(value, "default");
}

/* rbps=N and the like, each once at most. */
static bool io_words_valid(const char *value)
{
	static const char *const words[] = { "rbps=", "wbps=", "riops=", "wiops=" };
	unsigned seen = 0;

	for (const char *p = value; *p; p += strcspn(p, " "), p += *p == ' ') {
		const char *number = NULL;
		unsigned i;
		size_t n;

		for (i = 0; i < 4 && !number; i++)
			if (!strncmp(p, words[i], strlen(words[i])))
				number = p + strlen(words[i]);
		n = number ? strcspn(number, " ") : 0;
		if (!n || seen & 1u << i || (n > 18 && strncmp(number, "max", n)))
			return false;
		if (strspn(number, "0123456789") != n && (n != 3 || strncmp(number, "max", 3)))
			return false;
		seen |= 1u << i;
	}
	return seen;
}

static int parse_device(const struct attr *a, const char *line, void *field, struct err *e)
{
	unsigned major, minor;
	int used = 0;

	if (sscanf(line, "%u:%u %n", &major, &minor, &used) != 2 || !used || major > 4095 ||
	    minor > 1048575 || strspn(line, "0123456789:") + 1 != (size_t)used)
		return err_set(e, -EINVAL, "not MAJOR:MINOR WORD=NUMBER");
	if (!forgets(line + used) && !io_words_valid(line + used))
		return err_set(
			e, -EINVAL,
			"\"%.64s\": not words of rbps, wbps, riops, wiops, = and a number or "
			"max",
			line + used);
	return attr_parse_keyed(a, line, field, e);
}

static int parse_pages(const struct attr *a, const char *line, void *field, struct err *e)
{
	static const char *const sizes[] = { "64K ", "2M ", "16M ", "32M ", "512M ", "1G " };
	const char *value = strchr(line, ' ');
	uint64_t bytes;

	for (size_t i = 0; value && i < sizeof(sizes) / sizeof(sizes[0]); i++)
		if (!strncmp(line, sizes[i], strlen(sizes[i]))) {
			if (!forgets(value + 1) && attr_parse_number(value + 1, false, &bytes) < 0)
				break;
			return attr_parse_keyed(a, line, field, e);
		}
	return err_set(e, -EINVAL, "not a size of huge pages and a number of bytes");
}

const struct attr_type attr_device_limits = {
	.name = "limits of devices",
	.format = "Lines MAJOR:MINOR WORD=NUMBER ...; a write changes the devices it names, "
		  "MAJOR:MINOR default forgets one.",
	.size = sizeof(struct keyed),
	.separator = ' ',
	.parse = parse_device,
	.print = attr_print_keyed,
	.copy = attr_copy_keyed,
	.free = attr_free_keyed,
};

const struct attr_type attr_page_limits = {
	.name = "limits of huge pages",
	.format = "Lines SIZE BYTES; a write changes the sizes it names, SIZE default forgets one.",
	.size = sizeof(struct keyed),
	.separator = ' ',
	.parse = parse_pages,
	.print = attr_print_keyed,
	.copy = attr_copy_keyed,
	.free = attr_free_keyed,
};
