/*
 * struct object: what a directory of the tree stands for, and struct class: which files it has.
 *
 * The tree is computed: what an object has of its own is only what differs from its class. All of
 * it runs on the daemon's one thread.
 */
#ifndef FS_OBJECT_H
#define FS_OBJECT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/types.h>
#include <time.h>

#include "backends/base/err.h"
#include "backends/base/text.h"
#include "backends/config.h"

struct attr;
struct daemon;
struct event_log;
struct handle;
struct identity;
struct object;
struct request;
struct states;
struct waiter;

#define EVENT_FILES_MAX 4
#define FILES_MAX	128 /* of one class */

enum file_kind {
	FILE_TEXT, /* show() renders the whole */
	FILE_LOG,  /* grows; log_size() and log_read() */
	FILE_LINK, /* show() gives the target */
	FILE_DIR,  /* a directory of further objects, those whose `in` it is: see mkdir() */
};

/*
 * What makes the content of a file another one: the kernel keeps its length and times until then.
 * Of a file with none of these, a counter or a log, it keeps nothing and asks each time.
 */
enum change {
	CHANGE_NEVER = 1 << 0,	 /* the content is the object's for life */
	CHANGE_CONFIG = 1 << 1,	 /* object_changed() tells, file by file */
	CHANGE_STATE = 1 << 2,	 /* its machine comes into another state */
	CHANGE_REFUSAL = 1 << 3, /* something is refused, or the refusal is cleared */
};

struct caller {
	uid_t uid;
	gid_t gid;
	bool helper; /* the daemon's own: see fs/poker.h */
};

/* One kind of file, shared by all objects of a class. */
struct file {
	const char *name;
	mode_t mode; /* permission bits of a new object's */
	enum file_kind kind;
	unsigned changes; /* enum change */
	bool event;	  /* poll(2) and inotify tell of changes: object_changed() */
	/*
	 * Writes may be parked. The kernel holds an inode's lock during a write, so each lookup
	 * gets a node of its own, with the same inode number.
	 */
	bool parks;
	const struct attr *attr; /* a setting, whose text functions are generic; else NULL */
	void (*show)(struct object *o, const struct file *f, struct text *out);
	off_t (*log_size)(struct object *o, const struct file *f);
	ssize_t (*log_read)(struct object *o, const struct file *f, char *buf, size_t size,
			    off_t at);
	/* One write(2). Returns 0, -errno with a sentence, or NODE_PARKED. */
	int (*write)(struct handle *h, struct request *r, const char *data, size_t len,
		     struct err *e);
	/* A close(2) of one descriptor; NULL: nothing to do. */
	int (*flush)(struct handle *h, struct request *r, struct err *e);
	/* The last close of a handle; NULL: nothing to do. */
	void (*release)(struct handle *h);
	/*
	 * Of a FILE_DIR: makes an object in it, whose parent is o; NULL where users cannot. It
	 * costs an object nothing to have such directories: they are there, and mostly empty.
	 */
	int (*mkdir)(struct object *o, const struct file *f, const char *name, struct caller who,
		     mode_t mode, struct object **ret, struct err *e);
	const char *doc;
	/* Set by class_finish(). */
	uint32_t hash;
	uint32_t index;	 /* position in the class */
	int event_index; /* position among the class's event files, or -1 */
};

struct class
{
	const char *name;
	struct file *files; /* owned */
	size_t nfiles;
	size_t ndirs; /* of them FILE_DIR; set by class_finish() */
	mode_t mode;  /* of a new object's directory */
	/* NULL where objects cannot be made, removed, renamed by users. */
	int (*mkdir)(struct object *parent, const char *name, struct caller who, mode_t mode,
		     struct object **ret, struct err *e);
	int (*rmdir)(struct object *o, struct caller who, struct err *e);
	/* In place of rmdir where it may take a while: NODE_PARKED, and r is answered later. */
	int (*unplug)(struct object *o, struct request *r, struct err *e);
	int (*rename)(struct object *o, const char *name, struct err *e);
	const struct states *states; /* of objects that have a `wait`: fs/machine/waiter.h */
	/* Owner or modes have changed: make it durable. */
	int (*chown)(struct object *o, struct err *e);
	void (*free)(struct object *o);
};

struct owner {
	uid_t uid;
	gid_t gid;
	mode_t mode;
};

/* A file whose owner or mode is not what follows from the directory's and the row's. */
struct owner_override {
	const struct file *file;
	struct owner owner;
};

/*
 * When a file last changed, of those that have. What changes without a word, a counter, is
 * compared whenever it is looked at.
 */
struct file_time {
	const struct file *file;
	struct timespec time;
	uint32_t content; /* a hash, where it is compared */
};

/* Numbers of objects that were counted are smaller: that of exec/ is its container's and this bit.
 */
#define OBJECT_ID_DERIVED (UINT64_C(1) << 38)

struct object {
	struct daemon *daemon;
	const struct class *class;
	struct object *parent;
	const struct file *in; /* the parent's FILE_DIR that it is in; NULL: the parent itself */
	uint64_t id;
	char *name; /* owned */
	struct owner owner;
	bool follows;			  /* uid and gid are those of the directory that it is in */
	struct owner_override *overrides; /* owned */
	size_t noverrides;
	struct timespec made;	 /* mtime and ctime of files that have not changed since */
	struct timespec listed;	 /* of the directory: moves when its entries change */
	struct file_time *times; /* owned */
	size_t ntimes;
	uint64_t told[FILES_MAX / 64];	/* whose attributes the kernel keeps: a bit a file */
	uint64_t loose[FILES_MAX / 64]; /* it may have an old length of these: see node_keep() */
	int64_t kept_until; /* when nothing is kept any more that was taken back; monotonic, s */
	bool unborn;	    /* the daemon has made it: the kernel is not told yet */
	struct object **children; /* owned; in the order of their ids */
	size_t nchildren;
	size_t nparts;			 /* of them in a FILE_DIR */
	void *by_name;			 /* tsearch tree of children */
	struct text refusal;		 /* the `error` file */
	struct event_log *events;	 /* the `events` file, its owner's; NULL: it has none */
	const struct identity *identity; /* `uuid` and `created`, likewise */
	LIST_HEAD(, handle) handles;
	TAILQ_HEAD(, waiter) waiters;
	uint32_t known[EVENT_FILES_MAX];   /* front's look-ups not yet forgotten, by event_index */
	uint32_t version[EVENT_FILES_MAX]; /* moves with every change, for poll */
	unsigned refs;			   /* handles; one for being in the tree */
	bool gone;			   /* removed: every operation is ESTALE */
};

/* What the front does for the node layer. */
struct front {
	void (*poll_wake)(void *poll);
	void (*poll_free)(void *poll);
	/* What the client's kernel keeps of this file's attributes is no longer so. */
	void (*invalidate)(const struct front *f, uint64_t ino);
};

/* ---- classes ---- */

/* Computes hashes and event indices; -EINVAL when two names have one hash. */
int class_finish(struct class *c);
const struct file *class_file(const struct class *c, const char *name);

/* ---- objects ---- */

/*
 * A new object in the tree under parent (NULL for the root). Takes a copy of name. o->in must be
 * set before, where it is in a FILE_DIR; then it has the owner that this has, until chown.
 */
int object_init(struct object *o, struct daemon *d, const struct class *c, struct object *parent,
		uint64_t id, const char *name, struct err *e);
/* Out of the tree, with all below; freed, by class->free, when the last handle is closed. */
void object_remove(struct object *o);
/* Likewise where no client has asked for that: the kernel and watchers are told. */
void object_vanish(struct object *o);
/* Made, and no client has asked for that: likewise. */
void object_appear(struct object *o);
int object_set_name(struct object *o, const char *name, struct err *e);
struct object *object_child(const struct object *o, const char *name);
/* Likewise in a FILE_DIR of its. */
struct object *object_child_in(const struct object *o, const struct file *in, const char *name);
/* NULL: there is none of that number. */
struct object *object_find(const struct daemon *d, uint64_t id);
/* "vm/web"; "" for the root. */
void object_path(const struct object *o, struct text *out);

/*
 * This file's content is another one: moves its times, takes back what the kernel keeps of it,
 * wakes poll and inotify. To be called before the operation that changed it is answered.
 */
void object_changed(struct object *o, const char *file);
/* Likewise for all files that change with any of these (enum change). */
void object_changed_by(struct object *o, unsigned changes);
/*
 * The client's kernel knows this object and those below from an earlier daemon: what it keeps is
 * taken back, and whoever watches shall look again.
 */
void object_inherit(struct object *o);
/* Notes a refusal in the `error` of the object or the nearest above: "EINVAL cpu.count: ...". */
void object_refuse(struct object *o, const struct err *e);
/* Likewise where one operation has several: the lines as they are to stand there. */
void object_refuse_all(struct object *o, const char *lines);
/* A row's show(): the last refusal. */
void object_show_refusal(struct object *o, const struct file *f, struct text *out);

#endif
