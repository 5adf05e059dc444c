/*
 * The inside of struct fuse_front, for fs/front/fuse*.c only.
 *
 * fuse.c has its life and reads messages; fuse_nodes.c answers what is asked of names and
 * directories, fuse_files.c what is asked of open files; fuse_handover.c takes over from a daemon
 * before this one, and hands over. On the daemon's one thread.
 */
#ifndef FS_FRONT_FUSE_PRIV_H
#define FS_FRONT_FUSE_PRIV_H

#define FUSE_USE_VERSION 314

#include <fuse_lowlevel.h>
#include <linux/fuse.h>

#include "fs/front/fuse.h"
#include "fs/handover/journal.h"
#include "fs/node.h"
#include "fs/poker.h"

struct fuse_front {
	struct front front; /* first */
	struct daemon *daemon;
	struct journal *journal;
	struct fuse_session *session;
	struct event *readable;
	struct fuse_buf buf;
	unsigned failures;   /* to read a request, one after the other */
	int cpus;	     /* that the daemon may run on */
	int64_t rested;	     /* when the last request was answered; monotonic, ns */
	unsigned vain, pass; /* looks in vain; wake-ups until the next one */
	const struct fuse_in_header *message; /* the one that is being served */
	uint64_t next_alias;
	LIST_HEAD(, opened) all;
	void *opened; /* tsearch tree of them, by number */
	uint64_t next_handle;
	uint64_t mute;		     /* the unique of a message of our own, which nobody awaits */
	struct journal_call *before; /* calls of the daemon before this one */
	size_t nbefore;
};

/* A handle by the number that the kernel has of it. */
struct opened {
	uint64_t number;
	LIST_ENTRY(opened) link;
	struct handle *handle;
	int poll; /* in the journal, or -1 */
};

struct fuse_request {
	struct request request; /* first */
	fuse_req_t req;
	bool is_write;
	int call;	     /* in the journal while it is parked, or -1 */
	struct event *grace; /* after a signal: until the request is taken back; or NULL */
};

static inline struct fuse_front *req_front(fuse_req_t req)
{
	return fuse_req_userdata(req);
}

static inline struct caller req_caller(fuse_req_t req)
{
	const struct fuse_ctx *ctx = fuse_req_ctx(req);

	struct poker *poker = req_front(req)->daemon->poker;

	return (struct caller){ ctx->uid, ctx->gid, poker && ctx->pid == poker_helper(poker) };
}

/* -ESTALE for what is gone. */
int front_node(struct fuse_front *f, fuse_ino_t id, struct node *ret);
/* Likewise; -ENOTDIR. */
int front_dir(struct fuse_front *f, fuse_ino_t id, struct node *ret);

/* On failure the handle is closed. */
struct opened *opened_new(struct fuse_front *f, uint64_t number, struct handle *h);
void opened_close(struct fuse_front *f, struct opened *o);

/* Answers a message. */
void front_serve(struct fuse_front *f, const struct fuse_buf *buf);

/* struct fuse_lowlevel_ops */
void op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name);
void op_forget(fuse_req_t req, fuse_ino_t id, uint64_t count);
void op_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *forgets);
void op_getattr(fuse_req_t req, fuse_ino_t id, struct fuse_file_info *fi);
void op_setattr(fuse_req_t req, fuse_ino_t id, struct stat *attr, int to_set,
		struct fuse_file_info *fi);
void op_readlink(fuse_req_t req, fuse_ino_t id);
void op_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode);
void op_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t new_parent,
	       const char *new_name, unsigned flags);
void op_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t rdev);
void op_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
	       struct fuse_file_info *fi);
void op_unlink(fuse_req_t req, fuse_ino_t parent, const char *name);
void op_symlink(fuse_req_t req, const char *target, fuse_ino_t parent, const char *name);
void op_link(fuse_req_t req, fuse_ino_t id, fuse_ino_t parent, const char *name);
void op_opendir(fuse_req_t req, fuse_ino_t id, struct fuse_file_info *fi);
void op_readdir(fuse_req_t req, fuse_ino_t id, size_t size, off_t off, struct fuse_file_info *fi);
void op_readdirplus(fuse_req_t req, fuse_ino_t id, size_t size, off_t off,
		    struct fuse_file_info *fi);
void op_open(fuse_req_t req, fuse_ino_t id, struct fuse_file_info *fi);
void op_read(fuse_req_t req, fuse_ino_t id, size_t size, off_t off, struct fuse_file_info *fi);
void op_write(fuse_req_t req, fuse_ino_t id, const char *data, size_t size, off_t off,
	      struct fuse_file_info *fi);
void op_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name);
void op_flush(fuse_req_t req, fuse_ino_t id, struct fuse_file_info *fi);
void op_release(fuse_req_t req, fuse_ino_t id, struct fuse_file_info *fi);
void op_fsync(fuse_req_t req, fuse_ino_t id, int datasync, struct fuse_file_info *fi);
void op_poll(fuse_req_t req, fuse_ino_t id, struct fuse_file_info *fi, struct fuse_pollhandle *ph);

#endif
