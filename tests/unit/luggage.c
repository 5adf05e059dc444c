/*
 * What a daemon hands to its successor: everything comes back, and what is cut, of another format
 * or of objects that are gone harms nobody. The journal: what is noted is found, once.
 */
#include "fs/handover/luggage.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "fs/daemon.h"
#include "fs/handover/journal.h"
#include "tests/unit/tap.h"

#define ADOPTED_MAX 8

struct tree {
	struct daemon daemon;
	struct object *root, *web;
};

static struct handle *adopted[ADOPTED_MAX];
static uint64_t numbers[ADOPTED_MAX];
static int nadopted;

static void show_name(struct object *o, const struct file *f, struct text *out)
{
	text_addf(out, "%s\n", o->name);
}

static int write_draft(struct handle *h, struct request *r, const char *data, size_t len,
		       struct err *e)
{
	text_add_bytes(&h->draft, data, len);
	return 0;
}

static struct file files[] = {
	{ .name = "state", .mode = 0444, .show = show_name, .event = true },
	{ .name = "draft", .mode = 0644, .show = show_name, .write = write_draft },
};

static void object_free(struct object *o)
{
	free(o);
}

static struct class class = {
	.name = "test", .files = files, .nfiles = 2, .mode = 0755, .free = object_free
};

static void poll_nothing(void *poll)
{
}

static void invalidate(const struct front *f, uint64_t ino)
{
}

static const struct front front = { poll_nothing, poll_nothing, invalidate };

static void tree_make(struct tree *t)
{
	memset(t, 0, sizeof(*t));
	t->daemon.front = &front;
	t->root = calloc(1, sizeof(*t->root));
	t->web = calloc(1, sizeof(*t->web));
	object_init(t->root, &t->daemon, &class, NULL, 1, "", NULL);
	object_init(t->web, &t->daemon, &class, t->root, 16, "web", NULL);
}

static void tree_free(struct tree *t)
{
	if (t->web)
		object_remove(t->web);
	object_remove(t->root);
}

static struct handle *handle_open(struct object *o, int file, int flags)
{
	struct handle *h = NULL;

	node_open((struct node){ o, &files[file] }, flags, (struct caller){ 500, 501 }, &h);
	return h;
}

static void adopt(void *arg, uint64_t number, struct handle *h)
{
	if (nadopted == ADOPTED_MAX) {
		handle_close(h);
		return;
	}
	numbers[nadopted] = number;
	adopted[nadopted++] = h;
}

static void adopted_close(void)
{
	while (nadopted)
		handle_close(adopted[--nadopted]);
}

static void pack(struct tree *t, struct text *out)
{
	struct handle *state = handle_open(t->web, 0, O_RDONLY);
	struct handle *draft = handle_open(t->web, 1, O_RDWR);
	const char *data;

	text_add(&t->web->refusal, "EINVAL draft: no\nand more\n");
	object_changed(t->web, "state");
	handle_read(draft, 100, 0, &data);
	text_add(&draft->draft, "half a\ndocument");
	draft->refusal = strdup("EBUSY draft: not now\n");
	draft->draft_bad = true;
	luggage_begin(out);
	luggage_add_object(out, t->root);
	luggage_add_handle(out, 7, state);
	luggage_add_handle(out, 1ULL << 60, draft);
	luggage_end(out);
	handle_close(state);
	handle_close(draft);
}

static void test_whole(const struct text *luggage)
{
	struct err e = { 0 };
	struct tree t;

	tree_make(&t);
	ok(luggage_unpack(luggage, &t.daemon, adopt, NULL, &e) == 0, "it is unpacked");
	ok(!strcmp(text_str(&t.web->refusal), "EINVAL draft: no\nand more\n"), "error is back");
	ok(nadopted == 2 && numbers[0] == 7 && numbers[1] == 1ULL << 60, "so are the handles");
	if (nadopted == 2) {
		const struct handle *s = adopted[0], *d = adopted[1];

		ok(s->object == t.web && s->file == &files[0] && s->flags == O_RDONLY &&
			   s->who.uid == 500 && s->who.gid == 501,
		   "of whom and for what");
		ok(s->seen != t.web->version[0], "one has not seen the last change");
		ok(!strcmp(text_str(&d->draft), "half a\ndocument") && d->draft_bad,
		   "half a document");
		ok(d->refusal && !strcmp(d->refusal, "EBUSY draft: not now\n"), "what was refused");
		ok(d->rendered && !strcmp(text_str(&d->text), "web\n"), "what was being read");
	}
	adopted_close();
	tree_free(&t);
}

/* Whatever is missing or changed: a refusal or less, never more. */
static void test_hostile(const struct text *luggage)
{
	struct text cut = TEXT_INIT;
	struct err e = { 0 };
	int whole = 0;
	struct tree t;

	tree_make(&t);
	for (size_t len = 0; len < luggage->len; len++) {
		text_clear(&cut);
		text_add_bytes(&cut, luggage->data, len);
		whole += luggage_unpack(&cut, &t.daemon, adopt, NULL, &e) == 0;
		adopted_close();
	}
	ok(whole == 0, "cut anywhere it is not whole");
	for (size_t i = 0; i < luggage->len * 4; i++) {
		text_clear(&cut);
		text_add_bytes(&cut, luggage->data, luggage->len);
		cut.data[i / 4] = "9\n-\xff"[i % 4];
		luggage_unpack(&cut, &t.daemon, adopt, NULL, &e);
		adopted_close();
	}
	ok(true, "a byte that is another one anywhere is survived");
	object_remove(t.web);
	t.web = NULL;
	ok(luggage_unpack(luggage, &t.daemon, adopt, NULL, &e) == 0 && nadopted == 0,
	   "what is gone is left out");
	text_free(&cut);
	tree_free(&t);
}

static void test_journal(void)
{
	struct journal_call *calls = NULL;
	struct journal *j = NULL, *next = NULL;
	char message[JOURNAL_MESSAGE_MAX + 1] = "message";
	struct err e = { 0 };
	size_t n = 0;
	int fd = -1, copy, call, poll, left;

	ok(journal_new(&fd, &e) == 0, "a journal");
	copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	ok(journal_open(fd, &j, &e) == 0, "is opened");
	call = journal_park(j, 11, message, 8, 5);
	journal_unpark(j, journal_park(j, 12, message, 8, 6));
	journal_park(j, 13, message, sizeof(message), 7);
	poll = journal_poll(j, 99);
	ok(call >= 0 && poll >= 0, "calls and polls are noted");
	journal_unpoll(j, poll);
	journal_poll(j, 100);
	ok(journal_open(copy, &next, &e) == 0, "another daemon opens it");
	for (left = 0; journal_poll(next, 1) >= 0; left++)
		continue;
	ok(left == JOURNAL_POLLS - 1 && next->page->polls[0] == 100, "and finds the poll");
	ok(journal_take(next, &calls, &n, &e) == 0 && n == 2, "and two calls");
	ok(calls[0].unique == 11 && calls[0].len == 8 && calls[0].since == 5 &&
		   !strcmp(calls[0].message, "message"),
	   "one whole");
	ok(calls[1].unique == 13 && calls[1].len == 0, "one too long to be asked again");
	free(calls);
	ok(journal_take(next, &calls, &n, &e) == 0 && n == 0, "once");
	free(calls);
	for (left = 0; journal_park(next, 1, message, 8, 0) >= 0; left++)
		continue;
	ok(left == JOURNAL_CALLS, "%d calls have room, and one more has not", left);
	next->page->layout++;
	copy = fcntl(next->fd, F_DUPFD_CLOEXEC, 3);
	journal_free(next);
	ok(journal_open(copy, &next, &e) == -ENXIO, "another layout is refused");
	journal_free(j);
	ok(journal_open(open("/dev/null", O_RDWR | O_CLOEXEC), &next, &e) == -ENXIO,
	   "and what is none");
}

int main(void)
{
	struct text luggage = TEXT_INIT, other = TEXT_INIT;
	struct err e = { 0 };
	struct tree t;

	class_finish(&class);
	tree_make(&t);
	pack(&t, &luggage);
	tree_free(&t);
	test_whole(&luggage);
	test_hostile(&luggage);
	text_add(&other, "luggage 999\nend\n");
	tree_make(&t);
	ok(luggage_unpack(&other, &t.daemon, adopt, NULL, &e) == -ENXIO, "another format");
	tree_free(&t);
	test_journal();
	text_free(&luggage);
	text_free(&other);
	return tap_done();
}
