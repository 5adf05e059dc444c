/*
 * idle_bench N MOUNT ROOT: makes and starts N containers that sleep, and leaves them so. Prints two
 * medians: a container's mkdir, settings and start, of the first tenth and of the last; and the sum
 * of the private memory of their monitors in KiB, divided by N. idle_bench -N MOUNT: ends and
 * removes them.
 */
#include <sys/stat.h>

#include "bench.h"

static void put(const char *mount, int n, const char *file, const char *text)
{
	char path[320];

	snprintf(path, sizeof(path), "%s/container/idle%04d/%s", mount, n, file);
	put_file(path, text);
}

static void make(const char *mount, int n, const char *root)
{
	char path[320];

	snprintf(path, sizeof(path), "%s/container/idle%04d", mount, n);
	if (mkdir(path, 0755))
		give_up(path);
	snprintf(path, sizeof(path), "%s\n", root);
	put(mount, n, "root", path);
	put(mount, n, "init", "/bin/sleep 100000\n");
	put(mount, n, "ctl", "start\n");
}

/* The number behind a key at a line's start, or -1. */
static long value_in(const char *path, const char *key)
{
	char line[256];
	long value = -1;
	FILE *f = fopen(path, "re");

	while (f && fgets(line, sizeof(line), f))
		if (!strncmp(line, key, strlen(key)))
			value = atol(line + strlen(key));
	if (f)
		fclose(f);
	return value;
}

/* Init's parent is its monitor. */
static long monitor_of(const char *mount, int n)
{
	char path[320], pid[32] = "";
	FILE *f;

	snprintf(path, sizeof(path), "%s/container/idle%04d/pid", mount, n);
	f = fopen(path, "re");
	if (!f || !fgets(pid, sizeof(pid), f))
		give_up(path);
	fclose(f);
	snprintf(path, sizeof(path), "/proc/%d/status", atoi(pid));
	return value_in(path, "PPid:");
}

static long private_memory(const char *mount, int n)
{
	char path[64];
	long clean, dirty;

	snprintf(path, sizeof(path), "/proc/%ld/smaps_rollup", monitor_of(mount, n));
	clean = value_in(path, "Private_Clean:");
	dirty = value_in(path, "Private_Dirty:");
	if (clean < 0 || dirty < 0)
		give_up(path);
	return clean + dirty;
}

static void end_all(int n, const char *mount)
{
	char path[320];

	for (int i = 0; i < n; i++)
		put(mount, i, "ctl", "kill\n");
	for (int i = 0; i < n; i++) {
		put(mount, i, "wait", "stopped 30\n");
		snprintf(path, sizeof(path), "%s/container/idle%04d", mount, i);
		if (rmdir(path))
			give_up(path);
	}
}

int main(int argc, char **argv)
{
	static struct samples first, last;
	int n = argc > 2 ? atoi(argv[1]) : 0, tenth = n < 10 ? 1 : n / 10;
	long sum = 0;

	if (n < 0) {
		end_all(-n, argv[2]);
		return 0;
	}
	if (argc < 4 || n < 1)
		return 2;
	for (int i = 0; i < n; i++) {
		double start = now_us();

		make(argv[2], i, argv[3]);
		if (i < tenth)
			sample_add(&first, now_us() - start);
		if (i >= n - tenth)
			sample_add(&last, now_us() - start);
	}
	for (int i = 0; i < n; i++)
		sum += private_memory(argv[2], i);
	printf("%.1f %.1f %ld\n", sample_median(&first), sample_median(&last), sum / n);
	return 0;
}
