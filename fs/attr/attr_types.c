/*
 * The types of attribute values: what each accepts and prints. Every parser takes one line,
 * checks it whole, and only then touches the field; every printer writes what the parser takes.
 */
#include "fs/attr/attr.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backends/base/argv.h"
#include "backends/container/capabilities.h"

#define KEYED_MAX 256 /* keys in one file */
#define WORD_MAX  64

/* ---- numbers ---- */

/* A bound as a reader would write it: sizes with the largest unit that leaves it whole. */
static const char *bound_print(uint64_t n, bool units, char buf[32])
{
	static const char *const suffixes[] = { "", "K", "M", "G", "T" };
	size_t i = 0;

	for (; units && n && n % 1024 == 0 && i < 4; n /= 1024)
		i++;
	snprintf(buf, 32, "%llu%s", (unsigned long long)n, suffixes[i]);
	return buf;
}

static int number_out_of_bounds(const struct attr *a, const char *line, bool units, struct err *e)
{
	char min[32], max[32];

	bound_print(a->min, units, min);
	if (a->max == LIMIT_MAX)
		return err_set(e, -EINVAL, "%s is below %s", line, min);
	return err_set(e, -EINVAL, "%s is outside %s..%s", line, min,
		       bound_print(a->max, units, max));
}

/* A shift of 10 for K, 20 for M and so on. */
int attr_parse_number(const char *s, bool units, uint64_t *ret)
{
	static const char suffixes[] = "KMGT";
	const char *suffix;
	uint64_t n = 0;
	int shift;

	if (!isdigit((unsigned char)*s))
		return -EINVAL;
	for (; isdigit((unsigned char)*s); s++)
		if (__builtin_mul_overflow(n, 10, &n) || __builtin_add_overflow(n, *s - '0', &n))
			return -ERANGE;
	if (units && *s && (suffix = strchr(suffixes, toupper((unsigned char)*s)))) {
		shift = 10 * (int)(suffix - suffixes + 1);
		if (n > UINT64_MAX >> shift)
			return -ERANGE;
		n <<= shift;
		s++;
	}
	if (*s)
		return -EINVAL;
	*ret = n;
	return 0;
}

static int limit_parse(const struct attr *a, const char *line, bool units, uint64_t *ret,
		       struct err *e)
{
	uint64_t n;
	int rc;

	if (a->max == LIMIT_MAX && !strcmp(line, "max")) {
		*ret = LIMIT_MAX;
		return 0;
	}
	rc = attr_parse_number(line, units, &n);
	if (rc == -EINVAL)
		return err_set(e, -EINVAL, "\"%.64s\" is not a %s%s", line,
			       units ? "size like 64M" : "number",
			       a->max == LIMIT_MAX ? " or max" : "");
	if (rc < 0 || n < a->min || n > a->max || n == LIMIT_MAX)
		return number_out_of_bounds(a, line, units, e);
	*ret = n;
	return 0;
}

static int parse_number(const struct attr *a, const char *line, void *field, struct err *e)
{
	return limit_parse(a, line, false, field, e);
}

static int parse_size(const struct attr *a, const char *line, void *field, struct err *e)
{
	return limit_parse(a, line, true, field, e);
}

void attr_print_limit(uint64_t n, struct text *out)
{
	if (n == LIMIT_MAX)
		text_add(out, "max");
	else
		text_add_number(out, n);
}

static void print_number(const struct attr *a, const void *field, struct text *out)
{
	attr_print_limit(*(const uint64_t *)field, out);
	text_add(out, "\n");
}

const struct attr_type attr_number = {
	.name = "number",
	.format = "A decimal number.",
	.size = sizeof(uint64_t),
	.parse = parse_number,
	.print = print_number,
};

const struct attr_type attr_size = {
	.name = "size",
	.format = "Bytes; accepted with K, M, G or T (powers of 1024), printed without.",
	.size = sizeof(uint64_t),
	.parse = parse_size,
	.print = print_number,
};

static int parse_bool(const struct attr *a, const char *line, void *field, struct err *e)
{
	if (strcmp(line, "0") && strcmp(line, "1"))
		return err_set(e, -EINVAL, "\"%.64s\" is not 0 or 1", line);
	*(bool *)field = line[0] == '1';
	return 0;
}

static void print_bool(const struct attr *a, const void *field, struct text *out)
{
	text_add(out, *(const bool *)field ? "1\n" : "0\n");
}

const struct attr_type attr_bool = {
	.name = "boolean",
	.format = "0 or 1.",
	.size = sizeof(bool),
	.parse = parse_bool,
	.print = print_bool,
};

/* ---- words ---- */

static int word_index(const struct attr *a, const char *word, size_t len)
{
	for (int i = 0; a->words[i]; i++)
		if (strlen(a->words[i]) == len && !memcmp(a->words[i], word, len))
			return i;
	return -1;
}

static int word_unknown(const struct attr *a, const char *word, size_t len, struct err *e)
{
	struct text t = TEXT_INIT;

	for (int i = 0; a->words[i]; i++)
		text_addf(&t, "%s%s", i ? " " : "", a->words[i]);
	err_set(e, -EINVAL, "\"%.*s\" is not one of: %s", (int)(len < 64 ? len : 64), word,
		text_str(&t));
	text_free(&t);
	return -EINVAL;
}

static int parse_word(const struct attr *a, const char *line, void *field, struct err *e)
{
	int i = word_index(a, line, strlen(line));

	if (i < 0)
		return word_unknown(a, line, strlen(line), e);
	*(int *)field = i;
	return 0;
}

static void print_word(const struct attr *a, const void *field, struct text *out)
{
	text_add(out, a->words[*(const int *)field]);
	text_add(out, "\n");
}

const struct attr_type attr_word = {
	.name = "word",
	.format = "One word of a fixed set.",
	.size = sizeof(int),
	.parse = parse_word,
	.print = print_word,
};

static int parse_words(const struct attr *a, const char *line, void *field, struct err *e)
{
	uint64_t bits = 0;

	for (const char *p = line + strspn(line, " "); *p; p += strspn(p, " ")) {
		size_t len = strcspn(p, " ");
		int i = word_index(a, p, len);

		if (i < 0)
			return word_unknown(a, p, len, e);
		bits |= 1ULL << i;
		p += len;
	}
	*(uint64_t *)field = bits;
	return 0;
}

static void print_words(const struct attr *a, const void *field, struct text *out)
{
	uint64_t bits = *(const uint64_t *)field;
	const char *space = "";

	for (int i = 0; a->words[i]; i++) {
		if (!(bits & 1ULL << i))
			continue;
		text_add(out, space);
		text_add(out, a->words[i]);
		space = " ";
	}
	text_add(out, "\n");
}

const struct attr_type attr_words = {
	.name = "words",
	.format = "Words of a fixed set, separated by spaces.",
	.size = sizeof(uint64_t),
	.parse = parse_words,
	.print = print_words,
};

static int parse_capabilities(const struct attr *a, const char *line, void *field, struct err *e)
{
	uint64_t bits = 0;
	char word[WORD_MAX];

	for (const char *p = line + strspn(line, " "); *p; p += strspn(p, " ")) {
		size_t len = strcspn(p, " ");
		int cap;

		snprintf(word, sizeof(word), "%.*s", (int)len, p);
		p += len;
		if (!strcmp(word, "default") || !strcmp(word, "all")) {
			bits |= word[0] == 'd' ? CAPABILITIES_DEFAULT : capabilities_all();
			continue;
		}
		cap = len < sizeof(word) ? capability_number(word) : -1;
		if (cap < 0)
			return err_set(e, -EINVAL, "\"%s\" is not a capability like net_admin",
				       word);
		bits |= CAPABILITY_BIT(cap);
	}
	*(uint64_t *)field = bits;
	return 0;
}

static void print_capabilities(const struct attr *a, const void *field, struct text *out)
{
	uint64_t bits = *(const uint64_t *)field;
	const char *space = "";

	for (int i = 0; i < 64; i++) {
		if (!(bits & 1ULL << i) || !capability_name(i))
			continue;
		text_add(out, space);
		text_add(out, capability_name(i));
		space = " ";
	}
	text_add(out, "\n");
}

const struct attr_type attr_capabilities = {
	.name = "capabilities",
	.format = "Names of capabilities(7), separated by spaces; default and all stand for many.",
	.size = sizeof(uint64_t),
	.parse = parse_capabilities,
	.print = print_capabilities,
};

/* ---- strings ---- */

static int string_check(const struct attr *a, const char *line, struct err *e)
{
	size_t max = a->max ? a->max : 4095;

	if (strlen(line) > max)
		return err_set(e, -EINVAL, "longer than %zu bytes", max);
	if (!text_line_valid(line))
		return err_set(e, -EINVAL, "only UTF-8 without control characters is accepted");
	return 0;
}

static int string_replace(const char *line, void *field, struct err *e)
{
	char *copy = strdup(line);

	if (!copy)
		return err_sys(e, ENOMEM, "no memory");
	free(*(char **)field);
	*(char **)field = copy;
	return 0;
}

static int parse_string(const struct attr *a, const char *line, void *field, struct err *e)
{
	int rc = string_check(a, line, e);

	return rc < 0 ? rc : string_replace(line, field, e);
}

static int parse_path(const struct attr *a, const char *line, void *field, struct err *e)
{
	if (*line && *line != '/')
		return err_set(e, -EINVAL, "\"%.64s\" is not an absolute path", line);
	return parse_string(a, line, field, e);
}

static int parse_root(const struct attr *a, const char *line, void *field, struct err *e)
{
	static const char image[] = "image ";

	if (!*line || *line == '/')
		return parse_path(a, line, field, e);
	if (strncmp(line, image, sizeof(image) - 1) != 0)
		return err_set(e, -EINVAL, "\"%.64s\" is neither an absolute path nor image NAME",
			       line);
	if (!object_name_valid(line + sizeof(image) - 1))
		return err_set(e, -EINVAL, "\"%.64s\" is not the name of an image", line + 6);
	return parse_string(a, line, field, e);
}

static int parse_seccomp(const struct attr *a, const char *line, void *field, struct err *e)
{
	if (*line != '/' && strcmp(line, "default") && strcmp(line, "none"))
		return err_set(e, -EINVAL, "\"%.64s\" is not default, none, or an absolute path",
			       line);
	return parse_string(a, line, field, e);
}

static int parse_argv(const struct attr *a, const char *line, void *field, struct err *e)
{
	char **argv;
	int rc = string_check(a, line, e);

	if (rc < 0)
		return rc;
	if (*line) {
		rc = argv_split(line, &argv, e);
		if (rc < 0)
			return rc;
		argv_free(argv);
	}
	return string_replace(line, field, e);
}

static int parse_hostname(const struct attr *a, const char *line, void *field, struct err *e)
{
	if (strlen(line) > 63 || line[strspn(line, "abcdefghijklmnopqrstuvwxyz"
						   "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-")])
		return err_set(e, -EINVAL, "\"%.64s\" is not a host name", line);
	return string_replace(line, field, e);
}

void attr_print_string(const struct attr *a, const void *field, struct text *out)
{
	const char *s = *(char *const *)field;

	text_add(out, s ? s : "");
	text_add(out, "\n");
}

bool attr_equal_string(const void *x, const void *y)
{
	const char *sx = *(char *const *)x, *sy = *(char *const *)y;

	return !strcmp(sx ? sx : "", sy ? sy : "");
}

int attr_copy_string(const void *from, void *to)
{
	const char *s = *(char *const *)from;

	*(char **)to = strdup(s ? s : "");
	return *(char **)to ? 0 : -ENOMEM;
}

void attr_free_string(void *field)
{
	free(*(char **)field);
	*(char **)field = NULL;
}

#define STRING_TYPE(symbol, label, sentence, parser) \
	const struct attr_type symbol = {            \
		.name = label,                       \
		.format = sentence,                  \
		.size = sizeof(char *),              \
		.parse = parser,                     \
		.print = attr_print_string,          \
		.equal = attr_equal_string,          \
		.copy = attr_copy_string,            \
		.free = attr_free_string,            \
	}

STRING_TYPE(attr_string, "string", "One line of text.", parse_string);
STRING_TYPE(attr_path, "path", "An absolute path, or nothing.", parse_path);
STRING_TYPE(attr_root, "root", "An absolute path, image NAME, or nothing.", parse_root);
STRING_TYPE(attr_argv, "command",
	    "A command and its arguments, quoted as in a shell; nothing is expanded.", parse_argv);
STRING_TYPE(attr_seccomp, "profile", "default, none, or an absolute path.", parse_seccomp);
STRING_TYPE(attr_hostname, "host name", "Letters, digits, dots and hyphens.", parse_hostname);

/* ---- keyed lines ---- */

static struct keyed_entry *keyed_find(const struct keyed *k, const char *key, size_t len)
{
	for (size_t i = 0; i < k->n; i++)
		if (strlen(k->entries[i].key) == len && !memcmp(k->entries[i].key, key, len))
			return &k->entries[i];
	return NULL;
}

static void keyed_remove(struct keyed *k, struct keyed_entry *entry)
{
	size_t i = (size_t)(entry - k->entries);

	free(entry->key);
	free(entry->value);
	memmove(entry, entry + 1, (k->n - i - 1) * sizeof(*entry));
	k->n--;
}

static int keyed_set(struct keyed *k, const char *key, size_t len, const char *value, struct err *e)
{
	struct keyed_entry *entry = keyed_find(k, key, len), *grown;
	char *copy;

	if (!entry && k->n == KEYED_MAX)
		return err_set(e, -EINVAL, "more than %d keys", KEYED_MAX);
	copy = strdup(value);
	if (!copy)
		return err_sys(e, ENOMEM, "no memory");
	if (entry) {
		free(entry->value);
		entry->value = copy;
		return 0;
	}
	grown = realloc(k->entries, (k->n + 1) * sizeof(*grown));
	if (grown) {
		k->entries = grown;
		grown[k->n] = (struct keyed_entry){ strndup(key, len), copy };
		if (grown[k->n].key) {
			k->n++;
			return 0;
		}
	}
	free(copy);
	return err_sys(e, ENOMEM, "no memory");
}

/* KEY<separator>VALUE; "KEY default" forgets the key. */
static int keyed_parse(const struct attr *a, const char *line, char separator, void *field,
		       struct err *e)
{
	const char *split = strchr(line, separator);
	size_t len = split ? (size_t)(split - line) : strlen(line);
	struct keyed_entry *entry;
	int rc = string_check(a, line, e);

	if (rc < 0)
		return rc;
	if (!len)
		return err_set(e, -EINVAL, "a line is KEY%cVALUE", separator);
	/* One rule for all keys, which config.yaml has too: what is kept there is read again. */
	if (split && strcspn(line, " =") < len)
		return err_set(e, -EINVAL, "the key of \"%.64s\" is not one word without \"=\"",
			       line);
	if (split && separator == '=')
		return keyed_set(field, line, len, split + 1, e);
	if (!split && separator == '=') {
		split = strchr(line, ' ');
		len = split ? (size_t)(split - line) : len;
	}
	if (!split)
		return err_set(e, -EINVAL, "\"%.64s\" has no value: a line is KEY%cVALUE", line,
			       separator);
	if (!strcmp(split + 1, "default")) {
		entry = keyed_find(field, line, len);
		if (entry)
			keyed_remove(field, entry);
		return 0;
	}
	if (separator == '=')
		return err_set(e, -EINVAL, "\"%.64s\" is not NAME=VALUE", line);
	return keyed_set(field, line, len, split + 1, e);
}

int attr_parse_keyed(const struct attr *a, const char *line, void *field, struct err *e)
{
	return keyed_parse(a, line, ' ', field, e);
}

static int parse_env(const struct attr *a, const char *line, void *field, struct err *e)
{
	return keyed_parse(a, line, '=', field, e);
}

static void keyed_print(const struct keyed *k, char separator, struct text *out)
{
	for (size_t i = 0; i < k->n; i++)
		text_addf(out, "%s%c%s\n", k->entries[i].key, separator, k->entries[i].value);
}

void attr_print_keyed(const struct attr *a, const void *field, struct text *out)
{
	keyed_print(field, ' ', out);
}

static void print_env(const struct attr *a, const void *field, struct text *out)
{
	keyed_print(field, '=', out);
}

void attr_free_keyed(void *field)
{
	struct keyed *k = field;

	while (k->n)
		keyed_remove(k, &k->entries[k->n - 1]);
	free(k->entries);
	k->entries = NULL;
}

int attr_copy_keyed(const void *from, void *to)
{
	const struct keyed *k = from;
	struct keyed copy = { 0 };

	for (size_t i = 0; i < k->n; i++) {
		const char *key = k->entries[i].key;

		if (keyed_set(&copy, key, strlen(key), k->entries[i].value, NULL) < 0) {
			attr_free_keyed(&copy);
			return -ENOMEM;
		}
	}
	*(struct keyed *)to = copy;
	return 0;
}

const struct attr_type attr_keyed = {
	.name = "flat keyed",
	.format = "Lines KEY VALUE; a write changes the keys it names, KEY default forgets one.",
	.size = sizeof(struct keyed),
	.separator = ' ',
	.parse = attr_parse_keyed,
	.print = attr_print_keyed,
	.copy = attr_copy_keyed,
	.free = attr_free_keyed,
};

const struct attr_type attr_env = {
	.name = "environment",
	.format =
		"Lines NAME=VALUE; a write changes the names it has, \"NAME default\" forgets one.",
	.size = sizeof(struct keyed),
	.separator = '=',
	.parse = parse_env,
	.print = print_env,
	.copy = attr_copy_keyed,
	.free = attr_free_keyed,
};

/* ---- the rest ---- */

/* As cgroup v2: "QUOTA PERIOD" or "QUOTA", QUOTA may be max. */
static int parse_cpu_max(const struct attr *a, const char *line, void *field, struct err *e)
{
	struct cpu_max *now = field, next = { LIMIT_MAX, now->period ? now->period : 100000 };
	const char *space = strchr(line, ' ');
	char quota[32];

	snprintf(quota, sizeof(quota), "%.*s", space ? (int)(space - line) : 31, line);
	if (strcmp(quota, "max") && attr_parse_number(quota, false, &next.quota) < 0)
		return err_set(e, -EINVAL, "\"%.64s\" is not QUOTA PERIOD in microseconds", line);
	if (space && attr_parse_number(space + 1, false, &next.period) < 0)
		return err_set(e, -EINVAL, "\"%.64s\" is not QUOTA PERIOD in microseconds", line);
	if (next.quota < 1000)
		return err_set(e, -EINVAL, "a quota below 1000 microseconds is too small");
	if (next.quota != LIMIT_MAX && next.quota > a->max)
		return err_set(e, -EINVAL, "a quota above %llu microseconds is too large",
			       (unsigned long long)a->max);
	if (next.period < 1000 || next.period > 1000000)
		return err_set(e, -EINVAL, "the period %llu is outside 1000..1000000",
			       (unsigned long long)next.period);
	*now = next;
	return 0;
}

static void print_cpu_max(const struct attr *a, const void *field, struct text *out)
{
	const struct cpu_max *m = field;

	attr_print_limit(m->quota, out);
	text_add(out, " ");
	text_add_number(out, m->period);
	text_add(out, "\n");
}

const struct attr_type attr_cpu_max = {
	.name = "cpu.max",
	.format = "QUOTA PERIOD in microseconds, as cgroup v2's cpu.max; QUOTA may be max.",
	.size = sizeof(struct cpu_max),
	.parse = parse_cpu_max,
	.print = print_cpu_max,
};

static int id_parse(const char *s, uint32_t *ret)
{
	uint64_t n;

	if (attr_parse_number(s, false, &n) < 0 || n >= UINT32_MAX)
		return -EINVAL;
	*ret = (uint32_t)n;
	return 0;
}

static int parse_user(const struct attr *a, const char *line, void *field, struct err *e)
{
	char copy[(INIT_GROUPS_MAX + 2) * 11], *colon, *group, *save = NULL;
	struct init_user u = { 0 };

	snprintf(copy, sizeof(copy), "%s", line);
	colon = strchr(copy, ':');
	if (colon)
		*colon++ = '\0';
	group = colon ? strtok_r(colon, ",", &save) : copy;
	if (strlen(line) >= sizeof(copy) || id_parse(copy, &u.uid) < 0 || !group ||
	    id_parse(group, &u.gid) < 0)
		goto bad;
	while (colon && (group = strtok_r(NULL, ",", &save))) {
		if (u.ngroups == INIT_GROUPS_MAX)
			return err_set(e, -EINVAL, "more than %d groups", INIT_GROUPS_MAX);
		if (id_parse(group, &u.groups[u.ngroups++]) < 0)
			goto bad;
	}
	*(struct init_user *)field = u;
	return 0;
bad:
	return err_set(e, -EINVAL, "\"%.64s\" is not UID or UID:GID[,GID...]", line);
}

static void print_user(const struct attr *a, const void *field, struct text *out)
{
	const struct init_user *u = field;

	text_add_number(out, u->uid);
	text_add(out, ":");
	text_add_number(out, u->gid);
	for (uint32_t i = 0; i < u->ngroups; i++)
		text_addf(out, ",%u", u->groups[i]);
	text_add(out, "\n");
}

const struct attr_type attr_user = {
	.name = "user",
	.format =
		"UID or UID:GID, further groups with commas behind; numbers inside the container.",
	.size = sizeof(struct init_user),
	.parse = parse_user,
	.print = print_user,
};

static bool range_overlaps(uint32_t x, uint32_t nx, uint32_t y, uint32_t ny)
{
	return (uint64_t)x < (uint64_t)y + ny && (uint64_t)y < (uint64_t)x + nx;
}

/* The kernel takes at most 340 lines in a map; five are plenty before it costs lookups. */
#define ID_MAP_MAX 32

/* "CONTAINER HOST COUNT": sets the range that begins at CONTAINER; "CONTAINER default" drops it. */
static int parse_id_map(const struct attr *a, const char *line, void *field, struct err *e)
{
	struct id_map *m = field;
	struct id_map_range r = { 0 }, *grown;
	char copy[64], *save = NULL, *first, *second, *third;
	size_t at;

	snprintf(copy, sizeof(copy), "%s", line);
	first = strtok_r(copy, " ", &save);
	second = strtok_r(NULL, " ", &save);
	third = strtok_r(NULL, " ", &save);
	if (strlen(line) >= sizeof(copy) || !first || !second || id_parse(first, &r.container) < 0)
		goto bad;
	for (at = 0; at < m->n && m->ranges[at].container != r.container; at++)
		;
	if (!third && !strcmp(second, "default")) {
		if (at < m->n)
			memmove(&m->ranges[at], &m->ranges[at + 1], (--m->n - at) * sizeof(r));
		return 0;
	}
	if (!third || strtok_r(NULL, " ", &save) || id_parse(second, &r.host) < 0 ||
	    (strcmp(third, "4294967295") ? id_parse(third, &r.count) < 0
					 : (r.count = UINT32_MAX, false)))
		goto bad;
	if (!r.count || (uint64_t)r.container + r.count > UINT32_MAX ||
	    (uint64_t)r.host + r.count > UINT32_MAX)
		return err_set(e, -EINVAL, "\"%s\" goes beyond the largest id", line);
	for (size_t i = 0; i < m->n; i++)
		if (i != at &&
		    (range_overlaps(m->ranges[i].container, m->ranges[i].count, r.container,
				    r.count) ||
		     range_overlaps(m->ranges[i].host, m->ranges[i].count, r.host, r.count)))
			return err_set(e, -EINVAL, "\"%s\" overlaps another line", line);
	if (at == m->n) {
		if (m->n == ID_MAP_MAX)
			return err_set(e, -EINVAL, "more than %d lines", ID_MAP_MAX);
		grown = realloc(m->ranges, (m->n + 1) * sizeof(*grown));
		if (!grown)
			return err_sys(e, ENOMEM, "no memory");
		m->ranges = grown;
		m->n++;
	}
	m->ranges[at] = r;
	return 0;
bad:
	return err_set(e, -EINVAL, "\"%.64s\" is not CONTAINER HOST COUNT", line);
}

static void print_id_map(const struct attr *a, const void *field, struct text *out)
{
	const struct id_map *m = field;

	for (size_t i = 0; i < m->n; i++)
		text_addf(out, "%u %u %u\n", m->ranges[i].container, m->ranges[i].host,
			  m->ranges[i].count);
}

static int copy_id_map(const void *from, void *to)
{
	const struct id_map *m = from;
	struct id_map copy = { .n = m->n };

	if (m->n) {
		copy.ranges = malloc(m->n * sizeof(*copy.ranges));
		if (!copy.ranges)
			return -ENOMEM;
		memcpy(copy.ranges, m->ranges, m->n * sizeof(*copy.ranges));
	}
	*(struct id_map *)to = copy;
	return 0;
}

static void free_id_map(void *field)
{
	free(((struct id_map *)field)->ranges);
}

const struct attr_type attr_id_map = {
	.name = "id map",
	.format = "Lines CONTAINER HOST COUNT, for uids and gids; \"CONTAINER default\" drops one.",
	.size = sizeof(struct id_map),
	.separator = ' ',
	.parse = parse_id_map,
	.print = print_id_map,
	.copy = copy_id_map,
	.free = free_id_map,
};
