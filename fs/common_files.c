/* Files that objects of several classes have: see common_files.h. */
#include "fs/common_files.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/store/event_log.h"
#include "fs/store/meta.h"

void state_show(struct object *o, const struct file *f, struct text *out)
{
	const struct states *s = o->class->states;

	text_addf(out, "%s\n", s->words[s->now(o)]);
}

void uuid_show(struct object *o, const struct file *f, struct text *out)
{
	text_addf(out, "%s\n", o->identity->uuid);
}

void created_show(struct object *o, const struct file *f, struct text *out)
{
	struct timespec t = o->identity->created;

	text_addf(out, "%lld.%06ld\n", (long long)t.tv_sec, t.tv_nsec / 1000);
}

off_t events_size(struct object *o, const struct file *f)
{
	return event_log_size(o->events);
}

ssize_t events_read(struct object *o, const struct file *f, char *buf, size_t size, off_t at)
{
	return event_log_read(o->events, buf, size, at);
}

int files_init(struct class *ret, const struct file *rows, size_t n, size_t more, struct err *e)
{
	ret->files = calloc(n + more, sizeof(*rows));
	if (!ret->files)
		return err_sys(e, ENOMEM, "files");
	memcpy(ret->files, rows, n * sizeof(*rows));
	ret->nfiles = n;
	return 0;
}
