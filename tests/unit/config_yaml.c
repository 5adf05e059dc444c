/* config.yaml: what is printed is read back the same, and whatever else is refused with a place. */
#include "fs/store/config_yaml.h"

#include <errno.h>
#include <string.h>

#include "fs/attr/part_type.h"
#include "tests/unit/tap.h"

static int set(struct machine_config *c, const char *name, const char *value, struct err *e)
{
	return attr_store(attr_find(c->kind, name), c, value, strlen(value), e);
}

/* ---- what is printed ---- */

static bool comes_back(const struct machine_config *c, struct err *e)
{
	struct machine_config back = { 0 };
	struct text first = TEXT_INIT, second = TEXT_INIT;
	bool good = config_print(c, &first, e) == 0 &&
		    config_parse(c->kind, text_str(&first), first.len, &back, NULL, e) == 0;

	if (good) {
		good = config_equal(c, &back) && config_print(&back, &second, e) == 0 &&
		       !strcmp(text_str(&first), text_str(&second)) && first.len > 4 &&
		       !strcmp(first.data + first.len - 4, "...\n");
		config_free(&back);
	}
	text_free(&first);
	text_free(&second);
	return good;
}

/* The same of what is said to who has the same defaults; its text goes to text. */
static bool changes_come_back(const struct machine_config *c, char *text, size_t size,
			      struct err *e)
{
	struct machine_config defaults = { 0 }, back = { 0 };
	struct text t = TEXT_INIT;
	bool good = config_init(c->kind, &defaults, e) == 0 &&
		    config_print_changed(c, &defaults, &t, e) == 0 &&
		    config_parse(c->kind, text_str(&t), t.len, &back, NULL, e) == 0;

	if (good) {
		good = config_equal(c, &back);
		config_free(&back);
	}
	snprintf(text, size, "%s", text_str(&t));
	config_free(&defaults);
	text_free(&t);
	return good;
}

static const char *const odd_values[] = {
	"null",
	"~",
	"yes",
	"No",
	"true",
	"0x10",
	"0o17",
	"1e3",
	"010",
	"1_000",
	".inf",
	"2001-01-01",
	"'quoted'",
	"\"quoted\"",
	"it's",
	"a: b",
	"a:b",
	": x",
	"x:",
	"# no comment",
	"a #b",
	"a#b",
	" leading",
	"trailing ",
	"  ",
	"- item",
	"-",
	"--- x",
	"---",
	"...",
	"... x",
	"? q",
	"?",
	"&a",
	"*a",
	"!t",
	"!!str x",
	"|",
	">",
	"| x",
	"%YAML 1.1",
	"@x",
	"`x`",
	"{a: b}",
	"[a, b]",
	"a, b",
	"{",
	"}",
	"]",
	"\\",
	"\\n",
	"a\\",
	"größe",
	"日本語",
	"🙂",
	"a\xc2\xa0"
	"b",
	"\xef\xbb\xbf"
	"bom",
	"a\xe2\x80\xa8"
	"b",
	"\xef\xbf\xbe",
	"<<",
	"=",
	"default",
	"''",
	"\"",
	"'",
	"a\"b'c",
};

/* What is longer than 128 bytes is no simple key. */
static void test_long_keys(void)
{
	for (size_t len = 120; len < 140; len++) {
		struct machine_config c = { 0 };
		struct err e = { 0 };
		char line[160];

		memset(line, 'K', len);
		strcpy(line + len, "=v: 'w'");
		config_init(KIND_CONTAINER, &c, &e);
		ok(set(&c, "init.env", line, &e) == 0 && comes_back(&c, &e),
		   "init.env comes back: a name of %zu bytes: %s", len, e.text);
		config_free(&c);
	}
}

static void test_odd_values(void)
{
	for (size_t i = 0; i < sizeof(odd_values) / sizeof(odd_values[0]); i++) {
		struct machine_config c = { 0 };
		struct err e = { 0 };
		char line[256];

		config_init(KIND_VM, &c, &e);
		ok(set(&c, "boot.cmdline", odd_values[i], &e) == 0 && comes_back(&c, &e),
		   "boot.cmdline comes back: odd value %zu: %s", i, e.text);
		snprintf(line, sizeof(line), "key %s", odd_values[i]);
		ok(set(&c, "label", line, &e) == 0 && comes_back(&c, &e),
		   "label comes back: odd value %zu: %s", i, e.text);
		config_free(&c);
		config_init(KIND_CONTAINER, &c, &e);
		snprintf(line, sizeof(line), "KEY=%s", odd_values[i]);
		ok(set(&c, "init.env", line, &e) == 0 && comes_back(&c, &e),
		   "init.env comes back: odd value %zu: %s", i, e.text);
		/* And as a key, if it may be one. */
		snprintf(line, sizeof(line), "%s x", odd_values[i]);
		if (set(&c, "label", line, &e) == 0)
			ok(comes_back(&c, &e), "label comes back: odd key %zu: %s", i, e.text);
		config_free(&c);
	}
}

static void test_long_values(void)
{
	struct machine_config c = { 0 };
	struct err e = { 0 };
	char line[4096];

	config_init(KIND_CONTAINER, &c, &e);
	memset(line, 'k', sizeof(line));
	snprintf(line + 1000, sizeof(line) - 1000, " value");
	ok(set(&c, "label", line, &e) == 0 && comes_back(&c, &e), "a key of 1000 bytes: %s",
	   e.text);
	memset(line, 'N', sizeof(line));
	snprintf(line + 4000, sizeof(line) - 4000, "=value");
	ok(set(&c, "init.env", line, &e) == 0 && comes_back(&c, &e), "a name of 4000 bytes: %s",
	   e.text);
	memset(line, 'v', sizeof(line));
	memcpy(line, "V=", 2);
	memset(line + 100, ' ', 3000);
	line[4095] = '\0';
	ok(set(&c, "init.env", line, &e) == 0 && comes_back(&c, &e),
	   "a value of 4093 bytes with 3000 spaces in a row: %s", e.text);
	config_free(&c);
}

static void test_samples(void)
{
	for (int kind = 0; kind < 2; kind++) {
		struct machine_config c = { 0 };
		const struct attr *a;
		struct err e = { 0 };
		char text[8192];

		ok(config_init((enum machine_kind)kind, &c, &e) == 0 && comes_back(&c, &e),
		   "the defaults come back: %s", e.text);
		ok(changes_come_back(&c, text, sizeof(text), &e) && !strcmp(text, "{}\n...\n"),
		   "nothing of them is a change");
		set(&c, "cpu.count", "3", &e);
		set(&c, "autostart", "1", &e);
		ok(changes_come_back(&c, text, sizeof(text), &e) &&
			   !strcmp(text, "autostart: 1\ncpu.count: 3\n...\n"),
		   "two changes are, and alone");
		for (size_t i = 0; (a = schema_attr(machine_schema(c.kind), i)); i++)
			set(&c, a->name, a->good, &e);
		ok(comes_back(&c, &e), "all good samples come back: %s", e.text);
		ok(changes_come_back(&c, text, sizeof(text), &e), "so do they as changes: %s",
		   e.text);
		config_free(&c);
	}
}

/* Two parts of each kind that a machine can have, one with all samples, one with the defaults. */
static void add_parts(struct machine_config *c)
{
	const struct attr *a;
	struct part *p;
	struct err e = { 0 };

	for (int k = 0; k < PART_KINDS; k++) {
		if (!part_kind_applies((enum part_kind)k, c->kind))
			continue;
		parts_add(&c->parts[k], (enum part_kind)k, "1", NULL, &e);
		ok(parts_add(&c->parts[k], (enum part_kind)k, "0", &p, &e) == 0, "%s/0",
		   part_type((enum part_kind)k)->dir);
		for (size_t i = 0; (a = schema_attr(&part_type((enum part_kind)k)->schema, i)); i++)
			attr_store(a, p, a->good, strlen(a->good), &e);
	}
}

static void test_parts(void)
{
	for (int kind = 0; kind < 2; kind++) {
		struct machine_config c = { 0 }, back = { 0 };
		struct text text = TEXT_INIT;
		struct err e = { 0 };

		config_init((enum machine_kind)kind, &c, &e);
		add_parts(&c);
		ok(comes_back(&c, &e), "parts come back: %s", e.text);
		ok(config_print_complete(&c, &text, &e) == 0 &&
			   config_parse(c.kind, text.data, text.len, &back, NULL, &e) == 0,
		   "so do those that are there: %s", e.text);
		ok(back.parts[PART_NIC].n == 1 && !strcmp(back.parts[PART_NIC].list[0].name, "0") &&
			   (kind == KIND_CONTAINER || back.parts[PART_NUMA].n == 2),
		   "and they alone");
		config_free(&back);
		config_free(&c);
		text_free(&text);
	}
}

static void test_places(void)
{
	static const char yaml[] = "cpu.count: 2\ndisk:\n  root:\n    path: /a\n  b: {path: /b, "
				   "size: 1M}\n";
	static const struct {
		const char *name;
		unsigned line, column;
	} places[] = { { "cpu.count", 1, 1 },	   { "disk/root", 3, 3 },
		       { "disk/root/path", 4, 5 }, { "disk/b/size", 5, 17 },
		       { "disk/root/size", 0, 0 }, { "disk/b/path", 5, 7 },
		       { "path", 0, 0 },	   { "disk/c", 0, 0 } };

	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		struct config_place at = config_place(KIND_VM, yaml, strlen(yaml), places[i].name);

		ok(at.line == places[i].line && at.column == places[i].column, "%s is at %u:%u",
		   places[i].name, at.line, at.column);
	}
}

/* ---- what is refused ---- */

static const struct refusal {
	const char *what, *yaml, *says; /* the beginning, and a part, of the sentence */
	const char *part;
} refusals[] = {
	{ "nothing", "", "1:1: ", "" },
	{ "only an end mark", "...\n", "1:1: ", "" },
	{ "a comment only", "# nothing\n", "", "empty" },
	{ "a word", "hello\n", "1:1: ", "map" },
	{ "a list", "- cpu.count: 1\n", "1:1: ", "list" },
	{ "an unknown key", "cpu.count: 1\ncpu.colour: red\n", "2:1: ", "cpu.colour" },
	{ "a key of the other kind", "hostname: x\n", "1:1: ", "a VM has no such setting" },
	{ "a duplicate key", "cpu.count: 1\ncpu.count: 1\n", "2:1: ", "twice" },
	{ "an anchor", "cpu.count: &a 1\n", "1:12: ", "anchor" },
	{ "an anchor on the map", "&a\ncpu.count: 1\n", "", "anchor" },
	{ "an anchor on a key", "&a cpu.count: 1\n", "1:1: ", "anchor" },
	{ "an alias", "boot.cmdline: *a\n", "1:15: ", "alias" },
	{ "an alias as a key", "*a : 1\n", "1:1: ", "alias" },
	{ "a merge key", "<<: {cpu.count: 1}\n", "1:1: ", "<<" },
	{ "a tag", "cpu.count: !!int 1\n", "1:12: ", "tag" },
	{ "a local tag", "boot.cmdline: !x y\n", "1:15: ", "tag" },
	{ "a list as a value", "cpu.count: [1]\n", "1:12: ", "list" },
	{ "a map as a value", "cpu.count:\n  a: 1\n", "2:3: ", "one line" },
	{ "a scalar for keys", "label: x\n", "1:8: ", "map" },
	{ "a map in a map of keys", "label:\n  a: {b: c}\n", "2:6: ", "one line" },
	{ "a list in a map of keys", "label:\n  a: [b]\n", "2:6: ", "list" },
	{ "a map as a key", "{a: b}: 1\n", "1:1: ", "key" },
	{ "a duplicate key inside", "label:\n  a: b\n  a: c\n", "3:3: ", "twice" },
	{ "a key of two words inside", "label:\n  a b: c\n", "2:3: ", "one word" },
	{ "a block of lines", "boot.cmdline: |\n  a\n  b\n", "1:15: ", "one line" },
	{ "an escaped newline", "boot.cmdline: \"a\\nb\"\n", "1:15: ", "one line" },
	{ "an escaped NUL", "boot.cmdline: \"a\\0b\"\n", "1:15: ", "NUL" },
	{ "an escaped NUL in a key", "\"cpu.count\\0x\": 1\n", "1:1: ", "no such setting" },
	{ "an escaped control character", "boot.cmdline: \"a\\eb\"\n", "1:15: ", "boot.cmdline" },
	{ "two documents", "cpu.count: 1\n---\ncpu.count: 2\n", "2:1: ", "one document" },
	{ "an unknown directive", "%FOO 1\n%TAG ! x\n---\ncpu.count: 1\n", "", "" },
	{ "another version", "%YAML 2.0\n---\ncpu.count: 1\n", "1:1: ", "" },
	{ "a bad value", "cpu.count: 0\n", "1:12: ", "cpu.count: 0 is outside" },
	{ "an empty number", "cpu.count:\n", "1:11: ", "cpu.count" },
	{ "parts of another kind of machine", "mount:\n  a:\n    target: /a\n",
	  "1:1: ", "no such setting" },
	{ "parts as a word", "disk: root\n", "1:7: ", "map" },
	{ "parts as a list", "disk: [root]\n", "1:7: ", "list" },
	{ "a part as a word", "disk:\n  root: /a\n", "2:9: ", "map" },
	{ "a part with a bad name", "disk:\n  .root:\n    path: /a\n", "2:3: ", "not a name" },
	{ "a part with an escaped NUL in its name", "disk:\n  \"a\\0b\": {}\n",
	  "2:3: ", "not a name" },
	{ "a node with a name", "numa:\n  a: {}\n", "2:3: ", "numbers" },
	{ "the same part twice", "disk:\n  a: {}\n  a: {}\n", "3:3: ", "twice" },
	{ "the same kind of parts twice", "disk: {a: {}}\ndisk: {b: {}}\n", "2:1: ", "twice" },
	{ "an unknown setting of a part", "disk:\n  a:\n    colour: red\n",
	  "3:5: ", "disk/a/colour: a disk has no such setting" },
	{ "a setting of a part twice", "disk:\n  a:\n    size: 1\n    size: 2\n",
	  "4:5: ", "disk/a/size: this key is here twice" },
	{ "a bad value of a part", "disk:\n  a:\n    path: b\n", "3:11: ", "disk/a/path: " },
	{ "a map as a part's value", "disk:\n  a:\n    path: {b: c}\n", "3:11: ", "one line" },
	{ "a map as a part's name", "disk:\n  {a: b}: {}\n", "2:3: ", "one word" },
	{ "an open quote", "boot.cmdline: \"a\n", "", "" },
	{ "a tab for indentation", "label:\n\ta: b\n", "2:1: ", "" },
	{ "bad indentation", "label:\n  a: b\n c: d\n", "3:2: ", "" },
	{ "invalid UTF-8", "boot.cmdline: \xff\xfe\n", "", "UTF-8" },
	{ "a control character", "boot.cmdline: \001\n", "", "" },
	{ "UTF-16",
	  "\xff\xfe"
	  "c\0p\0",
	  "", "" },
};

static void test_refusals(void)
{
	for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
		const struct refusal *r = &refusals[i];
		struct machine_config c = { .cpu_count = 77 };
		struct text all = TEXT_INIT;
		struct err e = { 0 };
		unsigned line = 0, column = 0;
		int rc = config_parse(KIND_VM, r->yaml, strlen(r->yaml), &c, &all, &e);

		ok(rc == -EINVAL && e.code == -EINVAL, "refused: %s", r->what);
		ok(sscanf(e.text, "%u:%u: ", &line, &column) == 2 && line && column &&
			   !strncmp(e.text, r->says, strlen(r->says)) && strstr(e.text, r->part),
		   "%s: says where and why: %s", r->what, e.text);
		ok(!strncmp(text_str(&all), e.text, strlen(e.text)), "%s: in the list too",
		   r->what);
		ok(c.cpu_count == 77, "%s: the result is untouched", r->what);
		if (rc == 0)
			config_free(&c);
		text_free(&all);
	}
}

static int lines_of(const struct text *t)
{
	int n = 0;

	for (const char *p = text_str(t); *p; p++)
		n += *p == '\n';
	return n;
}

static void test_several(void)
{
	static const char yaml[] = "cpu.count: -1\n"
				   "nosuch: {deep: {deeper: 1}}\n"
				   "memory.size: 1Q\n"
				   "label: {a: \"x\\ty\", b: c, b: d}\n"
				   "isolation: none\n"
				   "pids.max: 5\n"
				   "pids.max: 6\n";
	static const char *const places[] = { "1:12: cpu.count",   "2:1: nosuch",
					      "3:14: memory.size", "4:12: label",
					      "4:26: this key",	   "5:12: isolation",
					      "7:1: pids.max" };
	struct machine_config c = { 0 };
	struct text all = TEXT_INIT;
	struct err e = { 0 };

	ok(config_parse(KIND_VM, yaml, strlen(yaml), &c, &all, &e) == -EINVAL,
	   "a document with seven faults");
	ok(lines_of(&all) == 7, "each is told: %d", lines_of(&all));
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++)
		ok(strstr(text_str(&all), places[i]), "with its place and name: %s", places[i]);
	ok(!strncmp(e.text, "1:12: ", 6), "the first one is the sentence: %s", e.text);
	text_free(&all);
}

/* Time and memory stay small whatever is sent. */
static void test_hostile_sizes(void)
{
	static const char *const units[] = { "{",   "[",    "a: {",	   "- ",       "? ",
					     "&a ", "!",    "label: {a: ", "\"",       "a:\n",
					     "|\n", "*a\n", "a: b\n",	   "{a: b}, ", "#\n" };
	size_t size = 10 << 20;
	char *big = malloc(size + 1);

	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		struct machine_config c = { 0 };
		struct text all = TEXT_INIT;
		struct err e = { 0 };
		size_t n = 0, unit = strlen(units[i]);
		int rc;

		while (n + unit <= size) {
			memcpy(big + n, units[i], unit);
			n += unit;
		}
		ok(config_parse(KIND_VM, big, n, &c, &all, &e) == -EINVAL, "10 MiB of \"%zu\": %s",
		   i, e.text);
		text_clear(&all);
		rc = config_parse(KIND_VM, big, CONFIG_YAML_MAX, &c, &all, &e);
		ok(rc == -EINVAL && lines_of(&all) <= 64 && all.len < 65536,
		   "the largest document of it: %d lines", lines_of(&all));
		text_free(&all);
	}
	free(big);
}

static void test_accepted(void)
{
	static const char *const good[] = {
		"cpu.count: 2\n",
		"cpu.count: 2",
		"---\ncpu.count: 2\n...\n",
		"{cpu.count: 2}\n",
		"\"cpu.count\": '2'\n",
		"cpu.count:   2   # two\n",
		"%YAML 1.1\n---\ncpu.count: 2\n",
		"? cpu.count\n: 2\n",
		"label:\ncpu.count: 2\n",
		"label: {}\ncpu.count: 2\n",
		"cpu.count: >-\n  2\n",
		"\xef\xbb\xbf"
		"cpu.count: 2\n",
		"cpu.count: 2\r\n",
		"cpu.count: 2\n...\n# and a comment\n",
		"\n\n\ncpu.count: 2\n\n",
	};

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		struct machine_config c = { 0 };
		struct err e = { 0 };
		int rc = config_parse(KIND_VM, good[i], strlen(good[i]), &c, NULL, &e);

		ok(rc == 0 && c.cpu_count == 2 && c.memory_size == 256 << 20,
		   "accepted, what lacks has its default: %zu %s", i, e.text);
		if (rc == 0)
			config_free(&c);
	}
}

static void test_unheard(void)
{
	struct machine_config c = { 0 };

	ok(config_parse(KIND_VM, "[", 1, &c, NULL, NULL) == -EINVAL,
	   "a refusal that nobody wants to hear");
}

int main(void)
{
	test_samples();
	test_parts();
	test_places();
	test_odd_values();
	test_long_keys();
	test_long_values();
	test_refusals();
	test_several();
	test_hostile_sizes();
	test_accepted();
	test_unheard();
	return tap_done();
}
