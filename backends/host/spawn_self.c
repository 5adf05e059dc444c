/* This program once more, as a helper: see spawn.h. */
#include "backends/host/spawn.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

int spawn_self(char **argv, char **env, int program, int fd_as, pid_t *ret_pid, int *ret_fd,
	       struct err *e)
{
	char *none[] = { NULL };
	struct spawn spawn = {
		.exe = "/proc/self/exe",
		.program = program,
		.argv = argv,
		.env = env ? env : none,
		.fd_as = fd_as,
		.cgroup = -1,
	};
	int fds[2], rc;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) < 0)
		return err_sys(e, errno, "%s", argv[0]);
	spawn.fd = fds[1];
	rc = spawn_process(&spawn, ret_pid, e);
	close(fds[1]);
	if (rc < 0)
		close(fds[0]);
	else
		*ret_fd = fds[0];
	return rc;
}
