/* struct poker: see poker.h. */
#include "fs/poker.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "backends/base/thread.h"
#include "backends/host/spawn.h"

#define POKES_MAX 65536

enum poke_what { POKE_TOUCH, POKE_MAKE, POKE_REMOVE };

struct poke {
	TAILQ_ENTRY(poke) link;
	enum poke_what what;
	char path[];
};

/* What the helper is told, a message each: this byte, the whole path. It answers with a byte. */
struct told {
	char what;
	char path[PATH_MAX];
};

struct poker {
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t more;
	struct event *told; /* loop's timer: something has been put into the queue */
	TAILQ_HEAD(, poke) queue;
	unsigned queued;
	bool quit;
	char *mountpoint;
	pid_t helper; /* written by the thread; 0: there is none at present */
	int fd;	      /* the thread's: to the helper, or -1 */
};

static struct poke *poker_next(struct poker *p)
{
	struct poke *poke = NULL;

	pthread_mutex_lock(&p->lock);
	while (TAILQ_EMPTY(&p->queue) && !p->quit)
		pthread_cond_wait(&p->more, &p->lock);
	if (!p->quit) {
		poke = TAILQ_FIRST(&p->queue);
		TAILQ_REMOVE(&p->queue, poke, link);
		p->queued--;
	}
	pthread_mutex_unlock(&p->lock);
	return poke;
}

/* ---- the helper ---- */

static int poke_do(enum poke_what what, const char *path)
{
	/* UTIME_OMIT for the access time makes it IN_MODIFY; both times would be IN_ATTRIB. */
	static const struct timespec times[2] = { { .tv_nsec = UTIME_OMIT },
						  { .tv_nsec = UTIME_NOW } };

	switch (what) {
	case POKE_MAKE:
		return mkdir(path, 0700);
	case POKE_REMOVE:
		return rmdir(path);
	default:
		return utimensat(AT_FDCWD, path, times, AT_SYMLINK_NOFOLLOW);
	}
}

int poker_main(void)
{
	struct told t;

	/* It is born before the daemon lets go of what it was started with. */
	dup2(1, 2);
	close_range(POKER_FD + 1, ~0u, 0);
	for (;;) {
		ssize_t n = recv(POKER_FD, &t, sizeof(t), 0);

		if (n < 2)
			return n < 0 ? -errno : 0;
		t.path[n - 2] = '\0';
		/* The file may be gone meanwhile; then nobody watches it. */
		(void)!poke_do((enum poke_what)t.what, t.path);
		if (send(POKER_FD, "", 1, MSG_NOSIGNAL) < 0)
			return -errno;
	}
}

/* ---- the daemon's thread ---- */

static void poker_helper_end(struct poker *p)
{
	if (p->fd < 0)
		return;
	close(p->fd);
	p->fd = -1;
	waitpid(p->helper, NULL, 0);
	pthread_mutex_lock(&p->lock);
	p->helper = 0;
	pthread_mutex_unlock(&p->lock);
}

static int poker_helper_new(struct poker *p, struct err *e)
{
	char name[] = "machinefs-poker", option[] = "--poker";
	char *argv[] = { name, option, NULL };
	pid_t pid;
	int rc = spawn_self(argv, NULL, -1, POKER_FD, &pid, &p->fd, e);

	if (rc < 0)
		return rc;
	pthread_mutex_lock(&p->lock);
	p->helper = pid;
	pthread_mutex_unlock(&p->lock);
	return 0;
}

static bool poker_tell(struct poker *p, const struct told *t, size_t len)
{
	char done;

	return p->fd >= 0 && send(p->fd, t, len, MSG_NOSIGNAL) == (ssize_t)len &&
	       recv(p->fd, &done, 1, 0) == 1;
}

static void *poker_run(void *arg)
{
	struct poker *p = arg;
	struct poke *poke;

	while ((poke = poker_next(p))) {
		struct told t = { .what = (char)poke->what };
		/* By its whole name: an open descriptor would keep the mount busy. */
		int n = snprintf(t.path, sizeof(t.path), "%s/%s", p->mountpoint, poke->path);
		size_t len = offsetof(struct told, path) + (size_t)n + 1;

		/* One that somebody has killed may not have done what it was told. */
		if (n < PATH_MAX && !poker_tell(p, &t, len)) {
			poker_helper_end(p);
			if (poker_helper_new(p, NULL) == 0)
				poker_tell(p, &t, len);
		}
		free(poke);
	}
	return NULL;
}

static void poker_release(struct poker *p)
{
	if (p && p->told)
		event_free(p->told);
	if (p)
		free(p->mountpoint);
	free(p);
}

/*
 * A thread that wakes is given the CPU before the client that has just got its answer, and with the
 * helper and its requests it keeps it for a while. Watchers can wait for so long.
 */
static const struct timeval moment = { .tv_usec = 2000 };

static void on_told(evutil_socket_t fd, short what, void *arg)
{
	struct poker *p = arg;

	pthread_mutex_lock(&p->lock);
	pthread_cond_signal(&p->more);
	pthread_mutex_unlock(&p->lock);
}

int poker_new(const char *mountpoint, struct event_base *loop, struct poker **ret, struct err *e)
{
	struct poker *p = calloc(1, sizeof(*p));
	int rc;

	if (!p || !(p->mountpoint = strdup(mountpoint)) ||
	    !(p->told = evtimer_new(loop, on_told, p))) {
		poker_release(p);
		return err_sys(e, ENOMEM, "helper thread");
	}
	p->fd = -1;
	TAILQ_INIT(&p->queue);
	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->more, NULL);
	rc = poker_helper_new(p, e);
	if (rc < 0) {
		poker_release(p);
		return rc;
	}
	rc = thread_start(&p->thread, THREAD_STACK_USUAL, 0, poker_run, p);
	if (rc < 0) {
		poker_helper_end(p);
		poker_release(p);
		return err_sys(e, -rc, "helper thread");
	}
	*ret = p;
	return 0;
}

static void poker_add(struct poker *p, const char *path, enum poke_what what)
{
	size_t len = strlen(path) + 1;
	struct poke *poke;

	pthread_mutex_lock(&p->lock);
	TAILQ_FOREACH(poke, &p->queue, link)
	if (poke->what == what && !strcmp(poke->path, path))
		goto out;
	poke = p->queued < POKES_MAX ? malloc(sizeof(*poke) + len) : NULL;
	if (poke) {
		memcpy(poke->path, path, len);
		poke->what = what;
		TAILQ_INSERT_TAIL(&p->queue, poke, link);
		p->queued++;
		if (!event_pending(p->told, EV_TIMEOUT, NULL))
			event_add(p->told, &moment);
	}
out:
	pthread_mutex_unlock(&p->lock);
}

void poker_poke(struct poker *p, const char *path)
{
	poker_add(p, path, POKE_TOUCH);
}

void poker_make(struct poker *p, const char *path)
{
	poker_add(p, path, POKE_MAKE);
}

void poker_remove(struct poker *p, const char *path)
{
	poker_add(p, path, POKE_REMOVE);
}

pid_t poker_helper(struct poker *p)
{
	pid_t pid;

	pthread_mutex_lock(&p->lock);
	pid = p->helper;
	pthread_mutex_unlock(&p->lock);
	return pid;
}

void poker_free(struct poker *p)
{
	struct poke *poke;

	if (!p)
		return;
	pthread_mutex_lock(&p->lock);
	p->quit = true;
	pthread_cond_signal(&p->more);
	pthread_mutex_unlock(&p->lock);
	pthread_join(p->thread, NULL);
	poker_helper_end(p);
	while ((poke = TAILQ_FIRST(&p->queue))) {
		TAILQ_REMOVE(&p->queue, poke, link);
		free(poke);
	}
	poker_release(p);
}
