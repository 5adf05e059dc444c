/* What is durable of a machine but no setting: see meta.h. */
#include "fs/meta.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

static void owner_print(const char *key, const struct owner *own, struct text *out)
{
	text_addf(out, "%s %u %u %o\n", key, own->uid, own->gid, own->mode);
}

void meta_print(const struct machine *m, struct text *out)
{
	const struct object *o = &m->object;

	text_addf(out, "format 1\nid %llu\nuuid %s\ncreated %lld.%09ld\n",
		  (unsigned long long)o->id, m->uuid, (long long)m->created.tv_sec,
		  m->created.tv_nsec);
	owner_print("owner", &o->owner, out);
	for (size_t i = 0; i < o->noverrides; i++)
		owner_print(o->overrides[i].file->name, &o->overrides[i].owner, out);
	text_add(out, text_str(&m->foreign));
	text_add(out, "end\n");
}

/* One line "NAME UID GID MODE"; returns what is behind it, NULL when it is none. */
static const char *meta_line(const char *line, char name[64], struct owner *ret)
{
	unsigned mode;
	int used = 0;

	if (sscanf(line, "%63[^ \n] %u %u %o%n", name, &ret->uid, &ret->gid, &mode, &used) != 4 ||
	    line[used] != '\n' || mode & ~01777u)
		return NULL;
	ret->mode = mode;
	return line + used + 1;
}

int meta_parse(const char *text, struct meta *ret)
{
	unsigned long long id;
	long long seconds;
	struct owner own;
	char name[64];
	int used = 0;

	if (sscanf(text, "format 1\nid %llu\nuuid %36[0-9a-f-]\ncreated %lld.%ld\n%n", &id,
		   ret->uuid, &seconds, &ret->created.tv_nsec, &used) != 4 ||
	    !used || id >= 1ULL << 39 || strlen(ret->uuid) != 36 || ret->created.tv_nsec < 0 ||
	    ret->created.tv_nsec > 999999999)
		return -EINVAL;
	ret->id = id;
	ret->created.tv_sec = seconds;
	ret->files = meta_line(text + used, name, &ret->owner);
	if (!ret->files || strcmp(name, "owner"))
		return -EINVAL;
	text = ret->files;
	while (text && strcmp(text, "end\n"))
		text = meta_line(text, name, &own);
	return text ? 0 : -EINVAL;
}

/* Of files that only another version has nothing is done, but nothing is lost either. */
void meta_parse_files(struct machine *m, const char *lines)
{
	struct owner own;
	char name[64];

	for (const char *next; (next = meta_line(lines, name, &own)); lines = next) {
		struct node n = { &m->object, class_file(m->object.class, name) };

		own.mode &= n.file && n.file->kind == FILE_LINK ? 0777 : 0666;
		if (n.file)
			node_set_owner(n, &own);
		else
			text_add_bytes(&m->foreign, lines, (size_t)(next - lines));
	}
}

void uuid_make(char uuid[37])
{
	unsigned char b[16];

	if (getrandom(b, sizeof(b), 0) != sizeof(b))
		memset(b, 0, sizeof(b)); /* does not happen for 16 bytes; the name then clashes */
	b[6] = (b[6] & 0x0f) | 0x40;	 /* RFC 9562, version 4 */
	b[8] = (b[8] & 0x3f) | 0x80;
	snprintf(uuid, 37, "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x",
		 b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12],
		 b[13], b[14], b[15]);
}
