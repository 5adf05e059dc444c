/* The logger: see log.h. */
#include "fs/log.h"

#include <stdarg.h>
#include <syslog.h>

void log_open(bool foreground)
{
	openlog("machinefs", LOG_PID | (foreground ? LOG_PERROR : 0), LOG_DAEMON);
}

void log_line(enum log_level level, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsyslog(level == LOG_LEVEL_ERROR ? LOG_ERR : LOG_NOTICE, fmt, ap);
	va_end(ap);
}
