/* Telling a service manager: see notify.h. */
#include "fs/notify.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* A path, or '@' and a name in the abstract name space. Returns its length, or -errno. */
static int notify_address(const char *name, struct sockaddr_un *sun)
{
	size_t len = strlen(name);

	*sun = (struct sockaddr_un){ .sun_family = AF_UNIX };
	if ((name[0] != '/' && name[0] != '@') || len < 2 || len >= sizeof(sun->sun_path))
		return -EINVAL;
	memcpy(sun->sun_path, name, len);
	if (name[0] == '@')
		sun->sun_path[0] = '\0';
	return (int)(offsetof(struct sockaddr_un, sun_path) + len);
}

int notify_send(const char *state, const int *fds, int nfds)
{
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(int) * NOTIFY_FDS_MAX)];
	} control = { 0 };
	const char *name = getenv("NOTIFY_SOCKET");
	struct sockaddr_un sun;
	struct iovec iov = { (void *)state, strlen(state) };
	struct msghdr msg = { .msg_name = &sun, .msg_iov = &iov, .msg_iovlen = 1 };
	int fd, rc;

	if (!name || !*name)
		return 0;
	if (nfds < 0 || nfds > NOTIFY_FDS_MAX)
		return -EINVAL;
	rc = notify_address(name, &sun);
	if (rc < 0)
		return rc;
	msg.msg_namelen = (socklen_t)rc;
	if (nfds) {
		control.header.cmsg_level = SOL_SOCKET;
		control.header.cmsg_type = SCM_RIGHTS;
		control.header.cmsg_len = CMSG_LEN(sizeof(int) * (size_t)nfds);
		memcpy(CMSG_DATA(&control.header), fds, sizeof(int) * (size_t)nfds);
		msg.msg_control = &control;
		msg.msg_controllen = CMSG_SPACE(sizeof(int) * (size_t)nfds);
	}
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	rc = sendmsg(fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -errno : 1;
	close(fd);
	return rc;
}
