/* Waiters: see waiter.h. */
#include "fs/machine/waiter.h"

#include <ctype.h>
#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "fs/daemon.h"

/*
 * Each holds a request of the kernel's; a bound keeps a loop of waits from eating the daemon. No
 * user but root may have more than a quarter of them, and a quarter is left to root.
 */
#define PARKED_MAX 4096
#define PARKED_OWN (PARKED_MAX / 4)

struct waiter {
	TAILQ_ENTRY(waiter) link;
	LIST_ENTRY(waiter) all; /* of the daemon's */
	struct object *object;
	struct request *request;
	int wanted;
	struct event *timer; /* NULL: without end */
};

static void waiter_free(struct waiter *w)
{
	if (!w)
		return;
	if (w->timer)
		event_free(w->timer);
	free(w);
}

/* Takes the waiter off its list; its request has no owner then. */
static struct request *waiter_take(struct waiter *w)
{
	struct request *r = w->request;

	TAILQ_REMOVE(&w->object->waiters, w, link);
	LIST_REMOVE(w, all);
	w->object->daemon->stats.parked--;
	waiter_free(w);
	r->parked = NULL;
	r->cancel = NULL;
	return r;
}

static void waiter_cancel(struct request *r)
{
	waiter_take(r->parked);
}

static void on_timeout(int fd, short what, void *arg)
{
	struct waiter *w = arg;
	const struct states *s = w->object->class->states;
	struct err e = { 0 };

	err_set(&e, -EBUSY, "wait: not %s in time; the %s is %s", s->words[w->wanted], s->noun,
		s->words[s->now(w->object)]);
	request_finish(waiter_take(w), e.code, &e);
}

/* One at rest in another state comes to the wanted one only by somebody's new verb. */
static bool wait_hopeless(const struct object *o, int wanted, struct err *e)
{
	const struct states *s = o->class->states;
	int now = s->now(o);

	if (now == wanted || !s->rests(o))
		return false;
	err_set(e, -EIO, "wait: the %s is %s and does not become %s", s->noun, s->words[now],
		s->words[wanted]);
	return true;
}

static int state_find(const struct states *s, const char *word, size_t len)
{
	for (int i = 0; i < s->count; i++)
		if (strlen(s->words[i]) == len && !memcmp(s->words[i], word, len))
			return i;
	return -1;
}

/* "stopped, starting or failed" */
static int refuse_word(const struct states *s, const char *line, struct err *e)
{
	struct text all = TEXT_INIT;
	int rc;

	for (int i = 0; i < s->count; i++)
		text_addf(&all, "%s%s",
			  i == 0	      ? ""
			  : i == s->count - 1 ? " or "
					      : ", ",
			  s->words[i]);
	rc = err_set(e, -EINVAL, "wait: \"%s\" is not a state: %s", line, text_str(&all));
	text_free(&all);
	return rc;
}

static int wait_parse(const struct states *s, const char *data, size_t len, int *ret_wanted,
		      double *ret_seconds, struct err *e)
{
	char line[64];
	const char *rest;
	int state;

	if (len && data[len - 1] == '\n')
		len--;
	if (len >= sizeof(line) || memchr(data, '\n', len) || memchr(data, '\0', len))
		return err_set(e, -EINVAL, "wait: not STATE [SECONDS]");
	memcpy(line, data, len);
	line[len] = '\0';
	state = state_find(s, line, strcspn(line, " "));
	if (state < 0)
		return refuse_word(s, line, e);
	*ret_wanted = state;
	*ret_seconds = -1;
	rest = line + strcspn(line, " ");
	rest += strspn(rest, " ");
	if (!*rest)
		return 0;
	*ret_seconds = strtod(rest, NULL);
	/* Decimal, nothing else that strtod() knows. */
	if (!isdigit((unsigned char)*rest) || rest[strspn(rest, "0123456789.")] ||
	    strchr(rest, '.') != strrchr(rest, '.') || *ret_seconds > 1e9)
		return err_set(e, -EINVAL, "wait: \"%s\" is not a number of seconds", rest);
	return 0;
}

/* A request that a daemon before this one has parked has waited for a while already. */
static struct timeval wait_left(const struct request *r, double seconds)
{
	struct timespec now;
	double left;

	clock_gettime(CLOCK_MONOTONIC, &now);
	left = seconds + (double)r->since / 1e6 - ((double)now.tv_sec + (double)now.tv_nsec / 1e9);
	if (left < 0)
		left = 0;
	return (struct timeval){ .tv_sec = (time_t)left,
				 .tv_usec = (suseconds_t)((left - (double)(time_t)left) * 1e6) };
}

static int waiter_admit(const struct daemon *d, uid_t uid, struct err *e)
{
	const struct waiter *w;
	unsigned own = 0;

	if (d->stats.parked >= PARKED_MAX - (uid ? PARKED_OWN : 0))
		return err_set(e, -EBUSY, "wait: %llu clients wait already",
			       (unsigned long long)d->stats.parked);
	if (uid == 0)
		return 0;
	LIST_FOREACH(w, &d->waiters, all)
	own += w->request->who.uid == uid;
	if (own >= PARKED_OWN)
		return err_set(e, -EBUSY, "wait: %u clients of user %u wait already", own, uid);
	return 0;
}

static int waiter_park(struct object *o, struct request *r, int wanted, double seconds,
		       struct err *e)
{
	struct daemon *d = o->daemon;
	struct waiter *w;

	if (waiter_admit(d, r->who.uid, e) < 0)
		return e->code;
	w = calloc(1, sizeof(*w));
	if (!w)
		return err_sys(e, ENOMEM, "wait");
	w->object = o;
	w->request = r;
	w->wanted = wanted;
	if (seconds >= 0) {
		struct timeval tv = wait_left(r, seconds);

		w->timer = evtimer_new(d->loop, on_timeout, w);
		if (!w->timer) {
			waiter_free(w);
			return err_sys(e, ENOMEM, "wait");
		}
		evtimer_add(w->timer, &tv);
	}
	TAILQ_INSERT_TAIL(&o->waiters, w, link);
	LIST_INSERT_HEAD(&d->waiters, w, all);
	d->stats.parked++;
	r->parked = w;
	r->again = true;
	r->cancel = waiter_cancel;
	return NODE_PARKED;
}

int wait_write(struct handle *h, struct request *r, const char *data, size_t len, struct err *e)
{
	struct object *o = h->object;
	const struct states *s = o->class->states;
	double seconds = -1;
	int wanted = 0, now = s->now(o), rc = wait_parse(s, data, len, &wanted, &seconds, e);

	if (rc < 0)
		return rc;
	if (now == wanted)
		return 0;
	if ((s->ends & 1u << now) && (s->ends & 1u << wanted) && wait_hopeless(o, wanted, e))
		return e->code;
	return waiter_park(o, r, wanted, seconds, e);
}

void waiters_wake(struct object *o)
{
	struct waiter *w, *next;

	for (w = TAILQ_FIRST(&o->waiters); w; w = next) {
		struct err e = { 0 };

		next = TAILQ_NEXT(w, link);
		if (o->class->states->now(o) == w->wanted || wait_hopeless(o, w->wanted, &e))
			request_finish(waiter_take(w), e.code, &e);
	}
}

void waiters_fail(struct object *o)
{
	struct waiter *w;
	struct err e = { 0 };

	err_set(&e, -EIO, "wait: the %s was removed", o->class->states->noun);
	while ((w = TAILQ_FIRST(&o->waiters)))
		request_finish(waiter_take(w), e.code, &e);
}
