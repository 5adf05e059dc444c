/* struct machine: making, naming, removing, its state; see machine.h. */
#include "fs/machine/machine.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "backends/base/rmtree.h"
#include "fs/attr/attr.h"
#include "fs/daemon.h"
#include "fs/exec/exec.h"
#include "fs/image/importer.h"
#include "fs/machine/autostart.h"
#include "fs/machine/change.h"
#include "fs/machine/link.h"
#include "fs/machine/vcpu.h"
#include "fs/machine/waiter.h"
#include "fs/store/config_yaml.h"
#include "fs/store/event_log.h"
#include "fs/store/kept.h"
#include "fs/store/store.h"

#define OPENED_MAX 256 /* state directories open at a time: descriptors are few, machines many */

const char *const state_words[STATE_COUNT] = {
	[STATE_STOPPED] = "stopped",	 [STATE_STARTING] = "starting", [STATE_RUNNING] = "running",
	[STATE_PAUSED] = "paused",	 [STATE_STOPPING] = "stopping", [STATE_FAILED] = "failed",
	[STATE_PREPARING] = "preparing", [STATE_PREPARED] = "prepared",
};

bool machine_active(const struct machine *m)
{
	return m->state != STATE_STOPPED && m->state != STATE_FAILED;
}

bool machine_held(const struct machine *m)
{
	return m->state == STATE_PREPARING || m->state == STATE_PREPARED;
}

static int machine_state_now(const struct object *o)
{
	return (int)((const struct machine *)o)->state;
}

static bool machine_rests(const struct object *o)
{
	const struct machine *m = (const struct machine *)o;

	return !machine_active(m) && !restart_waits(m);
}

/* Failed is an end as stopped is: who waits for the one learns of the other at once. */
const struct states machine_states = {
	.noun = "machine",
	.words = state_words,
	.count = STATE_COUNT,
	.now = machine_state_now,
	.rests = machine_rests,
	.ends = 1u << STATE_STOPPED | 1u << STATE_FAILED,
};

bool machine_foreign(const struct machine *m)
{
	return m->object.owner.uid != geteuid();
}

int machine_kind_fd(const struct machine *m)
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

void machine_keep_dir(struct machine *m, int fd)
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

/* ---- owner ---- */

int machine_save_meta(struct machine *m, struct err *e)
{
	struct text meta = TEXT_INIT;
	int rc;

	meta_print(&m->object, &m->identity, &meta);
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
	execs_follow(m);
	return machine_save_meta(m, e);
}

/* ---- making and removing ---- */

struct machine *machine_new(enum machine_kind kind)
{
	struct machine *m = calloc(1, sizeof(*m));

	if (!m)
		return NULL;
	m->kind = kind;
	m->config.kind = kind;
	m->dirfd = -1;
	TAILQ_INIT(&m->putoffs);
	return m;
}

void machine_free(struct object *o)
{
	struct machine *m = object_machine(o);

	change_drop_all(m);
	link_free(m->link);
	cgroup_free(m->cgroup);
	event_log_free(m->object.events);
	config_free(&m->config);
	identity_free(&m->identity);
	machine_sweep_end(m);
	if (m->cleanup)
		event_free(m->cleanup);
	restart_free(m);
	ephemeral_free(m);
	machine_close_dir(m);
	free(m);
}

int machine_insert(struct machine *m, struct daemon *d, uint64_t id, const char *name,
		   struct err *e)
{
	m->object.identity = &m->identity;
	m->object.events = event_log_of(d->events, id);
	if (!m->object.events)
		return err_sys(e, ENOMEM, "%s", name);
	return object_init(&m->object, d,
			   &d->classes[m->kind == KIND_VM ? CLASS_VM : CLASS_CONTAINER],
			   d->machines[m->kind], id, name, e);
}

static int machine_store(struct machine *m, struct err *e)
{
	struct text meta = TEXT_INIT, config = TEXT_INIT;
	int rc = config_print(&m->config, &config, e), fd = -1;

	meta_print(&m->object, &m->identity, &meta);
	if (rc == 0 && text_failed(&meta))
		rc = err_sys(e, ENOMEM, "meta");
	if (rc == 0)
		rc = store_make(machine_kind_fd(m), m->object.name, &meta, "config.yaml", &config,
				&fd, e);
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
	rc = config_copy(&d->defaults[kind], &m->config, e);
	if (rc == 0)
		rc = machine_insert(m, d, id, name, e);
	if (rc < 0) {
		machine_free(&m->object);
		return rc;
	}
	identity_make(&m->identity);
	m->object.owner = (struct owner){ who.uid, who.gid, mode & 01777 };
	rc = machine_store(m, e);
	if (rc == 0)
		rc = execs_attach(m, e);
	if (rc < 0) {
		object_remove(&m->object);
		return rc;
	}
	kept_event(&m->object, "created", "");
	*ret = &m->object;
	return 0;
}

/* What a container has written may be large, and is nothing to wait for. */
static void machine_discard(const struct machine *m, const char *hidden)
{
	int kind_fd = machine_kind_fd(m);
	char layer[80];

	snprintf(layer, sizeof(layer), "%s/layer", hidden);
	if (faccessat(kind_fd, layer, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		importer_remove(m->object.daemon, kind_fd, hidden);
	else
		rmtree(kind_fd, hidden);
}

int machine_rmdir(struct object *o, struct caller who, struct err *e)
{
	struct machine *m = object_machine(o);
	char hidden[64];
	int rc;

	/* The name may have become another's, or the machine one that is to stay. */
	if (who.helper && !ephemeral_goes(m))
		return err_set(e, -EBUSY, "the machine is to stay");

	if (machine_active(m))
		return err_set(e, -EBUSY, "the machine is %s; stop it first",
			       state_words[m->state]);
	snprintf(hidden, sizeof(hidden), STORE_REMOVED "%s", m->identity.uuid);
	rc = store_hide(machine_kind_fd(m), o->name, hidden, e);
	if (rc < 0)
		return rc;
	machine_discard(m, hidden);
	link_free(m->link);
	m->link = NULL;
	link_unlink(m);
	restart_forget(m);
	ephemeral_free(m);
	waiters_fail(o);
	kept_event(o, "removed", "");
	object_remove(o);
	return 0;
}

int machine_rename(struct object *o, const char *name, struct err *e)
{
	struct machine *m = object_machine(o);
	struct text old = TEXT_INIT;
	int rc = kept_rename(o, machine_kind_fd(m), name, &old, e);

	if (rc == 0)
		kept_event(o, "renamed", text_str(&old));
	text_free(&old);
	return rc;
}

/* ---- state ---- */

static void machine_enter(struct machine *m, enum machine_state state)
{
	m->state = state;
	object_changed_by(&m->object, CHANGE_STATE);
	vcpus_settle(m);
	autostart_notice(m->object.daemon->autostart, m);
	waiters_wake(&m->object);
}

void machine_set_state(struct machine *m, enum machine_state state, const char *detail)
{
	struct text text = TEXT_INIT;

	if (m->state == state)
		return;
	text_addf(&text, "%s%s%s", state_words[state], *detail ? " " : "", detail);
	kept_event(&m->object, "state", text_str(&text));
	text_free(&text);
	machine_enter(m, state);
}

void machine_found(struct machine *m, enum machine_state state)
{
	if (event_log_told(m->object.events, "state", state_words[state]))
		machine_enter(m, state);
	else
		machine_set_state(m, state, "found");
}

void machine_cgroup_name(const struct machine *m, char buf[64])
{
	snprintf(buf, 64, "%s-%s", m->kind == KIND_VM ? "vm" : "container", m->identity.uuid);
}
