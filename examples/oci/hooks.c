/*
 * Hooks of config.json, and when and where each is run: see oci.h.
 *
 * The container is held while they run: `preparing` its mounts are made and the host's files are
 * there still, which is what the specification means by "before pivot_root"; `prepared` it is all
 * there but its program.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "examples/oci/oci.h"

#define HOOK_SAID 1024 /* bytes of what it prints, for the refusal */

enum place { PLACE_HOST, PLACE_NAMESPACES, PLACE_INSIDE };

static const struct moment {
	const char *name, *status; /* which the state is to tell */
	enum place place;
	bool late; /* its failure changes nothing any more */
} moments[] = {
	{ "prestart", "creating", PLACE_HOST, false },
	{ "createRuntime", "creating", PLACE_HOST, false },
	{ "createContainer", "creating", PLACE_NAMESPACES, false },
	{ "startContainer", "created", PLACE_INSIDE, false },
	{ "poststart", "running", PLACE_HOST, true },
	{ "poststop", "stopped", PLACE_HOST, true },
};
#define MOMENTS (sizeof(moments) / sizeof(moments[0]))

/* ---- what config.json says ---- */

static int check_hook(const char *path, const json_t *hook, struct err *e)
{
	const json_t *timeout = json_object_get(hook, "timeout");

	if (json_text(hook, "path")[0] != '/')
		return refuse(path, "path: not an absolute one", e);
	if (timeout && (!json_is_integer(timeout) || json_integer_value(timeout) <= 0 ||
			json_integer_value(timeout) > 86400))
		return refuse(path, "timeout: not 1 to 86400 seconds", e);
	return 0;
}

static int check_list(void *arg, const char *path, const json_t *v, struct err *e)
{
	int rc = json_is_array(v) ? 0 : refuse(path, "not an array", e);

	for (size_t i = 0; rc == 0 && i < json_array_size(v); i++) {
		char which[160];

		snprintf(which, sizeof(which), "%s[%zu]", path, i);
		rc = check_hook(which, json_array_get(v, i), e);
	}
	return rc;
}

int spec_hooks(void *arg, const char *path, const json_t *v, struct err *e)
{
	struct key keys[MOMENTS];

	for (size_t i = 0; i < MOMENTS; i++)
		keys[i] = (struct key){ moments[i].name, check_list };
	return KEYS_TAKE(keys, arg, path, v, e);
}

bool hooks_wanted(const json_t *config, const char *name)
{
	return json_array_size(json_object_get(json_object_get(config, "hooks"), name)) > 0;
}

/* ---- one as a process ---- */

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

/* What is to be entered: those of its namespaces that are not ours. */
static int other_namespaces(pid_t pid)
{
	static const struct {
		const char *name;
		int flag;
	} kinds[] = { { "user", CLONE_NEWUSER },     { "mnt", CLONE_NEWNS },
		      { "net", CLONE_NEWNET },	     { "ipc", CLONE_NEWIPC },
		      { "uts", CLONE_NEWUTS },	     { "pid", CLONE_NEWPID },
		      { "cgroup", CLONE_NEWCGROUP }, { "time", CLONE_NEWTIME } };
	int flags = 0;

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		struct stat ours, its;
		char path[64];

		snprintf(path, sizeof(path), "/proc/self/ns/%s", kinds[i].name);
		if (stat(path, &ours) < 0)
			continue;
		snprintf(path, sizeof(path), "/proc/%d/ns/%s", (int)pid, kinds[i].name);
		if (stat(path, &its) == 0 && its.st_ino != ours.st_ino)
			flags |= kinds[i].flag;
	}
	return flags;
}

static _Noreturn void hook_fail(const char *what)
{
	dprintf(2, "%s: %s", what, strerror(errno));
	_exit(127);
}

/* Goes on as a process of these namespaces, which the parent waits for and ends as. */
static void enter(pid_t pid)
{
	int flags = other_namespaces(pid), pidfd = (int)syscall(SYS_pidfd_open, pid, 0), status;
	pid_t child;

	if (pidfd < 0 || (flags && setns(pidfd, flags) < 0))
		hook_fail("entering the container");
	if (flags & CLONE_NEWUSER &&
	    (syscall(SYS_setresgid, 0, 0, 0) < 0 || syscall(SYS_setresuid, 0, 0, 0) < 0))
		hook_fail("becoming the container's root");
	child = fork(); // who enters a pid namespace has only his children there
	if (child < 0)
		hook_fail("entering the container");
	if (child == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
		return;
	}
	while (waitpid(child, &status, 0) < 0 && errno == EINTR)
		;
	if (WIFSIGNALED(status))
		dprintf(2, "killed by signal %d", WTERMSIG(status));
	_exit(WIFEXITED(status) ? WEXITSTATUS(status) : 126);
}

struct running {
	pid_t pid;
	int pidfd, input, output;
	const char *state; /* what it has not been given yet */
	char said[HOOK_SAID];
	size_t len;
};

static _Noreturn void hook_child(const char *path, char **argv, char **env, const int *fds,
				 const struct hooks *h)
{
	dup2(fds[0], 0);
	dup2(fds[3], 1);
	dup2(fds[3], 2);
	syscall(SYS_close_range, 3, ~0u, 0);
	signal(SIGPIPE, SIG_DFL);
	if (moments[h->moment].place == PLACE_NAMESPACES)
		enter(h->init);
	if (chdir(text_str(&h->bundle)) < 0)
		hook_fail(text_str(&h->bundle));
	execve(path, argv, env);
	hook_fail("it cannot be executed");
}

/* fds: what it reads, our end of that, our end of what it prints, that */
static int hook_begin(struct running *r, const json_t *hook, const struct hooks *h, struct err *e)
{
	const char *path = json_text(hook, "path");
	char **argv = strings(json_object_get(hook, "args"), path);
	char **env = strings(json_object_get(hook, "env"), NULL);
	int fds[4] = { -1, -1, -1, -1 }, out[2], rc = 0;

	r->pid = -1;
	r->pidfd = r->input = r->output = -1;
	if (!argv || !env || pipe2(fds, O_CLOEXEC) < 0 || pipe2(out, O_CLOEXEC) < 0) {
		rc = err_sys(e, errno, "a process for it");
	} else {
		fds[2] = out[0];
		fds[3] = out[1];
		r->pid = fork();
		if (r->pid == 0)
			hook_child(path, argv, env, fds, h);
		if (r->pid < 0 || (r->pidfd = (int)syscall(SYS_pidfd_open, r->pid, 0)) < 0)
			rc = err_sys(e, errno, "a process for it");
		fcntl(fds[1], F_SETFL, O_NONBLOCK);
		fcntl(fds[2], F_SETFL, O_NONBLOCK);
		r->input = fds[1];
		r->output = fds[2];
		fds[1] = fds[2] = -1;
	}
	for (int i = 0; i < 4; i++)
		if (fds[i] >= 0)
			close(fds[i]);
	free(argv);
	free(env);
	return rc;
}

static void hook_feed(struct running *r)
{
	ssize_t n = write(r->input, r->state, strlen(r->state));

	if (n > 0)
		r->state += n;
	if ((n < 0 && errno != EAGAIN) || !*r->state) { // also when it reads nothing
		close(r->input);
		r->input = -1;
	}
}

static void hook_hear(struct running *r)
{
	char more[512];
	ssize_t n = read(r->output, more, sizeof(more));

	for (ssize_t i = 0; i < n && r->len < sizeof(r->said) - 1; i++)
		r->said[r->len++] = more[i];
	if (n == 0 || (n < 0 && errno != EAGAIN)) {
		close(r->output);
		r->output = -1;
	}
}

static long long now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

/* True when it has ended; false when the time is over, and it is killed. */
static bool hook_follow(struct running *r, long long until)
{
	for (;;) {
		struct pollfd fds[] = { { .fd = r->pidfd, .events = POLLIN },
					{ .fd = r->input, .events = POLLOUT },
					{ .fd = r->output, .events = POLLIN } };
		long long left = until ? until - now_ms() : -1;

		if (until && left <= 0)
			return false;
		if (poll(fds, 3, (int)left) < 0 && errno != EINTR)
			return false;
		if (fds[1].revents)
			hook_feed(r);
		if (fds[2].revents)
			hook_hear(r);
		if (fds[0].revents)
			break;
	}
	/* What is there; another process of its may have it open still. */
	while (r->output >= 0 && r->len < sizeof(r->said) - 1) {
		size_t before = r->len;

		hook_hear(r);
		if (r->len == before)
			break;
	}
	return true;
}

/* On one line, without the last newline. */
static void flatten(char *text)
{
	for (size_t n = strlen(text); n && text[n - 1] == '\n'; n--)
		text[n - 1] = '\0';
	for (; *text; text++)
		if ((unsigned char)*text < ' ')
			*text = ' ';
}

static int hook_process(const struct hooks *h, const json_t *hook, struct err *e)
{
	json_int_t timeout = json_integer_value(json_object_get(hook, "timeout"));
	struct running r = { .state = h->state };
	int rc = hook_begin(&r, hook, h, e), status = 0;
	bool ended = true;

	if (rc == 0)
		ended = hook_follow(&r, timeout ? now_ms() + timeout * 1000 : 0);
	if (r.pid > 0) {
		if (rc < 0 || !ended)
			kill(r.pid, SIGKILL);
		while (waitpid(r.pid, &status, 0) < 0 && errno == EINTR)
			;
	}
	for (int i = 0; i < 3; i++) {
		int fd = i == 0 ? r.pidfd : i == 1 ? r.input : r.output;

		if (fd >= 0)
			close(fd);
	}
	flatten(r.said);
	if (rc < 0)
		return rc;
	if (!ended)
		return err_set(e, -EIO, "it took longer than %lld s", (long long)timeout);
	if (WIFSIGNALED(status))
		return err_set(e, -EIO, "killed by signal %d", WTERMSIG(status));
	if (WEXITSTATUS(status))
		return err_set(e, -EIO, "exited with status %d%s%s", WEXITSTATUS(status),
			       r.len ? ": " : "", r.said);
	return 0;
}

/* ---- all of a name ---- */

/* As the container itself knows it. */
static pid_t pid_inside(pid_t pid)
{
	char path[64];
	struct text status = TEXT_INIT;
	const char *line, *last = NULL;
	pid_t ret = pid;

	snprintf(path, sizeof(path), "/proc/%d", (int)pid);
	if (tree_read(path, "status", &status, NULL) == 0 &&
	    (line = strstr(text_str(&status), "\nNSpid:"))) {
		line++;
		for (const char *at = line; *at && *at != '\n'; at++)
			if (*at == '\t')
				last = at + 1;
		if (last)
			ret = atoi(last);
	}
	text_free(&status);
	return ret;
}

int hooks_find(struct hooks *h, const struct container *c, const char *name, struct err *e)
{
	json_t *state = NULL;
	int rc;

	*h = (struct hooks){ .c = c, .bundle = TEXT_INIT };
	while (strcmp(moments[h->moment].name, name))
		h->moment++;
	rc = container_config(c, &h->config, e);
	if (rc < 0)
		return rc;
	h->list = json_object_get(json_object_get(h->config, "hooks"), name);
	if (!json_array_size(h->list))
		return 0;
	rc = container_label(c, "oci.bundle", &h->bundle, e);
	if (rc == 0)
		rc = container_state(c, &state, e);
	if (rc < 0)
		return rc;
	h->init = (pid_t)json_integer_value(json_object_get(state, "pid"));
	json_object_set_new(state, "status", json_string(moments[h->moment].status));
	if (!strcmp(name, "poststop"))
		json_object_set_new(state, "pid", json_integer(0));
	else if (moments[h->moment].place != PLACE_HOST)
		json_object_set_new(state, "pid", json_integer(pid_inside(h->init)));
	h->state = json_dumps(state, JSON_COMPACT);
	json_decref(state);
	return h->state ? 0 : err_sys(e, ENOMEM, "hooks");
}

int hooks_run(const struct oci *o, const struct hooks *h, struct err *e)
{
	const struct moment *m = &moments[h->moment];

	signal(SIGPIPE, SIG_IGN);
	for (size_t i = 0; i < json_array_size(h->list); i++) {
		const json_t *hook = json_array_get(h->list, i);
		int rc = m->place == PLACE_INSIDE ? hook_session(h->c, hook, h->state, e)
						  : hook_process(h, hook, e);

		if (rc == 0)
			continue;
		err_prefix(e, "hooks.%s[%zu]: %s: ", m->name, i, json_text(hook, "path"));
		if (!m->late)
			return rc;
		tell(o, "warning", e->text);
	}
	return 0;
}

void hooks_free(struct hooks *h)
{
	free(h->state);
	text_free(&h->bundle);
	json_decref(h->config);
	*h = (struct hooks){ 0 };
}

int hooks_now(const struct oci *o, const struct container *c, const char *name, struct err *e)
{
	struct hooks h;
	int rc = hooks_find(&h, c, name, e);

	if (rc == 0)
		rc = hooks_run(o, &h, e);
	hooks_free(&h);
	return rc;
}
