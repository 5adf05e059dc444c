/*
 * session_bench RUNS floor PID: the least that executing /bin/true in a running container can cost:
 * a process that enters the namespaces of PID by one setns, one that it forks there, exec, the end.
 * session_bench RUNS start CONTAINER: a session's start to its end, by ctl and wait.
 * session_bench RUNS life CONTAINER: mkdir, argv, start, wait, rmdir.
 */
#include <sched.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "bench.h"

#define NAMESPACES \
	(CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWCGROUP)

static void put(const char *dir, const char *file, const char *text)
{
	char path[400];

	snprintf(path, sizeof(path), "%s/%s", dir, file);
	put_file(path, text);
}

__attribute__((noreturn)) static void enter(int pidfd)
{
	char program[] = "/bin/true", *const argv[] = { program, NULL }, *const env[] = { NULL };
	int status;
	pid_t pid;

	if (setns(pidfd, NAMESPACES))
		give_up("setns");
	pid = fork();
	if (pid == 0) {
		execve(argv[0], argv, env);
		_exit(127);
	}
	_exit(pid < 0 || waitpid(pid, &status, 0) < 0 || status);
}

static void floor_once(int pidfd)
{
	int status;
	pid_t pid = fork();

	if (pid == 0)
		enter(pidfd);
	if (pid < 0 || waitpid(pid, &status, 0) < 0 || status)
		give_up("entering the container");
}

static void session_make(const char *dir)
{
	if (mkdir(dir, 0755))
		give_up(dir);
	put(dir, "argv", "/bin/true\n");
}

static void session_run(const char *dir)
{
	put(dir, "ctl", "start\n");
	put(dir, "wait", "stopped 10\n");
}

static void session_remove(const char *dir)
{
	if (rmdir(dir))
		give_up(dir);
}

int main(int argc, char **argv)
{
	static struct samples s;
	int runs, pidfd = -1;
	char dir[300];
	char what;

	if (argc != 4)
		return 2;
	runs = runs_arg(argv[1]);
	what = argv[2][0];
	prctl(PR_SET_TIMERSLACK, 1);
	if (what == 'f')
		pidfd = (int)syscall(SYS_pidfd_open, atoi(argv[3]), 0);
	if (what == 'f' && pidfd < 0)
		give_up("pidfd_open");
	snprintf(dir, sizeof(dir), "%s/exec/bench", argv[3]);
	if (what == 's')
		session_make(dir);
	for (int i = -3; i < runs; i++) {
		double start = now_us();

		if (what == 'f')
			floor_once(pidfd);
		if (what == 'l')
			session_make(dir);
		if (what != 'f')
			session_run(dir);
		if (what == 'l')
			session_remove(dir);
		if (i >= 0)
			sample_add(&s, now_us() - start);
	}
	if (what == 's')
		session_remove(dir);
	sample_print(&s);
	return 0;
}
