/*
 * durable_floor RUNS DIR BYTES: the least that makes a change of a small file durable: write a new
 * one, fsync, rename it over the old one, fsync the directory.
 */
#include "bench.h"

static void replace_once(int dir, const char *text, size_t len)
{
	int fd = openat(dir, "new", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	if (fd < 0 || write(fd, text, len) != (ssize_t)len || fsync(fd) < 0 || close(fd) < 0 ||
	    renameat(dir, "new", dir, "file") < 0 || fsync(dir) < 0)
		give_up("replace");
}

int main(int argc, char **argv)
{
	static struct samples s;
	static char text[65536];
	size_t len;
	int runs, dir;

	if (argc != 4)
		return 2;
	runs = runs_arg(argv[1]);
	len = (size_t)atoi(argv[3]);
	dir = open(argv[2], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0 || len > sizeof(text))
		give_up(argv[2]);
	memset(text, 'x', sizeof(text));
	for (int i = -runs / 10; i < runs; i++) {
		double start = now_us();

		replace_once(dir, text, len);
		if (i >= 0)
			sample_add(&s, now_us() - start);
	}
	unlinkat(dir, "file", 0);
	sample_print(&s);
	return 0;
}
