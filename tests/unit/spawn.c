/* spawn_process: what the new process has of its parent's descriptors, however many these are. */
#include "backends/host/spawn.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/tap.h"

#define MANY 3000

/* What the script prints to its descriptor 3, or the sentence why there was none. */
static const char *answer_of(const char *script, bool both, int program)
{
	static char text[512];
	char sh[] = "sh", c[] = "-c", *argv[] = { sh, c, (char *)script, NULL }, *env[] = { NULL };
	int ends[2], input[2], status = -1;
	struct err e = { 0 };
	size_t len = 0;
	ssize_t n;
	pid_t pid;

	if (pipe2(ends, O_CLOEXEC) < 0 || pipe2(input, O_CLOEXEC) < 0)
		return "no pipe";
	struct spawn s = { .exe = program > 0 ? "/nowhere" : "/bin/sh",
			   .program = program,
			   .argv = argv,
			   .env = env,
			   .fd = ends[1],
			   .fd_as = 3,
			   .also = both ? input[0] : 0,
			   .cgroup = -1 };
	n = write(input[1], "given\n", 6);
	if (n == 6)
		spawn_process(&s, &pid, &e);
	close(ends[1]);
	close(input[0]);
	close(input[1]);
	if (e.code || n != 6) {
		close(ends[0]);
		snprintf(text, sizeof(text), "%s", e.text);
		return text;
	}
	while (len < sizeof(text) - 1 &&
	       (n = read(ends[0], text + len, sizeof(text) - 1 - len)) > 0)
		len += (size_t)n;
	text[len] = '\0';
	close(ends[0]);
	waitpid(pid, &status, 0);
	return status == 0 ? text : "it failed";
}

static const char *answer(const char *script, bool both)
{
	return answer_of(script, both, -1);
}

#define LIST \
	"i=0; while [ $i -lt 500 ]; do [ -e /proc/$$/fd/$i ] && echo $i >&3; i=$((i+1)); done; "

static void test_descriptors(const char *how)
{
	ok(!strcmp(answer(LIST, false), "0\n1\n2\n3\n"), "%s: 0, 1, 2 and what is handed over",
	   how);
	ok(!strcmp(answer("for i in 0 1; do [ /proc/$$/fd/$i -ef /dev/null ] && echo $i >&3; done; "
			  "true",
			  false),
		   "0\n1\n"),
	   "%s: the first two are /dev/null", how);
	ok(!strcmp(answer(LIST "cat <&4 >&3", true), "0\n1\n2\n3\n4\ngiven\n"), "%s: two of them",
	   how);
	ok(!strcmp(answer("exit 1", false), "it failed"), "%s: its status", how);
}

/* Even where its number is one of those that are handed over. */
static void test_program(void)
{
	int fds[4];

	for (int i = 0; i < 4; i++)
		fds[i] = open("/bin/sh", O_PATH | O_CLOEXEC);
	for (int i = 0; i < 4; i++)
		ok(!strcmp(answer_of(LIST "cat <&4 >&3", true, fds[i]), "0\n1\n2\n3\n4\ngiven\n"),
		   "a program by descriptor %d", fds[i]);
	for (int i = 0; i < 4; i++)
		close(fds[i]);
}

int main(void)
{
	struct rlimit limit = { MANY + 100, MANY + 100 };
	char none[] = "none", *argv[] = { none, NULL }, *env[] = { NULL };
	struct spawn s = { .exe = "/nowhere", .argv = argv, .env = env, .fd_as = 3, .cgroup = -1 };
	struct err e = { 0 };
	int opened = 0;
	pid_t pid;

	test_descriptors("few");
	test_program();
	setrlimit(RLIMIT_NOFILE, &limit);
	while (opened < MANY && fcntl(0, F_DUPFD_CLOEXEC, 100) >= 0)
		opened++;
	ok(opened > 500, "%d descriptors are open", opened);
	test_descriptors("many");
	s.fd = fcntl(0, F_DUPFD_CLOEXEC, 10);
	ok(spawn_process(&s, &pid, &e) < 0 && strstr(e.text, "/nowhere"), "no such program: %s",
	   e.text);
	ok(fcntl(s.fd, F_GETFD) >= 0, "ours stay open");
	return tap_done();
}
