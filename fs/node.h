/*
 * The node layer: objects (object.h), their files, open handles and unanswered requests (handle.h).
 *
 * It knows nothing of FUSE: a front (fs/front/fuse.c) turns its protocol into these calls and gives
 * the answers back. The tree is computed: a node is (object, file), its inode number is the
 * object's id and a hash of the file's name, so it costs no memory of its own, is stable over
 * restarts and is never used again. All of it runs on the daemon's one thread.
 */
#ifndef FS_NODE_H
#define FS_NODE_H

#include <sys/stat.h>

#include "fs/handle.h"
#include "fs/object.h"

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

#endif
