/*
 * The node layer: objects, their files, open handles and unanswered requests.
 *
 * It knows nothing of FUSE: a front (fs/front/fuse.c) turns its protocol into these calls and gives
 * the answers back. The tree is computed: a node is (object, file), its inode number is the
 * object's id and a hash of the file's name, so it costs no memory of its own, is stable over
 * restarts and is never used again. All of it runs on the daemon's one thread.
 */
#ifndef FS_NODE_H
#define FS_NODE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/stat.h>
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

#define NODE_PARKED	1 /* a write that will be answered later, by request_finish() */
#define NODE_WRITE_MAX	(1 << 20)
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

struct handle {
	struct object *object;
	const struct file *file;
	LIST_ENTRY(handle) link;
	int flags; /* of open(2) */
	struct caller who;
	uid_t owner; /* the file's when it was opened; when that changes, it is of no use */
	bool rendered;
	struct text text;  /* what reads see */
	char *refusal;	   /* the last one of this handle; read back by who may read and write */
	struct text draft; /* collected writes, for files that commit later */
	bool draft_bad;	   /* a part of it was refused: nothing is taken until the last close */
	bool orphan;	   /* handle_orphan() */
	bool restated;	   /* read in other words than it was written: closing moves times */
	uint32_t seen;	   /* version at the last read from the beginning */
	off_t read_end;	   /* of a log: up to where it was read */
	void *poll;	   /* front's */
};

/*
 * An operation of a client's. The front allocates it and gets it back through answer(), once:
 * at once, or, when the operation was parked, later. While it is parked, `cancel` is how the
 * front takes it back (the client has gone).
 */
struct request {
	struct handle *handle;
	struct caller who;
	size_t len;    /* bytes written: the result of a write that succeeds */
	int64_t since; /* when it came, CLOCK_MONOTONIC, microseconds */
	void (*answer)(struct request *r, int result);
	void (*cancel)(struct request *r);
	void *parked; /* of who parked it */
	bool again;   /* set by him: another daemon may be asked the same */
	bool brief;   /* likewise: the answer is a matter of moments, so not any signal ends it */
	bool noted;   /* the refusal stands in `error` already, in more words */
	char *rest;   /* lines of a ctl write that are still to be run; owned */
	TAILQ_ENTRY(request) link;
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

/* ---- nodes ---- */

struct node {
	struct object *object;
	const struct file *file; /* NULL: the object's own directory */
};

static inline bool node_is_dir(struct node n)
{
	return !n.file || n.file->kind == FILE_DIR;
}

static inline struct node node_of(struct object *o)
{
	return (struct node){ .object = o };
}

/* The directory that it is in; of the root the root. */
struct node node_up(struct node n);
struct owner node_owner(struct node n);
/* Whether o is one of the entries of a directory. */
static inline bool node_holds(struct node dir, const struct object *o)
{
	return o->parent == dir.object && o->in == dir.file;
}

uint64_t node_ino(struct node n);
/* NULL: there is none of that number. */
struct object *object_find(const struct daemon *d, uint64_t id);
/* Returns -ESTALE for what is gone. */
int node_find(struct daemon *d, uint64_t ino, struct node *ret);
int node_lookup(struct node dir, const char *name, struct caller who, struct node *ret);
void node_stat(struct node n, struct stat *st);
/*
 * For how many seconds the client's kernel may keep what node_stat() has just said in answer to
 * GETATTR, if front.invalidate() does not come before; asked right before that answer is sent. The
 * kernel must know the node already when it is told: what is being looked up cannot be taken back.
 *
 * After a change nothing is kept for a while. Linux takes an answer for good before it has copied
 * its length, without a lock against who looks meanwhile (fuse_change_attributes_common()): while
 * what it was told before is not out of date by time alone, he would see the length before the
 * change, though it was acknowledged. So until then each answer is out of date at once. It is not
 * taken back before it is given: the kernel would hand it on without taking its length, and
 * copy_file_range(2), which goes by that, would cut the text.
 */
unsigned node_keep(struct node n);
#define KEEP_FOREVER 1000000000 /* what a directory is kept for */
/* Of a directory that only the kernel's own operations change: it may keep what any answer says. */
static inline bool node_lasts(struct node n)
{
	return !n.file && !n.object->in;
}

#define NODE_SET_MODE 1
#define NODE_SET_UID  2
#define NODE_SET_GID  4
/*
 * Who asks must be its owner or root, and only root gives away: the kernel has seen to that, and to
 * which groups he may choose; this is a second lock. EPERM also for modes that mean nothing here.
 */
int node_chown(struct node n, int what, const struct owner *owner, struct caller who,
	       struct err *e);
/* Without making it durable: for what was read from disk. */
void node_set_owner(struct node n, const struct owner *owner);
int node_readlink(struct node n, struct text *out);
int node_mkdir(struct node dir, const char *name, struct caller who, mode_t mode, struct node *ret);
/* Without waiting: NODE_PARKED, when it is under way. */
int node_rmdir(struct node dir, const char *name, struct caller who);
/* Likewise, for a front: r is answered as in handle_write(). */
int node_remove(struct node dir, const char *name, struct request *r);
/* Making and removing files is for nobody: notes a refusal, returns its errno. */
int node_forbid(struct node dir, const char *what, const char *name);
int node_rename(struct node from, const char *name, struct node to, const char *new_name);

/* ---- handles ---- */

int node_open(struct node n, int flags, struct caller who, struct handle **ret);
void handle_close(struct handle *h);
/* It was opened with a daemon that was killed: what was collected there is lost. */
void handle_orphan(struct handle *h);
ssize_t handle_read(struct handle *h, size_t size, off_t at, const char **ret_data);
/*
 * The result is given to r->answer(); NODE_PARKED: later, and until then r->cancel() takes the
 * request back. Otherwise r is gone when this returns.
 */
int handle_write(struct handle *h, struct request *r, const char *data, size_t len, off_t at);
int handle_flush(struct handle *h, struct request *r);
/* Returns poll(2) events; keeps poll (the front's) to be woken, and frees the one before. */
unsigned handle_poll(struct handle *h, void *poll);

/* Answers a parked request; on failure notes the refusal. */
void request_finish(struct request *r, int rc, const struct err *e);

#endif
