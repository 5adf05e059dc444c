/* struct event_log: see event_log.h. */
#include "fs/event_log.h"

#include <stdlib.h>
#include <string.h>

#include "backends/text.h"

struct event_log {
	size_t max;
	uint64_t seq;
	struct text text;
};

struct event_log *event_log_new(size_t max)
{
	struct event_log *l = calloc(1, sizeof(*l));

	if (l)
		l->max = max;
	return l;
}

void event_log_free(struct event_log *l)
{
	if (!l)
		return;
	text_free(&l->text);
	free(l);
}

static void event_log_append(struct event_log *l, const char *line, size_t len)
{
	if (l->text.len + len > l->max) {
		const char *half = l->text.data + l->text.len / 2;
		const char *next = memchr(half, '\n', (size_t)(l->text.data + l->text.len - half));

		if (next) {
			l->text.len = (size_t)(l->text.data + l->text.len - ++next);
			memmove(l->text.data, next, l->text.len);
		}
	}
	l->text.failed = false; /* an event lost for want of memory is a gap, not the end */
	text_add_bytes(&l->text, line, len);
}

void event_log_add(struct event_log *numbers, struct event_log *also, struct timespec when,
		   const char *object, const char *what, const char *detail)
{
	struct text line = TEXT_INIT;

	text_addf(&line, "%llu %lld.%06ld %s %s%s%s\n", (unsigned long long)++numbers->seq,
		  (long long)when.tv_sec, when.tv_nsec / 1000, object, what, *detail ? " " : "",
		  detail);
	if (!text_failed(&line)) {
		event_log_append(numbers, line.data, line.len);
		if (also)
			event_log_append(also, line.data, line.len);
	}
	text_free(&line);
}

off_t event_log_size(const struct event_log *l)
{
	return (off_t)l->text.len;
}

ssize_t event_log_read(const struct event_log *l, char *buf, size_t size, off_t at)
{
	size_t left;

	if (at < 0 || (size_t)at >= l->text.len)
		return 0;
	left = l->text.len - (size_t)at;
	if (size > left)
		size = left;
	memcpy(buf, l->text.data + at, size);
	return (ssize_t)size;
}
