/* A monitor in waiting, the daemon's end: see spare.h. */
#include "backends/monitor/spare.h"

#include <errno.h>
#include <event2/event.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "backends/base/thread.h"
#include "backends/host/spawn.h"
#include "backends/monitor/spare_wait.h"
#include "backends/monitor/wire.h"

#define SPENT_MAX  8
#define ANSWER_MS  1000
#define TITLE_ROOM 80

/* A process, or pid 0 and no fd. */
struct waiting {
	pid_t pid;
	int fd;
};

/*
 * Whoever spawns sleeps until the child executes, for as long as that finds no CPU; the loop must
 * not wait for that, so a thread does. What it writes is the loop's once it is joined.
 */
struct spare {
	const char *kind;
	bool walled;
	int program; /* the caller's */
	bool wanted; /* there is a thread, to be joined */
	pthread_t thread;
	struct waiting spawned; /* by the thread */
	struct waiting mould;
	int asked;		/* the daemon's end of the copy that the mould makes, or -1 */
	struct waiting one;	/* the monitor in waiting */
	bool served;		/* it has been a machine's before ... */
	uid_t owner;		/* ... of this owner's */
	bool comes_back;	/* the last one taken had, and will most often again */
	int told;		/* where the last one was adopted, or -1: see spare_take() */
	int policy;		/* the scheduler's, that it had before it was made to wait */
	pid_t spent[SPENT_MAX]; /* told to clone or to end, and still to be reaped */
	struct event *reaper;
	struct event *later; /* pending: one is to be made */
};

/* Those that are spent have no more to do than to end. */
static const struct timeval moment = { .tv_usec = 20000 };
/* Within which a machine has shown that it runs, or takes its time. */
static const struct timeval by_then = { .tv_sec = 1 };

/* Whether there is none left. */
static bool spare_reap(struct spare *s)
{
	bool all = true;

	for (int i = 0; i < SPENT_MAX; i++) {
		if (s->spent[i] > 0 && waitpid(s->spent[i], NULL, WNOHANG) != 0)
			s->spent[i] = 0;
		all = all && s->spent[i] == 0;
	}
	return all;
}

static void on_spent(int fd, short what, void *arg)
{
	struct spare *s = arg;

	if (!spare_reap(s))
		event_add(s->reaper, &moment);
}

static pid_t *spare_slot(struct spare *s)
{
	spare_reap(s);
	for (int i = 0; i < SPENT_MAX; i++)
		if (s->spent[i] == 0)
			return &s->spent[i];
	return NULL;
}

/*
 * What it does now is for a later machine. The VM that has just started comes first, which wants
 * all of a CPU for its boot; a container's is ready before it could be in anybody's way.
 */
static void spare_yield(struct spare *s)
{
	const struct sched_param none = { 0 };

	s->policy = sched_getscheduler(s->spawned.pid);
	if (geteuid() == 0 && s->policy == SCHED_OTHER)
		sched_setscheduler(s->spawned.pid, SCHED_IDLE, &none);
}

/* False: whoever we are may not take that back, and it is of no use. */
static bool spare_hurry(struct spare *s)
{
	const struct sched_param none = { 0 };

	return !s->walled || s->policy != SCHED_OTHER ||
	       sched_getscheduler(s->one.pid) == SCHED_OTHER ||
	       sched_setscheduler(s->one.pid, SCHED_OTHER, &none) == 0;
}

/*
 * With room in its arguments for those that a monitor has. What a mould's copy frees becomes one
 * piece again: each page that a machine or a session leaves pieces in is a fault of the next one.
 */
static void *spare_spawn(void *arg)
{
	struct spare *s = arg;
	char name[] = "machinefs-monitor", spare[] = "--spare", mould[] = "--mould";
	char room[TITLE_ROOM + 1] = "";
	char *argv[] = { name, s->walled ? spare : mould, (char *)s->kind, room, NULL };
	char whole[] = "GLIBC_TUNABLES=glibc.malloc.tcache_count=0:glibc.malloc.mxfast=0";
	char *env[] = { s->walled ? NULL : whole, NULL };

	memset(room, ' ', TITLE_ROOM);
	if (spawn_self(argv, env, s->program, SPARE_FD, &s->spawned.pid, &s->spawned.fd, NULL) < 0)
		s->spawned.pid = 0;
	else if (s->walled)
		spare_yield(s);
	return NULL;
}

/* It ends by itself, and is reaped when it has. There is a slot: spare_make() and spare_back(). */
static void spare_spend(struct spare *s, pid_t pid)
{
	*spare_slot(s) = pid;
	event_add(s->reaper, &moment);
}

static void spare_dismiss(struct spare *s)
{
	if (!s->one.pid)
		return;
	close(s->one.fd);
	spare_spend(s, s->one.pid);
	s->one.pid = 0;
}

static void waiting_end(struct waiting *w)
{
	if (!w->pid)
		return;
	close(w->fd);
	kill(w->pid, SIGKILL);
	waitpid(w->pid, NULL, 0);
	w->pid = 0;
}

static void mould_ask(struct spare *s)
{
	int ends[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
		return;
	s->asked = ends[0];
	if (wire_send(s->mould.fd, WIRE_COPY, 0, NULL, 0, NULL, 0, &ends[1], 1) < 0) {
		close(s->asked);
		s->asked = -1;
		waiting_end(&s->mould);
	}
	close(ends[1]);
}

/* It has had since the start before. A mould that does not answer is none. */
static void mould_answer(struct spare *s)
{
	struct pollfd p = { .fd = s->mould.fd, .events = POLLIN };
	struct wire_message *m = malloc(sizeof(*m));

	if (m && poll(&p, 1, ANSWER_MS) == 1 && wire_recv(s->mould.fd, WIRE_MONITOR, m) == 1 &&
	    m->header.type == WIRE_COPIED)
		s->one = (struct waiting){ ((struct wire_copied *)m->body)->pid, s->asked };
	s->served = false;
	free(m);
	if (s->one.pid <= 0) {
		s->one.pid = 0;
		close(s->asked);
		waiting_end(&s->mould);
	}
	s->asked = -1;
}

static void on_later(int fd, short what, void *arg);

int spare_new(struct event_base *loop, const char *kind, bool walled, int program,
	      struct spare **ret, struct err *e)
{
	struct spare *s = calloc(1, sizeof(*s));

	if (!s)
		return err_sys(e, ENOMEM, "spare monitor");
	s->kind = kind;
	s->walled = walled;
	s->program = program;
	s->asked = s->told = -1;
	s->reaper = evtimer_new(loop, on_spent, s);
	s->later = evtimer_new(loop, on_later, s);
	if (!s->reaper || !s->later) {
		spare_free(s);
		return err_sys(e, ENOMEM, "spare monitor");
	}
	*ret = s;
	return 0;
}

static void spare_hang_up(struct spare *s)
{
	if (s->told >= 0)
		close(s->told);
	s->told = -1;
}

static void spare_make(struct spare *s)
{
	event_del(s->later);
	spare_hang_up(s);
	if (s->wanted || s->asked >= 0 || s->one.pid || !spare_slot(s))
		return;
	if (s->mould.pid)
		mould_ask(s);
	if (s->mould.pid)
		return;
	s->wanted = thread_start(&s->thread, THREAD_STACK_USUAL, 0, spare_spawn, s) == 0;
}

static void on_later(int fd, short what, void *arg)
{
	spare_make(arg);
}

/* A copy is made while its mould has nothing else to do, and at no machine's cost. */
void spare_want(struct spare *s)
{
	if (s->walled || s->comes_back)
		event_add(s->later, &by_then);
	else
		spare_make(s);
}

void spare_due(struct spare *s)
{
	if (s->walled && event_pending(s->later, EV_TIMEOUT, NULL))
		event_add(s->later, &moment);
}

/* Waits for what is wanted. */
static void spare_join(struct spare *s)
{
	if (s->wanted) {
		pthread_join(s->thread, NULL);
		s->wanted = false;
		*(s->walled ? &s->one : &s->mould) = s->spawned;
	}
	if (s->asked >= 0)
		mould_answer(s);
}

/* Nothing of one owner's machine is in the monitor of another's. */
static void spare_reserve(struct spare *s, uid_t owner)
{
	if (s->served && s->owner != owner)
		spare_dismiss(s);
}

int spare_take(struct spare *s, const struct spare_machine *w, struct spare_taken *ret)
{
	struct wire_adopt adopt = { 0 };
	int fds[] = { w->listener, w->group }, rc;

	spare_reserve(s, w->owner);
	for (int tries = 0; tries < 2 && !s->one.pid; tries++) { /* a mould, then its copy */
		spare_make(s);
		spare_join(s);
	}
	if (!s->one.pid)
		return -ENXIO;
	if (!spare_hurry(s))
		return waiting_end(&s->one), -ENXIO;
	snprintf(adopt.title, sizeof(adopt.title), "%s", w->title);
	rc = wire_send(s->one.fd, WIRE_ADOPT, 0, &adopt, sizeof(adopt), NULL, 0, fds,
		       w->group < 0 ? 1 : 2);
	s->comes_back = rc == 0 && s->served;
	*ret = (struct spare_taken){ s->one.pid, s->one.fd };
	if (rc < 0 || s->walled) {
		/*
		 * To close a socket whose descriptors are under way sets off the kernel's garbage
		 * collector: that is done when the next is made.
		 */
		s->told = s->one.fd;
		spare_spend(s, s->one.pid);
		*ret = SPARE_UNKNOWN;
	}
	s->one.pid = 0;
	return rc < 0 ? -ENXIO : 0;
}

/* A copy that waits has pages to fetch yet, which one that has served has. */
static bool spare_prefer(struct spare *s)
{
	struct pollfd p = { .fd = s->mould.fd, .events = POLLIN };

	if (s->asked >= 0 && poll(&p, 1, 0) == 1)
		mould_answer(s);
	if (s->wanted || s->asked >= 0 || (s->one.pid && s->served))
		return false;
	spare_dismiss(s);
	return spare_slot(s) != NULL;
}

bool spare_back(struct spare *s, const struct spare_taken *taken, uid_t owner)
{
	if (waitpid(taken->pid, NULL, WNOHANG) != 0 || !spare_prefer(s))
		return false;
	event_del(s->later);
	s->one = (struct waiting){ taken->pid, taken->fd };
	s->served = true;
	s->owner = owner;
	return true;
}

void spare_drop(struct spare *s)
{
	event_del(s->later);
	spare_join(s);
	spare_hang_up(s);
	waiting_end(&s->one);
	waiting_end(&s->mould);
}

void spare_free(struct spare *s)
{
	if (!s)
		return;
	if (s->later && s->reaper)
		spare_drop(s);
	spare_reap(s);
	if (s->reaper)
		event_free(s->reaper);
	if (s->later)
		event_free(s->later);
	free(s);
}
