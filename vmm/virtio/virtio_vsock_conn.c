/*
 * virtio-vsock's connections: what the guest's packets mean, and the host's UNIX sockets. See
 * virtio_vsock.h for the names in the directory, Virtio 1.2, 5.10.6 for the packets.
 *
 * A connection is known by its two ports. What the guest is to be told is noted in `due` and
 * said when it has a buffer; the host's socket is read only then, straight into that buffer. What
 * the guest sends goes straight to the host's socket, and what that does not take into a buffer
 * that is as large as the credit the guest has.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "vmm/virtio/virtio_vsock_priv.h"

#define SHUT_BOTH (VIRTIO_VSOCK_SHUTDOWN_RCV | VIRTIO_VSOCK_SHUTDOWN_SEND)
#define GREETING  32 /* the longest "CONNECT PORT\n", and more */

/* ---- one connection ---- */

static void on_readable(evutil_socket_t fd, short what, void *arg);
static void on_writable(evutil_socket_t fd, short what, void *arg);

static void conn_hang_up(struct conn *c)
{
	if (c->readable)
		event_free(c->readable);
	if (c->writable)
		event_free(c->writable);
	c->readable = c->writable = NULL;
	if (c->fd >= 0)
		close(c->fd);
	c->fd = -1;
	c->has_data = false;
	c->len = 0;
}

static void conn_free(struct conn *c)
{
	conn_hang_up(c);
	TAILQ_REMOVE(&c->vsock->conns, c, entry);
	c->vsock->nconns--;
	free(c->buffer);
	free(c);
}

/* Takes fd over, also when it fails (NULL). */
static struct conn *conn_new(struct vsock *v, int fd, enum conn_state state)
{
	struct conn *c = v->nconns < VSOCK_CONNECTIONS ? calloc(1, sizeof(*c)) : NULL;

	if (!c) {
		close(fd);
		return NULL;
	}
	c->vsock = v;
	c->fd = fd;
	c->state = state;
	TAILQ_INSERT_TAIL(&v->conns, c, entry);
	v->nconns++;
	c->readable =
		event_new(v->device.virtio.env.loop, fd, EV_READ | EV_PERSIST, on_readable, c);
	c->writable =
		event_new(v->device.virtio.env.loop, fd, EV_WRITE | EV_PERSIST, on_writable, c);
	if (c->readable && c->writable)
		return c;
	conn_free(c);
	return NULL;
}

static struct conn *conn_find(struct vsock *v, uint32_t host_port, uint32_t guest_port)
{
	struct conn *c;

	TAILQ_FOREACH(c, &v->conns, entry)
	if (c->state != CONN_GREETING && c->host_port == host_port && c->guest_port == guest_port)
		return c;
	return NULL;
}

static void conn_tell(struct conn *c, unsigned due)
{
	c->due |= due;
	vsock_wants_buffer(c->vsock);
}

/* The host's end is over; the guest is told, and then it is forgotten. */
static void conn_reset(struct conn *c)
{
	conn_hang_up(c);
	c->state = CONN_CLOSING;
	c->due = 0;
	conn_tell(c, DUE_RST);
}

/* Whether the host's socket is to be read. */
static bool conn_reads(const struct conn *c)
{
	return c->fd >= 0 && (c->state == CONN_GREETING || c->state == CONN_OPEN) && !c->has_data &&
	       !(c->shut & VIRTIO_VSOCK_SHUTDOWN_SEND) &&
	       !(c->guest_shut & VIRTIO_VSOCK_SHUTDOWN_RCV);
}

static void conn_watch(struct conn *c)
{
	if (conn_reads(c))
		event_add(c->readable, NULL);
	else if (c->readable)
		event_del(c->readable);
	if (c->len > 0 && c->state == CONN_OPEN)
		event_add(c->writable, NULL);
	else if (c->writable)
		event_del(c->writable);
}

/* ---- to the host ---- */

static ssize_t conn_send(struct conn *c, struct iovec *iov, unsigned n)
{
	struct msghdr msg = { .msg_iov = iov, .msg_iovlen = n };
	ssize_t sent = sendmsg(c->fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);

	return sent < 0 ? -errno : sent;
}

/* Bytes have reached the host's socket; the guest may send as many more. */
static void conn_forwarded(struct conn *c, size_t len)
{
	c->forwarded += (uint32_t)len;
	vsock_count(c->vsock, VIRTIO_VSOCK_TX_BYTES, len);
	if (c->forwarded - c->told > VSOCK_BUFFER / 2)
		conn_tell(c, DUE_CREDIT);
}

/* What the guest has said about its end takes effect when all it sent is with the host. */
static void conn_flushed(struct conn *c)
{
	if (c->len > 0 || c->state != CONN_OPEN)
		return;
	if ((c->guest_shut & SHUT_BOTH) == SHUT_BOTH)
		conn_reset(c);
	else if (c->guest_shut & VIRTIO_VSOCK_SHUTDOWN_SEND)
		shutdown(c->fd, SHUT_WR);
}

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
	struct conn *c = arg;
	size_t first = VSOCK_BUFFER - c->start < c->len ? VSOCK_BUFFER - c->start : c->len;
	struct iovec iov[2] = { { c->buffer + c->start, first }, { c->buffer, c->len - first } };
	ssize_t n = conn_send(c, iov, 2);

	if (n == -EAGAIN)
		return;
	if (n < 0) {
		conn_reset(c);
		return;
	}
	c->start = (c->start + (size_t)n) % VSOCK_BUFFER;
	c->len -= (size_t)n;
	conn_forwarded(c, (size_t)n);
	conn_flushed(c);
	conn_watch(c);
}

/* Keeps the bytes of a packet from `at` on; there is room, for the guest kept to its credit. */
static bool conn_keep(struct conn *c, const struct virtq_chain *data, size_t at)
{
	size_t end = (c->start + c->len) % VSOCK_BUFFER, len = data->out_len - at, first;

	if (len == 0)
		return true;
	if (!c->buffer)
		c->buffer = malloc(VSOCK_BUFFER);
	if (!c->buffer)
		return false;
	first = VSOCK_BUFFER - end < len ? VSOCK_BUFFER - end : len;
	virtq_copy_out(data, at, c->buffer + end, first);
	virtq_copy_out(data, at + first, c->buffer, len - first);
	c->len += len;
	return true;
}

/* As many of the iovecs as hold max bytes, the last one cut. */
static unsigned iov_limit(struct iovec *iov, unsigned n, size_t max)
{
	for (unsigned i = 0; i < n; i++) {
		if (iov[i].iov_len >= max) {
			iov[i].iov_len = max;
			return max ? i + 1 : i;
		}
		max -= iov[i].iov_len;
	}
	return n;
}

static void conn_data(struct conn *c, const struct virtq_chain *data)
{
	size_t len = data->out_len;
	struct virtq_chain rest = *data;
	ssize_t n = 0;

	if (c->state != CONN_OPEN || (c->guest_shut & VIRTIO_VSOCK_SHUTDOWN_SEND) ||
	    (size_t)(c->received - c->forwarded) + len > VSOCK_BUFFER) {
		conn_reset(c);
		return;
	}
	c->received += (uint32_t)len;
	if (c->len == 0 && len > 0) {
		rest.nout = iov_limit(rest.out, rest.nout, len);
		n = conn_send(c, rest.out, rest.nout);
	}
	if (n == -EAGAIN)
		n = 0;
	if (n < 0 || !conn_keep(c, &rest, (size_t)n)) {
		conn_reset(c);
		return;
	}
	conn_forwarded(c, (size_t)n);
	conn_watch(c);
}

/* ---- from the host ---- */

/* A port of the host's that no connection has. */
static uint32_t free_port(struct vsock *v, uint32_t guest_port)
{
	do {
		if (++v->next_port < 1u << 30)
			v->next_port = 1u << 30;
	} while (conn_find(v, v->next_port, guest_port));
	return v->next_port;
}

/* The greeting's length when it is complete; 0: not yet; -1: it is none. Nothing behind is taken.
 */
static int greeting_read(struct conn *c)
{
	char *text = (char *)c->buffer;
	ssize_t n = recv(c->fd, text + c->len, GREETING - c->len, MSG_PEEK | MSG_DONTWAIT);
	char *end;

	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -1;
	end = n > 0 ? memchr(text + c->len, '\n', (size_t)n) : NULL;
	if (end)
		n = end + 1 - (text + c->len);
	if (n == 0 || recv(c->fd, text + c->len, (size_t)n, MSG_DONTWAIT) != n)
		return -1;
	c->len += (size_t)n;
	if (end)
		return (int)c->len;
	return c->len == GREETING ? -1 : 0;
}

static void conn_greeted(struct conn *c)
{
	int len = greeting_read(c);
	unsigned long port;
	char *end;

	if (len == 0)
		return;
	if (len < 0 || memcmp(c->buffer, "CONNECT ", 8) != 0) {
		conn_free(c);
		return;
	}
	c->buffer[len - 1] = '\0';
	port = strtoul((char *)c->buffer + 8, &end, 10);
	if (c->buffer[8] < '0' || c->buffer[8] > '9' || *end || port >= UINT32_MAX) {
		conn_free(c);
		return;
	}
	c->len = 0;
	c->guest_port = (uint32_t)port;
	c->host_port = free_port(c->vsock, c->guest_port);
	c->state = CONN_ASKING;
	conn_watch(c);
	conn_tell(c, DUE_REQUEST);
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct conn *c = arg;

	if (c->state == CONN_GREETING) {
		conn_greeted(c);
		return;
	}
	c->has_data = true;
	conn_watch(c);
	vsock_wants_buffer(c->vsock);
}

static void on_acceptable(evutil_socket_t fd, short what, void *arg)
{
	struct vsock *v = arg;
	int client = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct conn *c = client < 0 ? NULL : conn_new(v, client, CONN_GREETING);

	if (!c)
		return;
	c->buffer = malloc(VSOCK_BUFFER);
	if (c->buffer)
		conn_watch(c);
	else
		conn_free(c);
}

/* Nobody else's current directory is touched: this thread's becomes its own. */
int conn_listen(struct vsock *v, struct err *e)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX, .sun_path = "vsock" };

	v->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (v->listener < 0 || unshare(CLONE_FS) < 0 || fchdir(v->dir) < 0)
		return err_sys(e, errno, "%s", v->device.virtio.id);
	unlink(at.sun_path);
	if (bind(v->listener, (struct sockaddr *)&at, sizeof(at)) < 0 ||
	    listen(v->listener, 64) < 0)
		return err_sys(e, errno, "%s: cannot listen", v->device.virtio.id);
	v->acceptable = event_new(v->device.virtio.env.loop, v->listener, EV_READ | EV_PERSIST,
				  on_acceptable, v);
	return v->acceptable ? 0 : err_sys(e, ENOMEM, "%s", v->device.virtio.id);
}

/* ---- the guest's packets ---- */

static void refuse(struct vsock *v, uint32_t host_port, uint32_t guest_port)
{
	vsock_count(v, VIRTIO_VSOCK_REFUSED, 1);
	if (v->nrefusals == VSOCK_REFUSALS)
		return;
	v->refusals[v->nrefusals].host_port = host_port;
	v->refusals[v->nrefusals++].guest_port = guest_port;
	vsock_wants_buffer(v);
}

static int host_connect(struct vsock *v, uint32_t port)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	snprintf(to.sun_path, sizeof(to.sun_path), "vsock_%u", port);
	if (fd >= 0 && fchdir(v->dir) == 0 && connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0)
		return fd;
	if (fd >= 0)
		close(fd);
	return -1;
}

static void conn_credit(struct conn *c, const struct virtio_vsock_hdr *h)
{
	c->guest_alloc = h->buf_alloc;
	c->guest_forwarded = h->fwd_cnt;
}

static void guest_asks(struct vsock *v, const struct virtio_vsock_hdr *h)
{
	int fd = host_connect(v, h->dst_port);
	struct conn *c = fd < 0 ? NULL : conn_new(v, fd, CONN_OPEN);

	if (!c) {
		refuse(v, h->dst_port, h->src_port);
		return;
	}
	c->host_port = h->dst_port;
	c->guest_port = h->src_port;
	conn_credit(c, h);
	vsock_count(v, VIRTIO_VSOCK_CONNECTIONS, 1);
	conn_tell(c, DUE_RESPONSE);
	conn_watch(c);
}

static void guest_accepts(struct conn *c)
{
	char text[32];
	struct iovec iov = { text, (size_t)snprintf(text, sizeof(text), "OK %u\n", c->host_port) };

	if (c->state != CONN_ASKING || conn_send(c, &iov, 1) != (ssize_t)iov.iov_len) {
		conn_reset(c);
		return;
	}
	c->state = CONN_OPEN;
	vsock_count(c->vsock, VIRTIO_VSOCK_CONNECTIONS, 1);
	conn_watch(c);
}

static void guest_shuts(struct conn *c, uint32_t flags)
{
	c->guest_shut |= flags & SHUT_BOTH;
	if (c->state != CONN_OPEN) {
		conn_reset(c);
		return;
	}
	if (c->guest_shut & VIRTIO_VSOCK_SHUTDOWN_RCV)
		c->has_data = false;
	conn_watch(c);
	conn_flushed(c);
}

void conn_packet(struct vsock *v, const struct virtio_vsock_hdr *h, const struct virtq_chain *data)
{
	struct conn *c = conn_find(v, h->dst_port, h->src_port);

	if (h->op == VIRTIO_VSOCK_OP_RST) {
		if (c)
			conn_free(c);
		return;
	}
	if (h->type != VIRTIO_VSOCK_TYPE_STREAM || (!c && h->op != VIRTIO_VSOCK_OP_REQUEST)) {
		refuse(v, h->dst_port, h->src_port);
		return;
	}
	if (!c) {
		guest_asks(v, h);
		return;
	}
	conn_credit(c, h);
	if (c->has_data)
		vsock_wants_buffer(v);
	switch (h->op) {
	case VIRTIO_VSOCK_OP_RESPONSE:
		guest_accepts(c);
		break;
	case VIRTIO_VSOCK_OP_SHUTDOWN:
		guest_shuts(c, h->flags);
		break;
	case VIRTIO_VSOCK_OP_RW:
		conn_data(c, data);
		break;
	case VIRTIO_VSOCK_OP_CREDIT_UPDATE:
		break;
	case VIRTIO_VSOCK_OP_CREDIT_REQUEST:
		conn_tell(c, DUE_CREDIT);
		break;
	default:
		conn_reset(c);
	}
}

/* ---- the next packet for the guest ---- */

static void say(struct conn *c, struct virtio_vsock_hdr *h, uint16_t op)
{
	h->src_port = c->host_port;
	h->dst_port = c->guest_port;
	h->op = op;
	h->buf_alloc = VSOCK_BUFFER;
	h->fwd_cnt = c->forwarded;
	c->told = c->forwarded;
	c->due &= ~(unsigned)DUE_CREDIT;
	/* Everybody's turn comes. */
	TAILQ_REMOVE(&c->vsock->conns, c, entry);
	TAILQ_INSERT_TAIL(&c->vsock->conns, c, entry);
}

static bool say_due(struct conn *c, struct virtio_vsock_hdr *h)
{
	static const struct {
		enum conn_due due;
		uint16_t op;
	} order[] = {
		{ DUE_REQUEST, VIRTIO_VSOCK_OP_REQUEST },
		{ DUE_RESPONSE, VIRTIO_VSOCK_OP_RESPONSE },
		{ DUE_RST, VIRTIO_VSOCK_OP_RST },
		{ DUE_CREDIT, VIRTIO_VSOCK_OP_CREDIT_UPDATE },
		{ DUE_SHUTDOWN, VIRTIO_VSOCK_OP_SHUTDOWN },
	};

	for (size_t i = 0; i < sizeof(order) / sizeof(order[0]); i++) {
		if (!(c->due & order[i].due))
			continue;
		c->due &= ~(unsigned)order[i].due;
		say(c, h, order[i].op);
		if (order[i].due == DUE_SHUTDOWN)
			h->flags = c->shut;
		if (order[i].due == DUE_RST)
			conn_free(c);
		return true;
	}
	return false;
}

/* No more comes from the host: it has closed its socket, or only its sending half. */
static void conn_ended(struct conn *c)
{
	struct pollfd p = { c->fd, 0, 0 };

	c->has_data = false;
	c->shut |= VIRTIO_VSOCK_SHUTDOWN_SEND;
	if (poll(&p, 1, 0) == 1 && (p.revents & (POLLHUP | POLLERR))) {
		c->shut |= VIRTIO_VSOCK_SHUTDOWN_RCV;
		conn_hang_up(c);
		c->state = CONN_CLOSING;
	}
	conn_watch(c);
	c->due |= DUE_SHUTDOWN;
}

/* Bytes of the host's, as many as the guest has room and credit for. */
static bool say_data(struct conn *c, struct virtio_vsock_hdr *h, struct iovec *iov, unsigned n)
{
	uint32_t under_way = c->sent - c->guest_forwarded;
	uint32_t credit = under_way < c->guest_alloc ? c->guest_alloc - under_way : 0;
	ssize_t len;

	if (!c->has_data || credit == 0 || n == 0)
		return false;
	n = iov_limit(iov, n, credit < VSOCK_BUFFER ? credit : VSOCK_BUFFER);
	len = readv(c->fd, iov, (int)n);
	if (len < 0 && (errno == EAGAIN || errno == EINTR)) {
		c->has_data = false;
		conn_watch(c);
		return false;
	}
	if (len <= 0) {
		conn_ended(c);
		return say_due(c, h);
	}
	say(c, h, VIRTIO_VSOCK_OP_RW);
	h->len = (uint32_t)len;
	c->sent += (uint32_t)len;
	vsock_count(c->vsock, VIRTIO_VSOCK_RX_BYTES, (uint64_t)len);
	return true;
}

bool conn_next(struct vsock *v, struct virtio_vsock_hdr *h, struct iovec *iov, unsigned n)
{
	struct conn *c, *next;

	if (v->nrefusals > 0) {
		v->nrefusals--;
		h->src_port = v->refusals[v->nrefusals].host_port;
		h->dst_port = v->refusals[v->nrefusals].guest_port;
		h->op = VIRTIO_VSOCK_OP_RST;
		return true;
	}
	for (c = TAILQ_FIRST(&v->conns); c; c = next) {
		next = TAILQ_NEXT(c, entry);
		if (say_due(c, h) || say_data(c, h, iov, n))
			return true;
	}
	return false;
}

/* ---- life ---- */

void conn_start_all(struct vsock *v)
{
	struct conn *c;

	event_add(v->acceptable, NULL);
	TAILQ_FOREACH(c, &v->conns, entry)
	conn_watch(c);
}

void conn_stop_all(struct vsock *v)
{
	struct conn *c;

	event_del(v->acceptable);
	TAILQ_FOREACH(c, &v->conns, entry)
	{
		if (c->readable)
			event_del(c->readable);
		if (c->writable)
			event_del(c->writable);
	}
}

void conn_free_all(struct vsock *v)
{
	while (!TAILQ_EMPTY(&v->conns))
		conn_free(TAILQ_FIRST(&v->conns));
}
