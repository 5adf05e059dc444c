/*
 * sock connect|listen ADDRESS: a stream socket on standard input and output, for tests: of one
 * connection. ADDRESS is unix:PATH, vsock:CID:PORT, or, to listen, vsock:PORT. What is read goes to
 * the socket, and its end, too; ends when that and the other side have ended. Status 1: no
 * connection, or none any more. Linked statically: it runs in guests.
 */
#include <errno.h>
#include <linux/vm_sockets.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

union address {
	struct sockaddr any;
	struct sockaddr_un unix_;
	struct sockaddr_vm vsock;
};

static void fail(const char *what)
{
	fprintf(stderr, "sock: %s: %s\n", what, strerror(errno));
	exit(1);
}

static socklen_t parse(const char *text, union address *ret)
{
	unsigned cid = VMADDR_CID_ANY, port;

	memset(ret, 0, sizeof(*ret));
	if (sscanf(text, "vsock:%u:%u", &cid, &port) == 2 || sscanf(text, "vsock:%u", &port) == 1) {
		ret->vsock.svm_family = AF_VSOCK;
		ret->vsock.svm_cid = strchr(text + 6, ':') ? cid : VMADDR_CID_ANY;
		ret->vsock.svm_port = port;
		return sizeof(ret->vsock);
	}
	if (strncmp(text, "unix:", 5) != 0 || strlen(text + 5) >= sizeof(ret->unix_.sun_path)) {
		errno = EINVAL;
		fail(text);
	}
	ret->unix_.sun_family = AF_UNIX;
	strcpy(ret->unix_.sun_path, text + 5);
	return sizeof(ret->unix_);
}

static int open_socket(bool listens, const char *text)
{
	union address a;
	socklen_t len = parse(text, &a);
	int fd = socket(a.any.sa_family, SOCK_STREAM, 0), one;

	if (fd < 0)
		fail("socket");
	if (!listens) {
		if (connect(fd, &a.any, len) < 0)
			fail(text);
		return fd;
	}
	if (bind(fd, &a.any, len) < 0 || listen(fd, 1) < 0)
		fail(text);
	one = accept(fd, NULL, NULL);
	if (one < 0)
		fail("accept");
	close(fd);
	return one;
}

static void write_all(int fd, const char *data, size_t len)
{
	while (len > 0) {
		ssize_t n = write(fd, data, len);

		if (n < 0)
			fail("write");
		data += n;
		len -= (size_t)n;
	}
}

/* Moves what is there; false at the end. */
static bool move(int from, int to)
{
	static char buffer[65536];
	ssize_t n = read(from, buffer, sizeof(buffer));

	if (n > 0)
		write_all(to, buffer, (size_t)n);
	return n > 0;
}

int main(int argc, char **argv)
{
	int fd, status = 0;
	pid_t pid;

	signal(SIGPIPE, SIG_IGN);
	if (argc != 3 || (strcmp(argv[1], "connect") != 0 && strcmp(argv[1], "listen") != 0)) {
		fputs("usage: sock connect|listen ADDRESS\n", stderr);
		return 2;
	}
	fd = open_socket(argv[1][0] == 'l', argv[2]);
	/* Each way by itself: two that both write first must not wait for each other. */
	pid = fork();
	if (pid < 0)
		fail("fork");
	if (pid == 0) {
		while (move(0, fd))
			continue;
		shutdown(fd, SHUT_WR);
		return 0;
	}
	while (move(fd, 1))
		continue;
	waitpid(pid, &status, 0);
	return status != 0;
}
