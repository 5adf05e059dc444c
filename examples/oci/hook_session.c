/*
 * A startContainer hook: a program of the container's own, in it, before its init is executed. So
 * it is a session like exec's, with the user, the capabilities and the filters of the container,
 * and sees of its tree what it may: see oci.h.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "examples/oci/oci.h"

#define CHUNK 16384 /* the tree takes twice as much in one write */

/* config.json's process with what the hook says. */
static json_t *process_of(const json_t *config, const json_t *hook)
{
	json_t *process = json_deep_copy(json_object_get(config, "process"));
	const json_t *given = json_object_get(hook, "args"), *env = json_object_get(hook, "env");
	json_t *args = json_array();

	/* A session's program is named by its first argument. */
	json_array_append(args, json_object_get(hook, "path"));
	for (size_t i = 1; i < json_array_size(given); i++)
		json_array_append(args, json_array_get(given, i));
	json_object_set_new(process, "args", args);
	json_object_set_new(process, "env", env ? json_deep_copy(env) : json_array());
	json_object_set_new(process, "cwd", json_string("/"));
	json_object_set_new(process, "terminal", json_false());
	return process;
}

/* One that does not read it all does not want it. */
static void give(const char *dir, const char *state)
{
	char chunk[CHUNK + 1];
	int rc = 0;

	for (; rc == 0 && *state; state += strlen(chunk)) {
		snprintf(chunk, sizeof(chunk), "%s", state);
		rc = tree_write(dir, "stdin", chunk, NULL);
	}
	tree_write(dir, "ctl", "eof\n", NULL);
}

static int await(const char *dir, json_int_t timeout, struct err *e)
{
	int rc = timeout ? tree_writef(dir, "wait", NULL, "stopped %lld", (long long)timeout)
			 : tree_write(dir, "wait", "stopped\n", NULL);

	if (rc != -EBUSY)
		return 0;
	tree_write(dir, "ctl", "kill\n", NULL);
	tree_write(dir, "wait", "stopped 10\n", NULL);
	return err_set(e, -EIO, "it took longer than %lld s", (long long)timeout);
}

/* What it ended with, and printed. */
static int judge(const char *dir, struct err *e)
{
	struct text ending = TEXT_INIT, said = TEXT_INIT;
	int rc = tree_read(dir, "exit", &ending, e);

	if (rc == 0)
		rc = tree_read(dir, "stderr", &said, e);
	if (rc == 0 && strcmp(text_str(&ending), "exited 0"))
		rc = err_set(e, -EIO, "%.60s%s%.200s", text_str(&ending), said.len ? ": " : "",
			     text_str(&said));
	text_free(&ending);
	text_free(&said);
	return rc;
}

int hook_session(const struct container *c, const json_t *hook, const char *state, struct err *e)
{
	struct text bundle = TEXT_INIT;
	char name[64], dir[PATH_MAX];
	struct timespec now;
	json_t *process;
	struct spec s;
	int rc = container_label(c, "oci.bundle", &bundle, e);

	if (rc == 0)
		rc = spec_read(&s, text_str(&bundle), e);
	if (rc < 0) {
		text_free(&bundle);
		return rc;
	}
	process = process_of(s.config, hook);
	rc = spec_exec_process(&s, process, e);
	clock_gettime(CLOCK_MONOTONIC, &now);
	snprintf(name, sizeof(name), "exec/hook-%d-%lld%09ld", (int)getpid(), (long long)now.tv_sec,
		 now.tv_nsec);
	tree_path(dir, c->dir, name);
	if (rc == 0 && mkdir(dir, 0755) < 0)
		rc = err_sys(e, errno, "%s", dir);
	if (rc == 0) {
		rc = session_start(&s, dir, e);
		if (rc == 0)
			give(dir, state);
		if (rc == 0)
			rc = await(dir, json_integer_value(json_object_get(hook, "timeout")), e);
		if (rc == 0)
			rc = judge(dir, e);
		rmdir(dir);
	}
	json_decref(process);
	spec_free(&s);
	text_free(&bundle);
	return rc;
}
