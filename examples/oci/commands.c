/* The commands: see oci.h; the specification's runtime.md, and runc(8) for the command line. */
#include <dirent.h>
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "backends/base/signame.h"
#include "backends/container/capabilities.h"
#include "examples/oci/oci.h"

/* What the commands' options say. */
struct options {
	const char *bundle, *pid_file, *console_socket, *process, *format, *resources, *user, *cwd;
	bool detach, force, all, quiet, tty, keep;
	json_t *env;	/* of exec */
	json_t *limits; /* of update, as config.json has them */
};

enum {
	OPTION_PID_FILE = 256,
	OPTION_CONSOLE,
	OPTION_PRESERVE,
	OPTION_IGNORED,
	OPTION_KEEP,
	OPTION_CWD,
	OPTION_LIMIT, /* the first of limits[] */
};

/* update's options, and where config.json says the same. */
static const struct limit {
	const char *option, *group, *key;
} limits[] = {
	{ "memory", "memory", "limit" },     { "memory-reservation", "memory", "reservation" },
	{ "memory-swap", "memory", "swap" }, { "cpu-share", "cpu", "shares" },
	{ "cpu-shares", "cpu", "shares" },   { "cpu-quota", "cpu", "quota" },
	{ "cpu-period", "cpu", "period" },   { "cpu-burst", "cpu", "burst" },
	{ "cpuset-cpus", "cpu", "cpus" },    { "cpuset-mems", "cpu", "mems" },
	{ "pids-limit", "pids", "limit" },   { "blkio-weight", "blockIO", "weight" },
};
#define LIMITS (sizeof(limits) / sizeof(limits[0]))

/* ---- options ---- */

static int take_limit(struct options *p, const struct limit *l, const char *text, struct err *e)
{
	json_t *group = json_object_get(p->limits, l->group);
	bool list = !strncmp(l->option, "cpuset", 6);
	char *end;
	long long n = strtoll(text, &end, 10);

	if (!list && (!*text || *end))
		return err_set(e, -EINVAL, "--%s: \"%.40s\" is not a number", l->option, text);
	if (!group) {
		group = json_object();
		json_object_set_new(p->limits, l->group, group);
	}
	json_object_set_new(group, l->key, list ? json_string(text) : json_integer(n));
	return 0;
}

static int take_option(struct options *p, int option, const char *arg, struct err *e)
{
	switch (option) {
	case 'b':
		p->bundle = arg;
		return 0;
	case OPTION_PID_FILE:
		p->pid_file = arg;
		return 0;
	case OPTION_CONSOLE:
		p->console_socket = arg;
		return 0;
	case OPTION_PRESERVE:
		return atoi(arg) == 0
			       ? 0
			       : err_set(e, -EINVAL,
					 "--preserve-fds: a container gets no descriptors but "
					 "its standard streams");
	case 'p':
		p->process = arg;
		return 0;
	case 'r':
		p->resources = arg;
		return 0;
	case 'u':
		p->user = arg;
		return 0;
	case OPTION_CWD:
		p->cwd = arg;
		return 0;
	case 'd':
		p->detach = true;
		return 0;
	case 'f': // of delete; of list and ps it is --format
		p->force = true;
		p->format = arg;
		return 0;
	case 'a':
		p->all = true;
		return 0;
	case 'q':
		p->quiet = true;
		return 0;
	case 't':
		p->tty = true;
		return 0;
	case OPTION_KEEP:
		p->keep = true;
		return 0;
	case 'e':
		json_array_append_new(p->env, json_string(arg));
		return 0;
	case OPTION_IGNORED:
		return 0;
	default:
		return option >= OPTION_LIMIT && option < OPTION_LIMIT + (int)LIMITS
			       ? take_limit(p, &limits[option - OPTION_LIMIT], arg, e)
			       : err_set(e, -EINVAL,
					 "an option that is unknown, or lacks its value");
	}
}

#define BUNDLE_OPTIONS                                                         \
	{ "bundle", required_argument, NULL, 'b' },                            \
		{ "pid-file", required_argument, NULL, OPTION_PID_FILE },      \
		{ "console-socket", required_argument, NULL, OPTION_CONSOLE }, \
		{ "preserve-fds", required_argument, NULL, OPTION_PRESERVE },  \
		{ "no-pivot", no_argument, NULL, OPTION_IGNORED },             \
		{ "no-new-keyring", no_argument, NULL, OPTION_IGNORED },       \
	{                                                                      \
		"no-subreaper", no_argument, NULL, OPTION_IGNORED              \
	}

static const struct option create_options[] = { BUNDLE_OPTIONS, { 0 } };
static const struct option run_options[] = { BUNDLE_OPTIONS,
					     { "detach", no_argument, NULL, 'd' },
					     { "keep", no_argument, NULL, OPTION_KEEP },
					     { 0 } };
static const struct option exec_options[] = {
	{ "pid-file", required_argument, NULL, OPTION_PID_FILE },
	{ "console-socket", required_argument, NULL, OPTION_CONSOLE },
	{ "preserve-fds", required_argument, NULL, OPTION_PRESERVE },
	{ "process", required_argument, NULL, 'p' },
	{ "detach", no_argument, NULL, 'd' },
	{ "tty", no_argument, NULL, 't' },
	{ "env", required_argument, NULL, 'e' },
	{ "user", required_argument, NULL, 'u' },
	{ "cwd", required_argument, NULL, OPTION_CWD },
	{ 0 }
};
static const struct option kill_options[] = { { "all", no_argument, NULL, 'a' }, { 0 } };
static const struct option delete_options[] = { { "force", no_argument, NULL, 'f' }, { 0 } };
static const struct option list_options[] = { { "quiet", no_argument, NULL, 'q' },
					      { "format", required_argument, NULL, 'f' },
					      { 0 } };
static const struct option no_options[] = { { 0 } };

/* ---- making one ---- */

static int write_pid(const char *path, pid_t pid, struct err *e)
{
	char temporary[PATH_MAX];
	FILE *f;
	int failed;

	if (!path)
		return 0;
	/* Who waits for the file is to find a number in it. */
	if (snprintf(temporary, sizeof(temporary), "%s.new", path) >= (int)sizeof(temporary))
		return err_set(e, -EINVAL, "--pid-file: %s: too long", path);
	f = fopen(temporary, "we");
	failed = !f || fprintf(f, "%d", (int)pid) < 0;
	if ((f && fclose(f) != 0) || failed || rename(temporary, path) < 0)
		return err_sys(e, errno, "--pid-file: %s", path);
	return 0;
}

static int make_directories(const struct oci *o, const struct container *c, struct err *e)
{
	struct stat st;
	char path[PATH_MAX];

	if (stat(tree_path(path, o->tree, "container"), &st) < 0)
		return err_set(e, -ENXIO, "%s: no machinefs is mounted there; see --tree", o->tree);
	if (mkdir(o->root, 0711) < 0 && errno != EEXIST)
		return err_sys(e, errno, "%s", o->root);
	if (mkdir(c->dir, 0755) < 0)
		return errno == EEXIST ? err_set(e, -EEXIST, "container %s exists already", c->id)
				       : err_sys(e, errno, "%s", c->dir);
	if (mkdir(c->kept, 0711) < 0 && errno != EEXIST) {
		rmdir(c->dir);
		return err_sys(e, errno, "%s", c->kept);
	}
	return 0;
}

/* All settings in one transaction: JSON is YAML, too. */
static int apply(const struct container *c, const struct spec *s, struct err *e)
{
	char *text = json_dumps(s->settings, JSON_COMPACT);
	struct text document = TEXT_INIT;
	int rc;

	text_add(&document, text ? text : "");
	text_add(&document, "\n...\n");
	rc = text && !text_failed(&document)
		     ? tree_write(c->dir, "config.yaml", text_str(&document), e)
		     : err_sys(e, ENOMEM, "settings");
	free(text);
	text_free(&document);
	return rc;
}

/* The tree wants it as a file, when the container starts. */
static int write_profile(const struct container *c, struct spec *s, struct err *e)
{
	char path[PATH_MAX];

	if (!s->seccomp)
		return 0;
	if (json_dump_file(s->seccomp, tree_path(path, c->kept, "seccomp.json"), JSON_COMPACT) < 0)
		return err_sys(e, errno, "%s", path);
	json_object_set_new(s->settings, "seccomp", json_string(path));
	return 0;
}

static void label(struct spec *s, const struct container *c)
{
	json_object_set_new(s->settings, "label",
			    json_pack("{s:s, s:s}", "oci.id", c->id, "oci.bundle", s->bundle));
}

static void name_streams(json_t *settings, const char *const names[3], const struct streams *s)
{
	for (int i = 0; i < 3; i++)
		json_object_set_new(settings, names[i], json_string(s->path[i]));
}

/* The container with its settings, and its streams open. Afterwards it is there, or nothing is. */
static int make(const struct oci *o, const struct options *p, bool detached, const char *id,
		struct container *c, struct keeper *k, struct err *e)
{
	static const char *const names[] = { "init.stdin", "init.stdout", "init.stderr" };
	char *bundle = realpath(p->bundle ? p->bundle : ".", NULL);
	struct spec s;
	int rc;

	if (!bundle)
		return err_sys(e, errno, "--bundle: %s", p->bundle);
	rc = container_name(o, id, c, e);
	if (rc == 0)
		rc = spec_read(&s, bundle, e);
	if (rc < 0) {
		free(bundle);
		return rc;
	}
	rc = spec_join(o, &s, e);
	if (rc == 0)
		rc = make_directories(o, c, e);
	if (rc == 0) {
		struct streams_wanted w = { c->kept, s.terminal, detached,   p->console_socket,
					    s.rows,  s.columns,	 s.host_uid, s.host_gid };

		k->oci = o;
		k->session = false;
		strcpy(k->dir, c->dir);
		label(&s, c);
		rc = streams_open(&k->streams, &w, e);
		if (rc == 0) {
			name_streams(s.settings, names, &k->streams);
			rc = write_profile(c, &s, e);
			if (rc == 0)
				rc = apply(c, &s, e);
			if (rc < 0)
				streams_close(&k->streams);
		}
		if (rc < 0) {
			rmdir(c->dir);
			container_unkeep(c);
		}
	}
	spec_free(&s);
	free(bundle);
	return rc;
}

static int keep(const struct container *c, struct keeper *k, pid_t *ret_pid, struct err *e)
{
	char mark[64];
	int rc = keeper_start(k, ret_pid, e);

	if (rc < 0)
		return rc;
	if (process_mark(*ret_pid, mark, sizeof(mark)) < 0)
		rc = err_set(e, -EIO, "the keeper has died");
	if (rc == 0)
		rc = tree_writef(c->dir, "label", e, "oci.keeper %s", mark);
	if (rc < 0)
		kill(*ret_pid, SIGKILL);
	return rc;
}

/* Those of which there is not even the configuration any more are none. */
static void run_late(const struct oci *o, const struct hooks *h, int found, struct err *e)
{
	if (found == 0)
		hooks_run(o, h, e);
	else if (found != -ENOENT)
		tell(o, "warning", e->text);
}

/* With its last hooks, which are told of it as it was. */
static int destroy(const struct oci *o, const struct container *c, bool force, struct err *e)
{
	struct err of_hooks = { 0 };
	struct hooks h;
	int found = hooks_find(&h, c, "poststop", &of_hooks), rc = container_remove(o, c, force, e);

	if (rc == 0)
		run_late(o, &h, found, &of_hooks);
	hooks_free(&h);
	return rc;
}

/*
 * All of it but its program, and the hooks on the way: what is made is outside its root as long as
 * a hook of these has business there.
 */
static int prepare(const struct oci *o, const struct container *c, struct err *e)
{
	static const char *const hooks[] = { "prestart", "createRuntime", "createContainer" };
	bool any = false;
	json_t *config;
	pid_t init = 0;
	int rc = container_config(c, &config, e);

	if (rc < 0)
		return rc;
	for (size_t i = 0; i < sizeof(hooks) / sizeof(hooks[0]); i++)
		any = any || hooks_wanted(config, hooks[i]);
	json_decref(config);
	if (any)
		rc = tree_write(c->dir, "ctl", "prepare outside\n", e);
	if (any)
		init = container_init(c);
	for (size_t i = 0; rc == 0 && any && i < sizeof(hooks) / sizeof(hooks[0]); i++)
		rc = hooks_now(o, c, hooks[i], e);
	if (rc == 0)
		rc = tree_write(c->dir, "ctl", "prepare\n", e);
	/* One that has ended meanwhile was made anew, without its hooks. */
	if (rc == 0 && any && container_init(c) != init)
		rc = err_set(e, -EIO, "the container has ended while its hooks ran");
	return rc;
}

static int create(const struct oci *o, const struct options *p, const char *id, struct container *c,
		  struct err *e)
{
	struct keeper k;
	pid_t pid;
	int rc = make(o, p, true, id, c, &k, e);

	if (rc < 0)
		return rc;
	rc = keep(c, &k, &pid, e);
	if (rc == 0)
		rc = prepare(o, c, e);
	if (rc == 0)
		rc = write_pid(p->pid_file, pid, e);
	if (rc < 0)
		destroy(o, c, true, NULL);
	return rc;
}

static int run_create(const struct oci *o, const struct options *p, int argc, char **argv,
		      struct err *e)
{
	struct container c;

	return create(o, p, argv[0], &c, e);
}

/* One that cannot be started ends. */
static int start(const struct oci *o, const struct container *c, struct err *e)
{
	struct err why = { 0 };
	struct hooks after;
	int rc = hooks_now(o, c, "startContainer", e);
	int found = hooks_find(&after, c, "poststart", &why); // its process may be gone then

	if (rc == 0)
		rc = tree_write(c->dir, "ctl", "resume\n", e);
	if (rc == 0) {
		run_late(o, &after, found, &why);
	} else {
		tree_write(c->dir, "ctl", "kill\n", NULL);
		tree_write(c->dir, "wait", "stopped 10\n", NULL);
	}
	hooks_free(&after);
	return rc;
}

static int run_start(const struct oci *o, const struct options *p, int argc, char **argv,
		     struct err *e)
{
	struct container c;
	enum status status;
	int rc = container_find(o, argv[0], &c, e);

	if (rc == 0)
		rc = container_status(&c, &status, e);
	if (rc < 0)
		return rc;
	if (status != STATUS_CREATED)
		return err_set(e, -EBUSY, "container %s is %s", c.id, status_words[status]);
	return start(o, &c, e);
}

static int exit_code(int status)
{
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

static int run_run(const struct oci *o, const struct options *p, int argc, char **argv,
		   struct err *e)
{
	struct container c;
	struct keeper k;
	int status = 0, rc;

	if (p->detach) {
		rc = create(o, p, argv[0], &c, e);
		if (rc == 0) {
			rc = start(o, &c, e);
			if (rc < 0)
				destroy(o, &c, true, NULL);
		}
		return rc;
	}
	rc = make(o, p, false, argv[0], &c, &k, e);
	if (rc < 0)
		return rc;
	rc = prepare(o, &c, e);
	if (rc == 0)
		rc = write_pid(p->pid_file, getpid(), e);
	if (rc == 0)
		rc = start(o, &c, e);
	if (rc == 0)
		rc = keeper_run(&k, &status, e);
	else
		streams_close(&k.streams);
	if (rc < 0 || !p->keep)
		destroy(o, &c, true, NULL);
	return rc < 0 ? rc : exit_code(status);
}

/* ---- what can be done with one ---- */

static int run_state(const struct oci *o, const struct options *p, int argc, char **argv,
		     struct err *e)
{
	struct container c;
	json_t *state = NULL;
	int rc = container_find(o, argv[0], &c, e);

	if (rc == 0)
		rc = container_state(&c, &state, e);
	if (rc == 0 && (json_dumpf(state, stdout, JSON_INDENT(2)) < 0 || puts("") < 0))
		rc = err_sys(e, errno, "stdout");
	json_decref(state);
	return rc;
}

static int kill_all(const struct container *c, int signo, struct err *e)
{
	struct text pids = TEXT_INIT;
	int rc = tree_read(c->dir, "cgroup.procs", &pids, e);

	for (const char *at = text_str(&pids); rc == 0 && *at;
	     at += strcspn(at, "\n"), at += *at == '\n')
		if (kill((pid_t)atoi(at), signo) < 0 && errno != ESRCH)
			rc = err_sys(e, errno, "process %d", atoi(at));
	text_free(&pids);
	return rc;
}

static int run_kill(const struct oci *o, const struct options *p, int argc, char **argv,
		    struct err *e)
{
	const char *name = argc > 1 ? argv[1] : "TERM";
	int signo = signal_number(name), rc;
	struct container c;
	enum status status;

	if (signo <= 0)
		return err_set(e, -EINVAL, "there is no signal \"%.40s\"", name);
	rc = container_find(o, argv[0], &c, e);
	if (rc == 0)
		rc = container_status(&c, &status, e);
	if (rc < 0)
		return rc;
	switch (status) {
	case STATUS_STOPPED:
		return p->all ? 0 : err_set(e, -EBUSY, "container not running");
	case STATUS_CREATING:
	case STATUS_CREATED:
		/* There is no program yet: its keeper ends it, and by that signal. */
		if (signo != SIGKILL)
			return kill(container_keeper(&c), signo) < 0
				       ? err_sys(e, errno, "its keeper")
				       : 0;
		return tree_write(c.dir, "ctl", "kill\n", e);
	default:
		if (signo == SIGKILL)
			return tree_write(c.dir, "ctl", "kill\n", e);
		return p->all ? kill_all(&c, signo, e)
			      : tree_writef(c.dir, "ctl", e, "signal %d", signo);
	}
}

static int run_delete(const struct oci *o, const struct options *p, int argc, char **argv,
		      struct err *e)
{
	struct container c;
	int rc = container_find(o, argv[0], &c, e);

	if (rc == -ENOENT && p->force)
		return 0;
	return rc < 0 ? rc : destroy(o, &c, p->force, e);
}

static int run_pause(const struct oci *o, const struct options *p, int argc, char **argv,
		     struct err *e)
{
	struct container c;
	int rc = container_find(o, argv[0], &c, e);

	return rc < 0 ? rc : tree_write(c.dir, "ctl", "pause\n", e);
}

static int run_resume(const struct oci *o, const struct options *p, int argc, char **argv,
		      struct err *e)
{
	struct container c;
	int rc = container_find(o, argv[0], &c, e);

	return rc < 0 ? rc : tree_write(c.dir, "ctl", "resume\n", e);
}

/* Nothing that would be another line, and so another setting. */
static int add_value(struct text *out, const char *name, const json_t *value, struct err *e)
{
	const char *s = json_string_value(value);

	if (!s || !text_line_valid(s))
		return err_set(e, -EINVAL, "%s: not one line of text", name);
	text_addf(out, "%s\n", s);
	return 0;
}

/* Settings one by one, each while it runs. A map is lines. */
static int write_setting(const char *dir, const char *name, const json_t *value, char separator,
			 struct err *e)
{
	struct text text = TEXT_INIT;
	const char *key;
	json_t *entry;
	int rc = json_is_object(value) ? 0 : add_value(&text, name, value, e);

	json_object_foreach((json_t *)value, key, entry)
	{
		text_addf(&text, "%s%c", key, separator);
		rc = rc < 0 ? rc : add_value(&text, name, entry, e);
	}
	if (rc == 0 && text.len)
		rc = tree_write(dir, name, text_str(&text), e);
	text_free(&text);
	return rc;
}

static int run_update(const struct oci *o, const struct options *p, int argc, char **argv,
		      struct err *e)
{
	json_t *settings = json_object(), *file = NULL, *value;
	struct container c;
	const char *name;
	int rc = container_find(o, argv[0], &c, e);

	if (rc == 0 && p->resources)
		rc = json_file(p->resources, &file, e);
	if (rc == 0 && json_array_size(json_object_get(file, "devices")))
		rc = err_set(e, -EINVAL, "resources: devices: write to device/NAME in the tree");
	if (rc == 0 && file)
		rc = spec_resources(settings, "resources", file, e);
	if (rc == 0)
		rc = spec_resources(settings, "resources", p->limits, e);
	if (rc == 0 && !json_object_size(settings))
		rc = err_set(e, -EINVAL, "update: nothing to change is named");
	json_object_foreach(settings, name, value)
	{
		if (rc == 0)
			rc = write_setting(c.dir, name, value, ' ', e);
	}
	json_decref(settings);
	json_decref(file);
	return rc;
}

static int run_ps(const struct oci *o, const struct options *p, int argc, char **argv,
		  struct err *e)
{
	struct text pids = TEXT_INIT, list = TEXT_INIT;
	bool json = p->format && !strcmp(p->format, "json");
	struct container c;
	int rc = container_find(o, argv[0], &c, e);

	if (rc == 0)
		rc = tree_read(c.dir, "cgroup.procs", &pids, e);
	for (const char *at = text_str(&pids); rc == 0 && *at;
	     at += strcspn(at, "\n"), at += *at == '\n')
		text_addf(&list, "%s%d", list.len ? "," : "", atoi(at));
	if (rc == 0 && (json || !list.len)) {
		printf(json ? "[%s]\n" : "PID\n", text_str(&list));
	} else if (rc == 0) {
		execlp("ps", "ps", "-o", "uid,pid,ppid,c,stime,tname,time,cmd", "-p",
		       text_str(&list), NULL);
		rc = err_sys(e, errno, "ps");
	}
	text_free(&pids);
	text_free(&list);
	return rc;
}

static int run_list(const struct oci *o, const struct options *p, int argc, char **argv,
		    struct err *e)
{
	bool json = p->format && !strcmp(p->format, "json");
	json_t *all = json_array(), *state;
	char path[PATH_MAX];
	DIR *dir = opendir(tree_path(path, o->tree, "container"));
	struct dirent *d;

	if (!dir) {
		json_decref(all);
		return err_sys(e, errno, "%s", path);
	}
	while ((d = readdir(dir))) {
		struct text id = TEXT_INIT;
		struct container c;

		if (d->d_name[0] != '.' && container_name(o, d->d_name, &c, NULL) == 0 &&
		    container_label(&c, "oci.id", &id, NULL) == 0) {
			snprintf(c.id, sizeof(c.id), "%s", text_str(&id));
			if (container_state(&c, &state, NULL) == 0)
				json_array_append_new(all, state);
		}
		text_free(&id);
	}
	closedir(dir);
	if (json)
		json_dumpf(all, stdout, JSON_INDENT(2));
	else if (!p->quiet)
		printf("%-20s %-8s %-8s %s\n", "ID", "PID", "STATUS", "BUNDLE");
	for (size_t i = 0; !json && i < json_array_size(all); i++) {
		state = json_array_get(all, i);
		if (p->quiet)
			printf("%s\n", json_text(state, "id"));
		else
			printf("%-20s %-8d %-8s %s\n", json_text(state, "id"),
			       (int)json_integer_value(json_object_get(state, "pid")),
			       json_text(state, "status"), json_text(state, "bundle"));
	}
	json_decref(all);
	return 0;
}

/* ---- exec ---- */

/* config.json's process with what the command line says. */
static int exec_process(const struct options *p, int argc, char **argv, json_t *process,
			struct err *e)
{
	json_t *args = json_array(), *env = json_object_get(process, "env");
	json_t *user = json_object();
	unsigned uid, gid;

	for (int i = 0; i < argc; i++)
		json_array_append_new(args, json_string(argv[i]));
	json_object_set_new(process, "args", args);
	json_object_set_new(process, "terminal", json_boolean(p->tty));
	if (p->cwd)
		json_object_set_new(process, "cwd", json_string(p->cwd));
	if (env)
		json_array_extend(env, p->env);
	else
		json_object_set(process, "env", p->env);
	if (!p->user) {
		json_decref(user);
		return 0;
	}
	if (sscanf(p->user, "%u:%u", &uid, &gid) < 2)
		gid = uid = (unsigned)atoi(p->user);
	json_object_set_new(user, "uid", json_integer(uid));
	json_object_set_new(user, "gid", json_integer(gid));
	json_object_set_new(process, "user", user);
	return argc ? 0 : err_set(e, -EINVAL, "exec: which program?");
}

static int exec_spec(const struct options *p, const struct container *c, int argc, char **argv,
		     struct spec *s, struct text *bundle, struct err *e)
{
	json_t *process = NULL;
	int rc = container_label(c, "oci.bundle", bundle, e);

	if (rc == 0)
		rc = spec_read(s, text_str(bundle), e);
	if (rc < 0)
		return rc;
	if (p->process) {
		rc = json_file(p->process, &process, e);
	} else {
		process = json_deep_copy(json_object_get(s->config, "process"));
		rc = exec_process(p, argc, argv, process, e);
	}
	if (rc == 0)
		rc = spec_exec_process(s, process, e);
	json_decref(process);
	if (rc < 0)
		spec_free(s);
	return rc;
}

int session_start(const struct spec *s, const char *dir, struct err *e)
{
	const char *name;
	json_t *value;
	int rc;

	json_object_foreach(s->session, name, value)
	{
		rc = write_setting(dir, name, value, '=', e);
		if (rc < 0)
			return rc;
	}
	return tree_write(dir, "ctl", "start\n", e);
}

/* A directory in the tree for the session, and its streams. */
static int exec_prepare(const struct oci *o, const struct options *p, const struct container *c,
			struct spec *s, struct keeper *k, struct err *e)
{
	static const char *const names[] = { "stdin.path", "stdout.path", "stderr.path" };
	struct streams_wanted w = { k->kept, s->terminal, p->detach,   p->console_socket,
				    s->rows, s->columns,  s->host_uid, s->host_gid };
	struct timespec now;
	char name[64];
	int rc;

	clock_gettime(CLOCK_MONOTONIC, &now);
	snprintf(name, sizeof(name), "exec/oci-%d-%lld%09ld", (int)getpid(), (long long)now.tv_sec,
		 now.tv_nsec);
	k->oci = o;
	k->session = true;
	tree_path(k->dir, c->dir, name);
	tree_path(k->kept, c->kept, name + strlen("exec/"));
	if (mkdir(k->dir, 0755) < 0)
		return err_sys(e, errno, "%s", k->dir);
	rc = mkdir(k->kept, 0711) < 0 ? err_sys(e, errno, "%s", k->kept)
				      : streams_open(&k->streams, &w, e);
	if (rc == 0) {
		name_streams(s->session, names, &k->streams);
		return 0;
	}
	rmdir(k->kept);
	rmdir(k->dir);
	return rc;
}

static int exec_detached(struct keeper *k, const struct spec *s, const char *pid_file,
			 struct err *e)
{
	pid_t pid = 0;
	int rc = keeper_start(k, &pid, e);

	if (rc == 0)
		rc = session_start(s, k->dir, e);
	if (rc == 0)
		rc = write_pid(pid_file, pid, e);
	if (rc < 0 && pid > 0)
		kill(pid, SIGTERM);
	return rc;
}

static int run_exec(const struct oci *o, const struct options *p, int argc, char **argv,
		    struct err *e)
{
	struct text bundle = TEXT_INIT;
	struct container c;
	struct keeper k;
	struct spec s;
	int rc = container_find(o, argv[0], &c, e), status = 0;

	if (rc == 0)
		rc = exec_spec(p, &c, argc - 1, argv + 1, &s, &bundle, e);
	if (rc == 0) {
		rc = exec_prepare(o, p, &c, &s, &k, e);
		if (rc == 0 && p->detach) {
			rc = exec_detached(&k, &s, p->pid_file, e);
		} else if (rc == 0) {
			rc = write_pid(p->pid_file, getpid(), e);
			if (rc == 0)
				rc = session_start(&s, k.dir, e);
			if (rc == 0)
				rc = keeper_run(&k, &status, e);
			else
				streams_close(&k.streams);
			keeper_forget(&k);
		}
		spec_free(&s);
	}
	text_free(&bundle);
	return rc < 0 ? rc : exit_code(status);
}

/* ---- features ---- */

static json_t *words(const char *list)
{
	json_t *ret = json_array();

	for (size_t n; *list; list += n + (list[n] == ' ')) {
		n = strcspn(list, " ");
		json_array_append_new(ret, json_stringn(list, n));
	}
	return ret;
}

static int run_features(const struct oci *o, const struct options *p, int argc, char **argv,
			struct err *e)
{
	json_t *capabilities = json_array(), *f, *l;
	int rc = 0;

	for (int n = 0; capability_name(n); n++) {
		char name[64];

		snprintf(name, sizeof(name), "CAP_%s", capability_name(n));
		for (char *at = name; *at; at++)
			if (*at >= 'a' && *at <= 'z')
				*at = (char)(*at - 'a' + 'A');
		json_array_append_new(capabilities, json_string(name));
	}
	l = json_object();
	json_object_set_new(l, "namespaces", words("cgroup ipc mount network pid time user uts"));
	json_object_set_new(l, "capabilities", capabilities);
	json_object_set_new(l, "cgroup",
			    json_pack("{s:b,s:b,s:b,s:b,s:b}", "v1", 1, "v2", 1, "systemd", 0,
				      "systemdUser", 0, "rdma", 0));
	json_object_set_new(l, "seccomp", json_pack("{s:b}", "enabled", 1));
	json_object_set_new(l, "apparmor", json_pack("{s:b}", "enabled", 1));
	json_object_set_new(l, "selinux", json_pack("{s:b}", "enabled", 1));
	json_object_set_new(l, "intelRdt", json_pack("{s:b}", "enabled", 0));
	f = json_object();
	json_object_set_new(f, "ociVersionMin", json_string("1.0.0"));
	json_object_set_new(f, "ociVersionMax", json_string(OCI_VERSION));
	json_object_set_new(f, "hooks",
			    words("prestart createRuntime createContainer "
				  "startContainer poststart poststop"));
	json_object_set_new(
		f, "mountOptions",
		words("bind rbind ro rw nosuid suid nodev dev noexec exec noatime "
		      "nodiratime nosymfollow private rprivate size nr_inodes mode uid gid"));
	json_object_set_new(f, "linux", l);
	if (json_dumpf(f, stdout, JSON_INDENT(2)) < 0 || puts("") < 0)
		rc = err_sys(e, errno, "stdout");
	json_decref(f);
	return rc;
}

/* ---- all of them ---- */

static const struct command {
	const char *name, *letters;
	const struct option *options; /* NULL: update's */
	int least, most;	      /* words behind the options; most -1: any number */
	int (*run)(const struct oci *o, const struct options *p, int argc, char **argv,
		   struct err *e);
} commands[] = {
	{ "create", "+b:", create_options, 1, 1, run_create },
	{ "start", "+", no_options, 1, 1, run_start },
	{ "run", "+b:d", run_options, 1, 1, run_run },
	{ "state", "+", no_options, 1, 1, run_state },
	{ "kill", "+a", kill_options, 1, 2, run_kill },
	{ "delete", "+f", delete_options, 1, 1, run_delete },
	{ "exec", "+p:dte:u:", exec_options, 1, -1, run_exec },
	{ "pause", "+", no_options, 1, 1, run_pause },
	{ "resume", "+", no_options, 1, 1, run_resume },
	{ "update", "+r:", NULL, 1, 1, run_update },
	{ "ps", "+f:", list_options, 1, 1, run_ps },
	{ "list", "+qf:", list_options, 0, 0, run_list },
	{ "features", "+", no_options, 0, 0, run_features },
};

static void update_options(struct option out[LIMITS + 2])
{
	for (size_t i = 0; i < LIMITS; i++)
		out[i] = (struct option){ limits[i].option, required_argument, NULL,
					  OPTION_LIMIT + (int)i };
	out[LIMITS] = (struct option){ "resources", required_argument, NULL, 'r' };
	out[LIMITS + 1] = (struct option){ 0 };
}

static int run_command(const struct oci *o, const struct command *c, int argc, char **argv,
		       struct err *e)
{
	struct options p = { .env = json_array(), .limits = json_object() };
	struct option of_update[LIMITS + 2];
	int option, rc = 0;

	update_options(of_update);
	optind = 0; // getopt_long() begins anew
	opterr = 0;
	while (rc == 0 && (option = getopt_long(argc, argv, c->letters,
						c->options ? c->options : of_update, NULL)) != -1)
		rc = take_option(&p, option, optarg, e);
	if (rc < 0)
		err_prefix(e, "%s: %s: ", c->name, argv[optind - 1]);
	else if (argc - optind < c->least || (c->most >= 0 && argc - optind > c->most))
		rc = err_set(e, -EINVAL, "%s: %s", c->name,
			     argc - optind < c->least ? "of which container?" : "too many words");
	if (rc == 0)
		rc = c->run(o, &p, argc - optind, argv + optind, e);
	json_decref(p.env);
	json_decref(p.limits);
	return rc;
}

int command_run(const struct oci *o, int argc, char **argv, struct err *e)
{
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		if (!strcmp(commands[i].name, argv[0]))
			return run_command(o, &commands[i], argc, argv, e);
	return err_set(e, -EINVAL, "\"%.40s\" is not a command; see --help", argv[0]);
}
