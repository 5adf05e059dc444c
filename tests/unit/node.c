/* The node layer without a front: look-ups, numbers, handles, refusals and parked requests. */
#include "fs/node.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>

#include "fs/daemon.h"
#include "tests/unit/tap.h"

static struct request *parked; // the one that write_park() kept
static int answers, last_answer, freed, wakes;
static uint64_t invalidated;

static void show_name(struct object *o, const struct file *f, struct text *out)
{
	text_addf(out, "%s\n", o->name);
}

static int write_even(struct handle *h, struct request *r, const char *data, size_t len,
		      struct err *e)
{
	return len % 2 ? err_set(e, -EINVAL, "even: %zu bytes", len) : 0;
}

static void park_cancel(struct request *r)
{
	parked = NULL;
}

static int write_park(struct handle *h, struct request *r, const char *data, size_t len,
		      struct err *e)
{
	parked = r;
	r->cancel = park_cancel;
	return NODE_PARKED;
}

static off_t printed = 10; // of the log
static off_t prints;	   // so much more once it has been read

static off_t log_size(struct object *o, const struct file *f)
{
	return printed;
}

static ssize_t log_read(struct object *o, const struct file *f, char *buf, size_t size, off_t at)
{
	size_t n = at < printed ? (size_t)(printed - at) : 0;

	n = n < size ? n : size;
	memset(buf, 'x', n);
	printed += prints;
	prints = 0;
	return (ssize_t)n;
}

static const struct file rows[] = {
	{ .name = "name", .mode = 0444, .show = show_name, .event = true },
	{ .name = "even",
	  .mode = 0644,
	  .show = show_name,
	  .write = write_even,
	  .changes = CHANGE_REFUSAL },
	{ .name = "park", .mode = 0644, .show = show_name, .write = write_park, .parks = true },
	{ .name = "error", .mode = 0444, .show = show_name },
	{ .name = "link", .mode = 0777, .kind = FILE_LINK, .show = show_name },
	{ .name = "log",
	  .mode = 0444,
	  .kind = FILE_LOG,
	  .log_size = log_size,
	  .log_read = log_read,
	  .event = true },
};

static void object_free(struct object *o)
{
	freed++;
	free(o);
}

static void poll_wake(void *poll)
{
	wakes++;
}

static void poll_free(void *poll)
{
}

static void answered(struct request *r, int result)
{
	answers++;
	last_answer = result;
}

static void invalidate(const struct front *f, uint64_t ino)
{
	invalidated = ino;
}

static const struct front front = { poll_wake, poll_free, invalidate };

static struct object *object_make(struct daemon *d, struct class *c, struct object *parent,
				  uint64_t id, const char *name)
{
	struct object *o = calloc(1, sizeof(*o));

	ok(object_init(o, d, c, parent, id, name, NULL) == 0, "object %s", name);
	return o;
}

static struct handle *handle_open(struct object *o, const char *name, int flags)
{
	struct node n;
	struct handle *h = NULL;

	if (node_lookup(node_of(o), name, (struct caller){ 0 }, &n) < 0 ||
	    node_open(n, flags, (struct caller){ 0 }, &h) < 0)
		ok(false, "open of %s", name);
	return h;
}

static const char *handle_text(struct handle *h)
{
	static char buf[512];
	const char *data = "";
	ssize_t n = handle_read(h, sizeof(buf) - 1, 0, &data);

	snprintf(buf, sizeof(buf), "%.*s", n > 0 ? (int)n : 0, data);
	return buf;
}

static int put(struct handle *h, struct request *r, const char *data)
{
	*r = (struct request){ .answer = answered };
	return handle_write(h, r, data, strlen(data), 0);
}

static void test_names(void)
{
	static const char *const bad[] = { "",	  ".",	 "..",	     "a/b", "-a",  "_a",
					   "a b", "a\n", "\xc3\xa4", "a:b", "a\\b" };
	char name[80];

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		ok(!object_name_valid(bad[i]), "no name: %zu", i);
	memset(name, 'n', sizeof(name));
	name[63] = '\0';
	ok(object_name_valid(name), "63 letters are a name");
	name[63] = 'n';
	name[64] = '\0';
	ok(!object_name_valid(name), "64 are not");
	ok(object_name_valid("0.a_b-C"), "0.a_b-C is one");
}

static void test_nodes(struct daemon *d, struct object *dir)
{
	struct node n, again;
	struct stat st;

	for (size_t i = 0; i < dir->class->nfiles; i++) {
		ok(node_lookup(node_of(dir), dir->class->files[i].name, (struct caller){ 0 }, &n) ==
				   0 &&
			   node_find(d, node_ino(n), &again) == 0 && again.object == dir &&
			   again.file == n.file,
		   "%s is found by its number", dir->class->files[i].name);
		node_stat(n, &st);
		ok(st.st_ino == node_ino(n) && S_ISLNK(st.st_mode) == (n.file->kind == FILE_LINK) &&
			   st.st_size ==
				   (n.file->kind == FILE_LOG ? 10 : (off_t)strlen(dir->name) + 1),
		   "and has a true length");
	}
	ok(node_lookup(node_of(dir), "nosuch", (struct caller){ 0 }, &n) == -ENOENT,
	   "what is not there is ENOENT");
	ok(node_find(d, 99ULL << 24, &n) == -ESTALE, "a number that is nobody's is ESTALE");
	ok(node_find(d, dir->id << 24 | 12345, &n) == -ESTALE, "a file that is none, too");
	ok(node_rmdir(node_of(dir), "nosuch", (struct caller){ 0 }) == -ENOENT &&
		   node_rmdir(node_of(dir), "even", (struct caller){ 0 }) == -ENOTDIR,
	   "rmdir of no directory");
	ok(node_forbid(node_of(dir), "rm", "even") == -EPERM &&
		   strstr(text_str(&dir->refusal), "EPERM rm even: "),
	   "a refusal on a name stands in the directory's error");
}

static void test_handles(struct object *o)
{
	struct handle *h = handle_open(o, "even", O_RDWR), *other = handle_open(o, "even", O_RDWR),
		      *reader = handle_open(o, "even", O_RDONLY);
	struct request r;
	struct node n;
	struct handle *none;

	answers = 0;
	ok(put(h, &r, "12") == 0 && answers == 1 && last_answer == 2, "a write is answered once");
	ok(put(h, &r, "123") == -EINVAL && answers == 2 && last_answer == -EINVAL,
	   "a refusal, too");
	ok(!strcmp(handle_text(h), "EINVAL even: 3 bytes\n"), "the handle reads its own refusal");
	ok(!strcmp(handle_text(other), "web\n"), "another does not");
	ok(!strcmp(handle_text(reader), "web\n"), "nor one that only reads");
	ok(!strcmp(text_str(&o->refusal), "EINVAL even: 3 bytes\n"), "error has it");
	ok(put(other, &r, "12345") == -EINVAL && strstr(handle_text(h), "3 bytes") &&
		   strstr(handle_text(other), "5 bytes"),
	   "each has its own last one");
	ok(put(h, &r, "1234") == 0 && !strcmp(handle_text(h), "web\n"), "a success ends it");
	ok(strstr(text_str(&o->refusal), "5 bytes"), "error keeps the newest");
	ok(put(h, &r, "") == 0 && last_answer == 0, "a write of nothing is none");
	node_lookup(node_of(o), "name", (struct caller){ 0 }, &n);
	ok(node_open(n, O_WRONLY, (struct caller){ 0 }, &none) == -EPERM, "what has no write");
	ok(node_open((struct node){ .object = o }, O_RDONLY, (struct caller){ 0 }, &none) ==
		   -EISDIR,
	   "a directory is no file");
	handle_close(h);
	handle_close(other);
	handle_close(reader);
}

static void test_parked(struct object *o)
{
	struct handle *h = handle_open(o, "park", O_RDWR);
	struct request r;
	struct err e = { 0 };

	answers = 0;
	ok(put(h, &r, "x") == NODE_PARKED && answers == 0 && parked == &r, "a write that waits");
	err_set(&e, -EBUSY, "park: in time");
	request_finish(&r, -EBUSY, &e);
	ok(answers == 1 && last_answer == -EBUSY && !r.cancel, "is answered later, once");
	ok(!strcmp(handle_text(h), "EBUSY park: in time\n"), "with its refusal");
	put(h, &r, "xyz");
	request_finish(&r, 0, NULL);
	ok(last_answer == 3 && !strcmp(handle_text(h), "web\n"), "or its success, which ends that");
	put(h, &r, "x");
	r.cancel(&r);
	ok(!parked && answers == 2, "who takes it back answers by itself");
	handle_close(h);
}

// Whether mtime moves when a handle is closed by which so much was written.
static bool moves_at_close(struct object *o, const char *data)
{
	struct handle *h = handle_open(o, "even", O_WRONLY);
	struct node n = { o, h->file };
	struct stat before, after;
	struct request r;

	put(h, &r, data);
	node_stat(n, &before);
	handle_close(h);
	node_stat(n, &after);
	return memcmp(&before.st_mtim, &after.st_mtim, sizeof(before.st_mtim)) != 0;
}

static void test_restating(struct object *o)
{
	ok(!moves_at_close(o, "web\n"), "a value that is read as it was written moves once");
	ok(moves_at_close(o, "webs\n!"), "one that is read in other words moves again when closed");
	ok(!moves_at_close(o, "odd"), "one that is refused does not");
}

static void test_poll_log(struct object *o)
{
	struct handle *h = handle_open(o, "log", O_RDONLY);
	const char *data;

	ok(handle_poll(h, NULL) & POLLIN, "a log that was not read is readable");
	ok(handle_read(h, 4, 0, &data) == 4 && (handle_poll(h, NULL) & POLLIN),
	   "or not to its end");
	ok(handle_read(h, 10, 4, &data) == 6 && !(handle_poll(h, NULL) & POLLIN),
	   "what is read to its end is not");
	handle_close(h);
	h = handle_open(o, "log", O_RDONLY);
	ok(handle_read(h, 10, 10, &data) == 0 && !(handle_poll(h, NULL) & POLLIN),
	   "nor for who has begun at its end");
	handle_close(h);
	h = handle_open(o, "log", O_RDONLY);
	ok(handle_read(h, 10, 1000, &data) == 0 && !(handle_poll(h, NULL) & POLLIN),
	   "or behind it");
	prints = 5;
	ok(handle_read(h, 10, 10, &data) == 0 && (handle_poll(h, NULL) & POLLIN),
	   "what is printed behind a read is not taken for read");
	ok(handle_read(h, 10, 10, &data) == 5 && !(handle_poll(h, NULL) & POLLIN), "until it is");
	prints = 5;
	ok(handle_read(h, 10, 10, &data) == 5 && (handle_poll(h, NULL) & POLLIN),
	   "nor what is printed behind a piece");
	ok(handle_read(h, 10, 15, &data) == 5 && !(handle_poll(h, NULL) & POLLIN), "likewise");
	printed = 10;
	ok(handle_poll(h, NULL) & POLLIN, "a log whose older half has gone is readable");
	ok(handle_read(h, 10, 20, &data) == 0 && !(handle_poll(h, NULL) & POLLIN),
	   "until that is seen");
	ok(handle_read(h, 10, 0, &data) == 10 && !(handle_poll(h, NULL) & POLLIN),
	   "or until it is read anew");
	handle_close(h);
}

static void test_poll(struct object *o)
{
	struct handle *h = handle_open(o, "name", O_RDONLY);
	struct stat before, after;
	int poll = 0;

	handle_text(h);
	ok(!(handle_poll(h, &poll) & (POLLPRI | POLLERR)), "nothing has changed");
	node_stat((struct node){ o, h->file }, &before);
	wakes = 0;
	object_changed(o, "name");
	node_stat((struct node){ o, h->file }, &after);
	ok(wakes == 1 && (handle_poll(h, &poll) & POLLPRI), "a change wakes, and stays");
	ok(handle_poll(h, &poll) & POLLERR, "until it is read");
	handle_text(h);
	ok(!(handle_poll(h, &poll) & POLLPRI), "from the beginning");
	ok(after.st_mtim.tv_sec > before.st_mtim.tv_sec ||
		   after.st_mtim.tv_nsec > before.st_mtim.tv_nsec,
	   "mtime has moved");
	handle_close(h);
}

static void test_owners(struct daemon *d, struct object *o)
{
	const struct caller root = { 0, 0 }, alice = { 1000, 1000 }, bob = { 1001, 1001 };
	struct owner own = { 1000, 1000, 0600 };
	struct node n, even, dir = { .object = o };
	struct stat st;

	node_lookup(node_of(o), "even", (struct caller){ 0 }, &n);
	ok(node_chown(n, NODE_SET_MODE, &own, root, NULL) == 0, "chmod of a file");
	node_stat(n, &st);
	ok((st.st_mode & 07777) == 0600 && st.st_uid == 0, "is its mode");
	ok(node_chown(dir, NODE_SET_UID, &own, root, NULL) == 0, "chown of the directory");
	node_lookup(node_of(o), "name", (struct caller){ 0 }, &n);
	node_stat(n, &st);
	ok(st.st_uid == 1000, "is of the files that have no owner of their own");
	own.mode = 0755;
	ok(node_chown(n, NODE_SET_MODE, &own, root, NULL) == -EPERM, "no file is executable");
	own.uid = 1001;
	ok(node_chown(dir, NODE_SET_UID, &own, root, NULL) == 0, "chown of the directory again");
	node_stat(n, &st);
	ok(st.st_uid == 1001, "is still that of a file whose chmod was refused");
	own.uid = 1000;
	node_chown(dir, NODE_SET_UID, &own, root, NULL);
	own.mode = 02755;
	ok(node_chown(dir, NODE_SET_MODE, &own, root, NULL) == -EPERM, "no directory set-group-id");
	node_lookup(node_of(o), "even", (struct caller){ 0 }, &even);
	node_stat(even, &st);
	ok((st.st_mode & 07777) == 0600 && st.st_uid == 1000 && st.st_gid == 0,
	   "and of those that have a mode of their own");
	own = (struct owner){ 1001, 1001, 0644 };
	ok(node_chown(n, NODE_SET_MODE, &own, bob, NULL) == -EPERM &&
		   node_chown(n, NODE_SET_GID, &own, bob, NULL) == -EPERM &&
		   node_chown(dir, NODE_SET_UID, &own, bob, NULL) == -EPERM,
	   "who does not own it changes nothing, whatever the kernel lets through");
	ok(node_chown(n, NODE_SET_UID, &own, alice, NULL) == -EPERM, "nor is it given away");
	ok(node_chown(n, NODE_SET_MODE | NODE_SET_GID, &own, alice, NULL) == 0,
	   "who owns it has its mode and group");
	ok(node_chown(even, NODE_SET_UID, &own, root, NULL) == 0, "a file is delegated");
	own.uid = 1002;
	ok(node_chown(dir, NODE_SET_UID, &own, root, NULL) == 0, "its directory handed over");
	node_stat(even, &st);
	ok(st.st_uid == 1001, "and stays with whom it was delegated to");
}

static void test_gone(struct object *o)
{
	struct handle *h = handle_open(o, "even", O_RDWR);
	struct node n = { 0 };
	struct request r;
	const char *data;

	freed = 0;
	object_remove(o);
	ok(freed == 0, "an object with open files stays in memory");
	ok(put(h, &r, "12") == -ESTALE && handle_read(h, 10, 0, &data) == -ESTALE &&
		   node_lookup(node_of(o), "even", (struct caller){ 0 }, &n) == -ESTALE &&
		   (handle_poll(h, NULL) & POLLERR),
	   "but every operation is ESTALE");
	handle_close(h);
	ok(freed == 1, "until they are closed");
}

/* What of an answer the kernel may keep, and when it is told that it may not. */
static void test_keeping(struct object *o)
{
	struct node even, name, dir = { .object = o };

	node_lookup(node_of(o), "even", (struct caller){ 0 }, &even);
	node_lookup(node_of(o), "name", (struct caller){ 0 }, &name);
	ok(node_keep(dir) == KEEP_FOREVER, "a directory is kept");
	ok(node_keep(name) == 0, "what is poked is not");
	object_changed(o, "even");
	invalidated = 0;
	ok(node_keep(even) == 0 && !invalidated, "the first answer after a change is not kept");
	ok(node_keep(even) > 0 && node_keep(even) > 0, "the next is");
	object_changed(o, "even");
	ok(invalidated == node_ino(even), "until it changes: it is taken back");
	invalidated = 0;
	ok(node_keep(even) == 0 && !invalidated,
	   "what is told after that is not kept, nor taken back: its length counts");
	ok(node_keep(even) == 0, "every time");
	o->kept_until = 0;
	invalidated = 0;
	ok(node_keep(even) == 0 && !invalidated, "when nothing is kept any more, once not");
	ok(node_keep(even) > 0, "then it is kept again");
	object_changed(o, "even");
	object_changed(o, "even");
	o->kept_until = 0;
	ok(node_keep(even) == 0 && node_keep(even) > 0, "changed twice it is the same");
}

int main(void)
{
	struct class class = { .name = "test", .mode = 0755, .free = object_free };
	struct file files[sizeof(rows) / sizeof(rows[0])];
	struct daemon d = { .front = &front };
	struct object *root, *web, *children[100];
	struct text path = TEXT_INIT;
	char name[16];

	memcpy(files, rows, sizeof(rows));
	class.files = files;
	class.nfiles = sizeof(rows) / sizeof(rows[0]);
	ok(class_finish(&class) == 0, "a class");
	root = object_make(&d, &class, NULL, 1, "");
	web = object_make(&d, &class, root, 16, "web");
	test_names();
	test_nodes(&d, web);
	test_handles(web);
	test_parked(web);
	test_restating(web);
	test_poll(web);
	test_poll_log(web);
	test_keeping(web);
	test_owners(&d, web);
	object_path(web, &path);
	ok(!strcmp(text_str(&path), "web"), "its path");
	text_free(&path);
	for (int i = 0; i < 100; i++) {
		snprintf(name, sizeof(name), "m%d", (i * 37) % 100);
		children[i] = object_make(&d, &class, root, 1000 - (uint64_t)i, name);
	}
	for (size_t i = 1; i < root->nchildren; i++)
		if (root->children[i - 1]->id >= root->children[i]->id)
			ok(false, "children are in the order of their ids");
	ok(object_child(root, "m37") == children[1] &&
		   object_set_name(children[1], "other", NULL) == 0 &&
		   object_child(root, "other") == children[1] && !object_child(root, "m37"),
	   "a child is found by its name, also by a new one");
	for (int i = 0; i < 100; i++)
		object_remove(children[(i * 7) % 100]);
	ok(root->nchildren == 1 && root->children[0] == web, "and goes");
	test_gone(web);
	object_remove(root);
	ok(freed == 2, "nothing is left");
	return tap_done();
}
