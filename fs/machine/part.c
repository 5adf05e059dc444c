/* Parts of machines in the tree: see part.h. */
#include "fs/machine/part.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fs/attr/attr_files.h"
#include "fs/attr/part_type.h"
#include "fs/daemon.h"
#include "fs/machine/change.h"
#include "fs/machine/link.h"
#include "fs/store/meta.h"

static struct machine *part_machine(const struct object *o)
{
	return object_machine(o->parent);
}

/* The part as it stands in a configuration, which has it. */
static struct part *part_in(struct object *o, const struct machine_config *c)
{
	return parts_find(&c->parts[object_part(o)->kind], o->name);
}

static bool is_part(const struct object *o)
{
	const struct class *first = o->daemon->part_classes;

	return o->class >= first && o->class < first + PART_KINDS;
}

/* ---- objects ---- */

static struct object *part_find(const struct machine *m, enum part_kind kind, const char *name)
{
	const struct file *in = class_file(m->object.class, part_type(kind)->dir);

	return object_child_in(&m->object, in, name);
}

static int part_new(struct machine *m, enum part_kind kind, const char *name, uint64_t id,
		    struct part_object **ret, struct err *e)
{
	struct daemon *d = m->object.daemon;
	struct part_object *p = calloc(1, sizeof(*p));
	int rc;

	if (!p)
		return err_sys(e, ENOMEM, "%s/%s", part_type(kind)->dir, name);
	p->kind = kind;
	p->object.in = class_file(m->object.class, part_type(kind)->dir);
	rc = object_init(&p->object, d, &d->part_classes[kind], &m->object, id, name, e);
	if (rc < 0)
		free(p);
	else
		*ret = p;
	return rc;
}

static bool part_is(const struct part_ref *own, int kind, const char *name)
{
	return own && (int)own->kind == kind && !strcmp(own->name, name);
}

/* Of who has made it, which is no news where he owns the directory. */
static void part_own(struct object *o, const struct part_ref *own)
{
	struct owner now = node_owner(node_of(o));

	o->owner.mode = own->mode & 01777;
	if (own->who.uid == now.uid && own->who.gid == now.gid)
		return;
	o->owner.uid = own->who.uid;
	o->owner.gid = own->who.gid;
	o->follows = false;
}

int parts_make(struct machine *m, const struct machine_config *c, const struct part_ref *own,
	       bool *ret_made, struct err *e)
{
	bool made = false;
	int rc = 0;

	for (int k = 0; rc == 0 && k < PART_KINDS; k++)
		for (size_t i = 0; rc == 0 && i < c->parts[k].n; i++) {
			const char *name = c->parts[k].list[i].name;
			struct part_object *o;
			uint64_t id;

			if (part_find(m, (enum part_kind)k, name))
				continue;
			id = daemon_new_id(m->object.daemon, e);
			rc = id ? part_new(m, (enum part_kind)k, name, id, &o, e) : e->code;
			if (rc == 0 && part_is(own, k, name))
				part_own(&o->object, own);
			made = true;
		}
	if (rc < 0)
		parts_drop(m, &m->config, NULL, true);
	else
		*ret_made = made;
	return rc;
}

void parts_appear(struct machine *m, const struct machine_config *next, const struct part_ref *own)
{
	for (int k = 0; k < PART_KINDS; k++)
		for (size_t i = 0; i < next->parts[k].n; i++) {
			const char *name = next->parts[k].list[i].name;

			if (!parts_find(&m->config.parts[k], name) && !part_is(own, k, name))
				object_appear(part_find(m, (enum part_kind)k, name));
		}
}

void parts_drop(struct machine *m, const struct machine_config *c, const struct part_ref *own,
		bool quiet)
{
	for (size_t i = m->object.nchildren; i-- > 0;) {
		struct object *o = m->object.children[i];

		if (!is_part(o) || part_in(o, c))
			continue;
		if (quiet || part_is(own, object_part(o)->kind, o->name))
			object_remove(o);
		else
			object_vanish(o);
	}
}

void parts_tell(struct machine *m, const struct machine_config *next)
{
	for (size_t i = 0; i < m->object.nchildren; i++) {
		struct object *o = m->object.children[i];
		const struct part *now, *then;
		const struct attr *a;

		if (!is_part(o))
			continue;
		now = part_in(o, &m->config);
		then = part_in(o, next);
		for (size_t n = 0; now && then; n++) {
			a = schema_attr(&part_type(object_part(o)->kind)->schema, n);
			if (!a)
				break;
			if (!attr_equal(a, now, then))
				object_changed(o, a->name);
		}
	}
}

void parts_load(struct machine *m, const char *lines)
{
	struct meta_part p;

	while (meta_next_part(&lines, &p)) {
		int kind = part_kind_find(m->kind, p.dir);
		struct part_object *o;

		/* A daemon that was killed may have left lines of what it did not come to keep. */
		if (kind < 0 || !parts_find(&m->config.parts[kind], p.name) ||
		    part_find(m, (enum part_kind)kind, p.name) ||
		    object_find(m->object.daemon, p.id) ||
		    part_new(m, (enum part_kind)kind, p.name, p.id, &o, NULL) < 0)
			continue;
		o->object.owner = p.owner;
		o->object.follows = p.follows;
	}
}

/* ---- what users do with them ---- */

/* A change of the machine's configuration: `next` is a copy of it, and taken over or freed. */
static int part_configure(struct machine *m, struct machine_config *next, struct request *r,
			  struct caller who, const struct part_ref *own, struct err *e)
{
	struct machine_edit edit = { .who = who, .own = own };
	int rc = machine_configure(m, next, r, &edit, e);

	if (rc < 0)
		config_free(next);
	return rc;
}

static int part_copy(struct machine *m, struct machine_config *next, struct err *e)
{
	if (m->broken.code)
		return err_set(e, -EIO, "%s; write config.yaml anew", m->broken.text);
	return config_copy(&m->config, next, e);
}

static int part_mkdir(struct object *o, const struct file *f, const char *name, struct caller who,
		      mode_t mode, struct object **ret, struct err *e)
{
	struct machine *m = object_machine(o);
	struct part_ref own = { (enum part_kind)part_kind_find(m->kind, f->name), name, who, mode };
	struct machine_config next;
	int rc;

	if (!part_name_valid(own.kind, name))
		return err_set(e, -EINVAL, "%s: \"%s\" is not a name: they are numbers from 0 on",
			       f->name, name);
	rc = part_copy(m, &next, e);
	if (rc < 0)
		return rc;
	rc = parts_add(&next.parts[own.kind], own.kind, name, NULL, e);
	if (rc < 0) {
		config_free(&next);
		return rc;
	}
	rc = part_configure(m, &next, NULL, who, &own, e);
	if (rc < 0)
		return rc;
	*ret = part_find(m, own.kind, name);
	/* What is under way begins from what was before it. */
	if (m->change)
		change_add_part(m->change, own.kind, name);
	return 0;
}

static int part_unplug(struct object *o, struct request *r, struct err *e)
{
	struct machine *m = part_machine(o);
	struct part_ref own = { object_part(o)->kind, o->name, r->who, 0 };
	struct machine_config next;
	int rc;

	if (m->change)
		return change_put_off_rmdir(m, o, r, e);
	rc = part_copy(m, &next, e);
	if (rc < 0)
		return rc;
	parts_remove(&next.parts[own.kind], own.kind, own.name);
	return part_configure(m, &next, r, r->who, &own, e);
}

static int part_rename(struct object *o, const char *name, struct err *e)
{
	struct machine *m = part_machine(o);
	enum part_kind kind = object_part(o)->kind;
	struct machine_edit edit = { 0 };
	size_t foreign = m->identity.foreign.len;
	struct machine_config next;
	char old[64];
	int rc;

	if (machine_active(m))
		return err_set(e, -EBUSY, "%s/%s: it cannot be renamed while the machine is %s",
			       part_type(kind)->dir, o->name, state_words[m->state]);
	if (!part_name_valid(kind, name))
		return err_set(e, -EINVAL, "%s: \"%s\" is not a name: they are numbers from 0 on",
			       part_type(kind)->dir, name);
	rc = part_copy(m, &next, e);
	if (rc < 0)
		return rc;
	memcpy(old, part_in(o, &next)->name, sizeof(old));
	snprintf(part_in(o, &next)->name, sizeof(old), "%s", name);
	/* Whichever of the two names a crash leaves in the configuration, meta has both. */
	meta_print_part(o, &m->identity.foreign);
	rc = object_set_name(o, name, e);
	if (rc == 0)
		rc = machine_save_meta(m, e);
	if (rc == 0)
		rc = machine_configure(m, &next, NULL, &edit, e);
	text_cut(&m->identity.foreign, foreign);
	if (rc < 0) {
		config_free(&next);
		object_set_name(o, old, NULL);
	}
	machine_save_meta(m, NULL);
	return rc;
}

static int part_chown(struct object *o, struct err *e)
{
	return machine_save_meta(part_machine(o), e);
}

static void part_free(struct object *o)
{
	free(o);
}

/* ---- files ---- */

static void show_setting(struct object *o, const struct file *f, struct text *out)
{
	attr_show(f->attr, part_in(o, &part_machine(o)->config), out);
}

static void show_file(struct object *o, const struct file *f, struct text *out)
{
	const struct machine *m = part_machine(o);

	for (const struct part_file *p = part_type(object_part(o)->kind)->files; p->name; p++)
		if (!strcmp(p->name, f->name))
			p->show(m, part_in(o, &m->config), out);
}

static int write_setting(struct handle *h, struct request *r, const char *data, size_t len,
			 struct err *e)
{
	struct object *o = h->object;
	struct machine *m = part_machine(o);
	struct machine_config next;
	int rc;

	if (m->change)
		return change_put_off_write(m, h, r, data, len, e);
	rc = part_copy(m, &next, e);
	if (rc < 0)
		return rc;
	rc = attr_store(h->file->attr, part_in(o, &next), data, len, e);
	if (rc < 0) {
		config_free(&next);
		return err_prefix(e, "%s/%s/", o->in->name, o->name);
	}
	return part_configure(m, &next, r, r->who, NULL, e);
}

void part_show_counters(const struct machine *m, enum part_kind kind, const struct part *part,
			struct text *out)
{
	const char *const *names = part_type(kind)->counters;
	uint64_t n[ENGINE_PART_COUNTERS];

	if (!m->link || !link_part_counters(m->link, kind, part->name, n))
		return;
	for (int i = 0; names[i]; i++)
		text_addf(out, "%s %llu\n", names[i], (unsigned long long)n[i]);
}

struct file part_dir(enum part_kind kind)
{
	return (struct file){
		.name = part_type(kind)->dir,
		.mode = 0755,
		.kind = FILE_DIR,
		.changes = CHANGE_CONFIG,
		.mkdir = part_mkdir,
		.doc = part_type(kind)->doc,
	};
}

int part_class(enum part_kind kind, struct class *ret, struct err *e)
{
	static const struct part_file none[1];
	const struct part_file *files = part_type(kind)->files ? part_type(kind)->files : none;
	const struct schema *schema = &part_type(kind)->schema;
	size_t n = 0;

	*ret = (struct class){
		.name = part_type(kind)->dir,
		.mode = 0755,
		.unplug = part_unplug,
		.rename = part_rename,
		.chown = part_chown,
		.free = part_free,
	};
	while (files[n].name)
		n++;
	ret->files = calloc(schema_count(schema) + n, sizeof(*ret->files));
	if (!ret->files)
		return err_sys(e, ENOMEM, "files");
	attr_files(ret, schema,
		   &(struct file){ .mode = 0644, .show = show_setting, .write = write_setting });
	for (; files->name; files++)
		ret->files[ret->nfiles++] = (struct file){
			.name = files->name,
			.mode = 0444,
			.show = show_file,
			.doc = files->doc,
		};
	return 0;
}
