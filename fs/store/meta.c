/* What is durable of a machine but no setting: see meta.h. */
#include "fs/store/meta.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

static void owner_print(const char *key, const struct owner *own, struct text *out)
{
	text_addf(out, "%s %u %u %o\n", key, own->uid, own->gid, own->mode);
}

/* A directory inside, where it is not its parent's owner's: "NAME/". */
static void child_print(const struct object *o, const struct object *child, struct text *out)
{
	const struct owner *x = &o->owner, *y = &child->owner;

	if (x->uid == y->uid && x->gid == y->gid && x->mode == y->mode)
		return;
	text_add(out, child->name);
	owner_print("/", y, out);
}

void meta_print(const struct object *o, const struct identity *i, struct text *out)
{
	text_addf(out, "format 1\nid %llu\nuuid %s\ncreated %lld.%09ld\n",
		  (unsigned long long)o->id, i->uuid, (long long)i->created.tv_sec,
		  i->created.tv_nsec);
	owner_print("owner", &o->owner, out);
	for (size_t n = 0; n < o->noverrides; n++)
		owner_print(o->overrides[n].file->name, &o->overrides[n].owner, out);
	for (size_t n = 0; n < o->nchildren; n++)
		if (!o->children[n]->in)
			child_print(o, o->children[n], out);
		else if (o->children[n]->in->mkdir) /* others come and go with a run */
			meta_print_part(o->children[n], out);
	text_add(out, text_str(&i->foreign));
	text_add(out, "end\n");
}

/* "part DIR NAME ID UID GID MODE FOLLOWS", then of files "DIR/NAME/FILE UID GID MODE" */
void meta_print_part(const struct object *o, struct text *out)
{
	char key[200];

	text_addf(out, "part %s %s %llu %u %u %o %d\n", o->in->name, o->name,
		  (unsigned long long)o->id, o->owner.uid, o->owner.gid, o->owner.mode, o->follows);
	for (size_t i = 0; i < o->noverrides; i++) {
		snprintf(key, sizeof(key), "%s/%s/%s", o->in->name, o->name,
			 o->overrides[i].file->name);
		owner_print(key, &o->overrides[i].owner, out);
	}
}

/* Returns what is behind it, NULL when it is none. */
static const char *part_line(const char *line, struct meta_part *ret)
{
	unsigned long long id;
	unsigned mode;
	int used = 0, follows;

	if (sscanf(line, "part %63[^ \n] %63[^ \n] %llu %u %u %o %d%n", ret->dir, ret->name, &id,
		   &ret->owner.uid, &ret->owner.gid, &mode, &follows, &used) != 7 ||
	    line[used] != '\n' || mode & ~01777u || id >= 1ULL << 39)
		return NULL;
	ret->id = id;
	ret->owner.mode = mode;
	ret->follows = follows;
	return line + used + 1;
}

/* One line "NAME UID GID MODE"; returns what is behind it, NULL when it is none. */
static const char *meta_line(const char *line, char name[200], struct owner *ret)
{
	unsigned mode;
	int used = 0;

	if (sscanf(line, "%199[^ \n] %u %u %o%n", name, &ret->uid, &ret->gid, &mode, &used) != 4 ||
	    line[used] != '\n' || mode & ~01777u)
		return NULL;
	ret->mode = mode;
	return line + used + 1;
}

int meta_parse(const char *text, struct meta *ret)
{
	unsigned long long id;
	long long seconds;
	struct meta_part part;
	const char *behind;
	struct owner own;
	char name[200];
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
	while (text && strcmp(text, "end\n")) {
		behind = part_line(text, &part);
		text = behind ? behind : meta_line(text, name, &own);
	}
	return text ? 0 : -EINVAL;
}

bool meta_next_part(const char **lines, struct meta_part *ret)
{
	const char *behind = NULL;

	while (!behind && **lines) {
		behind = part_line(*lines, ret);
		*lines += strcspn(*lines, "\n");
		*lines += **lines == '\n';
	}
	return behind;
}

/* "FILE", or "DIR/NAME/FILE" of a part. False: another version has that, if any. */
static bool meta_node(struct object *o, char *name, struct node *ret)
{
	char *part = strchr(name, '/'), *file = part ? strchr(part + 1, '/') : NULL;

	if (file) {
		*part++ = '\0';
		*file++ = '\0';
		ret->file = class_file(o->class, name);
		if (!ret->file || ret->file->kind != FILE_DIR)
			return false;
		o = object_child_in(o, ret->file, part);
		name = file;
	}
	/* Of a part that is not there a daemon has died on the way: nothing is lost. */
	*ret = (struct node){ o, o ? class_file(o->class, name) : NULL };
	return !o || ret->file;
}

static mode_t mode_mask(const struct file *f)
{
	return f->kind == FILE_LINK ? 0777 : f->kind == FILE_DIR ? 01777 : 0666;
}

static bool child_parse(struct object *o, char *name, const struct owner *own)
{
	size_t len = strlen(name);
	struct object *child = NULL;

	if (len > 1 && name[len - 1] == '/') {
		name[len - 1] = '\0';
		child = object_child(o, name);
		name[len - 1] = '/';
	}
	if (child)
		child->owner = *own;
	return child;
}

/* Of files that only another version has nothing is done, but nothing is lost either. */
void meta_parse_files(struct object *o, struct identity *i, const char *lines)
{
	struct meta_part part;
	struct owner own;
	const char *next;
	char name[200];

	for (; *lines && strcmp(lines, "end\n") != 0; lines = next) {
		struct node n = { 0 };

		next = part_line(lines, &part);
		if (next)
			continue;
		next = meta_line(lines, name, &own);
		if (!next)
			return;
		if (child_parse(o, name, &own))
			continue;
		if (!meta_node(o, name, &n)) {
			text_add_bytes(&i->foreign, lines, (size_t)(next - lines));
		} else if (n.object) {
			own.mode &= mode_mask(n.file);
			node_set_owner(n, &own);
		}
	}
}

static void uuid_make(char uuid[37])
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

void identity_make(struct identity *i)
{
	uuid_make(i->uuid);
	clock_gettime(CLOCK_REALTIME, &i->created);
}

void identity_free(struct identity *i)
{
	text_free(&i->foreign);
}
