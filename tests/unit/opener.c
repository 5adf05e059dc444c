/* Paths by the opener's process: envelopes, and whose the descriptors are that it has given. */
#include "backends/host/opener.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "backends/host/envelope.h"
#include "tests/unit/tap.h"

#define SOMEBODY 54321 /* nobody the user database knows */

static char path[300];

static struct hostpath question(uid_t uid, enum hostpath_kind kind)
{
	return (struct hostpath){
		.path = path, .kind = kind, .what = "test", .uid = uid, .gid = uid
	};
}

static bool reads_content(int fd)
{
	char text[16] = "";

	return pread(fd, text, sizeof(text) - 1, 0) > 0 && !strcmp(text, "content");
}

static void test_envelopes(struct opener *o)
{
	struct hostpath file = question(geteuid(), HOSTPATH_FILE);
	struct hostpath place = question(geteuid(), HOSTPATH_ANY);
	struct err e = { 0 };
	int fd = -1, empty[2];

	ok(opener_open(o, &file, &fd, &e) == 0 && !reads_content(fd),
	   "an opened file comes in an envelope: %s", e.text);
	ok(envelope_open(&fd, &e) == 0 && reads_content(fd) && (fcntl(fd, F_GETFD) & FD_CLOEXEC),
	   "what is in it is the file");
	ok(envelope_open(&fd, &e) == 0 && reads_content(fd), "which is none itself");
	close(fd);
	ok(opener_open(o, &place, &fd, &e) == 0 && (fcntl(fd, F_GETFL) & O_PATH),
	   "a place comes as it is");
	ok(envelope_open(&fd, &e) == 0 && (fcntl(fd, F_GETFL) & O_PATH), "and is none either");
	close(fd);
	fd = -1;
	ok(envelope_open(&fd, &e) == 0 && fd == -1, "nor is nothing");
	if (socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, empty) < 0)
		exit(1);
	ok(envelope_open(&empty[0], &e) == -EINVAL, "an empty one is refused");
	ok(send(empty[1], "x", 1, 0) == 1 && envelope_open(&empty[0], &e) == -EINVAL,
	   "and a letter");
	close(empty[0]);
	close(empty[1]);
	ok(opener_check(o, &file, &e) == 0, "one that can be opened, is");
	file.path = "/nowhere/at/all";
	ok(opener_check(o, &file, &e) == -ENOENT && opener_open(o, &file, &fd, &e) == -ENOENT,
	   "one that is not there, is not");
}

static pid_t child(void)
{
	FILE *f = fopen("/proc/thread-self/children", "re");
	int pid = 0;

	if (f && fscanf(f, "%d", &pid) != 1)
		pid = 0;
	if (f)
		fclose(f);
	return pid;
}

/* A path that is refused before there is an answer, behind one that was opened. */
static void test_handed_over(struct opener *o)
{
	struct hostpath mine = question(geteuid(), HOSTPATH_ANY);
	struct hostpath other = question(SOMEBODY, HOSTPATH_ANY);
	struct err e = { 0 };
	int fd = -1, unused;

	ok(opener_open(o, &mine, &fd, &e) == 0, "one is opened: %s", e.text);
	kill(child(), SIGSTOP);
	ok(opener_open(o, &other, &unused, &e) == -EIO && fcntl(fd, F_GETFD) >= 0,
	   "another is not answered, and the first one stays open: %s", e.text);
	ok(opener_open(o, &mine, &unused, &e) == 0, "one is opened by the next opener: %s", e.text);
	close(fd);
	fd = unused;
	ok(opener_open(o, &other, &unused, &e) == -EBUSY && fcntl(fd, F_GETFD) >= 0,
	   "another is not asked for, and the one before stays open: %s", e.text);
	ok(opener_check(o, &other, &e) == -EBUSY && fcntl(fd, F_GETFD) >= 0,
	   "nor looked for, likewise");
	close(fd);
}

int main(int argc, char **argv)
{
	struct opener *o;
	struct err e = { 0 };
	int fd;

	if (argc > 1) // spawn_self(): this program is the opener, too
		return opener_main();
	snprintf(path, sizeof(path), "%s/file", getenv("TEST_TMP") ? getenv("TEST_TMP") : "/tmp");
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (fd < 0 || write(fd, "content", 7) != 7 || opener_new(&o, &e) < 0)
		return 1;
	close(fd);
	test_envelopes(o);
	test_handed_over(o);
	opener_free(o);
	unlink(path);
	return tap_done();
}
