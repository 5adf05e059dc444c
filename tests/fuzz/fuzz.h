/*
 * A small coverage-guided fuzzer.
 *
 *     int main(int argc, char **argv) { return fuzz_main(argc, argv, one); }
 *
 * Runs the corpus (the files of FUZZ_CORPUS, default tests/fuzz/corpus/TARGET), then mutates it for
 * FUZZ_SECONDS (default 5); FUZZ_SEED, printed, picks the run. The project's objects are compiled
 * with -fsanitize-coverage=trace-pc: an input that takes a way nobody has taken yet, or takes one
 * more often, joins the corpus in memory, and is left in the directory FUZZ_KEEP if there is one.
 *
 * A target is called with a heap copy of exact size, so that a sanitizer sees each byte read too
 * many; it calls fuzz_check() for what must hold. With files as its arguments it runs those alone;
 * an input that fails is left in FUZZ_DIR (default .) as crash-TARGET. Prints one TAP result.
 */
#ifndef TESTS_FUZZ_FUZZ_H
#define TESTS_FUZZ_FUZZ_H

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>
#include <sanitizer/common_interface_defs.h>
#include <sanitizer/lsan_interface.h>

#define FUZZ_MAX    8192
#define FUZZ_MAP    65536
#define FUZZ_CORPUS 20000 /* inputs kept in memory */

struct fuzz_input {
	char *data; /* owned */
	size_t len;
};

static unsigned char fuzz_data[FUZZ_MAX]; // what is being tried: for the handler of a crash
static size_t fuzz_len;
static const char *fuzz_name;
static struct fuzz_input fuzz_corpus[FUZZ_CORPUS];
static size_t fuzz_corpus_count;
static uint8_t fuzz_map[FUZZ_MAP];  // how often each way was taken by this input
static uint8_t fuzz_seen[FUZZ_MAP]; // by any input: a bit for each range of counts
static __thread uintptr_t fuzz_last;

/* ---- what the compiler calls at each branch ---- */

void __sanitizer_cov_trace_pc(void);

void __sanitizer_cov_trace_pc(void)
{
	uintptr_t here = (uintptr_t)__builtin_return_address(0);
	uint8_t *count;

	here = (here >> 4 ^ here << 8) & (FUZZ_MAP - 1);
	count = &fuzz_map[here ^ fuzz_last];
	*count += *count < 255;
	fuzz_last = here >> 1;
}

/* True when it went a way that is new. */
static bool fuzz_new_ways(void)
{
	bool is_new = false;

	for (size_t i = 0; i < FUZZ_MAP; i += sizeof(uint64_t)) {
		if (!*(uint64_t *)(void *)&fuzz_map[i])
			continue;
		for (size_t j = i; j < i + sizeof(uint64_t); j++) {
			unsigned n = fuzz_map[j];
			uint8_t bit = n < 4 ? n : n < 8 ? 8 : n < 16 ? 16 : n < 32 ? 32 : 64;

			bit = n ? bit : 0;
			is_new = is_new || (bit & ~fuzz_seen[j]);
			fuzz_seen[j] |= bit;
		}
	}
	return is_new;
}

/* ---- what happens to an input that fails ---- */

static void fuzz_write(const char *dir, const char *name)
{
	char path[1024];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (fd < 0 || write(fd, fuzz_data, fuzz_len) < 0 || close(fd) < 0)
		return;
}

static void fuzz_save(void)
{
	const char *dir = getenv("FUZZ_DIR");
	char name[128];

	snprintf(name, sizeof(name), "crash-%s", fuzz_name);
	fuzz_write(dir ? dir : ".", name);
}

static void fuzz_died(void)
{
	static const char text[] = "not ok 1 - it crashed or hung; the input is in crash-*\n1..1\n";

	fuzz_save();
	(void)!write(1, text, sizeof(text) - 1);
}

/* A library of its own, which knows nothing of the death callback. */
const char *__ubsan_default_options(void);

const char *__ubsan_default_options(void)
{
	return "print_stacktrace=1:abort_on_error=1";
}

static void fuzz_signal(int signo)
{
	fuzz_died();
	_exit(1);
}

__attribute__((unused, noreturn)) static void fuzz_check_failed(const char *what, const char *file,
								int line)
{
	fuzz_save();
	printf("not ok 1 - %s:%d: %s\n1..1\n", file, line, what);
	fflush(stdout);
	_exit(1);
}

#define fuzz_check(condition) \
	((condition) ? (void)0 : fuzz_check_failed(#condition, __FILE__, __LINE__))

/* ---- chance ---- */

static uint64_t fuzz_random(uint64_t *state) // xorshift64*
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return *state * 2685821657736338717ULL;
}

static size_t fuzz_below(uint64_t *state, size_t n)
{
	return n ? (size_t)((fuzz_random(state) >> 16) % n) : 0;
}

/* Puts n bytes of `from` in the place of `gone` bytes at `at`. */
static void fuzz_splice(size_t at, size_t gone, const void *from, size_t n)
{
	if (at + gone > fuzz_len)
		gone = fuzz_len - at;
	if (fuzz_len - gone + n > FUZZ_MAX)
		return;
	memmove(fuzz_data + at + n, fuzz_data + at + gone, fuzz_len - at - gone);
	memmove(fuzz_data + at, from, n);
	fuzz_len = fuzz_len - gone + n;
}

static void fuzz_splice_word(uint64_t *s, size_t at)
{
	static const char *const words[] = { "\n",    " ",     "max",	     "default",
					     "-1",    "0",     "4294967295", "18446744073709551615",
					     "\"",    "'",     ":",	     "=",
					     "...\n", "---\n", "&a ",	     "*a",
					     "!!x ",  "{",     "}",	     "[",
					     "\xff",  "%n",    "",	     "\xe2\x80\xa8",
					     "- ",    "? ",    "|\n",	     "1",
					     "\t",    "#",     "start\n",    "stopped",
					     "end\n" };
	const char *word = words[fuzz_below(s, sizeof(words) / sizeof(words[0]))];

	fuzz_splice(at, fuzz_below(s, 3), *word ? word : "\0\0\0", *word ? strlen(word) : 4);
}

static void fuzz_mutate(uint64_t *s)
{
	const struct fuzz_input *other = &fuzz_corpus[fuzz_below(s, fuzz_corpus_count)];
	size_t at = fuzz_below(s, fuzz_len + 1), size = fuzz_below(s, 16) + 1, from;
	unsigned char copy[256];

	switch (fuzz_below(s, 8)) {
	case 0:
		if (at < fuzz_len)
			fuzz_data[at] ^= (unsigned char)(1u << fuzz_below(s, 8));
		break;
	case 1:
		if (at < fuzz_len)
			fuzz_data[at] = (unsigned char)fuzz_random(s);
		break;
	case 2:
		fuzz_splice(at, size, "", 0);
		break;
	case 3:
		fuzz_splice_word(s, at);
		break;
	case 4: /* a part of another input */
		from = fuzz_below(s, other->len);
		size = other->len - from;
		fuzz_splice(at, fuzz_below(s, 2) * size, other->data + from,
			    fuzz_below(s, (size < 200 ? size : 200) + 1));
		break;
	case 5: /* a part of this one again */
		from = fuzz_below(s, fuzz_len + 1);
		size = fuzz_len - from < size ? fuzz_len - from : size;
		memcpy(copy, fuzz_data + from, size);
		fuzz_splice(at, 0, copy, size);
		break;
	case 6:
		for (size_t i = 0; i < size; i++)
			copy[i] = (unsigned char)fuzz_random(s);
		fuzz_splice(at, 0, copy, size);
		break;
	default:
		if (fuzz_below(s, 4) == 0)
			fuzz_len = at;
	}
}

/* ---- running ---- */

static void fuzz_try(void (*one)(const char *data, size_t len))
{
	static const struct itimerval busy = { .it_value.tv_sec = 20 };
	char *copy = malloc(fuzz_len ? fuzz_len : 1);

	memcpy(copy, fuzz_data, fuzz_len);
	memset(fuzz_map, 0, sizeof(fuzz_map));
	fuzz_last = 0;
	setitimer(ITIMER_PROF, &busy, NULL); /* a loop, on a machine however loaded */
	alarm(300);			     /* a wait */
	one(copy, fuzz_len);
	free(copy);
}

static void fuzz_join_corpus(void)
{
	struct fuzz_input *input = &fuzz_corpus[fuzz_corpus_count];

	if (fuzz_corpus_count == FUZZ_CORPUS)
		return;
	input->data = malloc(fuzz_len + 1);
	input->len = fuzz_len;
	memcpy(input->data, fuzz_data, fuzz_len);
	fuzz_corpus_count++;
}

/* Before fuzz_main(): an input that the target makes itself, as one of the corpus. */
__attribute__((unused)) static void fuzz_add(const void *data, size_t len)
{
	fuzz_len = len < FUZZ_MAX ? len : FUZZ_MAX;
	memcpy(fuzz_data, data, fuzz_len);
	fuzz_join_corpus();
}

static bool fuzz_file(const char *path, void (*one)(const char *data, size_t len))
{
	FILE *f = fopen(path, "re");

	if (!f)
		return false;
	fuzz_len = fread(fuzz_data, 1, FUZZ_MAX, f);
	fclose(f);
	fuzz_try(one);
	fuzz_new_ways();
	fuzz_join_corpus();
	return true;
}

/* In the order of their names, so that a seed picks the same run everywhere. */
static bool fuzz_run_corpus(void (*one)(const char *data, size_t len))
{
	const char *dir = getenv("FUZZ_CORPUS");
	char path[1024], place[512];
	struct dirent **names;
	int n;

	snprintf(place, sizeof(place), "tests/fuzz/corpus/%s", fuzz_name);
	dir = dir ? dir : place;
	for (size_t i = 0; i < fuzz_corpus_count; i++) { /* what the target added */
		fuzz_len = fuzz_corpus[i].len;
		memcpy(fuzz_data, fuzz_corpus[i].data, fuzz_len);
		fuzz_try(one);
		fuzz_new_ways();
	}
	n = scandir(dir, &names, NULL, alphasort);
	for (int i = 0; i < n; i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, names[i]->d_name);
		if (names[i]->d_name[0] != '.')
			fuzz_file(path, one);
		free(names[i]);
	}
	if (n >= 0)
		free(names);
	return fuzz_corpus_count > 0;
}

static unsigned long fuzz_explore(uint64_t seed, long seconds,
				  void (*one)(const char *data, size_t len))
{
	const char *keep = getenv("FUZZ_KEEP");
	uint64_t state = seed * 2 + 1;
	struct timespec start, now;
	unsigned long runs = 0;
	char name[32];

	clock_gettime(CLOCK_MONOTONIC, &start);
	for (;; runs++) {
		const struct fuzz_input *input =
			&fuzz_corpus[fuzz_below(&state, fuzz_corpus_count)];

		clock_gettime(CLOCK_MONOTONIC, &now);
		if (now.tv_sec - start.tv_sec >= seconds)
			return runs;
		fuzz_len = input->len;
		memcpy(fuzz_data, input->data, fuzz_len);
		for (size_t i = 1 + fuzz_below(&state, 8); i > 0; i--)
			fuzz_mutate(&state);
		fuzz_try(one);
		if (!fuzz_new_ways())
			continue;
		fuzz_join_corpus();
		snprintf(name, sizeof(name), "%05zu", fuzz_corpus_count);
		if (keep)
			fuzz_write(keep, name);
	}
}

static void fuzz_begin(const char *program)
{
	fuzz_name = strrchr(program, '/') ? strrchr(program, '/') + 1 : program;
	signal(SIGALRM, fuzz_signal);
	signal(SIGPROF, fuzz_signal);
	signal(SIGABRT, fuzz_signal);
	signal(SIGPIPE, SIG_IGN);
	__sanitizer_set_death_callback(fuzz_died);
}

static int fuzz_end(int rc)
{
	alarm(0);
	signal(SIGPROF, SIG_IGN);
	for (size_t i = 0; i < fuzz_corpus_count; i++)
		free(fuzz_corpus[i].data);
	return rc;
}

static inline int fuzz_main(int argc, char **argv, void (*one)(const char *data, size_t len))
{
	const char *seconds = getenv("FUZZ_SECONDS"), *seed = getenv("FUZZ_SEED");
	struct timespec now;
	uint64_t chosen;
	size_t first;
	unsigned long runs;

	fuzz_begin(argv[0]);
	for (int i = 1; i < argc; i++)
		if (!fuzz_file(argv[i], one))
			return fuzz_end(2);
	if (argc > 1) {
		bool leaked = __lsan_do_recoverable_leak_check();

		printf("%s 1 - %d inputs\n1..1\n", leaked ? "not ok" : "ok", argc - 1);
		return fuzz_end(leaked);
	}
	clock_gettime(CLOCK_REALTIME, &now);
	chosen = seed ? strtoull(seed, NULL, 0) : (uint64_t)now.tv_nsec;
	printf("# %s: FUZZ_SEED=%llu\n", fuzz_name, (unsigned long long)chosen);
	fflush(stdout);
	if (!fuzz_run_corpus(one)) {
		printf("not ok 1 - no corpus\n1..1\n");
		return fuzz_end(1);
	}
	first = fuzz_corpus_count;
	runs = fuzz_explore(chosen, seconds ? atol(seconds) : 5, one);
	if (__lsan_do_recoverable_leak_check()) {
		printf("not ok 1 - memory has leaked\n1..1\n");
		return fuzz_end(1);
	}
	printf("ok 1 - %zu inputs of the corpus, %lu more, %zu of them new ways\n1..1\n", first,
	       runs, fuzz_corpus_count - first);
	return fuzz_end(0);
}

#endif
