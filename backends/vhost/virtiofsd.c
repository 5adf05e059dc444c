/* A share's virtiofsd: see virtiofsd.h. */
#include "backends/vhost/virtiofsd.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "backends/host/cred.h"
#include "backends/host/spawn.h"

#define LISTENER_FD  3 /* what the process has at its start */
#define DIRECTORY_FD 4
#define FREE_FD	     5 /* no number that spawn_process() is going to give */

/* Where it sees the directory: any that is surely there. It makes that its root. */
#define PLACE "/tmp"

#define NAMESPACES (CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS)

/* ---- the daemon's end ---- */

/* It accepts one connection, and this is it before anybody else knows the name. */
static int connect_to(const struct virtiofsd *v, int listener, int fd)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	int n = snprintf(at.sun_path, sizeof(at.sun_path), "/proc/self/fd/%d/%s", v->run, v->name);
	bool bound;
	int r = 0;

	if (n < 0 || (size_t)n >= sizeof(at.sun_path))
		return -ENAMETOOLONG;
	unlinkat(v->run, v->name, 0);
	bound = bind(listener, (struct sockaddr *)&at, sizeof(at)) == 0;
	if (!bound || listen(listener, 1) < 0 ||
	    connect(fd, (struct sockaddr *)&at, sizeof(at)) < 0)
		r = -errno;
	if (bound)
		unlinkat(v->run, v->name, 0);
	return r;
}

/* It has a child that goes on, so that it need not be waited for any longer. */
static int spawn_server(const struct virtiofsd *v, int listener, int directory, struct err *e)
{
	char name[] = "machinefs-share", option[] = "--share-server", arg[64];
	char *argv[] = { name, option, arg, NULL };
	char *env[] = { NULL };
	struct spawn spawn = {
		.exe = "/proc/self/exe",
		.argv = argv,
		.env = env,
		.fd = listener,
		.fd_as = LISTENER_FD,
		.also = directory,
		.cgroup = v->cgroup,
	};
	int status = 0, r;
	pid_t pid;

	snprintf(arg, sizeof(arg), "%u %u %d", v->uid, v->gid, v->readonly);
	r = spawn_process(&spawn, &pid, e);
	if (r < 0)
		return r;
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return status == 0 ? 0 : err_set(e, -EIO, "path: no process for its server");
}

int virtiofsd_start(const struct virtiofsd *v, int *ret_fd, struct err *e)
{
	int listener = -1, fd = -1, first = -1, directory = -1, r;

	if (access(VIRTIOFSD_PATH, X_OK) < 0)
		return err_set(e, -ENXIO, "path: this host has no %s to serve it", VIRTIOFSD_PATH);
	first = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (first >= 0)
		listener = fcntl(first, F_DUPFD_CLOEXEC, FREE_FD);
	directory = fcntl(v->directory, F_DUPFD_CLOEXEC, FREE_FD);
	if (listener < 0 || fd < 0 || directory < 0)
		r = err_sys(e, errno, "path: a socket for its server");
	else if ((r = connect_to(v, listener, fd)) < 0)
		err_sys(e, -r, "path: a socket for its server");
	else
		r = spawn_server(v, listener, directory, e);
	if (first >= 0)
		close(first);
	if (listener >= 0)
		close(listener);
	if (directory >= 0)
		close(directory);
	if (r < 0 && fd >= 0)
		close(fd);
	if (r == 0)
		*ret_fd = fd;
	return r < 0 ? e->code : 0;
}

/* ---- the process ---- */

/* For good: his uid and main group. */
static int become(uid_t uid, gid_t gid, struct err *e)
{
	struct cred who;

	if (geteuid() != 0 || uid == 0)
		return 0;
	if (cred_find(uid, gid, &who, e) < 0)
		return e->code;
	if (setgroups(0, NULL) < 0 || setresgid(who.gid, who.gid, who.gid) < 0 ||
	    setresuid(who.uid, who.uid, who.uid) < 0)
		return err_sys(e, errno, "cannot become user %u", who.uid);
	/* Or /proc/self would not be his. */
	return prctl(PR_SET_DUMPABLE, 1) < 0 ? err_sys(e, errno, "cannot become user %u", who.uid)
					     : 0;
}

/* The working directory comes along: it is the shared one, of the new mount namespace then. */
static int enter_namespaces(struct err *e)
{
	int rc = geteuid() == 0 ? 0 : cred_be_alone(0, 0);

	if (rc < 0)
		return err_sys(e, -rc, "a user namespace");
	if (unshare(NAMESPACES) < 0)
		return err_sys(e, errno, "namespaces");
	return mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ? err_sys(e, errno, "mounts")
								     : 0;
}

static int put_in_place(bool readonly, struct err *e)
{
	struct mount_attr attr = { .attr_set = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV |
					       (readonly ? MOUNT_ATTR_RDONLY : 0) };
	int tree = open_tree(AT_FDCWD, ".", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);

	if (tree < 0 ||
	    mount_setattr(tree, "", AT_EMPTY_PATH | AT_RECURSIVE, &attr, sizeof(attr)) < 0 ||
	    move_mount(tree, "", AT_FDCWD, PLACE, MOVE_MOUNT_F_EMPTY_PATH) < 0)
		return err_sys(e, errno, "the directory's mount");
	close(tree);
	return chdir("/") < 0 ? err_sys(e, errno, "/") : 0;
}

static int limit(struct err *e)
{
	struct rlimit none = { 0, 0 }, files;

	if (setrlimit(RLIMIT_CORE, &none) < 0 || getrlimit(RLIMIT_NOFILE, &files) < 0)
		return err_sys(e, errno, "limits");
	files.rlim_cur = files.rlim_max;
	return setrlimit(RLIMIT_NOFILE, &files) < 0 ? err_sys(e, errno, "limits") : 0;
}

/*
 * Its own sandbox comes on top: the directory as its root, a pid and a network namespace, few
 * capabilities, a system call filter.
 */
static int execute(struct err *e)
{
	char fd[16];
	char *env[] = { NULL };

	snprintf(fd, sizeof(fd), "--fd=%d", LISTENER_FD);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || fcntl(LISTENER_FD, F_SETFD, 0) < 0)
		return err_sys(e, errno, "no_new_privs");
	execle(VIRTIOFSD_PATH, "virtiofsd", fd, "-f", "--rlimit-nofile=0", "-o", "source=" PLACE,
	       "-o", "sandbox=namespace,modcaps=-mknod,log_level=err", NULL, env);
	return err_sys(e, errno, "%s", VIRTIOFSD_PATH);
}

/*
 * Nobody but root can drop groups, and virtiofsd does not serve with any (it would, were there
 * other ids than one). So it does not see them.
 */
static int hide_groups(struct err *e)
{
	scmp_filter_ctx filter;
	int r;

	if (geteuid() == 0 || getgroups(0, NULL) <= 0)
		return 0;
	filter = seccomp_init(SCMP_ACT_ALLOW);
	r = filter ? seccomp_rule_add(filter, SCMP_ACT_ERRNO(0), SCMP_SYS(getgroups), 0) : -ENOMEM;
	if (r == 0)
		r = seccomp_load(filter);
	if (filter)
		seccomp_release(filter);
	return r < 0 ? err_sys(e, -r, "its groups") : 0;
}

static int serve(uid_t uid, gid_t gid, bool readonly, struct err *e)
{
	int r = fchdir(DIRECTORY_FD) < 0 ? err_sys(e, errno, "the directory") : 0;

	close(DIRECTORY_FD);
	if (r == 0)
		r = become(uid, gid, e);
	if (r == 0)
		r = hide_groups(e);
	if (r == 0)
		r = enter_namespaces(e);
	if (r == 0)
		r = put_in_place(readonly, e);
	if (r == 0)
		r = limit(e);
	return r == 0 ? execute(e) : r;
}

int virtiofsd_main(const char *arg)
{
	struct err e = { 0 };
	unsigned uid, gid;
	int readonly;
	sigset_t none;
	pid_t pid;

	if (sscanf(arg, "%u %u %d", &uid, &gid, &readonly) != 3)
		return -EINVAL;
	pid = fork();
	if (pid != 0)
		return pid < 0 ? -errno : 0;
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL); /* spawn_process() leaves all blocked */
	serve(uid, gid, readonly, &e);
	dprintf(2, "machinefs: a share's server: %s\n", e.text);
	return e.code;
}
