/*
 * Every row of the table of settings keeps the promises of its type: what is generic in attr.h,
 * tried on all of machine_attrs, so that a new row is tested by being there.
 */
#include "fs/attr.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "tests/unit/tap.h"

static const char *kind_name(enum machine_kind kind)
{
	return kind == KIND_VM ? "VM" : "container";
}

static struct machine_config config_new(enum machine_kind kind)
{
	struct machine_config c = { 0 };
	struct err e = { 0 };

	if (config_init(kind, &c, &e) < 0) {
		printf("Bail out! defaults: %s\n", e.text);
		exit(1);
	}
	return c;
}

static int store(const struct attr *a, struct machine_config *c, const char *text, struct err *e)
{
	*e = (struct err){ 0 };
	return attr_store(a, c, text, strlen(text), e);
}

/* What the attribute prints, in a buffer of the caller's. */
static char *show(const struct attr *a, const struct machine_config *c, char *buf, size_t size)
{
	struct text t = TEXT_INIT;

	attr_show(a, c, &t);
	snprintf(buf, size, "%s", text_str(&t));
	text_free(&t);
	return buf;
}

/* Stored and shown; "" when it was refused. */
static const char *becomes(const char *name, enum machine_kind kind, const char *text)
{
	static char buf[4096];
	const struct attr *a = attr_find(kind, name);
	struct machine_config c = config_new(kind);
	struct err e;

	buf[0] = '\0';
	if (store(a, &c, text, &e) == 0)
		show(a, &c, buf, sizeof(buf));
	config_free(&c);
	return buf;
}

static bool refuses(const char *name, enum machine_kind kind, const char *text)
{
	const struct attr *a = attr_find(kind, name);
	struct machine_config c = config_new(kind);
	struct err e;
	int rc = store(a, &c, text, &e);
	size_t len = strlen(name);

	config_free(&c);
	return rc == -EINVAL && e.code == -EINVAL && !strncmp(e.text, name, len) &&
	       !strncmp(e.text + len, ": ", 2) && e.text[len + 2];
}

/* ---- for each row ---- */

static void test_declaration(const struct attr *a)
{
	ok(a->name && *a->name &&
		   strspn(a->name, "abcdefghijklmnopqrstuvwxyz_.") == strlen(a->name),
	   "%s: the name is a file's name", a->name);
	ok(a->doc && strlen(a->doc) > 5 && a->doc[strlen(a->doc) - 1] == '.',
	   "%s: has a sentence of documentation", a->name);
	ok(a->good && a->bad, "%s: has samples", a->name);
	ok(a->flags & ATTR_BOTH, "%s: some kind of machine has it", a->name);
	ok(a->offset + a->type->size <= sizeof(struct machine_config),
	   "%s: lies in the configuration", a->name);
}

/* The text that is printed is accepted, and means the same. */
static void test_round_trip(const struct attr *a, const struct machine_config *c, const char *what)
{
	struct machine_config again = config_new(c->kind);
	char first[8192], second[8192];
	struct err e = { 0 };

	show(a, c, first, sizeof(first));
	ok(!*first || (store(a, &again, first, &e) == 0 &&
		       !strcmp(show(a, &again, second, sizeof(second)), first)),
	   "%s: %s is read back as it was printed: %s", a->name, what, e.text);
	ok(!*first || first[strlen(first) - 1] == '\n', "%s: %s ends in a newline", a->name, what);
	config_free(&again);
}

static void test_good(const struct attr *a, enum machine_kind kind)
{
	struct machine_config c = config_new(kind), copy = { 0 };
	struct err e;

	ok(store(a, &c, a->good, &e) == 0, "%s of a %s: \"%s\" is accepted: %s", a->name,
	   kind_name(kind), a->good, e.text);
	test_round_trip(a, &c, "the good sample");
	ok(config_copy(&c, &copy, &e) == 0 && attr_equal(a, &c, &copy),
	   "%s: a copy has the same value", a->name);
	config_free(&c);
	test_round_trip(a, &copy, "the copy, when the original is freed,");
	config_free(&copy);
}

static void test_bad(const struct attr *a, enum machine_kind kind)
{
	struct machine_config c = config_new(kind);
	char before[8192], after[8192], lines[1024];
	struct err e;

	store(a, &c, a->good, &e);
	show(a, &c, before, sizeof(before));
	ok(refuses(a->name, kind, a->bad), "%s of a %s: \"%s\" is refused, in a sentence", a->name,
	   kind_name(kind), a->bad);
	store(a, &c, a->bad, &e);
	ok(!strcmp(show(a, &c, after, sizeof(after)), before), "%s: and has changed nothing",
	   a->name);
	snprintf(lines, sizeof(lines), "%s\n%s\n", a->good, a->bad);
	ok(store(a, &c, lines, &e) < 0 && !strcmp(show(a, &c, after, sizeof(after)), before),
	   "%s: a good line before it is refused with it", a->name);
	ok(attr_store(a, &c, "a\0b", 3, &e) == -EINVAL, "%s: a NUL byte is refused", a->name);
	config_free(&c);
}

static void test_long(const struct attr *a, enum machine_kind kind)
{
	struct machine_config c = config_new(kind);
	static char big[1 << 20];
	struct err e;

	memset(big, '7', sizeof(big));
	ok(attr_store(a, &c, big, sizeof(big), &e) == -EINVAL &&
		   !strncmp(e.text, a->name, strlen(a->name)),
	   "%s: 1 MiB is refused: %s", a->name, e.text);
	ok(attr_store(a, &c, big, ATTR_VALUE_MAX, &e) == -EINVAL,
	   "%s: so is the longest write of digits", a->name);
	config_free(&c);
}

/* A scalar is one line; a keyed attribute takes several, and forgets a key by "default". */
static void test_lines(const struct attr *a, enum machine_kind kind)
{
	struct machine_config c = config_new(kind);
	char text[1024], now[1024];
	struct err e;

	snprintf(text, sizeof(text), "%s\n%s\n", a->good, a->good);
	if (!a->type->separator) {
		ok(store(a, &c, text, &e) == -EINVAL, "%s: two lines are refused: %s", a->name,
		   e.text);
	} else {
		ok(store(a, &c, text, &e) == 0, "%s: two lines are accepted: %s", a->name, e.text);
		snprintf(text, sizeof(text), "%.*s default\n",
			 (int)strcspn(a->good, (char[]){ a->type->separator, '\0' }), a->good);
		ok(store(a, &c, text, &e) == 0 && !*show(a, &c, now, sizeof(now)),
		   "%s: \"KEY default\" forgets it: %s", a->name, e.text);
		ok(store(a, &c, text, &e) == 0, "%s: also when it is not there", a->name);
	}
	config_free(&c);
}

static void test_row(const struct attr *a, enum machine_kind kind)
{
	struct machine_config c = config_new(kind);

	test_round_trip(a, &c, "the default");
	config_free(&c);
	test_good(a, kind);
	test_bad(a, kind);
	test_long(a, kind);
	test_lines(a, kind);
}

static void test_unique(void)
{
	for (size_t i = 0; i < machine_attr_count; i++)
		for (size_t j = 0; j < i; j++)
			if (!strcmp(machine_attrs[i].name, machine_attrs[j].name))
				ok(!(machine_attrs[i].flags & machine_attrs[j].flags & ATTR_BOTH),
				   "%s is declared once for each kind", machine_attrs[i].name);
}

/* ---- the types ---- */

static const char *const hostile_numbers[] = {
	"",
	"-1",
	"-0",
	"+1",
	"0x10",
	"010x",
	" 4",
	"4 ",
	"4\t",
	"four",
	"4.0",
	"1e3",
	"4,5",
	"4\r",
	"٤",
	"18446744073709551616",
	"99999999999999999999999999",
	"NaN",
	"inf",
	"max ",
	"MAX",
	"4\n\n",
	"4\n5",
	"\n",
	"--",
	"0b1",
	"4k k",
	"1_000",
};

static void test_numbers(void)
{
	static const struct {
		const char *name;
		enum machine_kind kind;
	} numbers[] = { { "cpu.count", KIND_VM },
			{ "cpu.weight", KIND_VM },
			{ "memory.size", KIND_VM },
			{ "memory.size", KIND_CONTAINER },
			{ "pids.max", KIND_CONTAINER } };

	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		for (size_t j = 0; j < sizeof(hostile_numbers) / sizeof(hostile_numbers[0]); j++)
			ok(refuses(numbers[i].name, numbers[i].kind, hostile_numbers[j]),
			   "%s of a %s: hostile number %zu is refused", numbers[i].name,
			   kind_name(numbers[i].kind), j);
	ok(refuses("cpu.count", KIND_VM, "max"), "cpu.count has no max");
	ok(refuses("cpu.count", KIND_VM, "1K"), "a number takes no unit");
	ok(refuses("cpu.count", KIND_VM, "1025"), "cpu.count: above its bounds");
	ok(!strcmp(becomes("cpu.count", KIND_VM, "1024"), "1024\n"), "cpu.count: its largest");
	ok(!strcmp(becomes("cpu.count", KIND_VM, "007"), "7\n"), "leading zeros are no octal");
	ok(!strcmp(becomes("cpu.count", KIND_VM, "4"), "4\n"), "a newline is not needed");
	ok(!strcmp(becomes("pids.max", KIND_VM, "max"), "max\n"), "max is printed as max");
	ok(refuses("pids.max", KIND_VM, "18446744073709551615"), "which no number is");
	ok(!strcmp(becomes("pids.max", KIND_VM, "18446744073709551614"), "18446744073709551614\n"),
	   "the largest number below it is one");
}

static void test_sizes(void)
{
	static const struct {
		const char *text, *shown;
	} sizes[] = { { "1M", "1048576\n" },	  { "1m", "1048576\n" },
		      { "1024K", "1048576\n" },	  { "1048576", "1048576\n" },
		      { "2G", "2147483648\n" },	  { "1T", "1099511627776\n" },
		      { "1g\n", "1073741824\n" }, { "64T", "70368744177664\n" } };
	static const char *const bad[] = { "65T",
					   "K",
					   "1KB",
					   "1KiB",
					   "1 M",
					   "1P",
					   "1E",
					   "1MM",
					   "M1",
					   "1.5G",
					   "18014398509481985K",
					   "-1M",
					   "0x1M",
					   "1023K",
					   "0",
					   "16777216T" };

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		ok(!strcmp(becomes("memory.size", KIND_VM, sizes[i].text), sizes[i].shown),
		   "memory.size: size %zu is what it says", i);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		ok(refuses("memory.size", KIND_VM, bad[i]), "memory.size: %s is refused", bad[i]);
	ok(!strcmp(becomes("memory.size", KIND_CONTAINER, "max"), "max\n"),
	   "a container's memory.size may be max");
	ok(refuses("memory.size", KIND_VM, "max"), "a VM's may not");
}

static void test_keyed(void)
{
	const struct attr *a = attr_find(KIND_CONTAINER, "init.env");
	struct machine_config c = config_new(KIND_CONTAINER);
	char now[4096];
	struct err e;

	ok(store(a, &c, "A=1\nB=2\nC=x=y z\n", &e) == 0, "init.env: three lines");
	ok(store(a, &c, "B=\n", &e) == 0, "one of them again");
	ok(!strcmp(show(a, &c, now, sizeof(now)), "A=1\nB=\nC=x=y z\n"),
	   "the others are as they were, the order too");
	ok(store(a, &c, "A default\nD=default\n", &e) == 0, "one is forgotten, one is new");
	ok(!strcmp(show(a, &c, now, sizeof(now)), "B=\nC=x=y z\nD=default\n"),
	   "the word default may be a value of NAME=VALUE");
	ok(store(a, &c, "E=1\n=2\n", &e) == -EINVAL, "a bad line: %s", e.text);
	ok(!strcmp(show(a, &c, now, sizeof(now)), "B=\nC=x=y z\nD=default\n"),
	   "refuses the good one before it");
	ok(refuses("init.env", KIND_CONTAINER, "A B=1"), "a name with a space");
	ok(refuses("init.env", KIND_CONTAINER, "A=1\n\nB=2"), "an empty line between");
	ok(refuses("label", KIND_VM, "a=b c"), "label: a key with an equals sign");
	ok(refuses("label", KIND_VM, " x y"), "label: a line that begins with a space");
	ok(refuses("label", KIND_VM, "x"), "label: a key without a value");
	ok(refuses("label", KIND_VM, "x y\033[31m"), "label: a control character");
	ok(refuses("label", KIND_VM, "x \xff\xfe"), "label: what is not UTF-8");
	ok(!strcmp(becomes("label", KIND_VM, "x  y "), "x  y \n"), "label: spaces in values stay");
	ok(!strcmp(becomes("label", KIND_VM, "größe ∞"), "größe ∞\n"), "label: UTF-8 stays");
	config_free(&c);
}

static void test_bounded(void)
{
	const struct attr *a = attr_find(KIND_CONTAINER, "label");
	struct machine_config c = config_new(KIND_CONTAINER);
	char line[64];
	struct err e;
	int n = 0;

	for (; n < 100000; n++) {
		snprintf(line, sizeof(line), "k%d v", n);
		if (store(a, &c, line, &e) < 0)
			break;
	}
	ok(n >= 256 && n < 100000, "a keyed file is bounded: %d keys, then: %s", n, e.text);
	config_free(&c);
}

static void test_strings(void)
{
	static const char *const bad[] = { "a\tb",
					   "a\033b",
					   "a\177b",
					   "a\rb",
					   "\xc3\x28",
					   "\xed\xa0\x80",
					   "\xc0\xaf",
					   "\xf5\x80\x80\x80",
					   "\xe2\x82",
					   "a\xc2\x85"
					   "b" };

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		ok(refuses("boot.cmdline", KIND_VM, bad[i]), "boot.cmdline: bad text %zu", i);
		ok(refuses("init", KIND_CONTAINER, bad[i]), "init: bad text %zu", i);
	}
	ok(!strcmp(becomes("boot.cmdline", KIND_VM, ""), "\n"), "boot.cmdline may be empty");
	ok(refuses("boot.kernel", KIND_VM, "vmlinuz"), "a relative path");
	ok(refuses("boot.kernel", KIND_VM, "../x"), "a relative path upwards");
	ok(!strcmp(becomes("boot.kernel", KIND_VM, "\n"), "\n"), "an empty line unsets a path");
	ok(refuses("init", KIND_CONTAINER, "sh -c \"x"), "init: an open quote");
	ok(refuses("hostname", KIND_CONTAINER, "a/b"), "hostname: a slash");
	ok(refuses("init.user", KIND_CONTAINER, "-1"), "init.user: negative");
	ok(refuses("init.user", KIND_CONTAINER, "4294967295"), "init.user: the uid that is none");
	ok(refuses("init.user", KIND_CONTAINER, "1:2:3"), "init.user: three");
	ok(!strcmp(becomes("init.user", KIND_CONTAINER, "7"), "7:7\n"), "init.user: gid as uid");
	ok(!strcmp(becomes("namespaces", KIND_CONTAINER, "user pid"), "pid user\n"),
	   "words are printed in one order");
	ok(refuses("user.map", KIND_CONTAINER, "0 4294967295 2"), "user.map: beyond the last id");
	ok(refuses("user.map", KIND_CONTAINER, "0 1000 10\n5 2000 10"), "user.map: overlap inside");
	ok(refuses("user.map", KIND_CONTAINER, "0 1000 10\n20 1005 10"), "user.map: and outside");
	ok(refuses("cpu.max", KIND_VM, "1 2 3"), "cpu.max: three numbers");
	ok(!strcmp(becomes("cpu.max", KIND_VM, "50000"), "50000 100000\n"),
	   "cpu.max: the period is kept");
	ok(!strcmp(becomes("cpu.max", KIND_VM, "max"), "max 100000\n"), "cpu.max: max");
}

int main(void)
{
	static const enum machine_kind kinds[] = { KIND_VM, KIND_CONTAINER };

	for (size_t i = 0; i < machine_attr_count; i++) {
		test_declaration(&machine_attrs[i]);
		for (int k = 0; k < 2; k++)
			if (attr_applies(&machine_attrs[i], kinds[k]))
				test_row(&machine_attrs[i], kinds[k]);
	}
	test_unique();
	test_numbers();
	test_sizes();
	test_keyed();
	test_bounded();
	test_strings();
	return tap_done();
}
