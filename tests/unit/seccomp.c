/* The filter's meaning: a child installs it and tries calls; and what may be loaded. */
#include "backends/container/capabilities.h"
#include "backends/container/seccomp.h"
#include "tests/unit/tap.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/quota.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static struct sock_filter *program;
static unsigned short count;

typedef long entry(long nr, long a, long b, long c);

static long call(long nr, long a, long b, long c)
{
	long r = syscall(nr, a, b, c, 0, 0, 0);

	return r < 0 ? -errno : r;
}

/* One of i386's, which a 64-bit program may make, too. */
static long call_i386(long nr, long a, long b, long c)
{
	int r = (int)nr;

	__asm__ volatile("int $0x80"
			 : "+a"(r)
			 : "b"(a), "c"(b), "d"(c), "S"(0), "D"(0)
			 : "memory", "r8", "r9", "r10", "r11");
	return r;
}

/* errno of a call under the filter, 0 when it succeeded, 255 when the child died. */
static int try_by(entry *enter, long nr, long a, long b, long c)
{
	struct sock_fprog prog = { .len = count, .filter = program };
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		long r;

		if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
		    syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &prog) < 0)
			_exit(254);
		r = enter(nr, a, b, c);
		_exit(r < 0 ? (int)-r : 0);
	}
	waitpid(pid, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 255;
}

static int try(long nr, long a, long b, long c)
{
	return try_by(call, nr, a, b, c);
}

/* Whether this kernel has any: without, the child dies. */
static bool has_i386(void)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		signal(SIGSEGV, SIG_DFL); // a sanitizer would report it
		_exit(call_i386(20, 0, 0, 0) < 0);
	}
	waitpid(pid, &status, 0);
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static void use(uint64_t capabilities, bool quotas)
{
	struct err e = { 0 };
	int fd = -1;

	free(program);
	program = NULL;
	ok(seccomp_profile_export(capabilities, quotas, &fd, &e) == 0, "exported %s", e.text);
	ok(seccomp_profile_load(fd, &program, &count, &e) == 0 && count > 10, "%d instructions",
	   count);
	ok(write(fd, "x", 1) < 0 && ftruncate(fd, 0) < 0, "sealed");
	close(fd);
}

static void test_default(void)
{
	static const struct {
		const char *name;
		long nr, a, b, c;
		int want;
	} calls[] = {
		{ "getppid", SYS_getppid, 0, 0, 0, 0 },
		{ "keyctl", SYS_keyctl, 0, 0, 0, EPERM },
		{ "add_key", SYS_add_key, 0, 0, 0, EPERM },
		{ "mount", SYS_mount, 0, 0, 0, EPERM },
		{ "umount2", SYS_umount2, 0, 0, 0, EPERM },
		{ "open_tree", SYS_open_tree, 0, 0, 0, EPERM },
		{ "bpf", SYS_bpf, 0, 0, 0, EPERM },
		{ "reboot", SYS_reboot, 0, 0, 0, EPERM },
		{ "io_uring_setup", SYS_io_uring_setup, 0, 0, 0, EPERM },
		{ "userfaultfd", SYS_userfaultfd, 0, 0, 0, EPERM },
		{ "unshare", SYS_unshare, CLONE_NEWUSER, 0, 0, EPERM },
		{ "clone with a user namespace", SYS_clone, CLONE_NEWUSER | 17, 0, 0, EPERM },
		{ "clone with a net namespace", SYS_clone, CLONE_NEWNET | 17, 0, 0, EPERM },
		{ "clone3", SYS_clone3, 0, 0, 0, ENOSYS },
		{ "a call of the future", 460, 0, 0, 0, ENOSYS },
		{ "a call that never was", 100000, 0, 0, 0, ENOSYS },
		{ "socket AF_UNIX", SYS_socket, AF_UNIX, SOCK_STREAM, 0, 0 },
		{ "socket AF_VSOCK", SYS_socket, AF_VSOCK, SOCK_STREAM, 0, EPERM },
		{ "personality asked", SYS_personality, 0xffffffff, 0, 0, 0 },
		{ "personality ADDR_NO_RANDOMIZE", SYS_personality, 0x0040000, 0, 0, EPERM },
		{ "chroot without its capability", SYS_chroot, 0, 0, 0, EPERM },
	};

	use(0, false);
	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		int got = try(calls[i].nr, calls[i].a, calls[i].b, calls[i].c);

		ok(got == calls[i].want, "%s: %s", calls[i].name, strerror(got));
	}
}

static void test_i386(void)
{
	static const struct {
		const char *name;
		unsigned nr, a, b, c;
		int want;
	} calls[] = {
		{ "getpid", 20, 0, 0, 0, 0 },
		{ "mount", 21, 0, 0, 0, EPERM },
		{ "socket AF_UNIX, by its own number", 359, AF_UNIX, SOCK_STREAM, 0, 0 },
		{ "socket AF_VSOCK", 359, AF_VSOCK, SOCK_STREAM, 0, EPERM },
		{ "bind", 361, 99, 0, 0, EBADF },
		{ "connect", 362, 99, 0, 0, EBADF },
		{ "accept4", 364, 99, 0, 0, EBADF },
		{ "sendmmsg", 345, 99, 0, 0, EBADF },
		{ "recvmmsg", 337, 99, 0, 0, EBADF },
		{ "shmget", 395, 0, 0, 0, EINVAL },
		{ "sigpending", 73, 0, 0, 0, EFAULT },
		{ "nice", 34, 0, 0, 0, 0 },
		{ "oldstat", 18, 0, 0, 0, EFAULT },
		{ "a call that is no more, stty", 31, 0, 0, 0, ENOSYS },
		{ "add_key", 286, 0, 0, 0, EPERM },
		{ "perf_event_open", 336, 0, 0, 0, EPERM },
		{ "fanotify_init", 338, 0, 0, 0, EPERM },
		{ "setns", 346, 0, 0, 0, EPERM },
		{ "reboot", 88, 0, 0, 0, EPERM },
		{ "io_uring_setup", 425, 0, 0, 0, EPERM },
		{ "a call of the future", 460, 0, 0, 0, ENOSYS },
	};

	if (!has_i386()) {
		skip("calls of i386", "this kernel has none");
		return;
	}
	use(0, false);
	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		int got = try_by(call_i386, calls[i].nr, calls[i].a, calls[i].b, calls[i].c);

		ok(got == calls[i].want, "of i386, %s: %s", calls[i].name, strerror(got));
	}
}

static void test_capable(void)
{
	use(capabilities_all(), false);
	ok(try(SYS_mount, 0, 0, 0) == EFAULT, "mount reaches the kernel with CAP_SYS_ADMIN");
	ok(try(SYS_clone3, 0, 0, 0) == EINVAL, "clone3 too");
	ok(try(SYS_chroot, 0, 0, 0) == EFAULT, "chroot with CAP_SYS_CHROOT");
	ok(try(SYS_keyctl, 0, 0, 0) == EPERM, "keyctl never");
	use(0, false);
	ok(try(SYS_quotactl, QCMD((unsigned)Q_SYNC, USRQUOTA), 0, 0) == EPERM,
	   "quotactl not by default");
	use(0, true);
	ok(try(SYS_quotactl, QCMD((unsigned)Q_SYNC, USRQUOTA), 0, 0) == 0,
	   "but when it is answered");
}

static void test_load(void)
{
	static char junk[BPF_MAXINSNS * 8 + 8];
	int fd = memfd_create("junk", MFD_CLOEXEC);
	struct sock_filter *got = NULL;
	unsigned short n;
	struct err e = { 0 };

	ok(seccomp_profile_load(fd, &got, &n, &e) == -EINVAL, "empty: %s", e.text);
	ok(write(fd, junk, 12) == 12 && seccomp_profile_load(fd, &got, &n, &e) == -EINVAL,
	   "not whole instructions");
	ok(write(fd, junk, sizeof(junk) - 12) > 0 &&
		   seccomp_profile_load(fd, &got, &n, &e) == -EINVAL && !got,
	   "too large");
	close(fd);
}

static void test_names(void)
{
	ok(capability_number("CAP_SYS_ADMIN") == CAP_SYS_ADMIN &&
		   capability_number("chown") == CAP_CHOWN && capability_number("Mknod") == 27,
	   "capabilities by name");
	ok(capability_number("") == -1 && capability_number("cap_") == -1 &&
		   capability_number("root") == -1 && !capability_name(-1) && !capability_name(64),
	   "no such capability");
	for (int i = 0; capability_name(i); i++)
		if (capability_number(capability_name(i)) != i)
			ok(false, "capability %d", i);
	ok(capabilities_all() == UINT64_C(0x1ffffffffff), "all forty-one");
}

int main(void)
{
	test_default();
	test_i386();
	test_capable();
	test_load();
	test_names();
	free(program);
	return tap_done();
}
