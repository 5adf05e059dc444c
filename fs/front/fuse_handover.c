/* Calls, handles and polls that go from one daemon to the next: see fuse.h, fuse_priv.h. */
#include "fs/front/fuse_priv.h"

#include <errno.h>
#include <event2/event.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "fs/handover/luggage.h"

/* The notification by which the kernel sends again what was not answered (Linux 6.9). */
#define NOTIFY_RESEND 7

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
