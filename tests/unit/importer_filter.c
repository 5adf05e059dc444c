/* The importer's system call filter, tried from inside. */
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "backends/image/importer_filter.h"
#include "tests/unit/tap.h"

/* How a process behind the filter ends that does this. */
static int ended(void (*does)(void))
{
	int status = -1;
	pid_t pid = fork();

	if (pid == 0) {
		prctl(PR_SET_DUMPABLE, 0);
		if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || importer_filter_install(NULL) < 0)
			_exit(9);
		does();
		_exit(0);
	}
	waitpid(pid, &status, 0);
	return status;
}

static void make_files(void)
{
	char path[64];
	int dir = open("/tmp", O_PATH | O_DIRECTORY | O_CLOEXEC), fd;

	snprintf(path, sizeof(path), "importer_filter.%d", getpid());
	if (mkdirat(dir, path, 0700) < 0 || unlinkat(dir, path, AT_REMOVEDIR) < 0)
		_exit(1);
	fd = openat(dir, path, O_RDWR | O_CREAT | O_EXCL, 0600);
	if (fd < 0 || unlinkat(dir, path, 0) < 0 || pwrite(fd, "x", 1, 4096) != 1 ||
	    lseek(fd, 0, SEEK_DATA) < 0 || fchmod(fd, 0400) < 0 || fsync(fd) < 0)
		_exit(2);
	free(malloc(1 << 20));
}

static void execute(void)
{
	execl("/bin/true", "true", NULL);
}

static void speak(void)
{
	socket(AF_UNIX, SOCK_STREAM, 0);
}

static void write_code(void)
{
	mmap(NULL, 4096, PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

static void make_code(void)
{
	void *p = mmap(NULL, 4096, PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	mprotect(p, 4096, PROT_EXEC);
}

static void trace(void)
{
	ptrace(PTRACE_TRACEME, 0, NULL, NULL);
}

static void multiply(void)
{
	fork();
}

static void signal_parent(void)
{
	kill(getppid(), SIGCONT);
}

int main(void)
{
	static const struct {
		const char *what;
		void (*does)(void);
	} forbidden[] __attribute__((unused)) = {
		{ "executes nothing", execute },     { "has no socket", speak },
		{ "maps no code", write_code },	     { "makes no code", make_code },
		{ "traces nobody", trace },	     { "makes no process", multiply },
		{ "signals nobody", signal_parent },
	};
	int status = ended(make_files);

	ok(WIFEXITED(status) && WEXITSTATUS(status) == 0, "files are made behind it");
#ifndef __SANITIZE_ADDRESS__
	for (size_t i = 0; i < sizeof(forbidden) / sizeof(forbidden[0]); i++) {
		status = ended(forbidden[i].does);
		ok(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS, "it %s", forbidden[i].what);
	}
#endif
	return tap_done();
}
