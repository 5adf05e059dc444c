/* struct growlog: see growlog.h. */
#include "backends/monitor/growlog.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

int growlog_init(struct growlog *g, int log, int old, struct err *e)
{
	struct stat st;

	if (fstat(log, &st) < 0)
		return err_sys(e, errno, "the log");
	*g = (struct growlog){ log, old, st.st_size };
	return 0;
}

/* Moves the content of the full log to `old`, and empties the log. */
static void growlog_rotate(struct growlog *g)
{
	off_t from = 0;

	if (ftruncate(g->old, 0) < 0 || lseek(g->old, 0, SEEK_SET) < 0)
		return;
	while (from < g->size)
		if (copy_file_range(g->log, &from, g->old, NULL, (size_t)(g->size - from), 0) <= 0)
			break;
	if (ftruncate(g->log, 0) == 0)
		g->size = 0;
}

void growlog_add(struct growlog *g, const char *data, size_t len)
{
	while (len > 0) {
		size_t room, n;
		ssize_t done;

		if (g->size >= GROWLOG_MAX)
			growlog_rotate(g);
		if (g->size >= GROWLOG_MAX)
			return;
		room = GROWLOG_MAX - (size_t)g->size;
		n = len < room ? len : room;
		done = pwrite(g->log, data, n, g->size);
		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0)
			return;
		g->size += done;
		data += done;
		len -= (size_t)done;
	}
}

void growlog_close(struct growlog *g)
{
	if (g->log >= 0)
		close(g->log);
	if (g->old >= 0)
		close(g->old);
	g->log = g->old = -1;
}
