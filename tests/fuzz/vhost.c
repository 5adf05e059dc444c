/*
 * A hostile server of a share: whatever it answers to what the machine asks of it, when it hangs up
 * and what it says unasked, the device works or fails with a sentence. The input is its answers: a
 * byte says how each is made (right, of another request, of another size, cut off), or that the
 * server goes.
 */
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include "tests/fuzz/script.h"
#include "tests/unit/harness_virtio.h"
#include "vmm/virtio/virtio_fs.h"

#define HEADER	12
#define REPLY	4u
#define NEED	8u
#define ROOM	4096
#define ASK_ALL (~0ull)

/* What a server remembers of the input; its thread's until it is joined. */
struct server {
	struct script s;
	int fd;
};

static void say(struct server *v, const uint32_t *asked, unsigned how)
{
	uint32_t m[3 + 16] = { asked[0], 1 | REPLY, 8 };
	uint64_t number = how & 8 ? take_n(&v->s, 8) : ASK_ALL;
	size_t len = HEADER + 8;

	if (asked[1] & NEED)
		number = how & 8 ? number : 0;
	memcpy(m + 3, &number, sizeof(number));
	if (how & 16)
		m[0] = take(&v->s);
	if (how & 32)
		m[1] = take(&v->s);
	if (how & 64)
		m[2] = (uint32_t)take_n(&v->s, 4);
	if (how & 128)
		len = take(&v->s) % sizeof(m);
	(void)!send(v->fd, m, len, MSG_NOSIGNAL);
}

/* One request, its descriptors dropped; false when the other side has gone. */
static bool hear(struct server *v, uint32_t *header)
{
	char body[ROOM], control[CMSG_SPACE(16 * sizeof(int))];
	struct iovec iov = { header, HEADER };
	struct msghdr msg = { .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = control,
			      .msg_controllen = sizeof(control) };

	if (recvmsg(v->fd, &msg, MSG_WAITALL | MSG_CMSG_CLOEXEC) != HEADER)
		return false;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&msg); c; c = CMSG_NXTHDR(&msg, c))
		for (size_t i = 0; i < (c->cmsg_len - CMSG_LEN(0)) / sizeof(int); i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(c) + i * sizeof(fd), sizeof(fd));
			close(fd);
		}
	fuzz_check(header[2] <= sizeof(body));
	return !header[2] || recv(v->fd, body, header[2], MSG_WAITALL) == (ssize_t)header[2];
}

/* What has no answer and asks for none gets one where the input says so. */
static bool answers(const uint32_t *asked)
{
	return asked[1] & NEED || asked[0] == 1 || asked[0] == 11 || asked[0] == 15;
}

static void *serve(void *arg)
{
	struct server *v = arg;
	uint32_t asked[3];

	while (hear(v, asked)) {
		unsigned how = take(&v->s);

		if ((how & 7) == 7)
			break;
		if (answers(asked) || (how & 7) == 6)
			say(v, asked, how);
		if (how & 128)
			break; // who waits for the rest would wait for seconds
		if ((how & 7) == 5)
			(void)!send(v->fd, "unasked", 7, MSG_NOSIGNAL);
	}
	shutdown(v->fd, SHUT_RDWR);
	return NULL;
}

static void use(struct harness *h, struct virtio_device *d)
{
	struct record *r = calloc(1, sizeof(*r));

	for (unsigned n = 0; n < 2; n++) {
		/* One that failed has said so, and is to be reset. */
		if (harness_start(h, d, ASK_ALL) < 0)
			virtio_fail(d, "does not start");
		harness_turn(h);
		virtio_stop(d);
		r->len = r->at = 0;
		d->ops->save(d, r);
		fuzz_check(!r->failed && d->ops->load(d, r, NULL) == 0 && record_done(r));
		if (d->failed)
			fuzz_check(*h->failed && h->resets_needed);
		else if (harness_go_on(h) == 0)
			harness_turn(h);
		virtio_stop(d);
		virtio_reset(d);
	}
	free(r);
}

static int next_fd(void)
{
	int fd = dup(0);

	close(fd);
	return fd;
}

static void one(const char *data, size_t len)
{
	struct server v = { { (const unsigned char *)data, (const unsigned char *)data + len },
			    -1 };
	struct virtio_device *d = NULL;
	struct virtio_env env;
	static struct harness h;
	struct err e = { 0 };
	int fds[2], before = next_fd();
	pthread_t thread;

	harness_init(&h);
	h.quiet = true;
	env = harness_env(&h);
	for (int i = 0; i < 2; i++) {
		h.kick_fd[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		h.call_fd[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	}
	fuzz_check(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0);
	v.fd = fds[1];
	fuzz_check(pthread_create(&thread, NULL, serve, &v) == 0);
	if (virtio_fs_new(&env, "share/f", "f", fds[0], &d, &e) == 0)
		use(&h, d);
	else
		fuzz_check(e.code < 0 && *e.text);
	h.device = NULL;
	virtio_free(d);
	pthread_join(thread, NULL);
	close(fds[1]);
	for (int i = 0; i < 2; i++) {
		close(h.kick_fd[i]);
		close(h.call_fd[i]);
	}
	harness_free(&h);
	fuzz_check(next_fd() == before);
}

int main(int argc, char **argv)
{
	return fuzz_main(argc, argv, one);
}
