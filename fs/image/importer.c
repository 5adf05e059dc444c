/* struct importer: see importer.h. */
#include "fs/image/importer.h"

#include <errno.h>
#include <event2/event.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "backends/host/spawn.h"
#include "backends/image/importer.h"
#include "fs/daemon.h"

#define IMPORTERS_MAX 32

struct importer {
	LIST_ENTRY(importer) link;
	pid_t pid;
	int pidfd, fd;
	struct event *ended;
	bool removes; /* a directory, and nobody waits for that */
	importer_done *done;
	void *arg;
};

struct removal {
	STAILQ_ENTRY(removal) link;
	int dirfd; /* the daemon's */
	char name[64];
};

static void importer_free(struct importer *i)
{
	if (!i)
		return;
	if (i->ended)
		event_free(i->ended);
	if (i->pidfd >= 0)
		close(i->pidfd);
	if (i->fd >= 0)
		close(i->fd);
	free(i);
}

static void say_how(int status, struct err *e)
{
	if (WIFSIGNALED(status))
		err_set(e, -EIO, "import: the importer was killed by signal %d", WTERMSIG(status));
	else
		err_set(e, -EIO, "import: the importer has ended without a word");
}

/* Takes the answer out of the socket, in which it waits. Who has read an archive is a stranger. */
static void importer_tell(struct importer *i, int status)
{
	struct wire_message *m = malloc(sizeof(*m));
	struct wire_imported *answer = m ? (struct wire_imported *)m->body : NULL;
	struct err e = { 0 };

	if (m && wire_recv_few(i->fd, WIRE_IMPORTER, 0, m) == 1) {
		answer->reply.text[sizeof(answer->reply.text) - 1] = '\0';
		answer->digest[sizeof(answer->digest) - 1] = '\0';
		answer->tree[sizeof(answer->tree) - 1] = '\0';
		if (answer->reply.code)
			err_set(&e, -err_public(abs(answer->reply.code)), "%s", answer->reply.text);
		i->done(i->arg, answer, m->body + sizeof(*answer), &e);
	} else {
		say_how(status, &e);
		i->done(i->arg, NULL, "", &e);
	}
	free(m);
}

static void on_ended(evutil_socket_t fd, short what, void *arg)
{
	struct importer *i = arg;
	int status = 0;

	waitpid(i->pid, &status, 0);
	LIST_REMOVE(i, link);
	importer_tell(i, status);
	importer_free(i);
}

static int importer_spawn(struct importer *i, struct err *e)
{
	char name[] = "machinefs-importer", option[] = "--importer";
	char *argv[] = { name, option, NULL };

	return spawn_self(argv, NULL, -1, IMPORTER_FD, &i->pid, &i->fd, e);
}

static int importer_watch(struct importer *i, struct daemon *d, struct err *e)
{
	i->pidfd = (int)syscall(SYS_pidfd_open, i->pid, 0);
	if (i->pidfd < 0)
		return err_sys(e, errno, "import");
	i->ended = event_new(d->loop, i->pidfd, EV_READ, on_ended, i);
	return !i->ended || event_add(i->ended, NULL) < 0 ? err_sys(e, ENOMEM, "import") : 0;
}

static int importer_admit(const struct daemon *d, struct err *e)
{
	const struct importer *i;
	int n = 0;

	LIST_FOREACH(i, &d->importers, link)
	n += !i->removes;
	return n < IMPORTERS_MAX ? 0 : err_set(e, -EBUSY, "import: %d are under way already", n);
}

static int importer_run(struct daemon *d, const struct wire_import *task, const int *fds, int nfds,
			importer_done *done, void *arg, struct importer **ret, struct err *e)
{
	struct importer *i = calloc(1, sizeof(*i));
	int rc;

	if (!i)
		return err_sys(e, ENOMEM, "import");
	*i = (struct importer){ .pidfd = -1, .fd = -1, .done = done, .arg = arg };
	i->removes = task->task == IMPORT_REMOVE;
	rc = importer_spawn(i, e);
	if (rc == 0)
		rc = importer_watch(i, d, e);
	if (rc == 0 &&
	    wire_send(i->fd, WIRE_IMPORT, 1, task, sizeof(*task), NULL, 0, fds, nfds) < 0)
		rc = err_set(e, -EIO, "import: the importer does not listen");
	if (rc < 0) {
		if (i->pid > 0) {
			kill(i->pid, SIGKILL);
			waitpid(i->pid, NULL, 0);
		}
		importer_free(i);
		return rc;
	}
	LIST_INSERT_HEAD(&d->importers, i, link);
	*ret = i;
	return 0;
}

int importer_start(struct daemon *d, const struct wire_import *task, const int *fds, int nfds,
		   importer_done *done, void *arg, struct importer **ret, struct err *e)
{
	int rc = importer_admit(d, e);

	return rc < 0 ? rc : importer_run(d, task, fds, nfds, done, arg, ret, e);
}

void importer_kill(struct importer *i)
{
	kill(i->pid, SIGKILL);
}

/* ---- directories that nobody sees any more ---- */

static void removals_go(struct daemon *d);

static bool removing(const struct daemon *d)
{
	const struct importer *i = LIST_FIRST(&d->importers);

	while (i && !i->removes)
		i = LIST_NEXT(i, link);
	return i;
}

static void on_removed(void *arg, const struct wire_imported *answer, const char *run,
		       const struct err *why)
{
	removals_go(arg);
}

/* Where no process can be had, the next removal tries again. */
static void removals_go(struct daemon *d)
{
	struct wire_import task = { .task = IMPORT_REMOVE };
	struct removal *first = STAILQ_FIRST(&d->removals);
	struct importer *i;

	if (!first || removing(d))
		return;
	snprintf(task.name, sizeof(task.name), "%s", first->name);
	if (importer_run(d, &task, &first->dirfd, 1, on_removed, d, &i, NULL) < 0)
		return;
	STAILQ_REMOVE_HEAD(&d->removals, link);
	free(first);
}

void importer_remove(struct daemon *d, int dirfd, const char *name)
{
	struct removal *r = calloc(1, sizeof(*r));

	if (!r)
		return;
	r->dirfd = dirfd;
	snprintf(r->name, sizeof(r->name), "%s", name);
	STAILQ_INSERT_TAIL(&d->removals, r, link);
	removals_go(d);
}

void importers_free(struct daemon *d)
{
	struct importer *i;
	struct removal *r;

	while ((r = STAILQ_FIRST(&d->removals))) {
		STAILQ_REMOVE_HEAD(&d->removals, link);
		free(r);
	}
	while ((i = LIST_FIRST(&d->importers))) {
		LIST_REMOVE(i, link);
		kill(i->pid, SIGKILL);
		waitpid(i->pid, NULL, 0);
		importer_free(i);
	}
}
