/* argv_split: see argv.h. A word is never longer than its source, so one pool holds them all. */
#include "backends/base/argv.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* Where reading stands: in is the rest of the line, out the next free byte of the pool. */
struct splitter {
	const char *in;
	char *out;
};

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\n';
}

/* in is behind the opening quote; leaves it behind the closing one. */
static int take_single(struct splitter *s, struct err *e)
{
	for (; *s->in && *s->in != '\''; s->in++)
		*s->out++ = *s->in;
	if (!*s->in)
		return err_set(e, -EINVAL, "a single quote has no end");
	s->in++;
	return 0;
}

static int take_double(struct splitter *s, struct err *e)
{
	while (*s->in && *s->in != '"') {
		if (s->in[0] == '\\' && s->in[1] && strchr("\"\\$`", s->in[1]))
			s->in++;
		*s->out++ = *s->in++;
	}
	if (!*s->in)
		return err_set(e, -EINVAL, "a double quote has no end");
	s->in++;
	return 0;
}

static int hex_digit(char c)
{
	static const char digits[] = "0123456789abcdef";
	const char *at = c ? strchr(digits, c | 0x20) : NULL;

	return at ? (int)(at - digits) : -1;
}

/* in is behind the backslash. */
static int take_escape(struct splitter *s, struct err *e)
{
	static const char letters[] = "ntr\\'", meaning[] = "\n\t\r\\'";
	char c = *s->in++;
	const char *at = c ? strchr(letters, c) : NULL;
	int high = c == 'x' ? hex_digit(s->in[0]) : -1;
	int low = high >= 0 ? hex_digit(s->in[1]) : -1;

	if (at)
		*s->out++ = meaning[at - letters];
	else if (low >= 0 && high * 16 + low) {
		*s->out++ = (char)(high * 16 + low);
		s->in += 2;
	} else
		return err_set(e, -EINVAL,
			       "in $'...' a backslash stands before n, t, r, \\, ' or xHH");
	return 0;
}

/* in is behind "$'". */
static int take_escaped(struct splitter *s, struct err *e)
{
	int r = 0;

	while (r == 0 && *s->in && *s->in != '\'') {
		if (*s->in == '\\') {
			s->in++;
			r = take_escape(s, e);
		} else {
			*s->out++ = *s->in++;
		}
	}
	if (r == 0 && !*s->in++)
		return err_set(e, -EINVAL, "a $' has no end");
	return r;
}

static int take_backslash(struct splitter *s, struct err *e)
{
	if (!*s->in)
		return err_set(e, -EINVAL, "a backslash at the end quotes nothing");
	*s->out++ = *s->in++;
	return 0;
}

/* in is at the first character of a word; leaves it behind the last. */
static int take_word(struct splitter *s, struct err *e)
{
	int r = 0;

	while (r == 0 && *s->in && !is_blank(*s->in)) {
		char c = *s->in++;

		if (c == '\'')
			r = take_single(s, e);
		else if (c == '"')
			r = take_double(s, e);
		else if (c == '$' && *s->in == '\'')
			s->in++, r = take_escaped(s, e);
		else if (c == '\\')
			r = take_backslash(s, e);
		else
			*s->out++ = c;
	}
	*s->out++ = '\0';
	return r;
}

static int take_words(struct splitter *s, char **argv, struct err *e)
{
	size_t n = 0;
	int r;

	for (;;) {
		while (is_blank(*s->in))
			s->in++;
		if (!*s->in)
			break;
		if (n == ARGV_WORDS_MAX)
			return err_set(e, -EINVAL, "more than %d words", ARGV_WORDS_MAX);
		argv[n++] = s->out;
		r = take_word(s, e);
		if (r < 0)
			return r;
	}
	argv[n] = NULL;
	if (n == 0 || !argv[0][0])
		return err_set(e, -EINVAL, "no command");
	return 0;
}

/*
 * Words need a separator between them, so n characters make at most (n + 1) / 2 words; and a
 * word with its NUL takes at most its source and the separator, or the line's own NUL.
 */
int argv_split(const char *line, char ***ret_argv, struct err *e)
{
	size_t len = strlen(line);
	size_t slots = (len + 1) / 2 + 1;
	struct splitter s = { .in = line };
	char **argv;
	int r;

	if (len > ARGV_LINE_MAX)
		return err_set(e, -EINVAL, "longer than %d bytes", ARGV_LINE_MAX);
	argv = malloc(slots * sizeof(*argv) + len + 1);
	if (!argv)
		return err_sys(e, ENOMEM, "cannot split a command");
	s.out = (char *)(argv + slots);
	r = take_words(&s, argv, e);
	if (r < 0) {
		argv_free(argv);
		return r;
	}
	*ret_argv = argv;
	return 0;
}

void argv_free(char **argv)
{
	free(argv);
}

static bool is_control(char c)
{
	return (unsigned char)c < 0x20 || c == 0x7f;
}

static bool has_control(const char *word)
{
	while (*word && !is_control(*word))
		word++;
	return *word;
}

static void quote_escaped(struct text *out, const char *word)
{
	text_add(out, "$'");
	for (; *word; word++)
		if (*word == '\\' || *word == '\'')
			text_addf(out, "\\%c", *word);
		else if (*word == '\n')
			text_add(out, "\\n");
		else if (is_control(*word))
			text_addf(out, "\\x%02x", (unsigned)*word);
		else
			text_add_bytes(out, word, 1);
	text_add(out, "'");
}

void argv_quote(struct text *out, const char *word)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
				    "_-+=./:,@%^";

	if (*word && !word[strspn(word, plain)]) {
		text_add(out, word);
		return;
	}
	if (has_control(word)) {
		quote_escaped(out, word);
		return;
	}
	text_add(out, "'");
	for (; *word; word++)
		if (*word == '\'')
			text_add(out, "'\\''");
		else
			text_add_bytes(out, word, 1);
	text_add(out, "'");
}
