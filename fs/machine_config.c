/* The transaction by which a machine's settings change: checked, applied, made durable, swapped. */
#include <errno.h>
#include <unistd.h>

#include "backends/opener.h"
#include "backends/wire.h"
#include "fs/attr.h"
#include "fs/config_yaml.h"
#include "fs/daemon.h"
#include "fs/machine.h"
#include "fs/store.h"

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
