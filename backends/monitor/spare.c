/* A monitor in waiting, both its ends: see spare.h. */
#include "backends/monitor/spare.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <malloc.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "backends/engine.h"
#include "backends/host/spawn.h"
#include "backends/monitor/walls.h"
#include "backends/monitor/wire.h"

#define SPARE_FD   3
#define SPENT_MAX  8
#define SPENT_MS   2
#define ANSWER_MS  1000
#define HEAP_ROOM  (1 << 20)
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
	int policy;		/* the scheduler's, that it had before it was made to wait */
	pid_t spent[SPENT_MAX]; /* told to clone or to end, and still to be reaped */
	struct event *reaper;
};

/* Those that are spent have no more to do than to end. */
static const struct timeval moment = { .tv_usec = 20000 };

/* ---- the daemon's end ---- */

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

/* With room in its arguments for those that a monitor has. */
static void *spare_spawn(void *arg)
{
	struct spare *s = arg;
	char name[] = "machinefs-monitor", spare[] = "--spare", mould[] = "--mould";
	char room[TITLE_ROOM + 1] = "";
	char *argv[] = { name, s->walled ? spare : mould, (char *)s->kind, room, NULL };

	memset(room, ' ', TITLE_ROOM);
	if (spawn_self(argv, s->program, SPARE_FD, &s->spawned.pid, &s->spawned.fd, NULL) < 0)
		s->spawned.pid = 0;
	else if (s->walled)
		spare_yield(s);
	return NULL;
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
	free(m);
	if (s->one.pid <= 0) {
		s->one.pid = 0;
		close(s->asked);
		waiting_end(&s->mould);
	}
	s->asked = -1;
}

int spare_new(struct event_base *loop, const char *kind, bool walled, int program,
	      struct spare **ret, struct err *e)
{
	struct spare *s = calloc(1, sizeof(*s));

	if (!s)
		return err_sys(e, ENOMEM, "spare monitor");
	s->kind = kind;
	s->walled = walled;
	s->program = program;
	s->asked = -1;
	s->reaper = evtimer_new(loop, on_spent, s);
	if (!s->reaper) {
		free(s);
		return err_sys(e, ENOMEM, "spare monitor");
	}
	*ret = s;
	return 0;
}

void spare_want(struct spare *s)
{
	sigset_t all, old;

	if (s->wanted || s->asked >= 0 || s->one.pid || !spare_slot(s))
		return;
	if (s->mould.pid)
		mould_ask(s);
	if (s->mould.pid)
		return;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old); /* signals are the loop's */
	s->wanted = pthread_create(&s->thread, NULL, spare_spawn, s) == 0;
	pthread_sigmask(SIG_SETMASK, &old, NULL);
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

int spare_take(struct spare *s, const char *title, int listener, int group, pid_t *ret_pid)
{
	struct wire_adopt w = { 0 };
	int fds[] = { listener, group }, rc;

	for (int tries = 0; tries < 2 && !s->one.pid; tries++) { /* a mould, then its copy */
		spare_want(s);
		spare_join(s);
	}
	if (!s->one.pid)
		return -ENXIO;
	if (!spare_hurry(s))
		return waiting_end(&s->one), -ENXIO;
	snprintf(w.title, sizeof(w.title), "%s", title);
	rc = wire_send(s->one.fd, WIRE_ADOPT, 0, &w, sizeof(w), NULL, 0, fds, group < 0 ? 1 : 2);
	close(s->one.fd);
	*ret_pid = s->one.pid;
	if (rc < 0 || s->walled) {
		*spare_slot(s) = s->one.pid; /* there is one: spare_want() */
		event_add(s->reaper, &moment);
		*ret_pid = 0;
	}
	s->one.pid = 0;
	return rc < 0 ? -ENXIO : 0;
}

void spare_drop(struct spare *s)
{
	spare_join(s);
	waiting_end(&s->one);
	waiting_end(&s->mould);
}

void spare_free(struct spare *s)
{
	if (!s)
		return;
	spare_drop(s);
	spare_reap(s);
	event_free(s->reaper);
	free(s);
}

/* ---- the process ---- */

/* The arguments lie in one piece; ps and pgrep read them there. */
static void title_set(char **argv, const char *title)
{
	char *end = argv[0], *start = argv[0];

	for (int i = 0; argv[i]; i++)
		end = argv[i] + strlen(argv[i]);
	memset(start + strlen(start) + 1, 0, (size_t)(end - start) - strlen(start) - 1);
	start += strlen(start) + 1;
	for (const char *word = "--monitor"; word; word = word == title ? NULL : title) {
		int n = snprintf(start, (size_t)(end - start), "%s", word);

		start += n < end - start ? n + 1 : end - start;
	}
}

/*
 * As fork(), but into namespace and control group, and as a child of our parent's. libc keeps a
 * thread's id at the address that the kernel was told to clear at its end; the child's must be
 * there, too.
 */
static pid_t clone_self(bool own_pids, int group)
{
	struct clone_args args = {
		.flags = CLONE_PARENT | CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID,
	};
	int *tid = NULL;

	if (prctl(PR_GET_TID_ADDRESS, &tid) < 0 || !tid)
		return -1;
	args.child_tid = (uint64_t)(uintptr_t)tid;
	if (own_pids)
		args.flags |= CLONE_NEWPID;
	if (group >= 0) {
		args.flags |= CLONE_INTO_CGROUP;
		args.cgroup = (uint64_t)group;
	}
	return (pid_t)syscall(SYS_clone3, &args, sizeof(args));
}

/* The listener in the process that is the monitor, which is another where it had to be cloned. */
static int adopted(const struct wire_message *m, char **argv, struct monitor_place *place)
{
	struct wire_adopt *w = (struct wire_adopt *)m->body;
	int group = m->nfds == 2 ? m->fds[1] : -1;
	pid_t pid = 0;

	w->title[sizeof(w->title) - 1] = '\0';
	if (place->walled) {
		pid = clone_self(true, group);
		if (pid < 0) /* an ordinary user may have no namespaces */
			pid = clone_self(false, group);
		if (pid == 0)
			setsid();
	}
	if (pid > 0) /* an address space takes its time to go: the monitor first */
		poll(NULL, 0, SPENT_MS);
	if (pid != 0) /* that it came to nothing, the daemon sees by the listener's end */
		return -EPIPE;
	if (group >= 0)
		close(group);
	title_set(argv, w->title);
	return m->fds[0];
}

/* Returns in both: the copy is a spare, which hears by a socket of its own. */
static int copy(const struct wire_message *m, char **argv, const struct monitor_hooks *hooks,
		enum machine_kind kind, struct monitor_place *place)
{
	struct wire_copied done = { .pid = clone_self(false, -1) };

	if (done.pid != 0) {
		close(m->fds[0]);
		wire_send(SPARE_FD, WIRE_COPIED, 0, &done, sizeof(done), NULL, 0, NULL, 0);
		return 0;
	}
	dup2(m->fds[0], SPARE_FD);
	close(m->fds[0]);
	setsid();
	memcpy(argv[1], "--spare", strlen("--spare"));
	return monitor_prepare(hooks, kind, place);
}

/* Until it is adopted, the daemon ends, or something is wrong. */
static int spare_serve(struct wire_message *m, char **argv, const struct monitor_hooks *hooks,
		       enum machine_kind kind, struct monitor_place *place)
{
	struct pollfd p = { .fd = SPARE_FD, .events = POLLIN };
	int rc = -EAGAIN;

	while (rc == -EAGAIN) {
		poll(&p, 1, -1);
		rc = wire_recv(SPARE_FD, WIRE_ASKER, m);
		if (rc == 1 && m->nfds > 0 && m->header.type == WIRE_ADOPT)
			return adopted(m, argv, place);
		if (rc == 1 && m->nfds > 0 && m->header.type == WIRE_COPY) {
			rc = copy(m, argv, hooks, kind, place);
			rc = rc < 0 ? rc : -EAGAIN;
		}
	}
	return rc < 0 ? rc : -EPIPE;
}

int spare_wait(char **argv, const struct monitor_hooks *hooks, enum machine_kind kind,
	       struct monitor_place *place, struct err *e)
{
	struct wire_message *m;
	bool raised = false;
	int rc = 0;

	/* Messages from the heap, and back to it: to unmap each would be part of every start. */
	mallopt(M_MMAP_THRESHOLD, HEAP_ROOM);
	mallopt(M_TRIM_THRESHOLD, HEAP_ROOM);
	m = malloc(sizeof(*m));
	if (!m)
		return err_sys(e, ENOMEM, "spare monitor");
	/* What the daemon was born with and did not open itself. */
	close_range(SPARE_FD + 1, ~0u, 0);
	*place = (struct monitor_place){ .pty = PTY_NONE };
	if (!hooks->engine(kind)->keeps_root) {
		rc = monitor_prepare(hooks, kind, place);
		place->walled = true;
		raised = walls_limit(e) == 0 && walls_raise(e) == 0;
	}
	if (rc == 0)
		rc = spare_serve(m, argv, hooks, kind, place);
	/* Walls that could not be are tried again for the machine, which is told why. */
	place->walled = raised;
	close(SPARE_FD);
	free(m);
	if (rc < 0)
		monitor_place_free(place);
	return rc;
}
