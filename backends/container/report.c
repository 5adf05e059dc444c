/* Reports of a container's processes on their way to execve: see report.h. */
#include "backends/container/report.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

union control {
	char bytes[CMSG_SPACE(REPORT_FDS * sizeof(int))];
	struct cmsghdr align;
};

int report_sockets(int fds[2], struct err *e)
{
	int high;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) < 0)
		return err_sys(e, errno, "starting a process");
	if (fds[1] >= 3)
		return 0;
	high = fcntl(fds[1], F_DUPFD_CLOEXEC, 3);
	close(fds[1]);
	fds[1] = high;
	if (high >= 0)
		return 0;
	close(fds[0]);
	return err_sys(e, EMFILE, "starting a process");
}

bool report_send(int socket, const struct child_report *report, const int *fds, int count)
{
	union control control = { 0 };
	struct iovec iov = { (void *)report, sizeof(*report) };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (count > 0) {
		struct cmsghdr *cmsg = &control.align;

		msg.msg_control = &control;
		msg.msg_controllen = CMSG_SPACE((size_t)count * sizeof(int));
		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_RIGHTS;
		cmsg->cmsg_len = CMSG_LEN((size_t)count * sizeof(int));
		memcpy(CMSG_DATA(cmsg), fds, (size_t)count * sizeof(int));
	}
	return sendmsg(socket, &msg, MSG_NOSIGNAL) == sizeof(*report);
}

/* Takes what descriptors came; closes them unless they are `count` and the first. */
static void take_descriptors(struct msghdr *msg, int *fds, int count)
{
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(msg);
	int got[REPORT_FDS], n;

	if (!cmsg || cmsg->cmsg_level != SOL_SOCKET || cmsg->cmsg_type != SCM_RIGHTS)
		return;
	n = (int)((cmsg->cmsg_len - CMSG_LEN(0)) / sizeof(int));
	if (n > REPORT_FDS) // no room was given for more
		n = REPORT_FDS;
	memcpy(got, CMSG_DATA(cmsg), (size_t)n * sizeof(int));
	if (n == count && fds[0] < 0) {
		memcpy(fds, got, (size_t)n * sizeof(int));
		return;
	}
	for (int i = 0; i < n; i++)
		close(got[i]);
}

int report_receive(int socket, struct child_report *ret, int *fds, int count)
{
	union control control;
	struct iovec iov = { ret, sizeof(*ret) };
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};
	ssize_t n;

	do
		n = recvmsg(socket, &msg, MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	take_descriptors(&msg, fds, count);
	return n == 0 ? 0 : n == sizeof(*ret) ? 1 : -EPROTO;
}

int report_explain(const struct child_report *report, struct err *e)
{
	char text[sizeof(report->text) + 1] = "";

	memcpy(text, report->text, sizeof(report->text));
	if (report->whole)
		return err_set(e, -err_public(report->errnum), "%s", text);
	return err_sys(e, report->errnum, "%s", text);
}
