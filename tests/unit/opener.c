/* Paths by the opener's process: envelopes, and whose the descriptors are that it has given. */
#include "backends/host/opener.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
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

/* Ends the opener, and waits until it is gone. */
static void rest(struct opener *o)
{
	pid_t pid = child();

	opener_rest(o);
	if (pid > 0)
		waitpid(pid, NULL, 0);
}

/* The inode that a question leads to, or 0; *ret_asked: whether it took an opener. */
static ino_t led_to(struct opener *o, const struct hostpath *p, bool *ret_asked)
{
	struct err e = { 0 };
	struct stat st = { 0 };
	int fd;

	rest(o);
	if (opener_open(o, p, &fd, &e) == 0) {
		if (!(fcntl(fd, F_GETFL) & O_PATH) || fstat(fd, &st) < 0)
			st.st_ino = 0;
		close(fd);
	}
	*ret_asked = child() != 0;
	return st.st_ino;
}

static ino_t inode_of(const char *dir)
{
	struct stat st;

	return stat(dir, &st) == 0 ? st.st_ino : 0;
}

/* Every other change of a path is a place that it has not led to before. */
static void test_known(struct opener *o)
{
	char dir[320], away[320], below[330];
	struct hostpath p = question(geteuid(), HOSTPATH_DIRECTORY);
	struct err e = { 0 };
	bool asked;

	snprintf(dir, sizeof(dir), "%s.dir", path);
	snprintf(away, sizeof(away), "%s.away", path);
	snprintf(below, sizeof(below), "%s/below", dir);
	p.path = dir;
	mkdir(dir, 0755);
	ok(led_to(o, &p, &asked) == inode_of(dir) && asked, "a directory is asked for");
	ok(led_to(o, &p, &asked) == inode_of(dir) && !asked, "once");
	rest(o);
	ok(opener_check(o, &p, &e) == 0 && child() == 0, "also when it is looked at only");
	p.avoid = 1;
	ok(led_to(o, &p, &asked) == inode_of(dir) && asked,
	   "but again when another tree is to be avoided");
	p.avoid = 0;
	p.kind = HOSTPATH_ANY;
	led_to(o, &p, &asked);
	ok(led_to(o, &p, &asked) == inode_of(dir) && asked, "and each time when it is to be read");
	p.kind = HOSTPATH_DIRECTORY;
	if (geteuid() == 0) {
		p.uid = SOMEBODY;
		led_to(o, &p, &asked);
		ok(led_to(o, &p, &asked) == inode_of(dir) && asked, "or for somebody else");
		p.uid = 0;
		for (int bind = 0; bind < 2; bind++) {
			if (mount(dir, dir, "tmpfs", bind ? MS_BIND : 0, NULL) < 0)
				continue;
			ok(led_to(o, &p, &asked) == inode_of(dir) && asked,
			   "what is mounted there is another place%s",
			   bind ? ", also when it is the same directory" : "");
			rest(o); // which may not have closed it yet
			umount(dir);
			led_to(o, &p, &asked);
		}
	}
	rename(dir, away);
	mkdir(dir, 0755);
	ok(led_to(o, &p, &asked) == inode_of(dir) && asked, "so is one that has its name now");
	rmdir(dir);
	ok(led_to(o, &p, &asked) == 0 && asked, "one that has gone is not found");
	ok(symlink(away, dir) == 0 && led_to(o, &p, &asked) == inode_of(away) && asked,
	   "a link is followed by the opener");
	ok(led_to(o, &p, &asked) == inode_of(away) && asked, "each time");
	mkdir(below, 0755);
	p.path = below;
	led_to(o, &p, &asked);
	ok(led_to(o, &p, &asked) == inode_of(below) && asked, "also on the way");
	rmdir(below);
	unlink(dir);
	rmdir(away);
}

/* The kernel's own look at permissions: of the last directory, too. */
static void test_known_forbidden(struct opener *o)
{
	char dir[320];
	struct hostpath p = question(SOMEBODY, HOSTPATH_DIRECTORY);
	struct err e = { 0 };
	int fd = -1;

	if (geteuid() != 0)
		return;
	snprintf(dir, sizeof(dir), "%s.own", path);
	p.path = dir;
	mkdir(dir, 0755);
	if (chown(dir, SOMEBODY, SOMEBODY) < 0 || seteuid(SOMEBODY) < 0)
		exit(1);
	rest(o);
	ok(opener_open(o, &p, &fd, &e) == 0, "a user's directory is found: %s", e.text);
	close(fd);
	chmod(dir, 0);
	ok(opener_open(o, &p, &fd, &e) == -EACCES, "until he may not search it: %s", e.text);
	rest(o);
	if (seteuid(0) < 0)
		exit(1);
	rmdir(dir);
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
	test_known(o);
	test_known_forbidden(o);
	test_handed_over(o);
	opener_free(o);
	unlink(path);
	return tap_done();
}
