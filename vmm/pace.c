/* struct pace: see pace.h. */
#include "vmm/pace.h"

#include <errno.h>
#include <event2/event.h>
#include <sched.h>
#include <stdlib.h>

#define WINDOW	   64u	     /* requests by which the two ways are compared */
#define PAUSE	   20000000u /* nanoseconds without an end: what comes then is another load */
#define TRIED_SOON 16u	     /* windows between trials, as long as they do no harm ... */
#define TRIED_LATE 1024u     /* ... and after many that did */
#define TRUSTED	   128u	     /* windows for which one is believed that did */

struct pace {
	struct event *watch; /* while patient: the load may just end */
	bool patient;
	bool paused;	   /* nothing has ended since the watch came last */
	unsigned ended;	   /* requests of this window */
	uint64_t began;	   /* this window */
	uint64_t last;	   /* when a request ended, or 0 */
	uint64_t prompt;   /* what a window takes without patience */
	unsigned left;	   /* windows until the other way is tried */
	unsigned distance; /* of the next trials */
};

static void pace_set(struct pace *p, bool patient)
{
	static const struct timeval often = { .tv_usec = 100000 };
	static const struct sched_param none;

	// Whoever has put the thread elsewhere meant it.
	if (sched_getscheduler(0) == (patient ? SCHED_OTHER : SCHED_BATCH))
		(void)sched_setscheduler(0, patient ? SCHED_BATCH : SCHED_OTHER, &none);
	p->patient = patient;
	p->paused = false;
	if (patient)
		event_add(p->watch, &often);
	else
		event_del(p->watch);
}

static void pace_begin(struct pace *p, uint64_t now)
{
	p->ended = 0;
	p->began = now;
}

void pace_relax(struct pace *p)
{
	if (!p)
		return;
	if (p->patient) {
		pace_set(p, false);
		p->left = p->distance;
	}
	p->last = 0; // and a window begins
}

static void pace_watched(int fd, short what, void *arg)
{
	struct pace *p = arg;

	if (p->paused)
		pace_relax(p);
	else
		p->paused = true;
}

/* A window without patience is over. */
static void pace_prompt(struct pace *p, uint64_t now)
{
	p->prompt = now - p->began;
	if (--p->left == 0) {
		p->left = TRUSTED;
		pace_set(p, true);
	}
	pace_begin(p, now);
}

/* In the midst of a patient one: no need to wait for its end to see that it takes too long. */
static void pace_watch(struct pace *p, uint64_t now)
{
	if (now - p->began > p->prompt / 5 * 4) {
		if (p->ended >= WINDOW / 2)
			p->distance = TRIED_SOON;
		else if (p->distance < TRIED_LATE)
			p->distance *= 2;
		p->left = p->distance;
		pace_set(p, false);
		pace_begin(p, now);
	} else if (p->ended >= WINDOW) {
		p->distance = TRIED_SOON;
		if (--p->left == 0) { // what it was compared with may have changed
			p->left = 1;
			pace_set(p, false);
		}
		pace_begin(p, now);
	}
}

void pace_ended(struct pace *p, unsigned n, uint64_t now)
{
	if (!p || n == 0)
		return;
	if (now - p->last > PAUSE) {
		pace_relax(p);
		pace_begin(p, now);
	} else {
		p->ended += n;
	}
	p->last = now;
	p->paused = false;
	if (p->patient)
		pace_watch(p, now);
	else if (p->ended >= WINDOW)
		pace_prompt(p, now);
}

bool pace_patient(const struct pace *p)
{
	return p && p->patient;
}

/* ---- life ---- */

int pace_new(struct event_base *loop, struct pace **ret, struct err *e)
{
	struct pace *p = calloc(1, sizeof(*p));

	if (p)
		p->watch = event_new(loop, -1, EV_PERSIST, pace_watched, p);
	if (!p || !p->watch) {
		free(p);
		return err_sys(e, ENOMEM, "VM");
	}
	p->distance = p->left = TRIED_SOON;
	*ret = p;
	return 0;
}

void pace_free(struct pace *p)
{
	if (!p)
		return;
	pace_relax(p);
	event_free(p->watch);
	free(p);
}
