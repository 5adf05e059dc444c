/*
 * machine_bench RUNS vm MOUNT ELF MEBIBYTES: from the write of `start` to the first byte of the
 * console file, of a new VM each time.
 * machine_bench RUNS container MOUNT ROOT: a container's whole life: mkdir, root, init, start,
 * wait, rmdir. With APART in the environment each by itself, else one upon the other.
 * machine_bench 1 until MOUNT NAME MARK SECONDS: from the write of `start` until the console of
 * vm/NAME, which is there and is left running, has MARK behind what it had; it may be silent for
 * SECONDS. System calls on the tree and
 * nothing else: a shell's own cost is not the filesystem's.
 */
#include <poll.h>
#include <sys/prctl.h>
#include <sys/stat.h>

#include "bench.h"

#define NAME "bench-machine"

struct machine {
	char dir[256];
};

static void put(const struct machine *m, const char *file, const char *format, const char *value)
{
	char path[320], text[512];

	snprintf(path, sizeof(path), "%s/%s", m->dir, file);
	snprintf(text, sizeof(text), format, value);
	put_file(path, text);
}

static int console_open(const struct machine *m)
{
	char path[320];
	int fd;

	snprintf(path, sizeof(path), "%s/console", m->dir);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		give_up(path);
	return fd;
}

/* Sleeps until there is mark, which may be "", behind the byte `at`. */
static void console_wait(int fd, off_t at, const char *mark, int limit_ms)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	static char buf[1 << 20];
	size_t len = strlen(mark);
	ssize_t n;

	for (;;) {
		n = pread(fd, buf, sizeof(buf), at);
		if (n < 0)
			give_up("console");
		if (n > 0 && (!len || memmem(buf, (size_t)n, mark, len)))
			return;
		if (poll(&p, 1, limit_ms) <= 0) {
			errno = ETIMEDOUT;
			give_up("the console is silent");
		}
	}
}

static void vm_bench(struct samples *s, int runs, const struct machine *m, char **argv)
{
	for (int i = -3; i < runs; i++) {
		double start;
		int fd;

		if (mkdir(m->dir, 0755))
			give_up(m->dir);
		put(m, "boot.kernel", "%s\n", argv[4]);
		put(m, "memory.size", "%sM\n", argv[5]);
		fd = console_open(m);
		start_pause(i);
		start = now_us();
		put(m, "ctl", "%s\n", "start");
		console_wait(fd, 0, "", 5000);
		if (i >= 0)
			sample_add(s, now_us() - start);
		close(fd);
		put(m, "ctl", "%s\n", "kill");
		put(m, "wait", "%s\n", "stopped 10");
		if (rmdir(m->dir))
			give_up(m->dir);
	}
}

static void until_bench(struct samples *s, const struct machine *m, char **argv)
{
	int fd = console_open(m);
	off_t at = lseek(fd, 0, SEEK_END);
	double start = now_us();

	put(m, "ctl", "%s\n", "start");
	console_wait(fd, at, argv[5], atoi(argv[6]) * 1000);
	sample_add(s, now_us() - start);
	close(fd);
}

static void container_bench(struct samples *s, int runs, const struct machine *m, char **argv)
{
	for (int i = -3; i < runs; i++) {
		double start;

		if (getenv("APART"))
			start_pause(i);
		start = now_us();
		if (mkdir(m->dir, 0755))
			give_up(m->dir);
		put(m, "root", "%s\n", argv[4]);
		put(m, "init", "%s\n", "/bin/true");
		put(m, "ctl", "%s\n", "start");
		put(m, "wait", "%s\n", "stopped 10");
		if (rmdir(m->dir))
			give_up(m->dir);
		if (i >= 0)
			sample_add(s, now_us() - start);
	}
}

int main(int argc, char **argv)
{
	static struct samples s;
	struct machine m;
	int runs;

	if (argc < 5 || (strcmp(argv[2], "container") && argc < 6) ||
	    (!strcmp(argv[2], "until") && argc < 7))
		return 2;
	runs = runs_arg(argv[1]);
	prctl(PR_SET_TIMERSLACK, 1);
	snprintf(m.dir, sizeof(m.dir), "%s/%s/" NAME, argv[3], argv[2]);
	if (!strcmp(argv[2], "until")) {
		snprintf(m.dir, sizeof(m.dir), "%s/vm/%s", argv[3], argv[4]);
		until_bench(&s, &m, argv);
	} else if (!strcmp(argv[2], "vm"))
		vm_bench(&s, runs, &m, argv);
	else
		container_bench(&s, runs, &m, argv);
	sample_print(&s);
	return 0;
}
