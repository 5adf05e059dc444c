/* A container of the tree by its OCI id: see oci.h. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "examples/oci/oci.h"

#define NAME_MAX_TREE 63

const char *const status_words[] = { "creating", "created", "running", "paused", "stopped" };

int container_name(const struct oci *o, const char *id, struct container *ret, struct err *e)
{
	static const char set[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";

	if (!*id || strlen(id) > OCI_ID_MAX || id[strspn(id, set)] || strchr("._-", id[0]))
		return err_set(e, -EINVAL,
			       "\"%.80s\" is not an id: letters, digits, dots, hyphens and "
			       "underscores, the first a letter or digit",
			       id);
	snprintf(ret->id, sizeof(ret->id), "%s", id);
	if (snprintf(ret->dir, PATH_MAX, "%s/container/%.*s", o->tree, NAME_MAX_TREE, id) >=
		    PATH_MAX ||
	    snprintf(ret->kept, PATH_MAX, "%s/%.*s", o->root, NAME_MAX_TREE, id) >= PATH_MAX)
		return err_set(e, -EINVAL, "%s: the path is too long", id);
	return 0;
}

int container_label(const struct container *c, const char *key, struct text *out, struct err *e)
{
	struct text labels = TEXT_INIT;
	size_t len = strlen(key);
	int rc = tree_read(c->dir, "label", &labels, e);
	const char *line = text_str(&labels);

	if (rc == 0)
		rc = err_set(e, -ENOENT, "container %s has no label %s", c->id, key);
	for (; *line; line += strcspn(line, "\n"), line += *line == '\n')
		if (!strncmp(line, key, len) && line[len] == ' ') {
			text_add_bytes(out, line + len + 1, strcspn(line, "\n") - len - 1);
			rc = text_failed(out) ? err_sys(e, ENOMEM, "%s", key) : 0;
		}
	text_free(&labels);
	return rc;
}

int container_find(const struct oci *o, const char *id, struct container *ret, struct err *e)
{
	struct text whole = TEXT_INIT;
	int rc = container_name(o, id, ret, e);

	if (rc < 0)
		return rc;
	if (container_label(ret, "oci.id", &whole, NULL) < 0 || strcmp(text_str(&whole), id))
		rc = err_set(e, -ENOENT, "container %s does not exist", id);
	text_free(&whole);
	return rc;
}

/* Field 22 of proc_pid_stat(5), behind the name in parentheses, which may be anything. */
int process_mark(pid_t pid, char *buf, size_t size)
{
	char path[64], text[1024], *at;
	unsigned long long start;
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	text[n > 0 ? n : 0] = '\0';
	at = strrchr(text, ')');
	if (!at || at[1] != ' ' || at[2] == 'Z' || at[2] == 'X')
		return -ESRCH;
	at += 2;
	for (int field = 3; at && field < 22; field++) {
		at = strchr(at, ' ');
		at = at ? at + 1 : NULL;
	}
	if (!at || sscanf(at, "%llu", &start) != 1)
		return -ESRCH;
	snprintf(buf, size, "%d %llu", (int)pid, start);
	return 0;
}

pid_t container_keeper(const struct container *c)
{
	struct text mark = TEXT_INIT;
	char now[64];
	pid_t pid = 0;

	if (container_label(c, "oci.keeper", &mark, NULL) == 0)
		pid = atoi(text_str(&mark));
	if (pid > 0 && (process_mark(pid, now, sizeof(now)) < 0 || strcmp(now, text_str(&mark))))
		pid = 0;
	text_free(&mark);
	return pid;
}

pid_t container_init(const struct container *c)
{
	struct text pid = TEXT_INIT;
	pid_t ret = tree_read(c->dir, "pid", &pid, NULL) == 0 ? atoi(text_str(&pid)) : 0;

	text_free(&pid);
	return ret;
}

int container_status(const struct container *c, enum status *ret, struct err *e)
{
	struct text state = TEXT_INIT, ending = TEXT_INIT;
	const char *word;
	int rc = tree_read(c->dir, "state", &state, e);

	if (rc == 0)
		rc = tree_read(c->dir, "exit", &ending, e);
	word = text_str(&state);
	if (!strcmp(word, "running") || !strcmp(word, "stopping"))
		*ret = STATUS_RUNNING;
	else if (!strcmp(word, "paused"))
		*ret = STATUS_PAUSED;
	else if (!strcmp(word, "prepared"))
		*ret = STATUS_CREATED;
	else if (!strcmp(word, "preparing") || !strcmp(word, "starting"))
		*ret = STATUS_CREATING;
	else
		*ret = ending.len || container_keeper(c) == 0 ? STATUS_STOPPED : STATUS_CREATING;
	text_free(&state);
	text_free(&ending);
	return rc;
}

int json_file(const char *path, json_t **ret, struct err *e)
{
	struct text text = TEXT_INIT;
	json_error_t why;
	int fd = strcmp(path, "-") ? open(path, O_RDONLY | O_CLOEXEC) : dup(0), rc;

	*ret = NULL;
	if (fd < 0)
		return err_sys(e, errno, "%s", path);
	rc = text_read_fd(&text, fd);
	close(fd);
	if (rc < 0) {
		rc = err_sys(e, -rc, "%s", path);
	} else {
		*ret = json_loadb(text_str(&text), text.len, JSON_REJECT_DUPLICATES, &why);
		if (!*ret)
			rc = err_set(e, -EINVAL, "%s: line %d: %s", path, why.line, why.text);
		else if (!json_is_object(*ret))
			rc = err_set(e, -EINVAL, "%s: not a JSON object", path);
	}
	if (rc < 0) {
		json_decref(*ret);
		*ret = NULL;
	}
	text_free(&text);
	return rc;
}

int container_config(const struct container *c, json_t **ret, struct err *e)
{
	struct text bundle = TEXT_INIT;
	char path[PATH_MAX];
	int rc = container_label(c, "oci.bundle", &bundle, e);

	if (rc == 0)
		rc = json_file(tree_path(path, text_str(&bundle), "config.json"), ret, e);
	text_free(&bundle);
	return rc;
}

static void state_created(const struct container *c, json_t *state)
{
	struct text text = TEXT_INIT;
	char when[40];
	struct tm tm;
	time_t t;

	if (tree_read(c->dir, "created", &text, NULL) == 0) {
		t = (time_t)atoll(text_str(&text));
		gmtime_r(&t, &tm);
		strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%SZ", &tm);
		json_object_set_new(state, "created", json_string(when));
	}
	text_free(&text);
}

int container_state(const struct container *c, json_t **ret, struct err *e)
{
	struct text bundle = TEXT_INIT;
	json_t *state = json_object(), *config = NULL, *annotations = NULL;
	enum status status;
	int rc = container_status(c, &status, e);

	if (rc == 0)
		rc = container_label(c, "oci.bundle", &bundle, e);
	if (rc < 0)
		goto out;
	json_object_set_new(state, "ociVersion", json_string(OCI_VERSION));
	json_object_set_new(state, "id", json_string(c->id));
	json_object_set_new(state, "status", json_string(status_words[status]));
	json_object_set_new(state, "pid",
			    json_integer(status == STATUS_STOPPED ? 0 : container_init(c)));
	json_object_set_new(state, "bundle", json_string(text_str(&bundle)));
	state_created(c, state);
	/* A bundle that has gone takes its annotations along. */
	if (container_config(c, &config, NULL) == 0)
		annotations = json_object_get(config, "annotations");
	if (annotations)
		json_object_set(state, "annotations", annotations);
	json_decref(config);
out:
	text_free(&bundle);
	if (rc < 0) {
		json_decref(state);
		state = NULL;
	}
	*ret = state;
	return rc;
}

void container_unkeep(const struct container *c)
{
	static const char *const files[] = { "stdin", "stdout", "stderr", "seccomp.json" };
	char path[PATH_MAX];

	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
		unlink(tree_path(path, c->kept, files[i]));
	rmdir(c->kept);
}

/* The keeper of a container that has ended does so by itself, having told what there is to tell. */
static bool keeper_gone(const struct container *c, int tries)
{
	const struct timespec moment = { .tv_nsec = 2000000 };

	while (container_keeper(c) > 0 && tries-- > 0)
		nanosleep(&moment, NULL);
	return container_keeper(c) == 0;
}

void container_end_keeper(const struct container *c, bool now)
{
	pid_t pid = container_keeper(c);

	if (pid == 0 || (!now && keeper_gone(c, 500)))
		return;
	kill(pid, SIGKILL);
	keeper_gone(c, 500);
}

int container_remove(const struct oci *o, const struct container *c, bool force, struct err *e)
{
	enum status status;
	bool runs = false;
	int rc = container_status(c, &status, e);

	if (rc < 0)
		return rc;
	if (status != STATUS_STOPPED && !force)
		return err_set(e, -EBUSY, "container %s is %s", c->id, status_words[status]);
	if (status != STATUS_STOPPED) {
		/* It may have ended meanwhile, or come to nothing yet. */
		runs = tree_write(c->dir, "ctl", "kill\n", NULL) == 0;
		rc = tree_write(c->dir, "wait", "stopped 10\n", e);
		if (rc < 0 && container_status(c, &status, NULL) == 0 && status == STATUS_STOPPED)
			rc = 0; // it has failed, which is an end, too
	}
	container_end_keeper(c, status == STATUS_CREATING && !runs);
	if (rc == 0 && rmdir(c->dir) < 0)
		rc = err_sys(e, errno, "%s", c->dir);
	if (rc == 0)
		container_unkeep(c);
	return rc;
}
