/*
 * The least fuzzer: mutates what it has seen, deterministically, for FUZZ_SECONDS (default 5).
 *
 *     int main(int argc, char **argv) { return fuzz_main(argc, argv, corpus, n, one); }
 *
 * A target is called with a heap copy of exact size, so that a sanitizer sees each byte read too
 * many; it calls fuzz_check() for what must hold. FUZZ_SEED picks another run. With a file as its
 * argument it runs that one input; an input that fails is left in FUZZ_DIR (default .) as
 * crash-TARGET. Prints one TAP result.
 */
#ifndef TESTS_FUZZ_FUZZ_H
#define TESTS_FUZZ_FUZZ_H

#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <fcntl.h>

#define FUZZ_MAX 8192

struct fuzz_input {
	const char *data;
	size_t len;
};

/* A text of a C string. */
#define FUZZ_TEXT(s)               \
	{                          \
		(s), sizeof(s) - 1 \
	}

static unsigned char fuzz_data[FUZZ_MAX]; // what is being tried: for the handler of a crash
static size_t fuzz_len;
static const char *fuzz_name;

static void fuzz_save(void)
{
	char path[512];
	const char *dir = getenv("FUZZ_DIR");
	int fd;

	snprintf(path, sizeof(path), "%s/crash-%s", dir ? dir : ".", fuzz_name);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (fd < 0 || write(fd, fuzz_data, fuzz_len) < 0 || close(fd) < 0)
		return;
}

static void fuzz_crashed(int signo)
{
	static const char text[] = "not ok 1 - it crashed; the input is in crash-*\n1..1\n";

	fuzz_save();
	(void)!write(1, text, sizeof(text) - 1);
	_exit(1);
}

__attribute__((unused)) static void fuzz_check_failed(const char *what)
{
	fuzz_save();
	printf("not ok 1 - %s\n1..1\n", what);
	fflush(stdout);
	_exit(1);
}

#define fuzz_check(condition) ((condition) ? (void)0 : fuzz_check_failed(#condition))

static uint64_t fuzz_random(uint64_t *state) // xorshift64*
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return *state * 2685821657736338717ULL;
}

static size_t fuzz_below(uint64_t *state, size_t n)
{
	return n ? (size_t)(fuzz_random(state) % n) : 0;
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

static void fuzz_mutate(uint64_t *s, const struct fuzz_input *corpus, size_t n)
{
	static const char *const words[] = { "\n",
					     " ",
					     "max",
					     "default",
					     "-1",
					     "0",
					     "4294967295",
					     "18446744073709551615",
					     "\"",
					     "'",
					     ":",
					     "=",
					     "...\n",
					     "---\n",
					     "&a ",
					     "*a",
					     "!!x ",
					     "{",
					     "}",
					     "[",
					     "\xff",
					     "%n",
					     "\x00\x01\x02\x03",
					     "\xe2\x80\xa8",
					     "- ",
					     "? ",
					     "|\n" };
	size_t at = fuzz_below(s, fuzz_len + 1), size = fuzz_below(s, 16) + 1;
	unsigned char copy[64];

	switch (fuzz_below(s, 7)) {
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
	case 3: {
		const char *word = words[fuzz_below(s, sizeof(words) / sizeof(words[0]))];

		fuzz_splice(at, fuzz_below(s, 3), word, *word ? strlen(word) : 4);
		break;
	}
	case 4: { /* a part of another input */
		const struct fuzz_input *other = &corpus[fuzz_below(s, n)];
		size_t from = fuzz_below(s, other->len);

		fuzz_splice(at, 0, other->data + from,
			    fuzz_below(s, (other->len - from < 64 ? other->len - from : 64) + 1));
		break;
	}
	case 5: { /* a part of this one again */
		size_t from = fuzz_below(s, fuzz_len + 1);

		size = fuzz_len - from < size ? fuzz_len - from : size;
		memcpy(copy, fuzz_data + from, size);
		fuzz_splice(at, 0, copy, size);
		break;
	}
	default:
		fuzz_len = at;
	}
}

static void fuzz_try(void (*one)(const char *data, size_t len))
{
	char *copy = malloc(fuzz_len ? fuzz_len : 1);

	memcpy(copy, fuzz_data, fuzz_len);
	alarm(10); /* a hang is a crash */
	one(copy, fuzz_len);
	free(copy);
}

static int fuzz_file(const char *path, void (*one)(const char *data, size_t len))
{
	FILE *f = fopen(path, "re");

	if (!f)
		return 2;
	fuzz_len = fread(fuzz_data, 1, FUZZ_MAX, f);
	fclose(f);
	fuzz_try(one);
	printf("ok 1 - %s\n1..1\n", path);
	return 0;
}

static inline int fuzz_main(int argc, char **argv, const struct fuzz_input *corpus, size_t n,
			    void (*one)(const char *data, size_t len))
{
	const char *seconds = getenv("FUZZ_SECONDS"), *seed = getenv("FUZZ_SEED");
	uint64_t state = seed ? strtoull(seed, NULL, 0) | 1 : 88172645463325252ULL;
	struct timespec start, now;
	unsigned long runs = 0;

	fuzz_name = strrchr(argv[0], '/') ? strrchr(argv[0], '/') + 1 : argv[0];
	for (int signo = 1; signo < 32; signo++)
		if (signo == SIGSEGV || signo == SIGBUS || signo == SIGABRT || signo == SIGFPE ||
		    signo == SIGILL || signo == SIGALRM)
			signal(signo, fuzz_crashed);
	if (argc > 1)
		return fuzz_file(argv[1], one);
	clock_gettime(CLOCK_MONOTONIC, &start);
	do {
		const struct fuzz_input *input = &corpus[runs < n ? runs : fuzz_below(&state, n)];

		fuzz_len = input->len < FUZZ_MAX ? input->len : FUZZ_MAX;
		memcpy(fuzz_data, input->data, fuzz_len);
		for (size_t i = runs < n ? 0 : 1 + fuzz_below(&state, 8); i > 0; i--)
			fuzz_mutate(&state, corpus, n);
		fuzz_try(one);
		runs++;
		clock_gettime(CLOCK_MONOTONIC, &now);
	} while (now.tv_sec - start.tv_sec < (seconds ? atol(seconds) : 5));
	printf("ok 1 - %lu inputs\n1..1\n", runs);
	return 0;
}

#endif
