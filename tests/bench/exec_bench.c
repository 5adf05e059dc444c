/*
 * exec_bench RUNS COMMAND...: how long a command takes from spawn to its end. Must exit 0. What
 * it prints is for nobody.
 */
#include <spawn.h>
#include <sys/wait.h>

#include "bench.h"

extern char **environ;

int main(int argc, char **argv)
{
	static struct samples s;
	posix_spawn_file_actions_t silent;
	int runs, status;
	pid_t pid;

	if (argc < 3)
		return 2;
	runs = runs_arg(argv[1]);
	posix_spawn_file_actions_init(&silent);
	posix_spawn_file_actions_addopen(&silent, 1, "/dev/null", O_WRONLY, 0);
	for (int i = -2; i < runs; i++) {
		double start = now_us();

		errno = posix_spawnp(&pid, argv[2], &silent, NULL, argv + 2, environ);
		if (errno || waitpid(pid, &status, 0) < 0 || status)
			give_up(argv[2]);
		if (i >= 0)
			sample_add(&s, now_us() - start);
	}
	sample_print(&s);
	return 0;
}
