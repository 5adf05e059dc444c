/* The command line of machinefs, read and written. */
#ifndef FS_OPTIONS_H
#define FS_OPTIONS_H

#include <stdbool.h>

#include "backends/base/err.h"

struct daemon_options {
	const char *exe; /* this program */
	const char *mountpoint;
	const char *state_dir;
	const char *run_dir;
	const char *mount_options; /* for -o, or NULL; the options' own */
	bool foreground;
	bool kept; /* somebody keeps the mount, see fs/handover/keeper.h: stay, and log as a daemon
		      does */
};

#define OPTIONS_ARGV_MAX 16

/* Returns -1 to go on, or main's result. Fields that are not given are left as they are. */
int options_parse(int argc, char **argv, struct daemon_options *o);
/* Makes paths absolute and finds exe: to be freed, also when it fails. */
int options_resolve(struct daemon_options *o, struct err *e);
void options_free(struct daemon_options *o);
/* The command line by which another process serves the same. The words stay the options'. */
void options_argv(const struct daemon_options *o, char *argv[OPTIONS_ARGV_MAX]);

#endif
