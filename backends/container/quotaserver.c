/* Calls of quotactl(2) answered in place of the kernel: see quotaserver.h. */
#include "backends/container/quotaserver.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "backends/base/ratelimit.h"
#include "backends/base/thread.h"

#define STATUS_SIZE   16384 /* with more groups than fit, a caller is nobody */
#define FREE_PATIENCE 2	    /* seconds for a caller's memory that does not come */

struct quotaserver {
	int dir, epoll, stop;
	char device[32];
	struct quota_ids ids[2]; /* USRQUOTA, GRPQUOTA */
	struct stat home;	 /* the container's user namespace */
	uint64_t capabilities;
	int (*perform)(int dir, unsigned op, unsigned type, uint32_t id, void *data);
	pthread_t thread;
	bool started;
	pthread_mutex_t lock; /* what follows */
	int listeners[QUOTASERVER_LISTENERS];
	size_t nlisteners;
	/* the thread's alone: */
	struct ratelimit rate;
	union {
		struct seccomp_notif notif;
		char bytes[512]; /* the kernel's may have grown */
	} request;
	union {
		struct seccomp_notif_resp notif;
		char bytes[512];
	} response;
	char status[STATUS_SIZE];
};

static int perform(int dir, unsigned op, unsigned type, uint32_t id, void *data)
{
	return syscall(SYS_quotactl_fd, dir, QCMD(op, type), id, data) < 0 ? -errno : 0;
}

/* ---- the caller ---- */

/* Descriptors of a process; whose they are shows afterwards. */
struct caller {
	int proc, memory;
	struct quota_caller who;
};

static void caller_close(struct caller *c)
{
	if (c->proc >= 0)
		close(c->proc);
	if (c->memory >= 0)
		close(c->memory);
}

static int read_status(struct quotaserver *s, struct caller *c)
{
	int fd = openat(c->proc, "status", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, s->status, sizeof(s->status) - 1);
	struct stat home;

	if (fd >= 0)
		close(fd);
	s->status[n < 0 ? 0 : n] = '\0';
	if (!quota_caller_parse(s->status, &c->who) || fstatat(c->proc, "ns/user", &home, 0) < 0)
		return -EPERM;
	c->who.at_home = home.st_dev == s->home.st_dev && home.st_ino == s->home.st_ino;
	return 0;
}

/* A thread's credentials are its own to change, and it waits for us. */
static int caller_open(struct quotaserver *s, int listener, struct caller *c)
{
	const struct seccomp_notif *r = &s->request.notif;
	uint64_t id = r->id;
	char path[32];

	*c = (struct caller){ -1, -1, { 0 } };
	snprintf(path, sizeof(path), "/proc/%u", r->pid);
	c->proc = r->pid ? open(path, O_PATH | O_DIRECTORY | O_CLOEXEC) : -1;
	c->memory = c->proc < 0 ? -1 : openat(c->proc, "mem", O_RDWR | O_CLOEXEC);
	if (c->memory < 0 || ioctl(listener, SECCOMP_IOCTL_NOTIF_ID_VALID, &id) < 0)
		return -EPERM;
	return read_status(s, c);
}

static int fetch(const struct caller *c, uint64_t at, void *data, size_t size)
{
	if (at > INT64_MAX - size)
		return -EFAULT;
	return pread(c->memory, data, size, (off_t)at) == (ssize_t)size ? 0 : -EFAULT;
}

static int store(const struct caller *c, uint64_t at, const void *data, size_t size)
{
	if (at > INT64_MAX - size)
		return -EFAULT;
	return pwrite(c->memory, data, size, (off_t)at) == (ssize_t)size ? 0 : -EFAULT;
}

/* ---- a call ---- */

/* From one id to the next, by their order inside, which is not always that on the disk. */
static int perform_next(const struct quotaserver *s, const struct quotacall *c,
			struct if_nextdqblk *next)
{
	uint32_t from = c->id, inside, disk, count;

	while (quota_ids_next(&s->ids[c->type], from, &inside, &disk, &count)) {
		int rc = s->perform(s->dir, c->op, c->type, disk, next);

		if (rc < 0 && rc != -ENOENT && rc != -ESRCH)
			return rc;
		if (rc == 0 && next->dqb_id >= disk && next->dqb_id - disk < count) {
			next->dqb_id = inside + (next->dqb_id - disk);
			return 0;
		}
		from = inside + count;
	}
	return -ENOENT;
}

static int perform_call(const struct quotaserver *s, const struct quotacall *c,
			union quotacall_data *data)
{
	uint32_t inside, disk = 0, count;

	if (c->op == Q_GETNEXTQUOTA)
		return perform_next(s, c, &data->next);
	if (c->has_id &&
	    (!quota_ids_next(&s->ids[c->type], c->id, &inside, &disk, &count) || inside != c->id))
		return -EINVAL;
	return s->perform(s->dir, c->op, c->type, disk, c->size ? data : NULL);
}

/* A name that ends behind a page that is not there is another name, too. */
static bool is_ours(const struct quotaserver *s, const struct quotacall *c,
		    const struct caller *caller)
{
	char name[sizeof(s->device)];
	size_t size = strlen(s->device) + 1;

	if (!c->special)
		return c->op == Q_SYNC; // all that there are
	return fetch(caller, c->special, name, size) == 0 && !memcmp(name, s->device, size);
}

static int answer_caller(const struct quotaserver *s, const struct quotacall *c,
			 const struct caller *caller)
{
	union quotacall_data data = { 0 };
	int rc = is_ours(s, c, caller) ? 0 : -ENODEV;

	if (rc == 0)
		rc = quotacall_grant(c, &caller->who, s->ids, s->capabilities);
	if (rc == 0 && c->reads)
		rc = fetch(caller, c->data, &data, c->size);
	if (rc == 0)
		rc = quotacall_check(c, &data);
	if (rc == 0)
		rc = perform_call(s, c, &data);
	if (rc == 0 && c->writes)
		rc = store(caller, c->data, &data, c->size);
	return rc;
}

static int answer(struct quotaserver *s, int listener)
{
	const struct seccomp_data *d = &s->request.notif.data;
	uint64_t args[4] = { d->args[0], d->args[1], d->args[2], d->args[3] };
	struct quotacall call;
	struct caller caller;
	int rc;

	if (d->arch != AUDIT_ARCH_X86_64 || d->nr != SYS_quotactl)
		return -ENOSYS;
	rc = quotacall_decode(args, &call);
	if (rc < 0)
		return rc;
	rc = caller_open(s, listener, &caller);
	if (rc == 0)
		rc = answer_caller(s, &call, &caller);
	caller_close(&caller);
	return rc;
}

/* Of a caller that has died meanwhile neither is heard any more. */
static void serve(struct quotaserver *s, int listener)
{
	memset(&s->request, 0, sizeof(s->request));
	if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &s->request) < 0)
		return;
	memset(&s->response, 0, sizeof(s->response));
	s->response.notif.id = s->request.notif.id;
	s->response.notif.error = answer(s, listener);
	ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &s->response);
}

/* ---- the thread ---- */

/* A process that is being started may have a copy of it, so closing would not end the watch. */
static void forget(struct quotaserver *s, int listener)
{
	epoll_ctl(s->epoll, EPOLL_CTL_DEL, listener, NULL);
	pthread_mutex_lock(&s->lock);
	for (size_t i = 0; i < s->nlisteners; i++)
		if (s->listeners[i] == listener)
			s->listeners[i] = s->listeners[--s->nlisteners];
	pthread_mutex_unlock(&s->lock);
	close(listener);
}

/* Until one more call is granted; false: it is over. */
static bool await_turn(struct quotaserver *s)
{
	struct pollfd stop = { s->stop, POLLIN, 0 };
	uint64_t wait;

	while ((wait = ratelimit_take(&s->rate, 0, 1, ratelimit_clock())) > 0) {
		struct timespec t = { (time_t)(wait / 1000000000), (long)(wait % 1000000000) };

		if (ppoll(&stop, 1, &t, NULL) > 0)
			return false;
	}
	return true;
}

static void *server_main(void *arg)
{
	struct quotaserver *s = arg;
	struct epoll_event event;

	for (;;) {
		int n = epoll_wait(s->epoll, &event, 1, -1);

		if (n < 0 && errno != EINTR)
			return NULL;
		if (n != 1)
			continue;
		if (event.data.fd == s->stop)
			return NULL;
		if (event.events & EPOLLIN) {
			if (!await_turn(s))
				return NULL;
			serve(s, event.data.fd);
		} else {
			forget(s, event.data.fd);
		}
	}
}

static int server_begin(struct quotaserver *s)
{
	int rc = thread_start(&s->thread, THREAD_STACK_SMALL, 0, server_main, s);

	s->started = rc == 0;
	return rc;
}

static int watch(struct quotaserver *s, int fd)
{
	struct epoll_event event = { .events = EPOLLIN, .data.fd = fd };

	return epoll_ctl(s->epoll, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

/* ---- life ---- */

/* The kernel writes as much as it knows. */
static int check_sizes(const struct quotaserver *s)
{
	struct seccomp_notif_sizes sizes;

	if (syscall(SYS_seccomp, SECCOMP_GET_NOTIF_SIZES, 0, &sizes) < 0)
		return -errno;
	return sizes.seccomp_notif > sizeof(s->request) ||
			       sizes.seccomp_notif_resp > sizeof(s->response)
		       ? -EPROTO
		       : 0;
}

static int prepare(struct quotaserver *s, const struct quotaserver_setup *setup)
{
	char path[64];
	int rc = check_sizes(s);

	snprintf(s->device, sizeof(s->device), "%s", setup->device);
	snprintf(path, sizeof(path), "/proc/%d/ns/user", (int)setup->init);
	s->dir = openat(setup->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	s->epoll = epoll_create1(EPOLL_CLOEXEC);
	s->stop = eventfd(0, EFD_CLOEXEC);
	if (rc == 0 && (stat(path, &s->home) < 0 || s->dir < 0 || s->epoll < 0 || s->stop < 0))
		rc = -errno;
	if (rc == 0)
		rc = quota_ids_init(&s->ids[USRQUOTA], setup->uids, setup->disk_inside);
	if (rc == 0)
		rc = quota_ids_init(&s->ids[GRPQUOTA], setup->gids, setup->disk_inside);
	return rc < 0 ? rc : watch(s, s->stop);
}

int quotaserver_new(const struct quotaserver_setup *setup, struct quotaserver **ret, struct err *e)
{
	const struct ratelimit_rates rates = { { LIMIT_MAX, 0 },
					       { QUOTASERVER_RATE, QUOTASERVER_RATE } };
	struct quotaserver *s = calloc(1, sizeof(*s));
	int rc;

	if (!s)
		return err_sys(e, ENOMEM, "quota.delegate");
	s->dir = s->epoll = s->stop = -1;
	s->capabilities = setup->capabilities;
	s->perform = setup->perform ? setup->perform : perform;
	pthread_mutex_init(&s->lock, NULL);
	ratelimit_set(&s->rate, &rates, ratelimit_clock());
	rc = prepare(s, setup);
	if (rc == 0)
		rc = server_begin(s);
	if (rc == 0) {
		*ret = s;
		return 0;
	}
	quotaserver_free(s);
	return err_sys(e, -rc, "quota.delegate");
}

void quotaserver_add(struct quotaserver *s, int listener)
{
	bool room;

	if (!s) {
		close(listener);
		return;
	}
	pthread_mutex_lock(&s->lock);
	room = s->nlisteners < QUOTASERVER_LISTENERS;
	if (room)
		s->listeners[s->nlisteners++] = listener;
	pthread_mutex_unlock(&s->lock);
	if (!room)
		close(listener);
	else if (watch(s, listener) < 0)
		forget(s, listener);
}

/* A thread that is stuck in a caller's memory keeps what it works with. */
static bool server_end(struct quotaserver *s)
{
	struct timespec until;
	const uint64_t one = 1;

	if (!s->started)
		return true;
	(void)!write(s->stop, &one, sizeof(one));
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += FREE_PATIENCE;
	if (pthread_timedjoin_np(s->thread, NULL, &until) == 0)
		return true;
	pthread_detach(s->thread);
	return false;
}

void quotaserver_free(struct quotaserver *s)
{
	int fds[3];

	if (!s || !server_end(s))
		return;
	fds[0] = s->dir;
	fds[1] = s->epoll;
	fds[2] = s->stop;
	for (int i = 0; i < 3; i++)
		if (fds[i] >= 0)
			close(fds[i]);
	for (size_t i = 0; i < s->nlisteners; i++)
		close(s->listeners[i]);
	for (int i = 0; i < 2; i++)
		quota_ids_free(&s->ids[i]);
	pthread_mutex_destroy(&s->lock);
	free(s);
}
