/* Settings as files: see attr_files.h. */
#include "fs/attr/attr_files.h"

void attr_files(struct class *ret, const struct schema *s, const struct file *like)
{
	const struct attr *a;

	for (size_t i = 0; (a = schema_attr(s, i)); i++) {
		struct file *f = &ret->files[ret->nfiles++];

		*f = *like;
		f->name = a->name;
		f->doc = a->doc;
		f->changes = CHANGE_CONFIG;
		f->attr = like->write ? a : NULL; /* else it is no setting, but a finding */
		if (a->type == &attr_env)
			f->mode &= 0733;
	}
}
