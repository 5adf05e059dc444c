/*
 * box [-t SECONDS] [-d DIR] COMMAND...: runs one test so that nothing of it stays behind.
 *
 * The test gets a session of its own, a time limit, and, as root, a pid and a mount namespace
 * with a fresh tmpfs on DIR: when it ends, or its time is over, or this program dies, every
 * process it left dies and every mount it made goes. An ordinary user gets the same by a child
 * subreaper that kills what is left; mounts are then the caller's to clean.
 *
 * SIGTERM, SIGINT and SIGHUP are passed on to the test as SIGTERM, and so is the end of its time;
 * it has GRACE seconds to clean up what is outside its box, its control groups, then it is killed.
 *
 * Ends with the test's status; 128 + N after a signal; 124 after the time limit, having printed
 * TAP's "Bail out!". It knows nothing else of TAP, and nothing of machinefs.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <linux/sched.h>

#define BOX_TIMEOUT 124
#define BOX_BROKEN  125
#define GRACE	    10

static volatile sig_atomic_t below; /* the process to which signals are passed on */

static void pass_on(int signo)
{
	if (signo == SIGALRM) {
		kill((pid_t)below, SIGKILL);
	} else if (below) {
		kill((pid_t)below, SIGTERM);
		alarm(GRACE);
	}
}

static void signals_pass_on(pid_t pid)
{
	static const int signals[] = { SIGTERM, SIGINT, SIGHUP, SIGALRM };
	struct sigaction action = { .sa_handler = pass_on };

	below = pid;
	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		sigaction(signals[i], &action, NULL);
}

static int status_code(int status)
{
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

static pid_t fork_into(uint64_t flags)
{
	struct clone_args args = { .flags = flags, .exit_signal = SIGCHLD };

	return (pid_t)syscall(SYS_clone3, &args, sizeof(args));
}

static pid_t test_spawn(char **argv)
{
	pid_t pid = fork();

	if (pid == 0) {
		setsid();
		/* A shell cannot trap what was ignored before it, as a job's SIGINT is. */
		for (int signo = 1; signo < SIGRTMIN; signo++)
			signal(signo, SIG_DFL);
		execvp(argv[0], argv);
		fprintf(stderr, "box: %s: %s\n", argv[0], strerror(errno));
		_exit(127);
	}
	return pid;
}

/* Reaps whatever dies until the test itself has; returns its exit code. */
static int test_reap(pid_t test)
{
	int status;

	signals_pass_on(test);
	for (;;) {
		pid_t pid = wait(&status);

		if (pid == test)
			return status_code(status);
		if (pid < 0 && errno != EINTR)
			return BOX_BROKEN;
	}
}

/* Runs as process 1 of the pid namespace: its end is the end of all others. */
static int box_init(const char *dir, char **argv)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) ||
	    (dir && mount("tmpfs", dir, "tmpfs", MS_NOSUID, "mode=0755"))) {
		perror("box: mount");
		return BOX_BROKEN;
	}
	return test_reap(test_spawn(argv));
}

/* The middle process of an ordinary user's box: everything left becomes its child. */
static int box_subreaper(char **argv)
{
	char path[64], list[4096];
	ssize_t n;
	int code;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	code = test_reap(test_spawn(argv));
	snprintf(path, sizeof(path), "/proc/self/task/%d/children", (int)getpid());
	for (;;) {
		int fd = open(path, O_RDONLY | O_CLOEXEC);

		n = fd < 0 ? 0 : read(fd, list, sizeof(list) - 1);
		if (fd >= 0)
			close(fd);
		if (n <= 0)
			return code;
		list[n] = '\0';
		for (char *p = strtok(list, " "); p; p = strtok(NULL, " "))
			kill((pid_t)atoi(p), SIGKILL);
		while (waitpid(-1, NULL, 0) > 0)
			;
	}
}

/* Waits for the middle process, at most so many seconds; returns the box's exit code. */
static int box_wait(pid_t pid, int seconds)
{
	struct pollfd fd = { .fd = (int)syscall(SYS_pidfd_open, pid, 0), .events = POLLIN };
	int status, late = 0;

	signals_pass_on(pid);
	if (fd.fd >= 0 && poll(&fd, 1, seconds * 1000) == 0) {
		late = 1;
		printf("\nBail out! timed out after %d s\n", seconds);
		fflush(stdout);
		pass_on(SIGTERM);
	}
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return BOX_BROKEN;
	return late ? BOX_TIMEOUT : status_code(status);
}

int main(int argc, char **argv)
{
	const char *dir = NULL;
	int seconds = 120, opt;
	pid_t pid;

	while ((opt = getopt(argc, argv, "+t:d:")) != -1) {
		if (opt == 't')
			seconds = atoi(optarg);
		else if (opt == 'd')
			dir = optarg;
		else
			return BOX_BROKEN;
	}
	if (optind == argc || seconds <= 0) {
		fprintf(stderr, "usage: box [-t SECONDS] [-d DIR] COMMAND...\n");
		return BOX_BROKEN;
	}
	fflush(NULL);
	pid = fork_into(CLONE_NEWPID | CLONE_NEWNS);
	if (pid == 0)
		_exit(box_init(dir, argv + optind));
	if (pid < 0 && errno == EPERM) {
		pid = fork_into(0);
		if (pid == 0)
			_exit(box_subreaper(argv + optind));
	}
	if (pid < 0) {
		perror("box: clone3");
		return BOX_BROKEN;
	}
	return box_wait(pid, seconds);
}
