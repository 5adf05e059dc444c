/* The logger: the only thing that prints. stderr in the foreground, else syslog. */
#ifndef FS_LOG_H
#define FS_LOG_H

#include <stdbool.h>

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_NOTICE };

/* Before daemonizing. syslog keeps its own state; there is no other. */
void log_open(bool foreground);
void log_line(enum log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
