/* config_parse(): whatever is accepted prints as something that is accepted and means the same. */
#include "fs/attr/attr.h"
#include "fs/store/config_yaml.h"
#include "tests/fuzz/fuzz.h"

static void parse(enum machine_kind kind, const char *data, size_t len)
{
	struct machine_config c = { 0 }, back;
	struct text all = TEXT_INIT, yaml = TEXT_INIT, again = TEXT_INIT;
	struct err e = { 0 };
	unsigned line, column;
	int rc = config_parse(kind, data, len, &c, &all, &e);

	if (rc < 0) {
		fuzz_check(e.code == rc && sscanf(e.text, "%u:%u: ", &line, &column) == 2);
		fuzz_check(line > 0 && column > 0 && all.len > 0);
	} else {
		fuzz_check(config_print(&c, &yaml, &e) == 0);
		fuzz_check(config_parse(kind, yaml.data, yaml.len, &back, NULL, &e) == 0);
		fuzz_check(config_print(&back, &again, &e) == 0 && !strcmp(yaml.data, again.data));
		config_free(&back);
		config_free(&c);
	}
	text_free(&all);
	text_free(&yaml);
	text_free(&again);
}

static void one(const char *data, size_t len)
{
	parse(KIND_VM, data, len);
	parse(KIND_CONTAINER, data, len);
}

int main(int argc, char **argv)
{
	return fuzz_main(argc, argv, one);
}
