/* struct text: see text.h. */
#include "backends/base/text.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TEXT_FILE_MAX (1u << 20)
#define LINE_ROOM     32

static bool text_reserve(struct text *t, size_t more)
{
	size_t cap = t->cap ? t->cap : 64;
	char *data;

	if (t->failed)
		return false;
	if (t->cap - t->len > more)
		return true;
	while (cap - t->len <= more)
		cap *= 2;
	data = realloc(t->data, cap);
	if (!data) {
		t->failed = true;
		return false;
	}
	t->data = data;
	t->cap = cap;
	t->data[t->len] = '\0'; /* an empty file read into it is an empty string */
	return true;
}

char *text_room(struct text *t, size_t size)
{
	return text_reserve(t, size) ? t->data + t->len : NULL;
}

void text_add_bytes(struct text *t, const void *data, size_t len)
{
	if (!text_reserve(t, len))
		return;
	memcpy(t->data + t->len, data, len);
	t->len += len;
	t->data[t->len] = '\0';
}

void text_add(struct text *t, const char *s)
{
	text_add_bytes(t, s, strlen(s));
}

void text_add_number(struct text *t, uint64_t n)
{
	char digits[20];
	size_t at = sizeof(digits);

	do
		digits[--at] = (char)('0' + n % 10);
	while (n /= 10);
	text_add_bytes(t, digits + at, sizeof(digits) - at);
}

/* Most often there is room already, and once is enough. */
void text_addf(struct text *t, const char *fmt, ...)
{
	va_list ap, again;
	size_t room;
	int n;

	if (!text_reserve(t, LINE_ROOM))
		return;
	room = t->cap - t->len;
	va_start(ap, fmt);
	va_copy(again, ap);
	n = vsnprintf(t->data + t->len, room, fmt, ap);
	if (n >= 0 && (size_t)n >= room && text_reserve(t, (size_t)n))
		vsnprintf(t->data + t->len, (size_t)n + 1, fmt, again);
	if (n >= 0 && !t->failed)
		t->len += (size_t)n;
	t->data[t->len] = '\0';
	va_end(again);
	va_end(ap);
}

const char *text_str(const struct text *t)
{
	return t->data ? t->data : "";
}

bool text_failed(const struct text *t)
{
	return t->failed;
}

void text_cut(struct text *t, size_t len)
{
	if (len >= t->len)
		return;
	t->len = len;
	t->data[len] = '\0';
}

void text_clear(struct text *t)
{
	t->len = 0;
	t->failed = false;
	if (t->data)
		t->data[0] = '\0';
}

void text_free(struct text *t)
{
	free(t->data);
	*t = (struct text)TEXT_INIT;
}

/* Bytes of the UTF-8 sequence at s (Unicode, table 3-7), or 0; its code point in *ret. */
static int utf8_decode(const unsigned char *s, unsigned *ret)
{
	static const unsigned least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	int n = s[0] < 0x80 ? 1 : s[0] >= 0xf0 ? 4 : s[0] >= 0xe0 ? 3 : s[0] >= 0xc0 ? 2 : 0;
	unsigned code = n == 1 ? s[0] : s[0] & (0x7fu >> n);

	for (int i = 1; i < n; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
		code = code << 6 | (s[i] & 0x3f);
	}
	if (!n || s[0] > 0xf4 || code < least[n] || code > 0x10ffff ||
	    (code >= 0xd800 && code <= 0xdfff))
		return 0;
	*ret = code;
	return n;
}

bool text_line_valid(const char *s)
{
	const unsigned char *p = (const unsigned char *)s;
	unsigned code = 0;
	int n;

	for (; *p; p += n) {
		n = utf8_decode(p, &code);
		if (!n || code < ' ' || (code >= 0x7f && code < 0xa0))
			return false;
	}
	return true;
}

int text_read_fd(struct text *t, int fd)
{
	size_t total = 0;
	ssize_t n;

	while (total < TEXT_FILE_MAX) {
		if (!text_reserve(t, 4096))
			return -ENOMEM;
		n = read(fd, t->data + t->len, 4096);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return 0;
		t->len += (size_t)n;
		t->data[t->len] = '\0';
		total += (size_t)n;
	}
	return -EFBIG;
}
