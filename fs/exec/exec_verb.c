/* Verbs of sessions, and what they are given to read: see exec.h. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "backends/base/signame.h"
#include "fs/exec/exec.h"
#include "fs/machine/ctl_lines.h"
#include "fs/machine/link.h"
#include "fs/store/store.h"

#define STDIN_MAX (32u << 10) /* given at once; a longer write is a short one */

static void exec_continue(struct request *r, int rc, const struct err *e);

/* ---- start ---- */

static int start_open(const struct exec *x, int fds[EXEC_FD_COUNT], struct err *e)
{
	static const char *const names[EXEC_FD_COUNT] = {
		[EXEC_FD_STDOUT] = "stdout", [EXEC_FD_STDOUT_OLD] = "stdout.old",
		[EXEC_FD_STDERR] = "stderr", [EXEC_FD_STDERR_OLD] = "stderr.old",
		[EXEC_FD_EXIT] = "exit",
	};
	int dir = exec_dir(x);

	for (int i = 0; dir >= 0 && i < EXEC_FD_COUNT; i++) {
		fds[i] = store_open_file(dir, names[i], O_RDWR | O_CREAT | O_TRUNC);
		if (fds[i] < 0) {
			close(dir);
			return err_sys(e, -fds[i], "ctl: start: %s", names[i]);
		}
	}
	if (dir < 0)
		return err_sys(e, -dir, "ctl: start: its directory");
	close(dir);
	/* What a daemon finds that comes after a crash of all. */
	return write(fds[EXEC_FD_EXIT], "running\n", 8) == 8
		       ? 0
		       : err_set(e, -ENOSPC, "ctl: start: the state directory is full");
}

/* What it reads and prints to, of the host's. */
static int start_streams(const struct exec *x, int fds[3], struct err *e)
{
	static const char *const names[] = { "stdin.path", "stdout.path", "stderr.path" };
	int rc = 0;

	for (int i = 0; rc == 0 && i < 3; i++)
		rc = machine_open_path(x->machine, &x->config, schema_find(&exec_schema, names[i]),
				       "", &fds[i], e);
	if (rc == 0 && x->config.tty && (fds[0] >= 0 || fds[1] >= 0 || fds[2] >= 0))
		rc = err_set(e, -EINVAL,
			     "tty: a session with paths to read and print to gets no terminal");
	return rc;
}

static int exec_start(struct exec *x, struct request *r, struct err *e)
{
	struct machine *m = x->machine;
	struct exec_spec s = {
		.id = x->object.id,
		.argv = x->config.argv,
		.cwd = x->config.cwd,
		.env = x->config.env,
		.user = x->config.user,
		.tty = x->config.tty,
		.stdio = { -1, -1, -1 },
	};
	int rc;

	if (!x->config.argv || !*x->config.argv)
		return err_set(e, -EINVAL, "argv: no command is set");
	if (!m->link || (m->state != STATE_RUNNING && m->state != STATE_PREPARED))
		return err_set(e, -EBUSY, "ctl: start: the container is %s", state_words[m->state]);
	memset(s.fd, -1, sizeof(s.fd));
	rc = start_streams(x, s.stdio, e);
	if (rc == 0)
		rc = start_open(x, s.fd, e);
	if (rc == 0 && m->cgroup) {
		rc = cgroup_open_late(m->cgroup, s.groups, EXEC_GROUPS_MAX, e);
		s.ngroups = rc > 0 ? (unsigned)rc : 0;
	}
	if (rc >= 0)
		rc = link_exec_start(m->link, r, exec_continue, &s, e);
	for (int i = 0; i < EXEC_FD_COUNT; i++)
		if (s.fd[i] >= 0)
			close(s.fd[i]);
	for (int i = 0; i < 3; i++)
		if (s.stdio[i] >= 0)
			close(s.stdio[i]);
	for (unsigned i = 0; i < s.ngroups; i++)
		close(s.groups[i]);
	if (rc != NODE_PARKED)
		return rc;
	text_clear(&x->object.refusal);
	object_changed_by(&x->object, CHANGE_REFUSAL);
	x->has_ending = false;
	exec_enter(x, EXEC_STARTING);
	exec_grew(x, 3);
	return rc;
}

/* ---- the others ---- */

static int exec_kill(struct exec *x, struct request *r, const char *argument, struct err *e)
{
	return link_exec_signal(x->machine->link, r, exec_continue, x->object.id, SIGKILL, e);
}

static int exec_signal(struct exec *x, struct request *r, const char *argument, struct err *e)
{
	int signo = signal_number(argument);

	if (signo <= 0)
		return err_set(e, -EINVAL, "ctl: there is no signal \"%.64s\"", argument);
	return link_exec_signal(x->machine->link, r, exec_continue, x->object.id, signo, e);
}

static int exec_eof(struct exec *x, struct request *r, const char *argument, struct err *e)
{
	return link_exec_input(x->machine->link, r, exec_continue, x->object.id, NULL, 0, e);
}

#define IN(phase) (1u << EXEC_##phase)

static const struct exec_verb {
	const char *name;
	unsigned states; /* where it is valid */
	bool argument;
	/* NULL: start */
	int (*run)(struct exec *x, struct request *r, const char *argument, struct err *e);
} verbs[] = {
	{ "start", IN(STOPPED) | IN(FAILED), false, NULL },
	{ "kill", IN(STARTING) | IN(RUNNING), false, exec_kill },
	{ "signal", IN(RUNNING), true, exec_signal },
	{ "eof", IN(RUNNING), false, exec_eof },
};

#define VERB_COUNT (sizeof(verbs) / sizeof(verbs[0]))

void exec_ctl_show(struct object *o, const struct file *f, struct text *out)
{
	for (size_t i = 0; i < VERB_COUNT; i++)
		if (verbs[i].states & 1u << object_exec(o)->phase)
			text_addf(out, "%s\n", verbs[i].name);
}

static const struct exec_verb *verb_find(const char *line)
{
	size_t len = strcspn(line, " ");

	for (size_t i = 0; i < VERB_COUNT; i++)
		if (strlen(verbs[i].name) == len && !memcmp(verbs[i].name, line, len))
			return &verbs[i];
	return NULL;
}

static int verb_run(struct object *o, struct request *r, const char *line, struct err *e)
{
	struct exec *x = object_exec(o);
	const struct exec_verb *v = verb_find(line);
	const char *argument = line + strcspn(line, " ");

	argument += strspn(argument, " ");
	if (!v)
		return err_set(e, -EINVAL, "ctl: \"%.64s\" is not a verb; `cat ctl` lists them",
			       line);
	if (v->argument != (*argument != '\0'))
		return err_set(e, -EINVAL,
			       v->argument ? "ctl: %s: which one?" : "ctl: %s takes no argument",
			       v->name);
	if (!(v->states & 1u << x->phase))
		return err_set(e, v->run ? -EBUSY : -EEXIST, "ctl: %s: the session is %s", v->name,
			       exec_words[x->phase]);
	if (!v->run)
		return exec_start(x, r, e);
	if (!x->machine->link)
		return err_set(e, -ENXIO, "ctl: %s: the monitor is gone", v->name);
	return v->run(x, r, argument, e);
}

static void exec_continue(struct request *r, int rc, const struct err *e)
{
	ctl_lines_go_on(r, rc, e, verb_run);
}

int exec_ctl_write(struct handle *h, struct request *r, const char *data, size_t len, struct err *e)
{
	return ctl_lines_begin(h, r, data, len, verb_run, e);
}

/* ---- stdin ---- */

int exec_stdin_write(struct handle *h, struct request *r, const char *data, size_t len,
		     struct err *e)
{
	struct exec *x = object_exec(h->object);

	if (x->phase != EXEC_RUNNING || !x->machine->link)
		return err_set(e, -EBUSY, "stdin: the session is %s", exec_words[x->phase]);
	if (len > STDIN_MAX)
		r->len = len = STDIN_MAX;
	return link_exec_input(x->machine->link, r, request_finish, x->object.id, data, len, e);
}
