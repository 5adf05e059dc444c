/* A regular file or block device as a disk: see block.h. */
#include "backends/block/block.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backends/block/block_io.h"

#define BOUNCE_MAX  ((size_t)32 << 20)
#define ZEROES	    ((size_t)64 << 10) /* written at once where the image cannot zero by itself */
#define MEMORY_LINE 512		       /* alignment that O_DIRECT wants of memory at most */

struct block_raw {
	struct block block;
	struct block_io *io;
	int fd;
	enum disk_cache cache;
	bool device;  /* a block device, else a regular file */
	bool no_zero; /* fallocate() cannot zero here: zeroes are written */
	void *zeroes;
};

static struct block_raw *raw_of(struct block *b)
{
	return (struct block_raw *)((char *)b - offsetof(struct block_raw, block));
}

/* ---- calls for a request; raw_ended() takes their results ---- */

/* What was read into aligned memory goes to where it was wanted. */
static int raw_unbounce(const struct block_request *r)
{
	const struct block *b = r->block;
	const char *from = r->bounce;

	for (unsigned i = 0; i < r->niov; i++) {
		if (b->has && !b->has(b->arg, r->iov[i].iov_base, r->iov[i].iov_len))
			return -EFAULT;
		memcpy(r->iov[i].iov_base, from, r->iov[i].iov_len);
		from += r->iov[i].iov_len;
	}
	return 0;
}

static void raw_end(struct block_request *r, int result)
{
	if (r->bounce && r->op == BLOCK_READ && result == 0)
		result = raw_unbounce(r);
	free(r->bounce);
	r->bounce = NULL;
	r->done(r, result);
}

/* Moves what is left of a read or write. */
static void raw_move(struct block_raw *raw, struct block_request *r)
{
	struct block_io_call c = { .call = r->op == BLOCK_READ ? BLOCK_CALL_READV
							       : BLOCK_CALL_WRITEV,
				   .iov = r->bounce ? &r->bounce_iov : r->iov,
				   .niov = r->bounce ? 1 : r->niov,
				   .offset = r->offset + r->moved };

	raw->io->ops->start(raw->io, r, &c);
}

static bool iov_aligned(const struct block_request *r, unsigned align)
{
	for (unsigned i = 0; i < r->niov; i++)
		if ((uintptr_t)r->iov[i].iov_base % MEMORY_LINE || r->iov[i].iov_len % align)
			return false;
	return true;
}

/* O_DIRECT wants aligned memory: what is not goes through some that is. */
static int raw_bounce(struct block_request *r)
{
	char *to;

	if (r->len > BOUNCE_MAX || posix_memalign(&r->bounce, 4096, r->len))
		return -EIO;
	r->bounce_iov = (struct iovec){ r->bounce, r->len };
	to = r->bounce;
	for (unsigned i = 0; r->op == BLOCK_WRITE && i < r->niov; i++) {
		memcpy(to, r->iov[i].iov_base, r->iov[i].iov_len);
		to += r->iov[i].iov_len;
	}
	return 0;
}

static void raw_zero_by_writing(struct block_raw *raw, struct block_request *r)
{
	uint64_t left = r->len - r->moved;
	struct block_io_call c = { .call = BLOCK_CALL_WRITEV,
				   .iov = &r->bounce_iov,
				   .niov = 1,
				   .offset = r->offset + r->moved };

	if (!raw->zeroes && posix_memalign(&raw->zeroes, 4096, ZEROES) == 0)
		memset(raw->zeroes, 0, ZEROES);
	if (!raw->zeroes) {
		raw_end(r, -EIO);
		return;
	}
	r->by_writing = true;
	r->bounce_iov = (struct iovec){ raw->zeroes, left < ZEROES ? left : ZEROES };
	raw->io->ops->start(raw->io, r, &c);
}

static void raw_fallocate(struct block_raw *raw, struct block_request *r)
{
	struct block_io_call c = { .call = BLOCK_CALL_FALLOCATE,
				   .offset = r->offset,
				   .len = r->len,
				   .mode = FALLOC_FL_KEEP_SIZE };

	// A hole reads as zeroes; without leave to unmap they stay allocated.
	c.mode |= r->op == BLOCK_DISCARD || r->unmap ? FALLOC_FL_PUNCH_HOLE : FALLOC_FL_ZERO_RANGE;
	raw->io->ops->start(raw->io, r, &c);
}

static void raw_submit(struct block *b, struct block_request *r)
{
	struct block_raw *raw = raw_of(b);
	int bounced = 0;

	r->block = b;
	r->moved = 0;
	r->bounce = NULL;
	r->by_writing = false;
	switch (r->op) {
	case BLOCK_READ:
	case BLOCK_WRITE:
		if (raw->cache == DISK_NONE && !iov_aligned(r, b->align))
			bounced = raw_bounce(r);
		if (bounced < 0)
			raw_end(r, bounced);
		else
			raw_move(raw, r);
		break;
	case BLOCK_FLUSH:
		if (raw->cache == DISK_UNSAFE)
			raw_end(r, 0);
		else
			raw->io->ops->start(raw->io, r,
					    &(struct block_io_call){ .call = BLOCK_CALL_SYNC });
		break;
	case BLOCK_ZERO:
		if (raw->no_zero) {
			raw_zero_by_writing(raw, r);
			break;
		}
		// fall through
	case BLOCK_DISCARD:
		raw_fallocate(raw, r);
		break;
	}
}

/* So many bytes of an iov are done: what is left stands at its beginning. */
static void iov_skip(struct iovec **iov, unsigned *niov, size_t n)
{
	while (*niov && n >= (*iov)->iov_len) {
		n -= (*iov)->iov_len;
		(*iov)++;
		(*niov)--;
	}
	if (*niov) {
		(*iov)->iov_base = (char *)(*iov)->iov_base + n;
		(*iov)->iov_len -= n;
	}
}

static void raw_moved(struct block_raw *raw, struct block_request *r, size_t n)
{
	if (n == 0) { // a read at the end of a file that has shrunk, or a write that went nowhere
		raw_end(r, -EIO);
		return;
	}
	r->moved += n;
	if (r->moved >= r->len) {
		raw_end(r, 0);
		return;
	}
	if (r->op == BLOCK_ZERO) {
		raw_zero_by_writing(raw, r);
		return;
	}
	if (r->bounce) {
		r->bounce_iov.iov_base = (char *)r->bounce_iov.iov_base + n;
		r->bounce_iov.iov_len -= n;
	} else {
		iov_skip(&r->iov, &r->niov, n);
	}
	raw_move(raw, r);
}

static void raw_ended(struct block_request *r, int64_t result)
{
	struct block_raw *raw = raw_of(r->block);
	bool moves = r->op == BLOCK_READ || r->op == BLOCK_WRITE;

	if (r->op == BLOCK_ZERO && !r->by_writing &&
	    (result == -EOPNOTSUPP || result == -EINVAL || result == -ENODEV)) {
		raw->no_zero = true;
		raw_zero_by_writing(raw, r);
	} else if (result == -EINTR && moves) {
		raw_move(raw, r);
	} else if (result < 0) {
		raw_end(r, (int)result);
	} else if (moves || r->by_writing) {
		raw_moved(raw, r, (size_t)result);
	} else {
		raw_end(r, 0);
	}
}

static void raw_rounded(void *arg)
{
	struct block *b = arg;

	if (b->rounded)
		b->rounded(b->arg);
}

static void raw_commit(struct block *b)
{
	struct block_raw *raw = raw_of(b);

	raw->io->ops->commit(raw->io);
}

static void raw_wait(struct block *b, int ms)
{
	struct block_raw *raw = raw_of(b);

	raw->io->ops->wait(raw->io, ms);
}

/* ---- the image ---- */

static int raw_measure(struct block_raw *raw, uint64_t *ret, struct err *e)
{
	struct stat st;

	if (fstat(raw->fd, &st) < 0)
		return err_sys(e, errno, "the image");
	if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
		return err_set(e, -EINVAL, "neither a regular file nor a block device");
	raw->device = S_ISBLK(st.st_mode);
	*ret = (uint64_t)st.st_size;
	if (raw->device && ioctl(raw->fd, BLKGETSIZE64, ret) < 0)
		return err_sys(e, errno, "the block device");
	return 0;
}

static int raw_resize(struct block *b, uint64_t size, struct err *e)
{
	struct block_raw *raw = raw_of(b);
	uint64_t now;
	int r = raw_measure(raw, &now, e);

	if (r < 0)
		return r;
	if (size > now) {
		if (raw->device)
			return err_set(e, -EINVAL, "the block device has only %llu bytes",
				       (unsigned long long)now);
		if (b->readonly)
			return err_set(e, -EINVAL, "it is read only");
		if (ftruncate(raw->fd, (off_t)size) < 0)
			return err_sys(e, errno, "the image cannot grow");
		now = size;
	}
	b->size = now;
	return 0;
}

static void raw_free(struct block *b)
{
	struct block_raw *raw = raw_of(b);

	if (raw->io)
		raw->io->ops->free(raw->io);
	if (raw->fd >= 0)
		close(raw->fd);
	free(raw->zeroes);
	free(raw);
}

static const struct block_ops raw_ops = {
	.name = "raw",
	.submit = raw_submit,
	.commit = raw_commit,
	.wait = raw_wait,
	.resize = raw_resize,
	.free = raw_free,
};

/* O_DIRECT on a descriptor that others opened, and what it wants: found out by reading. */
static int raw_set_direct(struct block_raw *raw, struct err *e)
{
	void *page;
	int flags = fcntl(raw->fd, F_GETFL);

	if (fcntl(raw->fd, F_SETFL, flags | O_DIRECT) < 0)
		return err_set(e, -ENXIO,
			       "this file system has no O_DIRECT, which cache none needs");
	if (posix_memalign(&page, 4096, 4096))
		return err_sys(e, ENOMEM, "the image");
	if (raw->block.size >= 4096 && pread(raw->fd, page, 512, 0) < 0 && errno == EINVAL)
		raw->block.align = 4096;
	free(page);
	return 0;
}

int block_raw_new(int fd, const struct block_options *options, struct event_base *loop,
		  struct block **ret, struct err *e)
{
	struct block_raw *raw = calloc(1, sizeof(*raw));
	int r;

	if (!raw) {
		close(fd);
		return err_sys(e, ENOMEM, "the image");
	}
	raw->block.ops = &raw_ops;
	raw->fd = fd;
	raw->cache = options->cache;
	raw->block.align = 512;
	raw->block.readonly = options->readonly;
	raw->block.discard = options->discard && !options->readonly;
	r = raw_measure(raw, &raw->block.size, e);
	if (r == 0 && options->cache == DISK_NONE)
		r = raw_set_direct(raw, e);
	if (r == 0 && block_uring_new(fd, loop, &raw->io, NULL) < 0)
		r = block_threads_new(fd, loop, &raw->io, e);
	if (r < 0) {
		raw_free(&raw->block);
		return r;
	}
	raw->io->ended = raw_ended;
	raw->io->rounded = raw_rounded;
	raw->io->arg = &raw->block;
	*ret = &raw->block;
	return 0;
}
