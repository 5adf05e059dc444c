/* struct autostart: see autostart.h. */
#include "fs/machine/autostart.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fs/daemon.h"
#include "fs/machine/machine.h"
#include "fs/machine/restart.h"
#include "fs/store/kept.h"
#include "fs/store/store.h"

#define RECORD	      "autostart"
#define START_SECONDS 60 /* that a start may take before the next one's turn comes */

struct autostart {
	struct daemon *daemon;
	struct event *timer;
	struct text done; /* the record: "BOOT\nUUID\n...", then "end\n" */
	uint64_t *ids;	  /* of the machines to start, in their order */
	size_t nids, next;
	uint64_t starting; /* the one whose start is under way, or 0 */
};

/* Where the kernel does not tell, all boots are one: then RUN had better not outlive it. */
static void boot_read(struct text *out)
{
	int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);

	if (fd < 0 || text_read_fd(out, fd) < 0 || out->len != 37 || out->data[36] != '\n') {
		text_clear(out);
		text_add(out, "unknown\n");
	}
	if (fd >= 0)
		close(fd);
}

/* The whole record is written again only when it begins; otherwise a line is put behind it. */
static void record_line(struct autostart *a, const char *line)
{
	int fd = openat(a->daemon->run_fd, RECORD,
			O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);

	if (fd < 0)
		return;
	/* If it fails, a daemon that is killed now leaves this one to be started again. */
	(void)!write(fd, line, strlen(line));
	close(fd);
}

static bool record_has(const struct autostart *a, const char *line)
{
	const char *found = text_str(&a->done);
	size_t len = strlen(line);

	while ((found = strstr(found, line))) {
		if (found[len] == '\n' && (found == text_str(&a->done) || found[-1] == '\n'))
			return true;
		found += len;
	}
	return false;
}

static void autostart_next(struct autostart *a);

static void on_time(int fd, short what, void *arg)
{
	autostart_next(arg);
}

int autostart_new(struct daemon *d, struct autostart **ret, struct err *e)
{
	struct autostart *a = calloc(1, sizeof(*a));
	struct text boot = TEXT_INIT;

	if (a)
		a->timer = evtimer_new(d->loop, on_time, a);
	if (!a || !a->timer) {
		autostart_free(a);
		return err_sys(e, ENOMEM, "autostart");
	}
	boot_read(&boot);
	a->daemon = d;
	d->same_boot = store_read(d->run_fd, RECORD, &a->done) == 0 &&
		       !strncmp(text_str(&a->done), text_str(&boot), boot.len);
	if (!d->same_boot) {
		unlinkat(d->run_fd, RECORD, 0);
		record_line(a, text_str(&boot));
		text_clear(&a->done);
	}
	text_free(&boot);
	*ret = a;
	return 0;
}

void autostart_free(struct autostart *a)
{
	if (!a)
		return;
	if (a->timer)
		event_free(a->timer);
	text_free(&a->done);
	free(a->ids);
	free(a);
}

/* ---- the order ---- */

static int compare_turns(const void *x, const void *y)
{
	const struct machine *a = *(const struct machine *const *)x;
	const struct machine *b = *(const struct machine *const *)y;
	int names = strcmp(a->object.name, b->object.name);

	if (a->config.autostart_order != b->config.autostart_order)
		return a->config.autostart_order < b->config.autostart_order ? -1 : 1;
	return names ? names : (int)a->kind - (int)b->kind;
}

/* Those whose turn has not come yet, running ones too: what runs now may be stopped by then. */
static struct machine **machines_due(const struct autostart *a, size_t *ret_n)
{
	struct object *const *kinds = a->daemon->machines;
	struct machine **due = calloc(kinds[0]->nchildren + kinds[1]->nchildren + 1, sizeof(*due));
	size_t n = 0;

	for (int kind = 0; due && kind < 2; kind++)
		for (size_t i = 0; i < kinds[kind]->nchildren; i++) {
			struct machine *m = object_machine(kinds[kind]->children[i]);

			if (m->config.autostart && !record_has(a, m->identity.uuid))
				due[n++] = m;
		}
	if (due)
		qsort(due, n, sizeof(*due), compare_turns);
	*ret_n = n;
	return due;
}

void autostart_begin(struct autostart *a)
{
	struct machine **due;
	size_t n;

	if (record_has(a, "end"))
		return;
	due = machines_due(a, &n);
	a->ids = due ? calloc(n + 1, sizeof(*a->ids)) : NULL;
	for (size_t i = 0; a->ids && i < n; i++)
		a->ids[a->nids++] = due[i]->object.id;
	free(due);
	autostart_next(a);
}

/* ---- one after the other ---- */

static void autostart_after(struct autostart *a, time_t seconds)
{
	struct timeval tv = { .tv_sec = seconds };

	evtimer_add(a->timer, &tv);
}

/* Lets the loop serve others before the next one. */
static void autostart_one(struct autostart *a, struct machine *m)
{
	char line[sizeof(m->identity.uuid) + 1];

	snprintf(line, sizeof(line), "%s\n", m->identity.uuid);
	record_line(a, line);
	if (machine_active(m) || restart_waits(m) || !m->config.autostart) {
		autostart_after(a, 0);
		return;
	}
	a->starting = m->object.id;
	autostart_after(a, START_SECONDS);
	kept_event(&m->object, "autostart", "");
	restart_start(m);
	if (!machine_active(m))
		autostart_notice(a, m);
}

static void autostart_next(struct autostart *a)
{
	struct node n;

	a->starting = 0;
	while (a->next < a->nids)
		if (node_find(a->daemon, a->ids[a->next++] << 24, &n) == 0) {
			autostart_one(a, object_machine(n.object));
			return;
		}
	record_line(a, "end\n");
}

void autostart_notice(struct autostart *a, const struct machine *m)
{
	if (!a || a->starting != m->object.id || m->state == STATE_STARTING)
		return;
	a->starting = 0;
	autostart_after(a, (time_t)m->config.autostart_delay);
}

void autostart_stop(struct autostart *a)
{
	event_del(a->timer);
	a->nids = 0;
	unlinkat(a->daemon->run_fd, RECORD, 0);
}
