/* struct event_log: numbered lines, bounded by dropping whole lines of the older half. */
#include "fs/event_log.h"

#include <string.h>

#include "tests/unit/tap.h"

static char *log_text(const struct event_log *l)
{
	size_t size = (size_t)event_log_size(l);
	char *text = calloc(1, size + 1);

	if (event_log_read(l, text, size + 10, 0) != (ssize_t)size)
		ok(false, "a read gives the whole size");
	return text;
}

static void add(struct event_log *all, struct event_log *also, const char *object)
{
	event_log_add(all, also, (struct timespec){ 1795189777, 120004999 }, object, "state",
		      "running");
}

static void test_lines(void)
{
	struct event_log *all = event_log_new(4096), *one = event_log_new(4096);
	char *text, small[8];

	ok(event_log_size(all) == 0 && event_log_read(all, small, 8, 0) == 0, "it begins empty");
	add(all, one, "vm/web");
	event_log_add(all, NULL, (struct timespec){ 5, 0 }, "vm/db", "created", "");
	add(all, one, "vm/web");
	text = log_text(all);
	ok(!strcmp(text, "1 1795189777.120004 vm/web state running\n"
			 "2 5.000000 vm/db created\n"
			 "3 1795189777.120004 vm/web state running\n"),
	   "SEQ TIME OBJECT WHAT [DETAIL], a line each");
	free(text);
	text = log_text(one);
	ok(!strcmp(text, "1 1795189777.120004 vm/web state running\n"
			 "3 1795189777.120004 vm/web state running\n"),
	   "a machine's own has its own lines, with the same numbers");
	free(text);
	ok(event_log_read(all, small, 4, 2) == 4 && !memcmp(small, "1795", 4),
	   "a read in the middle");
	ok(event_log_read(all, small, 8, event_log_size(all)) == 0, "a read at the end");
	ok(event_log_read(all, small, 8, 1 << 30) == 0, "a read beyond the end");
	ok(event_log_read(all, small, 8, -1) == 0, "a read before the beginning");
	event_log_free(one);
	event_log_free(all);
	event_log_free(NULL);
}

static void test_bounded(void)
{
	struct event_log *all = event_log_new(1000);
	unsigned long long expected = 0, seq;
	bool whole = true, bounded = true;
	char *text, *p;

	for (int i = 0; i < 5000; i++) {
		add(all, NULL, "vm/web");
		bounded &= event_log_size(all) <= 1000;
	}
	ok(bounded, "it never grows beyond its bound");
	ok(event_log_size(all) > 400, "and keeps the newer half at least: %d",
	   (int)event_log_size(all));
	text = log_text(all);
	for (p = text; *p; p = strchr(p, '\n') + 1) {
		if (sscanf(p, "%llu 1795189777.120004 vm/web state running\n", &seq) != 1)
			whole = false;
		whole &= !expected || seq == expected;
		expected = seq + 1;
	}
	ok(whole, "whole lines, without a gap among those that are there");
	ok(expected == 5001, "the newest is there");
	free(text);
	event_log_free(all);
}

/* A line longer than the log: it is a gap, the log goes on. */
static void test_long_line(void)
{
	struct event_log *all = event_log_new(200);
	char detail[512], *text;

	memset(detail, 'x', sizeof(detail) - 1);
	detail[sizeof(detail) - 1] = '\0';
	add(all, NULL, "vm/a");
	event_log_add(all, NULL, (struct timespec){ 1, 0 }, "vm/a", "state", detail);
	add(all, NULL, "vm/b");
	text = log_text(all);
	ok(event_log_size(all) <= 200, "a line longer than the log does not break its bound: %d",
	   (int)event_log_size(all));
	ok(strstr(text, "3 1795189777.120004 vm/b state running\n"), "the next one is there");
	free(text);
	event_log_free(all);
}

int main(void)
{
	test_lines();
	test_bounded();
	test_long_line();
	return tap_done();
}
