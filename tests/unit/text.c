/* Unit test of struct text and struct err: growing, cutting, and one line for the error file. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "backends/base/err.h"
#include "backends/base/text.h"
#include "tests/unit/tap.h"

static void test_text(void)
{
	struct text t = TEXT_INIT;
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC), zero = open("/dev/zero", O_RDONLY);

	ok(!strcmp(text_str(&t), ""), "an empty text is the empty string");
	for (int i = 0; i < 1000; i++)
		text_addf(&t, "%04d ", i);
	ok(t.len == 5000 && strlen(text_str(&t)) == 5000, "it grows with what is added");
	ok(!strcmp(text_str(&t) + 4990, "0998 0999 "), "what was added last is at its end");
	text_clear(&t);
	text_add_number(&t, 0);
	text_add(&t, " ");
	text_add_number(&t, UINT64_MAX);
	ok(!strcmp(text_str(&t), "0 18446744073709551615"), "numbers are decimal digits");
	text_clear(&t);
	ok(t.len == 0 && !strcmp(text_str(&t), ""), "cleared, it is empty");
	ok(text_read_fd(&t, null) == 0 && t.len == 0, "an empty file adds nothing");
	ok(text_read_fd(&t, zero) == -EFBIG, "an endless file is refused");
	text_free(&t);
	ok(!t.data && !t.len, "freed, it can be used again");
	close(null);
	close(zero);
}

static void test_err(void)
{
	struct err e = { 0 };
	char longer[1000];

	ok(err_set(&e, -EINVAL, "cpu.count: %d is outside 1..%d", 0, 9) == -EINVAL &&
		   !strcmp(e.text, "cpu.count: 0 is outside 1..9"),
	   "a sentence and its code");
	ok(err_prefix(&e, "vm/%s: ", "web") == -EINVAL &&
		   !strcmp(e.text, "vm/web: cpu.count: 0 is outside 1..9"),
	   "a prefix goes in front and keeps the code");
	ok(err_sys(&e, ENOMEM, "guest RAM") == -ENOSPC && strstr(e.text, "guest RAM: Cannot alloc"),
	   "an errno that is not public is told by one that is");
	err_set(&e, -EINVAL, "a\nb\x7f%s", "\x1b[31m");
	ok(!strcmp(e.text, "a?b??[31m"), "control characters cannot break the error file");
	memset(longer, 'x', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	err_set(&e, -EIO, "%s", longer);
	ok(strlen(e.text) == sizeof(e.text) - 1, "a long sentence is cut");
	err_prefix(&e, "%s", longer);
	ok(strlen(e.text) == sizeof(e.text) - 1, "also with a long prefix");
	ok(err_set(NULL, -EBUSY, "x") == -EBUSY && !strcmp(err_name(-EBUSY), "EBUSY") &&
		   !strcmp(err_name(EXDEV), "EIO"),
	   "no sentence wanted; names of errnos");
}

/* A file's memory may be a former one's: nothing of that may show. */
static void test_empty_file(void)
{
	int fd = memfd_create("empty", MFD_CLOEXEC);
	struct text t = TEXT_INIT;

	for (int i = 0; i < 4; i++) {
		free(memset(malloc(4200), 'x', 4200));
		free(memset(malloc(8192), 'x', 8192));
		ok(text_read_fd(&t, fd) == 0 && t.len == 0 && !strcmp(text_str(&t), ""),
		   "an empty file is an empty string");
		text_free(&t);
	}
	close(fd);
}

int main(void)
{
	test_text();
	test_empty_file();
	test_err();
	return tap_done();
}
