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

#include "backends/base/rmtree.h"
#include "backends/host/spawn.h"
#include "backends/image/importer.h"
#include "fs/daemon.h"

#define IMPORTERS_MAX 32

struct importer {
	LIST_ENTRY(importer) link;
	pid_t pid;
	int pidfd, fd;
	struct event *ended;
	importer_done *done; /* NULL: nobody wants to know */
	void *arg;
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

/* Takes the answer out of the socket, in which it waits. */
static void importer_tell(struct importer *i, int status)
{
	struct wire_message *m = malloc(sizeof(*m));
	struct wire_imported *answer = m ? (struct wire_imported *)m->body : NULL;
	struct err e = { 0 };

	if (m && wire_recv(i->fd, WIRE_IMPORTER, m) == 1) {
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
	if (i->done)
		importer_tell(i, status);
	importer_free(i);
}

static int importer_spawn(struct importer *i, struct err *e)
{
	char name[] = "machinefs-importer", option[] = "--importer";
	char *argv[] = { name, option, NULL };

	return spawn_self(argv, -1, IMPORTER_FD, &i->pid, &i->fd, e);
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
	n++;
	return n < IMPORTERS_MAX ? 0 : err_set(e, -EBUSY, "import: %d are under way already", n);
}

int importer_start(struct daemon *d, const struct wire_import *task, const int *fds, int nfds,
		   importer_done *done, void *arg, struct importer **ret, struct err *e)
{
	struct importer *i = calloc(1, sizeof(*i));
	int rc = i ? importer_admit(d, e) : err_sys(e, ENOMEM, "import");

	if (rc < 0) {
		free(i);
		return rc;
	}
	*i = (struct importer){ .pidfd = -1, .fd = -1, .done = done, .arg = arg };
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
	if (ret)
		*ret = i;
	return 0;
}

void importer_kill(struct importer *i)
{
	kill(i->pid, SIGKILL);
}

void importer_remove(struct daemon *d, int dirfd, const char *name)
{
	struct wire_import task = { .task = IMPORT_REMOVE };

	snprintf(task.name, sizeof(task.name), "%s", name);
	/* Else by ourselves; and what is left is swept at the next start. */
	if (importer_start(d, &task, &dirfd, 1, NULL, NULL, NULL, NULL) < 0)
		rmtree(dirfd, name);
}

void importers_free(struct daemon *d)
{
	struct importer *i;

	while ((i = LIST_FIRST(&d->importers))) {
		LIST_REMOVE(i, link);
		kill(i->pid, SIGKILL);
		waitpid(i->pid, NULL, 0);
		importer_free(i);
	}
}
