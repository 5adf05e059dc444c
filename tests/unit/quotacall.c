/* quotactl(2) for others: what is asked, whose ids, who may; and all of it by a process that waits
 * for its answer, and does not behave. */
#include "backends/container/capabilities.h"
#include "backends/container/quotacall.h"
#include "backends/container/quotaserver.h"
#include "tests/unit/tap.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <linux/userfaultfd.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define CMD(op, type) QCMD((unsigned)(op), type)
#define DEVICE	      "/dev/loop7"

/* ---- without a process ---- */

static int decode(uint64_t command, struct quotacall *c)
{
	return quotacall_decode((uint64_t[]){ command, 0x1000, 0xffffffff00000005, 0x2000 }, c);
}

static void test_decode(void)
{
	static const unsigned refused[] = { Q_QUOTAON, Q_QUOTAOFF, 0x580001, 0x580003,
					    0x580005,  0,	   0x800010, 0xffffff };
	struct quotacall c;

	ok(decode(CMD(Q_SETQUOTA, GRPQUOTA), &c) == 0 && c.op == Q_SETQUOTA && c.type == GRPQUOTA &&
		   c.id == 5 && c.special == 0x1000 && c.data == 0x2000 &&
		   c.size == sizeof(struct if_dqblk) && c.reads && !c.writes && c.has_id,
	   "a call is taken apart");
	ok(decode(CMD(Q_GETNEXTQUOTA, USRQUOTA) | 0xdeadbeef00000000, &c) == 0 && c.writes &&
		   c.size == sizeof(struct if_nextdqblk),
	   "by its lower half, as the kernel does it");
	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++)
		ok(decode(CMD(refused[i], USRQUOTA), &c) == -EPERM, "not 0x%x", refused[i]);
	ok(decode(CMD(Q_GETINFO, PRJQUOTA), &c) == -ESRCH, "there are no projects");
	ok(decode(CMD(Q_GETINFO, 3), &c) == -EINVAL && decode(CMD(Q_GETINFO, 255), &c) == -EINVAL,
	   "nor what is no type");
}

static void test_check(void)
{
	struct quotacall set, info;
	union quotacall_data d = { .block.dqb_valid = QIF_LIMITS | QIF_TIMES };

	decode(CMD(Q_SETQUOTA, USRQUOTA), &set);
	decode(CMD(Q_SETINFO, USRQUOTA), &info);
	ok(quotacall_check(&set, &d) == 0, "limits and times are set");
	d.block.dqb_valid |= QIF_SPACE;
	ok(quotacall_check(&set, &d) == -EPERM, "not what is used");
	d.block.dqb_valid = QIF_INODES;
	ok(quotacall_check(&set, &d) == -EPERM, "of inodes neither");
	d.block.dqb_valid = 1u << 31;
	ok(quotacall_check(&set, &d) == -EPERM, "nor what nobody knows");
	d.info = (struct if_dqinfo){ .dqi_valid = IIF_BGRACE | IIF_IGRACE };
	ok(quotacall_check(&info, &d) == 0, "and grace periods");
	d.info.dqi_valid |= IIF_FLAGS;
	ok(quotacall_check(&info, &d) == -EPERM, "not flags");
}

static void test_ids(void)
{
	static const char *const broken[] = {
		"1 2", "x", "0 0 0", "4294967295 0 2", "0 4294967295 9", "\n"
	};
	struct quota_ids ids;
	uint32_t inside, disk, count, out;

	quota_ids_init(&ids, NULL, true);
	ok(quota_ids_outside(&ids, 4294967294, &out) && out == 4294967294 &&
		   !quota_ids_outside(&ids, UINT32_MAX, &out),
	   "without a map all are themselves, but for no id");
	quota_ids_free(&ids);
	ok(quota_ids_init(&ids, "1000 7000 10\n0 100000 5\n", false) == 0 && ids.n == 2, "a map");
	ok(quota_ids_outside(&ids, 1009, &out) && out == 7009 &&
		   !quota_ids_outside(&ids, 1010, &out) && !quota_ids_outside(&ids, 5, &out),
	   "has no others");
	ok(quota_ids_next(&ids, 3, &inside, &disk, &count) && inside == 3 && disk == 100003 &&
		   count == 2,
	   "what follows in a range");
	ok(quota_ids_next(&ids, 5, &inside, &disk, &count) && inside == 1000 && disk == 7000 &&
		   count == 10,
	   "what follows in the next");
	ok(!quota_ids_next(&ids, 1010, &inside, &disk, &count), "and nothing behind the last");
	ids.disk_inside = true;
	ok(quota_ids_next(&ids, 1001, &inside, &disk, &count) && disk == 1001,
	   "on a disk that is mounted with the map");
	quota_ids_free(&ids);
	for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++)
		ok(quota_ids_init(&ids, broken[i], false) == -EINVAL && !ids.list, "no map: %s",
		   broken[i]);
}

#define STATUS(uid, caps)                                                                   \
	"Name:\tUid:\\nUid:\t0\nUmask:\t0022\nUid:\t1\t" uid "\t3\t4\nGid:\t5\t100\t7\t8\n" \
	"Groups:\t100 200 300 \nCapInh:\tffffffff\nCapEff:\t" caps

static int grant(unsigned op, unsigned type, uint32_t id, const char *status, bool at_home)
{
	struct quota_ids ids[2];
	struct quota_caller who;
	struct quotacall c;
	int r;

	decode(CMD(op, type), &c);
	c.id = id;
	if (!quota_caller_parse(status, &who))
		return -ESRCH;
	who.at_home = at_home;
	quota_ids_init(&ids[0], "0 100000 2000\n", false);
	quota_ids_init(&ids[1], "0 100 1\n9 200 1\n", false);
	r = quotacall_grant(&c, &who, ids, 0xf0);
	quota_ids_free(&ids[0]);
	quota_ids_free(&ids[1]);
	return r;
}

static void test_grant(void)
{
	const char *root = STATUS("100000", "00000000000000ff\n"),
		   *user = STATUS("101000", "00000000000000ff\n"),
		   *weak = STATUS("100000", "0000000000000070\n"),
		   *host = STATUS("0", "ffffffffffffffff\n");
	static const char *const broken[] = { "", "Uid:\t0 0 0 0\n", STATUS("100000", "ff"),
					      STATUS("x", "ff\n"), STATUS("100000", "0x\n") };

	ok(grant(Q_SETQUOTA, USRQUOTA, 7, root, true) == 0, "root sets");
	ok(grant(Q_SETQUOTA, USRQUOTA, 7, root, false) == -EPERM,
	   "not from another user namespace");
	ok(grant(Q_SETQUOTA, USRQUOTA, 7, weak, true) == -EPERM,
	   "not without all of the capabilities");
	ok(grant(Q_SETQUOTA, USRQUOTA, 7, host, true) == -EPERM, "not who is another's root");
	ok(grant(Q_SETQUOTA, USRQUOTA, 1000, user, true) == -EPERM, "a user sets nothing");
	ok(grant(Q_SETINFO, USRQUOTA, 0, user, true) == -EPERM &&
		   grant(Q_SYNC, USRQUOTA, 0, user, true) == -EPERM &&
		   grant(Q_GETNEXTQUOTA, USRQUOTA, 0, user, true) == -EPERM,
	   "nothing else");
	ok(grant(Q_GETQUOTA, USRQUOTA, 1000, user, true) == 0, "but asks for his own");
	ok(grant(Q_GETQUOTA, USRQUOTA, 1001, user, true) == -EPERM, "not others'");
	ok(grant(Q_GETQUOTA, USRQUOTA, 1000, user, false) == -EPERM, "nor by another's numbers");
	ok(grant(Q_GETQUOTA, GRPQUOTA, 0, user, true) == 0, "his group's");
	ok(grant(Q_GETQUOTA, GRPQUOTA, 9, user, true) == 0, "each of his groups'");
	ok(grant(Q_GETQUOTA, GRPQUOTA, 1, user, true) == -EPERM, "not another's");
	ok(grant(Q_GETINFO, USRQUOTA, 0, user, true) == 0, "and for periods");
	for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++)
		ok(grant(Q_GETINFO, USRQUOTA, 0, broken[i], true) == -ESRCH, "nobody: %zu", i);
}

/* ---- with processes ---- */

/* A file system that remembers what it was told. */
static struct {
	atomic_int calls;
	unsigned op, type;
	uint32_t id;
	union quotacall_data data;
	atomic_bool held;     /* it lasts */
	unsigned char *spoil; /* the caller's memory, to be changed while it is at work */
} fs;

static int fs_perform(int dir, unsigned op, unsigned type, uint32_t id, void *data)
{
	union quotacall_data *d = data;

	atomic_fetch_add(&fs.calls, 1);
	while (atomic_load(&fs.held))
		usleep(1000);
	if (fs.spoil)
		memset(fs.spoil, 0xff, sizeof(struct if_dqblk));
	fs.op = op;
	fs.type = type;
	fs.id = id;
	if (op == Q_SETQUOTA)
		fs.data.block = d->block;
	else if (op == Q_GETQUOTA)
		d->block = (struct if_dqblk){ .dqb_curspace = id };
	else if (op == Q_GETFMT)
		d->format = 4;
	else if (op == Q_GETNEXTQUOTA && id > 200007)
		return -ENOENT;
	else if (op == Q_GETNEXTQUOTA) /* one that is nobody's inside comes first */
		d->next = (struct if_nextdqblk){ .dqb_id = id < 200000 ? 150000 : 200007 };
	return 0;
}

static struct quotaserver *server;
static uint64_t wanted; /* capabilities of its root */

static bool serve(void)
{
	char map[64];
	struct err e = { 0 };
	struct quotaserver_setup setup = {
		.dir = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC),
		.device = DEVICE,
		.uids = map,
		.gids = map,
		.init = getpid(),
		.capabilities = wanted,
		.perform = fs_perform,
	};
	int r;

	snprintf(map, sizeof(map), "0 %u 1\n1000 200000 10\n", geteuid());
	r = quotaserver_new(&setup, &server, &e);
	close(setup.dir);
	return ok(r == 0, "a server %s", e.text);
}

/* What is a process's, whatever it does, before it can be asked of a process of its own. */
struct process {
	pid_t pid;
	int results; /* bytes: errno, 0 when it succeeded */
};

/* Runs what in a process whose calls the server answers. */
static struct process begin(void (*what)(int out))
{
	int out[2], number[2], go[2], fd = -1, pidfd;
	struct process p;

	if (pipe2(out, O_CLOEXEC) < 0 || pipe2(number, O_CLOEXEC) < 0 || pipe2(go, O_CLOEXEC) < 0)
		exit(99);
	p.pid = fork();
	p.results = out[0];
	if (p.pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
		prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
		fd = (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER,
				  SECCOMP_FILTER_FLAG_NEW_LISTENER, quotacall_filter());
		if (write(number[1], &fd, sizeof(fd)) != sizeof(fd) || read(go[0], go, 1) != 1)
			_exit(99);
		close(fd);
		what(out[1]);
		_exit(0);
	}
	close(out[1]);
	if (read(number[0], &fd, sizeof(fd)) == sizeof(fd) && fd >= 0) {
		pidfd = (int)syscall(SYS_pidfd_open, p.pid, 0);
		fd = (int)syscall(SYS_pidfd_getfd, pidfd, fd, 0);
		close(pidfd);
		quotaserver_add(server, fd);
	}
	(void)!write(go[1], "", 1);
	for (int i = 0; i < 2; i++) {
		close(number[i]);
		close(go[i]);
	}
	return p;
}

static int result(struct process *p)
{
	unsigned char r = 255;

	return read(p->results, &r, 1) == 1 ? r : -1;
}

static void end(struct process *p)
{
	kill(p->pid, SIGKILL);
	waitpid(p->pid, NULL, 0);
	close(p->results);
}

/* Its one result. */
static int run(void (*what)(int out))
{
	struct process p = begin(what);
	int r = result(&p);

	end(&p);
	return r;
}

static void tell(int out, long r)
{
	unsigned char c = r < 0 ? (unsigned char)errno : 0;

	(void)!write(out, &c, 1);
}

static long call(unsigned op, unsigned type, const void *special, uint32_t id, const void *data)
{
	return syscall(SYS_quotactl, CMD(op, type), special, id, data);
}

static const struct if_dqblk limits = { .dqb_bhardlimit = 77, .dqb_valid = QIF_LIMITS };

static void do_set(int out)
{
	tell(out, call(Q_SETQUOTA, USRQUOTA, DEVICE, 1003, &limits));
}

static void do_get(int out)
{
	struct if_dqblk b = { 0 };
	long r = call(Q_GETQUOTA, GRPQUOTA, DEVICE, 1004, &b);

	errno = ERANGE;
	tell(out, r == 0 && b.dqb_curspace == 200004 ? 0 : -1);
}

static void do_next(int out)
{
	struct if_nextdqblk b = { 0 };
	long r = call(Q_GETNEXTQUOTA, USRQUOTA, DEVICE, 0, &b);

	errno = ERANGE;
	tell(out, r == 0 && b.dqb_id == 1007 ? 0 : -1);
	tell(out, call(Q_GETNEXTQUOTA, USRQUOTA, DEVICE, 1008, &b));
}

/* The two pages' first, at whose end there is nothing more. */
static char *brink(void)
{
	char *two = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	munmap(two + 4096, 4096);
	return two;
}

static void do_names(int out)
{
	char *page = brink(), *at = page + 4096 - sizeof(DEVICE);

	memcpy(at, DEVICE, sizeof(DEVICE));
	tell(out, call(Q_SYNC, USRQUOTA, at, 0, NULL));
	tell(out, call(Q_SYNC, USRQUOTA, NULL, 0, NULL));
	memcpy(at + 1, DEVICE, sizeof(DEVICE) - 1);
	tell(out, call(Q_SYNC, USRQUOTA, at + 1, 0, NULL));
	tell(out, call(Q_SYNC, USRQUOTA, page + 4096, 0, NULL));
	tell(out, call(Q_SYNC, USRQUOTA, (void *)UINTPTR_MAX, 0, NULL));
	tell(out, call(Q_SYNC, USRQUOTA, (void *)(UINTPTR_MAX << 47), 0, NULL));
	tell(out, call(Q_SYNC, USRQUOTA, "/dev/loop77", 0, NULL));
	tell(out, call(Q_SYNC, USRQUOTA, "/dev/loop", 0, NULL));
	tell(out, call(Q_GETFMT, USRQUOTA, NULL, 0, page));
}

static void do_pointers(int out)
{
	char *page = brink();

	tell(out, call(Q_SETQUOTA, USRQUOTA, DEVICE, 1000, NULL));
	tell(out, call(Q_SETQUOTA, USRQUOTA, DEVICE, 1000, page + 4096 - 8));
	tell(out, call(Q_SETQUOTA, USRQUOTA, DEVICE, 1000, (void *)UINTPTR_MAX));
	tell(out, call(Q_SETQUOTA, USRQUOTA, DEVICE, 1000, (void *)INTPTR_MAX));
	tell(out, call(Q_SETQUOTA, USRQUOTA, DEVICE, 1000, (void *)(UINTPTR_MAX << 47)));
	tell(out, call(Q_GETQUOTA, USRQUOTA, DEVICE, 1000, NULL));
	tell(out, call(Q_GETQUOTA, USRQUOTA, DEVICE, 1000, page + 4096 - 8));
}

static void do_refused(int out)
{
	const struct if_dqblk use = { .dqb_curspace = 0, .dqb_valid = QIF_SPACE };

	tell(out, call(Q_SETQUOTA, USRQUOTA, DEVICE, 1000, &use));
	tell(out, call(Q_QUOTAON, USRQUOTA, DEVICE, 4, "/"));
	tell(out, call(Q_QUOTAOFF, USRQUOTA, DEVICE, 0, NULL));
	tell(out, call(Q_SETQUOTA, USRQUOTA, DEVICE, 5000, &limits));
	tell(out, call(Q_SETQUOTA, USRQUOTA, DEVICE, UINT32_MAX, &limits));
	tell(out, call(Q_SETQUOTA, PRJQUOTA, DEVICE, 1000, &limits));
}

static bool yields(void (*what)(int out), const int *wants, size_t n, const char *name)
{
	struct process p = begin(what);
	bool good = true;

	for (size_t i = 0; i < n; i++) {
		int r = result(&p);

		if (r != wants[i])
			printf("# %s: %zu: %s\n", name, i, r < 0 ? "no answer" : strerror(r));
		good &= r == wants[i];
	}
	end(&p);
	return ok(good, "%s", name);
}
#define YIELDS(what, name, ...)                                                                  \
	yields(what, (const int[]){ __VA_ARGS__ }, sizeof((int[]){ __VA_ARGS__ }) / sizeof(int), \
	       name)

static void test_calls(void)
{
	int before;

	ok(run(do_set) == 0 && fs.op == Q_SETQUOTA && fs.type == USRQUOTA && fs.id == 200003 &&
		   fs.data.block.dqb_bhardlimit == 77,
	   "a limit is set, of whose files they are on the disk");
	ok(run(do_get) == 0 && fs.type == GRPQUOTA, "an answer comes");
	YIELDS(do_next, "from one id to the next, by what they are inside", 0, ENOENT);
	YIELDS(do_names, "a device goes by its name", 0, 0, ENODEV, ENODEV, ENODEV, ENODEV, ENODEV,
	       ENODEV, ENODEV);
	before = fs.calls;
	YIELDS(do_refused, "what is not granted", EPERM, EPERM, EPERM, EINVAL, EINVAL, ESRCH);
	ok(fs.calls == before, "is not even asked");
	YIELDS(do_pointers, "pointers to nothing", EFAULT, EFAULT, EFAULT, EFAULT, EFAULT, EFAULT,
	       EFAULT);
}

/* ---- who ---- */

static void drop(int out)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct none[2] = { 0 };

	syscall(SYS_capset, &header, none);
	do_set(out);
}

static void become(int out)
{
	struct if_dqblk b;

	if (setresgid(200002, 200002, 200002) < 0 || setresuid(200001, 200001, 200001) < 0)
		_exit(1);
	do_set(out);
	tell(out, call(Q_GETQUOTA, USRQUOTA, DEVICE, 1001, &b));
	tell(out, call(Q_GETQUOTA, USRQUOTA, DEVICE, 1002, &b));
	tell(out, call(Q_GETQUOTA, GRPQUOTA, DEVICE, 1002, &b));
	tell(out, call(Q_GETFMT, USRQUOTA, DEVICE, 0, &b));
}

static void nest(int out)
{
	tell(out, unshare(CLONE_NEWUSER));
	do_set(out);
}

static void test_who(void)
{
	struct process p = begin(nest);

	if (result(&p) == 0)
		ok(result(&p) == EPERM, "root of a user namespace below sets nothing");
	else
		skip("root of a user namespace below", "no user namespaces here");
	end(&p);
	if (!wanted) {
		skip("a user", "not root");
		return;
	}
	ok(run(drop) == EPERM, "root without capabilities sets nothing");
	YIELDS(become, "a user sets nothing, and reads what is his", EPERM, 0, EPERM, 0, 0);
}

/* ---- misbehaviour ---- */

static unsigned char *shared;

static void do_shared(int out)
{
	memcpy(shared, &limits, sizeof(limits));
	tell(out, call(Q_SETQUOTA, USRQUOTA, DEVICE, 1000, shared));
}

static void test_change(void)
{
	shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	fs.spoil = shared;
	ok(run(do_shared) == 0 && shared[0] == 0xff && fs.data.block.dqb_bhardlimit == 77 &&
		   fs.data.block.dqb_valid == QIF_LIMITS,
	   "what was decided upon is what is done, whatever becomes of the caller's memory");
	fs.spoil = NULL;
}

static bool comes(int calls)
{
	for (int i = 0; i < 5000 && fs.calls < calls; i++)
		usleep(1000);
	return fs.calls >= calls;
}

static void test_death(void)
{
	struct process p;
	int before = fs.calls;

	fs.held = true;
	p = begin(do_set);
	ok(comes(before + 1), "a call that lasts");
	end(&p);
	fs.held = false;
	ok(run(do_set) == 0, "and whose caller dies holds up nobody");
}

/* A page that its own process has to bring, and does not. */
static void do_wait(int out)
{
	struct uffdio_api api = { .api = UFFD_API };
	int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC);
	void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct uffdio_register r = { { (uintptr_t)page, 4096 }, UFFDIO_REGISTER_MODE_MISSING, 0 };

	if (fd >= 0 && (ioctl(fd, UFFDIO_API, &api) < 0 || ioctl(fd, UFFDIO_REGISTER, &r) < 0))
		fd = -1;
	tell(out, fd);
	tell(out, call(Q_SETQUOTA, USRQUOTA, DEVICE, 1000, page));
}

static void test_stuck(void)
{
	struct process p = begin(do_wait), other;

	if (result(&p) != 0) {
		end(&p);
		skip("memory that does not come", "no userfaultfd here");
		return;
	}
	usleep(100000);
	other = begin(do_set);
	end(&p);
	ok(result(&other) == 0, "memory that does not come is waited for until its owner is dead");
	end(&other);
}

static void do_many(int out)
{
	for (int i = 0; i < QUOTASERVER_RATE * 3 / 2; i++)
		call(Q_SYNC, USRQUOTA, DEVICE, 0, NULL);
	tell(out, 0);
}

static void test_rate(void)
{
	struct timespec from, to;
	double took;

	clock_gettime(CLOCK_MONOTONIC, &from);
	ok(run(do_many) == 0, "many calls");
	clock_gettime(CLOCK_MONOTONIC, &to);
	took = (double)(to.tv_sec - from.tv_sec) + (double)(to.tv_nsec - from.tv_nsec) / 1e9;
	ok(took > 0.3, "are held back (%.2f s)", took);
}

static void do_nothing(int out)
{
	tell(out, 0);
	pause();
}

static void test_listeners(void)
{
	static struct process p[QUOTASERVER_LISTENERS];
	int before = tap_descriptors();

	for (int i = 0; i < QUOTASERVER_LISTENERS; i++)
		p[i] = begin(do_nothing);
	ok(run(do_set) == ENOSYS, "beyond so many listeners there is no answer");
	for (int i = 0; i < QUOTASERVER_LISTENERS; i++)
		end(&p[i]);
	for (int i = 0; i < 5000 && tap_descriptors() > before; i++)
		usleep(1000);
	ok(tap_descriptors() <= before, "what has no process any more is closed");
	ok(run(do_set) == 0, "and makes room");
}

int main(void)
{
	test_decode();
	test_check();
	test_ids();
	test_grant();
	wanted = geteuid() == 0 ? UINT64_C(1) << CAP_CHOWN : 0;
	if (!serve())
		return tap_done();
	test_calls();
	test_who();
	test_change();
	test_death();
	test_stuck();
	test_rate();
	test_listeners();
	quotaserver_free(server);
	return tap_done();
}
