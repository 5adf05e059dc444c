/*
 * The child's story, from its first instruction to execve. See child.h for what it may not do.
 *
 * The order matters: groups are joined before the cgroup namespace is made, so that the machine's
 * own group is its root; the maps come before anything is touched as root; mounts and the pty
 * need privileges that go next; the filter is last, since it refuses half of what is done here.
 */
#include "backends/container/child.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/keyctl.h>
#include <linux/seccomp.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "backends/container/mounts.h"

static void append(char *out, size_t size, const char *s)
{
	size_t at = strnlen(out, size - 1);

	while (at < size - 1 && s && *s)
		out[at++] = *s++;
	out[at] = '\0';
}

static _Noreturn void report_failure(struct child *c, int errnum, bool whole, const char *what,
				     const char *detail)
{
	struct child_report report = { .errnum = errnum ? errnum : EIO, .whole = whole };

	append(report.text, sizeof(report.text), what);
	append(report.text, sizeof(report.text), detail);
	send(c->socket, &report, sizeof(report), MSG_NOSIGNAL);
	_exit(1);
}

_Noreturn void child_fail(struct child *c, int errnum, const char *what, const char *detail)
{
	report_failure(c, errnum, false, what, detail);
}

_Noreturn void child_refuse(struct child *c, int errnum, const char *what, const char *detail)
{
	report_failure(c, errnum, true, what, detail);
}

static void write_once(struct child *c, int fd, const char *text, const char *what)
{
	if (write(fd, text, strlen(text)) < 0)
		child_fail(c, errno, what, NULL);
}

static void join_cgroups(struct child *c)
{
	for (int i = 0; i < c->plan->cgroup_count; i++)
		if (i != c->plan->joined)
			write_once(c, c->plan->cgroups[i], "0", "joining the control group");
}

static void reset_oom(struct child *c)
{
	int fd;

	if (!c->plan->reset_oom)
		return;
	fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		child_fail(c, errno, "oom_score_adj", NULL);
	write_once(c, fd, "0", "oom_score_adj");
	close(fd);
}

/* Not the C library's set*id(): those would signal threads that this process does not have. */
static void become(struct child *c, uid_t uid, gid_t gid)
{
	if (!c->plan->map.deny_setgroups && syscall(SYS_setgroups, 0, NULL) < 0)
		child_fail(c, errno, "init.user: dropping groups", NULL);
	if (syscall(SYS_setresgid, gid, gid, gid) < 0)
		child_fail(c, errno, "init.user: the gid", NULL);
	if (syscall(SYS_setresuid, uid, uid, uid) < 0)
		child_fail(c, errno, "init.user: the uid", NULL);
}

/* The parent says when the maps are there; if it died instead, there is nothing to live for. */
static void enter_user_namespace(struct child *c)
{
	char go;

	if (!(c->plan->namespaces & NS_USER))
		return;
	if (recv(c->socket, &go, 1, 0) != 1)
		_exit(1);
	become(c, 0, 0);
}

/*
 * Nothing of the monitor's is left but the socket and, until the console is there, 0 to 2. This
 * comes early so that the child holds no other container's start open.
 */
static void close_descriptors(struct child *c)
{
	unsigned int s = (unsigned int)c->socket;

	if ((s > 3 && syscall(SYS_close_range, 3u, s - 1, 0) < 0) ||
	    syscall(SYS_close_range, s + 1, ~0u, 0) < 0)
		child_fail(c, errno, "closing descriptors", NULL);
}

static void enter_root(struct child *c)
{
	int flags = (c->plan->namespaces & NS_MOUNT ? CLONE_NEWNS : 0) |
		    (c->plan->namespaces & NS_CGROUP ? CLONE_NEWCGROUP : 0);

	/*
	 * A descriptor names a mount of the namespace it was opened in, which is of no use in
	 * another; but the working directory moves along into a new one.
	 */
	if (fchdir(c->plan->root) < 0)
		child_fail(c, errno, "root", NULL);
	close_descriptors(c);
	if (flags && syscall(SYS_unshare, flags) < 0)
		child_fail(c, errno, "namespaces: mount, cgroup", NULL);
}

static void bring_up_loopback(struct child *c)
{
	struct ifreq request = { .ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0 && errno == EAFNOSUPPORT)
		return;
	if (fd < 0 || ioctl(fd, SIOCSIFFLAGS, &request) < 0)
		child_fail(c, errno, "bringing up the loopback interface", NULL);
	close(fd);
}

static void set_up_namespaces(struct child *c)
{
	const char *name = c->plan->hostname;

	if ((c->plan->namespaces & NS_UTS) && sethostname(name, strlen(name)) < 0)
		child_fail(c, errno, "hostname", NULL);
	if (c->plan->namespaces & NS_NET)
		bring_up_loopback(c);
}

/* The console becomes 0, 1, 2 and the controlling terminal. */
static void take_console(struct child *c)
{
	if (ioctl(c->slave, TIOCSCTTY, 0) < 0)
		child_fail(c, errno, "console: controlling terminal", NULL);
	for (int fd = 0; fd < 3; fd++)
		if (dup2(c->slave, fd) < 0)
			child_fail(c, errno, "console", NULL);
}

/* What execve would hand on: ignored signals, the mask, the umask, the session's keyring. */
static void forget_monitor(struct child *c)
{
	/* The kernel's struct, all zero: SIG_DFL, no flags, no restorer, no mask. */
	const unsigned long defaults[4] = { 0 };

	/*
	 * libc's sigaction() will not touch 32 and 33, which its posix_spawn() leaves ignored.
	 * SIGKILL and SIGSTOP refuse, and are right.
	 */
	for (int signo = 1; signo < NSIG; signo++)
		syscall(SYS_rt_sigaction, signo, defaults, NULL, sizeof(unsigned long));
	umask(022);
	/* ENOSYS: a kernel without keys has none to inherit. */
	if (syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL) < 0 && errno != ENOSYS)
		child_fail(c, errno, "making a session keyring", NULL);
}

static void set_capabilities(struct child *c, uint64_t mask)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2] = { 0 };

	for (int i = 0; i < 2; i++)
		data[i].effective = data[i].permitted = (uint32_t)(mask >> 32 * i);
	if (syscall(SYS_capset, &header, data) < 0)
		child_fail(c, errno, "capabilities: not all of them are the monitor's to give",
			   NULL);
}

static void drop_bounding(struct child *c)
{
	for (unsigned long n = 0; n < 64; n++) {
		if (c->plan->config->capabilities >> n & 1)
			continue;
		if (prctl(PR_CAPBSET_DROP, n, 0, 0, 0) < 0) {
			if (errno == EINVAL) // behind the last one of this kernel
				break;
			child_fail(c, errno, "capabilities: bounding set", NULL);
		}
	}
}

static void install_filter(struct child *c)
{
	struct sock_fprog program = { .len = c->plan->filter_count, .filter = c->plan->filter };

	if (c->plan->filter && syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) < 0)
		child_fail(c, errno, "seccomp", NULL);
}

/*
 * The bounding, permitted and effective sets are what is configured; the inheritable and ambient
 * sets are empty, as with the common runtimes: so an init that is not root has no capabilities
 * until it executes a file that grants some. Without no_new_privs installing a filter takes
 * CAP_SYS_ADMIN, so then it comes before the last of them goes.
 */
static void drop_privileges(struct child *c)
{
	const struct container_config *config = c->plan->config;
	uint64_t admin = UINT64_C(1) << CAP_SYS_ADMIN;

	drop_bounding(c);
	if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0)
		child_fail(c, errno, "capabilities", NULL);
	become(c, config->user.uid, config->user.gid);
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0)
		child_fail(c, errno, "capabilities: ambient set", NULL);
	if (config->no_new_privs) {
		if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
			child_fail(c, errno, "no_new_privs", NULL);
	} else if (c->plan->filter) {
		set_capabilities(c, config->capabilities | admin);
		install_filter(c);
	}
	set_capabilities(c, config->capabilities);
}

static void enter_cwd(struct child *c)
{
	const char *cwd = c->plan->config->cwd;

	if (chdir(cwd && cwd[0] ? cwd : "/") < 0)
		child_fail(c, errno, "init.cwd: ", cwd);
}

/*
 * The signal is set after the last change of credentials, which would clear it. A monitor that
 * died before that is noticed by the socket.
 */
static void tell_ready(struct child *c)
{
	struct child_report report = { 0 };
	union {
		char bytes[CMSG_SPACE(2 * sizeof(int))];
		struct cmsghdr align;
	} control = { 0 };
	struct iovec iov = { &report, sizeof(report) };
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);
	int fds[2] = { c->master, c->slave };

	cmsg->cmsg_level = SOL_SOCKET;
	cmsg->cmsg_type = SCM_RIGHTS;
	cmsg->cmsg_len = CMSG_LEN(sizeof(fds));
	memcpy(CMSG_DATA(cmsg), fds, sizeof(fds));
	if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0)
		child_fail(c, errno, "parent death signal", NULL);
	if (sendmsg(c->socket, &msg, MSG_NOSIGNAL) < 0)
		_exit(1);
}

/* Why could path not be executed? A file that is there answers ENOENT when its loader is not. */
static _Noreturn void explain_exec(struct child *c, const char *path, int errnum)
{
	struct stat st;

	if (errnum == ENOENT && stat(path, &st) == 0)
		child_refuse(c, ENOENT,
			     "init: the interpreter or loader that it needs is missing: ", path);
	if (errnum == ENOENT || errnum == ENOTDIR)
		child_refuse(c, ENOENT, "init: not in the root directory: ", path);
	if (errnum == EACCES)
		child_refuse(c, EACCES, "init: not executable: ", path);
	if (errnum == ENOEXEC)
		child_refuse(c, EINVAL,
			     "init: neither a program of this machine nor a script: ", path);
	child_fail(c, errnum, "init: ", path);
}

/* Like execvp(3): the next directory's turn when there is nothing; what was in the way counts. */
static _Noreturn void execute(struct child *c)
{
	char *const *paths = c->plan->paths;
	const char *worst = c->plan->argv[0];
	int errnum = ENOENT;
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	if (c->plan->config->no_new_privs)
		install_filter(c);
	for (; *paths; paths++) {
		execve(*paths, c->plan->argv, c->plan->env);
		if (errno == ENOENT || errno == ENOTDIR) {
			struct stat st;

			if (stat(*paths, &st) < 0)
				continue;
		}
		worst = *paths;
		errnum = errno == ENOTDIR ? ENOENT : errno;
		if (errnum != EACCES)
			break;
	}
	explain_exec(c, worst, errnum);
}

_Noreturn void child_main(const struct plan *plan, int socket)
{
	struct child c = { plan, socket, -1, -1, -1, -1 };

	join_cgroups(&c);
	reset_oom(&c);
	enter_user_namespace(&c);
	/* Our binary and memory are nobody's in the container: CVE-2016-9962, CVE-2019-5736. */
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	enter_root(&c);
	setsid();
	set_up_namespaces(&c);
	if (plan->namespaces & NS_MOUNT) {
		mounts_build(&c);
		mounts_enter(&c);
	} else {
		mounts_chroot(&c);
	}
	take_console(&c);
	forget_monitor(&c);
	drop_privileges(&c);
	enter_cwd(&c);
	tell_ready(&c);
	/* What was opened since close_descriptors() is O_CLOEXEC: socket, console, mounts. */
	execute(&c);
}
