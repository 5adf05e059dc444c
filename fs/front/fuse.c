/* The FUSE front: see fuse.h. Each operation is a few lines around the node layer's. */
#define FUSE_USE_VERSION 314

#include "fs/front/fuse.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <fuse_lowlevel.h>
#include <linux/fuse.h>
#include <sched.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "fs/handover/journal.h"
#include "fs/handover/luggage.h"
#include "fs/log.h"
#include "fs/node.h"
#include "fs/poker.h"

/* Directory offsets: the position behind an entry. Children go by their ids, which last. */
#define OFF_DOT	     1
#define OFF_DOTDOT   2
#define OFF_FILES    3
#define OFF_CHILDREN (1LL << 32)

/* The notification by which the kernel sends again what was not answered (Linux 6.9). */
#define NOTIFY_RESEND 7
#define UNIQUE_RESENT (1ULL << 63)

#define LOOK_NS	  30000	  /* how long it looks for the next message before it sleeps */
#define LIVELY_NS 150000  /* a message that comes so soon after the last is worth a look */
#define PASS_MAX  31	  /* wake-ups without a look after looks in vain */
#define TURN_NS	  2000000 /* how long messages are served before others in the loop are */

#define READ_FAILURES 16 /* one after the other, until the daemon ends */

struct fuse_front {
	struct front front; /* first */
	struct daemon *daemon;
	struct journal *journal;
	struct fuse_session *session;
	struct event *readable;
	struct fuse_buf buf;
	unsigned failures;   /* to read a request, one after the other */
	int cpus;	     /* that the daemon may run on */
	int64_t rested;	     /* when the last request was answered; monotonic, ns */
	unsigned vain, pass; /* looks in vain; wake-ups until the next one */
	const struct fuse_in_header *message; /* the one that is being served */
	uint64_t next_alias;
	LIST_HEAD(, opened) all;
	void *opened; /* tsearch tree of them, by number */
	uint64_t next_handle;
	uint64_t mute;		     /* the unique of a message of our own, which nobody awaits */
	struct journal_call *before; /* calls of the daemon before this one */
	size_t nbefore;
};

/* A handle by the number that the kernel has of it. */
struct opened {
	uint64_t number;
	LIST_ENTRY(opened) link;
	struct handle *handle;
	int poll; /* in the journal, or -1 */
};

/*
 * What the kernel keeps. Entries, and all that a directory has, change only by operations of the
 * kernel's own, which knows what they change; so it keeps them for ever. What a file has, its
 * length above all, it keeps as node_keep() says, and only what GETATTR has said: an invalidation
 * that overtakes any other answer would be lost, since the kernel does not know the node yet, or
 * does not compare.
 */

/*
 * Another node id for one inode number: each look-up of a file whose writes may be parked gets
 * its own, since the kernel holds a node's lock during a write (see struct file). Its lower
 * bits number the look-up in place of the file: a class has one such file.
 */
#define ALIAS_BIT  (1ULL << 63)
#define ALIAS_BITS 24
#define ALIAS_MASK ((1ULL << ALIAS_BITS) - 1)

struct fuse_request {
	struct request request; /* first */
	fuse_req_t req;
	bool is_write;
	int call;	     /* in the journal while it is parked, or -1 */
	struct event *grace; /* after a signal: until the request is taken back; or NULL */
};

static struct fuse_front *req_front(fuse_req_t req)
{
	return fuse_req_userdata(req);
}

static struct caller req_caller(fuse_req_t req)
{
	const struct fuse_ctx *ctx = fuse_req_ctx(req);

	struct poker *poker = req_front(req)->daemon->poker;

	return (struct caller){ ctx->uid, ctx->gid, poker && ctx->pid == poker_helper(poker) };
}

/* ---- nodes ---- */

static uint64_t alias_new(struct fuse_front *f, struct node n)
{
	return ALIAS_BIT | n.object->id << ALIAS_BITS | (f->next_alias++ & ALIAS_MASK);
}

static int alias_node(struct fuse_front *f, uint64_t id, struct node *ret)
{
	int rc = node_find(f->daemon, (id & ~ALIAS_BIT) >> ALIAS_BITS << ALIAS_BITS, ret);

	for (size_t i = 0; rc == 0 && i < ret->object->class->nfiles; i++)
		if (ret->object->class->files[i].parks)
			ret->file = &ret->object->class->files[i];
	return rc;
}

static int front_node(struct fuse_front *f, fuse_ino_t id, struct node *ret)
{
	f->daemon->stats.requests++;
	if (id == FUSE_ROOT_ID) {
		*ret = (struct node){ .object = f->daemon->root };
		return 0;
	}
	return id & ALIAS_BIT ? alias_node(f, id, ret) : node_find(f->daemon, id, ret);
}

static int front_dir(struct fuse_front *f, fuse_ino_t id, struct node *ret)
{
	int rc = front_node(f, id, ret);

	return rc == 0 && !node_is_dir(*ret) ? -ENOTDIR : rc;
}

/* What LOOKUP and READDIRPLUS tell; the kernel then knows the node until it forgets it. */
static void front_entry(struct fuse_front *f, struct node n, struct fuse_entry_param *ret)
{
	*ret = (struct fuse_entry_param){ .entry_timeout = KEEP_FOREVER,
					  .attr_timeout = node_lasts(n) ? KEEP_FOREVER : 0 };
	node_stat(n, &ret->attr);
	ret->ino = ret->attr.st_ino;
	if (n.object == f->daemon->root && !n.file)
		ret->ino = FUSE_ROOT_ID;
	if (n.file && n.file->parks) {
		ret->ino = alias_new(f, n);
		ret->entry_timeout = 0;
	}
	if (n.file && n.file->event_index >= 0)
		n.object->known[n.file->event_index]++;
}

static void reply_entry(fuse_req_t req, int rc, struct node n)
{
	struct fuse_entry_param entry;

	if (rc < 0) {
		fuse_reply_err(req, -rc);
		return;
	}
	front_entry(req_front(req), n, &entry);
	fuse_reply_entry(req, &entry);
}

static void op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct fuse_front *f = req_front(req);
	struct node n = { 0 };
	int rc = front_node(f, parent, &n);

	if (rc == 0 && !strcmp(name, "..")) /* knfsd rebuilds paths with these two */
		n = node_up(n);
	else if (rc == 0 && strcmp(name, "."))
		rc = node_is_dir(n) ? node_lookup(n, name, req_caller(req), &n) : -ENOTDIR;
	reply_entry(req, rc, n);
}

static void front_forget(struct fuse_front *f, fuse_ino_t id, uint64_t count)
{
	struct node n;

	if (front_node(f, id, &n) == 0 && n.file && n.file->event_index >= 0) {
		uint32_t *known = &n.object->known[n.file->event_index];

		*known -= count < *known ? (uint32_t)count : *known;
	}
}

static void op_forget(fuse_req_t req, fuse_ino_t id, uint64_t count)
{
	front_forget(req_front(req), id, count);
	fuse_reply_none(req);
}

static void op_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *forgets)
{
	for (size_t i = 0; i < count; i++)
		front_forget(req_front(req), forgets[i].ino, forgets[i].nlookup);
	fuse_reply_none(req);
}

static void op_getattr(fuse_req_t req, fuse_ino_t id, struct fuse_file_info *fi)
{
	struct node n;
	int rc = front_node(req_front(req), id, &n);
	struct stat st;

	if (rc < 0) {
		fuse_reply_err(req, -rc);
		return;
	}
	node_stat(n, &st);
	fuse_reply_attr(req, &st, node_keep(n));
}

/* Truncation and times mean nothing here: they are accepted, since shells and editors do both. */
static void op_setattr(fuse_req_t req, fuse_ino_t id, struct stat *attr, int to_set,
		       struct fuse_file_info *fi)
{
	struct owner owner = { attr->st_uid, attr->st_gid, attr->st_mode & 07777 };
	struct err e = { 0 };
	struct stat st;
	struct node n;
	int rc = front_node(req_front(req), id, &n);
	int what = (to_set & FUSE_SET_ATTR_MODE ? NODE_SET_MODE : 0) |
		   (to_set & FUSE_SET_ATTR_UID ? NODE_SET_UID : 0) |
		   (to_set & FUSE_SET_ATTR_GID ? NODE_SET_GID : 0);

	if (rc == 0 && what) {
		rc = node_chown(n, what, &owner, req_caller(req), &e);
		if (rc < 0)
			object_refuse(n.object, &e);
	}
	if (rc < 0) {
		fuse_reply_err(req, -rc);
		return;
	}
	node_stat(n, &st);
	fuse_reply_attr(req, &st, node_lasts(n) ? KEEP_FOREVER : 0);
}

static void op_readlink(fuse_req_t req, fuse_ino_t id)
{
	struct text target = TEXT_INIT;
	struct node n;
	int rc = front_node(req_front(req), id, &n);

	if (rc == 0)
		rc = node_readlink(n, &target);
	if (rc < 0)
		fuse_reply_err(req, -rc);
	else
		fuse_reply_readlink(req, text_str(&target));
	text_free(&target);
}

static void op_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
	struct node dir, n = { 0 };
	int rc = front_dir(req_front(req), parent, &dir);

	if (rc == 0)
		rc = node_mkdir(dir, name, req_caller(req), mode, &n);
	reply_entry(req, rc, n);
}

static void op_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t new_parent,
		      const char *new_name, unsigned flags)
{
	struct node from, to = { 0 };
	int rc = front_dir(req_front(req), parent, &from);

	if (rc == 0)
		rc = front_dir(req_front(req), new_parent, &to);
	if (rc == 0 && flags & ~(unsigned)RENAME_NOREPLACE)
		rc = -EINVAL;
	fuse_reply_err(req, -(rc < 0 ? rc : node_rename(from, name, to, new_name)));
}

/* Files come and go with their object; nobody makes or removes one. */
static void front_forbid(fuse_req_t req, fuse_ino_t parent, const char *what, const char *name)
{
	struct node dir;
	int rc = front_dir(req_front(req), parent, &dir);

	fuse_reply_err(req, -(rc < 0 ? rc : node_forbid(dir, what, name)));
}

static void op_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t rdev)
{
	front_forbid(req, parent, "mknod", name);
}

static void op_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
		      struct fuse_file_info *fi)
{
	front_forbid(req, parent, "create", name);
}

static void op_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	front_forbid(req, parent, "rm", name);
}

static void op_symlink(fuse_req_t req, const char *target, fuse_ino_t parent, const char *name)
{
	front_forbid(req, parent, "ln", name);
}

static void op_link(fuse_req_t req, fuse_ino_t id, fuse_ino_t parent, const char *name)
{
	front_forbid(req, parent, "ln", name);
}

/* ---- directories ---- */

struct listing {
	fuse_req_t req;
	char *buf;
	size_t size, used;
	bool plus;
};

/* False: the buffer is full. */
static bool listing_add(struct listing *l, const char *name, struct node n, off_t next)
{
	struct fuse_entry_param entry = { 0 };
	size_t len;

	/* What the kernel is to look up by itself has no node id: these two, and `wait`. */
	if (!l->plus || name[0] == '.' || (n.file && n.file->parks)) {
		entry.attr.st_ino = node_ino(n);
		entry.attr.st_mode = node_is_dir(n)		 ? S_IFDIR
				     : n.file->kind == FILE_LINK ? S_IFLNK
								 : S_IFREG;
	}
	if (!l->plus) {
		len = fuse_add_direntry(l->req, l->buf + l->used, l->size - l->used, name,
					&entry.attr, next);
	} else {
		/* Asked first whether it fits: an entry that is told counts as a look-up. */
		len = fuse_add_direntry_plus(l->req, NULL, 0, name, NULL, 0);
		if (len <= l->size - l->used) {
			if (!entry.attr.st_ino)
				front_entry(req_front(l->req), n, &entry);
			fuse_add_direntry_plus(l->req, l->buf + l->used, l->size - l->used, name,
					       &entry, next);
		}
	}
	if (len > l->size - l->used)
		return false;
	l->used += len;
	return true;
}

/* The first child whose id is above `id`. */
static size_t children_after(const struct object *o, uint64_t id)
{
	size_t low = 0, high = o->nchildren;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (o->children[middle]->id > id)
			high = middle;
		else
			low = middle + 1;
	}
	return low;
}

static void listing_fill(struct listing *l, struct node self, off_t off)
{
	const struct object *dir = self.object;
	size_t nfiles = self.file ? 0 : dir->class->nfiles;

	if (off < OFF_DOT && !listing_add(l, ".", self, OFF_DOT))
		return;
	if (off < OFF_DOTDOT && !listing_add(l, "..", node_up(self), OFF_DOTDOT))
		return;
	for (off_t i = off < OFF_FILES ? 0 : off - OFF_FILES + 1;
	     i < (off_t)nfiles && off < OFF_CHILDREN; i++) {
		struct node n = { self.object, &dir->class->files[i] };

		if (!listing_add(l, n.file->name, n, OFF_FILES + i))
			return;
	}
	for (size_t i =
		     children_after(dir, off < OFF_CHILDREN ? 0 : (uint64_t)(off - OFF_CHILDREN));
	     i < dir->nchildren; i++) {
		struct node n = node_of(dir->children[i]);

		if (node_holds(self, n.object) &&
		    !listing_add(l, n.object->name, n, OFF_CHILDREN + (off_t)n.object->id))
			return;
	}
}

/*
 * The kernel needs no handle of a directory and keeps its listing: see above. After this answer
 * it does not ask again.
 */
static void op_opendir(fuse_req_t req, fuse_ino_t id, struct fuse_file_info *fi)
{
	fuse_reply_err(req, ENOSYS);
}

static void front_readdir(fuse_req_t req, fuse_ino_t id, size_t size, off_t off, bool plus)
{
	struct listing l = { .req = req, .size = size < 65536 ? size : 65536, .plus = plus };
	struct node dir;
	int rc = front_dir(req_front(req), id, &dir);

	l.buf = rc < 0 ? NULL : malloc(l.size);
	if (!l.buf) {
		fuse_reply_err(req, rc < 0 ? -rc : ENOSPC);
		return;
	}
	listing_fill(&l, dir, off);
	fuse_reply_buf(req, l.buf, l.used);
	free(l.buf);
}

static void op_readdir(fuse_req_t req, fuse_ino_t id, size_t size, off_t off,
		       struct fuse_file_info *fi)
{
	front_readdir(req, id, size, off, false);
}

static void op_readdirplus(fuse_req_t req, fuse_ino_t id, size_t size, off_t off,
			   struct fuse_file_info *fi)
{
	front_readdir(req, id, size, off, true);
}

/* ---- files ---- */

static int compare_opened(const void *x, const void *y)
{
	uint64_t a = ((const struct opened *)x)->number, b = ((const struct opened *)y)->number;

	return a < b ? -1 : a > b;
}

static struct opened *opened_find(const struct fuse_front *f, uint64_t number)
{
	struct opened key = { .number = number }, **found = tfind(&key, &f->opened, compare_opened);

	return found ? *found : NULL;
}

/* On failure the handle is closed. */
static struct opened *opened_new(struct fuse_front *f, uint64_t number, struct handle *h)
{
	struct opened *o = malloc(sizeof(*o));

	if (o)
		*o = (struct opened){ .number = number, .handle = h, .poll = -1 };
	if (!o || !tsearch(o, &f->opened, compare_opened)) {
		free(o);
		handle_close(h);
		return NULL;
	}
	LIST_INSERT_HEAD(&f->all, o, link);
	return o;
}

static void opened_close(struct fuse_front *f, struct opened *o)
{
	tdelete(o, &f->opened, compare_opened);
	LIST_REMOVE(o, link);
	journal_unpoll(f->journal, o->poll);
	handle_close(o->handle);
	free(o);
}

/* A daemon before this one has opened it: it is opened anew, by what the request says of it. */
static struct opened *opened_again(fuse_req_t req, fuse_ino_t id, const struct fuse_file_info *fi)
{
	struct fuse_front *f = req_front(req);
	struct handle *h;
	struct node n;

	if (front_node(f, id, &n) < 0 || node_open(n, fi->flags, req_caller(req), &h) < 0)
		return NULL;
	handle_orphan(h);
	return opened_new(f, fi->fh, h);
}

static struct opened *req_opened(fuse_req_t req, fuse_ino_t id, const struct fuse_file_info *fi)
{
	struct opened *o = opened_find(req_front(req), fi->fh);

	if (!o)
		o = opened_again(req, id, fi);
	if (!o)
		fuse_reply_err(req, ESTALE);
	return o;
}

static void op_open(fuse_req_t req, fuse_ino_t id, struct fuse_file_info *fi)
{
	struct fuse_front *f = req_front(req);
	struct opened *o = NULL;
	struct handle *h;
	struct node n;
	int rc = front_node(f, id, &n);

	if (rc == 0)
		rc = node_open(n, fi->flags, req_caller(req), &h);
	if (rc == 0 && !(o = opened_new(f, f->next_handle++, h)))
		rc = -ENOSPC;
	if (rc < 0) {
		fuse_reply_err(req, -rc);
		return;
	}
	fi->fh = o->number;
	/*
	 * The length is what a read returns. A read through the page cache would be cut or padded
	 * at the length that the kernel makes up while somebody writes.
	 */
	fi->direct_io = 1;
	fi->noflush = !n.file->flush || (fi->flags & O_ACCMODE) == O_RDONLY;
	if (fuse_reply_open(req, fi) < 0)
		opened_close(f, o); /* the client was interrupted: there will be no release */
}

static void op_read(fuse_req_t req, fuse_ino_t id, size_t size, off_t off,
		    struct fuse_file_info *fi)
{
	struct opened *o = req_opened(req, id, fi);
	const char *data = NULL;
	ssize_t n;

	if (!o)
		return;
	req_front(req)->daemon->stats.requests++;
	n = handle_read(o->handle, size, off, &data);
	if (n < 0)
		fuse_reply_err(req, (int)-n);
	else
		fuse_reply_buf(req, data, (size_t)n);
}

static void request_free(struct fuse_request *r)
{
	journal_unpark(req_front(r->req)->journal, r->call);
	if (r->grace)
		event_free(r->grace);
	free(r);
}

static void request_answer(struct request *request, int result)
{
	struct fuse_request *r = (struct fuse_request *)request;
	fuse_req_t req = r->req;
	bool is_write = r->is_write;

	request_free(r);
	if (result < 0)
		fuse_reply_err(req, -result);
	else if (is_write)
		fuse_reply_write(req, (size_t)result);
	else
		fuse_reply_err(req, 0);
}

static void request_take_back(struct fuse_request *r)
{
	fuse_req_t req = r->req;

	r->request.cancel(&r->request);
	free(r->request.rest);
	request_free(r);
	fuse_reply_err(req, EINTR);
}

static void on_grace_over(int fd, short what, void *arg)
{
	struct fuse_request *r = arg;

	if (r->request.cancel)
		request_take_back(r);
}

/*
 * A signal for the client. Also called at once for a late comer. The kernel does not say which
 * signal: a shell whose child has ended gets one, and its `echo start` had better not fail for
 * that. So what is answered soon is given a fifth of a second. What takes longer ends with EINTR,
 * also by ^Z: until it is answered the client neither stops nor is asked about again, when ^C
 * follows, and there is no answer by which the kernel would begin the call anew after it.
 */
static void on_interrupt(fuse_req_t req, void *arg)
{
	static const struct timeval grace = { .tv_usec = 200000 };
	struct fuse_request *r = arg;

	if (!r->request.cancel || r->grace)
		return;
	if (r->request.brief)
		r->grace = evtimer_new(req_front(req)->daemon->loop, on_grace_over, r);
	if (!r->grace || event_add(r->grace, &grace) < 0)
		request_take_back(r);
}

/* When the request came: one that the kernel has sent to the daemon before, came then. */
static int64_t front_since(struct fuse_front *f)
{
	uint64_t unique = f->message->unique;
	struct timespec now;

	for (size_t i = 0; i < f->nbefore; i++)
		if ((f->before[i].unique | UNIQUE_RESENT) == (unique | UNIQUE_RESENT))
			return f->before[i].since;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000LL + now.tv_nsec / 1000;
}

static struct fuse_request *request_new(fuse_req_t req, bool is_write)
{
	struct fuse_request *r = calloc(1, sizeof(*r));

	if (!r) {
		fuse_reply_err(req, ENOSPC);
		return NULL;
	}
	r->req = req;
	r->call = -1;
	r->is_write = is_write;
	r->request.who = req_caller(req);
	r->request.since = front_since(req_front(req));
	r->request.answer = request_answer;
	req_front(req)->daemon->stats.requests++;
	return r;
}

/* What may be asked again by another daemon is noted whole; of what must not, that it is open. */
static void request_parked(struct fuse_request *r)
{
	struct fuse_front *f = req_front(r->req);
	const struct fuse_in_header *message = f->message;

	r->call = journal_park(f->journal, message->unique, message,
			       r->request.again ? message->len : 0, r->request.since);
	fuse_req_interrupt_func(r->req, on_interrupt, r);
}

static void op_write(fuse_req_t req, fuse_ino_t id, const char *data, size_t size, off_t off,
		     struct fuse_file_info *fi)
{
	struct opened *o = req_opened(req, id, fi);
	struct fuse_request *r = o ? request_new(req, true) : NULL;

	if (r && handle_write(o->handle, &r->request, data, size, off) == NODE_PARKED)
		request_parked(r);
}

static void op_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct node dir;
	int rc = front_dir(req_front(req), parent, &dir);
	struct fuse_request *r = rc == 0 ? request_new(req, false) : NULL;

	if (rc < 0)
		fuse_reply_err(req, -rc);
	else if (r && node_remove(dir, name, &r->request) == NODE_PARKED)
		request_parked(r);
}

/* Only who writes sends it, see op_open(). */
static void op_flush(fuse_req_t req, fuse_ino_t id, struct fuse_file_info *fi)
{
	struct fuse_request *r;
	struct opened *o;

	fi->flags = O_WRONLY;
	o = req_opened(req, id, fi);
	r = o ? request_new(req, false) : NULL;
	if (r)
		handle_flush(o->handle, &r->request);
}

static void op_release(fuse_req_t req, fuse_ino_t id, struct fuse_file_info *fi)
{
	struct opened *o = opened_find(req_front(req), fi->fh);

	if (o)
		opened_close(req_front(req), o);
	fuse_reply_err(req, 0);
}

static void op_fsync(fuse_req_t req, fuse_ino_t id, int datasync, struct fuse_file_info *fi)
{
	fuse_reply_err(req, 0); /* a write that was acknowledged is on disk */
}

/* libfuse keeps the kernel's number of the file to itself; who comes after us may need it. */
static void op_poll(fuse_req_t req, fuse_ino_t id, struct fuse_file_info *fi,
		    struct fuse_pollhandle *ph)
{
	const struct fuse_poll_in *in = (const void *)(req_front(req)->message + 1);
	struct opened *o = req_opened(req, id, fi);

	if (!o) {
		if (ph)
			fuse_pollhandle_destroy(ph);
		return;
	}
	if (ph && o->poll < 0)
		o->poll = journal_poll(req_front(req)->journal, in->kh);
	fuse_reply_poll(req, handle_poll(o->handle, ph));
}

static void op_init(void *userdata, struct fuse_conn_info *conn)
{
	conn->want |= conn->capable & FUSE_CAP_EXPORT_SUPPORT;
	conn->want &=
		~(unsigned)(FUSE_CAP_SPLICE_READ | FUSE_CAP_SPLICE_WRITE | FUSE_CAP_SPLICE_MOVE);
}

static const struct fuse_lowlevel_ops front_ops = {
	.init = op_init,
	.lookup = op_lookup,
	.forget = op_forget,
	.forget_multi = op_forget_multi,
	.getattr = op_getattr,
	.setattr = op_setattr,
	.readlink = op_readlink,
	.mknod = op_mknod,
	.mkdir = op_mkdir,
	.unlink = op_unlink,
	.rmdir = op_rmdir,
	.symlink = op_symlink,
	.rename = op_rename,
	.link = op_link,
	.open = op_open,
	.read = op_read,
	.write = op_write,
	.flush = op_flush,
	.release = op_release,
	.fsync = op_fsync,
	.readdir = op_readdir,
	.readdirplus = op_readdirplus,
	.create = op_create,
	.opendir = op_opendir,
	.poll = op_poll,
};

/* ---- what the node layer asks of its front ---- */

static void poll_wake(void *poll)
{
	fuse_lowlevel_notify_poll(poll);
}

static void poll_free(void *poll)
{
	fuse_pollhandle_destroy(poll);
}

/* Attributes only, which takes no lock that a request of ours could be waiting under. */
static void invalidate(const struct front *front, uint64_t ino)
{
	fuse_lowlevel_notify_inval_inode(((const struct fuse_front *)front)->session, ino, -1, 0);
}

/* ---- messages ---- */

/* The connection's first message tells what kernel this is: whoever takes over must know it. */
static ssize_t session_read(int fd, void *buf, size_t len, void *userdata)
{
	struct fuse_front *f = userdata;
	ssize_t n = read(fd, buf, len);
	const struct fuse_in_header *in = buf;
	struct journal_page *page = f->journal->page;

	if (n >= (ssize_t)sizeof(*in) && in->opcode == FUSE_INIT &&
	    (size_t)n <= sizeof(page->opening)) {
		memcpy(page->opening, buf, (size_t)n);
		page->opening_len = (uint32_t)n;
	}
	return n;
}

static ssize_t session_writev(int fd, struct iovec *iov, int count, void *userdata)
{
	const struct fuse_front *f = userdata;
	const struct fuse_out_header *out = iov->iov_base;

	if (f->mute && out->unique == f->mute)
		return out->len;
	return writev(fd, iov, count);
}

static const struct fuse_custom_io session_io = { .writev = session_writev, .read = session_read };

static void front_serve(struct fuse_front *f, const struct fuse_buf *buf)
{
	f->message = buf->mem;
	f->journal->page->current = f->message->unique;
	fuse_session_process_buf(f->session, buf);
	f->journal->page->current = 0;
}

static int64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000000LL + now.tv_nsec;
}

/*
 * Whether to look for the next message before going to sleep: to be woken on another CPU than the
 * client's takes longer than most answers do. Only while somebody asks one thing right after the
 * other, and ever less often where looking has been in vain.
 */
static bool front_lively(struct fuse_front *f, int64_t now)
{
	if (f->cpus < 2 || now - f->rested > LIVELY_NS)
		return false;
	return f->pass == 0 || --f->pass == 0;
}

static int front_look(struct fuse_front *f, int64_t until)
{
	int n;

	do
		n = fuse_session_receive_buf(f->session, &f->buf);
	while (n == -EAGAIN && now_ns() < until);
	f->vain = n > 0 ? 0 : f->vain < PASS_MAX ? 2 * f->vain + 1 : PASS_MAX;
	f->pass = f->vain;
	return n;
}

static int front_receive(struct fuse_front *f, bool lively, int64_t now)
{
	int n = fuse_session_receive_buf(f->session, &f->buf);

	return n == -EAGAIN && lively ? front_look(f, now + LOOK_NS) : n;
}

static void on_readable(int fd, short what, void *arg)
{
	struct fuse_front *f = arg;
	int64_t now = now_ns(), turn = now + TURN_NS;
	bool lively = front_lively(f, now);
	int n = 0;

	while (now < turn && (n = front_receive(f, lively, now)) > 0) {
		f->failures = 0;
		front_serve(f, &f->buf);
		now = now_ns();
	}
	f->rested = now;
	if (now >= turn)
		return; /* others' turn; what is left to read calls again */
	/* The request is still there for the next try; but not for ever. */
	if (n < 0 && n != -EAGAIN && n != -EINTR && ++f->failures <= READ_FAILURES)
		return;
	if (f->failures > READ_FAILURES)
		log_line(LOG_LEVEL_ERROR, "/dev/fuse cannot be read: %s", strerror(-n));
	if (f->failures > READ_FAILURES || n == 0 || fuse_session_exited(f->session))
		event_base_loopbreak(f->daemon->loop);
}

/* ---- taking over ---- */

/* Serves a message that this daemon has not read from the kernel; the journal's are not aligned. */
static void front_inject(struct fuse_front *f, const void *message, size_t len)
{
	_Alignas(8) char copy[sizeof(f->journal->page->opening)];
	struct fuse_buf buf = { .mem = copy, .size = len };

	if (len > sizeof(copy))
		return;
	memcpy(copy, message, len);
	front_serve(f, &buf);
}

static void front_send(struct fuse_front *f, int32_t error, uint64_t unique, const void *body,
		       size_t len)
{
	struct fuse_out_header out = { .len = (uint32_t)(sizeof(out) + len),
				       .error = error,
				       .unique = unique };
	struct iovec iov[2] = { { &out, sizeof(out) }, { (void *)body, len } };

	/* It fails where nobody waits any more. */
	(void)!writev(fuse_session_fd(f->session), iov, 2);
}

/* Whoever polls asks again when he is woken, and finds a daemon that knows him. */
static void front_wake_polls(struct fuse_front *f)
{
	for (unsigned i = 0; i < JOURNAL_POLLS; i++) {
		struct fuse_notify_poll_wakeup_out wakeup = { .kh = f->journal->page->polls[i] };

		if (!wakeup.kh)
			continue;
		f->journal->page->polls[i] = 0;
		front_send(f, FUSE_NOTIFY_POLL, 0, &wakeup, sizeof(wakeup));
	}
}

static bool front_resend(struct fuse_front *f)
{
	struct fuse_out_header out = { .len = sizeof(out), .error = NOTIFY_RESEND };

	return write(fuse_session_fd(f->session), &out, sizeof(out)) == sizeof(out);
}

/* What was noted whole is served now; the rest gets the answer that was left for it. */
static void front_answer_calls(struct fuse_front *f)
{
	for (size_t i = 0; i < f->nbefore; i++) {
		struct journal_call *c = &f->before[i];
		struct fuse_write_out written = { .size = (uint32_t)c->answer };

		if (c->len)
			front_inject(f, c->message, c->len);
		else if (c->answer < 0)
			front_send(f, c->answer, c->unique, NULL, 0);
		else
			front_send(f, 0, c->unique, &written, sizeof(written));
	}
}

static void front_adopt(void *arg, uint64_t number, struct handle *h)
{
	opened_new(arg, number, h);
}

int fuse_front_resume(struct fuse_front *f, const struct text *luggage, struct err *e)
{
	struct journal_page *page = f->journal->page;
	const struct fuse_in_header *opening = (const void *)page->opening;
	uint64_t current = page->current;
	int rc;

	rc = journal_take(f->journal, &f->before, &f->nbefore, e);
	if (rc < 0)
		return rc;
	f->mute = opening->unique;
	front_inject(f, page->opening, page->opening_len);
	f->mute = 0;
	object_inherit(f->daemon->root);
	front_wake_polls(f);
	if (luggage)
		rc = luggage_unpack(luggage, f->daemon, front_adopt, f, e);
	else if (front_resend(f))
		return 0;
	else if (current) /* nobody knows how far it came */
		front_send(f, -EIO, current, NULL, 0);
	front_answer_calls(f);
	return rc;
}

void fuse_front_pause(struct fuse_front *f, bool pause)
{
	if (pause)
		event_del(f->readable);
	else
		event_add(f->readable, NULL);
}

void fuse_front_pack(const struct fuse_front *f, struct text *luggage)
{
	const struct opened *o;

	LIST_FOREACH(o, &f->all, link)
	luggage_add_handle(luggage, o->number, o->handle);
}

int fuse_front_promise(struct request *request, struct err *e)
{
	struct fuse_request *r = (struct fuse_request *)request;
	struct journal *j = req_front(r->req)->journal;

	if (r->call < 0)
		return err_set(e, -EBUSY, "too many calls are parked");
	j->page->calls[r->call].answer = (int32_t)request->len;
	return 0;
}

/* ---- life ---- */

/* A session closes what it reads. */
static int front_open(struct fuse_front *f, int mount, struct err *e)
{
	struct fuse_args args = FUSE_ARGS_INIT(0, NULL);
	int fd = fcntl(mount, F_DUPFD_CLOEXEC, 3);

	if (fd < 0)
		return err_sys(e, errno, "mount");
	if (fuse_opt_add_arg(&args, "machinefs") == 0)
		f->session = fuse_session_new(&args, &front_ops, sizeof(front_ops), f);
	fuse_opt_free_args(&args);
	if (!f->session || fuse_session_custom_io(f->session, &session_io, fd) != 0) {
		close(fd);
		return err_sys(e, ENOMEM, "mount");
	}
	f->readable = event_new(f->daemon->loop, fd, EV_READ | EV_PERSIST, on_readable, f);
	if (!f->readable || event_add(f->readable, NULL) < 0)
		return err_sys(e, ENOMEM, "mount");
	return 0;
}

int fuse_front_new(struct daemon *d, int fd, struct journal *j, struct fuse_front **ret,
		   struct err *e)
{
	struct fuse_front *f = calloc(1, sizeof(*f));
	struct timespec now;
	cpu_set_t cpus;
	int rc;

	if (!f)
		return err_sys(e, ENOMEM, "mount");
	clock_gettime(CLOCK_MONOTONIC, &now);
	f->daemon = d;
	f->journal = j;
	LIST_INIT(&f->all);
	f->cpus = sched_getaffinity(0, sizeof(cpus), &cpus) == 0 ? CPU_COUNT(&cpus) : 1;
	/* No number comes again of those that a daemon before this one has given. */
	f->next_handle = f->next_alias = (uint64_t)(now.tv_sec * 1000000000LL + now.tv_nsec);
	f->front = (struct front){ poll_wake, poll_free, invalidate };
	d->front = &f->front;
	rc = front_open(f, fd, e);
	if (rc < 0) {
		fuse_front_free(f);
		return rc;
	}
	*ret = f;
	return 0;
}

void fuse_front_free(struct fuse_front *f)
{
	struct opened *o;

	if (!f)
		return;
	while ((o = LIST_FIRST(&f->all)))
		opened_close(f, o);
	f->daemon->front = NULL;
	if (f->readable)
		event_free(f->readable);
	if (f->session)
		fuse_session_destroy(f->session);
	free(f->before);
	free(f->buf.mem);
	free(f);
}
