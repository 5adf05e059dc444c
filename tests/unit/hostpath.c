/*
 * Host paths as their owner: what is exchanged while a path is opened, thousands of times. What
 * comes out must always be one of the two that were there and that the owner may have.
 */
#include "backends/host/hostpath.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/unit/tap.h"

#define OWNER	 54321 /* nobody the user database knows */
#define ENOUGH	 100   /* of each outcome */
#define PATIENCE 20    /* seconds */

static char base[256];

static const char *at(const char *name)
{
	static char paths[4][300];
	static unsigned n;

	n = (n + 1) % 4;
	snprintf(paths[n], sizeof(paths[n]), "%s/%s", base, name);
	return paths[n];
}

static void make_file(const char *name, const char *text, mode_t mode)
{
	int fd = open(at(name), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	if (fd < 0 || write(fd, text, strlen(text)) < 0 || fchmod(fd, mode) < 0)
		perror(at(name));
	close(fd);
}

static void make_directory(const char *name, mode_t mode)
{
	if (mkdir(at(name), 0700) < 0 || chmod(at(name), mode) < 0)
		perror(at(name));
}

/* Exchanges the two until it is killed. */
static pid_t swap(const char *a, const char *b)
{
	pid_t pid = fork();

	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;)
			renameat2(AT_FDCWD, at(a), AT_FDCWD, at(b), RENAME_EXCHANGE);
	}
	return pid;
}

static int open_as_owner(const char *name, enum hostpath_kind kind, int *fd, struct err *e)
{
	struct hostpath p = {
		.path = at(name), .kind = kind, .what = "test", .uid = OWNER, .gid = OWNER
	};

	return hostpath_open(&p, fd, e);
}

/* What is in the file, or in the file `file` of the directory: one letter tells whose it is. */
static char read_letter(int fd, enum hostpath_kind kind)
{
	int file = kind == HOSTPATH_FILE ? dup(fd) : openat(fd, "file", O_RDONLY | O_CLOEXEC);
	char letter = '?';

	if (file < 0 || read(file, &letter, 1) != 1)
		letter = '-';
	close(file);
	return letter;
}

struct outcome {
	int mine, refused, wrong, code; /* code: of the last refusal */
};

static struct outcome race(const char *name, enum hostpath_kind kind, const char *a, const char *b)
{
	pid_t swapper = swap(a, b);
	struct outcome o = { 0 };
	time_t end = time(NULL) + PATIENCE;

	while ((o.mine < ENOUGH || o.refused < ENOUGH) && !o.wrong && time(NULL) < end) {
		struct err e = { 0 };
		int fd = -1;

		if (open_as_owner(name, kind, &fd, &e) < 0) {
			o.refused++;
			o.code = e.code;
			continue;
		}
		if (read_letter(fd, kind) == 'm')
			o.mine++;
		else
			o.wrong++;
		close(fd);
	}
	kill(swapper, SIGKILL);
	waitpid(swapper, NULL, 0);
	return o;
}

static void test_race(const char *what, const char *name, enum hostpath_kind kind, const char *a,
		      const char *b, int code)
{
	struct outcome o = race(name, kind, a, b);

	ok(!o.wrong && o.mine >= ENOUGH && o.refused >= ENOUGH,
	   "%s: never the wrong one (%d times the owner's, %d refused)", what, o.mine, o.refused);
	ok(o.code == -code, "%s: the refusal is %s", what, err_name(code));
}

static void test_races(void)
{
	make_file("mine", "mine", 0644);
	make_file("roots", "roots", 0600);
	test_race("a file and one that the owner may not read", "mine", HOSTPATH_FILE, "mine",
		  "roots", EACCES);

	make_directory("secret", 0700);
	make_file("secret/file", "secret", 0644);
	make_file("file", "mine", 0644);
	if (symlink("secret/file", at("link")) < 0)
		perror("symlink");
	test_race("a file and a link into a closed directory", "file", HOSTPATH_FILE, "file",
		  "link", EACCES);

	make_directory("open", 0755);
	make_file("open/file", "mine", 0644);
	if (symlink("secret", at("way")) < 0)
		perror("symlink");
	test_race("a directory on the way and a link to a closed one", "open/file", HOSTPATH_FILE,
		  "open", "way", EACCES);

	make_directory("root", 0755);
	make_file("root/file", "mine", 0644);
	test_race("a root directory and one that is closed", "root", HOSTPATH_DIRECTORY, "root",
		  "secret", EACCES);
}

/* A writer finds a FIFO's reader, if there ever is one. */
static void test_fifo(void)
{
	pid_t swapper;
	int met = 0, refused = 0;

	make_file("plain", "mine", 0644);
	if (mkfifo(at("fifo"), 0666) < 0)
		perror("mkfifo");
	swapper = swap("plain", "fifo");
	for (int i = 0; i < 3000; i++) {
		int fd = -1, writer;

		if (open_as_owner("plain", HOSTPATH_FILE, &fd, NULL) < 0)
			refused++;
		writer = open(at("fifo"), O_WRONLY | O_NONBLOCK | O_CLOEXEC);
		if (writer >= 0) {
			struct stat st;

			met += fstat(writer, &st) == 0 && S_ISFIFO(st.st_mode);
			close(writer);
		}
		if (fd >= 0)
			close(fd);
	}
	kill(swapper, SIGKILL);
	waitpid(swapper, NULL, 0);
	ok(met == 0 && refused > 0, "a FIFO is never opened (%d times in its place)", refused);
}

static void test_credentials(void)
{
	gid_t groups[8];
	struct err e = { 0 };
	int fd = -1;

	make_file("closed", "closed", 0600); /* what was exchanged may lie anywhere */
	ok(open_as_owner("closed", HOSTPATH_FILE, &fd, &e) == -EACCES, "the owner is refused");
	fd = open(at("closed"), O_RDONLY | O_CLOEXEC);
	ok(fd >= 0 && geteuid() == 0, "this process is itself again");
	close(fd);
	ok(getgroups(8, groups) == 0, "without a group of the owner's");
}

int main(void)
{
	const char *tmp = getenv("TEST_TMP");

	if (geteuid() != 0)
		skip_all("needs root");
	snprintf(base, sizeof(base), "%s/hostpath-XXXXXX", tmp ? tmp : "/tmp");
	if (!mkdtemp(base) || chmod(base, 0755) < 0)
		return 1;
	test_races();
	test_fifo();
	test_credentials();
	return tap_done();
}
