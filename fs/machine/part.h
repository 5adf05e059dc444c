/*
 * struct part_object: a part of a machine in the tree, disk/NAME say: its directory with a file for
 * each setting. What is set stands in the machine's configuration, and a change of it is one of
 * the machine's (machine.h); here are only the object and its files.
 */
#ifndef FS_MACHINE_PART_H
#define FS_MACHINE_PART_H

#include "backends/config.h"
#include "fs/machine/machine.h"
#include "fs/node.h"

struct part_object {
	struct object object; /* first: object_part() */
	enum part_kind kind;
};

static inline struct part_object *object_part(struct object *o)
{
	return (struct part_object *)o;
}

/* The files and operations of a kind's objects. */
int part_class(enum part_kind kind, struct class *ret, struct err *e);
/* What a machine's class has for a kind: the directory. */
struct file part_dir(enum part_kind kind);

/* Makes objects for parts in c that have none. On failure those that it has made are gone. */
int parts_make(struct machine *m, const struct machine_config *c, const struct part_ref *own,
	       bool *ret_made, struct err *e);
/* Tells kernel and watchers of parts that are in `next` and not yet in the machine's. */
void parts_appear(struct machine *m, const struct machine_config *next, const struct part_ref *own);
/* Removes objects whose part is not in c. quiet: nobody has seen them. */
void parts_drop(struct machine *m, const struct machine_config *c, const struct part_ref *own,
		bool quiet);
/* Whoever keeps something of a setting that is about to change learns of it. */
void parts_tell(struct machine *m, const struct machine_config *next);

/* What the engine counts of it, KEY VALUE; nothing of one that has not been there in this run. */
void part_show_counters(const struct machine *m, enum part_kind kind, const struct part *part,
			struct text *out);

/* Makes the objects of which meta tells, with their ids and owners: see meta.h. */
void parts_load(struct machine *m, const char *lines);

#endif
