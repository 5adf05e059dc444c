/* What the bench programs share: a clock, samples and their median. Each program is one file. */
#ifndef TESTS_BENCH_BENCH_H
#define TESTS_BENCH_BENCH_H

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define SAMPLES_MAX 20000

struct samples {
	double us[SAMPLES_MAX];
	int n;
};

static inline double now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

/* A bench that cannot do what it measures has no figure. */
__attribute__((noreturn)) static inline void give_up(const char *what)
{
	fprintf(stderr, "bench: %s: %s\n", what, strerror(errno));
	_exit(1);
}

static inline void sample_add(struct samples *s, double us)
{
	if (s->n < SAMPLES_MAX)
		s->us[s->n++] = us;
}

static inline int sample_order(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* Orders them; 0 of none. */
static inline double sample_median(struct samples *s)
{
	qsort(s->us, (size_t)s->n, sizeof(s->us[0]), sample_order);
	return s->us[s->n / 2];
}

/* Prints "MEDIAN FIRST-QUARTILE THIRD-QUARTILE", microseconds. */
static inline void sample_print(struct samples *s)
{
	double median = sample_median(s);

	printf("%.2f %.2f %.2f\n", median, s->us[s->n / 4], s->us[s->n * 3 / 4]);
}

/* One open, one write, one close; the write's errno counts. */
static inline void put_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	size_t len = strlen(text);

	if (fd < 0 || write(fd, text, len) != (ssize_t)len)
		give_up(path);
	close(fd);
}

/*
 * Before each start of a machine, so that it is one by itself: not while what is left of
 * the one before is still being cleared away. Each run is another, and so begins at another place
 * between two ticks of the kernel's clock, of 4 ms mostly: what waits for one, as KVM_CREATE_VM
 * does on Linux 6.1, would else wait the same in every run, as luck has it.
 */
static inline void start_pause(int run)
{
	usleep((useconds_t)(30000 + (run + 20) * 7 % 20 * 200));
}

/* The number of runs in argv[1], at least 1. */
static inline int runs_arg(const char *arg)
{
	int n = atoi(arg);

	if (n < 1 || n > SAMPLES_MAX) {
		errno = EINVAL;
		give_up("number of runs");
	}
	return n;
}

#endif
