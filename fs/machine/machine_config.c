/* The transaction by which a machine's settings change: checked, applied, made durable, swapped. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "backends/host/opener.h"
#include "backends/monitor/wire.h"
#include "fs/attr/part_type.h"
#include "fs/daemon.h"
#include "fs/image/image.h"
#include "fs/machine/change.h"
#include "fs/machine/machine.h"
#include "fs/machine/part.h"
#include "fs/machine/vcpu.h"
#include "fs/store/config_yaml.h"
#include "fs/store/store.h"

static enum hostpath_kind path_kind(const struct attr *a, const void *base)
{
	if (a->flags & ATTR_DISK_PATH)
		return ((const struct part *)base)->disk.readonly ? HOSTPATH_DISK_READONLY
								  : HOSTPATH_DISK;
	return a->flags & ATTR_DIR_PATH	     ? HOSTPATH_DIRECTORY
	       : a->flags & ATTR_ANY_PATH    ? HOSTPATH_ANY
	       : a->flags & ATTR_NODE_PATH   ? HOSTPATH_NODE
	       : a->flags & ATTR_SOURCE_PATH ? HOSTPATH_SOURCE
	       : a->flags & ATTR_SINK_PATH   ? HOSTPATH_SINK
					     : HOSTPATH_FILE;
}

/* A setting's path, to be opened as the machine's owner; false where it names none. */
static bool path_of(const struct machine *m, const void *base, const struct attr *a,
		    const char *prefix, char what[96], struct hostpath *ret)
{
	*ret = (struct hostpath){
		.path = *(char **)attr_field(a, base),
		.kind = path_kind(a, base),
		.what = what,
		.uid = m->object.owner.uid,
		.gid = m->object.owner.gid,
		.avoid = m->object.daemon->own_dev,
	};
	snprintf(what, 96, "%s%s", prefix, a->name);
	/* With a number there is no such node on the host. */
	if (a->flags & ATTR_NODE_PATH && ((const struct part *)base)->device.number.type)
		return false;
	return ret->path && *ret->path == '/'; /* else unset, or a word in its place */
}

int machine_open_path(const struct machine *m, const void *base, const struct attr *a,
		      const char *prefix, int *ret_fd, struct err *e)
{
	struct hostpath p;
	char what[96];

	*ret_fd = -1;
	return path_of(m, base, a, prefix, what, &p)
		       ? opener_open(m->object.daemon->opener, &p, ret_fd, e)
		       : 0;
}

static int check_path(const struct machine *m, const struct attr *a, const void *base,
		      const char *prefix, struct err *e)
{
	const char *image = image_named(*(char **)attr_field(a, base));
	struct image *found;
	struct hostpath p;
	char what[96];

	if (image)
		return image_find(m, image, a->name, &found, e);
	return path_of(m, base, a, prefix, what, &p) ? opener_check(m->object.daemon->opener, &p, e)
						     : 0;
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

/* Which device that is, nobody's rights on a node say. */
static int check_numbers(const struct machine *m, const struct machine_config *c, struct err *e)
{
	const struct parts *devices = &c->parts[PART_DEVICE];

	for (size_t i = 0; i < devices->n; i++) {
		const struct part *p = &devices->list[i],
				  *was = parts_find(&m->config.parts[PART_DEVICE], p->name);
		const struct device_number *n = &p->device.number;

		if (n->type &&
		    !(was && was->device.number.type == n->type &&
		      was->device.number.major == n->major && was->device.number.minor == n->minor))
			return err_set(e, -EPERM, "device/%s/number: only root may say it",
				       p->name);
	}
	return 0;
}

/* A number among all of the host's, by which every user reaches the guest: the host's to give. */
static int check_vsock(const struct machine *m, const struct machine_config *c, struct caller who,
		       struct err *e)
{
	const struct vm_config *now = &m->config.vm, *next = &c->vm;

	if (!next->vsock_vhost || who.uid == 0 || who.uid == geteuid() ||
	    (now->vsock_vhost && now->vsock_cid == next->vsock_cid))
		return 0;
	return err_set(e, -EPERM, "%s: only root may say which of the host's numbers it has",
		       now->vsock_vhost ? "vsock.cid" : "vsock.vhost");
}

/* What only root may ask for, whoever owns the machine. */
static int check_authority(const struct machine *m, const struct machine_config *c,
			   struct caller who, struct err *e)
{
	static const char *const roots[] = { "paths.masked", "paths.readonly", "apparmor",
					     "selinux", "selinux.files" };
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
	if (c->kind == KIND_VM)
		return check_vsock(m, c, who, e);
	if (who.uid == 0 && own->uid == 0)
		return 0;
	if (strcmp(c->container.seccomp, m->config.container.seccomp) != 0) {
		if (!strcmp(c->container.seccomp, "none"))
			return err_set(e, -EPERM, "seccomp: only root may do without a filter");
		if (own->uid == 0)
			return err_set(e, -EPERM, "seccomp: only root may change root's");
	}
	for (size_t i = 0; i < sizeof(roots) / sizeof(roots[0]); i++)
		if (!attr_equal(attr_find(KIND_CONTAINER, roots[i]), &m->config, c))
			return err_set(e, -EPERM, "%s: only root may change it", roots[i]);
	if (check_numbers(m, c, e) < 0)
		return e->code;
	if (c->container.oom_score < 0 && m->config.container.oom_score >= 0)
		return err_set(e, -EPERM, "oom.score: less than 0 is for root's only");
	if (c->container.nice < 0 && m->config.container.nice >= 0)
		return err_set(e, -EPERM, "cpu.nice: less than 0 is for root's only");
	if (attr_equal(attr_find(KIND_CONTAINER, "user.map"), &m->config, c))
		return 0;
	return opener_check_map(m->object.daemon->opener, &c->container.user_map, own->uid,
				own->gid, e);
}

/* One more refusal; the first one is the operation's. */
static void check_refuse(struct err *first, struct text *all, const struct err *why)
{
	if (!first->code)
		*first = *why;
	if (all)
		text_addf(all, "%s %s\n", err_name(why->code), why->text);
}

/* What is checked of a change: the machine's settings, and those of its parts, one by one. */
struct check {
	const struct machine *m;
	struct err first; /* the operation's refusal */
	struct text *all; /* a line for each, or NULL */
};

static void check_setting(struct check *c, const struct attr *a, const void *next,
			  const char *prefix, bool live)
{
	struct err why = { 0 };

	if (!live && machine_active(c->m))
		err_set(&why, -EBUSY, "%s%s: cannot change while the machine is %s", prefix,
			a->name, state_words[c->m->state]);
	else if (a->flags & ATTR_PATH)
		check_path(c->m, a, next, prefix, &why);
	if (why.code)
		check_refuse(&c->first, c->all, &why);
}

/* What is not there for the engine yet may change as it likes. */
static void check_part(struct check *c, enum part_kind kind, const struct part *next)
{
	const struct part_type *type = part_type(kind);
	const struct part *now = parts_find(&c->m->config.parts[kind], next->name);
	bool there = now && part_complete(kind, now);
	struct err why = { 0 };
	const struct attr *a;
	char prefix[80];

	snprintf(prefix, sizeof(prefix), "%s/%s/", type->dir, next->name);
	for (size_t i = 0; (a = schema_attr(&type->schema, i)); i++)
		if (!now || !attr_equal(a, now, next))
			check_setting(c, a, next, prefix, !there || a->flags & ATTR_LIVE);
	if (!now && type->fixed && machine_active(c->m)) {
		err_set(&why, -EBUSY, "%s/%s: none can be added while the machine is %s", type->dir,
			next->name, state_words[c->m->state]);
		check_refuse(&c->first, c->all, &why);
	}
}

static void check_parts(struct check *c, enum part_kind kind, const struct machine_config *next)
{
	const struct part_type *type = part_type(kind);
	const struct parts *now = &c->m->config.parts[kind];
	struct err why = { 0 };

	for (size_t i = 0; i < next->parts[kind].n; i++)
		check_part(c, kind, &next->parts[kind].list[i]);
	for (size_t i = 0; type->fixed && machine_active(c->m) && i < now->n; i++)
		if (!parts_find(&next->parts[kind], now->list[i].name)) {
			err_set(&why, -EBUSY, "%s/%s: none can be removed while the machine is %s",
				type->dir, now->list[i].name, state_words[c->m->state]);
			check_refuse(&c->first, c->all, &why);
		}
}

int machine_limit(struct machine *m, const struct machine_config *c,
		  const struct machine_config *old, struct err *e)
{
	return m->cgroup ? cgroup_limit(m->cgroup, c, old, e) : 0;
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
	struct check c = { .m = m, .all = all };
	struct err why = { 0 };
	const struct attr *a;

	if (check_authority(m, next, who, &why) < 0)
		check_refuse(&c.first, all, &why);
	for (size_t i = 0; (a = schema_attr(machine_schema(m->kind), i)); i++)
		if (!attr_equal(a, &m->config, next))
			check_setting(&c, a, next, "", a->flags & ATTR_LIVE);
	for (int k = 0; k < PART_KINDS; k++)
		check_parts(&c, (enum part_kind)k, next);
	if (!c.first.code && machine_dir(m) < 0) {
		err_set(&why, -EIO, "its state directory cannot be read; remove the machine");
		check_refuse(&c.first, all, &why);
	}
	return c.first.code ? err_set(e, c.first.code, "%s", c.first.text) : 0;
}

/* Whoever keeps something of a setting that is about to change learns of it. */
static void config_tell(struct machine *m, const struct machine_config *next)
{
	const struct attr *a;

	for (size_t i = 0; (a = schema_attr(machine_schema(m->kind), i)); i++)
		if (!attr_equal(a, &m->config, next))
			object_changed(&m->object, a->name);
	parts_tell(m, next);
	object_changed(&m->object, "config.yaml");
}

/* Durable, or as it was. New parts have objects, and meta their ids, before there is a part. */
static int config_keep(struct machine *m, const struct machine_config *next,
		       const struct part_ref *own, struct err *e)
{
	bool made = false;
	int rc = parts_make(m, next, own, &made, e);

	if (rc < 0)
		return rc;
	if (made || m->broken.code)
		rc = machine_save_meta(m, e);
	if (rc == 0) {
		rc = config_save(m, next, e);
		/* It may have got as far as its name. */
		if (rc < 0 && rc != -EINVAL && !m->broken.code)
			config_save(m, &m->config, NULL);
	}
	if (rc < 0)
		parts_drop(m, &m->config, NULL, true);
	return rc;
}

static void config_swap(struct machine *m, struct machine_config *next, const struct part_ref *own)
{
	size_t parts = m->object.nparts;

	config_tell(m, next);
	parts_appear(m, next, own);
	config_free(&m->config);
	m->config = *next;
	parts_drop(m, &m->config, own, false);
	/* What is left of them in meta is of no use, and does no harm. */
	if (m->object.nparts != parts)
		machine_save_meta(m, NULL);
	if (m->broken.code) {
		m->broken = (struct err){ 0 };
		machine_set_state(m, STATE_STOPPED, "");
	}
	vcpus_settle(m);
	restart_configured(m);
	ephemeral_configured(m);
}

int machine_adopt(struct machine *m, struct machine_config *next, const struct part_ref *own,
		  struct err *e)
{
	int rc = 0;

	if (machine_active(m))
		rc = machine_limit(m, next, &m->config, e);
	if (rc == 0)
		rc = config_keep(m, next, own, e);
	if (rc < 0) {
		/* Back to what it was; what cannot be set back was not set either. */
		if (machine_active(m))
			machine_limit(m, &m->config, next, NULL);
		return rc;
	}
	config_swap(m, next, own);
	return 0;
}

int machine_configure(struct machine *m, struct machine_config *next, struct request *r,
		      const struct machine_edit *edit, struct err *e)
{
	int rc;

	if (!m->broken.code && config_equal(&m->config, next)) {
		config_free(next);
		return 0;
	}
	rc = machine_check(m, next, edit->who, edit->all, e);
	if (rc < 0)
		return rc;
	if (machine_active(m) && m->link && config_tag(next) != config_tag(&m->config))
		return change_begin(m, next, r, edit->own, edit->document, e);
	return machine_adopt(m, next, edit->own, e);
}
