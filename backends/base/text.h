/*
 * struct text: a growing string. The only way in which the project builds text of unknown
 * length. A failed allocation is remembered: later appends do nothing and text_failed() is
 * true, so that callers check once, at the end.
 */
#ifndef BACKENDS_BASE_TEXT_H
#define BACKENDS_BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct text {
	char *data; /* NUL-terminated when not NULL; owned */
	size_t len;
	size_t cap;
	bool failed;
};

#define TEXT_INIT \
	{         \
		0 \
	}

void text_add(struct text *t, const char *s);
void text_add_bytes(struct text *t, const void *data, size_t len);
/* In decimal digits: what most settings are, and a format takes ten times as long. */
void text_add_number(struct text *t, uint64_t n);
void text_addf(struct text *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Room for size more bytes at the end, for the caller to fill and add to len; NULL: no memory. */
char *text_room(struct text *t, size_t size);
/* The string so far, never NULL. */
const char *text_str(const struct text *t);
bool text_failed(const struct text *t);
/* Back to its first len bytes. */
void text_cut(struct text *t, size_t len);
/* Empties it, keeping the memory. */
void text_clear(struct text *t);
void text_free(struct text *t);

/* One line that a terminal, a YAML file and a log can carry: UTF-8, no control characters. */
bool text_line_valid(const char *s);

/* Appends the whole of a small file (at most 1 MiB); returns 0 or -errno. */
int text_read_fd(struct text *t, int fd);

#endif
