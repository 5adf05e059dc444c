/* The settings of sessions: one row each, as in machine_attrs.c. */
#include "fs/exec/exec.h"

#define AT(field) .offset = offsetof(struct exec_config, field)

static const struct attr rows[] = {
	{ .name = "argv",
	  .type = &attr_argv,
	  AT(argv),
	  .max = 32768,
	  .doc = "What to execute in the container.",
	  .good = "/bin/sh -c 'echo hello'",
	  .bad = "sh -c 'unbalanced" },
	{ .name = "env",
	  .type = &attr_env,
	  AT(env),
	  .max = 4095,
	  .doc = "Its environment, beside that of the container's init, which it may override.",
	  .good = "LANG=C.UTF-8",
	  .bad = "=C" },
	{ .name = "user",
	  .type = &attr_user,
	  AT(user),
	  .initial = "0:0",
	  .doc = "The user and groups it runs as.",
	  .good = "1000:1000,4,24",
	  .bad = "alice" },
	{ .name = "cwd",
	  .type = &attr_path,
	  AT(cwd),
	  .initial = "/",
	  .doc = "Its working directory, inside the container.",
	  .good = "/tmp",
	  .bad = "tmp" },
	{ .name = "tty",
	  .type = &attr_bool,
	  AT(tty),
	  .initial = "0",
	  .doc = "Whether it has a terminal. What is printed on that is in stdout.",
	  .good = "1",
	  .bad = "yes" },
	{ .name = "stdin.path",
	  .type = &attr_path,
	  AT(stdio[0]),
	  .flags = ATTR_SOURCE_PATH,
	  .doc = "What it reads instead of what is written to stdin. A terminal also becomes its "
		 "controlling one.",
	  .good = "/dev/null",
	  .bad = "null" },
	{ .name = "stdout.path",
	  .type = &attr_path,
	  AT(stdio[1]),
	  .flags = ATTR_SINK_PATH,
	  .doc = "Where its standard output goes instead of into stdout: a regular file grows, a "
		 "FIFO must have a reader when it starts.",
	  .good = "/dev/null",
	  .bad = "null" },
	{ .name = "stderr.path",
	  .type = &attr_path,
	  AT(stdio[2]),
	  .flags = ATTR_SINK_PATH,
	  .doc = "Likewise its errors.",
	  .good = "/dev/null",
	  .bad = "null" },
};

static const struct attr_table table = { rows, sizeof(rows) / sizeof(rows[0]) };

const struct schema exec_schema = { "session", sizeof(struct exec_config), { &table } };
