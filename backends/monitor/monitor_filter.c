/* The monitor's system call filter: see monitor_filter.h. x86-64 only, as the VMM is. */
#include "backends/monitor/monitor_filter.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "backends/host/callfilter.h"

#define LOOP MONITOR_LOOP
#define VCPU MONITOR_VCPU
#define BOTH (MONITOR_LOOP | MONITOR_VCPU)

/* The handler has nothing but a number, so that is where the file `exit` is. */
#define REPORT_FD 900

/* A sanitizer looks for leaks by tracing its own process. */
#ifdef __SANITIZE_ADDRESS__
#define SANITIZED true
#else
#define SANITIZED false
#endif

enum check {
	CHECK_NONE,
	CHECK_EQUAL, /* the argument's lower half is value */
	CHECK_LACKS, /* it has none of these bits */
	CHECK_SELF,  /* it is this process */
	CHECK_NEVER, /* answers EACCES: asked in vain by libc, or where it is no failure */
};

static const struct call {
	int nr;
	unsigned roles;
	const char *why;
	enum check check;
	unsigned argument;
	uint32_t value;
} calls[] = {
	{ SYS_ioctl, BOTH, "KVM_RUN, interrupts; vhost, taps; the terminal" },
	{ SYS_write, BOTH, "eventfds, the console's terminal, a tap" },
	{ SYS_read, BOTH, "eventfds, timers, what is typed, a tap" },
	{ SYS_futex, BOTH, "locks between vCPUs, workers and the loop" },
	{ SYS_epoll_wait, LOOP, "the loop itself" },
	{ SYS_epoll_pwait, LOOP, "likewise, as libc has it" },
	{ SYS_epoll_pwait2, LOOP, "likewise, as libevent has it" },
	{ SYS_epoll_ctl, BOTH, "what the loop waits for" },
	{ SYS_io_uring_enter, BOTH, "disks; its calls reach no more than open descriptors do" },
	{ SYS_preadv, BOTH, "disks" },
	{ SYS_pwritev, BOTH, "disks" },
	{ SYS_preadv2, BOTH, "disks" },
	{ SYS_pwritev2, BOTH, "disks" },
	{ SYS_pread64, BOTH, "disks, the kernel's file, the console's log" },
	{ SYS_pwrite64, BOTH, "disks, the console's log, the file exit" },
	{ SYS_readv, BOTH, "taps and sockets" },
	{ SYS_writev, BOTH, "taps and sockets" },
	{ SYS_recvmsg, BOTH, "the daemon, and descriptors from it; vhost-user; vsock" },
	{ SYS_sendmsg, BOTH, "the daemon, vhost-user, vsock" },
	{ SYS_recvfrom, LOOP, "vsock" },
	{ SYS_sendto, LOOP, "vsock" },
	{ SYS_rt_sigreturn, BOTH, "a vCPU is called out of KVM_RUN by a signal" },
	{ SYS_tgkill, BOTH, "by which it is called", CHECK_SELF, 0 },
	{ SYS_rt_sigprocmask, BOTH, "around making a thread, and its end" },
	{ SYS_clock_gettime, BOTH, "where the vDSO cannot tell the time" },
	{ SYS_gettimeofday, BOTH, "likewise" },
	{ SYS_time, BOTH, "likewise" },
	{ SYS_timerfd_settime, BOTH, "rate limits, libevent" },
	{ SYS_timerfd_create, BOTH, "likewise" },
	{ SYS_timerfd_gettime, LOOP, "likewise" },
	{ SYS_fdatasync, BOTH, "a guest flushes its disk" },
	{ SYS_fsync, BOTH, "likewise" },
	{ SYS_fallocate, BOTH, "a guest discards; memory goes back" },
	{ SYS_ftruncate, BOTH, "the console's log, the file exit, memory that is a file" },
	{ SYS_lseek, BOTH, "how large a disk is, where it has holes; the log" },
	{ SYS_sync_file_range, LOOP, "disks" },
	{ SYS_copy_file_range, BOTH, "the console's log keeps its second half" },
	{ SYS_sendfile, BOTH, "likewise" },
	{ SYS_mmap, BOTH, "guest memory, stacks, malloc; never to execute", CHECK_LACKS, 2,
	  PROT_EXEC },
	{ SYS_mprotect, BOTH, "stacks, malloc; never to execute", CHECK_LACKS, 2, PROT_EXEC },
	{ SYS_munmap, BOTH, "likewise" },
	{ SYS_mremap, BOTH, "malloc" },
	{ SYS_brk, BOTH, "malloc" },
	{ SYS_madvise, BOTH, "memory goes back; a thread's stack" },
	{ SYS_mlock, LOOP, "memory that must not be swapped" },
	{ SYS_mlock2, LOOP, "likewise" },
	{ SYS_munlock, LOOP, "likewise" },
	{ SYS_mbind, LOOP, "memory on its node" },
	{ SYS_set_mempolicy, LOOP, "likewise" },
	{ SYS_get_mempolicy, LOOP, "likewise" },
	{ SYS_msync, LOOP, "memory that is a file" },
	{ SYS_memfd_create, LOOP, "memory to share with vhost-user" },
	{ SYS_fcntl, BOTH, "flags and seals of descriptors" },
	{ SYS_fstat, BOTH, "of descriptors" },
	{ SYS_newfstatat, BOTH, "as libc asks for fstat; there are no names to look up" },
	{ SYS_fstatfs, LOOP, "what a disk's file lies on" },
	{ SYS_close, BOTH, "descriptors" },
	{ SYS_dup, LOOP, "descriptors" },
	{ SYS_dup3, LOOP, "descriptors" },
	{ SYS_eventfd2, BOTH, "kicks and interrupts of a queue that is set up" },
	{ SYS_pipe2, LOOP, "libevent, between threads" },
	{ SYS_poll, BOTH, "to wait for one descriptor" },
	{ SYS_ppoll, BOTH, "likewise" },
	{ SYS_epoll_create1, LOOP, "libevent" },
	{ SYS_io_uring_setup, LOOP, "a disk that is plugged" },
	{ SYS_io_uring_register, LOOP, "likewise" },
	{ SYS_accept4, LOOP, "the next daemon; who speaks to the guest by vsock" },
	{ SYS_getsockopt, LOOP, "who that is" },
	{ SYS_setsockopt, LOOP, "sizes of buffers" },
	{ SYS_getsockname, LOOP, "sockets that were handed over" },
	{ SYS_shutdown, LOOP, "vsock" },
	{ SYS_socket, LOOP, "vsock: Unix sockets, in the directory it was given", CHECK_EQUAL, 0,
	  AF_UNIX },
	{ SYS_socketpair, LOOP, "vhost-user", CHECK_EQUAL, 0, AF_UNIX },
	{ SYS_bind, LOOP, "vsock: in its directory" },
	{ SYS_connect, LOOP, "vsock: in its directory" },
	{ SYS_listen, LOOP, "vsock" },
	{ SYS_fchdir, LOOP, "vsock: its directory" },
	{ SYS_unlink, LOOP, "vsock: its own socket of an earlier run" },
	{ SYS_unshare, LOOP, "vsock: a working directory of the thread's own", CHECK_EQUAL, 0,
	  CLONE_FS },
	{ SYS_clone3, LOOP, "threads; a process would be as confined" },
	{ SYS_clone, LOOP, "likewise, where libc has no clone3" },
	{ SYS_set_robust_list, BOTH, "a thread begins" },
	{ SYS_rseq, BOTH, "likewise" },
	{ SYS_set_tid_address, BOTH, "likewise" },
	{ SYS_sched_setaffinity, BOTH, "vCPUs on CPUs" },
	{ SYS_sched_getaffinity, BOTH, "how many there are" },
	{ SYS_sched_setscheduler, BOTH, "vCPUs that must not wait; a loop that can" },
	{ SYS_sched_getscheduler, LOOP, "whether it still is as it was" },
	{ SYS_sched_yield, BOTH,
	  "locks; for the loop, when the console has begun to print; for a new thread" },
	{ SYS_setpriority, BOTH, "workers that may wait" },
	{ SYS_getrandom, BOTH, "the guest's random numbers" },
	{ SYS_sysinfo, LOOP, "how much memory there is" },
	{ SYS_rt_sigaction, LOOP, "the signal for vCPUs, before they run" },
	{ SYS_sigaltstack, BOTH, "sanitizers" },
	{ SYS_gettid, BOTH, "threads" },
	{ SYS_getpid, BOTH, "threads" },
	{ SYS_getuid, BOTH, "who it is" },
	{ SYS_geteuid, BOTH, "who it is" },
	{ SYS_getgid, BOTH, "who it is" },
	{ SYS_getegid, BOTH, "who it is" },
	{ SYS_prctl, BOTH, "a thread's name", CHECK_EQUAL, 0, PR_SET_NAME },
	{ SYS_nanosleep, BOTH, "the time of a device" },
	{ SYS_clock_nanosleep, BOTH, "likewise" },
	{ SYS_restart_syscall, BOTH, "what a signal had interrupted" },
	{ SYS_seccomp, LOOP, "a thread narrows itself", CHECK_EQUAL, 0, SECCOMP_SET_MODE_FILTER },
	{ SYS_exit, BOTH, "a thread ends" },
	{ SYS_exit_group, BOTH, "the monitor ends" },
	{ SYS_openat, BOTH, "libc looks for files that are not here", CHECK_NEVER },
	{ SYS_open, BOTH, "likewise", CHECK_NEVER },
	{ SYS_readlink, BOTH, "likewise", CHECK_NEVER },
	{ SYS_access, BOTH, "likewise", CHECK_NEVER },
	{ SYS_prlimit64, BOTH, "libc asks for the size of stacks", CHECK_EQUAL, 2, 0 },
};
#define CALLS	(sizeof(calls) / sizeof(calls[0]))
#define NUMBERS 512 /* the last one stands for all that are higher, x32's among them */

enum answer {
	ANSWER_TRAP,
	ANSWER_ALLOW,
	ANSWER_NEVER,
	ANSWER_CHECK, /* and those after it: by the first of the checked rows, and so on */
};

_Static_assert(ANSWER_CHECK + CALLS <= UINT8_MAX, "an answer is a byte");

/* A role's answers. */
struct answers {
	unsigned char of[NUMBERS];
	const struct call *checked[CALLS];
	unsigned nchecked;
};

static void decide(struct answers *a, enum monitor_role role)
{
	memset(a->of, ANSWER_TRAP, sizeof(a->of));
	a->nchecked = 0;
	for (size_t i = 0; i < CALLS; i++) {
		const struct call *c = &calls[i];

		if (!(c->roles & role))
			continue;
		if (c->check == CHECK_NONE || c->check == CHECK_NEVER) {
			a->of[c->nr] = c->check == CHECK_NONE ? ANSWER_ALLOW : ANSWER_NEVER;
			continue;
		}
		a->of[c->nr] = (unsigned char)(ANSWER_CHECK + a->nchecked);
		a->checked[a->nchecked++] = c;
	}
}

static void emit_check(struct callfilter *f, const struct call *c)
{
	callfilter_load(f, offsetof(struct seccomp_data, args) + 8 * c->argument);
	if (c->check == CHECK_LACKS)
		callfilter_jump(f, BPF_JSET, c->value, 1, 0);
	else
		callfilter_jump(f, BPF_JEQ, c->check == CHECK_SELF ? (uint32_t)getpid() : c->value,
				0, 1);
	callfilter_return(f, SECCOMP_RET_ALLOW);
	callfilter_return(f, SECCOMP_RET_TRAP);
}

static void emit_answer(struct callfilter *f, unsigned answer, const void *arg)
{
	const struct answers *a = arg;

	if (answer >= ANSWER_CHECK)
		emit_check(f, a->checked[answer - ANSWER_CHECK]);
	else
		callfilter_return(f, answer == ANSWER_ALLOW   ? SECCOMP_RET_ALLOW
				     : answer == ANSWER_NEVER ? SECCOMP_RET_ERRNO | EACCES
							      : SECCOMP_RET_TRAP);
}

int monitor_filter_install(enum monitor_role role, struct err *e)
{
	struct answers a;
	struct callfilter_answers answers = { a.of, NUMBERS, 0, emit_answer, &a };
	struct sock_fprog prog;
	struct callfilter f;

	if (SANITIZED)
		return 0;
	decide(&a, role);
	answers.kinds = ANSWER_CHECK + a.nchecked;
	callfilter_init(&f);
	callfilter_load(&f, offsetof(struct seccomp_data, arch));
	callfilter_jump(&f, BPF_JEQ, AUDIT_ARCH_X86_64, 1, 0);
	callfilter_return(&f, SECCOMP_RET_KILL_PROCESS);
	callfilter_load(&f, offsetof(struct seccomp_data, nr));
	callfilter_search(&f, &answers);
	if (f.overflow)
		return err_set(e, -EIO, "start: the monitor's system call filter is too long");
	prog = (struct sock_fprog){ .len = (unsigned short)f.n, .filter = f.code };
	if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &prog) < 0)
		return err_sys(e, errno, "start: the monitor's system call filter");
	return 0;
}

/* ---- what a forbidden call leaves behind ---- */

static void on_forbidden(int signo, siginfo_t *info, void *context)
{
	char text[80] = "failed: the monitor used system call ", digits[12];
	size_t n = strlen(text), d = sizeof(digits);
	unsigned number = (unsigned)info->si_syscall;

	do
		digits[--d] = (char)('0' + number % 10);
	while (number /= 10);
	memcpy(text + n, digits + d, sizeof(digits) - d);
	n += sizeof(digits) - d;
	text[n++] = '\n';
	if (pwrite(REPORT_FD, text, n, 0) == (ssize_t)n)
		(void)!ftruncate(REPORT_FD, (off_t)n);
	syscall(SYS_exit_group, MONITOR_FORBIDDEN);
}

int monitor_filter_report(int exit_fd, struct err *e)
{
	struct sigaction action = { .sa_sigaction = on_forbidden, .sa_flags = SA_SIGINFO };

	if ((exit_fd >= 0 && dup3(exit_fd, REPORT_FD, O_CLOEXEC) < 0) ||
	    sigaction(SIGSYS, &action, NULL) < 0)
		return err_sys(e, errno, "start: the monitor's system call filter");
	return 0;
}
