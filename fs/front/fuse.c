/* The FUSE front: see fuse.h. Each operation is a few lines around the node layer's. */
#include "fs/front/fuse_priv.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "fs/log.h"

#define LOOK_NS	  30000	  /* how long it looks for the next message before it sleeps */
#define LIVELY_NS 150000  /* a message that comes so soon after the last is worth a look */
#define PASS_MAX  31	  /* wake-ups without a look after looks in vain */
#define TURN_NS	  2000000 /* how long messages are served before others in the loop are */

#define READ_FAILURES 16 /* one after the other, until the daemon ends */

/* ---- operations ---- */

static void op_init(void *userdata, struct fuse_conn_info *conn)
{
	conn->want |= conn->capable & FUSE_CAP_EXPORT_SUPPORT;
	conn->want &=
		~(unsigned)(FUSE_CAP_SPLICE_READ | FUSE_CAP_SPLICE_WRITE | FUSE_CAP_SPLICE_MOVE);
}

static const struct fuse_lowlevel_ops front_ops = {
	.init = op_init,
	.lookup = op_lookup,
	.forget = op_forget,
	.forget_multi = op_forget_multi,
	.getattr = op_getattr,
	.setattr = op_setattr,
	.readlink = op_readlink,
	.mknod = op_mknod,
	.mkdir = op_mkdir,
	.unlink = op_unlink,
	.rmdir = op_rmdir,
	.symlink = op_symlink,
	.rename = op_rename,
	.link = op_link,
	.open = op_open,
	.read = op_read,
	.write = op_write,
	.flush = op_flush,
	.release = op_release,
	.fsync = op_fsync,
	.readdir = op_readdir,
	.readdirplus = op_readdirplus,
	.create = op_create,
	.opendir = op_opendir,
	.poll = op_poll,
};

/* ---- what the node layer asks of its front ---- */

static void poll_wake(void *poll)
{
	fuse_lowlevel_notify_poll(poll);
}

static void poll_free(void *poll)
{
	fuse_pollhandle_destroy(poll);
}

/* Attributes only, which takes no lock that a request of ours could be waiting under. */
static void invalidate(const struct front *front, uint64_t ino)
{
	fuse_lowlevel_notify_inval_inode(((const struct fuse_front *)front)->session, ino, -1, 0);
}

/* ---- messages ---- */

/* The connection's first message tells what kernel this is: whoever takes over must know it. */
static ssize_t session_read(int fd, void *buf, size_t len, void *userdata)
{
	struct fuse_front *f = userdata;
	ssize_t n = read(fd, buf, len);
	const struct fuse_in_header *in = buf;
	struct journal_page *page = f->journal->page;

	if (n >= (ssize_t)sizeof(*in) && in->opcode == FUSE_INIT &&
	    (size_t)n <= sizeof(page->opening)) {
		memcpy(page->opening, buf, (size_t)n);
		page->opening_len = (uint32_t)n;
	}
	return n;
}

static ssize_t session_writev(int fd, struct iovec *iov, int count, void *userdata)
{
	const struct fuse_front *f = userdata;
	const struct fuse_out_header *out = iov->iov_base;

	if (f->mute && out->unique == f->mute)
		return out->len;
	return writev(fd, iov, count);
}

static const struct fuse_custom_io session_io = { .writev = session_writev, .read = session_read };

void front_serve(struct fuse_front *f, const struct fuse_buf *buf)
{
	f->message = buf->mem;
	f->journal->page->current = f->message->unique;
	fuse_session_process_buf(f->session, buf);
	f->journal->page->current = 0;
}

static int64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000000LL + now.tv_nsec;
}

/*
 * Whether to look for the next message before going to sleep: to be woken on another CPU than the
 * client's takes longer than most answers do. Only while somebody asks one thing right after the
 * other, and ever less often where looking has been in vain.
 */
static bool front_lively(struct fuse_front *f, int64_t now)
{
	if (f->cpus < 2 || now - f->rested > LIVELY_NS)
		return false;
	return f->pass == 0 || --f->pass == 0;
}

static int front_look(struct fuse_front *f, int64_t until)
{
	int n;

	do
		n = fuse_session_receive_buf(f->session, &f->buf);
	while (n == -EAGAIN && now_ns() < until);
	f->vain = n > 0 ? 0 : f->vain < PASS_MAX ? 2 * f->vain + 1 : PASS_MAX;
	f->pass = f->vain;
	return n;
}

static int front_receive(struct fuse_front *f, bool lively, int64_t now)
{
	int n = fuse_session_receive_buf(f->session, &f->buf);

	return n == -EAGAIN && lively ? front_look(f, now + LOOK_NS) : n;
}

static void on_readable(int fd, short what, void *arg)
{
	struct fuse_front *f = arg;
	int64_t now = now_ns(), turn = now + TURN_NS;
	bool lively = front_lively(f, now);
	int n = 0;

	while (now < turn && (n = front_receive(f, lively, now)) > 0) {
		f->failures = 0;
		front_serve(f, &f->buf);
		now = now_ns();
	}
	f->rested = now;
	if (now >= turn)
		return; /* others' turn; what is left to read calls again */
	/* The request is still there for the next try; but not for ever. */
	if (n < 0 && n != -EAGAIN && n != -EINTR && ++f->failures <= READ_FAILURES)
		return;
	if (f->failures > READ_FAILURES)
		log_line(LOG_LEVEL_ERROR, "/dev/fuse cannot be read: %s", strerror(-n));
	if (f->failures > READ_FAILURES || n == 0 || fuse_session_exited(f->session))
		event_base_loopbreak(f->daemon->loop);
}

/* ---- life ---- */

/* A session closes what it reads. */
static int front_open(struct fuse_front *f, int mount, struct err *e)
{
	struct fuse_args args = FUSE_ARGS_INIT(0, NULL);
	int fd = fcntl(mount, F_DUPFD_CLOEXEC, 3);

	if (fd < 0)
		return err_sys(e, errno, "mount");
	if (fuse_opt_add_arg(&args, "machinefs") == 0)
		f->session = fuse_session_new(&args, &front_ops, sizeof(front_ops), f);
	fuse_opt_free_args(&args);
	if (!f->session || fuse_session_custom_io(f->session, &session_io, fd) != 0) {
		close(fd);
		return err_sys(e, ENOMEM, "mount");
	}
	f->readable = event_new(f->daemon->loop, fd, EV_READ | EV_PERSIST, on_readable, f);
	if (!f->readable || event_add(f->readable, NULL) < 0)
		return err_sys(e, ENOMEM, "mount");
	return 0;
}

int fuse_front_new(struct daemon *d, int fd, struct journal *j, struct fuse_front **ret,
		   struct err *e)
{
	struct fuse_front *f = calloc(1, sizeof(*f));
	struct timespec now;
	cpu_set_t cpus;
	int rc;

	if (!f)
		return err_sys(e, ENOMEM, "mount");
	clock_gettime(CLOCK_MONOTONIC, &now);
	f->daemon = d;
	f->journal = j;
	LIST_INIT(&f->all);
	f->cpus = sched_getaffinity(0, sizeof(cpus), &cpus) == 0 ? CPU_COUNT(&cpus) : 1;
	/* No number comes again of those that a daemon before this one has given. */
	f->next_handle = f->next_alias = (uint64_t)(now.tv_sec * 1000000000LL + now.tv_nsec);
	f->front = (struct front){ poll_wake, poll_free, invalidate };
	d->front = &f->front;
	rc = front_open(f, fd, e);
	if (rc < 0) {
		fuse_front_free(f);
		return rc;
	}
	*ret = f;
	return 0;
}

void fuse_front_free(struct fuse_front *f)
{
	struct opened *o;

	if (!f)
		return;
	while ((o = LIST_FIRST(&f->all)))
		opened_close(f, o);
	f->daemon->front = NULL;
	if (f->readable)
		event_free(f->readable);
	if (f->session)
		fuse_session_destroy(f->session);
	free(f->before);
	free(f->buf.mem);
	free(f);
}
