/*
 * wire_recv() on whatever comes, and the ending's text. The first byte says which side is
 * listened to and how many descriptors come along; none may be left behind.
 */
#include <errno.h>
#include <sys/socket.h>

#include "backends/monitor/wire.h"
#include "tests/fuzz/fuzz.h"

static int next_fd(void)
{
	int fd = dup(0);

	close(fd);
	return fd;
}

static void send_packet(int fd, const char *data, size_t len, unsigned nfds)
{
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(sizeof(int) * 64)];
	} control = { 0 };
	struct iovec iov = { (void *)data, len };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (nfds) {
		msg.msg_control = &control;
		msg.msg_controllen = CMSG_SPACE(sizeof(int) * nfds);
		control.align.cmsg_level = SOL_SOCKET;
		control.align.cmsg_type = SCM_RIGHTS;
		control.align.cmsg_len = CMSG_LEN(sizeof(int) * nfds);
	}
	(void)!sendmsg(fd, &msg, 0);
}

static void receive(enum wire_side side, const char *data, size_t len, unsigned nfds)
{
	static struct wire_message m; // 128 KiB
	int s[2], before = next_fd(), rc;

	fuzz_check(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, s) == 0);
	send_packet(s[0], data, len, nfds);
	rc = wire_recv(s[1], side, &m);
	fuzz_check(rc == 1 || rc == 0 || rc == -EPROTO || rc == -EPROTONOSUPPORT);
	if (rc == 1) {
		fuzz_check(m.header.type > 0 && m.header.type < WIRE_TYPE_END);
		fuzz_check(m.len <= WIRE_MAX && m.extra <= m.len && m.body[m.len] == '\0');
		wire_message_close(&m);
	}
	close(s[0]);
	close(s[1]);
	fuzz_check(next_fd() == before);
}

static void ending(const char *data, size_t len)
{
	char *text = strndup(data, len), printed[320];
	struct ending e, back;

	if (ending_parse(text, &e) == 0) {
		ending_print(&e, printed, sizeof(printed));
		fuzz_check(ending_parse(printed, &back) == 0 && back.kind == e.kind &&
			   back.code == e.code && !strcmp(back.why, e.why));
	}
	free(text);
}

static void one(const char *data, size_t len)
{
	if (len < 1)
		return;
	if (data[0] & 2)
		ending(data + 1, len - 1);
	else
		receive((enum wire_side)((data[0] & 1) | (data[0] & 4) >> 1), data + 1, len - 1,
			(unsigned char)data[0] >> 4);
}

int main(int argc, char **argv)
{
	return fuzz_main(argc, argv, one);
}
