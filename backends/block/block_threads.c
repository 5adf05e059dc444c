/*
 * struct block_io by threads: see block_io.h. For hosts that do not allow io_uring. The threads
 * are started with the first call and take calls from one list; what has ended waits in another
 * for the loop.
 */
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "backends/block/block_io.h"

#include "backends/base/thread.h"

#define THREADS 4

struct call {
	struct block_request *r;
	struct block_io_call c;
	int64_t result;
	struct call *next;
};

struct calls { /* first in, first out */
	struct call *first, **last;
};

struct block_threads {
	struct block_io io;
	int fd; /* the image */
	int event_fd;
	struct event *event;
	unsigned nthreads;
	pthread_t threads[THREADS];
	pthread_mutex_t lock; /* all below */
	pthread_cond_t more;
	bool quit;
	unsigned started; /* calls not yet reaped */
	struct calls todo, ended;
};

static struct block_threads *threads_of(struct block_io *io)
{
	return (struct block_threads *)((char *)io - offsetof(struct block_threads, io));
}

static void calls_put(struct calls *l, struct call *c)
{
	c->next = NULL;
	*l->last = c;
	l->last = &c->next;
}

static struct call *calls_take(struct calls *l)
{
	struct call *c = l->first;

	if (c)
		l->first = c->next;
	if (!l->first)
		l->last = &l->first;
	return c;
}

static int64_t call_do(int fd, const struct block_io_call *c)
{
	int64_t n = -1;

	switch (c->call) {
	case BLOCK_CALL_READV:
		n = preadv(fd, c->iov, (int)c->niov, (off_t)c->offset);
		break;
	case BLOCK_CALL_WRITEV:
		n = pwritev(fd, c->iov, (int)c->niov, (off_t)c->offset);
		break;
	case BLOCK_CALL_SYNC:
		n = fdatasync(fd);
		break;
	case BLOCK_CALL_FALLOCATE:
		n = fallocate(fd, c->mode, (off_t)c->offset, (off_t)c->len);
		break;
	}
	return n < 0 ? -errno : n;
}

static void *threads_main(void *arg)
{
	struct block_threads *t = arg;
	const uint64_t one = 1;
	struct call *c;

	pthread_mutex_lock(&t->lock);
	while (!t->quit) {
		c = calls_take(&t->todo);
		if (!c) {
			pthread_cond_wait(&t->more, &t->lock);
			continue;
		}
		pthread_mutex_unlock(&t->lock);
		c->result = call_do(t->fd, &c->c);
		pthread_mutex_lock(&t->lock);
		calls_put(&t->ended, c);
		(void)!write(t->event_fd, &one, sizeof(one));
	}
	pthread_mutex_unlock(&t->lock);
	return NULL;
}

/* One more thread, as long as there are few; fewer than wanted are only slower. */
static void threads_grow(struct block_threads *t)
{
	if (t->nthreads < THREADS &&
	    thread_start(&t->threads[t->nthreads], THREAD_STACK_SMALL, 0, threads_main, t) == 0)
		t->nthreads++;
}

static void threads_start(struct block_io *io, struct block_request *r,
			  const struct block_io_call *c)
{
	struct block_threads *t = threads_of(io);
	struct call *call = malloc(sizeof(*call));

	threads_grow(t);
	if (!call || t->nthreads == 0) {
		free(call);
		io->ended(r, -EIO);
		return;
	}
	*call = (struct call){ .r = r, .c = *c };
	pthread_mutex_lock(&t->lock);
	t->started++;
	calls_put(&t->todo, call);
	pthread_cond_signal(&t->more);
	pthread_mutex_unlock(&t->lock);
}

static void threads_commit(struct block_io *io)
{
}

static void threads_reap(struct block_threads *t)
{
	struct call *c;
	bool any = false;

	for (;;) {
		pthread_mutex_lock(&t->lock);
		c = calls_take(&t->ended);
		t->started -= c != NULL;
		pthread_mutex_unlock(&t->lock);
		if (!c)
			break;
		any = true;
		t->io.ended(c->r, c->result);
		free(c);
	}
	if (any)
		t->io.rounded(t->io.arg);
}

static void threads_signalled(int fd, short what, void *arg)
{
	uint64_t count;

	(void)!read(fd, &count, sizeof(count));
	threads_reap(arg);
}

static void threads_wait(struct block_io *io, int ms)
{
	struct block_threads *t = threads_of(io);
	struct pollfd p = { .fd = t->event_fd, .events = POLLIN };
	bool waits;

	pthread_mutex_lock(&t->lock);
	waits = t->started && !t->ended.first;
	pthread_mutex_unlock(&t->lock);
	if (waits && poll(&p, 1, ms) > 0)
		threads_signalled(t->event_fd, 0, t);
	else
		threads_reap(t);
}

static void threads_free(struct block_io *io)
{
	struct block_threads *t = threads_of(io);

	pthread_mutex_lock(&t->lock);
	t->quit = true;
	pthread_cond_broadcast(&t->more);
	pthread_mutex_unlock(&t->lock);
	for (unsigned i = 0; i < t->nthreads; i++)
		pthread_join(t->threads[i], NULL);
	if (t->event)
		event_free(t->event);
	if (t->event_fd >= 0)
		close(t->event_fd);
	pthread_cond_destroy(&t->more);
	pthread_mutex_destroy(&t->lock);
	free(t);
}

static const struct block_io_ops threads_ops = {
	.name = "threads",
	.start = threads_start,
	.commit = threads_commit,
	.wait = threads_wait,
	.free = threads_free,
};

int block_threads_new(int fd, struct event_base *loop, struct block_io **ret, struct err *e)
{
	struct block_threads *t = calloc(1, sizeof(*t));

	if (!t)
		return err_sys(e, ENOMEM, "threads for a disk");
	t->io.ops = &threads_ops;
	t->fd = fd;
	t->todo.last = &t->todo.first;
	t->ended.last = &t->ended.first;
	pthread_mutex_init(&t->lock, NULL);
	pthread_cond_init(&t->more, NULL);
	t->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (t->event_fd >= 0)
		t->event = event_new(loop, t->event_fd, EV_READ | EV_PERSIST, threads_signalled, t);
	if (!t->event || event_add(t->event, NULL) < 0) {
		threads_free(&t->io);
		return err_sys(e, ENOMEM, "threads for a disk");
	}
	*ret = &t->io;
	return 0;
}
