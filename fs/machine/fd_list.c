/* Descriptors on their way to a monitor: see fd_list.h. */
#include "fs/machine/fd_list.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "fs/attr/part_type.h"

int fd_list_add(struct fd_list *l, struct wire_fd role, int fd, struct err *e)
{
	if (l->n == WIRE_FDS_MAX) {
		close(fd);
		return err_set(e, -ENOSPC, "start: more than %d descriptors", WIRE_FDS_MAX);
	}
	l->role[l->n] = role;
	l->fd[l->n++] = fd;
	return 0;
}

void fd_list_close(struct fd_list *l)
{
	for (unsigned i = 0; i < l->n; i++)
		close(l->fd[i]);
	l->n = 0;
}

/* What was open for the old part is what the new one names. */
static bool part_same(enum part_kind kind, const struct part *part, const struct part *old)
{
	const struct attr *a;

	if (!old || !part_complete(kind, old))
		return false;
	for (size_t i = 0; (a = schema_attr(&part_type(kind)->schema, i)); i++)
		if ((a->flags & (ATTR_PATH | ATTR_OPENS)) && !attr_equal(a, part, old))
			return false;
	return true;
}

static int add_part(struct fd_list *l, const struct machine *m, struct wire_fd role,
		    const struct part *part, struct err *e)
{
	const struct part_type *type = part_type((enum part_kind)role.kind);
	const struct attr *a;
	char prefix[80];
	int fd, rc;

	snprintf(prefix, sizeof(prefix), "%s/%s/", type->dir, part->name);
	for (size_t i = 0; (a = schema_attr(&type->schema, i)); i++) {
		if (!(a->flags & ATTR_PATH))
			continue;
		rc = machine_open_path(m, part, a, prefix, &fd, e);
		if (rc == 0 && fd >= 0)
			rc = fd_list_add(l, role, fd, e);
		if (rc < 0)
			return rc;
		role.which++;
	}
	return type->open ? type->open(l, m, role, part, e) : 0;
}

int fd_list_add_parts(struct fd_list *l, const struct machine *m, const struct machine_config *c,
		      const struct machine_config *old, struct err *e)
{
	for (int k = 0; k < PART_KINDS; k++) {
		struct wire_fd role = { .role = WIRE_ROLE_PART, .kind = (uint8_t)k };

		for (size_t i = 0; i < c->parts[k].n; i++) {
			const struct part *part = &c->parts[k].list[i];
			const struct part *was =
				old ? parts_find(&old->parts[k], part->name) : NULL;
			int rc = 0;

			if (!part_complete((enum part_kind)k, part))
				continue;
			if (!part_same((enum part_kind)k, part, was))
				rc = add_part(l, m, role, part, e);
			if (rc < 0)
				return rc;
			role.index++;
		}
	}
	return 0;
}
