/* struct event_log: numbered lines, bounded by dropping whole lines of the older half; kept. */
#include "fs/store/event_log.h"

#include <fcntl.h>
#include <string.h>
#include <sys/resource.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/tap.h"

static char *log_text(const struct event_log *l)
{
	size_t size = (size_t)event_log_size(l);
	char *text = calloc(1, size + 1);

	if (event_log_read(l, text, size + 10, 0) != (ssize_t)size)
		ok(false, "a read gives the whole size");
	return text;
}

static bool log_is(const struct event_log *l, const char *want)
{
	char *text = log_text(l);
	bool same = !strcmp(text, want);

	if (!same)
		printf("# got: %s", text);
	free(text);
	return same;
}

static void add(struct event_log *own, const char *object)
{
	event_log_add(own, (struct timespec){ 1795189777, 120004999 }, object, "state", "running");
}

static void test_lines(void)
{
	struct event_log *all = event_log_new(4096, 4096);
	struct event_log *web = event_log_of(all, 20), *db = event_log_of(all, 21);
	char small[8];

	ok(event_log_size(all) == 0 && event_log_read(all, small, 8, 0) == 0, "it begins empty");
	add(web, "vm/web");
	event_log_add(db, (struct timespec){ 5, 0 }, "vm/db", "created", "");
	add(web, "vm/web");
	ok(log_is(all, "1 1795189777.120004 vm/web state running\n"
		       "2 5.000000 vm/db created\n"
		       "3 1795189777.120004 vm/web state running\n"),
	   "SEQ TIME OBJECT WHAT [DETAIL], a line each");
	ok(log_is(web, "1 1795189777.120004 vm/web state running\n"
		       "2 1795189777.120004 vm/web state running\n"),
	   "an object's own has its own lines, with numbers of their own");
	ok(event_log_read(all, small, 4, 2) == 4 && !memcmp(small, "1795", 4),
	   "a read in the middle");
	ok(event_log_read(all, small, 8, event_log_size(all)) == 0, "a read at the end");
	ok(event_log_read(all, small, 8, 1 << 30) == 0, "a read beyond the end");
	ok(event_log_read(all, small, 8, -1) == 0, "a read before the beginning");
	ok(event_log_told(web, "state", "running") && event_log_told(db, "created", "") == false,
	   "what was told last of a sort");
	ok(!event_log_told(web, "state", "run") && !event_log_told(web, "stat", "running") &&
		   !event_log_told(db, "state", "running"),
	   "and what was not");
	event_log_free(db);
	add(web, "vm/web");
	ok(event_log_size(web) > 0, "it goes on when another's has gone");
	event_log_free(web);
	event_log_free(all);
	event_log_free(NULL);
}

/* Whether every line is whole and the next number; *ret_first and the return value: the ends. */
static unsigned long long log_last(const struct event_log *l, const char *object,
				   unsigned long long *ret_first)
{
	char *text = log_text(l), *p, want[128];
	unsigned long long seq, last = 0;

	for (p = text; *p; p = strchr(p, '\n') + 1) {
		if (sscanf(p, "%llu", &seq) != 1 || (last && seq != last + 1)) {
			last = 0;
			break;
		}
		if (!last && ret_first)
			*ret_first = seq;
		last = seq;
		snprintf(want, sizeof(want), "%llu 1795189777.120004 %s state running\n", seq,
			 object);
		if (strncmp(p, want, strlen(want))) {
			last = 0;
			break;
		}
	}
	free(text);
	return last;
}

static void test_bounded(void)
{
	struct event_log *all = event_log_new(2000, 1000), *own = event_log_of(all, 20);
	bool bounded = true;

	for (int i = 0; i < 5000; i++) {
		add(own, "vm/web");
		bounded &= event_log_size(all) <= 2000 && event_log_size(own) <= 1000;
	}
	ok(bounded, "it never grows beyond its bound");
	ok(event_log_size(all) > 900 && event_log_size(own) > 400,
	   "and keeps the newer half at least: %d, %d", (int)event_log_size(all),
	   (int)event_log_size(own));
	ok(log_last(all, "vm/web", NULL) == 5000 && log_last(own, "vm/web", NULL) == 5000,
	   "whole lines up to the newest, without a gap among those that are there");
	event_log_free(own);
	event_log_free(all);
}

/* A line longer than the log: it is a gap, the log goes on. */
static void test_long_line(void)
{
	struct event_log *all = event_log_new(200, 200), *own = event_log_of(all, 20);
	char detail[512], *text;

	memset(detail, 'x', sizeof(detail) - 1);
	detail[sizeof(detail) - 1] = '\0';
	add(own, "vm/a");
	event_log_add(own, (struct timespec){ 1, 0 }, "vm/a", "state", detail);
	add(own, "vm/b");
	text = log_text(all);
	ok(event_log_size(all) <= 200, "a line longer than the log does not break its bound: %d",
	   (int)event_log_size(all));
	ok(strstr(text, "3 1795189777.120004 vm/b state running\n"), "the next one is there");
	free(text);
	event_log_free(own);
	event_log_free(all);
}

/* ---- kept in a file ---- */

static struct event_log *kept_new(int dirfd, size_t max)
{
	struct event_log *all = event_log_new(max, max / 2);
	struct err e = { 0 };

	ok(event_log_keep(all, dirfd, &e) == 0, "the file is opened: %s", e.text);
	return all;
}

static void kept_put(int dirfd, const char *text, size_t len)
{
	int fd = openat(dirfd, "events", O_WRONLY | O_CREAT | O_APPEND, 0600);

	ok(write(fd, text, len) == (ssize_t)len, "(a file is written)");
	close(fd);
}

static off_t kept_size(int dirfd)
{
	struct stat st = { 0 };

	fstatat(dirfd, "events", &st, 0);
	return st.st_size;
}

static void test_kept(int dirfd)
{
	struct event_log *all = kept_new(dirfd, 100000), *web = event_log_of(all, 20);
	struct event_log *gone = event_log_of(all, 21);
	char *before_all, *before_web, *text;

	for (int i = 0; i < 10; i++)
		add(web, "vm/web");
	add(gone, "vm/gone");
	add(web, "vm/web");
	before_all = log_text(all);
	before_web = log_text(web);
	event_log_free(web);
	event_log_free(gone);
	event_log_free(all);

	all = kept_new(dirfd, 100000);
	web = event_log_of(all, 20);
	event_log_settle(all);
	ok(log_is(all, before_all), "the next daemon has the same log");
	ok(log_is(web, before_web), "and each object its own");
	add(web, "vm/web");
	text = log_text(all);
	ok(strstr(text, "\n13 "), "it goes on counting");
	free(text);
	text = log_text(web);
	ok(strstr(text, "\n12 "), "and so does the object's");
	free(text);
	gone = event_log_of(all, 21);
	ok(event_log_size(gone) == 0, "what nobody asked for is forgotten");
	event_log_free(gone);
	event_log_free(web);
	event_log_free(all);
	free(before_all);
	free(before_web);
	unlinkat(dirfd, "events", 0);
}

/* Written anew again and again: numbers of objects whose lines have gone go on. */
static void test_shortened(int dirfd)
{
	struct event_log *all = kept_new(dirfd, 4000), *quiet = event_log_of(all, 20);
	struct event_log *loud = event_log_of(all, 21);
	unsigned long long first = 0;
	off_t most = 0;

	for (int i = 0; i < 7; i++)
		add(quiet, "vm/quiet");
	for (int i = 0; i < 3000; i++) {
		add(loud, "vm/loud");
		most = kept_size(dirfd) > most ? kept_size(dirfd) : most;
	}
	ok(most > 4000 && most < 10000, "the file is bounded: %d", (int)most);
	event_log_free(quiet);
	event_log_free(loud);
	event_log_free(all);

	all = kept_new(dirfd, 4000);
	quiet = event_log_of(all, 20);
	loud = event_log_of(all, 21);
	ok(log_last(all, "vm/loud", &first) == 3007 && first > 2900, "the newer part is there");
	ok(log_last(loud, "vm/loud", NULL) == 3000, "of an object, too");
	ok(event_log_size(quiet) == 0, "the older part is not");
	add(quiet, "vm/quiet");
	ok(log_is(quiet, "8 1795189777.120004 vm/quiet state running\n"), "but its numbers go on");
	event_log_free(quiet);
	event_log_free(loud);
	event_log_free(all);
	unlinkat(dirfd, "events", 0);
}

/* What a daemon that was killed, or anything else, may have left. */
static void test_torn(int dirfd)
{
	static const char *const torn[] = { "20",
					    "20 2",
					    "20 2 2",
					    "20 2 2 ",
					    "20 2 2 1795189",
					    "",
					    "\n",
					    "x\n",
					    "20 2 x y\n",
					    "20 2 2\n",
					    "20 2 2 \n",
					    "-1\n",
					    "99999999999999999999999 1 1 x\n" };
	static const char good[] = "20 1 1 5.000000 vm/web created\n";

	for (size_t i = 0; i < sizeof(torn) / sizeof(torn[0]); i++) {
		struct event_log *all, *web;
		char *text;

		kept_put(dirfd, good, strlen(good));
		kept_put(dirfd, torn[i], strlen(torn[i]));
		for (int again = 0; again < 2; again++) {
			all = kept_new(dirfd, 4000);
			web = event_log_of(all, 20);
			text = log_text(web);
			ok(!strncmp(text, "1 5.000000 vm/web created\n", 26),
			   "the whole line counts");
			add(web, "vm/web");
			free(text);
			text = log_text(web);
			ok(strstr(text, again ? "\n3 1795189777" : "\n2 1795189777"),
			   "torn, case %zu: numbers go on", i);
			ok(!strstr(text, "179518 ") && !strstr(text, "x"), "nothing odd is in it");
			free(text);
			event_log_free(web);
			event_log_free(all);
		}
		unlinkat(dirfd, "events", 0);
	}
	kept_put(dirfd, "\0\0\0\n20 1 1 5.0 vm/web created\n", 31);
	event_log_free(kept_new(dirfd, 4000));
	unlinkat(dirfd, "events", 0);
}

/* A run directory without room: the log goes on, the next daemon has a gap. */
static void test_full(int dirfd)
{
	struct event_log *all = kept_new(dirfd, 4000), *web = event_log_of(all, 20);
	struct rlimit old, small;

	for (int i = 0; i < 3; i++)
		add(web, "vm/web");
	getrlimit(RLIMIT_FSIZE, &old);
	small = (struct rlimit){ (rlim_t)kept_size(dirfd) + 10, old.rlim_max };
	signal(SIGXFSZ, SIG_IGN);
	setrlimit(RLIMIT_FSIZE, &small);
	for (int i = 0; i < 4; i++)
		add(web, "vm/web");
	setrlimit(RLIMIT_FSIZE, &old);
	ok(log_last(web, "vm/web", NULL) == 7, "a full disk loses nothing for this daemon");
	add(web, "vm/web");
	event_log_free(web);
	event_log_free(all);

	all = kept_new(dirfd, 4000);
	web = event_log_of(all, 20);
	ok(log_is(web, "1 1795189777.120004 vm/web state running\n"
		       "2 1795189777.120004 vm/web state running\n"
		       "3 1795189777.120004 vm/web state running\n"
		       "8 1795189777.120004 vm/web state running\n"),
	   "and is a gap for the next one");
	event_log_free(web);
	event_log_free(all);
	unlinkat(dirfd, "events", 0);
}

int main(void)
{
	char dir[] = "/tmp/event_log.XXXXXX";
	int dirfd = mkdtemp(dir) ? open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;

	test_lines();
	test_bounded();
	test_long_line();
	test_kept(dirfd);
	test_shortened(dirfd);
	test_torn(dirfd);
	test_full(dirfd);
	close(dirfd);
	rmdir(dir);
	return tap_done();
}
