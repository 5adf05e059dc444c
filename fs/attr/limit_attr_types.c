/* Types of limits: quotas, of users too; of block devices, of sizes of pages. */
#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "fs/attr/attr.h"

#define QUOTA_MAX (1ULL << 60)

/* KEY default, by which a line is forgotten. */
static bool forgets(const char *value)
{
	return !strcmp(value, "default");
}

/* One of rbps=N and the like, as the kernel has it: bytes without a unit. */
static bool io_word(const char *word, unsigned *seen, struct text *out)
{
	static const char *const words[] = { "rbps=", "wbps=", "riops=", "wiops=" };
	uint64_t n;

	for (unsigned i = 0; i < 4; i++) {
		const char *number = word + strlen(words[i]);

		if (strncmp(word, words[i], strlen(words[i])) != 0)
			continue;
		if (*seen & 1u << i)
			return false;
		*seen |= 1u << i;
		if (!strcmp(number, "max")) {
			text_addf(out, " %s", word);
			return true;
		}
		if (attr_parse_number(number, i < 2, &n) < 0 || !n || n > QUOTA_MAX)
			return false;
		text_addf(out, " %s%" PRIu64, words[i], n);
		return true;
	}
	return false;
}

/* Each of them once at most. */
static bool io_words(const char *value, struct text *out)
{
	unsigned seen = 0;
	char word[64];

	for (const char *p = value; *p; p += strcspn(p, " "), p += *p == ' ') {
		size_t n = strcspn(p, " ");

		if (n >= sizeof(word))
			return false;
		memcpy(word, p, n);
		word[n] = '\0';
		if (!io_word(word, &seen, out))
			return false;
	}
	return seen;
}

static int keep_line(const struct attr *a, struct text *line, void *field, struct err *e)
{
	int rc = text_failed(line) ? err_sys(e, ENOMEM, "%s", a->name)
				   : attr_parse_keyed(a, text_str(line), field, e);

	text_free(line);
	return rc;
}

static int parse_device(const struct attr *a, const char *line, void *field, struct err *e)
{
	struct text whole = TEXT_INIT;
	unsigned major, minor;
	int used = 0;

	if (sscanf(line, "%u:%u %n", &major, &minor, &used) != 2 || !used || major > 4095 ||
	    minor > 1048575 || strspn(line, "0123456789:") + 1 != (size_t)used)
		return err_set(e, -EINVAL, "not MAJOR:MINOR WORD=NUMBER");
	text_addf(&whole, "%u:%u", major, minor);
	if (forgets(line + used))
		text_addf(&whole, " %s", line + used);
	if (forgets(line + used) || io_words(line + used, &whole))
		return keep_line(a, &whole, field, e);
	text_free(&whole);
	return err_set(e, -EINVAL,
		       "\"%.64s\": not words of rbps, wbps, riops, wiops, = and a number or max",
		       line + used);
}

static int parse_pages(const struct attr *a, const char *line, void *field, struct err *e)
{
	static const char *const sizes[] = { "64K ", "2M ", "16M ", "32M ", "512M ", "1G " };
	const char *value = strchr(line, ' ');
	struct text whole = TEXT_INIT;
	uint64_t bytes;

	for (size_t i = 0; value && i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		if (strncmp(line, sizes[i], strlen(sizes[i])) != 0)
			continue;
		if (forgets(value + 1))
			return attr_parse_keyed(a, line, field, e);
		if (attr_parse_number(value + 1, true, &bytes) < 0 || bytes > QUOTA_MAX)
			break;
		text_addf(&whole, "%s%" PRIu64, sizes[i], bytes);
		return keep_line(a, &whole, field, e);
	}
	return err_set(e, -EINVAL,
		       "\"%.64s\" is not a size of huge pages and one of bytes, as 2M 512M", line);
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

/* ---- quotas ---- */

/* "bytes=1G": one word; false: it is not of this name. */
static bool quota_word(const char *word, const char *name, bool units, uint64_t *ret, int *ret_rc)
{
	size_t len = strlen(name);

	if (strncmp(word, name, len) || word[len] != '=')
		return false;
	word += len + 1;
	if (!strcmp(word, "max"))
		*ret = LIMIT_MAX;
	else
		*ret_rc = attr_parse_number(word, units, ret) < 0 || !*ret || *ret > QUOTA_MAX
				  ? -EINVAL
				  : 0;
	return true;
}

/* Those that are not named stay. On failure q is what it was, or has some of them. */
static int quota_words(const char *line, struct quota *q, struct err *e)
{
	char copy[128], *save = NULL;
	int rc = 0;

	if (strlen(line) >= sizeof(copy))
		return err_set(e, -EINVAL, "too long");
	strcpy(copy, line);
	for (char *word = strtok_r(copy, " ", &save); word; word = strtok_r(NULL, " ", &save)) {
		if (!quota_word(word, "bytes", true, &q->bytes, &rc) &&
		    !quota_word(word, "inodes", false, &q->inodes, &rc))
			return err_set(e, -EINVAL, "\"%.64s\" is not bytes=SIZE or inodes=NUMBER",
				       word);
		if (rc < 0)
			return err_set(e, -EINVAL, "\"%.64s\" is no size or number from 1 to 2^60",
				       word);
	}
	return 0;
}

static int parse_quota(const struct attr *a, const char *line, void *field, struct err *e)
{
	struct quota q = *(struct quota *)field;
	int rc = quota_words(line, &q, e);

	if (rc == 0)
		*(struct quota *)field = q;
	return rc;
}

static void print_words(const struct quota *q, struct text *out)
{
	text_add(out, "bytes=");
	attr_print_limit(q->bytes, out);
	text_add(out, " inodes=");
	attr_print_limit(q->inodes, out);
}

static void print_quota(const struct attr *a, const void *field, struct text *out)
{
	print_words(field, out);
	text_add(out, "\n");
}

const struct attr_type attr_quota = {
	.name = "quota",
	.format = "bytes=SIZE inodes=NUMBER, either or both; each may be max.",
	.size = sizeof(struct quota),
	.parse = parse_quota,
	.print = print_quota,
};

/* What a line "ID bytes=... inodes=..." has been kept as. */
static void quota_of(const struct keyed *k, const char *id, struct quota *ret)
{
	*ret = (struct quota){ LIMIT_MAX, LIMIT_MAX };
	for (size_t i = 0; i < k->n; i++)
		if (!strcmp(k->entries[i].key, id))
			quota_words(k->entries[i].value, ret, NULL);
}

static int parse_id_quota(const struct attr *a, const char *line, void *field, struct err *e)
{
	const char *space = strchr(line, ' ');
	struct text full = TEXT_INIT;
	char id[16];
	struct quota q;
	uint64_t n;
	int rc;

	snprintf(id, sizeof(id), "%.*s", space ? (int)(space - line) : 15, line);
	if (!space || !space[1] || space - line >= (ptrdiff_t)sizeof(id) ||
	    attr_parse_number(id, false, &n) < 0 || n >= UINT32_MAX || (*id == '0' && id[1]))
		return err_set(e, -EINVAL, "\"%.64s\" is not ID bytes=SIZE inodes=NUMBER", line);
	if (forgets(space + 1))
		return attr_parse_keyed(a, line, field, e);
	quota_of(field, id, &q);
	rc = quota_words(space + 1, &q, e);
	if (rc < 0)
		return rc;
	text_addf(&full, "%s ", id);
	print_words(&q, &full);
	rc = text_failed(&full) ? err_sys(e, ENOMEM, "no memory")
				: attr_parse_keyed(a, text_str(&full), field, e);
	text_free(&full);
	return rc;
}

const struct attr_type attr_id_quota = {
	.name = "quotas of ids",
	.format = "Lines ID bytes=SIZE inodes=NUMBER, either or both; each may be max. A write "
		  "changes what it names, ID default forgets one.",
	.size = sizeof(struct keyed),
	.separator = ' ',
	.parse = parse_id_quota,
	.print = attr_print_keyed,
	.copy = attr_copy_keyed,
	.free = attr_free_keyed,
};
