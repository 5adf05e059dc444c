/* Verbs as lines: see ctl_lines.h. */
#include "fs/machine/ctl_lines.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define CTL_MAX 4096

static int lines_run(struct object *o, struct request *r, ctl_line *run, struct err *e)
{
	int rc = 0;

	while (rc == 0 && r->rest && *r->rest) {
		size_t len = strcspn(r->rest, "\n");
		char *line = strndup(r->rest, len);

		if (!line)
			return err_sys(e, ENOMEM, "ctl");
		memmove(r->rest, r->rest + len + (r->rest[len] == '\n'),
			strlen(r->rest + len + (r->rest[len] == '\n')) + 1);
		rc = run(o, r, line, e);
		free(line);
	}
	return rc;
}

int ctl_lines_begin(struct handle *h, struct request *r, const char *data, size_t len,
		    ctl_line *run, struct err *e)
{
	if (len > CTL_MAX || memchr(data, '\0', len))
		return err_set(e, -EINVAL, "ctl: not a verb");
	if (data[0] == '\n')
		return err_set(e, -EINVAL, "ctl: no verb; `cat ctl` lists them");
	r->rest = strndup(data, len);
	if (!r->rest)
		return err_sys(e, ENOMEM, "ctl");
	return lines_run(h->object, r, run, e);
}

void ctl_lines_go_on(struct request *r, int rc, const struct err *e, ctl_line *run)
{
	struct err why = e ? *e : (struct err){ 0 };

	if (rc == 0 && !r->handle->object->gone)
		rc = lines_run(r->handle->object, r, run, &why);
	if (rc != NODE_PARKED)
		request_finish(r, rc, &why);
}
