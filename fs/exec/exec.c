/* struct exec: sessions of a container, as objects of the tree and on disk. See exec.h. */
#include "fs/exec/exec.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backends/base/rmtree.h"
#include "backends/monitor/wire.h"
#include "fs/daemon.h"
#include "fs/log.h"
#include "fs/machine/waiter.h"
#include "fs/store/store.h"

const char *const exec_words[EXEC_PHASES] = {
	[EXEC_STOPPED] = "stopped",
	[EXEC_STARTING] = "starting",
	[EXEC_RUNNING] = "running",
	[EXEC_FAILED] = "failed",
};

/* The directory exec/. */
struct execs {
	struct object object;  /* first */
	struct owner followed; /* the container's owner, as far as this has followed him */
};

static struct object *execs_of(const struct machine *m)
{
	return object_child(&m->object, "exec");
}

struct exec *exec_find(const struct machine *m, uint64_t id)
{
	struct object *o = object_find(m->object.daemon, id);

	return o && o->parent && o->parent == execs_of(m) ? object_exec(o) : NULL;
}

/* ---- on disk ---- */

int exec_dir(const struct exec *x)
{
	char path[80];
	int fd;

	snprintf(path, sizeof(path), "exec/%s", x->object.name);
	fd = openat(machine_dir(x->machine), path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	return fd < 0 ? -errno : fd;
}

static void owner_print(const char *key, const struct owner *own, struct text *out)
{
	text_addf(out, "%s %u %u %o\n", key, own->uid, own->gid, own->mode);
}

/* Settings are "set NAME LENGTH" and so many bytes, as the file reads. */
static void exec_print(const struct exec *x, struct text *out)
{
	const struct object *o = &x->object;
	const struct attr *a;

	text_addf(out, "format 1\nid %llu\n", (unsigned long long)o->id);
	owner_print("owner", &o->owner, out);
	for (size_t i = 0; i < o->noverrides; i++) {
		text_add(out, "file ");
		owner_print(o->overrides[i].file->name, &o->overrides[i].owner, out);
	}
	for (size_t i = 0; (a = schema_attr(&exec_schema, i)); i++) {
		struct text value = TEXT_INIT;

		attr_show(a, &x->config, &value);
		text_addf(out, "set %s %zu\n", a->name, value.len);
		text_add_bytes(out, text_str(&value), value.len);
		text_free(&value);
	}
	text_add(out, "end\n");
}

static int write_whole(int dir, const struct text *text)
{
	int fd = store_open_file(dir, ".session", O_WRONLY | O_CREAT | O_TRUNC), rc = 0;

	if (fd < 0)
		return fd;
	if (write(fd, text->data, text->len) != (ssize_t)text->len)
		rc = -ENOSPC;
	close(fd);
	return rc == 0 && renameat(dir, ".session", dir, "session") < 0 ? -errno : rc;
}

int exec_save(struct exec *x, struct err *e)
{
	struct text text = TEXT_INIT;
	int dir = exec_dir(x), rc;

	exec_print(x, &text);
	rc = dir < 0 ? dir : text_failed(&text) ? -ENOMEM : write_whole(dir, &text);
	text_free(&text);
	if (dir >= 0)
		close(dir);
	return rc < 0 ? err_sys(e, -rc, "%s: cannot be kept", x->object.name) : 0;
}

/* The line at *at, without its newline, in buf; false at the end, or when it is too long. */
static bool next_line(const char **at, char *buf, size_t size)
{
	size_t len = strcspn(*at, "\n");

	if (!(*at)[len] || len >= size)
		return false;
	memcpy(buf, *at, len);
	buf[len] = '\0';
	*at += len + 1;
	return true;
}

static bool load_setting(struct exec *x, const char *line, const char **at)
{
	const struct attr *a;
	char name[64];
	size_t len;

	if (sscanf(line, "set %63s %zu", name, &len) != 2 || strlen(*at) < len)
		return false;
	a = schema_find(&exec_schema, name);
	/* What this version does not have was another's; it is as if it had not been set. */
	if (a && len && attr_store(a, &x->config, *at, len, NULL) < 0)
		return false;
	*at += len;
	return true;
}

static bool load_file(struct exec *x, const char *line)
{
	struct node n = { .object = &x->object };
	struct owner own;
	char name[64];
	unsigned mode;

	if (sscanf(line, "file %63s %u %u %o", name, &own.uid, &own.gid, &mode) != 4)
		return false;
	own.mode = mode & 0666;
	n.file = class_file(x->object.class, name);
	if (n.file)
		node_set_owner(n, &own);
	return true;
}

/* All behind the first three lines. */
static bool load_rest(struct exec *x, const char *at)
{
	char line[256];

	while (next_line(&at, line, sizeof(line))) {
		if (!strcmp(line, "end"))
			return true;
		if (!(!strncmp(line, "set ", 4) ? load_setting(x, line, &at) : load_file(x, line)))
			return false;
	}
	return false;
}

/* ---- making ---- */

static struct exec *exec_new(struct machine *m, uint64_t id, const char *name, struct err *e)
{
	struct daemon *d = m->object.daemon;
	struct exec *x = calloc(1, sizeof(*x));

	if (!x) {
		err_sys(e, ENOMEM, "%s", name);
		return NULL;
	}
	x->machine = m;
	if (schema_init(&exec_schema, &x->config, e) < 0) {
		free(x);
		return NULL;
	}
	if (object_init(&x->object, d, &d->classes[CLASS_EXEC], execs_of(m), id, name, e) < 0) {
		schema_free(&exec_schema, &x->config);
		free(x);
		return NULL;
	}
	return x;
}

static void exec_free(struct object *o)
{
	struct exec *x = object_exec(o);

	schema_free(&exec_schema, &x->config);
	free(x);
}

static int make_dir(struct machine *m, const char *name, struct err *e)
{
	int dir = machine_dir(m);
	char path[80];

	snprintf(path, sizeof(path), "exec/%s", name);
	if (dir < 0)
		return err_sys(e, -dir, "%s: its container's directory", name);
	if (mkdirat(dir, "exec", 0700) < 0 && errno != EEXIST)
		return err_sys(e, errno, "%s: cannot be kept", name);
	rmtree(dir, path); /* of an earlier failure */
	return mkdirat(dir, path, 0700) < 0 ? err_sys(e, errno, "%s: cannot be kept", name) : 0;
}

static void remove_dir(const struct exec *x)
{
	char path[80];

	snprintf(path, sizeof(path), "exec/%s", x->object.name);
	rmtree(machine_dir(x->machine), path);
}

static int exec_mkdir(struct object *parent, const char *name, struct caller who, mode_t mode,
		      struct object **ret, struct err *e)
{
	struct machine *m = object_machine(parent->parent);
	struct exec *x;
	uint64_t id;
	int rc;

	if (parent->nchildren >= EXECS_MAX)
		return err_set(e, -EBUSY, "%s: the container has %d sessions already", name,
			       EXECS_MAX);
	id = daemon_new_id(m->object.daemon, e);
	rc = id ? make_dir(m, name, e) : e->code;
	if (rc < 0)
		return rc;
	x = exec_new(m, id, name, e);
	if (!x)
		return e->code;
	x->object.owner = (struct owner){ who.uid, who.gid, mode & 01777 };
	rc = exec_save(x, e);
	if (rc < 0) {
		remove_dir(x);
		object_remove(&x->object);
		return rc;
	}
	*ret = &x->object;
	return 0;
}

static bool exec_active(const struct exec *x)
{
	return x->phase == EXEC_STARTING || x->phase == EXEC_RUNNING;
}

static int exec_rmdir(struct object *o, struct caller who, struct err *e)
{
	struct exec *x = object_exec(o);

	if (exec_active(x))
		return err_set(e, -EBUSY, "the session is %s; kill it first", exec_words[x->phase]);
	remove_dir(x);
	waiters_fail(o);
	object_remove(o);
	return 0;
}

static int exec_rename(struct object *o, const char *name, struct err *e)
{
	int dir = machine_dir(object_exec(o)->machine);
	char from[80], to[80];

	snprintf(from, sizeof(from), "exec/%s", o->name);
	snprintf(to, sizeof(to), "exec/%s", name);
	if (renameat(dir, from, dir, to) < 0)
		return err_sys(e, errno, "%s: cannot be renamed", o->name);
	if (object_set_name(o, name, e) == 0)
		return 0;
	renameat(dir, to, dir, from);
	return e->code;
}

static int exec_chown(struct object *o, struct err *e)
{
	return exec_save(object_exec(o), e);
}

/* ---- the directory ---- */

static int execs_chown(struct object *o, struct err *e)
{
	return machine_save_meta(object_machine(o->parent), e);
}

static void execs_free(struct object *o)
{
	free(o);
}

static void follow(struct owner *own, struct owner from, struct owner to)
{
	if (own->uid == from.uid)
		own->uid = to.uid;
	if (own->gid == from.gid)
		own->gid = to.gid;
}

/* Who had the container before keeps nothing; what was delegated to others stays theirs. */
void execs_follow(struct machine *m)
{
	struct object *execs = execs_of(m);
	const struct owner now = m->object.owner;
	struct owner before;

	if (!execs)
		return;
	before = ((struct execs *)execs)->followed;
	((struct execs *)execs)->followed = now;
	follow(&execs->owner, before, now);
	if (execs->owner.mode == before.mode)
		execs->owner.mode = now.mode;
	for (size_t i = 0; i < execs->nchildren; i++) {
		struct node n = { .object = execs->children[i] };
		struct owner own = n.object->owner;

		follow(&own, before, now);
		if (own.uid == n.object->owner.uid && own.gid == n.object->owner.gid)
			continue;
		node_set_owner(n, &own);
		exec_save(object_exec(n.object), NULL);
	}
}

/* ---- finding them again ---- */

static int exec_load(struct machine *m, const char *name)
{
	struct daemon *d = m->object.daemon;
	struct text text = TEXT_INIT;
	unsigned long long id = 0;
	struct exec *x = NULL;
	struct owner own;
	int used = 0, rc;
	char path[300];
	unsigned mode;

	snprintf(path, sizeof(path), "exec/%s/session", name);
	rc = store_read(machine_dir(m), path, &text);
	if (rc == 0 && (sscanf(text_str(&text), "format 1\nid %llu\nowner %u %u %o\n%n", &id,
			       &own.uid, &own.gid, &mode, &used) != 4 ||
			!used || id >= OBJECT_ID_DERIVED || object_find(d, id)))
		rc = -EINVAL;
	if (rc == 0)
		x = exec_new(m, id, name, NULL);
	if (x) {
		own.mode = mode & 01777;
		x->object.owner = own;
		x->phase = EXEC_STARTING; /* execs_settle() knows better */
		if (id >= d->next_id)
			d->next_id = d->id_limit = id + 1;
	}
	if (x && !load_rest(x, text_str(&text) + used)) {
		object_remove(&x->object);
		x = NULL;
	}
	text_free(&text);
	return x ? 0 : -EINVAL;
}

static void execs_load(struct machine *m)
{
	int fd = openat(machine_dir(m), "exec", O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;

	if (!dir) {
		if (fd >= 0)
			close(fd);
		return;
	}
	while ((entry = readdir(dir)))
		if (object_name_valid(entry->d_name) && exec_load(m, entry->d_name) < 0) {
			log_line(LOG_LEVEL_ERROR,
				 "state directory: session %s of container/%s cannot be read; it "
				 "is removed",
				 entry->d_name, m->object.name);
			rmtree(fd, entry->d_name);
		}
	closedir(dir);
}

int execs_attach(struct machine *m, struct err *e)
{
	struct daemon *d = m->object.daemon;
	struct execs *execs;
	struct object *o;
	int rc;

	if (m->kind != KIND_CONTAINER)
		return 0;
	execs = calloc(1, sizeof(*execs));
	if (!execs)
		return err_sys(e, ENOMEM, "exec");
	o = &execs->object;
	rc = object_init(o, d, &d->classes[CLASS_EXECS], &m->object,
			 m->object.id | OBJECT_ID_DERIVED, "exec", e);
	if (rc < 0) {
		free(execs);
		return rc;
	}
	o->owner = execs->followed = m->object.owner;
	execs_load(m);
	return 0;
}

static void settle(struct exec *x)
{
	struct text text = TEXT_INIT;
	struct ending ending = { 0 };
	int dir = exec_dir(x), rc = dir < 0 ? dir : store_read(dir, "exit", &text);
	bool told = rc == 0 && text.len;

	if (dir >= 0)
		close(dir);
	if (!told || ending_parse(text_str(&text), &ending) < 0) {
		ending = (struct ending){ .kind = ENDING_FAILED };
		snprintf(ending.why, sizeof(ending.why), "its container's monitor went down");
	}
	/* One that ran has ended, whatever its monitor has made of the file. */
	if (told || x->phase == EXEC_RUNNING)
		exec_told(x, false, 0, &ending);
	else
		exec_refused(x);
	text_free(&text);
}

void execs_settle(struct machine *m, bool gone)
{
	struct object *execs = execs_of(m);

	for (size_t i = 0; execs && i < execs->nchildren; i++) {
		struct exec *x = object_exec(execs->children[i]);

		if (x->phase == EXEC_STARTING || (gone && x->phase == EXEC_RUNNING))
			settle(x);
	}
}

/* ---- what happens to it ---- */

void exec_enter(struct exec *x, enum exec_phase phase)
{
	if (x->phase == phase)
		return;
	x->phase = phase;
	object_changed_by(&x->object, CHANGE_STATE);
	waiters_wake(&x->object);
}

void exec_told(struct exec *x, bool running, pid_t pid, const struct ending *ending)
{
	if (!exec_active(x))
		return; // nobody has started it
	x->pid = running ? pid : 0;
	if (running) {
		exec_enter(x, EXEC_RUNNING);
		return;
	}
	x->ending = *ending;
	x->has_ending = true;
	exec_enter(x, ending->kind == ENDING_FAILED ? EXEC_FAILED : EXEC_STOPPED);
}

/* No run, no ending. */
void exec_refused(struct exec *x)
{
	int dir = x->phase == EXEC_STARTING ? exec_dir(x) : -1;

	if (dir >= 0) {
		unlinkat(dir, "exit", 0);
		close(dir);
	}
	if (x->phase == EXEC_STARTING)
		exec_enter(x, EXEC_STOPPED);
}

void exec_grew(struct exec *x, unsigned streams)
{
	if (streams & 1)
		object_changed(&x->object, "stdout");
	if (streams & 2)
		object_changed(&x->object, "stderr");
}

/* ---- classes ---- */

static int exec_now(const struct object *o)
{
	return (int)((const struct exec *)o)->phase;
}

static bool exec_rests(const struct object *o)
{
	return !exec_active((const struct exec *)o);
}

static const struct states exec_states = {
	.noun = "session",
	.words = exec_words,
	.count = EXEC_PHASES,
	.now = exec_now,
	.rests = exec_rests,
	.ends = 1 << EXEC_STOPPED | 1 << EXEC_FAILED,
};

int execs_class(struct class *c, struct err *e)
{
	c->name = "execs";
	c->mkdir = exec_mkdir;
	c->chown = execs_chown;
	c->free = execs_free;
	return 0;
}

int exec_class(struct class *c, struct err *e)
{
	c->name = "exec";
	c->rmdir = exec_rmdir;
	c->rename = exec_rename;
	c->chown = exec_chown;
	c->free = exec_free;
	c->states = &exec_states;
	return exec_files(c, e);
}
