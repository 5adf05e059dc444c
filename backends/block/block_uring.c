/* struct block_io by io_uring: see block_io.h. Completions signal an eventfd that is on the loop.
 */
#include <errno.h>
#include <event2/event.h>
#include <liburing.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "backends/block/block_io.h"

struct block_uring {
	struct block_io io;
	struct io_uring ring;
	bool ring_made;
	int fd; /* the image */
	int event_fd;
	struct event *event;
	unsigned started;
};

static struct block_uring *uring_of(struct block_io *io)
{
	return (struct block_uring *)((char *)io - offsetof(struct block_uring, io));
}

static void uring_start(struct block_io *io, struct block_request *r, const struct block_io_call *c)
{
	struct block_uring *u = uring_of(io);
	struct io_uring_sqe *sqe = io_uring_get_sqe(&u->ring);

	if (!sqe) { // the queue is as deep as calls there may be: what is in it only waits
		io_uring_submit(&u->ring);
		sqe = io_uring_get_sqe(&u->ring);
	}
	if (!sqe) {
		io->ended(r, -EIO);
		return;
	}
	switch (c->call) {
	case BLOCK_CALL_READV:
		io_uring_prep_readv(sqe, u->fd, c->iov, c->niov, c->offset);
		break;
	case BLOCK_CALL_WRITEV:
		io_uring_prep_writev(sqe, u->fd, c->iov, c->niov, c->offset);
		break;
	case BLOCK_CALL_SYNC:
		io_uring_prep_fsync(sqe, u->fd, IORING_FSYNC_DATASYNC);
		break;
	case BLOCK_CALL_FALLOCATE:
		io_uring_prep_fallocate(sqe, u->fd, c->mode, (off_t)c->offset, (off_t)c->len);
		break;
	}
	io_uring_sqe_set_data(sqe, r);
	u->started++;
}

/* Calls ended() for everything that has ended; whether anything had. */
static bool uring_reap(struct block_uring *u)
{
	struct io_uring_cqe *cqe;
	bool any = false;

	while (io_uring_peek_cqe(&u->ring, &cqe) == 0) {
		struct block_request *r = io_uring_cqe_get_data(cqe);
		int result = cqe->res;

		io_uring_cqe_seen(&u->ring, cqe);
		u->started--;
		any = true;
		u->io.ended(r, result);
	}
	return any;
}

/*
 * What the page cache has, ends within the call: it is taken at once, and not only when the loop
 * finds the eventfd. What ended() starts goes out with another call.
 */
static void uring_commit(struct block_io *io)
{
	struct block_uring *u = uring_of(io);
	const uint64_t one = 1;
	bool any = false;

	while (io_uring_sq_ready(&u->ring)) {
		if (io_uring_submit(&u->ring) < 0) {
			// The kernel is short of something: again, after what else is on the loop.
			(void)!write(u->event_fd, &one, sizeof(one));
			break;
		}
		any |= uring_reap(u);
	}
	if (any)
		io->rounded(io->arg);
}

static void uring_round(struct block_uring *u)
{
	if (uring_reap(u))
		u->io.rounded(u->io.arg);
	uring_commit(&u->io);
}

static void uring_signalled(int fd, short what, void *arg)
{
	uint64_t count;

	(void)!read(fd, &count, sizeof(count));
	uring_round(arg);
}

static void uring_wait(struct block_io *io, int ms)
{
	struct block_uring *u = uring_of(io);
	struct __kernel_timespec ts = { .tv_sec = ms / 1000,
					.tv_nsec = (long long)(ms % 1000) * 1000000 };
	struct io_uring_cqe *cqe;

	uring_commit(io);
	if (u->started)
		(void)io_uring_wait_cqe_timeout(&u->ring, &cqe, &ts);
	uring_round(u);
}

static void uring_free(struct block_io *io)
{
	struct block_uring *u = uring_of(io);

	if (u->event)
		event_free(u->event);
	if (u->event_fd >= 0)
		close(u->event_fd);
	if (u->ring_made)
		io_uring_queue_exit(&u->ring);
	free(u);
}

static const struct block_io_ops uring_ops = {
	.name = "io_uring",
	.start = uring_start,
	.commit = uring_commit,
	.wait = uring_wait,
	.free = uring_free,
};

static bool uring_can(struct io_uring *ring)
{
	struct io_uring_probe *p = io_uring_get_probe_ring(ring);
	bool can = p && io_uring_opcode_supported(p, IORING_OP_READV) &&
		   io_uring_opcode_supported(p, IORING_OP_WRITEV) &&
		   io_uring_opcode_supported(p, IORING_OP_FSYNC) &&
		   io_uring_opcode_supported(p, IORING_OP_FALLOCATE);

	io_uring_free_probe(p);
	return can;
}

int block_uring_new(int fd, struct event_base *loop, struct block_io **ret, struct err *e)
{
	struct block_uring *u = calloc(1, sizeof(*u));
	int r;

	if (!u)
		return err_sys(e, ENOMEM, "io_uring");
	u->io.ops = &uring_ops;
	u->fd = fd;
	u->event_fd = -1;
	r = io_uring_queue_init(BLOCK_IO_DEPTH, &u->ring, 0);
	u->ring_made = r == 0;
	if (r == 0 && !uring_can(&u->ring))
		r = -ENOSYS;
	if (r == 0) {
		u->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		r = u->event_fd < 0 ? -errno : io_uring_register_eventfd(&u->ring, u->event_fd);
	}
	if (r == 0) {
		u->event = event_new(loop, u->event_fd, EV_READ | EV_PERSIST, uring_signalled, u);
		r = u->event && event_add(u->event, NULL) == 0 ? 0 : -ENOMEM;
	}
	if (r < 0) {
		uring_free(&u->io);
		return err_sys(e, -r, "io_uring");
	}
	*ret = &u->io;
	return 0;
}
