/* Changes that an engine has to act on: see change.h. */
#include "fs/machine/change.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backends/host/hostnodes.h"
#include "fs/attr/attr.h"
#include "fs/attr/part_type.h"
#include "fs/daemon.h"
#include "fs/log.h"
#include "fs/machine/fd_list.h"
#include "fs/machine/link.h"
#include "fs/machine/machine_files.h"
#include "fs/machine/numa_cpus.h"
#include "fs/machine/part.h"
#include "fs/store/config_yaml.h"

#define RMDIR_SECONDS 3

struct config_change {
	struct machine *machine;
	struct machine_config next;
	bool restores; /* next is what is durable already */
	struct request *request;
	bool has_own;
	struct part_ref own;
	char own_name[64];
	struct text document;
	struct event *limit; /* of an rmdir, or NULL */
};

/* What waits for its turn: a write, an rmdir, or a document. */
struct putoff {
	TAILQ_ENTRY(putoff) link;
	struct machine *machine;
	struct request *request; /* NULL: nobody waits */
	struct handle *handle;	 /* of a write */
	uint64_t object;	 /* of rmdir: its id, else 0 */
	struct text data;	 /* of a write and of a document */
	struct caller who;
};

static void change_free(struct config_change *c)
{
	if (!c)
		return;
	if (!c->restores)
		config_free(&c->next);
	text_free(&c->document);
	if (c->limit)
		event_free(c->limit);
	free(c);
}

/* ---- the monitor is told ---- */

static void change_cancel(struct request *r)
{
	((struct config_change *)r->parked)->request = NULL;
}

/* As a VM was told it at its start. */
static int change_print(const struct machine_config *config, struct text *out, struct err *e)
{
	struct machine_config c;
	int rc = config_copy(config, &c, e);

	if (rc < 0)
		return rc;
	if (c.kind == KIND_VM)
		rc = numa_cpus_complete(&c, HOST_NODES, e);
	if (rc == 0)
		rc = config_print_complete(&c, out, e);
	config_free(&c);
	return rc;
}

static int change_send(struct config_change *c, const struct machine_config *config,
		       const struct machine_config *open, struct err *e)
{
	struct machine *m = c->machine;
	struct wire_configure w = { .tag = config_tag(config) };
	struct text text = TEXT_INIT;
	struct fd_list fds = { 0 };
	int rc = change_print(config, &text, e);

	if (rc == 0 && text.len > WIRE_CONFIG_MAX)
		rc = err_set(e, -EINVAL, "the whole configuration would be larger than %u bytes",
			     WIRE_CONFIG_MAX);
	if (rc == 0)
		rc = fd_list_add_parts(&fds, m, config, open, e);
	if (rc == 0)
		rc = link_configure(m->link, c, &w, &text, &fds, e);
	fd_list_close(&fds);
	text_free(&text);
	return rc;
}

/* During an rmdir the kernel lets nobody else into the directory: it must not last. */
static void on_limit(int fd, short what, void *arg)
{
	struct config_change *c = arg;
	struct request *r = c->request;
	struct err e = { 0 };

	if (!r)
		return;
	c->request = NULL;
	r->parked = NULL;
	err_set(&e, -EBUSY,
		"%s/%s: the monitor has not answered for %d s; it goes when the monitor lets it go",
		part_type(c->own.kind)->dir, c->own_name, RMDIR_SECONDS);
	object_refuse(&c->machine->object, &e);
	request_finish(r, -EBUSY, &e);
}

static void change_limit(struct config_change *c)
{
	const struct timeval limit = { .tv_sec = RMDIR_SECONDS };

	c->limit = evtimer_new(c->machine->object.daemon->loop, on_limit, c);
	if (c->limit)
		evtimer_add(c->limit, &limit);
}

int change_begin(struct machine *m, struct machine_config *next, struct request *r,
		 const struct part_ref *own, const struct text *document, struct err *e)
{
	struct config_change *c = calloc(1, sizeof(*c));
	int rc;

	if (!c)
		return err_sys(e, ENOMEM, "configuration");
	c->machine = m;
	c->restores = true; /* next is not ours yet */
	if (own) {
		c->has_own = true;
		c->own = *own;
		snprintf(c->own_name, sizeof(c->own_name), "%s", own->name);
		c->own.name = c->own_name;
	}
	if (document)
		text_add(&c->document, text_str(document));
	rc = change_send(c, next, &m->config, e);
	if (rc < 0) {
		change_free(c);
		return rc;
	}
	c->next = *next;
	c->restores = false;
	c->request = r;
	m->change = c;
	if (r) {
		r->parked = c;
		r->brief = true;
		r->cancel = change_cancel;
	}
	if (r && !r->handle)
		change_limit(c);
	return NODE_PARKED;
}

void change_restore(struct machine *m)
{
	struct config_change *c = calloc(1, sizeof(*c));
	struct err e = { 0 };

	if (!c)
		return;
	c->machine = m;
	c->restores = true;
	m->change = c;
	if (change_send(c, &m->config, NULL, &e) < 0) {
		m->change = NULL;
		change_free(c);
		object_refuse(&m->object, &e);
	}
}

void change_add_part(struct config_change *c, enum part_kind kind, const char *name)
{
	if (!c->restores && !parts_find(&c->next.parts[kind], name))
		parts_add(&c->next.parts[kind], kind, name, NULL, NULL);
}

/* ---- its answer ---- */

static void change_tell(struct config_change *c, int rc, struct err *e)
{
	struct request *r = c->request;
	struct machine *m = c->machine;
	bool noted = false;

	if (rc < 0 && c->document.len) {
		struct text line = TEXT_INIT;

		text_addf(&line, "%s %s\n", err_name(rc), e->text);
		machine_refuse_document(m, &c->document, text_str(&line));
		text_free(&line);
		noted = true;
	}
	if (rc < 0 && r && !r->handle)
		object_refuse(&m->object, e);
	if (r) {
		r->noted = noted;
		r->parked = NULL;
		request_finish(r, rc, e);
	} else if (rc < 0 && !noted) {
		object_refuse(&m->object, e);
	}
}

static void change_put_offs(struct machine *m);

void change_answered(struct config_change *c, int rc, const struct err *e)
{
	struct machine *m = c->machine;
	struct err why = e ? *e : (struct err){ 0 };

	if (!m) {
		if (c->request)
			request_finish(c->request, rc ? rc : -ESTALE, &why);
		change_free(c);
		return;
	}
	m->change = NULL;
	/* No engine is left that has to act on it: it holds from the next start on. */
	if (rc < 0 && !m->link && !c->restores)
		rc = 0;
	if (rc == 0 && !c->restores) {
		/* Whose client has gone, his kernel is to be told of what it does not expect. */
		rc = machine_adopt(m, &c->next, c->has_own && c->request ? &c->own : NULL, &why);
		if (rc < 0 && m->link)
			change_restore(m);
		else
			c->restores = rc == 0; /* next is the machine's */
	}
	change_tell(c, rc, &why);
	change_free(c);
	change_put_offs(m);
}

/* ---- what is put off ---- */

static void putoff_free(struct putoff *p)
{
	text_free(&p->data);
	free(p);
}

static void putoff_cancel(struct request *r)
{
	struct putoff *p = r->parked;

	TAILQ_REMOVE(&p->machine->putoffs, p, link);
	putoff_free(p);
}

static int putoff_add(struct machine *m, const struct putoff *what, struct err *e)
{
	struct putoff *p = malloc(sizeof(*p));

	if (!p)
		return err_sys(e, ENOMEM, "configuration");
	*p = *what;
	p->machine = m;
	TAILQ_INSERT_TAIL(&m->putoffs, p, link);
	if (p->request) {
		p->request->parked = p;
		p->request->brief = true;
		p->request->cancel = putoff_cancel;
	}
	return NODE_PARKED;
}

int change_put_off_write(struct machine *m, struct handle *h, struct request *r, const char *data,
			 size_t len, struct err *e)
{
	struct putoff p = { .request = r, .handle = h };
	int rc;

	text_add_bytes(&p.data, data, len);
	rc = text_failed(&p.data) ? err_sys(e, ENOMEM, "%s", h->file->name) : putoff_add(m, &p, e);
	if (rc < 0)
		text_free(&p.data);
	return rc;
}

int change_put_off_rmdir(struct machine *m, struct object *o, struct request *r, struct err *e)
{
	struct putoff p = { .request = r, .object = o->id };

	return putoff_add(m, &p, e);
}

int change_put_off_document(struct machine *m, struct text *document, struct caller who,
			    struct err *e)
{
	struct putoff p = { .data = *document, .who = who };
	int rc = putoff_add(m, &p, e);

	if (rc == NODE_PARKED)
		*document = (struct text)TEXT_INIT;
	return rc;
}

static int putoff_run(struct putoff *p, struct err *e)
{
	struct object *o;

	if (p->handle && p->handle->object->gone)
		return err_set(e, -ESTALE, "%s: the object was removed", p->handle->file->name);
	if (p->handle)
		return p->handle->file->write(p->handle, p->request, p->data.data, p->data.len, e);
	if (!p->object)
		return machine_put_document(p->machine, &p->data, p->who, NULL, e);
	o = object_find(p->machine->object.daemon, p->object);
	return o ? o->class->unplug(o, p->request, e) : err_set(e, -ESTALE, "it was removed");
}

static void putoff_do(struct putoff *p)
{
	struct request *r = p->request;
	struct err e = { 0 };
	int rc;

	if (r) {
		r->parked = NULL;
		r->cancel = NULL;
	}
	rc = putoff_run(p, &e);
	if (rc != NODE_PARKED && r)
		request_finish(r, rc, &e);
	putoff_free(p);
}

static void change_put_offs(struct machine *m)
{
	struct putoff *p;

	while (!m->change && (p = TAILQ_FIRST(&m->putoffs))) {
		TAILQ_REMOVE(&m->putoffs, p, link);
		putoff_do(p);
	}
}

void change_drop_all(struct machine *m)
{
	struct putoff *p;
	struct err e = { 0 };

	if (m->change)
		m->change->machine = NULL; /* the link answers it */
	m->change = NULL;
	err_set(&e, -ESTALE, "the machine was removed");
	while ((p = TAILQ_FIRST(&m->putoffs))) {
		TAILQ_REMOVE(&m->putoffs, p, link);
		if (p->request)
			request_finish(p->request, -ESTALE, &e);
		putoff_free(p);
	}
}
