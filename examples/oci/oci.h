/*
 * machinefs-oci: the OCI runtime command line on top of the tree.
 *
 * Everything that it asks of machinefs is a file: a container is a directory that it makes, and
 * what a bundle's config.json says becomes that container's config.yaml. What cannot be said there
 * is refused by its name. Beside the tree it keeps a directory for each container (--root) with the
 * FIFOs that are its standard streams.
 *
 * An engine above (conmon) wants a child whose end is the container's, so create and a detached
 * exec leave a keeper (keeper.c), whose pid is what --pid-file gets.
 */
#ifndef EXAMPLES_OCI_OCI_H
#define EXAMPLES_OCI_OCI_H

#include <jansson.h>
#include <limits.h>
#include <stdbool.h>
#include <sys/types.h>
#include <termios.h>

#include "backends/base/err.h"
#include "backends/base/text.h"

#define OCI_VERSION "1.1.0" /* of the specification */
#define OCI_ID_MAX  255

struct oci {
	const char *tree; /* where machinefs is mounted */
	const char *root; /* what is kept beside the tree */
	const char *log;  /* a file, or NULL: stderr */
	bool log_json;
};

/* A container by its OCI id. The tree's names have 63 bytes at most; the label oci.id has it whole.
 */
struct container {
	char id[OCI_ID_MAX + 1];
	char dir[PATH_MAX];  /* in the tree */
	char kept[PATH_MAX]; /* below oci.root */
};

/* CREATING also while its hooks run. */
enum status { STATUS_CREATING, STATUS_CREATED, STATUS_RUNNING, STATUS_PAUSED, STATUS_STOPPED };
extern const char *const status_words[];

/* ---- tree.c: files ---- */

/* One write; the sentence is the refusal that the file's handle reads back. */
int tree_write(const char *dir, const char *file, const char *text, struct err *e);
int tree_writef(const char *dir, const char *file, struct err *e, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
/* Appends the text without its last newline. */
int tree_read(const char *dir, const char *file, struct text *out, struct err *e);
/* dir/file, in buf of PATH_MAX bytes. */
const char *tree_path(char *buf, const char *dir, const char *file);

/* ---- container.c ---- */

/* EINVAL for an id that is none. */
int container_name(const struct oci *o, const char *id, struct container *ret, struct err *e);
/* And ENOENT where there is no such container. */
int container_find(const struct oci *o, const char *id, struct container *ret, struct err *e);
/* The value of a label, appended; ENOENT. */
int container_label(const struct container *c, const char *key, struct text *out, struct err *e);
int container_status(const struct container *c, enum status *ret, struct err *e);
/* Its keeper, or 0. */
pid_t container_keeper(const struct container *c);
/* Its init, or 0. */
pid_t container_init(const struct container *c);
/* Removes what is kept of it beside the tree. */
void container_unkeep(const struct container *c);
/* Kills it, unless it is given a second to end by itself; it has ended on return. */
void container_end_keeper(const struct container *c, bool now);
/* "PID STARTTIME", by which a process is known after its pid was given to another. */
int process_mark(pid_t pid, char *buf, size_t size);
/* The state as the specification has it. */
int container_state(const struct container *c, json_t **ret, struct err *e);
/* Its bundle's config.json. */
int container_config(const struct container *c, json_t **ret, struct err *e);
/* Ends it, whatever it does, and forgets it. */
int container_remove(const struct oci *o, const struct container *c, bool force, struct err *e);

/* ---- spec.c, process.c, namespaces.c, mounts.c, resources.c: from config.json to settings ---- */

/*
 * A key of an object of config.json that the specification knows, and what is to be done about it.
 * Others are ignored, as the specification wants it.
 */
struct key {
	const char *name;
	/* NULL: it is without meaning here, or taken elsewhere, and passed over. */
	int (*take)(void *arg, const char *path, const json_t *value, struct err *e);
};

/* For a key that the tree has nothing for: refused, unless it says nothing ("", [], {}, false). */
int key_refuse(void *arg, const char *path, const json_t *value, struct err *e);
int keys_take(const struct key *keys, size_t n, void *arg, const char *path, const json_t *object,
	      struct err *e);
#define KEYS_TAKE(keys, arg, path, object, e) \
	keys_take(keys, sizeof(keys) / sizeof((keys)[0]), arg, path, object, e)
int refuse(const char *path, const char *why, struct err *e);
const char *json_text(const json_t *object, const char *key); /* "" if there is none */
int json_number(const json_t *value, const char *path, json_int_t *ret, struct err *e);
int json_file(const char *path, json_t **ret, struct err *e);

/* What is made of a bundle. */
struct spec {
	const char *bundle;    /* an absolute path */
	json_t *config;	       /* its config.json */
	json_t *settings;      /* of the container: a map as config.yaml is */
	json_t *session;       /* of a process alone, for exec: names of files and what they get */
	const json_t *seccomp; /* linux.seccomp, or NULL */
	bool terminal;
	unsigned short rows, columns;
	uid_t uid, host_uid; /* of its process, inside and outside */
	gid_t gid, host_gid;
	unsigned nmounts;
};

int spec_read(struct spec *s, const char *bundle, struct err *e);
void spec_free(struct spec *s);
/* process, of config.json or of exec's --process. For the latter what cannot differ must not. */
int spec_process(struct spec *s, const char *path, const json_t *process, struct err *e);
int spec_exec_process(struct spec *s, const json_t *process, struct err *e);
/* linux.namespaces; and then the containers that those are of which it joins by a path in /proc. */
int spec_namespaces(void *arg, const char *path, const json_t *v, struct err *e);
int spec_join(const struct oci *o, struct spec *s, struct err *e);
int spec_mount(struct spec *s, const char *path, const json_t *mount, struct err *e);
int spec_resources(json_t *settings, const char *path, const json_t *resources, struct err *e);
/* linux.devices, and the rules of linux.resources.devices. */
int spec_devices(void *arg, const char *path, const json_t *value, struct err *e);
int spec_device_rules(const json_t *config, const char *path, const json_t *rules, struct err *e);

/* ---- hooks.c, hook_session.c ---- */

/* hooks of config.json */
int spec_hooks(void *arg, const char *path, const json_t *v, struct err *e);
bool hooks_wanted(const json_t *config, const char *name);

/* Hooks of a name, with the state that they are to read; for when the container may be gone. */
struct hooks {
	const struct container *c;
	json_t *config;
	const json_t *list;
	size_t moment; /* which of the names */
	pid_t init;
	char *state;
	struct text bundle; /* where they begin */
};
/* To be freed also when it fails. */
int hooks_find(struct hooks *h, const struct container *c, const char *name, struct err *e);
/*
 * One after the other, until one fails: its sentence has what it printed. Of poststart and poststop
 * that is a warning.
 */
int hooks_run(const struct oci *o, const struct hooks *h, struct err *e);
void hooks_free(struct hooks *h);
/* All three. */
int hooks_now(const struct oci *o, const struct container *c, const char *name, struct err *e);
/* One that is a program of the container's. */
int hook_session(const struct container *c, const json_t *hook, const char *state, struct err *e);

/* ---- streams.c ---- */

#define PUMP_SIZE 16384

/* Bytes on their way from one descriptor to another. */
struct pump {
	int from, to; /* -1: no more */
	size_t at, len;
	char bytes[PUMP_SIZE];
};

struct streams {
	char path[3][PATH_MAX]; /* what the settings name */
	bool terminal;
	bool started; /* the container has them open */
	int fifo[3];  /* our ends, or -1 */
	int master, slave;
	bool raw; /* our own terminal's settings are changed, and were: */
	struct termios saved;
	struct pump pump[3];
};

struct streams_wanted {
	const char *dir; /* where FIFOs may lie */
	bool terminal;
	bool detached;
	const char *console_socket; /* or NULL */
	unsigned short rows, columns;
	uid_t uid; /* whose they are, outside */
	gid_t gid;
};

int streams_open(struct streams *s, const struct streams_wanted *w, struct err *e);
/* What is waited for and done, from poll to poll. */
#define STREAMS_POLLS 3
struct pollfd; /* STREAMS_POLLS of them: */
void streams_poll(struct streams *s, struct pollfd *fds);
void streams_turn(struct streams *s, const struct pollfd *fds);
/* What was printed last. */
void streams_drain(struct streams *s);
void streams_resize(const struct streams *s);
void streams_close(struct streams *s);

/* ---- keeper.c ---- */

struct keeper {
	const struct oci *oci;
	char dir[PATH_MAX];  /* what it keeps: a container's or a session's directory */
	bool session;	     /* which goes when it has ended, and with it: */
	char kept[PATH_MAX]; /* where its FIFOs are */
	struct streams streams;
	int state;     /* the file, or -1: nobody serves the tree */
	bool released; /* it runs, or has run */
	int told;      /* the signal that it was ended by before that, and is to have ended by */
};

/*
 * A process of its own that keeps it: *ret_pid; it is the child of whoever adopts what this process
 * leaves behind. Returns when it is ready.
 */
int keeper_start(struct keeper *k, pid_t *ret_pid, struct err *e);
/* In this process. The wait status of what is kept, as waitpid(2) has it. */
int keeper_run(struct keeper *k, int *ret_status, struct err *e);
/* Removes what is left of a session. */
void keeper_forget(const struct keeper *k);

/* ---- commands.c ---- */

/* Gives a session its settings, and starts it. */
int session_start(const struct spec *s, const char *dir, struct err *e);

/* ---- main.c ---- */

/* A line of the log, and of stderr; level: error, warning. */
void tell(const struct oci *o, const char *level, const char *sentence);

/* argv[0] is the command; returns the exit status, or -errno with a sentence. */
int command_run(const struct oci *o, int argc, char **argv, struct err *e);

#endif
