/* struct machine: making, keeping, changing and ending; see machine.h. */
#include "fs/machine.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "backends/opener.h"
#include "backends/wire.h"
#include "fs/attr.h"
#include "fs/autostart.h"
#include "fs/config_yaml.h"
#include "fs/daemon.h"
#include "fs/event_log.h"
#include "fs/link.h"
#include "fs/log.h"
#include "fs/store.h"
#include "fs/waiter.h"

#define CLEANUP_TRIES 200
#define OPENED_MAX    256 /* state directories open at a time: descriptors are few, machines many */

const char *const state_words[STATE_COUNT] = {
	[STATE_STOPPED] = "stopped", [STATE_STARTING] = "starting", [STATE_RUNNING] = "running",
	[STATE_PAUSED] = "paused",   [STATE_STOPPING] = "stopping", [STATE_FAILED] = "failed",
};

int state_parse(const char *word, size_t len)
{
	for (int i = 0; i < STATE_COUNT; i++)
		if (strlen(state_words[i]) == len && !memcmp(state_words[i], word, len))
			return i;
	return -1;
}

bool machine_active(const struct machine *m)
{
	return m->state != STATE_STOPPED && m->state != STATE_FAILED;
}

int machine_open_path(const struct machine *m, const struct machine_config *c, const struct attr *a,
		      int *ret_fd, struct err *e)
{
	struct daemon *d = m->object.daemon;
	struct hostpath p = {
		.path = *(char **)attr_field(a, c),
		.kind = a->flags & ATTR_DIR_PATH ? HOSTPATH_DIRECTORY : HOSTPATH_FILE,
		.what = a->name,
		.uid = m->object.owner.uid,
		.gid = m->object.owner.gid,
		.avoid = d->own_dev,
	};

	*ret_fd = -1;
	return p.path && *p.path ? opener_open(d->opener, &p, ret_fd, e) : 0;
}

bool machine_foreign(const struct machine *m)
{
	return m->object.owner.uid != geteuid();
}

static int machine_kind_fd(const struct machine *m)
{
	return m->object.daemon->kind_fd[m->kind];
}

/* ---- its directory ---- */

static void machine_close_dir(struct machine *m)
{
	struct daemon *d = m->object.daemon;

	if (m->dirfd < 0)
		return;
	TAILQ_REMOVE(&d->opened, m, opened);
	d->nopened--;
	close(m->dirfd);
	m->dirfd = -1;
}

static void machine_keep_dir(struct machine *m, int fd)
{
	struct daemon *d = m->object.daemon;

	m->dirfd = fd;
	TAILQ_INSERT_HEAD(&d->opened, m, opened);
	if (++d->nopened > OPENED_MAX)
		machine_close_dir(TAILQ_LAST(&d->opened, machine_list));
}

int machine_dir(struct machine *m)
{
	int fd;

	if (m->dirfd >= 0)
		return m->dirfd;
	fd = openat(machine_kind_fd(m), m->object.name,
		    O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return -errno;
	machine_keep_dir(m, fd);
	return fd;
}

/* ---- meta: what is durable but no setting ---- */

static void owner_print(const char *key, const struct owner *own, struct text *out)
{
	text_addf(out, "%s %u %u %o\n", key, own->uid, own->gid, own->mode);
}

static void meta_print(const struct machine *m, struct text *out)
{
	const struct object *o = &m->object;

	text_addf(out, "format 1\nid %llu\nuuid %s\ncreated %lld.%09ld\n",
		  (unsigned long long)o->id, m->uuid, (long long)m->created.tv_sec,
		  m->created.tv_nsec);
	owner_print("owner", &o->owner, out);
	for (size_t i = 0; i < o->noverrides; i++)
		owner_print(o->overrides[i].file->name, &o->overrides[i].owner, out);
	text_add(out, text_str(&m->foreign));
	text_add(out, "end\n");
}

struct meta {
	uint64_t id;
	char uuid[37];
	struct timespec created;
	struct owner owner;
	const char *files; /* the lines behind `owner` */
};

/* One line "NAME UID GID MODE"; returns what is behind it, NULL when it is none. */
static const char *meta_line(const char *line, char name[64], struct owner *ret)
{
	unsigned mode;
	int used = 0;

	if (sscanf(line, "%63[^ \n] %u %u %o%n", name, &ret->uid, &ret->gid, &mode, &used) != 4 ||
	    line[used] != '\n' || mode & ~01777u)
		return NULL;
	ret->mode = mode;
	return line + used + 1;
}

static int meta_parse(const char *text, struct meta *ret)
{
	unsigned long long id;
	long long seconds;
	struct owner own;
	char name[64];
	int used = 0;

	if (sscanf(text, "format 1\nid %llu\nuuid %36[0-9a-f-]\ncreated %lld.%ld\n%n", &id,
		   ret->uuid, &seconds, &ret->created.tv_nsec, &used) != 4 ||
	    !used || id >= 1ULL << 39 || strlen(ret->uuid) != 36 || ret->created.tv_nsec < 0 ||
	    ret->created.tv_nsec > 999999999)
		return -EINVAL;
	ret->id = id;
	ret->created.tv_sec = seconds;
	ret->files = meta_line(text + used, name, &ret->owner);
	if (!ret->files || strcmp(name, "owner"))
		return -EINVAL;
	text = ret->files;
	while (text && strcmp(text, "end\n"))
		text = meta_line(text, name, &own);
	return text ? 0 : -EINVAL;
}

/* Of files that only another version has nothing is done, but nothing is lost either. */
static void meta_parse_files(struct machine *m, const char *lines)
{
	struct owner own;
	char name[64];

	for (const char *next; (next = meta_line(lines, name, &own)); lines = next) {
		struct node n = { &m->object, class_file(m->object.class, name) };

		own.mode &= n.file && n.file->kind == FILE_LINK ? 0777 : 0666;
		if (n.file)
			node_set_owner(n, &own);
		else
			text_add_bytes(&m->foreign, lines, (size_t)(next - lines));
	}
}

static int machine_save_meta(struct machine *m, struct err *e)
{
	struct text meta = TEXT_INIT;
	int rc;

	meta_print(m, &meta);
	rc = text_failed(&meta) ? err_sys(e, ENOMEM, "meta")
				: store_write(machine_dir(m), "meta", meta.data, meta.len, e);
	text_free(&meta);
	return rc;
}

/* Who gets it gets its console, too, and is not to command what runs with another's authority. */
int machine_chown(struct object *o, struct err *e)
{
	struct machine *m = object_machine(o);

	if (machine_active(m) && o->owner.uid != m->runs_as)
		return err_set(e, -EBUSY,
			       "%s: the owner cannot change while the machine is %s: it runs as "
			       "user %u",
			       o->name, state_words[m->state], m->runs_as);
	return machine_save_meta(m, e);
}

/* ---- making and removing ---- */

static void uuid_make(char uuid[37])
{
	unsigned char b[16];

	if (getrandom(b, sizeof(b), 0) != sizeof(b))
		memset(b, 0, sizeof(b)); /* does not happen for 16 bytes; the name then clashes */
	b[6] = (b[6] & 0x0f) | 0x40;	 /* RFC 9562, version 4 */
	b[8] = (b[8] & 0x3f) | 0x80;
	snprintf(uuid, 37, "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x",
		 b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12],
		 b[13], b[14], b[15]);
}

static struct machine *machine_new(enum machine_kind kind)
{
	struct machine *m = calloc(1, sizeof(*m));

	if (!m)
		return NULL;
	m->kind = kind;
	m->config.kind = kind;
	m->dirfd = -1;
	TAILQ_INIT(&m->waiters);
	return m;
}

void machine_free(struct object *o)
{
	struct machine *m = object_machine(o);

	link_free(m->link);
	cgroup_free(m->cgroup);
	event_log_free(m->events);
	config_free(&m->config);
	text_free(&m->foreign);
	if (m->cleanup)
		event_free(m->cleanup);
	restart_free(m);
	ephemeral_free(m);
	machine_close_dir(m);
	free(m);
}

static int machine_insert(struct machine *m, struct daemon *d, uint64_t id, const char *name,
			  struct err *e)
{
	m->events = event_log_of(d->events, id);
	if (!m->events)
		return err_sys(e, ENOMEM, "%s", name);
	return object_init(&m->object, d,
			   &d->classes[m->kind == KIND_VM ? CLASS_VM : CLASS_CONTAINER],
			   d->machines[m->kind], id, name, e);
}

static int machine_store(struct machine *m, struct err *e)
{
	struct text meta = TEXT_INIT, config = TEXT_INIT;
	int rc = config_print(&m->config, &config, e), fd = -1;

	meta_print(m, &meta);
	if (rc == 0 && text_failed(&meta))
		rc = err_sys(e, ENOMEM, "meta");
	if (rc == 0)
		rc = store_make(machine_kind_fd(m), m->object.name, &meta, &config, &fd, e);
	if (rc == 0)
		machine_keep_dir(m, fd);
	text_free(&meta);
	text_free(&config);
	return rc;
}

int machine_mkdir(struct object *parent, const char *name, struct caller who, mode_t mode,
		  struct object **ret, struct err *e)
{
	struct daemon *d = parent->daemon;
	enum machine_kind kind = parent == d->machines[KIND_VM] ? KIND_VM : KIND_CONTAINER;
	struct machine *m;
	uint64_t id;
	int rc;

	if (d->shutting_down)
		return err_set(e, -EBUSY, "%s: the daemon is shutting down", name);
	id = daemon_new_id(d, e);
	if (!id)
		return e->code;
	m = machine_new(kind);
	if (!m)
		return err_sys(e, ENOMEM, "%s", name);
	rc = config_init(kind, &m->config, e);
	if (rc == 0)
		rc = machine_insert(m, d, id, name, e);
	if (rc < 0) {
		machine_free(&m->object);
		return rc;
	}
	uuid_make(m->uuid);
	clock_gettime(CLOCK_REALTIME, &m->created);
	m->object.owner = (struct owner){ who.uid, who.gid, mode & 01777 };
	rc = machine_store(m, e);
	if (rc < 0) {
		object_remove(&m->object);
		return rc;
	}
	machine_event(m, "created", "");
	*ret = &m->object;
	return 0;
}

int machine_rmdir(struct object *o, struct caller who, struct err *e)
{
	struct machine *m = object_machine(o);
	int rc;

	/* The name may have become another's, or the machine one that is to stay. */
	if (who.helper && !ephemeral_goes(m))
		return err_set(e, -EBUSY, "the machine is to stay");

	if (machine_active(m))
		return err_set(e, -EBUSY, "the machine is %s; stop it first",
			       state_words[m->state]);
	rc = store_remove(machine_kind_fd(m), o->name, e);
	if (rc < 0)
		return rc;
	link_free(m->link);
	m->link = NULL;
	link_unlink(m);
	restart_forget(m);
	ephemeral_free(m);
	waiters_fail(m);
	machine_event(m, "removed", "");
	object_remove(o);
	return 0;
}

int machine_rename(struct object *o, const char *name, struct err *e)
{
	struct machine *m = object_machine(o);
	struct text old = TEXT_INIT;
	int rc = store_rename(machine_kind_fd(m), o->name, name, e);

	if (rc < 0)
		return rc;
	object_path(o, &old);
	rc = object_set_name(o, name, e);
	if (rc == 0)
		machine_event(m, "renamed", text_str(&old));
	else
		store_rename(machine_kind_fd(m), name, o->name, NULL);
	text_free(&old);
	return rc;
}

/* ---- finding them again ---- */

static int machine_read_config(struct machine *m, struct err *e)
{
	struct text text = TEXT_INIT;
	int rc = store_read(machine_dir(m), "config.yaml", &text);

	if (rc < 0)
		rc = err_sys(e, -rc, "config.yaml on disk");
	else if (text.len < 4 || strcmp(text.data + text.len - 4, "...\n"))
		rc = err_set(e, -EIO, "config.yaml on disk: its end, the line \"...\", is missing");
	else {
		rc = config_parse(m->kind, text_str(&text), text.len, &m->config, NULL, e);
		if (rc < 0)
			err_prefix(e, "config.yaml on disk: ");
	}
	text_free(&text);
	if (rc < 0 && config_init(m->kind, &m->config, NULL) < 0)
		return -EIO;
	return rc;
}

/* Reads meta; on failure says why in *why, and the machine is new but for its directory. */
static int machine_read_meta(struct machine *m, const struct text *text, int rc, struct meta *ret,
			     struct err *why)
{
	const struct object *other;
	unsigned format;

	if (rc == 0 && sscanf(text_str(text), "format %u", &format) == 1 && format != 1)
		return err_set(why, -EIO,
			       "meta on disk is of format %u, and this version knows 1 only",
			       format);
	if (rc == 0)
		rc = meta_parse(text_str(text), ret);
	if (rc < 0)
		return err_set(why, -EIO, "meta on disk cannot be read: %s", strerror(-rc));
	other = object_find(m->object.daemon, ret->id);
	if (other)
		return err_set(why, -EIO, "meta on disk is that of %s, too", other->name);
	return 0;
}

int machine_load(struct daemon *d, enum machine_kind kind, const char *name, bool anew,
		 struct err *e)
{
	struct machine *m = machine_new(kind);
	struct text text = TEXT_INIT;
	struct meta meta = { 0 };
	struct err why = { 0 };
	int fd, rc;

	if (!m)
		return err_sys(e, ENOMEM, "%s", name);
	m->object.daemon = d;
	fd = openat(d->kind_fd[kind], name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	rc = fd < 0 ? -errno : store_read(fd, "meta", &text);
	if (fd >= 0)
		machine_keep_dir(m, fd);
	rc = machine_read_meta(m, &text, rc, &meta, &why);
	if (rc < 0 && !anew) {
		rc = 1;
		goto fail;
	}
	if (rc < 0) {
		/* Whose it was is unknown: only root may touch it until it is removed. */
		meta = (struct meta){ .owner.mode = 0700, .id = daemon_new_id(d, e) };
		clock_gettime(CLOCK_REALTIME, &meta.created);
		uuid_make(meta.uuid);
		rc = meta.id ? 0 : e->code;
		if (rc < 0)
			goto fail;
	}
	memcpy(m->uuid, meta.uuid, sizeof(m->uuid));
	m->created = meta.created;
	rc = fd < 0 ? config_init(kind, &m->config, &why)
		    : machine_read_config(m, why.code ? NULL : &why);
	if (rc < 0 && !why.code)
		err_set(&why, rc, "config.yaml on disk cannot be read");
	rc = machine_insert(m, d, meta.id, name, e);
	if (rc < 0)
		goto fail;
	m->object.owner = meta.owner;
	if (meta.files)
		meta_parse_files(m, meta.files);
	text_free(&text);
	m->broken = why;
	return 0;
fail:
	machine_free(&m->object);
	text_free(&text);
	return rc;
}

/* Whether a run has ended of which no daemon has told. */
static bool machine_read_ending(struct machine *m)
{
	struct text text = TEXT_INIT;
	bool torn = false;

	if (store_read(machine_dir(m), "exit", &text) == 0 && text.len) {
		m->has_ending = true;
		torn = ending_parse(text_str(&text), &m->ending) < 0;
	}
	text_free(&text);
	if (torn) {
		m->ending = (struct ending){ .kind = ENDING_FAILED };
		snprintf(m->ending.why, sizeof(m->ending.why), "its monitor or the host went down");
		machine_record_ending(m);
	}
	return torn || (m->has_ending && link_exists(m));
}

/* A daemon that was killed on the way may have left these. */
static void recover_sweep(struct machine *m)
{
	struct daemon *d = m->object.daemon;
	char name[64];

	machine_cgroup_name(m, name);
	if (d->cgroups && cgroup_open(d->cgroups, name, &m->cgroup, NULL) == 0) {
		cgroup_kill(m->cgroup, NULL);
		cgroup_free(m->cgroup);
		m->cgroup = NULL;
	}
	/* One that was made by half cannot be opened, but be removed. */
	if (d->cgroups)
		cgroup_remove(d->cgroups, name, NULL);
}

/* What the daemon before would have done at the end of the run, or was about to do. */
static void recover_ended(struct machine *m, bool unseen, bool waited)
{
	char text[320], detail[400];

	if (unseen) {
		ending_print(&m->ending, text, sizeof(text));
		snprintf(detail, sizeof(detail), "%s %s", state_words[m->state], text);
		machine_event(m, "state", detail);
	}
	if (waited)
		restart_decide(m, NULL);
	else if (unseen && link_exists(m) && m->object.daemon->same_boot)
		restart_decide(m, &m->ending);
	link_unlink(m);
	restart_tell(m);
	if (unseen || ephemeral_marked(m))
		machine_over(m);
}

static void recover_rest(struct machine *m, bool waited)
{
	bool unseen = machine_read_ending(m);
	bool failed = m->has_ending && m->ending.kind == ENDING_FAILED;

	recover_sweep(m);
	m->state = m->broken.code || failed ? STATE_FAILED : STATE_STOPPED;
	if (m->broken.code) {
		link_unlink(m);
		return;
	}
	if (failed) {
		struct err e = { 0 };

		err_set(&e, -EIO, "%s", m->ending.why);
		object_refuse(&m->object, &e);
	}
	recover_ended(m, unseen, waited);
}

/*
 * A daemon that was killed may have applied what it did not come to keep. One by one: where a
 * controller is missing the others still count.
 */
static void recover_limits(struct machine *m)
{
	struct machine_config other[4] = { m->config, m->config, m->config, m->config };

	other[0].memory_size = 0;
	other[1].pids_max = 0;
	other[2].cpu_weight = 0;
	other[3].cpu_max.period = 0;
	for (int i = 0; i < 4; i++)
		machine_limit(m, &m->config, &other[i], NULL);
}

void machine_recover(struct machine *m)
{
	struct daemon *d = m->object.daemon;
	bool waited = restart_load(m);
	char name[64];

	if (m->broken.code) {
		m->broken.code = -EIO;
		object_refuse(&m->object, &m->broken);
	}
	if (link_connect(m, &m->link) < 0) {
		recover_rest(m, waited);
		return;
	}
	m->state = STATE_STARTING; /* HELLO says what it really is */
	m->runs_as = m->object.owner.uid;
	d->running++;
	machine_cgroup_name(m, name);
	if (d->cgroups && cgroup_open(d->cgroups, name, &m->cgroup, NULL) < 0)
		m->cgroup = NULL;
	recover_limits(m);
}

/* ---- configuration ---- */

static int check_path(const struct machine *m, const struct attr *a, const struct machine_config *c,
		      struct err *e)
{
	int fd, rc = machine_open_path(m, c, a, &fd, e);

	if (fd >= 0)
		close(fd);
	return rc;
}

/* As the kernel would say of his rmdir, by his main group alone: we are not told of others. */
static bool may_remove(const struct machine *m, struct caller who)
{
	const struct owner *dir = &m->object.parent->owner;
	mode_t bit = who.uid == dir->uid ? 0200 : who.gid == dir->gid ? 0020 : 0002;
	bool sticky = dir->mode & S_ISVTX;

	return who.uid == 0 || ((dir->mode & bit) &&
				(!sticky || who.uid == dir->uid || who.uid == m->object.owner.uid));
}

/* What only root may ask for, whoever owns the machine. */
static int check_authority(const struct machine *m, const struct machine_config *c,
			   struct caller who, struct err *e)
{
	const struct owner *own = &m->object.owner;

	if (c->ephemeral && !m->config.ephemeral && !may_remove(m, who))
		return err_set(e, -EPERM,
			       "ephemeral: user %u may not remove machines from %s, so neither may "
			       "its end",
			       who.uid, m->object.parent->name);
	if (c->isolation == ISOLATION_THREAD && m->config.isolation != ISOLATION_THREAD &&
	    machine_foreign(m))
		return err_set(e, -EPERM,
			       "isolation: only machines of the daemon's own user may run inside "
			       "it");
	if (c->kind != KIND_CONTAINER || (who.uid == 0 && own->uid == 0))
		return 0;
	if (c->container.seccomp == SECCOMP_PROFILE_NONE &&
	    m->config.container.seccomp != SECCOMP_PROFILE_NONE)
		return err_set(e, -EPERM, "seccomp: only root may do without a filter");
	if (attr_equal(attr_find(KIND_CONTAINER, "user.map"), &m->config, c))
		return 0;
	return opener_check_map(m->object.daemon->opener, &c->container.user_map, own->uid,
				own->gid, e);
}

static bool config_equal(const struct machine_config *x, const struct machine_config *y)
{
	for (size_t i = 0; i < machine_attr_count; i++)
		if (attr_applies(&machine_attrs[i], x->kind) &&
		    !attr_equal(&machine_attrs[i], x, y))
			return false;
	return true;
}

static int check_change(const struct machine *m, const struct attr *a,
			const struct machine_config *next, struct err *e)
{
	if (machine_active(m) && !(a->flags & ATTR_LIVE))
		return err_set(e, -EBUSY, "%s: cannot change while the machine is %s", a->name,
			       state_words[m->state]);
	return a->flags & (ATTR_FILE_PATH | ATTR_DIR_PATH) ? check_path(m, a, next, e) : 0;
}

/* One more refusal; the first one is the operation's. */
static void check_refuse(struct err *first, struct text *all, const struct err *why)
{
	if (!first->code)
		*first = *why;
	if (all)
		text_addf(all, "%s %s\n", err_name(why->code), why->text);
}

static int limit_set(struct machine *m, enum cgroup_limit which, uint64_t value, uint64_t old,
		     const char *name, struct err *e)
{
	int rc = value == old ? 0 : cgroup_set(m->cgroup, which, value, e);

	return rc < 0 ? (err_prefix(e, "%s: ", name), rc) : 0;
}

int machine_limit(struct machine *m, const struct machine_config *c,
		  const struct machine_config *old, struct err *e)
{
	/* A new group has the kernel's defaults: what asks for them need not be written. */
	static const struct machine_config fresh = {
		.cpu_weight = 100,
		.cpu_max = { LIMIT_MAX, 100000 },
		.memory_size = LIMIT_MAX,
		.pids_max = LIMIT_MAX,
	};
	int rc = 0;

	if (!m->cgroup)
		return 0;
	if (!old)
		old = &fresh;
	/* A VM's memory is what it has, not a limit. */
	if (m->kind == KIND_CONTAINER)
		rc = limit_set(m, CGROUP_MEMORY_MAX, c->memory_size, old->memory_size,
			       "memory.size", e);
	if (rc == 0)
		rc = limit_set(m, CGROUP_PIDS_MAX, c->pids_max, old->pids_max, "pids.max", e);
	if (rc == 0)
		rc = limit_set(m, CGROUP_CPU_WEIGHT, c->cpu_weight, old->cpu_weight, "cpu.weight",
			       e);
	if (rc == 0 &&
	    (c->cpu_max.quota != old->cpu_max.quota || c->cpu_max.period != old->cpu_max.period)) {
		rc = cgroup_set_cpu_max(m->cgroup, c->cpu_max, e);
		if (rc < 0)
			err_prefix(e, "cpu.max: ");
	}
	return rc;
}

static int config_save(struct machine *m, const struct machine_config *c, struct err *e)
{
	struct text text = TEXT_INIT;
	int rc = config_print(c, &text, e);

	/* What could not be started or read back is not accepted either. */
	if (rc == 0 && text.len > WIRE_CONFIG_MAX)
		rc = err_set(e, -EINVAL, "the whole configuration would be larger than %u bytes",
			     WIRE_CONFIG_MAX);
	if (rc == 0)
		rc = store_write(machine_dir(m), "config.yaml", text.data, text.len, e);
	text_free(&text);
	return rc;
}

int machine_check(struct machine *m, const struct machine_config *next, struct caller who,
		  struct text *all, struct err *e)
{
	struct err first = { 0 }, why = { 0 };

	if (check_authority(m, next, who, &why) < 0)
		check_refuse(&first, all, &why);
	for (size_t i = 0; i < machine_attr_count; i++) {
		const struct attr *a = &machine_attrs[i];

		why.code = 0;
		if (attr_applies(a, m->kind) && !attr_equal(a, &m->config, next) &&
		    check_change(m, a, next, &why) < 0)
			check_refuse(&first, all, &why);
	}
	if (!first.code && machine_dir(m) < 0) {
		err_set(&why, -EIO, "its state directory cannot be read; remove the machine");
		check_refuse(&first, all, &why);
	}
	return first.code ? err_set(e, first.code, "%s", first.text) : 0;
}

/* Whoever keeps something of a setting that is about to change learns of it. */
static void config_tell(struct machine *m, const struct machine_config *next)
{
	for (size_t i = 0; i < machine_attr_count; i++)
		if (attr_applies(&machine_attrs[i], m->kind) &&
		    !attr_equal(&machine_attrs[i], &m->config, next))
			object_changed(&m->object, machine_attrs[i].name);
	object_changed(&m->object, "config.yaml");
}

int machine_configure(struct machine *m, struct machine_config *next, struct caller who,
		      struct text *all, struct err *e)
{
	int rc;

	if (!m->broken.code && config_equal(&m->config, next)) {
		config_free(next);
		return 0;
	}
	rc = machine_check(m, next, who, all, e);
	if (rc < 0)
		return rc;
	if (machine_active(m))
		rc = machine_limit(m, next, &m->config, e);
	if (rc == 0 && m->broken.code)
		rc = machine_save_meta(m, e);
	if (rc == 0) {
		rc = config_save(m, next, e);
		/* It may have got as far as its name. */
		if (rc < 0 && rc != -EINVAL && !m->broken.code)
			config_save(m, &m->config, NULL);
	}
	if (rc < 0) {
		/* Back to what it was; what cannot be set back was not set either. */
		if (machine_active(m))
			machine_limit(m, &m->config, next, NULL);
		return rc;
	}
	config_tell(m, next);
	config_free(&m->config);
	m->config = *next;
	if (m->broken.code) {
		m->broken = (struct err){ 0 };
		machine_set_state(m, STATE_STOPPED, "");
	}
	restart_configured(m);
	ephemeral_configured(m);
	return 0;
}

/* ---- state ---- */

void machine_event(struct machine *m, const char *what, const char *detail)
{
	struct daemon *d = m->object.daemon;
	struct text path = TEXT_INIT;
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	object_path(&m->object, &path);
	event_log_add(m->events, now, text_str(&path), what, detail);
	log_machine(LOG_LEVEL_INFO, text_str(&path), m->uuid, "%s%s%s", what, *detail ? " " : "",
		    detail);
	text_free(&path);
	object_changed(&m->object, "events");
	object_changed(d->root, "events");
}

static void machine_enter(struct machine *m, enum machine_state state)
{
	m->state = state;
	object_changed_by(&m->object, CHANGE_STATE);
	autostart_notice(m->object.daemon->autostart, m);
	waiters_wake(m);
}

void machine_set_state(struct machine *m, enum machine_state state, const char *detail)
{
	struct text text = TEXT_INIT;

	if (m->state == state)
		return;
	text_addf(&text, "%s%s%s", state_words[state], *detail ? " " : "", detail);
	machine_event(m, "state", text_str(&text));
	text_free(&text);
	machine_enter(m, state);
}

void machine_found(struct machine *m, enum machine_state state)
{
	if (event_log_told(m->events, "state", state_words[state]))
		machine_enter(m, state);
	else
		machine_set_state(m, state, "found");
}

void machine_cgroup_name(const struct machine *m, char buf[64])
{
	snprintf(buf, 64, "%s-%s", m->kind == KIND_VM ? "vm" : "container", m->uuid);
}

/* ---- the end of a run ---- */

void machine_record_ending(struct machine *m)
{
	char text[320] = "";
	int fd = store_open_file(machine_dir(m), "exit", O_WRONLY | O_CREAT | O_TRUNC);
	size_t n;

	if (fd < 0)
		return;
	if (m->has_ending)
		ending_print(&m->ending, text, sizeof(text) - 1);
	n = strlen(text);
	text[n++] = '\n';
	/* If it fails, the next daemon says that the monitor went down: it did. */
	(void)!write(fd, text, m->has_ending ? n : 0);
	close(fd);
}

static void machine_rest_ended(struct machine *m)
{
	char text[320];

	ending_print(&m->ending, text, sizeof(text));
	m->has_ending = true;
	restart_decide(m, &m->ending);
	/* Until here the next daemon would have done it: it finds a socket without a monitor. */
	link_unlink(m);
	machine_set_state(m, m->ending.kind == ENDING_FAILED ? STATE_FAILED : STATE_STOPPED, text);
	restart_tell(m);
	/* After the waiters, whose refusals are no more than a consequence. */
	if (m->ending.kind == ENDING_FAILED) {
		struct err e = { 0 };

		err_set(&e, -EIO, "%s", m->ending.why);
		object_refuse(&m->object, &e);
	}
	machine_over(m);
}

static void machine_rest_refused(struct machine *m)
{
	m->refused = false;
	if (m->restart.own)
		restart_decide(m, NULL);
	machine_set_state(m, m->before_start, "start refused");
	if (m->restart.own) {
		restart_tell(m);
		machine_over(m);
	}
}

static void machine_rest(struct machine *m)
{
	cgroup_free(m->cgroup);
	m->cgroup = NULL;
	m->object.daemon->running--;
	if (m->refused)
		machine_rest_refused(m);
	else
		machine_rest_ended(m);
	daemon_machine_ended(m->object.daemon);
}

void machine_over(struct machine *m)
{
	if (machine_active(m) || restart_waits(m))
		return;
	waiters_wake(m);
	ephemeral_over(m);
}

/* `stopped` means that nothing of the machine is left, so it waits for the last process. */
static void on_cleanup(int fd, short what, void *arg)
{
	struct machine *m = arg;
	struct daemon *d = m->object.daemon;
	struct timeval later = { .tv_usec = 500 << (m->cleanup_tries < 6 ? m->cleanup_tries : 6) };
	char name[64];

	machine_cgroup_name(m, name);
	if (!m->cgroup || cgroup_remove(d->cgroups, name, NULL) != -EBUSY ||
	    ++m->cleanup_tries > CLEANUP_TRIES) {
		machine_rest(m);
		return;
	}
	/* A monitor that has said its last word is given a moment to leave by itself. */
	if (m->cleanup_tries > 4)
		cgroup_kill(m->cgroup, NULL);
	evtimer_add(m->cleanup, &later);
}

static void machine_clean(struct machine *m)
{
	m->cleanup_tries = 0;
	if (!m->cleanup)
		m->cleanup = evtimer_new(m->object.daemon->loop, on_cleanup, m);
	if (m->cleanup)
		on_cleanup(-1, EV_TIMEOUT, m);
	else
		machine_rest(m);
}

void machine_ended(struct machine *m, const struct ending *ending)
{
	m->ending = *ending;
	machine_clean(m);
}

void machine_refused(struct machine *m, const struct err *why)
{
	if (m->restart.own)
		restart_refused(m, why);
	m->refused = true;
	machine_record_ending(m);
	machine_clean(m);
}
