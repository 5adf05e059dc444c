/*
 * attr_store() over every setting: the first line is its name. What is accepted prints as something
 * that is accepted and prints the same, in the file as in config.yaml; what is refused has a
 * sentence and changes nothing.
 */
#include "fs/attr/attr.h"
#include "fs/store/config_yaml.h"
#include "tests/fuzz/fuzz.h"

static void store(const struct attr *a, enum machine_kind kind, const char *data, size_t len)
{
	struct machine_config c, again, back;
	struct text shown = TEXT_INIT, shown_again = TEXT_INIT, yaml = TEXT_INIT;
	struct err e = { 0 };
	int rc;

	fuzz_check(config_init(kind, &c, &e) == 0 && config_init(kind, &again, &e) == 0);
	rc = attr_store(a, &c, data, len, &e);
	if (rc < 0) {
		fuzz_check(e.code == rc && !strncmp(e.text, a->name, strlen(a->name)) &&
			   !strchr(e.text, '\n'));
		fuzz_check(attr_equal(a, &c, &again));
	} else {
		attr_show(a, &c, &shown);
		if (shown.len)
			fuzz_check(attr_store(a, &again, shown.data, shown.len, &e) == 0);
		attr_show(a, &again, &shown_again);
		fuzz_check(!strcmp(text_str(&shown), text_str(&shown_again)));
		fuzz_check(config_print(&c, &yaml, &e) == 0);
		fuzz_check(config_parse(kind, yaml.data, yaml.len, &back, NULL, &e) == 0);
		fuzz_check(attr_equal(a, &c, &back));
		config_free(&back);
	}
	text_free(&shown);
	text_free(&shown_again);
	text_free(&yaml);
	config_free(&c);
	config_free(&again);
}

static void one(const char *data, size_t len)
{
	const char *end = memchr(data, '\n', len);
	const struct attr *a;
	char name[64];

	if (!end || end - data >= (long)sizeof(name))
		return;
	snprintf(name, sizeof(name), "%.*s", (int)(end - data), data);
	for (int kind = 0; kind < 2; kind++)
		if ((a = attr_find((enum machine_kind)kind, name)))
			store(a, (enum machine_kind)kind, end + 1, len - (size_t)(end + 1 - data));
}

/* The samples of the tables, so that what is added to them is tried at once. */
static void add_samples(const struct attr *a)
{
	char text[512];

	for (int good = 0; good < 2; good++) {
		snprintf(text, sizeof(text), "%s\n%s", a->name, good ? a->good : a->bad);
		fuzz_add(text, strlen(text));
	}
}

int main(int argc, char **argv)
{
	const struct attr *a;

	for (int kind = 0; kind < 2; kind++)
		for (size_t i = 0; (a = schema_attr(machine_schema((enum machine_kind)kind), i));
		     i++)
			add_samples(a);
	return fuzz_main(argc, argv, one);
}
