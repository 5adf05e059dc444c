/* This machine's virtiofsd as the server of a virtio-fs device: for unit tests. */
#ifndef TESTS_UNIT_HARNESS_VIRTIOFSD_H
#define TESTS_UNIT_HARNESS_VIRTIOFSD_H

#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define VIRTIOFSD "/usr/lib/qemu/virtiofsd"

static bool virtiofsd_there(void)
{
	return geteuid() == 0 && access(VIRTIOFSD, X_OK) == 0;
}

/* It accepts one connection on a socket that we have connected to already, and ends with that. */
static pid_t virtiofsd_start(const char *dir, int *ret_fd)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	int listener = socket(AF_UNIX, SOCK_STREAM, 0), fd = socket(AF_UNIX, SOCK_STREAM, 0);
	char option[32], source[100];
	pid_t pid;

	snprintf(at.sun_path, sizeof(at.sun_path), "%s/socket", dir);
	unlink(at.sun_path);
	if (bind(listener, (struct sockaddr *)&at, sizeof(at)) < 0 || listen(listener, 1) < 0 ||
	    connect(fd, (struct sockaddr *)&at, sizeof(at)) < 0)
		abort();
	fcntl(fd, F_SETFD, FD_CLOEXEC);
	pid = fork();
	if (pid == 0) {
		int null = open("/dev/null", O_WRONLY);

		dup2(null, 2);
		snprintf(option, sizeof(option), "--fd=%d", listener);
		snprintf(source, sizeof(source), "source=%s", dir);
		execl(VIRTIOFSD, "virtiofsd", option, "-o", source, "-f", NULL);
		_exit(127);
	}
	close(listener);
	*ret_fd = fd;
	return pid;
}

#endif
