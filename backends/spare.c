/* A monitor in waiting, both its ends: see spare.h. */
#include "backends/spare.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <poll.h>
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

#include "backends/spawn.h"
#include "backends/walls.h"
#include "backends/wire.h"

#define SPARE_FD   3
#define SPENT_MAX  8
#define TITLE_ROOM 80

/* Behind whatever else the one who has started a machine does next. */
static const struct timeval soon = { .tv_usec = 2000 };

struct spare {
	const char *kind;
	struct event *timer;
	int fd; /* -1: there is none */
	pid_t pid;
	pid_t spent[SPENT_MAX]; /* told to clone or to end, and still to be reaped */
};

/* ---- the daemon's end ---- */

static void spare_reap(struct spare *s)
{
	for (int i = 0; i < SPENT_MAX; i++)
		if (s->spent[i] > 0 && waitpid(s->spent[i], NULL, WNOHANG) != 0)
			s->spent[i] = 0;
}

static pid_t *spare_slot(struct spare *s)
{
	spare_reap(s);
	for (int i = 0; i < SPENT_MAX; i++)
		if (s->spent[i] == 0)
			return &s->spent[i];
	return NULL;
}

/* With room in its arguments for those that a monitor has. */
static int spare_spawn(struct spare *s)
{
	char name[] = "machinefs-monitor", option[] = "--spare", room[TITLE_ROOM + 1] = "";
	char *argv[] = { name, option, (char *)s->kind, room, NULL };
	char *env[] = { NULL };
	struct spawn spawn = {
		.exe = "/proc/self/exe",
		.argv = argv,
		.env = env,
		.fd_as = SPARE_FD,
		.cgroup = -1,
	};
	int fds[2], rc;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) < 0)
		return -errno;
	memset(room, ' ', TITLE_ROOM);
	spawn.fd = fds[1];
	rc = spawn_process(&spawn, &s->pid, NULL);
	close(fds[1]);
	if (rc < 0)
		close(fds[0]);
	else
		s->fd = fds[0];
	return rc;
}

static void on_wanted(int fd, short what, void *arg)
{
	struct spare *s = arg;

	if (s->fd < 0 && spare_slot(s))
		spare_spawn(s);
}

int spare_new(struct event_base *loop, const char *kind, struct spare **ret, struct err *e)
{
	struct spare *s = calloc(1, sizeof(*s));

	if (!s)
		return err_sys(e, ENOMEM, "spare monitor");
	s->kind = kind;
	s->fd = -1;
	s->timer = evtimer_new(loop, on_wanted, s);
	if (!s->timer) {
		free(s);
		return err_sys(e, ENOMEM, "spare monitor");
	}
	*ret = s;
	return 0;
}

void spare_want(struct spare *s)
{
	if (s->fd < 0)
		event_add(s->timer, &soon);
}

int spare_take(struct spare *s, const char *title, int listener, int group, pid_t *ret_pid)
{
	struct wire_adopt w = { 0 };
	int fds[] = { listener, group };
	int rc;

	if (s->fd < 0)
		return -ENXIO;
	snprintf(w.title, sizeof(w.title), "%s", title);
	rc = wire_send(s->fd, WIRE_ADOPT, 0, &w, sizeof(w), NULL, 0, fds, group < 0 ? 1 : 2);
	if (rc < 0 || group >= 0) {
		pid_t *slot = spare_slot(s); /* there is one: on_wanted() */

		*slot = s->pid;
		s->pid = 0;
	}
	close(s->fd);
	s->fd = -1;
	*ret_pid = s->pid;
	s->pid = 0;
	return rc < 0 ? -ENXIO : 0;
}

void spare_drop(struct spare *s)
{
	if (s->fd < 0)
		return;
	close(s->fd);
	s->fd = -1;
	kill(s->pid, SIGKILL);
	waitpid(s->pid, NULL, 0);
	s->pid = 0;
}

void spare_free(struct spare *s)
{
	if (!s)
		return;
	spare_drop(s);
	spare_reap(s);
	event_free(s->timer);
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
 * As fork(), but into a control group, and as a child of our parent's. libc keeps a thread's id at
 * the address that the kernel was told to clear at its end; the child's must be there, too.
 */
static pid_t clone_into(int group)
{
	struct clone_args args = {
		.flags = CLONE_INTO_CGROUP | CLONE_PARENT | CLONE_CHILD_SETTID |
			 CLONE_CHILD_CLEARTID,
		.cgroup = (uint64_t)group,
	};
	int *tid = NULL;

	if (prctl(PR_GET_TID_ADDRESS, &tid) < 0 || !tid)
		return -1;
	args.child_tid = (uint64_t)(uintptr_t)tid;
	return (pid_t)syscall(SYS_clone3, &args, sizeof(args));
}

/* The listener in the process that is the monitor, which is another where it had to be cloned. */
static int adopted(const struct wire_message *m, char **argv)
{
	struct wire_adopt *w = (struct wire_adopt *)m->body;
	pid_t pid;

	w->title[sizeof(w->title) - 1] = '\0';
	if (m->nfds == 2) {
		pid = clone_into(m->fds[1]);
		if (pid != 0) /* that it came to nothing, the daemon sees by the listener's end */
			return -EPIPE;
		setsid();
		close(m->fds[1]);
	}
	title_set(argv, w->title);
	return m->fds[0];
}

int spare_wait(char **argv, bool walls, struct monitor_place *place, struct err *e)
{
	struct wire_message *m = malloc(sizeof(*m));
	struct pollfd p = { .fd = SPARE_FD, .events = POLLIN };
	int rc = -EAGAIN;

	if (!m)
		return err_sys(e, ENOMEM, "spare monitor");
	/* What the daemon was born with and did not open itself. */
	close_range(SPARE_FD + 1, ~0u, 0);
	place->walled = walls;
	pty_open(&place->pty);
	if (walls && (walls_limit(e) < 0 || walls_raise(e) < 0))
		rc = e->code;
	while (rc == -EAGAIN) {
		poll(&p, 1, -1);
		rc = wire_recv(SPARE_FD, WIRE_ASKER, m);
	}
	if (rc == 1 && m->header.type == WIRE_ADOPT && m->nfds > 0)
		rc = adopted(m, argv);
	else
		rc = rc < 0 ? rc : -EPIPE;
	close(SPARE_FD);
	free(m);
	return rc;
}
