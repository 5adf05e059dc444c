/* The default system call filter: see seccomp.h. The tables are the policy. */
#include "backends/seccomp.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
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

/* Calls with a higher number were not thought of here: set_mempolicy_home_node, Linux 5.17. */
#define NEWEST_KNOWN_CALL 450

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
	"arch_prctl modify_ldt";

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

/* A name that this libseccomp does not know is a call newer than it: it stays refused. */
static int add_calls(scmp_filter_ctx ctx, const char *calls)
{
	char name[64];

	while (*calls) {
		size_t len = strcspn(calls, " ");
		int nr, r;

		if (len >= sizeof(name))
			return -EINVAL;
		memcpy(name, calls, len);
		name[len] = '\0';
		nr = seccomp_syscall_resolve_name(name);
		r = nr == __NR_SCMP_ERROR ? 0 : seccomp_rule_add(ctx, SCMP_ACT_ALLOW, nr, 0);
		if (r < 0 && r != -EEXIST)
			return r;
		calls += len + (calls[len] == ' ');
	}
	return 0;
}

static int add_guarded(scmp_filter_ctx ctx, uint64_t capabilities)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < sizeof(guarded) / sizeof(guarded[0]); i++)
		if (has_capability(capabilities, guarded[i].capability))
			r = add_calls(ctx, guarded[i].calls);
	return r;
}

/* The calls whose arguments decide. */
static int add_by_argument(scmp_filter_ctx ctx, uint64_t capabilities)
{
	static const unsigned int personalities[] = {
		PER_LINUX,  PER_LINUX32, PERSONALITY_UNAME26, PERSONALITY_UNAME26 | PER_LINUX32,
		0xffffffff, /* asks only */
	};
	/* vsock is not namespaced: it would reach the host's hypervisor. */
	int r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(socket), 1,
				 SCMP_A0(SCMP_CMP_NE, AF_VSOCK));

	for (size_t i = 0; r == 0 && i < sizeof(personalities) / sizeof(personalities[0]); i++)
		r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(personality), 1,
				     SCMP_A0(SCMP_CMP_EQ, personalities[i]));
	if (r < 0 || has_capability(capabilities, CAP_SYS_ADMIN))
		return r;
	r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1,
			     SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_NAMESPACES, 0));
	if (r < 0)
		return r;
	return seccomp_rule_add(ctx, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
}

static int build(scmp_filter_ctx ctx, uint64_t capabilities)
{
	int r = 0;

	if (seccomp_arch_native() == SCMP_ARCH_X86_64) {
		r = seccomp_arch_add(ctx, SCMP_ARCH_X86);
		if (r == 0)
			r = seccomp_arch_add(ctx, SCMP_ARCH_X32);
	}
	/* no_new_privs is the engine's to decide. */
	if (r == 0)
		r = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_NNP, 0);
	/* A search tree over the numbers: most calls pass in ten steps instead of two hundred. */
	if (r == 0)
		r = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	if (r == 0)
		r = add_calls(ctx, always);
	if (r == 0)
		r = add_guarded(ctx, capabilities);
	if (r == 0)
		r = add_by_argument(ctx, capabilities);
	return r;
}

/*
 * Goes in front of libseccomp's program, whose jumps are all relative: ENOSYS for a number that
 * is newer than the tables. x32 numbers have a bit of their own and are left to what follows.
 */
static const struct sock_filter prefix[] = {
	BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
	BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, 0x40000000, 2, 0),
	BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, NEWEST_KNOWN_CALL, 0, 1),
	BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
};

/* Copies what libseccomp wrote to from behind the prefix in to, and seals to. */
static int assemble(int from, int to, struct err *e)
{
	struct sock_filter program[BPF_MAXINSNS];
	const size_t room = sizeof(program) - sizeof(prefix);
	ssize_t n = pread(from, program, sizeof(program), 0);

	if (n <= 0 || (size_t)n > room || (size_t)n % sizeof(program[0]))
		return err_set(e, -EIO, "seccomp: the program has an impossible size");
	if (write(to, prefix, sizeof(prefix)) != sizeof(prefix) || write(to, program, n) != n)
		return err_sys(e, errno, "seccomp: writing the program");
	if (fcntl(to, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) < 0)
		return err_sys(e, errno, "seccomp: sealing the program");
	return 0;
}

int seccomp_profile_export(uint64_t capabilities, int *ret_fd, struct err *e)
{
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ERRNO(EPERM));
	int raw = memfd_create("seccomp-raw", MFD_CLOEXEC);
	int fd = memfd_create("seccomp", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	int r = ctx ? build(ctx, capabilities) : -ENOMEM;

	if (r == 0 && (raw < 0 || fd < 0))
		r = -ENOMEM;
	if (r == 0)
		r = seccomp_export_bpf(ctx, raw);
	if (r < 0)
		err_sys(e, -r, "seccomp: compiling the profile");
	else
		r = assemble(raw, fd, e);
	if (ctx)
		seccomp_release(ctx);
	if (raw >= 0)
		close(raw);
	if (r < 0) {
		if (fd >= 0)
			close(fd);
		return -err_public(-r);
	}
	*ret_fd = fd;
	return 0;
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
