/*
 * struct exec: a session of a container, exec/NAME: a further process inside it.
 *
 * mkdir makes one, its settings say what to execute, `start` lets the container's monitor do it
 * (backends/container/session.h). What it printed and how it ended stays until rmdir. A session is
 * no part of the container's configuration, and not synced to disk, but a later daemon finds it
 * again: in STATE/container/NAME/exec/SESSION stand `session` (id, owner, settings), the logs and
 * `exit`.
 */
#ifndef FS_EXEC_EXEC_H
#define FS_EXEC_EXEC_H

#include <stdbool.h>
#include <stdint.h>

#include "backends/config.h"
#include "backends/engine.h"
#include "fs/attr/attr.h"
#include "fs/machine/machine.h"
#include "fs/node.h"

#define EXECS_MAX 1024 /* sessions that a container may have, running or not */

enum exec_phase { EXEC_STOPPED, EXEC_STARTING, EXEC_RUNNING, EXEC_FAILED, EXEC_PHASES };

extern const char *const exec_words[EXEC_PHASES]; /* of `state` */

struct exec_config {
	char *argv;
	struct keyed env;
	struct init_user user;
	char *cwd;
	bool tty;
	char *stdio[3]; /* host paths, or "" */
};

struct exec {
	struct object object; /* first: object_exec() */
	struct machine *machine;
	struct exec_config config;
	enum exec_phase phase;
	pid_t pid;	      /* while it runs */
	struct ending ending; /* of its last run */
	bool has_ending;
};

static inline struct exec *object_exec(struct object *o)
{
	return (struct exec *)o;
}

extern const struct schema exec_schema;

/* ---- classes: the directory exec/, and a session ---- */

int execs_class(struct class *ret, struct err *e);
int exec_class(struct class *ret, struct err *e);
/* The files of a session. */
int exec_files(struct class *ret, struct err *e);

/* ---- with its container ---- */

/* The directory exec/ of a container that has just been made or found, and what it holds. */
int execs_attach(struct machine *m, struct err *e);
/* The container's owner or mode has changed. */
void execs_follow(struct machine *m);
/*
 * The monitor has told of all that run, or has gone: how the others ended stands in their files.
 * gone: none runs any more.
 */
void execs_settle(struct machine *m, bool gone);
/* The container's session of this id, or NULL. */
struct exec *exec_find(const struct machine *m, uint64_t id);

/* ---- what happens to it ---- */

/* What its monitor says. */
void exec_told(struct exec *x, bool running, pid_t pid, const struct ending *ending);
void exec_enter(struct exec *x, enum exec_phase phase);
/* A start came to nothing. */
void exec_refused(struct exec *x);
/* Bit 0: stdout, bit 1: stderr. */
void exec_grew(struct exec *x, unsigned streams);
/* Its directory: the caller's to close, or -errno. */
int exec_dir(const struct exec *x);
int exec_save(struct exec *x, struct err *e);

/* ---- verbs; the write functions of its ctl and stdin ---- */

void exec_ctl_show(struct object *o, const struct file *f, struct text *out);
int exec_ctl_write(struct handle *h, struct request *r, const char *data, size_t len,
		   struct err *e);
int exec_stdin_write(struct handle *h, struct request *r, const char *data, size_t len,
		     struct err *e);

#endif
