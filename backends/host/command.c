/* command_run(): see command.h. */
#include "backends/host/command.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static int spawn(char *const argv[], int said, pid_t *ret)
{
	static char *const env[] = { NULL };
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attributes;
	sigset_t set;
	int rc;

	posix_spawn_file_actions_init(&files);
	posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDWR, 0);
	posix_spawn_file_actions_adddup2(&files, said, 1);
	posix_spawn_file_actions_adddup2(&files, said, 2);
	posix_spawnattr_init(&attributes);
	posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
	sigemptyset(&set);
	posix_spawnattr_setsigmask(&attributes, &set);
	sigaddset(&set, SIGPIPE);
	posix_spawnattr_setsigdefault(&attributes, &set);
	rc = posix_spawn(ret, argv[0], &files, &attributes, argv, env);
	posix_spawn_file_actions_destroy(&files);
	posix_spawnattr_destroy(&attributes);
	return rc;
}

/* The first line of it. */
static void read_said(int fd, struct text *said)
{
	text_clear(said);
	if (lseek(fd, 0, SEEK_SET) < 0 || text_read_fd(said, fd) < 0)
		text_clear(said);
	if (said->data) {
		said->len = strcspn(said->data, "\n");
		said->data[said->len] = '\0';
	}
}

int command_run(char *const argv[], struct text *said, struct err *e)
{
	int fd = memfd_create("said", MFD_CLOEXEC), status = 0, rc;
	pid_t pid;

	if (fd < 0)
		return err_sys(e, errno, "%s", argv[0]);
	rc = spawn(argv, fd, &pid);
	if (rc) {
		close(fd);
		return err_sys(e, rc, "%s", argv[0]);
	}
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR) {
			close(fd);
			return err_sys(e, errno, "%s", argv[0]);
		}
	read_said(fd, said);
	close(fd);
	return status ? 1 : 0;
}
