/* struct event_log: see event_log.h. */
#include "fs/store/event_log.h"

#include <errno.h>
#include <fcntl.h>
#include <search.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backends/base/text.h"

#define KEPT_NAME "events"
#define KEPT_NEW  ".events"
#define KEPT_READ (64 << 20) /* bytes: more than a file of ours can have */

struct event_log {
	size_t max;
	uint64_t seq; /* of the last line */
	struct text text;
	/* Of an object: */
	struct event_log *all; /* NULL: this is the log of all */
	uint64_t id;
	bool taken;		/* its object has it */
	struct event_log *next; /* of those that are to go */
	/* Of all: */
	size_t of_object;
	void *objects;	/* tsearch tree of the objects' logs, by id */
	int dirfd;	/* where it is kept */
	int fd;		/* the file, for appending; -1: in memory only */
	off_t kept;	/* its length */
	off_t kept_max; /* where it is written anew */
};

struct event_log *event_log_new(size_t max, size_t of_object)
{
	struct event_log *l = calloc(1, sizeof(*l));

	if (!l)
		return NULL;
	l->max = max;
	l->of_object = of_object;
	l->dirfd = l->fd = -1;
	return l;
}

static int compare_ids(const void *x, const void *y)
{
	uint64_t a = ((const struct event_log *)x)->id, b = ((const struct event_log *)y)->id;

	return a < b ? -1 : a > b;
}

/* The object's log, made when there is none. */
static struct event_log *log_of(struct event_log *all, uint64_t id)
{
	struct event_log key = { .id = id }, **found = tfind(&key, &all->objects, compare_ids);
	struct event_log *l = found ? *found : event_log_new(all->of_object, 0);

	if (found || !l)
		return l;
	l->all = all;
	l->id = id;
	if (!tsearch(l, &all->objects, compare_ids)) {
		free(l);
		return NULL;
	}
	return l;
}

struct event_log *event_log_of(struct event_log *all, uint64_t id)
{
	struct event_log *l = log_of(all, id);

	if (l)
		l->taken = true;
	return l;
}

void event_log_free(struct event_log *l)
{
	if (!l)
		return;
	if (l->all)
		tdelete(l, &l->all->objects, compare_ids);
	while (!l->all && l->objects)
		event_log_free(*(struct event_log **)l->objects);
	if (l->fd >= 0)
		close(l->fd);
	text_free(&l->text);
	free(l);
}

/* ---- lines ---- */

static void log_append(struct event_log *l, const char *line, size_t len)
{
	if (l->text.len + len > l->max) {
		const char *half = l->text.data + l->text.len / 2;
		const char *next = memchr(half, '\n', (size_t)(l->text.data + l->text.len - half));

		if (next) {
			l->text.len = (size_t)(l->text.data + l->text.len - ++next);
			memmove(l->text.data, next, l->text.len);
		}
	}
	l->text.failed = false; /* an event lost for want of memory is a gap, not the end */
	text_add_bytes(&l->text, line, len);
}

static void log_add(struct event_log *l, uint64_t seq, const char *rest)
{
	struct text line = TEXT_INIT;

	l->seq = seq;
	text_addf(&line, "%llu %s\n", (unsigned long long)seq, rest);
	if (!text_failed(&line))
		log_append(l, line.data, line.len);
	text_free(&line);
}

/* ---- keeping ---- */

/* One write: the file has whole lines. A full disk costs the next daemon a line: a gap in SEQ. */
static void kept_append(struct event_log *all, const struct text *t)
{
	ssize_t n = text_failed(t) ? -1 : write(all->fd, t->data, t->len);

	if (n == (ssize_t)t->len) {
		all->kept += n;
	} else if (n > 0 && ftruncate(all->fd, all->kept) < 0) {
		close(all->fd);
		all->fd = -1;
	}
}

/* The file's last `size` bytes, from the beginning of a line. */
static void kept_read(int fd, off_t length, size_t size, struct text *out)
{
	off_t from = length > (off_t)size ? length - (off_t)size : 0;
	char *room = text_room(out, size), *nl;
	ssize_t n = room ? pread(fd, room, size, from) : -1;

	if (n <= 0)
		return;
	out->len = (size_t)n;
	nl = from ? memchr(out->data, '\n', out->len) : NULL;
	if (from) {
		out->len = nl ? (size_t)(out->data + out->len - ++nl) : 0;
		memmove(out->data, nl ? nl : out->data, out->len);
	}
	out->data[out->len] = '\0';
}

static void head_add(const void *node, VISIT visit, void *arg)
{
	const struct event_log *own = *(const struct event_log *const *)node;

	if (visit == postorder || visit == leaf)
		text_addf(arg, "%llu %llu\n", (unsigned long long)own->id,
			  (unsigned long long)own->seq);
}

/* Anew: the objects' numbers, and the newer half. If it fails the old file grows on. */
static void kept_shorten(struct event_log *all)
{
	struct text text = TEXT_INIT, half = TEXT_INIT;
	int fd = openat(all->dirfd, KEPT_NEW,
			O_RDWR | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);

	twalk_r(all->objects, head_add, &text);
	kept_read(all->fd, all->kept, all->max, &half);
	text_add_bytes(&text, text_str(&half), half.len);
	all->kept_max = all->kept + (off_t)all->max;
	if (fd >= 0 && !text_failed(&text) && !text_failed(&half) &&
	    write(fd, text_str(&text), text.len) == (ssize_t)text.len &&
	    renameat(all->dirfd, KEPT_NEW, all->dirfd, KEPT_NAME) == 0) {
		close(all->fd);
		all->fd = fd;
		all->kept = (off_t)text.len;
		all->kept_max = all->kept + (off_t)all->max;
	} else if (fd >= 0) {
		close(fd);
		unlinkat(all->dirfd, KEPT_NEW, 0);
	}
	text_free(&text);
	text_free(&half);
}

/* "ID OWNSEQ [SEQ TIME OBJECT WHAT [DETAIL]]"; what is no such line is passed over. */
static void kept_take(struct event_log *all, const char *line)
{
	unsigned long long id, own_seq, seq;
	struct event_log *own;
	int head = 0, rest = 0;
	int n = sscanf(line, "%llu %llu%n %llu %n", &id, &own_seq, &head, &seq, &rest);
	bool is_head = n == 2 && !line[head];

	if ((!is_head && (n < 3 || !rest || !line[rest])) || !(own = log_of(all, id)))
		return;
	if (is_head) {
		own->seq = own_seq > own->seq ? own_seq : own->seq;
		return;
	}
	log_add(all, seq, line + rest);
	log_add(own, own_seq, line + rest);
}

int event_log_keep(struct event_log *all, int dirfd, struct err *e)
{
	struct text text = TEXT_INIT;
	struct stat st;
	char *line, *nl;

	all->dirfd = dirfd;
	all->fd = openat(dirfd, KEPT_NAME, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW,
			 0600);
	if (all->fd < 0 || fstat(all->fd, &st) < 0)
		return err_sys(e, errno, "run directory: %s", KEPT_NAME);
	kept_read(all->fd, st.st_size, st.st_size < KEPT_READ ? (size_t)st.st_size : KEPT_READ,
		  &text);
	for (line = text.data; line && (nl = strchr(line, '\n')); line = nl + 1) {
		*nl = '\0';
		kept_take(all, line);
	}
	all->kept = st.st_size - (off_t)(line ? strlen(line) : 0);
	all->kept_max = 2 * (off_t)all->max;
	text_free(&text);
	/* A last line that was torn goes. */
	if (ftruncate(all->fd, all->kept) < 0)
		return err_sys(e, errno, "run directory: %s", KEPT_NAME);
	return 0;
}

static void untaken_add(const void *node, VISIT visit, void *arg)
{
	struct event_log *own = *(struct event_log *const *)node, **first = arg;

	if ((visit == postorder || visit == leaf) && !own->taken) {
		own->next = *first;
		*first = own;
	}
}

void event_log_settle(struct event_log *all)
{
	struct event_log *own = NULL, *next;

	twalk_r(all->objects, untaken_add, &own);
	for (; own; own = next) {
		next = own->next;
		event_log_free(own);
	}
}

/* ---- the log ---- */

void event_log_add(struct event_log *own, struct timespec when, const char *object,
		   const char *what, const char *detail)
{
	struct event_log *all = own->all;
	struct text rest = TEXT_INIT, line = TEXT_INIT;

	text_addf(&rest, "%lld.%06ld %s %s%s%s", (long long)when.tv_sec, when.tv_nsec / 1000,
		  object, what, *detail ? " " : "", detail);
	log_add(all, all->seq + 1, text_str(&rest));
	log_add(own, own->seq + 1, text_str(&rest));
	text_addf(&line, "%llu %llu %llu %s\n", (unsigned long long)own->id,
		  (unsigned long long)own->seq, (unsigned long long)all->seq, text_str(&rest));
	if (all->fd >= 0)
		kept_append(all, &line);
	if (all->fd >= 0 && all->kept > all->kept_max)
		kept_shorten(all);
	text_free(&rest);
	text_free(&line);
}

/* "SEQ TIME OBJECT WHAT[ DETAIL]": where WHAT is, in a line. */
static const char *line_what(const char *line)
{
	for (int spaces = 0; spaces < 3; line++)
		spaces += *line == ' ';
	return line;
}

bool event_log_told(const struct event_log *l, const char *what, const char *detail)
{
	const char *text = text_str(&l->text), *line = text + l->text.len;
	size_t len = strlen(what);

	while (line > text) {
		const char *found;

		for (line--; line > text && line[-1] != '\n';)
			line--;
		found = line_what(line);
		if (!strncmp(found, what, len) && found[len] == ' ')
			return !strncmp(found + len + 1, detail, strlen(detail)) &&
			       found[len + 1 + strlen(detail)] == '\n';
	}
	return false;
}

off_t event_log_size(const struct event_log *l)
{
	return (off_t)l->text.len;
}

ssize_t event_log_read(const struct event_log *l, char *buf, size_t size, off_t at)
{
	size_t left;

	if (at < 0 || (size_t)at >= l->text.len)
		return 0;
	left = l->text.len - (size_t)at;
	if (size > left)
		size = left;
	memcpy(buf, l->text.data + at, size);
	return (ssize_t)size;
}
