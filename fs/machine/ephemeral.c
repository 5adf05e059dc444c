/* Ephemeral machines: see ephemeral.h. */
#include "fs/machine/ephemeral.h"

#include <event2/event.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "fs/daemon.h"
#include "fs/log.h"
#include "fs/machine/machine.h"
#include "fs/poker.h"

#define MARK	   "ephemeral"
#define HELD_TRIES 10 /* seconds for which open files hold it */
#define TRIES	   20 /* then its directory cannot be removed; the next daemon tries again */

static const struct timeval grace = { .tv_sec = 1 };

static void on_time(int fd, short what, void *arg)
{
	struct machine *m = arg;
	struct daemon *d = m->object.daemon;
	struct text path = TEXT_INIT;

	m->ephemeral.tries++;
	if (!LIST_EMPTY(&m->object.handles) && m->ephemeral.tries < HELD_TRIES)
		return;
	object_path(&m->object, &path);
	if (m->ephemeral.tries > TRIES) {
		event_del(m->ephemeral.timer);
		log_machine(LOG_LEVEL_ERROR, text_str(&path), m->identity.uuid,
			    "ephemeral, but cannot be removed");
	} else if (d->poker && !text_failed(&path))
		poker_remove(d->poker, text_str(&path));
	text_free(&path);
}

void ephemeral_mark(struct machine *m)
{
	int fd;

	if (!m->config.ephemeral || restart_waits(m))
		return;
	fd = openat(machine_dir(m), MARK, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd >= 0)
		close(fd);
}

void ephemeral_over(struct machine *m)
{
	if (!m->config.ephemeral || m->ephemeral.timer)
		return;
	ephemeral_mark(m);
	m->ephemeral.tries = 0;
	m->ephemeral.timer = event_new(m->object.daemon->loop, -1, EV_PERSIST, on_time, m);
	if (m->ephemeral.timer)
		event_add(m->ephemeral.timer, &grace);
	object_changed(&m->object, "ctl");
}

bool ephemeral_goes(const struct machine *m)
{
	return m->ephemeral.timer != NULL;
}

bool ephemeral_marked(struct machine *m)
{
	return faccessat(machine_dir(m), MARK, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

void ephemeral_configured(struct machine *m)
{
	if (m->config.ephemeral || !m->ephemeral.timer)
		return;
	unlinkat(machine_dir(m), MARK, 0);
	ephemeral_free(m);
	object_changed(&m->object, "ctl");
}

void ephemeral_free(struct machine *m)
{
	if (m->ephemeral.timer)
		event_free(m->ephemeral.timer);
	m->ephemeral.timer = NULL;
}
