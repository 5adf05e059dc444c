/* Attributes as rows: what holds for every type. See attr.h. */
#include "fs/attr.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

bool attr_applies(const struct attr *a, enum machine_kind kind)
{
	return a->flags & (kind == KIND_VM ? ATTR_VM : ATTR_CONTAINER);
}

const struct attr *attr_find(enum machine_kind kind, const char *name)
{
	for (size_t i = 0; i < machine_attr_count; i++)
		if (attr_applies(&machine_attrs[i], kind) && !strcmp(machine_attrs[i].name, name))
			return &machine_attrs[i];
	return NULL;
}

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
	char *string;
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

int attr_store(const struct attr *a, struct machine_config *c, const char *data, size_t len,
	       struct err *e)
{
	union field next;
	int rc;

	_Static_assert(sizeof(union field) >= sizeof(struct init_user), "a type is larger");
	if (len > ATTR_VALUE_MAX)
		return err_set(e, -EINVAL, "%s: more than %d bytes", a->name, ATTR_VALUE_MAX);
	if (field_copy(a, attr_field(a, c), &next) < 0)
		return err_sys(e, ENOMEM, "%s", a->name);
	rc = lines_store(a, data, len, &next, e);
	if (rc < 0) {
		field_free(a, &next);
		err_prefix(e, "%s: ", a->name);
		return rc;
	}
	field_free(a, attr_field(a, c));
	memcpy(attr_field(a, c), &next, a->type->size);
	return 0;
}

void attr_show(const struct attr *a, const struct machine_config *c, struct text *out)
{
	a->type->print(a, attr_field(a, c), out);
}

bool attr_equal(const struct attr *a, const struct machine_config *x,
		const struct machine_config *y)
{
	struct text tx = TEXT_INIT, ty = TEXT_INIT;
	bool same;

	attr_show(a, x, &tx);
	attr_show(a, y, &ty);
	same = !strcmp(text_str(&tx), text_str(&ty));
	text_free(&tx);
	text_free(&ty);
	return same;
}

int config_init(enum machine_kind kind, struct machine_config *ret, struct err *e)
{
	struct machine_config c = { .kind = kind };
	int rc = 0;

	for (size_t i = 0; i < machine_attr_count && rc == 0; i++) {
		const struct attr *a = &machine_attrs[i];

		if (attr_applies(a, kind) && a->initial)
			rc = line_store(a, a->initial, strlen(a->initial), attr_field(a, &c), e);
		if (rc < 0)
			err_prefix(e, "%s: ", a->name);
	}
	if (rc < 0) {
		config_free(&c);
		return rc;
	}
	*ret = c;
	return 0;
}

int config_copy(const struct machine_config *from, struct machine_config *ret, struct err *e)
{
	struct machine_config c = { .kind = from->kind };

	for (size_t i = 0; i < machine_attr_count; i++) {
		const struct attr *a = &machine_attrs[i];

		if (!attr_applies(a, from->kind))
			continue;
		if (field_copy(a, attr_field(a, from), attr_field(a, &c)) < 0) {
			config_free(&c);
			return err_sys(e, ENOMEM, "configuration");
		}
	}
	*ret = c;
	return 0;
}

void config_free(struct machine_config *c)
{
	for (size_t i = 0; i < machine_attr_count; i++)
		if (attr_applies(&machine_attrs[i], c->kind))
			field_free(&machine_attrs[i], attr_field(&machine_attrs[i], c));
}
