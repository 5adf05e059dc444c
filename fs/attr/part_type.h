/*
 * struct part_type: a kind of parts (backends/config.h), such as disks: a directory in its
 * machines, and in it a directory for each part. One row for each kind, in fs/tables/part_types.c;
 * its settings are a table of their own, such as fs/tables/disk_attrs.c.
 */
#ifndef FS_ATTR_PART_TYPE_H
#define FS_ATTR_PART_TYPE_H

#include "backends/config.h"
#include "fs/attr/attr.h"

struct fd_list;
struct machine;
struct wire_fd;

struct part_file;

struct part_type {
	const char *dir; /* "disk": the directory, and the key in config.yaml */
	struct schema schema;
	unsigned machines; /* a bit for each enum machine_kind that has it */
	bool numbered;	   /* names are numbers from 0 on */
	bool fixed;	   /* none comes or goes while the machine runs */
	/*
	 * Whether all is set without which there is nothing to be had: until then it is not there
	 * for the engine. NULL: always.
	 */
	bool (*complete)(const struct part *p);
	/* Names of what the engine counts (engine_part_counters()), for `stat`; NULL: nothing. */
	const char *const *counters;
	/* Adds to all parts' counters together what the engine has no part in; NULL: nothing. */
	void (*count)(const struct machine *m, uint64_t total[]);
	/*
	 * Opens, as the owner, what is not a path, when the part is new or a setting with
	 * ATTR_OPENS is another. NULL: paths are all.
	 */
	int (*open)(struct fd_list *l, const struct machine *m, struct wire_fd role,
		    const struct part *part, struct err *e);
	const struct part_file *files; /* beside its settings, ended by a NULL name; or NULL */
	const char *doc;
};

/* A file of a part's that can only be read. */
struct part_file {
	const char *name;
	void (*show)(const struct machine *m, const struct part *part, struct text *out);
	const char *doc;
};

const struct part_type *part_type(enum part_kind kind);
/* The kind that a machine's directory of this name holds; -1: none. */
int part_kind_find(enum machine_kind machine, const char *dir);
bool part_kind_applies(enum part_kind kind, enum machine_kind machine);
bool part_name_valid(enum part_kind kind, const char *name);
bool part_complete(enum part_kind kind, const struct part *p);

extern const struct attr_table disk_attrs, nic_attrs, share_attrs, numa_attrs, mount_attrs,
	device_attrs;

#endif
