/* Open files and unanswered requests: see handle.h. */
#include "fs/handle.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fs/daemon.h"
#include "fs/node.h"
#include "fs/object_priv.h"

#define LOG_READ_MAX (128u * 1024) /* bytes of a log in one answer */

int node_open(struct node n, int flags, struct caller who, struct handle **ret)
{
	int access = flags & O_ACCMODE;
	struct err e = { 0 };
	struct handle *h;

	if (node_is_dir(n))
		return -EISDIR;
	/* Modes are the kernel's business, but root passes them all. */
	if (access != O_RDONLY && !n.file->write) {
		err_set(&e, -EPERM, "%s: cannot be written", n.file->name);
		object_refuse(n.object, &e);
		return -EPERM;
	}
	h = calloc(1, sizeof(*h));
	if (!h)
		return -ENOSPC;
	h->object = n.object;
	h->file = n.file;
	h->flags = flags;
	h->who = who;
	h->owner = node_owner(n).uid;
	h->object->refs++;
	LIST_INSERT_HEAD(&n.object->handles, h, link);
	if (n.file->event_index >= 0)
		h->seen = n.object->version[n.file->event_index];
	*ret = h;
	return 0;
}

/*
 * An NFS client takes what it has written for what the file says, until the file changes once
 * more: "64M" for "67108864". A change that it sees with the reply to its write it takes for its
 * own; so one comes later.
 */
static void handle_restate(struct handle *h)
{
	if (h->restated && !h->object->gone)
		file_changed(h->object, h->file);
	h->restated = false;
}

/*
 * A change of owner ends what others have open: a machine that was handed over is not to be
 * commanded, with its new owner's rights, through what the old one has kept.
 */
static int handle_may(const struct handle *h, struct err *e)
{
	uid_t owner = node_owner((struct node){ h->object, h->file }).uid;

	if (owner == h->owner || h->who.uid == owner || h->who.uid == 0)
		return 0;
	return err_set(e, -EACCES, "%s: it belongs to user %u now; user %u has opened it before",
		       h->file->name, owner, h->who.uid);
}

void handle_close(struct handle *h)
{
	if (handle_may(h, NULL) < 0)
		text_clear(&h->draft); /* not to be committed */
	if (h->file->release && !h->object->gone)
		h->file->release(h);
	handle_restate(h);
	LIST_REMOVE(h, link);
	if (h->poll)
		h->object->daemon->front->poll_free(h->poll);
	text_free(&h->text);
	text_free(&h->draft);
	free(h->refusal);
	object_unref(h->object);
	free(h);
}

static void handle_render(struct handle *h)
{
	text_clear(&h->text);
	if (h->refusal && (h->flags & O_ACCMODE) == O_RDWR)
		text_add(&h->text, h->refusal);
	else if (h->file->show)
		h->file->show(h->object, h->file, &h->text);
	h->rendered = true;
	if (h->file->event_index >= 0)
		h->seen = h->object->version[h->file->event_index];
}

static ssize_t handle_read_log(struct handle *h, size_t size, off_t at, const char **ret_data)
{
	const off_t end = h->file->log_size(h->object, h->file); // first: meanwhile it grows
	ssize_t n;
	char *room;

	text_clear(&h->text);
	room = text_room(&h->text, size);
	if (!room)
		return -ENOSPC;
	n = h->file->log_read(h->object, h->file, room, size, at);
	/* Who reads from behind the end has seen what is before it. */
	if (n > 0 || (n == 0 && size > 0))
		h->read_end = n == 0 && at > end ? end : at + n;
	*ret_data = room;
	return n;
}

ssize_t handle_read(struct handle *h, size_t size, off_t at, const char **ret_data)
{
	size_t left;

	if (h->object->gone)
		return -ESTALE;
	if (handle_may(h, NULL) < 0)
		return -EACCES;
	if (h->file->kind == FILE_LOG)
		return handle_read_log(h, size < LOG_READ_MAX ? size : LOG_READ_MAX, at, ret_data);
	if (at == 0 || !h->rendered)
		handle_render(h);
	if (text_failed(&h->text))
		return -ENOSPC;
	if (at < 0 || (size_t)at >= h->text.len)
		return 0;
	left = h->text.len - (size_t)at;
	*ret_data = h->text.data + at;
	return (ssize_t)(size < left ? size : left);
}

static void handle_refuse(struct handle *h, const struct err *e, bool noted)
{
	char line[sizeof(e->text) + 16];

	snprintf(line, sizeof(line), "%s %s\n", err_name(e->code), e->text);
	free(h->refusal);
	h->refusal = strdup(line);
	if (!h->object->gone && !noted)
		object_refuse(h->object, e);
}

void request_finish(struct request *r, int rc, const struct err *e)
{
	r->cancel = NULL;
	if (rc < 0 && r->handle) {
		handle_refuse(r->handle, e, r->noted);
	} else if (r->handle && r->len) {
		free(r->handle->refusal);
		r->handle->refusal = NULL;
	}
	free(r->rest);
	r->rest = NULL;
	r->answer(r, rc < 0 ? rc : (int)r->len);
}

void handle_orphan(struct handle *h)
{
	h->orphan = true;
	if (h->file->event_index >= 0)
		h->seen--;
}

/* A file that commits later may have collected a part that is lost; a beginning is a new one. */
static int handle_adopt(struct handle *h, bool begins, struct err *e)
{
	if (!h->orphan || !h->file->flush)
		return 0;
	if (!begins)
		return err_set(
			e, -EIO,
			"%s: the daemon was killed, and what was written before may be lost; "
			"write it anew",
			h->file->name);
	h->orphan = false;
	return 0;
}

static bool handle_says(struct handle *h, const char *data, size_t len)
{
	struct text said = TEXT_INIT;
	bool same;

	if (!h->file->show)
		return false;
	h->file->show(h->object, h->file, &said);
	same = said.len == len && !memcmp(text_str(&said), data, len);
	text_free(&said);
	return same;
}

int handle_write(struct handle *h, struct request *r, const char *data, size_t len, off_t at)
{
	struct err e = { 0 };
	int rc;

	r->handle = h;
	r->len = len;
	if (h->object->gone)
		rc = err_set(&e, -ESTALE, "%s: the object was removed", h->file->name);
	else if (len == 0)
		rc = 0;
	else if ((rc = handle_may(h, &e)) == 0 && (rc = handle_adopt(h, at == 0, &e)) == 0)
		rc = h->file->write(h, r, data, len, &e);
	if (len > 0 && rc >= 0)
		h->restated = !handle_says(h, data, len);
	if (rc != NODE_PARKED)
		request_finish(r, rc, &e);
	return rc;
}

int handle_flush(struct handle *h, struct request *r)
{
	struct err e = { 0 };
	int rc = 0;

	r->handle = h;
	r->len = 0;
	if (!h->object->gone && h->file->flush && handle_may(h, NULL) == 0 &&
	    (rc = handle_adopt(h, false, &e)) == 0)
		rc = h->file->flush(h, r, &e);
	handle_restate(h);
	if (rc != NODE_PARKED)
		request_finish(r, rc, &e);
	return rc;
}

unsigned handle_poll(struct handle *h, void *poll)
{
	unsigned events = POLLIN | POLLRDNORM | POLLOUT | POLLWRNORM;
	struct object *o = h->object;

	if (h->poll)
		o->daemon->front->poll_free(h->poll);
	h->poll = poll;
	if (o->gone)
		return POLLERR | POLLHUP;
	/* A log is readable when there is more of it, or less: its older half has gone; the rest
	 * answers as sysfs does. */
	if (h->file->kind == FILE_LOG && h->file->log_size(o, h->file) == h->read_end)
		events &= ~(unsigned)(POLLIN | POLLRDNORM);
	if (h->file->event_index >= 0 && h->file->kind != FILE_LOG &&
	    h->seen != o->version[h->file->event_index])
		events |= POLLPRI | POLLERR;
	return events;
}
