/* main(): the command line, becoming a daemon, and the order of beginning and end. */
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backends/opener.h"
#include "fs/daemon.h"
#include "fs/fuse.h"
#include "fs/launch.h"
#include "fs/log.h"
#include "fs/manual.h"
#include "fs/poker.h"

static const char usage[] =
	"usage: machinefs [options] [MOUNTPOINT]\n"
	"Virtual machines and containers as files. The default mount point is /run/machines.\n"
	"\n"
	"  -f, --foreground      stay in the foreground, log to stderr\n"
	"      --state-dir DIR   durable state, default /var/lib/machinefs\n"
	"      --run-dir DIR     sockets of running machines, default /run/machinefs\n"
	"  -o OPT[,OPT...]       mount options\n"
	"      --version, --help\n"
	"\n"
	"SIGTERM or an unmount ends the daemon and leaves the machines running; the next start\n"
	"finds them again. `echo shutdown > ctl` stops them first. See machinefs(8).\n";

enum long_option {
	OPTION_STATE_DIR = 256,
	OPTION_RUN_DIR,
	OPTION_VERSION,
	OPTION_HELP,
	OPTION_MONITOR,
	OPTION_OPENER,
	OPTION_MANUAL
};

static const struct option long_options[] = {
	{ "foreground", no_argument, NULL, 'f' },
	{ "state-dir", required_argument, NULL, OPTION_STATE_DIR },
	{ "run-dir", required_argument, NULL, OPTION_RUN_DIR },
	{ "version", no_argument, NULL, OPTION_VERSION },
	{ "help", no_argument, NULL, OPTION_HELP },
	/* For the daemon and the build themselves: */
	{ "monitor", no_argument, NULL, OPTION_MONITOR },
	{ "opener", no_argument, NULL, OPTION_OPENER },
	{ "manual", no_argument, NULL, OPTION_MANUAL },
	{ NULL, 0, NULL, 0 },
};

/* Returns -1 to go on, or main's result. */
static int parse_options(int argc, char **argv, struct daemon_options *o)
{
	int c;

	while ((c = getopt_long(argc, argv, "fo:", long_options, NULL)) != -1)
		switch (c) {
		case 'f':
			o->foreground = true;
			break;
		case 'o':
			o->mount_options = optarg;
			break;
		case OPTION_STATE_DIR:
			o->state_dir = optarg;
			break;
		case OPTION_RUN_DIR:
			o->run_dir = optarg;
			break;
		case OPTION_VERSION:
			printf("machinefs %s\n", MACHINEFS_VERSION);
			return 0;
		case OPTION_HELP:
			fputs(usage, stdout);
			return 0;
		case OPTION_MONITOR:
			return launch_monitor();
		case OPTION_OPENER:
			return opener_main() < 0;
		case OPTION_MANUAL:
			return manual_print(stdout) < 0;
		default:
			fputs("Try --help.\n", stderr);
			return 2;
		}
	if (argc - optind > 1) {
		fputs("machinefs: more than one mount point. Try --help.\n", stderr);
		return 2;
	}
	if (optind < argc)
		o->mountpoint = argv[optind];
	return -1;
}

static void on_signal(int signo, short what, void *arg)
{
	log_line(LOG_LEVEL_NOTICE, "signal %d: leaving the machines as they are", signo);
	event_base_loopbreak(arg);
}

/* Serves until told to end. `ready` is called once the mount answers. */
static int serve(const struct daemon_options *o, void (*ready)(int), int ready_fd, struct err *e)
{
	static const int signals[] = { SIGTERM, SIGINT, SIGHUP };
	struct event *handlers[3] = { NULL };
	struct fuse_front *front = NULL;
	struct daemon *d = NULL;
	struct poker *poker = NULL;
	int rc = daemon_new(o, &d, e);

	if (rc < 0)
		return rc;
	for (int i = 0; i < 3; i++) {
		handlers[i] = evsignal_new(d->loop, signals[i], on_signal, d->loop);
		if (handlers[i])
			evsignal_add(handlers[i], NULL);
	}
	rc = fuse_front_new(d, o->mountpoint, o->mount_options, &front, e);
	if (rc == 0)
		rc = poker_new(o->mountpoint, &poker, e);
	if (rc == 0) {
		d->poker = poker;
		ready(ready_fd);
		log_line(LOG_LEVEL_NOTICE, "serving %s: %zu VMs, %zu containers, %u running",
			 o->mountpoint, d->machines[0]->nchildren, d->machines[1]->nchildren,
			 d->running);
		event_base_dispatch(d->loop);
	}
	fuse_front_free(front); /* first: the helper may be inside a request to us */
	poker_free(poker);
	for (int i = 0; i < 3; i++)
		if (handlers[i])
			event_free(handlers[i]);
	daemon_free(d);
	return rc;
}

/* ---- becoming a daemon ---- */

static void ready_foreground(int fd)
{
}

static void ready_daemon(int fd)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (null >= 0)
		for (int i = 0; i < 3; i++)
			dup2(null, i);
	if (null > 2)
		close(null);
	(void)!write(fd, "", 1); /* fails when the parent was killed: then nobody waits */
	close(fd);
}

/* The parent goes when the mount answers, with 0, or when the child fails, with 1. */
static int serve_as_daemon(const struct daemon_options *o, struct err *e)
{
	int fds[2];
	char byte;
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC) < 0)
		return err_sys(e, errno, "pipe");
	pid = fork();
	if (pid < 0)
		return err_sys(e, errno, "fork");
	if (pid > 0) {
		close(fds[1]);
		_exit(read(fds[0], &byte, 1) == 1 ? 0 : 1);
	}
	close(fds[0]);
	setsid();
	if (chdir("/") < 0)
		return err_sys(e, errno, "/");
	return serve(o, ready_daemon, fds[1], e);
}

/* Absolute, since a daemon changes its directory; made if it is not there. */
static int absolute(const char *path, char out[PATH_MAX], struct err *e)
{
	char cwd[PATH_MAX];

	if (path[0] == '/')
		snprintf(out, PATH_MAX, "%s", path);
	else if (!getcwd(cwd, sizeof(cwd)) ||
		 snprintf(out, PATH_MAX, "%s/%s", cwd, path) >= PATH_MAX)
		return err_set(e, -EINVAL, "%s: the path is too long", path);
	return 0;
}

int main(int argc, char **argv)
{
	struct daemon_options o = {
		.mountpoint = "/run/machines",
		.state_dir = "/var/lib/machinefs",
		.run_dir = "/run/machinefs",
	};
	char mountpoint[PATH_MAX], state_dir[PATH_MAX], run_dir[PATH_MAX];
	struct err e = { 0 };
	int rc = parse_options(argc, argv, &o);

	if (rc >= 0)
		return rc;
	signal(SIGPIPE, SIG_IGN);
	rc = absolute(o.mountpoint, mountpoint, &e);
	if (rc == 0)
		rc = absolute(o.state_dir, state_dir, &e);
	if (rc == 0)
		rc = absolute(o.run_dir, run_dir, &e);
	if (rc == 0) {
		o.mountpoint = mountpoint;
		o.state_dir = state_dir;
		o.run_dir = run_dir;
		mkdir(mountpoint, 0755); /* if it cannot be, mounting says so */
		log_open(o.foreground);
		umask(022);
		rc = o.foreground ? serve(&o, ready_foreground, -1, &e) : serve_as_daemon(&o, &e);
	}
	if (rc < 0)
		fprintf(stderr, "machinefs: %s\n", e.text);
	return rc < 0;
}
