/* struct poker: see poker.h. */
#include "fs/poker.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/stat.h>
#include <unistd.h>

#define POKES_MAX 65536

enum poke_what { POKE_TOUCH, POKE_MAKE, POKE_REMOVE };

struct poke {
	TAILQ_ENTRY(poke) link;
	enum poke_what what;
	char path[];
};

struct poker {
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t more;
	TAILQ_HEAD(, poke) queue;
	unsigned queued;
	bool quit;
	pid_t tid;
	char *mountpoint;
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

static void *poker_run(void *arg)
{
	struct poker *p = arg;
	struct poke *poke;

	pthread_mutex_lock(&p->lock);
	p->tid = gettid();
	pthread_mutex_unlock(&p->lock);
	while ((poke = poker_next(p))) {
		char path[PATH_MAX];

		/*
		 * By its whole name: an open descriptor would keep the mount busy. The file may be
		 * gone meanwhile; then nobody watches it.
		 */
		if (snprintf(path, sizeof(path), "%s/%s", p->mountpoint, poke->path) < PATH_MAX)
			poke_do(poke->what, path);
		free(poke);
	}
	return NULL;
}

int poker_new(const char *mountpoint, struct poker **ret, struct err *e)
{
	struct poker *p = calloc(1, sizeof(*p));
	sigset_t all, old;
	int rc;

	if (!p || !(p->mountpoint = strdup(mountpoint))) {
		free(p);
		return err_sys(e, ENOMEM, "helper thread");
	}
	TAILQ_INIT(&p->queue);
	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->more, NULL);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	rc = pthread_create(&p->thread, NULL, poker_run, p);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (rc) {
		free(p->mountpoint);
		free(p);
		return err_sys(e, rc, "helper thread");
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
		pthread_cond_signal(&p->more);
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

pid_t poker_thread(struct poker *p)
{
	pid_t tid;

	pthread_mutex_lock(&p->lock);
	tid = p->tid;
	pthread_mutex_unlock(&p->lock);
	return tid;
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
	while ((poke = TAILQ_FIRST(&p->queue))) {
		TAILQ_REMOVE(&p->queue, poke, link);
		free(poke);
	}
	free(p->mountpoint);
	free(p);
}
