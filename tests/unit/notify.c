/* Unit test of notify_send(): what a service manager's socket receives. */
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "fs/notify.h"
#include "tests/unit/tap.h"

static int manager(const char *name)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);

	memcpy(sun.sun_path, name, strlen(name));
	if (name[0] == '@')
		sun.sun_path[0] = '\0';
	else
		unlink(name);
	if (bind(fd, (struct sockaddr *)&sun,
		 (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(name))) < 0)
		ok(false, "bind %s: %s", name, strerror(errno));
	setenv("NOTIFY_SOCKET", name, 1);
	return fd;
}

/* The text that has come, and how many descriptors; the first stays open as *ret_fd. */
static const char *heard(int fd, int *ret_nfds, int *ret_fd)
{
	static char text[256];
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(int) * NOTIFY_FDS_MAX)];
	} control;
	struct iovec iov = { text, sizeof(text) - 1 };
	struct msghdr msg = { .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = &control,
			      .msg_controllen = sizeof(control) };
	ssize_t n = recvmsg(fd, &msg, 0);
	int *fds = (int *)CMSG_DATA(&control.header);

	text[n < 0 ? 0 : n] = '\0';
	*ret_nfds = 0;
	if (n >= 0 && CMSG_FIRSTHDR(&msg))
		*ret_nfds = (int)((control.header.cmsg_len - CMSG_LEN(0)) / sizeof(int));
	for (int i = 1; i < *ret_nfds; i++)
		close(fds[i]);
	*ret_fd = *ret_nfds ? fds[0] : -1;
	return text;
}

int main(void)
{
	char path[120], longer[200];
	int fd, nfds, got, many[NOTIFY_FDS_MAX + 1];
	const char *tmp = getenv("TEST_TMP");
	struct stat x, y;

	unsetenv("NOTIFY_SOCKET");
	ok(notify_send("READY=1", NULL, 0) == 0, "without a manager nobody is told");
	setenv("NOTIFY_SOCKET", "", 1);
	ok(notify_send("READY=1", NULL, 0) == 0, "nor when the name is empty");

	snprintf(path, sizeof(path), "%s/notify", tmp ? tmp : "/tmp");
	fd = manager(path);
	ok(notify_send("READY=1\nSTATUS=all well", NULL, 0) == 1, "a path");
	ok(!strcmp(heard(fd, &nfds, &got), "READY=1\nSTATUS=all well") && nfds == 0,
	   "gets the lines as they are");
	for (int i = 0; i <= NOTIFY_FDS_MAX; i++)
		many[i] = fd;
	ok(notify_send("FDSTORE=1", many, 1) == 1 && !strcmp(heard(fd, &nfds, &got), "FDSTORE=1") &&
		   nfds == 1 && fstat(fd, &x) == 0 && fstat(got, &y) == 0 && x.st_ino == y.st_ino,
	   "a descriptor goes along");
	close(got);
	ok(notify_send("FDSTORE=1", many, NOTIFY_FDS_MAX) == 1 && heard(fd, &nfds, &got) &&
		   nfds == NOTIFY_FDS_MAX,
	   "so do %d", NOTIFY_FDS_MAX);
	close(got);
	ok(notify_send("FDSTORE=1", many, NOTIFY_FDS_MAX + 1) == -EINVAL, "not one more");
	for (nfds = 0; nfds < 100000 && notify_send("WATCHDOG=1", NULL, 0) == 1; nfds++)
		;
	ok(notify_send("READY=1", NULL, 0) == -EAGAIN,
	   "a manager that does not listen stops nobody");
	close(fd);
	ok(notify_send("READY=1", NULL, 0) == -ECONNREFUSED, "one that has gone is an error");
	unlink(path);

	snprintf(path, sizeof(path), "@machinefs-test-%d", (int)getpid());
	fd = manager(path);
	ok(notify_send("STOPPING=1", NULL, 0) == 1 && !strcmp(heard(fd, &nfds, &got), "STOPPING=1"),
	   "an abstract name");
	close(fd);
	setenv("NOTIFY_SOCKET", "vsock:2:1", 1);
	ok(notify_send("READY=1", NULL, 0) == -EINVAL, "no other kind of address");
	memset(longer, 'x', sizeof(longer));
	longer[0] = '/';
	longer[sizeof(longer) - 1] = '\0';
	setenv("NOTIFY_SOCKET", longer, 1);
	ok(notify_send("READY=1", NULL, 0) == -EINVAL, "none that is too long");
	fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	ok(fd < 8, "no descriptor is left");
	return tap_done();
}
