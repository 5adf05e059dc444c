/* The vhost-user protocol, front end's side: see vhost_user.h. */
#include "backends/vhost/vhost_user.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

enum {
	GET_FEATURES = 1,
	SET_FEATURES = 2,
	SET_OWNER = 3,
	SET_MEM_TABLE = 5,
	SET_VRING_NUM = 8,
	SET_VRING_ADDR = 9,
	SET_VRING_BASE = 10,
	GET_VRING_BASE = 11,
	SET_VRING_KICK = 12,
	SET_VRING_CALL = 13,
	GET_PROTOCOL_FEATURES = 15,
	SET_PROTOCOL_FEATURES = 16,
	SET_VRING_ENABLE = 18,
};

#define VERSION		  1u
#define FLAG_REPLY	  4u
#define FLAG_NEED_REPLY	  8u
#define PROTOCOL_FEATURES (1ull << 30) /* in the features: it has some of its own */
#define REPLY_ACK	  (1ull << 3)

struct message {
	uint32_t request, flags, size;
	union {
		uint64_t number;
		struct {
			uint32_t index, number;
		} state;
		struct {
			uint32_t index, flags;
			uint64_t desc, used, avail, log;
		} address;
		struct {
			uint32_t n, padding;
			struct {
				uint64_t gpa, len, address, offset;
			} region[VHOST_REGIONS];
		} memory;
	};
} __attribute__((packed));

#define HEADER 12

struct vhost_user {
	int fd;
	bool acks; /* it answers whatever it is asked to */
	bool enables;
};

static int gone(struct err *e, int errnum)
{
	if (errnum == EAGAIN)
		return err_set(e, -EIO, "its server does not answer");
	if (errnum == 0 || errnum == EPIPE || errnum == ECONNRESET)
		return err_set(e, -EIO, "its server is gone");
	return err_sys(e, errnum, "its server");
}

static int message_send(struct vhost_user *v, struct message *m, const int *fds, unsigned nfds,
			struct err *e)
{
	union {
		char bytes[CMSG_SPACE(VHOST_REGIONS * sizeof(int))];
		struct cmsghdr align;
	} control = { 0 };
	struct iovec iov = { m, HEADER + m->size };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	ssize_t n;

	m->flags |= VERSION;
	if (nfds) {
		msg.msg_control = &control;
		msg.msg_controllen = CMSG_SPACE(nfds * sizeof(int));
		struct cmsghdr *c = CMSG_FIRSTHDR(&msg);

		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(nfds * sizeof(int));
		memcpy(CMSG_DATA(c), fds, nfds * sizeof(int));
	}
	do
		n = sendmsg(v->fd, &msg, MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	return n == (ssize_t)iov.iov_len ? 0 : gone(e, n < 0 ? errno : EAGAIN);
}

static int receive(struct vhost_user *v, void *data, size_t len, struct err *e)
{
	for (size_t at = 0; at < len;) {
		ssize_t n = recv(v->fd, (char *)data + at, len - at, 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return gone(e, n < 0 ? errno : 0);
		at += (size_t)n;
	}
	return 0;
}

/* The answer to this request, of exactly this size. */
static int message_receive(struct vhost_user *v, struct message *m, uint32_t request, uint32_t size,
			   struct err *e)
{
	int r = receive(v, m, HEADER, e);

	if (r < 0)
		return r;
	if (m->request != request || m->size != size || (m->flags & 3) != VERSION ||
	    !(m->flags & FLAG_REPLY))
		return err_set(e, -EIO, "its server answers something else");
	return receive(v, (char *)m + HEADER, size, e);
}

/* One that brings nothing back but, if the other side can, its consent. */
static int command(struct vhost_user *v, struct message *m, const int *fds, unsigned nfds,
		   struct err *e)
{
	uint32_t request = m->request;
	int r;

	if (v->acks)
		m->flags |= FLAG_NEED_REPLY;
	r = message_send(v, m, fds, nfds, e);
	if (r < 0 || !v->acks)
		return r;
	r = message_receive(v, m, request, 8, e);
	if (r == 0 && m->number)
		return err_set(e, -EIO, "its server refuses request %u", request);
	return r;
}

static int ask_number(struct vhost_user *v, uint32_t request, uint64_t *ret, struct err *e)
{
	struct message m = { .request = request };
	int r = message_send(v, &m, NULL, 0, e);

	if (r == 0)
		r = message_receive(v, &m, request, 8, e);
	if (r == 0)
		*ret = m.number;
	return r;
}

static int set_number(struct vhost_user *v, uint32_t request, uint64_t number, struct err *e)
{
	struct message m = { .request = request, .size = 8, .number = number };

	return command(v, &m, NULL, 0, e);
}

static int set_state(struct vhost_user *v, uint32_t request, unsigned queue, uint32_t number,
		     struct err *e)
{
	struct message m = { .request = request, .size = 8, .state = { queue, number } };

	return command(v, &m, NULL, 0, e);
}

static int set_eventfd(struct vhost_user *v, uint32_t request, unsigned queue, int fd,
		       struct err *e)
{
	struct message m = { .request = request, .size = 8, .number = queue };

	return command(v, &m, &fd, 1, e);
}

/* ---- the conversation ---- */

static int greet(struct vhost_user *v, struct err *e)
{
	struct message owner = { .request = SET_OWNER };
	uint64_t features = 0, protocol = 0;
	int r = ask_number(v, GET_FEATURES, &features, e);

	if (r == 0 && (features & PROTOCOL_FEATURES)) {
		v->enables = true;
		r = ask_number(v, GET_PROTOCOL_FEATURES, &protocol, e);
		if (r == 0)
			r = set_number(v, SET_PROTOCOL_FEATURES, protocol & REPLY_ACK, e);
		v->acks = protocol & REPLY_ACK;
	}
	if (r == 0)
		r = command(v, &owner, NULL, 0, e);
	return r;
}

int vhost_user_new(int fd, struct vhost_user **ret, struct err *e)
{
	struct timeval limit = { VHOST_USER_MS / 1000, 0 };
	struct vhost_user *v = calloc(1, sizeof(*v));
	int r;

	if (!v) {
		close(fd);
		return err_sys(e, ENOMEM, "vhost-user");
	}
	v->fd = fd;
	if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) < 0)
		r = err_sys(e, errno, "vhost-user");
	else
		r = greet(v, e);
	if (r < 0) {
		vhost_user_free(v);
		return r;
	}
	*ret = v;
	return 0;
}

void vhost_user_free(struct vhost_user *v)
{
	if (!v)
		return;
	close(v->fd);
	free(v);
}

int vhost_user_fd(const struct vhost_user *v)
{
	return v->fd;
}

int vhost_user_features(struct vhost_user *v, uint64_t *ret, struct err *e)
{
	int r = ask_number(v, GET_FEATURES, ret, e);

	*ret &= ~PROTOCOL_FEATURES;
	return r;
}

int vhost_user_set_features(struct vhost_user *v, uint64_t features, struct err *e)
{
	return set_number(v, SET_FEATURES, features | (v->enables ? PROTOCOL_FEATURES : 0), e);
}

int vhost_user_set_memory(struct vhost_user *v, int file, const struct vhost_region *regions,
			  unsigned n, struct err *e)
{
	struct message m = { .request = SET_MEM_TABLE };
	int fds[VHOST_REGIONS];

	if (n > VHOST_REGIONS)
		return err_set(e, -EINVAL, "vhost-user: %u regions of memory", n);
	m.memory.n = n;
	m.size = 8 + n * (uint32_t)sizeof(m.memory.region[0]);
	for (unsigned i = 0; i < n; i++) {
		m.memory.region[i].gpa = regions[i].gpa;
		m.memory.region[i].len = regions[i].len;
		m.memory.region[i].address = regions[i].address;
		m.memory.region[i].offset = regions[i].offset;
		fds[i] = file;
	}
	return command(v, &m, fds, n, e);
}

/* What is started is enabled: without the protocol's own features it is by its kick. */
int vhost_user_start(struct vhost_user *v, unsigned queue, const struct vhost_vring *vring,
		     struct err *e)
{
	struct message address = { .request = SET_VRING_ADDR, .size = 40 };
	int r = set_state(v, SET_VRING_NUM, queue, vring->size, e);

	address.address.index = queue;
	address.address.desc = vring->desc;
	address.address.used = vring->used;
	address.address.avail = vring->avail;
	if (r == 0)
		r = set_state(v, SET_VRING_BASE, queue, vring->base, e);
	if (r == 0)
		r = command(v, &address, NULL, 0, e);
	if (r == 0)
		r = set_eventfd(v, SET_VRING_CALL, queue, vring->call, e);
	if (r == 0)
		r = set_eventfd(v, SET_VRING_KICK, queue, vring->kick, e);
	if (r == 0 && v->enables)
		r = set_state(v, SET_VRING_ENABLE, queue, 1, e);
	return r;
}

int vhost_user_stop(struct vhost_user *v, unsigned queue, uint16_t *ret_base, struct err *e)
{
	struct message m = { .request = GET_VRING_BASE, .size = 8, .state = { queue, 0 } };
	int r = message_send(v, &m, NULL, 0, e);

	if (r == 0)
		r = message_receive(v, &m, GET_VRING_BASE, 8, e);
	if (r == 0 && m.state.index != queue)
		r = err_set(e, -EIO, "its server answers for another queue");
	if (r == 0)
		*ret_base = (uint16_t)m.state.number;
	return r;
}
