/* The keeper: see keeper.h. */
#include "fs/handover/keeper.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "fs/front/fuse_mount.h"
#include "fs/log.h"

#define KEPT_MAX       8
#define LISTEN_FIRST   3  /* SD_LISTEN_FDS_START */
#define DEATHS_MAX     5  /* so many within ... */
#define DEATHS_SECONDS 10 /* ... so long, and there is no sense in another */

struct kept {
	char name[32];
	int fd;
};

struct keeper {
	const struct daemon_options *options;
	int ready; /* a pipe to who waits for the mount; -1: it is told */
	int signals;
	int socket; /* where the daemon notifies */
	char address[32];
	pid_t daemon;
	struct kept kept[KEPT_MAX];
	int nkept;
	time_t deaths[DEATHS_MAX]; /* the last ones, a ring */
	unsigned ndeaths;
};

/* ---- the daemon ---- */

/* In the child: what is kept goes to 3 and on. Only what may be called after fork. */
static void daemon_exec(struct keeper *k)
{
	char names[KEPT_MAX * sizeof(k->kept[0].name)] = "", pid[24], n[8];
	char *argv[OPTIONS_ARGV_MAX];
	sigset_t none;

	for (int i = 0; i < k->nkept; i++)
		k->kept[i].fd = fcntl(k->kept[i].fd, F_DUPFD_CLOEXEC, LISTEN_FIRST + KEPT_MAX);
	for (int i = 0; i < k->nkept; i++) {
		if (dup2(k->kept[i].fd, LISTEN_FIRST + i) < 0)
			return;
		snprintf(names + strlen(names), sizeof(names) - strlen(names), "%s%s", i ? ":" : "",
			 k->kept[i].name);
	}
	snprintf(pid, sizeof(pid), "%d", getpid());
	snprintf(n, sizeof(n), "%d", k->nkept);
	setenv("NOTIFY_SOCKET", k->address, 1);
	setenv("LISTEN_PID", pid, 1);
	setenv("LISTEN_FDS", n, 1);
	setenv("LISTEN_FDNAMES", names, 1);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	options_argv(k->options, argv);
	execv(k->options->exe, argv);
}

static int daemon_spawn(struct keeper *k)
{
	k->daemon = fork();
	if (k->daemon < 0)
		return -errno;
	if (k->daemon == 0) {
		daemon_exec(k);
		fprintf(stderr, "machinefs: %s: %s\n", k->options->exe, strerror(errno));
		_exit(1);
	}
	return 0;
}

/* ---- what it tells ---- */

static void keeper_forget(struct keeper *k, const char *name)
{
	for (int i = 0; i < k->nkept; i++)
		if (!strcmp(k->kept[i].name, name)) {
			close(k->kept[i].fd);
			k->kept[i--] = k->kept[--k->nkept];
		}
}

static void keeper_keep(struct keeper *k, const char *name, int fd)
{
	keeper_forget(k, name);
	if (k->nkept == KEPT_MAX) {
		close(fd);
		return;
	}
	snprintf(k->kept[k->nkept].name, sizeof(k->kept[0].name), "%s", name);
	k->kept[k->nkept++].fd = fd;
}

/* From now on it is a daemon as others are: nobody reads what it prints. */
static void keeper_ready(struct keeper *k)
{
	int null;

	if (k->ready < 0)
		return;
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	for (int i = 0; null >= 0 && i < 3; i++)
		dup2(null, i);
	if (null > 2)
		close(null);
	(void)!write(k->ready, "", 1); /* fails when who waited was killed */
	close(k->ready);
	k->ready = -1;
}

/* Lines of one datagram; fd: what came with it, or -1. */
static void keeper_told(struct keeper *k, char *text, int fd)
{
	char name[sizeof(k->kept[0].name)] = "stored";
	bool store = false, forget = false;

	for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
		if (!strcmp(line, "READY=1"))
			keeper_ready(k);
		else if (!strcmp(line, "FDSTORE=1"))
			store = true;
		else if (!strcmp(line, "FDSTOREREMOVE=1"))
			forget = true;
		else if (!strncmp(line, "FDNAME=", 7))
			snprintf(name, sizeof(name), "%s", line + 7);
	}
	if (store && fd >= 0)
		keeper_keep(k, name, fd);
	else if (fd >= 0)
		close(fd);
	if (forget)
		keeper_forget(k, name);
}

/* Only the daemon is believed: anybody can send to the socket. */
static void keeper_receive(struct keeper *k)
{
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(int)) + CMSG_SPACE(sizeof(struct ucred))];
	} control;
	char text[256];
	struct iovec iov = { text, sizeof(text) - 1 };
	struct msghdr msg = { .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = &control,
			      .msg_controllen = sizeof(control) };
	ssize_t n = recvmsg(k->socket, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	pid_t from = 0;
	int fd = -1;

	if (n < 0)
		return;
	text[n] = '\0';
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&msg); c; c = CMSG_NXTHDR(&msg, c)) {
		if (c->cmsg_type == SCM_RIGHTS)
			memcpy(&fd, CMSG_DATA(c), sizeof(fd));
		else if (c->cmsg_type == SCM_CREDENTIALS)
			from = ((struct ucred *)CMSG_DATA(c))->pid;
	}
	if (from == k->daemon)
		keeper_told(k, text, fd);
	else if (fd >= 0)
		close(fd);
}

static int keeper_listen(struct keeper *k)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	socklen_t len = offsetof(struct sockaddr_un, sun_path);
	const int on = 1;

	/* Without a name the kernel finds one in the abstract name space (unix(7), autobind). */
	k->socket = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (k->socket < 0 || setsockopt(k->socket, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)) < 0 ||
	    bind(k->socket, (struct sockaddr *)&sun, len) < 0)
		return -errno;
	len = sizeof(sun);
	if (getsockname(k->socket, (struct sockaddr *)&sun, &len) < 0)
		return -errno;
	len -= offsetof(struct sockaddr_un, sun_path);
	snprintf(k->address, sizeof(k->address), "@%.*s", (int)len - 1, sun.sun_path + 1);
	return 0;
}

/* ---- its end ---- */

/* The daemon's last words may still be in the socket. */
static void keeper_drain(struct keeper *k)
{
	struct pollfd p = { .fd = k->socket, .events = POLLIN };

	while (poll(&p, 1, 0) > 0)
		keeper_receive(k);
}

static bool dies_too_often(struct keeper *k)
{
	struct timespec now;
	time_t *oldest = &k->deaths[k->ndeaths++ % DEATHS_MAX];
	bool often;

	clock_gettime(CLOCK_MONOTONIC, &now);
	often = k->ndeaths > DEATHS_MAX && now.tv_sec - *oldest < DEATHS_SECONDS;
	*oldest = now.tv_sec;
	return often;
}

static const struct kept *keeper_mount(const struct keeper *k)
{
	for (int i = 0; i < k->nkept; i++)
		if (!strcmp(k->kept[i].name, "fuse") && mount_alive(k->kept[i].fd))
			return &k->kept[i];
	return NULL;
}

/* Returns -1 to go on with another daemon, or main's result. */
static int keeper_bury(struct keeper *k, int status)
{
	const struct kept *mount;

	keeper_drain(k);
	mount = keeper_mount(k);
	if (!WIFSIGNALED(status))
		return WEXITSTATUS(status);
	if (!mount || k->ready >= 0)
		return 1;
	if (!dies_too_often(k)) {
		log_line(LOG_LEVEL_ERROR, "the daemon was killed by signal %d; starting another",
			 WTERMSIG(status));
		return daemon_spawn(k) < 0 ? 1 : -1;
	}
	log_line(LOG_LEVEL_ERROR, "the daemon was killed by signal %d, once more; giving up",
		 WTERMSIG(status));
	mount_end(k->options->mountpoint, mount->fd);
	return 1;
}

/* SIGCHLD, or what is meant for the daemon. Returns as keeper_bury() does. */
static int keeper_signal(struct keeper *k)
{
	struct signalfd_siginfo info;
	int status;

	if (read(k->signals, &info, sizeof(info)) != sizeof(info))
		return -1;
	if (info.ssi_signo != SIGCHLD) {
		kill(k->daemon, (int)info.ssi_signo);
		return -1;
	}
	return waitpid(k->daemon, &status, WNOHANG) == k->daemon ? keeper_bury(k, status) : -1;
}

static int keeper_run(struct keeper *k)
{
	struct pollfd p[2] = { { .events = POLLIN }, { .events = POLLIN } };
	int rc = -1;

	p[0].fd = k->signals;
	p[1].fd = k->socket;
	while (rc < 0) {
		if (poll(p, 2, -1) < 0)
			continue;
		if (p[1].revents)
			keeper_receive(k);
		if (p[0].revents)
			rc = keeper_signal(k);
	}
	return rc;
}

static int keeper_main(const struct daemon_options *o, int ready)
{
	struct keeper k = { .options = o, .ready = ready };
	sigset_t set;
	int rc;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	k.signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	rc = k.signals < 0 ? -errno : keeper_listen(&k);
	if (rc == 0)
		rc = daemon_spawn(&k);
	if (rc == 0)
		return keeper_run(&k);
	fprintf(stderr, "machinefs: cannot become a daemon: %s\n", strerror(-rc));
	return 1;
}

int keeper_start(const struct daemon_options *o)
{
	int fds[2];
	char byte;
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC) < 0 || (pid = fork()) < 0) {
		fprintf(stderr, "machinefs: cannot become a daemon: %s\n", strerror(errno));
		return 1;
	}
	if (pid > 0) {
		close(fds[1]);
		return read(fds[0], &byte, 1) == 1 ? 0 : 1;
	}
	close(fds[0]);
	setsid();
	(void)!chdir("/");
	return keeper_main(o, fds[1]);
}
