/* What START and CONFIGURE bring: see monitor_priv.h. */
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "backends/host/envelope.h"
#include "backends/monitor/console.h"
#include "backends/monitor/monitor_filter.h"
#include "backends/monitor/monitor_priv.h"
#include "backends/monitor/walls.h"

/* ---- descriptors ---- */

/* Where the descriptor of this role belongs; NULL: nowhere, or it is there already. */
static int *monitor_place(struct monitor *m, const struct machine_config *c,
			  const struct wire_fd *w)
{
	struct engine_part_fd *p = &m->host.part_fds[m->host.npart_fds];
	int *slot;

	if (w->role == WIRE_ROLE_PART) {
		if (w->kind >= PART_KINDS || w->index >= c->parts[w->kind].n)
			return NULL;
		*p = (struct engine_part_fd){ -1, (enum part_kind)w->kind, w->which, "" };
		memcpy(p->part, c->parts[w->kind].list[w->index].name, sizeof(p->part));
		m->host.npart_fds++;
		return &p->fd;
	}
	if (w->role >= WIRE_ROLE_PART)
		return NULL;
	slot = monitor_slot(m, w->role);
	return *slot < 0 ? slot : NULL;
}

/* Which descriptors a message may bring. */
enum monitor_takes { TAKES_ALL, TAKES_PARTS, TAKES_OTHERS };

/* Takes the message's descriptors: what they are for, c says. */
static int monitor_take_fds(struct monitor *m, const struct machine_config *c,
			    const struct wire_fd *roles, uint32_t n, enum monitor_takes takes,
			    struct err *e)
{
	if (n != (uint32_t)m->message->nfds)
		return err_set(e, -EINVAL, "start: %d descriptors instead of %u", m->message->nfds,
			       n);
	if (takes != TAKES_OTHERS)
		m->host.part_fds = calloc(n + 1, sizeof(*m->host.part_fds));
	if (takes != TAKES_OTHERS && !m->host.part_fds)
		return err_sys(e, ENOMEM, "start");
	for (uint32_t i = 0; i < n; i++) {
		bool part = roles[i].role == WIRE_ROLE_PART;
		bool fits = takes == TAKES_ALL || part == (takes == TAKES_PARTS);
		int *place = fits ? monitor_place(m, c, &roles[i]) : NULL;

		if (!place)
			return err_set(e, -EINVAL, "start: descriptor %u has no role", i);
		*place = m->message->fds[i];
		m->message->fds[i] = -1;
		if (envelope_open(place, e) < 0)
			return err_prefix(e, "start: ");
	}
	return 0;
}

/* ---- start ---- */

static int monitor_map_counters(struct monitor *m, struct err *e)
{
	size_t size = sizeof(struct engine_page);
	int fd = m->fd[WIRE_ROLE_COUNTERS], seals = fcntl(fd, F_GET_SEALS);
	struct stat st;

	/* A write behind the end of a file would be the end of the machine. */
	if (seals < 0 || !(seals & F_SEAL_SHRINK) || fstat(fd, &st) < 0 || st.st_size < (off_t)size)
		return err_set(e, -EINVAL, "start: no counters");
	m->page = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (m->page == MAP_FAILED) {
		m->page = NULL;
		return err_sys(e, errno, "start: counters");
	}
	m->host.counters = m->page->counters;
	m->host.part_stats = m->page->parts;
	return 0;
}

/* A VM is its monitor, so the monitor enters the machine's control group; a container's does not.
 */
static int monitor_join_cgroup(struct monitor *m, struct err *e)
{
	for (int i = 0; i < ENGINE_CGROUP_MAX; i++) {
		int *fd = &m->host.fd[ENGINE_FD_CGROUP + i];

		if (*fd < 0)
			continue;
		if (write(*fd, "0", 1) != 1)
			return err_sys(e, errno, "start: cannot enter the control group");
		/* root opened it: whoever holds it could move any process of the host. */
		close(*fd);
		*fd = -1;
	}
	return 0;
}

/*
 * Behind its walls, and there its owner, without his other groups: whatever they open for him is
 * open already.
 */
static int monitor_become_owner(struct monitor *m, struct err *e)
{
	uid_t uid = m->host.uid;
	gid_t gid = m->host.gid;

	if (geteuid() == 0 && uid == 0) // root may lock memory; without capabilities, by this
		(void)setrlimit(RLIMIT_MEMLOCK, &(struct rlimit){ RLIM_INFINITY, RLIM_INFINITY });
	if (!m->place.walled && (walls_limit(e) < 0 || walls_raise(e) < 0))
		return e->code;
	if (geteuid() == 0 && uid != 0 &&
	    (setgroups(0, NULL) < 0 || setresgid(gid, gid, gid) < 0 ||
	     setresuid(uid, uid, uid) < 0))
		return err_sys(e, errno, "start: cannot become user %u", uid);
	return 0;
}

/* Becomes the owner, with nothing: what the engine needs is open already. */
static int monitor_narrow(struct monitor *m, struct err *e)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct none[2] = { 0 };

	if (!m->hooks->own_process)
		return 0;
	prctl(PR_SET_NAME, m->name);
	if (m->engine->keeps_root)
		return 0;
	if (monitor_join_cgroup(m, e) < 0)
		return e->code;
	if (monitor_become_owner(m, e) < 0)
		return e->code;
	if (syscall(SYS_capset, &header, none) < 0)
		return err_sys(e, errno, "start: cannot drop capabilities");
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return err_sys(e, errno, "start: no_new_privs");
	m->host.confined = true;
	if (monitor_filter_report(m->fd[WIRE_ROLE_EXIT], e) < 0)
		return e->code;
	return monitor_filter_install(MONITOR_LOOP, e);
}

static void console_grew(void *arg)
{
	monitor_say(arg, WIRE_GREW, 0, NULL, 0, NULL, 0);
}

static void console_typed(void *arg, const void *data, size_t len)
{
	struct monitor *m = arg;

	if (m->self)
		m->engine->input(m->self, data, len);
}

static const struct console_ops console_ops = { console_grew, console_typed };

static int monitor_open_console(struct monitor *m, struct err *e)
{
	if (m->place.pty.master < 0 && !m->place.walled)
		pty_open(&m->place.pty);
	pty_give(&m->place.pty, m->host.uid);
	return console_new(m->host.loop, m->fd[WIRE_ROLE_LOG], m->fd[WIRE_ROLE_OLD], &m->place.pty,
			   &console_ops, m, &m->host.console, e);
}

/* All that START alone makes possible. */
static int monitor_ready(struct monitor *m, struct err *e)
{
	struct wire_start *w = (struct wire_start *)m->message->body;
	int rc;

	w->name[sizeof(w->name) - 1] = '\0';
	w->uuid[sizeof(w->uuid) - 1] = '\0';
	if (w->kind > KIND_CONTAINER)
		return err_set(e, -EINVAL, "start: kind %u", w->kind);
	memcpy(m->name, w->name, sizeof(m->name));
	memcpy(m->uuid, w->uuid, sizeof(m->uuid));
	m->engine = m->hooks->engine(w->kind);
	m->host.name = m->name;
	m->host.uuid = m->uuid;
	m->host.uid = w->uid;
	m->host.gid = w->gid;
	m->host.own_process = m->hooks->own_process;
	m->host.hold = (enum engine_hold)w->hold;
	if (w->hold >= HOLD_END || (w->hold && !m->engine->release))
		return err_set(e, -EINVAL, "start: hold %u", w->hold);
	rc = m->hooks->config_decode(w->kind, m->message->body + sizeof(*w), m->message->extra,
				     &m->config, e);
	if (rc < 0)
		return rc;
	m->has_config = true;
	m->host.config = &m->config;
	m->tag = w->tag;
	rc = monitor_take_fds(m, &m->config, w->roles, w->nfds, TAKES_ALL, e);
	if (rc == 0)
		rc = monitor_map_counters(m, e);
	if (rc == 0)
		rc = monitor_open_console(m, e);
	if (rc == 0)
		m->fd[WIRE_ROLE_LOG] = m->fd[WIRE_ROLE_OLD] = -1;
	return rc;
}

/* rc: what has come of it so far, as e says. */
static void monitor_start(struct monitor *m, int rc, struct err *e)
{
	if (rc == 0)
		rc = monitor_narrow(m, e);
	if (rc == 0)
		rc = m->engine->start(&m->host, &m->self, e);
	monitor_close_parts(m);
	if (rc < 0) {
		monitor_reply(m, m->message->header.seq, rc, e);
		event_base_loopbreak(m->host.loop);
		return;
	}
	m->run = monitor_held(m->host.hold);
	monitor_say_hello(m, m->message->header.seq); /* now there are a tty and counters */
}

void monitor_handle_start(struct monitor *m)
{
	const struct wire_start *w = (const struct wire_start *)m->message->body;
	struct err e = { 0 };
	int rc;

	if (m->run != RUN_NEW || m->awaits_groups) {
		err_set(&e, -EEXIST, "start: this monitor has a machine");
		monitor_reply(m, m->message->header.seq, -EEXIST, &e);
		return;
	}
	event_del(m->timer);
	rc = monitor_ready(m, &e);
	m->awaits_groups = w->groups != 0;
	if (m->awaits_groups)
		m->unstarted = e;
	else
		monitor_start(m, rc, &e);
}

void monitor_handle_groups(struct monitor *m)
{
	const struct wire_groups *w = (const struct wire_groups *)m->message->body;
	struct err e = m->unstarted;

	if (!m->awaits_groups) {
		err_set(&e, -EINVAL, "start: no machine is waiting for control groups");
		monitor_reply(m, m->message->header.seq, e.code, &e);
		return;
	}
	m->awaits_groups = false;
	if (e.code == 0)
		monitor_take_fds(m, &m->config, w->roles, w->nfds, TAKES_OTHERS, &e);
	monitor_start(m, e.code, &e);
}

/* ---- another configuration ---- */

static int monitor_configure(struct monitor *m, struct err *e)
{
	const struct wire_configure *w = (const struct wire_configure *)m->message->body;
	struct machine_config next;
	int rc;

	if (!m->self)
		return err_set(e, -EBUSY, "the machine is not running");
	if (m->run == RUN_OUTSIDE)
		return monitor_refuse_outside(e);
	if (!m->engine->configure)
		return err_set(e, -ENXIO, "a %s cannot change in this way while it runs",
			       m->engine->name);
	rc = m->hooks->config_decode(m->config.kind, m->message->body + sizeof(*w),
				     m->message->extra, &next, e);
	if (rc < 0)
		return rc;
	rc = monitor_take_fds(m, &next, w->roles, w->nfds, TAKES_PARTS, e);
	if (rc == 0)
		rc = m->engine->configure(m->self, &next, e);
	monitor_close_parts(m);
	m->hooks->config_free(rc == 0 ? &m->config : &next);
	if (rc < 0)
		return rc;
	m->config = next;
	m->tag = w->tag;
	return 0;
}

void monitor_handle_configure(struct monitor *m)
{
	struct err e = { 0 };
	int rc = monitor_configure(m, &e);

	monitor_reply(m, m->message->header.seq, rc, &e);
}
