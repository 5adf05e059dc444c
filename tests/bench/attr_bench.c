/*
 * attr_bench RUNS [-s] FILE [TEXT...]: how long open+read+close takes, or open+write+close of each
 * TEXT in turn with a newline behind it, or with -s a stat. Works on any filesystem, so that
 * cgroupfs is measured by the same program.
 */
#include <stdbool.h>
#include <sys/stat.h>

#include "bench.h"

static void read_once(const char *path)
{
	char buf[4096];
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || read(fd, buf, sizeof(buf)) <= 0)
		give_up(path);
	close(fd);
}

static void stat_once(const char *path)
{
	struct stat st;

	if (stat(path, &st) < 0)
		give_up(path);
}

int main(int argc, char **argv)
{
	static struct samples s;
	char text[8192];
	bool stats;
	int runs, warm;

	if (argc < 3)
		return 2;
	runs = runs_arg(argv[1]);
	warm = runs / 10;
	stats = !strcmp(argv[2], "-s");
	argv += stats;
	argc -= stats;
	if (argc < 3)
		return 2;
	for (int i = -warm; i < runs; i++) {
		double start;

		if (argc > 3)
			snprintf(text, sizeof(text), "%s\n", argv[3 + (i + warm) % (argc - 3)]);
		start = now_us();
		if (stats)
			stat_once(argv[2]);
		else if (argc > 3)
			put_file(argv[2], text);
		else
			read_once(argv[2]);
		if (i >= 0)
			sample_add(&s, now_us() - start);
	}
	sample_print(&s);
	return 0;
}
