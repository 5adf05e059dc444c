/* Attributes as rows: what holds for every type. See attr.h. */
#include "fs/attr/attr.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fs/attr/part_type.h"

static const struct schema machine_schemas[] = {
	[KIND_VM] = { "VM", sizeof(struct machine_config), { &machine_attrs, &vm_attrs } },
	[KIND_CONTAINER] = { "container",
			     sizeof(struct machine_config),
			     { &machine_attrs, &container_attrs } },
};

/* ---- which there are ---- */

const struct schema *machine_schema(enum machine_kind kind)
{
	return &machine_schemas[kind];
}

const struct attr *schema_attr(const struct schema *s, size_t i)
{
	for (int t = 0; t < 2 && s->tables[t]; t++) {
		if (i < s->tables[t]->n)
			return &s->tables[t]->rows[i];
		i -= s->tables[t]->n;
	}
	return NULL;
}

size_t schema_count(const struct schema *s)
{
	size_t n = 0;

	while (schema_attr(s, n))
		n++;
	return n;
}

const struct attr *schema_find(const struct schema *s, const char *name)
{
	const struct attr *a;

	for (size_t i = 0; (a = schema_attr(s, i)); i++)
		if (!strcmp(a->name, name))
			return a;
	return NULL;
}

/* ---- one value ---- */

static int field_copy(const struct attr *a, const void *from, void *to)
{
	if (a->type->copy)
		return a->type->copy(from, to);
	memcpy(to, from, a->type->size);
	return 0;
}

static void field_free(const struct attr *a, void *field)
{
	if (a->type->free)
		a->type->free(field);
	memset(field, 0, a->type->size);
}

/* Largest of the field types: a copy to try an update on. */
union field {
	uint64_t number;
	struct keyed keyed;
	struct id_map map;
	struct cpu_max cpu_max;
	struct cpu_topology topology;
	char *string;
	struct part part; /* larger than any field of it */
};

static int line_store(const struct attr *a, const char *line, size_t len, void *field,
		      struct err *e)
{
	char *copy;
	int rc;

	if (memchr(line, '\0', len))
		return err_set(e, -EINVAL, "a NUL byte is not text");
	copy = strndup(line, len);
	if (!copy)
		return err_sys(e, ENOMEM, "no memory");
	rc = a->type->parse(a, copy, field, e);
	free(copy);
	return rc;
}

static int lines_store(const struct attr *a, const char *data, size_t len, void *field,
		       struct err *e)
{
	const char *end = data + len;
	int lines = 0;

	do {
		const char *nl = memchr(data, '\n', (size_t)(end - data));
		const char *stop = nl ? nl : end;
		int rc;

		if (lines++ && !a->type->separator)
			return err_set(e, -EINVAL, "a value is one line");
		rc = line_store(a, data, (size_t)(stop - data), field, e);
		if (rc < 0)
			return rc;
		data = nl ? nl + 1 : end;
	} while (data < end);
	return 0;
}

int attr_store(const struct attr *a, void *base, const char *data, size_t len, struct err *e)
{
	union field next;
	int rc;

	if (len > ATTR_VALUE_MAX)
		return err_set(e, -EINVAL, "%s: more than %d bytes", a->name, ATTR_VALUE_MAX);
	if (field_copy(a, attr_field(a, base), &next) < 0)
		return err_sys(e, ENOMEM, "%s", a->name);
	rc = lines_store(a, data, len, &next, e);
	if (rc < 0) {
		field_free(a, &next);
		err_prefix(e, "%s: ", a->name);
		return rc;
	}
	field_free(a, attr_field(a, base));
	memcpy(attr_field(a, base), &next, a->type->size);
	return 0;
}

void attr_show(const struct attr *a, const void *base, struct text *out)
{
	a->type->print(a, attr_field(a, base), out);
}

bool attr_equal(const struct attr *a, const void *x, const void *y)
{
	struct text tx = TEXT_INIT, ty = TEXT_INIT;
	bool same;

	if (!memcmp(attr_field(a, x), attr_field(a, y), a->type->size))
		return true;
	if (a->type->equal)
		return a->type->equal(attr_field(a, x), attr_field(a, y));
	attr_show(a, x, &tx);
	attr_show(a, y, &ty);
	same = !strcmp(text_str(&tx), text_str(&ty));
	text_free(&tx);
	text_free(&ty);
	return same;
}

/* ---- all of an object's ---- */

int schema_init(const struct schema *s, void *base, struct err *e)
{
	const struct attr *a;
	int rc = 0;

	for (size_t i = 0; (a = schema_attr(s, i)); i++)
		memset(attr_field(a, base), 0, a->type->size);
	for (size_t i = 0; rc == 0 && (a = schema_attr(s, i)); i++) {
		const char *initial = a->initial ? a->initial : "";

		if (!a->type->separator)
			rc = line_store(a, initial, strlen(initial), attr_field(a, base), e);
		if (rc < 0)
			err_prefix(e, "%s: ", a->name);
	}
	if (rc < 0)
		schema_free(s, base);
	return rc;
}

int schema_copy(const struct schema *s, const void *from, void *to, struct err *e)
{
	const struct attr *a;

	for (size_t i = 0; (a = schema_attr(s, i)); i++)
		memset(attr_field(a, to), 0, a->type->size);
	for (size_t i = 0; (a = schema_attr(s, i)); i++) {
		if (field_copy(a, attr_field(a, from), attr_field(a, to)) < 0) {
			schema_free(s, to);
			return err_sys(e, ENOMEM, "configuration");
		}
	}
	return 0;
}

bool schema_equal(const struct schema *s, const void *x, const void *y)
{
	const struct attr *a;

	for (size_t i = 0; (a = schema_attr(s, i)); i++)
		if (!attr_equal(a, x, y))
			return false;
	return true;
}

void schema_free(const struct schema *s, void *base)
{
	const struct attr *a;

	for (size_t i = 0; (a = schema_attr(s, i)); i++)
		field_free(a, attr_field(a, base));
}

/* ---- parts ---- */

static const struct schema *part_schema(enum part_kind kind)
{
	return &part_type(kind)->schema;
}

/* NULL: no memory. Its values are not valid yet. */
static struct part *parts_room(struct parts *p, const char *name)
{
	struct part *grown = realloc(p->list, (p->n + 1) * sizeof(*grown));

	if (!grown)
		return NULL;
	p->list = grown;
	grown[p->n] = (struct part){ 0 };
	snprintf(grown[p->n].name, sizeof(grown[p->n].name), "%s", name);
	return &grown[p->n];
}

int parts_add(struct parts *p, enum part_kind kind, const char *name, struct part **ret,
	      struct err *e)
{
	struct part *part;
	int rc;

	if (p->n == PARTS_MAX)
		return err_set(e, -ENOSPC, "%s/%s: a machine has at most %d there",
			       part_type(kind)->dir, name, PARTS_MAX);
	part = parts_room(p, name);
	if (!part)
		return err_sys(e, ENOMEM, "%s/%s", part_type(kind)->dir, name);
	rc = schema_init(part_schema(kind), part, e);
	if (rc < 0)
		return err_prefix(e, "%s/%s/", part_type(kind)->dir, name);
	p->n++;
	if (ret)
		*ret = part;
	return 0;
}

void parts_remove(struct parts *p, enum part_kind kind, const char *name)
{
	struct part *part = parts_find(p, name);

	if (!part)
		return;
	schema_free(part_schema(kind), part);
	p->n--;
	memmove(part, part + 1, (size_t)(&p->list[p->n] - part) * sizeof(*part));
}

void parts_free(struct parts *p, enum part_kind kind)
{
	for (size_t i = 0; i < p->n; i++)
		schema_free(part_schema(kind), &p->list[i]);
	free(p->list);
	*p = (struct parts){ 0 };
}

static int parts_copy(const struct parts *from, enum part_kind kind, struct parts *to,
		      struct err *e)
{
	for (size_t i = 0; i < from->n; i++) {
		struct part *part = parts_room(to, from->list[i].name);
		int rc = part ? schema_copy(part_schema(kind), &from->list[i], part, e)
			      : err_sys(e, ENOMEM, "configuration");

		if (rc < 0)
			return rc;
		to->n++;
	}
	return 0;
}

bool parts_equal(const struct parts *x, const struct parts *y, enum part_kind kind)
{
	bool same = x->n == y->n;

	for (size_t i = 0; same && i < x->n; i++)
		same = !strcmp(x->list[i].name, y->list[i].name) &&
		       schema_equal(part_schema(kind), &x->list[i], &y->list[i]);
	return same;
}

/* ---- a whole configuration ---- */

int config_init(enum machine_kind kind, struct machine_config *ret, struct err *e)
{
	struct machine_config c = { .kind = kind };
	int rc = schema_init(machine_schema(kind), &c, e);

	if (rc == 0)
		*ret = c;
	return rc;
}

int config_copy(const struct machine_config *from, struct machine_config *ret, struct err *e)
{
	struct machine_config c = { .kind = from->kind };
	int rc = schema_copy(machine_schema(from->kind), from, &c, e);

	if (rc < 0)
		return rc;
	for (int k = 0; rc == 0 && k < PART_KINDS; k++)
		rc = parts_copy(&from->parts[k], (enum part_kind)k, &c.parts[k], e);
	if (rc == 0)
		*ret = c;
	else
		config_free(&c);
	return rc;
}

bool config_equal(const struct machine_config *x, const struct machine_config *y)
{
	bool same = schema_equal(machine_schema(x->kind), x, y);

	for (int k = 0; same && k < PART_KINDS; k++)
		same = parts_equal(&x->parts[k], &y->parts[k], (enum part_kind)k);
	return same;
}

/* FNV-1a, of 64 bits. */
static uint64_t hash_text(uint64_t h, const char *text)
{
	for (; *text; text++)
		h = (h ^ (unsigned char)*text) * 1099511628211u;
	return (h ^ '\n') * 1099511628211u;
}

static uint64_t hash_settings(uint64_t h, const struct schema *s, const void *base, unsigned flags)
{
	struct text t = TEXT_INIT;
	const struct attr *a;

	for (size_t i = 0; (a = schema_attr(s, i)); i++) {
		if (flags && !(a->flags & flags))
			continue;
		text_clear(&t);
		attr_show(a, base, &t);
		h = hash_text(hash_text(h, a->name), text_str(&t));
	}
	text_free(&t);
	return h;
}

uint64_t config_tag(const struct machine_config *c)
{
	uint64_t h = hash_settings(14695981039346656037u, machine_schema(c->kind), c, ATTR_ENGINE);

	for (int k = 0; k < PART_KINDS; k++)
		for (size_t i = 0; i < c->parts[k].n; i++) {
			const struct part *p = &c->parts[k].list[i];

			if (!part_complete((enum part_kind)k, p))
				continue;
			h = hash_text(hash_text(h, part_type((enum part_kind)k)->dir), p->name);
			h = hash_settings(h, part_schema((enum part_kind)k), p, 0);
		}
	return h;
}

void config_free(struct machine_config *c)
{
	schema_free(machine_schema(c->kind), c);
	for (int k = 0; k < PART_KINDS; k++)
		parts_free(&c->parts[k], (enum part_kind)k);
}
