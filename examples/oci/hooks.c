/* Hooks of config.json that run outside of a container: see oci.h. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <poll.h>
#include <unistd.h>

#include "examples/oci/oci.h"

#define HOOK_TIMEOUT 30 /* seconds, where it says nothing */

/* The strings are the document's. */
static char **strings(const json_t *list, const char *first)
{
	char **ret = calloc(json_array_size(list) + 2, sizeof(*ret));
	size_t n = 0;

	for (size_t i = 0; ret && i < json_array_size(list); i++)
		if (json_is_string(json_array_get(list, i)))
			ret[n++] = (char *)json_string_value(json_array_get(list, i));
	if (ret && !n && first)
		ret[n++] = (char *)first;
	return ret;
}

static _Noreturn void hook_child(const char *path, char **argv, char **env, int input)
{
	dup2(input, 0);
	syscall(SYS_close_range, 3, ~0u, 0);
	execve(path, argv, env);
	_exit(127);
}

static void hook_wait(pid_t pid, int seconds)
{
	int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	struct pollfd end = { .fd = pidfd, .events = POLLIN };

	if (pidfd < 0 || poll(&end, 1, seconds * 1000) <= 0)
		kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	if (pidfd >= 0)
		close(pidfd);
}

static void hook_run(const json_t *hook, const char *state)
{
	const char *path = json_text(hook, "path");
	const json_t *timeout = json_object_get(hook, "timeout");
	char **argv = strings(json_object_get(hook, "args"), path);
	char **env = strings(json_object_get(hook, "env"), NULL);
	int input[2];
	pid_t pid;

	if (argv && env && pipe(input) == 0) {
		pid = fork();
		if (pid == 0)
			hook_child(path, argv, env, input[0]);
		close(input[0]);
		/* Less than a pipe holds, unless annotations are huge: then a hook has to read. */
		if (pid > 0 && write(input[1], state, strlen(state)) < 0)
			kill(pid, SIGKILL);
		close(input[1]);
		if (pid > 0)
			hook_wait(pid, json_is_integer(timeout) ? (int)json_integer_value(timeout)
								: HOOK_TIMEOUT);
	}
	free(argv);
	free(env);
}

void hooks_find(struct hooks *h, const struct container *c, const char *name)
{
	json_t *state = NULL;

	*h = (struct hooks){ 0 };
	if (container_config(c, &h->config, NULL) < 0)
		return;
	h->list = json_object_get(json_object_get(h->config, "hooks"), name);
	if (json_array_size(h->list) && container_state(c, &state, NULL) == 0)
		h->state = json_dumps(state, JSON_COMPACT);
	json_decref(state);
}

void hooks_run(const struct hooks *h)
{
	signal(SIGPIPE, SIG_IGN);
	for (size_t i = 0; h->state && i < json_array_size(h->list); i++)
		hook_run(json_array_get(h->list, i), h->state);
}

void hooks_free(struct hooks *h)
{
	free(h->state);
	json_decref(h->config);
	*h = (struct hooks){ 0 };
}
