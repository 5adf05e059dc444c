/*
 * failcall [-o] [-p PATH] [-c COUNT] [-r FILE] SYSCALL ERRNO AFTER PROGRAM...: runs a program in
 * which a system call fails: AFTER calls of that name go through, the next COUNT (default 1; 0
 * means all) fail with ERRNO, a name or a number; with KILL the caller is killed before it has
 * happened, with STOP stopped until somebody sends it SIGCONT. Calls of the program and of
 * everything it starts are counted together, in the order they come; with -o only those of the
 * program's own first thread, with -p only those on that path, as written.
 *
 * A seccomp filter hands each such call to this process, which answers "go on" or the errno, so
 * nothing is traced and the program runs at its own speed otherwise. It stays until the last
 * process under the filter has ended, passes on SIGTERM, SIGINT and SIGHUP to the program, ends
 * with the program's status, and then leaves "SEEN FAILED" in FILE: a sweep over AFTER is over
 * when nothing failed any more.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>
#include <linux/sched.h>

#define USAGE 125
#define DEATH INT_MAX	    /* an errno that is none: KILL */
#define STILL (INT_MAX - 1) /* likewise: STOP */

static const struct {
	const char *name;
	int number;
} errnos[] = {
	{ "EPERM", EPERM },   { "ENOENT", ENOENT },   { "EINTR", EINTR },   { "EIO", EIO },
	{ "ENXIO", ENXIO },   { "EAGAIN", EAGAIN },   { "ENOMEM", ENOMEM }, { "EACCES", EACCES },
	{ "EBUSY", EBUSY },   { "EEXIST", EEXIST },   { "ENODEV", ENODEV }, { "EINVAL", EINVAL },
	{ "ENFILE", ENFILE }, { "EMFILE", EMFILE },   { "ENOSPC", ENOSPC }, { "EROFS", EROFS },
	{ "EPIPE", EPIPE },   { "ENOSYS", ENOSYS },   { "EDQUOT", EDQUOT }, { "ESRCH", ESRCH },
	{ "ECHILD", ECHILD }, { "ENOBUFS", ENOBUFS }, { "KILL", DEATH },    { "STOP", STILL },
};

struct failcall {
	int syscall;
	int error;   /* positive errno */
	long after;  /* calls that go through first */
	long count;  /* calls that then fail; 0 = all */
	long seen;   /* calls so far */
	long failed; /* of them */
	int listener;
	int signals;
	bool own;	  /* only the program's first thread */
	const char *path; /* NULL: any */
	pid_t program;
};

__attribute__((noreturn)) static void give_up(const char *what)
{
	fprintf(stderr, "failcall: %s: %s\n", what, strerror(errno));
	_exit(USAGE);
}

static int errno_number(const char *text)
{
	for (size_t i = 0; i < sizeof(errnos) / sizeof(errnos[0]); i++)
		if (!strcmp(errnos[i].name, text))
			return errnos[i].number;
	return atoi(text);
}

/* Installs the filter on the calling process; returns the listener. */
static int filter_install(const struct failcall *f)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
	int err;

	if (!filter)
		give_up("filter");
	/* Root needs no no_new_privs, and a program under test may mind it. */
	if (geteuid() == 0)
		seccomp_attr_set(filter, SCMP_FLTATR_CTL_NNP, 0);
	err = seccomp_rule_add(filter, SCMP_ACT_NOTIFY, f->syscall, 0);
	if (!err)
		err = seccomp_load(filter);
	if (err) {
		errno = -err;
		give_up("filter");
	}
	return seccomp_notify_fd(filter);
}

/*
 * The program shares this process's descriptors until its exec, so the listener's number is all
 * that must be told; by memory, since any system call might be the one that is filtered.
 */
static void program_start(struct failcall *f, char **argv)
{
	struct clone_args args = { .flags = CLONE_FILES, .exit_signal = SIGCHLD };
	_Atomic int *told = mmap(NULL, sizeof(*told), PROT_READ | PROT_WRITE,
				 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	sigset_t none;

	if (told == MAP_FAILED)
		give_up("mmap");
	atomic_store(told, -1);
	f->program = (pid_t)syscall(SYS_clone3, &args, sizeof(args));
	if (f->program < 0)
		give_up("clone3");
	if (f->program == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		sigemptyset(&none);
		sigprocmask(SIG_SETMASK, &none, NULL);
		atomic_store(told, filter_install(f));
		execvp(argv[0], argv);
		give_up(argv[0]);
	}
	while ((f->listener = atomic_load(told)) < 0) {
		if (waitpid(f->program, NULL, WNOHANG) == f->program)
			_exit(USAGE);
		usleep(200);
	}
	fcntl(f->listener, F_SETFD, FD_CLOEXEC);
}

/* Whether a path of the call's, which is its first argument or its second, is the one. */
static bool call_names(const struct failcall *f, const struct seccomp_notif *call)
{
	char path[PATH_MAX] = "";

	for (int i = 0; f->path && i < 2; i++) {
		size_t len = strlen(f->path) + 1;
		struct iovec here = { path, len };
		struct iovec there = { (void *)(uintptr_t)call->data.args[i], len };

		if (len <= sizeof(path) &&
		    process_vm_readv((pid_t)call->pid, &here, 1, &there, 1, 0) == (ssize_t)len &&
		    !memcmp(path, f->path, len))
			return true;
	}
	return !f->path;
}

/* Answers one call. */
static void call_answer(struct failcall *f, struct seccomp_notif *call,
			struct seccomp_notif_resp *answer)
{
	memset(call, 0, sizeof(*call));
	memset(answer, 0, sizeof(*answer));
	if (seccomp_notify_receive(f->listener, call))
		return; /* its caller was killed meanwhile */
	answer->id = call->id;
	if ((f->own && call->pid != (uint32_t)f->program) || !call_names(f, call)) {
		answer->flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
		seccomp_notify_respond(f->listener, answer);
		return;
	}
	f->seen++;
	if (f->seen <= f->after || (f->count && f->seen > f->after + f->count)) {
		answer->flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
	} else if (f->error == DEATH) {
		f->failed++;
		kill((pid_t)call->pid, SIGKILL);
		return;
	} else if (f->error == STILL) {
		f->failed++;
		kill((pid_t)call->pid, SIGSTOP);
		answer->flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
	} else {
		answer->error = -f->error;
		f->failed++;
	}
	seccomp_notify_respond(f->listener, answer);
}

/* Reaps; returns true when the program itself has ended, its status in *ret. */
static void signal_take(const struct failcall *f, int *ret_status)
{
	struct signalfd_siginfo info;
	pid_t pid;
	int status;

	if (read(f->signals, &info, sizeof(info)) != sizeof(info))
		return;
	if (info.ssi_signo != SIGCHLD) {
		kill(f->program, (int)info.ssi_signo);
		return;
	}
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		if (pid == f->program)
			*ret_status = status;
}

/* Until nobody is left under the filter; returns the program's wait status. */
static int calls_serve(struct failcall *f)
{
	struct seccomp_notif *call;
	struct seccomp_notif_resp *answer;
	struct pollfd fds[2] = { { .fd = f->listener, .events = POLLIN },
				 { .fd = f->signals, .events = POLLIN } };
	int status = -1;

	if (seccomp_notify_alloc(&call, &answer))
		give_up("notify");
	for (;;) {
		if (poll(fds, 2, -1) < 0)
			continue;
		if (fds[0].revents & POLLIN)
			call_answer(f, call, answer);
		else if (fds[0].revents & POLLHUP)
			fds[0].fd = -1;
		if (fds[1].revents & POLLIN)
			signal_take(f, &status);
		if (fds[0].fd < 0 && status >= 0)
			break;
	}
	seccomp_notify_free(call, answer);
	return status;
}

static void report_write(const char *path, const struct failcall *f)
{
	FILE *file = fopen(path, "we");

	if (!file)
		give_up(path);
	fprintf(file, "%ld %ld\n", f->seen, f->failed);
	fclose(file);
}

int main(int argc, char **argv)
{
	struct failcall f = { .count = 1, .listener = -1 };
	const char *report = NULL;
	sigset_t signals;
	int opt, status;

	while ((opt = getopt(argc, argv, "+op:c:r:")) != -1) {
		if (opt == 'c')
			f.count = atol(optarg);
		else if (opt == 'r')
			report = optarg;
		else if (opt == 'o')
			f.own = true;
		else if (opt == 'p')
			f.path = optarg;
		else
			return USAGE;
	}
	if (argc - optind < 4) {
		fprintf(stderr, "usage: failcall [-o] [-p PATH] [-c COUNT] [-r FILE] SYSCALL "
				"ERRNO AFTER PROGRAM...\n");
		return USAGE;
	}
	f.syscall = seccomp_syscall_resolve_name(argv[optind]);
	f.error = errno_number(argv[optind + 1]);
	f.after = atol(argv[optind + 2]);
	if (f.syscall < 0 || f.error <= 0 || f.after < 0 || f.count < 0) {
		errno = EINVAL;
		give_up("system call, errno or number");
	}
	sigemptyset(&signals);
	sigaddset(&signals, SIGCHLD);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGHUP);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	f.signals = signalfd(-1, &signals, SFD_CLOEXEC);
	program_start(&f, argv + optind + 3);
	status = calls_serve(&f);
	if (report)
		report_write(report, &f);
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}
