/*
 * argv_split: one line of text to the words of a command, quoted as in a POSIX shell.
 *
 * Blanks separate words. '...' takes everything literally, "..." everything but a backslash
 * before one of " \ $ `, and outside quotes a backslash takes the next character literally.
 * $'...' is as in bash, so that one line can say a word of several: \n \t \r \\ \' \xHH, no others.
 * Nothing is expanded: $ ` * ? ~ | & ; < > and # are ordinary characters, since there is no
 * shell. Who wants one writes: /bin/sh -c '...'.
 */
#ifndef BACKENDS_BASE_ARGV_H
#define BACKENDS_BASE_ARGV_H

#include "backends/base/err.h"
#include "backends/base/text.h"

#define ARGV_LINE_MAX  32768 /* bytes in a line */
#define ARGV_WORDS_MAX 1024

/*
 * *ret_argv is NULL-terminated and has at least one word, the first of which is not empty; it
 * is one allocation, freed with argv_free(). Refusals are EINVAL: no command, a quote without
 * its end, a backslash at the end, too long, too many words.
 */
int argv_split(const char *line, char ***ret_argv, struct err *e);
void argv_free(char **argv);

/* The word as argv_split() takes it: as it is, or in quotes. */
void argv_quote(struct text *out, const char *word);

#endif
