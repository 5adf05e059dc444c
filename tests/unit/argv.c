/* argv_split: what it splits, what it leaves alone, what it refuses. */
#include "backends/base/argv.h"
#include "tests/unit/tap.h"

#include <errno.h>
#include <string.h>

/* Words joined by '|', so that one string shows the whole answer; NULL when refused. */
static const char *joined(const char *line)
{
	static char out[4 * ARGV_LINE_MAX];
	struct err e = { 0 };
	char **argv = NULL;

	out[0] = '\0';
	if (argv_split(line, &argv, &e) < 0)
		return NULL;
	for (char **p = argv; *p; p++) {
		strcat(out, *p);
		if (p[1])
			strcat(out, "|");
	}
	argv_free(argv);
	return out;
}

static const struct {
	const char *line, *want;
} good[] = {
	{ "/bin/true", "/bin/true" },
	{ " \t a  b\tc\n", "a|b|c" },
	{ "sh -c 'echo \"hi\" $X; exit 3'", "sh|-c|echo \"hi\" $X; exit 3" },
	{ "a \"b c\" d", "a|b c|d" },
	{ "a'b'\"c\"d", "abcd" },
	{ "a '' \"\" b", "a|||b" },
	{ "a \"\\\"\\\\\\$\\`\\n\"", "a|\"\\$`\\n" },
	{ "a '\\n'", "a|\\n" },
	{ "a\\ b \\'c\\\"", "a b|'c\"" },
	{ "echo $HOME `id` * ~ #no | & ; < >", "echo|$HOME|`id`|*|~|#no|||&|;|<|>" },
	{ "a \"'\" '\"'", "a|'|\"" },
	{ "a\nb", "a|b" },
	{ "a $'b\\nc\\'d\\\\'e $'' $x '$'", "a|b\nc'd\\e||$x|$" },
	{ "a $'\\x41\\x0a\\t\\r$\"'", "a|A\n\t\r$\"" },
};

static const struct {
	const char *line, *why;
} bad[] = {
	{ "", "no command" },	    { " \t\n", "no command" },	 { "'' a", "no command" },
	{ "a 'b", "single quote" }, { "a \"b", "double quote" }, { "a \"b\\\"", "double quote" },
	{ "a \\", "backslash" },    { "'", "single quote" },	 { "\"", "double quote" },
	{ "\\", "backslash" },	    { "a $'b", "no end" },	 { "a $'\\x00'", "xHH" },
	{ "a $'\\xg0'", "xHH" },    { "a $'\\x4", "xHH" },	 { "a $'\\", "xHH" },
	{ "a $'\\q'", "xHH" },
};

static void test_bounds(void)
{
	char *line = calloc(1, ARGV_LINE_MAX + 2);
	struct err e = { 0 };
	char **argv = NULL;
	size_t n = 0;

	memset(line, 'x', ARGV_LINE_MAX);
	ok(argv_split(line, &argv, &e) == 0 && strlen(argv[0]) == ARGV_LINE_MAX, "longest line");
	argv_free(argv);
	line[ARGV_LINE_MAX] = 'x';
	ok(argv_split(line, &argv, &e) == -EINVAL && strstr(e.text, "longer"), "one byte too long");

	memset(line, 0, ARGV_LINE_MAX + 2);
	for (size_t i = 0; i < ARGV_WORDS_MAX; i++)
		memcpy(line + 2 * i, "x ", 2);
	ok(argv_split(line, &argv, &e) == 0, "as many words as may be");
	while (argv[n])
		n++;
	ok(n == ARGV_WORDS_MAX, "%zu words", n);
	argv_free(argv);
	strcat(line, "x");
	ok(argv_split(line, &argv, &e) == -EINVAL && strstr(e.text, "words"), "one word too many");
	free(line);
}

/* What is quoted is split into what it was, in one line. */
static void test_quote(void)
{
	static const char *const words[] = { "a",    "",	  "a b",      "it's",
					     "$'x'", "a\nb'c\\d", "\x7f\x01", "\303\251" };

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		struct text line = TEXT_INIT;
		const char *got;

		text_add(&line, "x ");
		argv_quote(&line, words[i]);
		got = joined(text_str(&line));
		ok(text_line_valid(text_str(&line)) && got && !strncmp(got, "x|", 2) &&
			   !strcmp(got + 2, words[i]),
		   "quotes word %zu: %s", i, text_str(&line));
		text_free(&line);
	}
}

int main(void)
{
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		const char *got = joined(good[i].line);

		if (!ok(got && !strcmp(got, good[i].want), "splits line %zu", i))
			printf("# got %s\n# want %s\n", got ? got : "(refused)", good[i].want);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct err e = { 0 };
		char *untouched[1], **argv = untouched;
		int r = argv_split(bad[i].line, &argv, &e);

		ok(r == -EINVAL && strstr(e.text, bad[i].why) && argv == untouched,
		   "refuses line %zu: %s", i, e.text);
	}
	test_bounds();
	test_quote();
	argv_free(NULL);
	return tap_done();
}
