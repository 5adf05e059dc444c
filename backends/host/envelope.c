/* Descriptors in envelopes: see envelope.h; unix(7). */
#include "backends/host/envelope.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Room for one descriptor. */
union control {
	struct cmsghdr head;
	char space[CMSG_SPACE(sizeof(int))];
};

static int put(int socket, int fd)
{
	union control control = { .head = { .cmsg_len = CMSG_LEN(sizeof(int)),
					    .cmsg_level = SOL_SOCKET,
					    .cmsg_type = SCM_RIGHTS } };
	char byte = 0;
	struct iovec iov = { &byte, 1 };
	struct msghdr msg = { .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = &control,
			      .msg_controllen = sizeof(control) };

	memcpy(CMSG_DATA(&control.head), &fd, sizeof(fd));
	return sendmsg(socket, &msg, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 ? -errno : 0;
}

int envelope_seal(int fd, int *ret, struct err *e)
{
	int ends[2], rc;

	/* Of datagrams: no other socket that is handed on has that type. */
	if (socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, ends) < 0) {
		rc = err_sys(e, errno, "an envelope");
		close(fd);
		return rc;
	}
	rc = put(ends[0], fd);
	close(ends[0]);
	close(fd);
	if (rc < 0) {
		close(ends[1]);
		return err_sys(e, -rc, "an envelope");
	}
	*ret = ends[1];
	return 0;
}

/* -errno when there is none. */
static int take(int socket)
{
	union control control;
	char byte;
	struct iovec iov = { &byte, 1 };
	struct msghdr msg = { .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = &control,
			      .msg_controllen = sizeof(control) };
	int fd;

	if (recvmsg(socket, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC) < 0)
		return -errno;
	if (msg.msg_controllen < CMSG_LEN(sizeof(int)) || control.head.cmsg_level != SOL_SOCKET ||
	    control.head.cmsg_type != SCM_RIGHTS)
		return -EINVAL;
	memcpy(&fd, CMSG_DATA(&control.head), sizeof(fd));
	return fd;
}

int envelope_open(int *fd, struct err *e)
{
	socklen_t len = sizeof(int);
	int type, taken;

	if (getsockopt(*fd, SOL_SOCKET, SO_TYPE, &type, &len) < 0 || type != SOCK_DGRAM)
		return 0;
	taken = take(*fd);
	if (taken < 0)
		return err_set(e, -EINVAL, "an envelope without a descriptor");
	close(*fd);
	*fd = taken;
	return 0;
}
