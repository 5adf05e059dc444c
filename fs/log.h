/*
 * The logger: the only thing that prints. Where stderr is systemd's journal, to it by its native
 * protocol, in which a line about a machine has the fields MACHINE and MACHINE_UUID; else stderr in
 * the foreground, and syslog.
 */
#ifndef FS_LOG_H
#define FS_LOG_H

#include <stdbool.h>

enum log_level {
	LOG_LEVEL_ERROR,
	LOG_LEVEL_NOTICE,
	LOG_LEVEL_INFO, /* for the journal alone, which can be asked for less */
};

/* Before daemonizing. syslog keeps its own state; there is no other. */
void log_open(bool foreground);
void log_line(enum log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* About a machine, "vm/web", whose name is put before the text. */
void log_machine(enum log_level level, const char *machine, const char *uuid, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

#endif
