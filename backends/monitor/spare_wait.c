/* A monitor in waiting, the process itself: see spare_wait.h. */
#include "backends/monitor/spare_wait.h"

#include <errno.h>
#include <fcntl.h>
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

#define SPENT_MS     20
#define HEAP_ROOM    (1 << 20)
#define MACHINES_MAX 100 /* what its memory has gathered by then goes with it */

/* The arguments lie in one piece; ps and pgrep read them there. */
static void title_set(struct spare_self *self, const char *option, const char *title)
{
	char *at = self->argv[0] + strlen(self->argv[0]) + 1;

	memset(at, 0, (size_t)(self->title_end - at));
	for (const char *word = option; word; word = word == title ? NULL : title) {
		int n = snprintf(at, (size_t)(self->title_end - at), "%s", word);

		at += n < self->title_end - at ? n + 1 : self->title_end - at;
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
static int adopted(struct spare_self *self, const struct wire_message *m,
		   struct monitor_place *place)
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
		memcpy(self->argv[1], "--spent", strlen("--spent"));
		poll(NULL, 0, SPENT_MS);
	}
	if (pid != 0) /* that it came to nothing, the daemon sees by the listener's end */
		return -EPIPE;
	if (group >= 0)
		close(group);
	title_set(self, "--monitor", w->title);
	return m->fds[0];
}

/* Returns in both: the copy is a spare, which hears by a socket of its own. */
static int copy(struct spare_self *self, const struct wire_message *m, struct monitor_place *place)
{
	struct wire_copied done = { .pid = clone_self(false, -1) };

	if (done.pid != 0) {
		close(m->fds[0]);
		wire_send(SPARE_FD, WIRE_COPIED, 0, &done, sizeof(done), NULL, 0, NULL, 0);
		return 0;
	}
	dup3(m->fds[0], SPARE_FD, O_CLOEXEC);
	close(m->fds[0]);
	setsid();
	memcpy(self->argv[1], "--spare", strlen("--spare"));
	return monitor_prepare(self->hooks, self->kind, place);
}

/* Until it is adopted, the daemon ends, or something is wrong. */
static int spare_serve(struct spare_self *self, struct wire_message *m, struct monitor_place *place)
{
	struct pollfd p = { .fd = SPARE_FD, .events = POLLIN };
	int rc = -EAGAIN;

	while (rc == -EAGAIN) {
		poll(&p, 1, -1);
		rc = wire_recv(SPARE_FD, WIRE_ASKER, m);
		if (rc == 1 && m->nfds > 0 && m->header.type == WIRE_ADOPT)
			return adopted(self, m, place);
		if (rc == 1 && m->nfds > 0 && m->header.type == WIRE_COPY) {
			rc = copy(self, m, place);
			rc = rc < 0 ? rc : -EAGAIN;
		}
	}
	return rc < 0 ? rc : -EPIPE;
}

static void self_begin(struct spare_self *self)
{
	for (int i = 0; self->argv[i]; i++)
		self->title_end = self->argv[i] + strlen(self->argv[i]);
	prctl(PR_GET_NAME, self->name);
	/* Messages from the heap, and back to it: to unmap each would be part of every start. */
	mallopt(M_MMAP_THRESHOLD, HEAP_ROOM);
	mallopt(M_TRIM_THRESHOLD, HEAP_ROOM);
	fcntl(SPARE_FD, F_SETFD, FD_CLOEXEC);
}

/* Whether this process and its children are in the namespaces that the daemon has them in. */
static bool at_home(void)
{
	static const char *const kinds[] = { "net", "pid_for_children", "mnt", "user" };
	char path[64], ours[64] = "", theirs[64] = "";

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		snprintf(path, sizeof(path), "/proc/self/ns/%s", kinds[i]);
		if (readlink(path, ours, sizeof(ours) - 1) < 0)
			return false;
		snprintf(path, sizeof(path), "/proc/%d/ns/%s", (int)getppid(), kinds[i]);
		if (readlink(path, theirs, sizeof(theirs) - 1) < 0 || strcmp(ours, theirs) != 0)
			return false;
	}
	return true;
}

/* What the machine before this one was called, nobody is any more. */
static int self_begin_again(struct spare_self *self, struct monitor_place *place)
{
	prctl(PR_SET_NAME, self->name);
	title_set(self, "--spare", self->hooks->engine(self->kind)->name);
	return at_home() ? monitor_prepare(self->hooks, self->kind, place) : -EXDEV;
}

int spare_wait(struct spare_self *self, struct monitor_place *place, struct err *e)
{
	struct wire_message *m;
	bool raised = false;
	int rc = 0;

	if (self->machines == 0)
		self_begin(self);
	m = malloc(sizeof(*m));
	if (!m)
		return err_sys(e, ENOMEM, "spare monitor");
	/* What the daemon was born with and did not open itself; and whatever a machine has left.
	 */
	close_range(SPARE_FD + 1, ~0u, 0);
	*place = (struct monitor_place){ .pty = PTY_NONE };
	if (self->machines > 0) {
		rc = self_begin_again(self, place);
	} else if (!self->hooks->engine(self->kind)->keeps_root) {
		rc = monitor_prepare(self->hooks, self->kind, place);
		place->walled = true;
		raised = walls_limit(e) == 0 && walls_raise(e) == 0;
	}
	if (rc == 0)
		rc = spare_serve(self, m, place);
	place->again = !place->walled && ++self->machines < MACHINES_MAX;
	/* Walls that could not be are tried again for the machine, which is told why. */
	place->walled = raised;
	if (!place->again)
		close(SPARE_FD);
	free(m);
	if (rc < 0)
		monitor_place_free(place);
	return rc;
}
