/*
 * attr_store() over every setting: the first byte picks it. What is accepted prints as something
 * that is accepted and prints the same, in the file as in config.yaml; what is refused has a
 * sentence and changes nothing.
 */
#include "fs/attr.h"
#include "fs/config_yaml.h"
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
	const struct attr *a;

	if (len < 1)
		return;
	a = &machine_attrs[(unsigned char)data[0] % machine_attr_count];
	store(a, attr_applies(a, KIND_VM) ? KIND_VM : KIND_CONTAINER, data + 1, len - 1);
}

int main(int argc, char **argv)
{
	struct fuzz_input *corpus = calloc(machine_attr_count * 2, sizeof(*corpus));
	int rc;

	/* The samples of the table are the corpus. */
	for (size_t i = 0; i < machine_attr_count * 2; i++) {
		const struct attr *a = &machine_attrs[i / 2];
		char *text = NULL;

		if (asprintf(&text, "%c%s", (int)(i / 2), i % 2 ? a->bad : a->good) < 0)
			return 2;
		corpus[i] = (struct fuzz_input){ text, 1 + strlen(text + 1) };
	}
	rc = fuzz_main(argc, argv, corpus, machine_attr_count * 2, one);
	for (size_t i = 0; i < machine_attr_count * 2; i++)
		free((char *)corpus[i].data);
	free(corpus);
	return rc;
}
