/* A monitor's walls and its system call filter, each tried from inside by a child. */
#include "backends/monitor/monitor_filter.h"
#include "backends/monitor/walls.h"
#include "tests/unit/tap.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

/* What a broken monitor might try; each gives 0 when it succeeded. */
static int try_execve(void)
{
	char *argv[] = { (char *)"true", NULL };

	return execve("/proc/self/exe", argv, NULL);
}

static int try_ptrace(void)
{
	return (int)ptrace(PTRACE_ATTACH, 1, NULL, NULL);
}

static int try_kill(void)
{
	return kill(1, 0);
}

static int try_tgkill(void)
{
	return (int)syscall(SYS_tgkill, 1, 1, 0);
}

static int try_mount(void)
{
	return mount("x", "/", "tmpfs", 0, NULL);
}

static int try_unshare(void)
{
	return unshare(CLONE_NEWUSER);
}

static int try_inet(void)
{
	return socket(AF_INET, SOCK_STREAM, 0) < 0;
}

static int try_vsock(void)
{
	return socket(AF_VSOCK, SOCK_STREAM, 0) < 0;
}

static int try_executable(void)
{
	return mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) ==
	       MAP_FAILED;
}

static int try_dumpable(void)
{
	return prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
}

static int try_readv(void)
{
	return (int)syscall(SYS_process_vm_readv, 1, NULL, 0, NULL, 0, 0);
}

static int try_bpf(void)
{
	return (int)syscall(SYS_bpf, 0, NULL, 0);
}

static int try_setuid(void)
{
	return (int)syscall(SYS_setuid, 0);
}

static int try_mkdir(void)
{
	return mkdir("x", 0700);
}

static const struct attempt {
	const char *what;
	int (*try)(void);
	int nr;
} attempts[] = {
	{ "execute a program", try_execve, SYS_execve },
	{ "trace another process", try_ptrace, SYS_ptrace },
	{ "signal another process", try_kill, SYS_kill },
	{ "signal another's thread", try_tgkill, SYS_tgkill },
	{ "mount", try_mount, SYS_mount },
	{ "make a user namespace", try_unshare, SYS_unshare },
	{ "reach the network", try_inet, SYS_socket },
	{ "reach the host's hypervisor", try_vsock, SYS_socket },
	{ "make memory executable", try_executable, SYS_mmap },
	{ "become readable for its user", try_dumpable, SYS_prctl },
	{ "read another's memory", try_readv, SYS_process_vm_readv },
	{ "load a BPF program", try_bpf, SYS_bpf },
	{ "become another user", try_setuid, SYS_setuid },
	{ "make a directory", try_mkdir, SYS_mkdir },
};

static void confine(int exit_fd, enum monitor_role role)
{
	struct err e = { 0 };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || monitor_filter_report(exit_fd, &e) < 0 ||
	    monitor_filter_install(MONITOR_LOOP, &e) < 0 ||
	    (role != MONITOR_LOOP && monitor_filter_install(role, &e) < 0)) {
		printf("# %s\n", e.text);
		_exit(2);
	}
}

static void forbidden(const struct attempt *a, enum monitor_role role, const char *whose)
{
	int record = memfd_create("exit", 0), status = 0;
	char text[128] = "", want[128];
	pid_t pid = fork();

	if (pid == 0) {
		confine(record, role);
		_exit(a->try() == 0 ? 0 : 1);
	}
	waitpid(pid, &status, 0);
	(void)!pread(record, text, sizeof(text) - 1, 0);
	close(record);
	snprintf(want, sizeof(want), "failed: the monitor used system call %d\n", a->nr);
	if (!ok(WIFEXITED(status) && WEXITSTATUS(status) == MONITOR_FORBIDDEN &&
			!strcmp(text, want),
		"%s cannot %s", whose, a->what))
		printf("# status %#x, left behind: %s\n", status, text);
}

static int try_thread_socket(void)
{
	return socket(AF_UNIX, SOCK_STREAM, 0) < 0;
}

static int try_uring(void)
{
	return (int)syscall(SYS_io_uring_setup, 1, NULL);
}

static int try_clone(void)
{
	return (int)syscall(SYS_clone3, NULL, 0);
}

static void *thread_main(void *arg)
{
	return arg;
}

/* What a monitor does is possible. */
static bool works(void)
{
	pthread_t thread;
	char *memory =
		mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	void *result = NULL;
	int fds[2];

	memory[0] = 1;
	return socketpair(AF_UNIX, SOCK_SEQPACKET, 0, fds) == 0 &&
	       pthread_create(&thread, NULL, thread_main, memory) == 0 &&
	       pthread_join(thread, &result) == 0 && result == memory &&
	       open("/etc/passwd", O_RDONLY) < 0 && errno == EACCES && raise(0) == 0 &&
	       write(fds[0], "x", 1) == 1 && memfd_create("m", 0) >= 0;
}

static int status_of(bool (*body)(void))
{
	int status = 0;
	pid_t pid = fork();

	if (pid == 0)
		_exit(body() ? 0 : 1);
	waitpid(pid, &status, 0);
	return status;
}

static bool body_works(void)
{
	confine(-1, MONITOR_LOOP);
	return works();
}

#define SHARED_KEY	0x6d666673
#define DESCRIPTORS_MAX 4096

/* What others share by System V's names is not there, and the host does not take a name from here.
 */
static bool names_are_apart(void)
{
	return shmget(SHARED_KEY, 0, 0) < 0 && errno == ENOENT &&
	       sethostname("behind-walls", 12) == 0;
}

static bool descriptors_end(void)
{
	int n = 0, fd;

	do
		fd = open("/", O_PATH | O_DIRECTORY);
	while (fd >= 0 && ++n <= DESCRIPTORS_MAX);
	return fd < 0 && errno == EMFILE;
}

static bool leaves_no_core(void)
{
	struct rlimit l;

	return getrlimit(RLIMIT_CORE, &l) == 0 && l.rlim_max == 0;
}

static bool behind_walls(void)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(1) };
	struct err e = { 0 };
	int fd, host = open("/etc", O_PATH | O_DIRECTORY);
	char cwd[64];

	if (walls_limit(&e) < 0 || walls_raise(&e) < 0) {
		printf("# %s\n", e.text);
		return false;
	}
	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	fd = socket(AF_INET, SOCK_STREAM, 0);
	return getcwd(cwd, sizeof(cwd)) && !strcmp(cwd, "/") && open("/etc/passwd", O_RDONLY) < 0 &&
	       errno == ENOENT && open("/proc/self/status", O_RDONLY) < 0 &&
	       mkdir("/x", 0700) < 0 && errno == EROFS && open("/../etc", O_PATH) < 0 &&
	       connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0 && errno == ENETUNREACH &&
	       host >= 0 && names_are_apart() && leaves_no_core() && descriptors_end();
}

static bool ordinary_walls(void)
{
	return setresgid(1000, 1000, 1000) == 0 && setresuid(1000, 1000, 1000) == 0 &&
	       prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) == 0 && behind_walls() && geteuid() == 1000;
}

static bool has_user_namespaces(void)
{
	return setresuid(1000, 1000, 1000) == 0 && unshare(CLONE_NEWUSER) == 0;
}

int main(void)
{
	static const struct attempt vcpu[] = {
		{ "open a socket", try_thread_socket, SYS_socket },
		{ "make an io_uring", try_uring, SYS_io_uring_setup },
		{ "make a thread", try_clone, SYS_clone3 },
		{ "execute a program", try_execve, SYS_execve },
	};
	struct utsname before, after;
	int shared;

#ifdef __SANITIZE_ADDRESS__
	skip_all("a sanitized monitor has no filter");
#endif
	for (size_t i = 0; i < sizeof(attempts) / sizeof(attempts[0]); i++)
		forbidden(&attempts[i], MONITOR_LOOP, "the loop");
	for (size_t i = 0; i < sizeof(vcpu) / sizeof(vcpu[0]); i++)
		forbidden(&vcpu[i], MONITOR_VCPU, "a vCPU");
	ok(status_of(body_works) == 0, "what a monitor needs it has; files there are none");
	if (geteuid() != 0) {
		skip("root's monitor has an empty root, no network, names of its own, limits",
		     "needs root");
		return tap_done();
	}
	uname(&before);
	shared = shmget(SHARED_KEY, 4096, IPC_CREAT | 0666);
	ok(shared >= 0 && status_of(behind_walls) == 0,
	   "root's monitor has an empty root, no network, names of its own, limits");
	if (status_of(has_user_namespaces) == 0)
		ok(status_of(ordinary_walls) == 0, "an ordinary user's likewise");
	else
		skip("an ordinary user's likewise", "no user namespaces for ordinary users here");
	shmctl(shared, IPC_RMID, NULL);
	ok(uname(&after) == 0 && !strcmp(before.nodename, after.nodename) &&
		   access("/etc/passwd", R_OK) == 0,
	   "the host keeps its name and its files");
	return tap_done();
}
