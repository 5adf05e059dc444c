/* A monitor in waiting, the process itself: see spare_wait.h. */
#include "backends/monitor/spare_wait.h"

#include <errno.h>
#include <linux/sched.h>
#include <malloc.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "backends/engine.h"
#include "backends/monitor/walls.h"
#include "backends/monitor/wire.h"

#define SPENT_MS  20
#define HEAP_ROOM (1 << 20)

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
	if (pid > 0) { /* an address space takes its time to go: the machine's start first */
		memcpy(argv[1], "--spent", strlen("--spent"));
		poll(NULL, 0, SPENT_MS);
	}
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
