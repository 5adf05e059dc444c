/*
 * The default system call filter: see seccomp.h. The tables are the policy; libseccomp knows the
 * numbers of the names on each architecture. The program (callfilter.h) is a tenth of what
 * libseccomp would make of it: the kernel compiles it anew for every container.
 */
#include "backends/container/seccomp.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <seccomp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backends/host/callfilter.h"

/* Calls with a higher number were not thought of here: set_mempolicy_home_node, Linux 5.17. */
#define NEWEST_KNOWN_CALL 450

/* x32 calls are x86-64's with this bit, but for some that have numbers of their own. */
#define X32_BIT	  0x40000000u
#define X32_FIRST 512
#define X32_LAST  547

#define NUMBERS (X32_LAST + 2) /* the last one stands for all that are higher */

/* Namespaces that clone may not make without CAP_SYS_ADMIN; NEWTIME is not clone's. */
#define CLONE_NAMESPACES                                                               \
	(CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | \
	 CLONE_NEWPID | CLONE_NEWNET)

#define PERSONALITY_UNAME26 0x0020000

/*
 * Harmless, or guarded well enough by the kernel. Left out on purpose: io_uring (its calls pass
 * by every filter), keyrings (not namespaced), userfaultfd, kexec, swap, modules, nfsservctl,
 * personality but as below, and all that makes namespaces or mounts.
 */
static const char always[] =
	"accept accept4 access adjtimex alarm bind brk capget capset chdir chmod chown chown32 "
	"clock_adjtime clock_adjtime64 clock_getres clock_getres_time64 clock_gettime "
	"clock_gettime64 clock_nanosleep clock_nanosleep_time64 close close_range connect "
	"copy_file_range creat dup dup2 dup3 epoll_create epoll_create1 epoll_ctl epoll_ctl_old "
	"epoll_pwait epoll_pwait2 epoll_wait epoll_wait_old eventfd eventfd2 execve execveat exit "
	"exit_group faccessat faccessat2 fadvise64 fadvise64_64 fallocate fanotify_mark fchdir "
	"fchmod fchmodat fchown fchown32 fchownat fcntl fcntl64 fdatasync fgetxattr flistxattr "
	"flock fork fremovexattr fsetxattr fstat fstat64 fstatat64 fstatfs fstatfs64 fsync "
	"ftruncate ftruncate64 futex futex_time64 futex_waitv futimesat get_robust_list "
	"get_thread_area getcpu getcwd getdents getdents64 getegid getegid32 geteuid geteuid32 "
	"getgid getgid32 getgroups getgroups32 getitimer getpeername getpgid getpgrp getpid "
	"getppid getpriority getrandom getresgid getresgid32 getresuid getresuid32 getrlimit "
	"getrusage getsid getsockname getsockopt gettid gettimeofday getuid getuid32 getxattr "
	"inotify_add_watch inotify_init inotify_init1 inotify_rm_watch io_cancel io_destroy "
	"io_getevents io_pgetevents io_pgetevents_time64 io_setup io_submit ioctl ioprio_get "
	"ioprio_set ipc kill landlock_add_rule landlock_create_ruleset landlock_restrict_self "
	"lchown lchown32 lgetxattr link linkat listen listxattr llistxattr _llseek lremovexattr "
	"lseek lsetxattr lstat lstat64 madvise membarrier memfd_create memfd_secret mincore mkdir "
	"mkdirat mknod mknodat mlock mlock2 mlockall mmap mmap2 mprotect mq_getsetattr mq_notify "
	"mq_open mq_timedreceive mq_timedreceive_time64 mq_timedsend mq_timedsend_time64 "
	"mq_unlink mremap msgctl msgget msgrcv msgsnd msync munlock munlockall munmap "
	"name_to_handle_at nanosleep newfstatat _newselect open openat openat2 pause pidfd_open "
	"pidfd_send_signal pipe pipe2 pkey_alloc pkey_free pkey_mprotect poll ppoll ppoll_time64 "
	"prctl pread64 preadv preadv2 prlimit64 process_mrelease process_vm_readv "
	"process_vm_writev pselect6 pselect6_time64 ptrace pwrite64 pwritev pwritev2 read "
	"readahead readlink readlinkat readv recv recvfrom recvmmsg recvmmsg_time64 recvmsg "
	"remap_file_pages removexattr rename renameat renameat2 restart_syscall rmdir rseq "
	"rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend "
	"rt_sigtimedwait rt_sigtimedwait_time64 rt_tgsigqueueinfo sched_get_priority_max "
	"sched_get_priority_min sched_getaffinity sched_getattr sched_getparam "
	"sched_getscheduler sched_rr_get_interval sched_rr_get_interval_time64 sched_setaffinity "
	"sched_setattr sched_setparam sched_setscheduler sched_yield seccomp select semctl semget "
	"semop semtimedop semtimedop_time64 send sendfile sendfile64 sendmmsg sendmsg sendto "
	"set_robust_list set_thread_area set_tid_address setfsgid setfsgid32 setfsuid setfsuid32 "
	"setgid setgid32 setgroups setgroups32 setitimer setpgid setpriority setregid setregid32 "
	"setresgid setresgid32 setresuid setresuid32 setreuid setreuid32 setrlimit setsid "
	"setsockopt setuid setuid32 setxattr shmat shmctl shmdt shmget shutdown sigaltstack "
	"signalfd signalfd4 sigprocmask sigreturn socketcall socketpair splice stat stat64 statfs "
	"statfs64 statx symlink symlinkat sync sync_file_range syncfs sysinfo tee tgkill time "
	"timer_create timer_delete timer_getoverrun timer_gettime timer_gettime64 timer_settime "
	"timer_settime64 timerfd_create timerfd_gettime timerfd_gettime64 timerfd_settime "
	"timerfd_settime64 times tkill truncate truncate64 ugetrlimit umask uname unlink unlinkat "
	"utime utimensat utimensat_time64 utimes vfork vmsplice wait4 waitid waitpid write writev "
	"arch_prctl modify_ldt "
	/* Of 32-bit programs that are older than most of the above: */
	"nice oldfstat oldlstat oldolduname oldstat olduname readdir sgetmask sigaction signal "
	"sigpending sigsuspend ssetmask";

/* No kernel has these, and says so itself; so each may have the answer of the number before it,
 * where one of its own would be two runs more. In the order of i386's numbers. */
static const char gone[] =
	"break stty gtty ftime prof lock mpx ulimit profil idle create_module get_kernel_syms "
	"afs_syscall query_module getpmsg putpmsg vserver tuxcall security";

/* Let through for who has the capability: the kernel's own check decides then. */
static const struct {
	int capability;
	const char *calls;
} guarded[] = {
	{ CAP_DAC_READ_SEARCH, "open_by_handle_at" },
	{ CAP_SYS_ADMIN,
	  "bpf clone clone3 fanotify_init fsconfig fsmount fsopen fspick lookup_dcookie mount "
	  "mount_setattr move_mount open_tree perf_event_open quotactl quotactl_fd setdomainname "
	  "sethostname setns syslog umount umount2 unshare" },
	{ CAP_SYS_BOOT, "reboot" },
	{ CAP_SYS_CHROOT, "chroot" },
	{ CAP_SYS_MODULE, "delete_module init_module finit_module" },
	{ CAP_SYS_PACCT, "acct" },
	{ CAP_SYS_PTRACE, "kcmp pidfd_getfd process_madvise" },
	{ CAP_SYS_RAWIO, "iopl ioperm" },
	{ CAP_SYS_TIME, "settimeofday stime clock_settime clock_settime64" },
	{ CAP_SYS_TTY_CONFIG, "vhangup" },
	{ CAP_SYS_NICE, "get_mempolicy mbind set_mempolicy set_mempolicy_home_node" },
	{ CAP_SYSLOG, "syslog" },
	{ CAP_BPF, "bpf" },
	{ CAP_PERFMON, "perf_event_open" },
};

static bool has_capability(uint64_t capabilities, int n)
{
	return capabilities >> n & 1;
}

enum answer {
	ANSWER_EPERM,
	ANSWER_ENOSYS,
	ANSWER_ALLOW,
	/* By the first argument: */
	ANSWER_SOCKET,
	ANSWER_PERSONALITY,
	ANSWER_CLONE,
	ANSWERS,
};

/* One architecture's answers; x86-64 and x32 share one. */
struct answers {
	uint32_t arches[2]; /* of libseccomp; the second may be 0 */
	unsigned char of[NUMBERS];
};

/* A name without a number on an architecture (or newer than this libseccomp) is passed over. */
static void answer(struct answers *a, const char *name, enum answer answer)
{
	for (int i = 0; i < 2 && a->arches[i]; i++) {
		int nr = seccomp_syscall_resolve_name_arch(a->arches[i], name);

		if (nr < 0)
			continue;
		nr &= ~(int)X32_BIT;
		if (nr < NUMBERS - 1)
			a->of[nr] = (unsigned char)answer;
	}
}

/* The next of these names, which moves behind it; false: there is none. */
static bool next_name(const char **names, char name[64])
{
	size_t len = strcspn(*names, " ");

	if (len == 0 || len >= 64)
		return false;
	memcpy(name, *names, len);
	name[len] = '\0';
	*names += len + ((*names)[len] == ' ');
	return true;
}

static void allow(struct answers *a, const char *calls)
{
	char name[64];

	while (next_name(&calls, name))
		answer(a, name, ANSWER_ALLOW);
}

static bool is_allowed(const char *call)
{
	const char *calls = always;
	char name[64];

	while (next_name(&calls, name))
		if (!strcmp(name, call))
			return true;
	return false;
}

/*
 * i386 has two ways to some calls, of which libseccomp resolves a name to the older one, a part of
 * socketcall or ipc, which is no number of a call. From the numbers it knows the newer one's name.
 */
static void answer_direct(struct answers *a)
{
	for (int nr = 0; nr <= NEWEST_KNOWN_CALL; nr++) {
		char *name = a->of[nr] == ANSWER_EPERM
				     ? seccomp_syscall_resolve_num_arch(a->arches[0], nr)
				     : NULL;

		if (name && !strcmp(name, "socket"))
			a->of[nr] = ANSWER_SOCKET;
		else if (name && is_allowed(name))
			a->of[nr] = ANSWER_ALLOW;
		free(name);
	}
}

static void join_gone(struct answers *a)
{
	const char *calls = gone;
	char name[64];

	while (next_name(&calls, name)) {
		int nr = seccomp_syscall_resolve_name_arch(a->arches[0], name);

		if (nr > 0 && nr < NUMBERS - 1 && a->of[nr - 1] <= ANSWER_ALLOW)
			a->of[nr] = a->of[nr - 1];
	}
}

static void decide(struct answers *a, uint64_t capabilities)
{
	memset(a->of, ANSWER_EPERM, sizeof(a->of));
	memset(a->of + NEWEST_KNOWN_CALL + 1, ANSWER_ENOSYS, X32_FIRST - NEWEST_KNOWN_CALL - 1);
	a->of[NUMBERS - 1] = ANSWER_ENOSYS;
	allow(a, always);
	answer_direct(a);
	answer(a, "socket", ANSWER_SOCKET);
	answer(a, "personality", ANSWER_PERSONALITY);
	answer(a, "clone", ANSWER_CLONE);
	answer(a, "clone3", ANSWER_ENOSYS);
	for (size_t i = 0; i < sizeof(guarded) / sizeof(guarded[0]); i++)
		if (has_capability(capabilities, guarded[i].capability))
			allow(a, guarded[i].calls);
	join_gone(a);
}

/* The kernel looks at no more than the lower half of these arguments, so neither does this. */
static void emit_argument(struct callfilter *f)
{
	callfilter_load(f, offsetof(struct seccomp_data, args));
}

/* vsock is not namespaced: it would reach the host's hypervisor. */
static void emit_socket(struct callfilter *f)
{
	emit_argument(f);
	callfilter_jump(f, BPF_JEQ, AF_VSOCK, 1, 0);
	callfilter_return(f, SECCOMP_RET_ALLOW);
	callfilter_return(f, SECCOMP_RET_ERRNO | EPERM);
}

static void emit_personality(struct callfilter *f)
{
	static const unsigned int fine[] = {
		PER_LINUX,  PER_LINUX32, PERSONALITY_UNAME26, PERSONALITY_UNAME26 | PER_LINUX32,
		0xffffffff, /* asks only */
	};
	const size_t count = sizeof(fine) / sizeof(fine[0]);

	emit_argument(f);
	for (size_t i = 0; i < count; i++)
		callfilter_jump(f, BPF_JEQ, fine[i], (__u8)(count - i), 0);
	callfilter_return(f, SECCOMP_RET_ERRNO | EPERM);
	callfilter_return(f, SECCOMP_RET_ALLOW);
}

static void emit_clone(struct callfilter *f)
{
	emit_argument(f);
	callfilter_jump(f, BPF_JSET, CLONE_NAMESPACES, 1, 0);
	callfilter_return(f, SECCOMP_RET_ALLOW);
	callfilter_return(f, SECCOMP_RET_ERRNO | EPERM);
}

static void emit_answer(struct callfilter *f, unsigned answer, const void *arg)
{
	switch ((enum answer)answer) {
	case ANSWER_EPERM:
		callfilter_return(f, SECCOMP_RET_ERRNO | EPERM);
		break;
	case ANSWER_ENOSYS:
		callfilter_return(f, SECCOMP_RET_ERRNO | ENOSYS);
		break;
	case ANSWER_ALLOW:
		callfilter_return(f, SECCOMP_RET_ALLOW);
		break;
	case ANSWER_SOCKET:
		emit_socket(f);
		break;
	case ANSWER_PERSONALITY:
		emit_personality(f);
		break;
	case ANSWER_CLONE:
		emit_clone(f);
		break;
	case ANSWERS:
		break;
	}
}

static void emit_answers(struct callfilter *f, const struct answers *a)
{
	const struct callfilter_answers answers = { a->of, NUMBERS, ANSWERS, emit_answer, NULL };

	callfilter_search(f, &answers);
}

/* The kernel's rule: an unknown architecture's numbers mean nothing, so it is killed. */
static void build(struct callfilter *f, uint64_t capabilities, bool quotas)
{
	struct answers wide = { .arches = { SCMP_ARCH_X86_64, SCMP_ARCH_X32 } };
	struct answers narrow = { .arches = { SCMP_ARCH_X86 } };
	size_t at;

	decide(&wide, capabilities);
	if (quotas)
		answer(&wide, "quotactl", ANSWER_ALLOW);
	decide(&narrow, capabilities);
	callfilter_init(f);
	callfilter_load(f, offsetof(struct seccomp_data, arch));
	callfilter_jump(f, BPF_JEQ, AUDIT_ARCH_X86_64, 3, 0);
	callfilter_jump(f, BPF_JEQ, AUDIT_ARCH_I386, 1, 0);
	callfilter_return(f, SECCOMP_RET_KILL_PROCESS);
	at = f->n;
	callfilter_emit(f, (struct sock_filter){ 0 }); // to the narrow part
	callfilter_load(f, offsetof(struct seccomp_data, nr));
	callfilter_emit(f, (struct sock_filter)BPF_STMT(BPF_ALU | BPF_AND | BPF_K, ~X32_BIT));
	emit_answers(f, &wide);
	f->code[at] = (struct sock_filter)BPF_STMT(BPF_JMP | BPF_JA, (uint32_t)(f->n - at - 1));
	callfilter_load(f, offsetof(struct seccomp_data, nr));
	emit_answers(f, &narrow);
}

int seccomp_profile_export(uint64_t capabilities, bool quotas, int *ret_fd, struct err *e)
{
	struct callfilter f;
	size_t size;
	int fd, r;

	build(&f, capabilities, quotas);
	size = f.n * sizeof(f.code[0]);
	if (f.overflow)
		return err_set(e, -EIO, "seccomp: the program is too long");
	fd = memfd_create("seccomp", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0)
		return err_sys(e, errno, "seccomp");
	if (write(fd, f.code, size) == (ssize_t)size &&
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) == 0) {
		*ret_fd = fd;
		return 0;
	}
	r = err_sys(e, errno, "seccomp: writing the program");
	close(fd);
	return r;
}

int seccomp_profile_load(int fd, struct sock_filter **ret, unsigned short *ret_count, struct err *e)
{
	struct sock_filter *program;
	struct stat st;

	if (fstat(fd, &st) < 0)
		return err_sys(e, errno, "seccomp: the program");
	if (st.st_size < (off_t)sizeof(*program) || st.st_size % (off_t)sizeof(*program) ||
	    st.st_size > (off_t)(BPF_MAXINSNS * sizeof(*program)))
		return err_set(e, -EINVAL, "seccomp: the program has an impossible size");
	program = malloc((size_t)st.st_size);
	if (!program)
		return err_sys(e, ENOMEM, "seccomp: the program");
	if (pread(fd, program, (size_t)st.st_size, 0) != st.st_size) {
		free(program);
		return err_set(e, -EIO, "seccomp: the program cannot be read");
	}
	*ret = program;
	*ret_count = (unsigned short)((size_t)st.st_size / sizeof(*program));
	return 0;
}
