/*
 * Every row of the table of settings keeps the promises of its type: what is generic in attr.h,
 * tried on all rows, so that a new row is tested by being there.
 */
#include "fs/attr/part_type.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "tests/unit/tap.h"

static void *base_new(const struct schema *s)
{
	void *base = calloc(1, s->size);
	struct err e = { 0 };

	if (!base || schema_init(s, base, &e) < 0) {
		printf("Bail out! defaults: %s\n", e.text);
		exit(1);
	}
	return base;
}

static void base_free(const struct schema *s, void *base)
{
	schema_free(s, base);
	free(base);
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

static int store(const struct attr *a, void *base, const char *text, struct err *e)
{
	*e = (struct err){ 0 };
	return attr_store(a, base, text, strlen(text), e);
}

/* What the attribute prints, in a buffer of the caller's. */
static char *show(const struct attr *a, const void *base, char *buf, size_t size)
{
	struct text t = TEXT_INIT;

	attr_show(a, base, &t);
	snprintf(buf, size, "%s", text_str(&t));
	text_free(&t);
	return buf;
}

/* Stored and shown; "" when it was refused. */
static const char *schema_becomes(const struct schema *s, const char *name, const char *text)
{
	static char buf[4096];
	const struct attr *a = schema_find(s, name);
	void *base = base_new(s);
	struct err e;

	buf[0] = '\0';
	if (store(a, base, text, &e) == 0)
		show(a, base, buf, sizeof(buf));
	base_free(s, base);
	return buf;
}

static const char *becomes(const char *name, enum machine_kind kind, const char *text)
{
	return schema_becomes(machine_schema(kind), name, text);
}

static bool schema_refuses(const struct schema *s, const char *name, const char *text)
{
	void *base = base_new(s);
	struct err e;
	int rc = store(schema_find(s, name), base, text, &e);
	size_t len = strlen(name);

	base_free(s, base);
	return rc == -EINVAL && e.code == -EINVAL && !strncmp(e.text, name, len) &&
	       !strncmp(e.text + len, ": ", 2) && e.text[len + 2];
}

static bool refuses(const char *name, enum machine_kind kind, const char *text)
{
	return schema_refuses(machine_schema(kind), name, text);
}

/* ---- for each row ---- */

static void test_declaration(const struct schema *s, const struct attr *a)
{
	ok(a->name && *a->name &&
		   strspn(a->name, "abcdefghijklmnopqrstuvwxyz_.") == strlen(a->name),
	   "%s: the name is a file's name", a->name);
	ok(a->doc && strlen(a->doc) > 5 && a->doc[strlen(a->doc) - 1] == '.',
	   "%s: has a sentence of documentation", a->name);
	ok(a->good && a->bad, "%s: has samples", a->name);
	ok(a->offset + a->type->size <= s->size, "%s: lies in the configuration", a->name);
}

/* The text that is printed is accepted, and means the same. */
static void test_round_trip(const struct schema *s, const struct attr *a, const void *base,
			    const char *what)
{
	void *again = base_new(s);
	char first[8192], second[8192];
	struct err e = { 0 };

	show(a, base, first, sizeof(first));
	ok(!*first || (store(a, again, first, &e) == 0 &&
		       !strcmp(show(a, again, second, sizeof(second)), first)),
	   "%s: %s is read back as it was printed: %s", a->name, what, e.text);
	ok(!*first || first[strlen(first) - 1] == '\n', "%s: %s ends in a newline", a->name, what);
	base_free(s, again);
}

static void test_good(const struct schema *s, const struct attr *a)
{
	void *base = base_new(s), *copy = calloc(1, s->size), *fresh = base_new(s);
	static char was[ATTR_VALUE_MAX], begins[ATTR_VALUE_MAX];
	struct err e;

	ok(store(a, base, a->good, &e) == 0, "%s of a %s: \"%s\" is accepted: %s", a->name, s->noun,
	   a->good, e.text);
	test_round_trip(s, a, base, "the good sample");
	ok(schema_copy(s, base, copy, &e) == 0 && attr_equal(a, base, copy),
	   "%s: a copy has the same value", a->name);
	if (strcmp(show(a, base, was, sizeof(was)), show(a, fresh, begins, sizeof(begins))))
		ok(!attr_equal(a, base, fresh), "%s: another value is not", a->name);
	base_free(s, fresh);
	base_free(s, base);
	test_round_trip(s, a, copy, "the copy, when the original is freed,");
	base_free(s, copy);
}

static void test_bad(const struct schema *s, const struct attr *a)
{
	char before[8192], after[8192], lines[1024];
	void *base = base_new(s);
	struct err e;

	store(a, base, a->good, &e);
	show(a, base, before, sizeof(before));
	ok(schema_refuses(s, a->name, a->bad), "%s of a %s: \"%s\" is refused, in a sentence",
	   a->name, s->noun, a->bad);
	store(a, base, a->bad, &e);
	ok(!strcmp(show(a, base, after, sizeof(after)), before), "%s: and has changed nothing",
	   a->name);
	snprintf(lines, sizeof(lines), "%s\n%s\n", a->good, a->bad);
	ok(store(a, base, lines, &e) < 0 && !strcmp(show(a, base, after, sizeof(after)), before),
	   "%s: a good line before it is refused with it", a->name);
	ok(attr_store(a, base, "a\0b", 3, &e) == -EINVAL, "%s: a NUL byte is refused", a->name);
	base_free(s, base);
}

static void test_long(const struct schema *s, const struct attr *a)
{
	static char big[1 << 20];
	void *base = base_new(s);
	struct err e;

	memset(big, '7', sizeof(big));
	ok(attr_store(a, base, big, sizeof(big), &e) == -EINVAL &&
		   !strncmp(e.text, a->name, strlen(a->name)),
	   "%s: 1 MiB is refused: %s", a->name, e.text);
	ok(attr_store(a, base, big, ATTR_VALUE_MAX, &e) == -EINVAL,
	   "%s: so is the longest write of digits", a->name);
	base_free(s, base);
}

/* A scalar is one line; a keyed attribute takes several, and forgets a key by "default". */
static void test_lines(const struct schema *s, const struct attr *a)
{
	char text[1024], now[1024];
	void *base = base_new(s);
	struct err e;

	snprintf(text, sizeof(text), "%s\n%s\n", a->good, a->good);
	if (!a->type->separator) {
		ok(store(a, base, text, &e) == -EINVAL, "%s: two lines are refused: %s", a->name,
		   e.text);
	} else {
		ok(store(a, base, text, &e) == 0, "%s: two lines are accepted: %s", a->name,
		   e.text);
		snprintf(text, sizeof(text), "%.*s default\n",
			 (int)strcspn(a->good, (char[]){ a->type->separator, '\0' }), a->good);
		ok(store(a, base, text, &e) == 0 && !*show(a, base, now, sizeof(now)),
		   "%s: \"KEY default\" forgets it: %s", a->name, e.text);
		ok(store(a, base, text, &e) == 0, "%s: also when it is not there", a->name);
	}
	base_free(s, base);
}

static void test_schema(const struct schema *s)
{
	const struct attr *a;

	for (size_t i = 0; (a = schema_attr(s, i)); i++) {
		void *base = base_new(s);

		test_declaration(s, a);
		test_round_trip(s, a, base, "the default");
		base_free(s, base);
		test_good(s, a);
		test_bad(s, a);
		test_long(s, a);
		test_lines(s, a);
		ok(schema_find(s, a->name) == a, "%s is declared once for a %s", a->name, s->noun);
	}
	ok(schema_count(s) <= SCHEMA_MAX, "a %s has no more settings than can be", s->noun);
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
			   machine_schema(numbers[i].kind)->noun, j);
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

static void test_lists(void)
{
	const struct schema *numa = &part_type(PART_NUMA)->schema;
	static const char *const bad[] = {
		"1-",	"-1",	  "1,,2", ",1",	   "1,",  "2-1",  "a",
		"4096", "0-4096", "1 2",  "1-2-3", "0x1", "1- 2", "99999999999999999999"
	};

	ok(!strcmp(schema_becomes(numa, "cpus", "8,0-3,2,4"), "0-4,8\n"),
	   "a list is printed as ranges, in order");
	ok(!strcmp(schema_becomes(numa, "cpus", "0-4095"), "0-4095\n"), "its largest");
	ok(!strcmp(schema_becomes(numa, "cpus", "1023,63,64"), "63-64,1023\n"), "across words");
	ok(!strcmp(schema_becomes(numa, "cpus", ""), "\n"), "none");
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		ok(schema_refuses(numa, "cpus", bad[i]), "cpus: \"%s\" is no list", bad[i]);
	ok(schema_refuses(numa, "distance", "10 256") && schema_refuses(numa, "distance", "9") &&
		   schema_refuses(numa, "distance", "10,20"),
	   "distances are bytes from 10 on");
	ok(!strcmp(schema_becomes(numa, "distance", "10  21 "), "10 21\n"), "with spaces between");
}

static void test_rates(void)
{
	const struct schema *disk = &part_type(PART_DISK)->schema;
	const struct attr *a = schema_find(disk, "io.max");
	static const char *const bad[] = {
		"rbps",	   "rbps=",	     "rbps=0",	"rbps=-1",   "rbps=1 =2",
		"rbps.=1", "rbps.burst=max", "rbpsx=1", "rbp=1",     "=1",
		"rbps==1", "rbps=1,wbps=2",  "rbps=2P", "rbps=1\tx", "rbps=99999999999999999999"
	};
	struct part *p = base_new(disk);
	char now[256];
	struct err e;

	ok(store(a, p, "wbps=1M riops.burst=7", &e) == 0 &&
		   !strcmp(show(a, p, now, sizeof(now)),
			   "rbps=max wbps=1048576 riops=max riops.burst=7 wiops=max\n"),
	   "io.max: %s", now);
	ok(store(a, p, "riops=5\n", &e) == 0 &&
		   !strcmp(show(a, p, now, sizeof(now)),
			   "rbps=max wbps=1048576 riops=5 riops.burst=7 wiops=max\n"),
	   "a write changes the keys it names");
	ok(store(a, p, "wbps=max riops=max riops.burst=0", &e) == 0 &&
		   !strcmp(show(a, p, now, sizeof(now)), "rbps=max wbps=max riops=max wiops=max\n"),
	   "and takes them back");
	ok(p->disk.io_max.wbps.rate == LIMIT_MAX, "no limit is LIMIT_MAX");
	base_free(disk, p);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		ok(schema_refuses(disk, "io.max", bad[i]), "io.max: \"%s\" is refused", bad[i]);
	ok(schema_refuses(&part_type(PART_NIC)->schema, "rate", "rbps=1"), "rate has other keys");
}

static void test_addresses(void)
{
	const struct schema *nic = &part_type(PART_NIC)->schema;
	const struct schema *device = &part_type(PART_DEVICE)->schema;
	static const char *const macs[] = { "52:54:00:12:34",	    "52:54:00:12:34:5",
					    "52-54-00-12-34-56",    "52:54:00:12:34:5g",
					    "01:00:5e:00:00:01",    "00:00:00:00:00:00",
					    "52:54:00:12:34:56:78", " 2:54:00:12:34:56" };
	static const char *const addresses[] = { "10.0.0.2",	"10.0.0.2/33", "10.0.0.2/",
						 "10.0.0.2/-1", "::1/129",     "10.0.0/8",
						 "1.2.3.4/8,",	"x/8",	       "::1%eth0/64" };

	ok(!strcmp(schema_becomes(nic, "mac", "52:54:00:AB:cd:EF"), "52:54:00:ab:cd:ef\n"),
	   "mac: in lower case");
	ok(!strcmp(schema_becomes(nic, "mac", ""), "\n"), "mac: none");
	for (size_t i = 0; i < sizeof(macs) / sizeof(macs[0]); i++)
		ok(schema_refuses(nic, "mac", macs[i]), "mac: \"%s\" is refused", macs[i]);
	ok(!strcmp(schema_becomes(nic, "address", " 10.0.0.2/24  FD00:0::2/64"),
		   "10.0.0.2/24 fd00::2/64\n"),
	   "address: two, as they are written");
	for (size_t i = 0; i < sizeof(addresses) / sizeof(addresses[0]); i++)
		ok(schema_refuses(nic, "address", addresses[i]), "address: \"%s\" is refused",
		   addresses[i]);
	ok(schema_refuses(nic, "address",
			  "::1/128 ::2/128 ::3/128 ::4/128 ::5/128 ::6/128 ::7/128 "
			  "::8/128 ::9/128"),
	   "address: nine are too many");
	ok(schema_refuses(nic, "gateway", "10.0.0.1/24"), "gateway: no prefix");
	ok(schema_refuses(nic, "net", "a/b") && schema_refuses(nic, "net", ".."), "net: a name");
	ok(!strcmp(schema_becomes(device, "number", "b 8:16"), "b 8:16\n") &&
		   schema_refuses(device, "number", "b8:16") &&
		   schema_refuses(device, "number", "c 4096:0") &&
		   schema_refuses(device, "number", "c 1") &&
		   schema_refuses(device, "number", "p 1:1"),
	   "number: TYPE MAJOR:MINOR");
	ok(!strcmp(schema_becomes(device, "mode", "600"), "0600\n") &&
		   schema_refuses(device, "mode", "1777") && schema_refuses(device, "mode", "-1") &&
		   schema_refuses(device, "mode", ""),
	   "mode: octal");
	ok(!strcmp(schema_becomes(device, "permissions", "mr"), "rm\n"), "permissions: letters");
}

static void test_parts(void)
{
	struct machine_config c = config_new(KIND_VM), copy;
	struct parts *disks = &c.parts[PART_DISK];
	struct part *p = NULL;
	struct err e = { 0 };
	char name[16];

	ok(parts_add(disks, PART_DISK, "root", &p, &e) == 0 && !part_complete(PART_DISK, p) &&
		   p->disk.queues == 1,
	   "a new disk has defaults and is not there yet");
	ok(store(schema_find(&part_type(PART_DISK)->schema, "path"), p, "/a", &e) == 0 &&
		   part_complete(PART_DISK, p),
	   "with a path it is");
	ok(config_copy(&c, &copy, &e) == 0 && config_equal(&c, &copy), "a copy is equal");
	ok(parts_add(&copy.parts[PART_DISK], PART_DISK, "data", NULL, &e) == 0 &&
		   !config_equal(&c, &copy),
	   "with one more it is not");
	parts_remove(&copy.parts[PART_DISK], PART_DISK, "root");
	ok(!parts_find(&copy.parts[PART_DISK], "root") &&
		   parts_find(&copy.parts[PART_DISK], "data") && parts_find(disks, "root"),
	   "one less");
	config_free(&copy);
	for (int i = 1; i < PARTS_MAX; i++) {
		snprintf(name, sizeof(name), "d%d", i);
		parts_add(disks, PART_DISK, name, NULL, &e);
	}
	ok(disks->n == PARTS_MAX && parts_add(disks, PART_DISK, "more", NULL, &e) == -ENOSPC,
	   "there are bounds: %s", e.text);
	config_free(&c);
	ok(part_name_valid(PART_NUMA, "0") && part_name_valid(PART_NUMA, "63") &&
		   !part_name_valid(PART_NUMA, "01") && !part_name_valid(PART_NUMA, "a") &&
		   !part_name_valid(PART_NUMA, "") && !part_name_valid(PART_NUMA, "100") &&
		   part_name_valid(PART_DISK, "a") && !part_name_valid(PART_DISK, ".a"),
	   "names of nodes are numbers");
}

int main(void)
{
	for (int kind = 0; kind < 2; kind++)
		test_schema(machine_schema((enum machine_kind)kind));
	for (int kind = 0; kind < PART_KINDS; kind++)
		test_schema(&part_type((enum part_kind)kind)->schema);
	test_numbers();
	test_sizes();
	test_keyed();
	test_bounded();
	test_strings();
	test_lists();
	test_rates();
	test_addresses();
	test_parts();
	return tap_done();
}
