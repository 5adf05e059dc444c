/* The logger: see log.h. */
#include "fs/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <syslog.h>
#include <unistd.h>

static const int priorities[] = {
	[LOG_LEVEL_ERROR] = LOG_ERR, [LOG_LEVEL_NOTICE] = LOG_NOTICE, [LOG_LEVEL_INFO] = LOG_INFO
};

void log_open(bool foreground)
{
	openlog("machinefs", LOG_PID | (foreground ? LOG_PERROR : 0), LOG_DAEMON);
}

/* systemd.exec(5), $JOURNAL_STREAM: device and inode of what it made of stderr. */
static bool journal_is_stderr(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	unsigned long long device, inode;
	struct stat st;

	return stream && sscanf(stream, "%llu:%llu", &device, &inode) == 2 && fstat(2, &st) == 0 &&
	       st.st_dev == device && st.st_ino == inode;
}

/* Lines KEY=VALUE in one datagram, see systemd.io/JOURNAL_NATIVE_PROTOCOL. Never waits. */
static bool journal_send(const char *fields, size_t len)
{
	static const struct sockaddr_un sun = { AF_UNIX, "/run/systemd/journal/socket" };
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	bool sent;

	if (fd < 0)
		return false;
	sent = sendto(fd, fields, len, MSG_DONTWAIT | MSG_NOSIGNAL, (const struct sockaddr *)&sun,
		      sizeof(sun)) == (ssize_t)len;
	close(fd);
	return sent;
}

static bool journal_write(enum log_level level, const char *machine, const char *uuid,
			  const char *text)
{
	char fields[1536];
	int n = snprintf(fields, sizeof(fields),
			 "PRIORITY=%d\nSYSLOG_IDENTIFIER=machinefs\nMESSAGE=%s\n",
			 priorities[level], text);

	if (machine && n < (int)sizeof(fields))
		n += snprintf(fields + n, sizeof(fields) - (size_t)n,
			      "MACHINE=%s\nMACHINE_UUID=%s\n", machine, uuid);
	return n < (int)sizeof(fields) && journal_send(fields, (size_t)n);
}

static void log_write(enum log_level level, const char *machine, const char *uuid, char *text)
{
	for (char *p = text; (p = strchr(p, '\n')); p++)
		*p = ' '; /* a field is one line */
	if (journal_is_stderr() && journal_write(level, machine, uuid, text))
		return;
	if (level != LOG_LEVEL_INFO)
		syslog(priorities[level], "%s", text);
}

void log_line(enum log_level level, const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	log_write(level, NULL, NULL, text);
}

void log_machine(enum log_level level, const char *machine, const char *uuid, const char *fmt, ...)
{
	char text[1024];
	int n = snprintf(text, sizeof(text), "%s: ", machine);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text + n, sizeof(text) - (size_t)n, fmt, ap);
	va_end(ap);
	log_write(level, machine, uuid, text);
}
