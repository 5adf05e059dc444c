/* What is asked of open files, and requests that are not answered at once: see fuse_priv.h. */
#include "fs/front/fuse_priv.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <search.h>
#include <stdlib.h>
#include <time.h>

#define UNIQUE_RESENT (1ULL << 63) /* in the number of a message that the kernel sends again */

/* ---- open files ---- */

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
struct opened *opened_new(struct fuse_front *f, uint64_t number, struct handle *h)
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

void opened_close(struct fuse_front *f, struct opened *o)
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

void op_open(fuse_req_t req, fuse_ino_t id, struct fuse_file_info *fi)
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

void op_read(fuse_req_t req, fuse_ino_t id, size_t size, off_t off, struct fuse_file_info *fi)
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

/* ---- requests ---- */

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

void op_write(fuse_req_t req, fuse_ino_t id, const char *data, size_t size, off_t off,
	      struct fuse_file_info *fi)
{
	struct opened *o = req_opened(req, id, fi);
	struct fuse_request *r = o ? request_new(req, true) : NULL;

	if (r && handle_write(o->handle, &r->request, data, size, off) == NODE_PARKED)
		request_parked(r);
}

void op_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name)
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
void op_flush(fuse_req_t req, fuse_ino_t id, struct fuse_file_info *fi)
{
	struct fuse_request *r;
	struct opened *o;

	fi->flags = O_WRONLY;
	o = req_opened(req, id, fi);
	r = o ? request_new(req, false) : NULL;
	if (r)
		handle_flush(o->handle, &r->request);
}

void op_release(fuse_req_t req, fuse_ino_t id, struct fuse_file_info *fi)
{
	struct opened *o = opened_find(req_front(req), fi->fh);

	if (o)
		opened_close(req_front(req), o);
	fuse_reply_err(req, 0);
}

void op_fsync(fuse_req_t req, fuse_ino_t id, int datasync, struct fuse_file_info *fi)
{
	fuse_reply_err(req, 0); /* a write that was acknowledged is on disk */
}

/* libfuse keeps the kernel's number of the file to itself; who comes after us may need it. */
void op_poll(fuse_req_t req, fuse_ino_t id, struct fuse_file_info *fi, struct fuse_pollhandle *ph)
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
