/* Who is there as long as a container or a session runs: see oci.h. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "examples/oci/oci.h"

#define KEEPER_DONE 'd' /* to its guard */

/* Handed on to what is kept. */
static const int forwarded[] = { SIGHUP,  SIGINT,  SIGQUIT,  SIGTERM, SIGUSR1,
				 SIGUSR2, SIGCONT, SIGWINCH, SIGALRM };

static int watch_signals(struct err *e)
{
	sigset_t set;
	int fd;

	sigemptyset(&set);
	for (size_t i = 0; i < sizeof(forwarded) / sizeof(forwarded[0]); i++)
		sigaddset(&set, forwarded[i]);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return fd < 0 ? err_sys(e, errno, "signals") : fd;
}

/* False: there is nothing to be ended. True also while nobody serves the tree. */
static bool end_held(const struct keeper *k)
{
	struct err e = { 0 };

	return tree_write(k->dir, "ctl", "kill\n", &e) == 0 || e.code != -EBUSY;
}

/*
 * Before its program runs there is nothing to hand it on to: then it ends what is kept, and us.
 * True: there is nothing to end.
 */
static bool take_signal(struct keeper *k, int fd, int *ret_status)
{
	struct signalfd_siginfo info;

	if (read(fd, &info, sizeof(info)) != sizeof(info))
		return false;
	if (info.ssi_signo == SIGWINCH) {
		streams_resize(&k->streams);
		return false;
	}
	if (!k->released && info.ssi_signo != SIGCONT) {
		*ret_status = k->told = (int)info.ssi_signo;
		return !end_held(k);
	}
	tree_writef(k->dir, "ctl", NULL, "signal %u", info.ssi_signo);
	return false;
}

/* "exited 3", "signaled 9", or why it failed, as a wait status. */
static int ending_status(const char *text)
{
	int n = 0;

	if (sscanf(text, "exited %d", &n) == 1)
		return W_EXITCODE(n & 0xff, 0);
	if (sscanf(text, "signaled %d", &n) == 1)
		return n & 0x7f;
	return W_EXITCODE(255, 0);
}

/* What is kept runs on while nobody serves the tree; then it is looked for again, so often. */
#define LOST_MS 200

static void lose(struct keeper *k)
{
	if (k->state >= 0)
		close(k->state);
	k->state = -1;
}

/* 0 also while it cannot be known; 1: it has been removed. */
static int find(struct keeper *k, int *ret_status)
{
	char path[PATH_MAX];

	k->state = open(tree_path(path, k->dir, "state"), O_RDONLY | O_CLOEXEC);
	if (k->state >= 0 || errno != ENOENT ||
	    access(tree_path(path, k->oci->tree, "version"), F_OK) < 0)
		return 0;
	*ret_status = SIGKILL;
	return 1;
}

/* Reads the state anew, which also makes poll(2) wait for the next. 1: it has ended. */
static int look(struct keeper *k, int *ret_status)
{
	struct text ending = TEXT_INIT;
	char word[32];
	ssize_t n = pread(k->state, word, sizeof(word) - 1, 0);
	int rc = 0;

	if (n < 0) {
		lose(k);
		return 0;
	}
	word[n] = '\0';
	word[strcspn(word, "\n")] = '\0';
	if (!strcmp(word, "running"))
		k->released = true;
	if (k->released || !strncmp(word, "prepar", 6))
		k->streams.started = true;
	if (k->told && !k->released)
		end_held(k);
	if (strcmp(word, "stopped") && strcmp(word, "failed"))
		return 0;
	if (tree_read(k->dir, "exit", &ending, NULL) < 0) {
		lose(k);
	} else if (ending.len) {
		*ret_status = k->told ? k->told : ending_status(text_str(&ending));
		rc = 1;
	}
	text_free(&ending);
	return rc;
}

/* True when that was the end: what is kept has ended, or we are to, before it was started. */
static bool turn(struct keeper *k, int signals, int *ret_status)
{
	struct pollfd fds[STREAMS_POLLS + 2];

	if (k->state < 0 && (find(k, ret_status) || (k->state >= 0 && look(k, ret_status))))
		return true;
	streams_poll(&k->streams, fds);
	fds[STREAMS_POLLS] = (struct pollfd){ .fd = k->state, .events = POLLPRI };
	fds[STREAMS_POLLS + 1] = (struct pollfd){ .fd = signals, .events = POLLIN };
	if (poll(fds, STREAMS_POLLS + 2, k->state < 0 ? LOST_MS : -1) < 0)
		return false;
	streams_turn(&k->streams, fds);
	if (fds[STREAMS_POLLS + 1].revents && take_signal(k, signals, ret_status))
		return true;
	return k->state >= 0 && fds[STREAMS_POLLS].revents && look(k, ret_status);
}

int keeper_run(struct keeper *k, int *ret_status, struct err *e)
{
	int signals = watch_signals(e);

	if (signals < 0)
		return signals;
	k->state = -1;
	k->released = false;
	k->told = 0;
	while (!turn(k, signals, ret_status))
		;
	streams_drain(&k->streams);
	streams_close(&k->streams);
	lose(k);
	close(signals);
	return 0;
}

/* Ends as what was kept did, so that who waits for us learns it. */
static _Noreturn void end_as(int status)
{
	const struct rlimit none = { 0, 0 };
	sigset_t all;

	if (WIFSIGNALED(status)) {
		setrlimit(RLIMIT_CORE, &none);
		signal(WTERMSIG(status), SIG_DFL);
		sigfillset(&all);
		sigprocmask(SIG_UNBLOCK, &all, NULL);
		raise(WTERMSIG(status));
	}
	_exit(WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status));
}

/* Who has the other end of a terminal is not to wait for us, too. */
static void leave_streams(void)
{
	int fd = open("/dev/null", O_RDWR | O_CLOEXEC);

	for (int i = 0; fd >= 0 && i < 3; i++)
		dup2(fd, i);
	if (fd >= 3)
		close(fd);
}

/* ---- what happens when the keeper is killed ---- */

/* A container's; a session's directory is never another's. */
static void read_uuid(const struct keeper *k, struct text *out)
{
	if (!k->session)
		tree_read(k->dir, "uuid", out, NULL);
}

/* As whoever kills what --pid-file named expects of it. */
static void kill_kept(const struct keeper *k, const struct text *uuid)
{
	const struct timespec moment = { .tv_nsec = LOST_MS * 1000000L };

	for (int i = 0; i < 50; i++) {
		struct text now = TEXT_INIT;
		struct err e = { 0 };
		bool same;

		read_uuid(k, &now);
		same = !strcmp(text_str(&now), text_str(uuid));
		text_free(&now);
		/* Refused is one that does not run; while nobody serves the tree it is EIO. */
		if (same && (tree_write(k->dir, "ctl", "kill\n", &e) == 0 || e.code == -EBUSY))
			return;
		nanosleep(&moment, NULL);
	}
}

/*
 * A process that learns by a pipe's end that the keeper has died without a word. It holds nothing
 * else, so that nobody waits for it.
 */
static _Noreturn void guard(const struct keeper *k, int word)
{
	struct text uuid = TEXT_INIT;
	sigset_t all;
	char byte = 0;

	setsid();
	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, NULL);
	dup2(word, 3);
	syscall(SYS_close_range, 4, ~0u, 0);
	leave_streams();
	read_uuid(k, &uuid);
	while (read(3, &byte, 1) < 0 && errno == EINTR)
		;
	if (byte != KEEPER_DONE)
		kill_kept(k, &uuid);
	_exit(0);
}

/* Where the word is to be said, or -1: then there is no guard. */
static int guard_start(const struct keeper *k)
{
	int ends[2];
	pid_t pid;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return -1;
	pid = fork();
	if (pid == 0) {
		close(ends[1]);
		guard(k, ends[0]);
	}
	close(ends[0]);
	return ends[1];
}

int keeper_start(struct keeper *k, pid_t *ret_pid, struct err *e)
{
	int status = W_EXITCODE(255, 0), guarded;
	pid_t pid = fork();

	if (pid < 0)
		return err_sys(e, errno, "a keeper");
	*ret_pid = pid;
	if (pid > 0)
		return 0;
	setsid();
	if (k->streams.terminal)
		leave_streams();
	guarded = guard_start(k);
	if (chdir("/") < 0 || keeper_run(k, &status, NULL) < 0)
		status = W_EXITCODE(255, 0);
	keeper_forget(k);
	if (guarded >= 0 && write(guarded, &(char){ KEEPER_DONE }, 1) < 0)
		status = W_EXITCODE(255, 0);
	end_as(status);
}

void keeper_forget(const struct keeper *k)
{
	if (!k->session)
		return;
	rmdir(k->dir);
	rmdir(k->kept);
}
