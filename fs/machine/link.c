/* struct link: see link.h. */
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "backends/monitor/spare.h"
#include "fs/daemon.h"
#include "fs/machine/launch.h"
#include "fs/machine/link_priv.h"
#include "fs/machine/vsock_dir.h"
#include "fs/store/store.h"

/* ---- names ---- */

/* sun_path is short and the run directory may not be: the name goes through its descriptor. */
static void link_address(const struct machine *m, struct sockaddr_un *sun)
{
	*sun = (struct sockaddr_un){ .sun_family = AF_UNIX };
	snprintf(sun->sun_path, sizeof(sun->sun_path), "/proc/self/fd/%d/%s",
		 m->object.daemon->run_fd, m->identity.uuid);
}

void link_unlink(struct machine *m)
{
	unlinkat(m->object.daemon->run_fd, m->identity.uuid, 0);
	vsock_dir_remove(m);
}

bool link_exists(const struct machine *m)
{
	return faccessat(m->object.daemon->run_fd, m->identity.uuid, F_OK, AT_SYMLINK_NOFOLLOW) ==
	       0;
}

int link_listen(struct machine *m, int *ret_listener, struct err *e)
{
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct sockaddr_un sun;

	if (fd < 0)
		return err_sys(e, errno, "start: socket");
	/* The directory of vsock sockets, which the monitor has not yet, stays. */
	unlinkat(m->object.daemon->run_fd, m->identity.uuid, 0);
	link_address(m, &sun);
	if (bind(fd, (struct sockaddr *)&sun, sizeof(sun)) < 0 || listen(fd, 4) < 0) {
		err_sys(e, errno, "start: the run directory");
		close(fd);
		return e->code;
	}
	*ret_listener = fd;
	return 0;
}

/* ---- the monitor's end ---- */

/* What it has written itself: when it was not to go on, or to a daemon that was not there yet. */
static bool link_last_word(struct link *l, struct ending *ending)
{
	struct text text = TEXT_INIT;
	struct ending said;
	bool has = store_read(machine_dir(l->machine), "exit", &text) == 0 && text.len &&
		   ending_parse(text_str(&text), &said) == 0;

	if (has)
		*ending = said;
	text_free(&text);
	return has;
}

/* Died without a last word: by what? */
static void link_autopsy(struct link *l, struct ending *ending)
{
	siginfo_t info = { 0 };

	/* Until then `exit` says that it runs. */
	if (link_last_word(l, ending))
		return;
	*ending = (struct ending){ .kind = ENDING_FAILED };
	snprintf(ending->why, sizeof(ending->why), "its monitor is gone");
	if (l->pidfd < 0 || waitid(P_PIDFD, (id_t)l->pidfd, &info, WEXITED | WNOHANG) < 0 ||
	    !info.si_pid)
		return;
	if (info.si_code == CLD_EXITED)
		snprintf(ending->why, sizeof(ending->why), "its monitor exited with status %d",
			 info.si_status);
	else
		snprintf(ending->why, sizeof(ending->why), "its monitor was killed by signal %d",
			 info.si_status);
}

static void link_close(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

void link_drop_listener(struct link *l)
{
	link_close(&l->listener);
}

/* The link leaves its machine; it stays until its process, which now ends, can be reaped. */
static void link_retire(struct link *l)
{
	struct machine *m = l->machine;

	link_close(&l->spare);
	link_drop_listener(l);
	if (m->link == l)
		m->link = NULL;
	if (l->pidfd < 0) {
		link_free(l);
		return;
	}
	LIST_INSERT_HEAD(&m->object.daemon->retired, l, retired);
	l->machine = NULL;
}

void link_abandon(struct link *l)
{
	if (!l)
		return;
	event_del(l->readable);
	close(l->fd);
	l->fd = -1;
	link_unlink(l->machine);
	link_retire(l);
}

/* Its client is told when nothing is left of it. */
static void link_refused(struct link *l, struct machine *m, const struct err *why)
{
	struct asked *a = asked_find(l, l->start_seq);

	if (a)
		LIST_REMOVE(a, link);
	machine_refused(m, a ? a->request : NULL, why);
	free(a);
}

void link_drop_layer(struct link *l)
{
	link_close(&l->layer);
}

void link_take_spare(struct link *l, int spare, int listener)
{
	l->spare = spare;
	l->listener = listener;
}

/* The monitor's process has nothing more to do with this machine, and we with it. */
static bool link_give_back(struct link *l)
{
	const struct machine *m = l->machine;
	const struct spare_taken taken = { l->pid, l->spare };

	if (!l->again || !l->ended || l->spare < 0 ||
	    !spare_back(m->object.daemon->spares[m->kind], &taken, m->runs_as))
		return false;
	l->spare = -1;
	return true;
}

static void link_over(struct link *l)
{
	struct machine *m = l->machine;
	struct err e = { 0 };
	struct ending ending = m->ending;
	bool back = link_give_back(l);

	link_drop_layer(l);
	if (l->refused) {
		e = l->refusal;
		link_unlink(m); /* before `exit` tells of the run before */
	} else {
		if (!l->ended) {
			link_autopsy(l, &ending);
			m->ending = ending;
			m->has_ending = true;
			object_changed(&m->object, "exit");
			machine_record_ending(m);
		}
		err_set(&e, -ENXIO, "ctl: %s",
			ending.why[0] ? ending.why : "the machine has ended");
	}
	m->link = NULL;
	if (l->refused)
		link_refused(l, m, &e);
	else
		machine_ended(m, &ending);
	link_fail_asked(l, &e);
	if (back)
		link_free(l);
	else
		link_retire(l);
}

/* One that has waited died before it took the connection: the machine gets another. */
static bool link_begin_anew(struct link *l)
{
	struct err e = { 0 };
	siginfo_t info;
	pid_t pid;

	if (!l->machine || l->listener < 0 || l->fd < 0)
		return false;
	waitid(P_PIDFD, (id_t)l->pidfd, &info, WEXITED | WNOHANG);
	event_free(l->dead);
	l->dead = NULL;
	link_close(&l->pidfd);
	link_close(&l->spare);
	if (launch_anew(l->machine, l->listener, &pid, &e) == 0)
		link_own(l, pid);
	link_drop_listener(l);
	return true;
}

static void on_dead(int fd, short what, void *arg)
{
	struct link *l = arg;
	siginfo_t info;

	if (link_begin_anew(l))
		return;
	event_del(l->dead);
	if (l->machine)
		link_over(l);
	/* link_over() has put it among the retired: its process is dead, so this is the end. */
	waitid(P_PIDFD, (id_t)l->pidfd, &info, WEXITED | WNOHANG);
	LIST_REMOVE(l, retired);
	link_free(l);
}

/* ---- the connection ---- */

static void link_hang_up(struct link *l)
{
	if (l->readable)
		event_free(l->readable);
	l->readable = NULL;
	if (l->fd >= 0)
		close(l->fd);
	l->fd = -1;
}

/* Watches the monitor's process; a monitor on a thread of ours has none of its own. */
void link_own(struct link *l, pid_t pid)
{
	struct event_base *loop = l->machine->object.daemon->loop;

	if (pid <= 0 || l->pid == pid)
		return;
	l->pid = pid;
	if (pid == getpid() || l->pidfd >= 0)
		return;
	l->pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (l->pidfd < 0)
		return;
	l->dead = event_new(loop, l->pidfd, EV_READ, on_dead, l);
	if (l->dead && event_add(l->dead, NULL) == 0)
		return;
	/* Then the end of the connection is the end. */
	close(l->pidfd);
	l->pidfd = -1;
}

static int link_dial(struct link *l)
{
	const int on = 1; /* SO_PASSCRED: the kernel says who sends */
	struct sockaddr_un sun;
	int rc;

	l->fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	link_address(l->machine, &sun);
	if (l->fd < 0 || setsockopt(l->fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)) < 0 ||
	    connect(l->fd, (struct sockaddr *)&sun, sizeof(sun)) < 0) {
		rc = -errno;
		link_hang_up(l);
		return rc;
	}
	l->readable = event_new(l->machine->object.daemon->loop, l->fd, EV_READ | EV_PERSIST,
				link_on_readable, l);
	if (!l->readable || event_add(l->readable, NULL) < 0) {
		link_hang_up(l);
		return -ENOMEM;
	}
	return 0;
}

/*
 * A monitor hangs up on a daemon that does not read, for one that was stopped or slow: it is
 * asked again, and its HELLO tells all. Not twice in a second: that is no daemon's slowness.
 */
bool link_reconnect(struct link *l)
{
	struct timespec now;
	struct err e = { 0 };

	clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	if (l->ended || l->refused || (l->reconnected && now.tv_sec - l->reconnected < 2))
		return false;
	l->reconnected = now.tv_sec + 1;
	link_hang_up(l);
	if (link_dial(l) < 0)
		return false;
	err_set(&e, -EIO, "ctl: the connection to the monitor was lost; see state");
	link_fail_asked(l, &e);
	return true;
}

/*
 * The monitor has closed the connection. A container's end is complete then; otherwise its
 * process is waited for: it may hold guest memory, it is in the machine's control group, or
 * how it died is still to be learned. One that has not said why is made to die.
 */
void link_closed(struct link *l)
{
	struct machine *m = l->machine;

	link_hang_up(l);
	if (l->pidfd < 0 || (l->ended && m->kind == KIND_CONTAINER)) {
		link_over(l);
		return;
	}
	if (!l->ended && !l->refused)
		syscall(SYS_pidfd_send_signal, l->pidfd, SIGKILL, NULL, 0);
}

/* ---- what it knows ---- */

int link_layer(const struct link *l)
{
	return l->layer;
}

pid_t link_pid(const struct link *l)
{
	return l->pid;
}

pid_t link_machine_pid(const struct link *l)
{
	return l->machine_pid;
}

const char *link_tty(const struct link *l)
{
	return l->tty;
}

bool link_part_counters(const struct link *l, enum part_kind kind, const char *part,
			uint64_t ret[ENGINE_PART_COUNTERS])
{
	for (int i = 0; l->page && i < ENGINE_PARTS_MAX; i++) {
		const struct engine_part_stat *s = &l->page->parts[i];

		if (!atomic_load(&s->used))
			break;
		if (s->kind != kind || strncmp(s->part, part, sizeof(s->part)) != 0)
			continue;
		for (int n = 0; n < ENGINE_PART_COUNTERS; n++)
			ret[n] = atomic_load_explicit(&s->counters[n], memory_order_relaxed);
		return true;
	}
	return false;
}

uint64_t link_part_total(const struct link *l, enum part_kind kind, unsigned counter)
{
	uint64_t total = 0;

	for (int i = 0; l->page && i < ENGINE_PARTS_MAX; i++) {
		const struct engine_part_stat *s = &l->page->parts[i];

		if (atomic_load(&s->used) && s->kind == kind)
			total += atomic_load_explicit(&s->counters[counter], memory_order_relaxed);
	}
	return total;
}

uint64_t link_counter(const struct link *l, enum engine_counter counter)
{
	return l->page ? atomic_load_explicit(&l->page->counters[counter], memory_order_relaxed)
		       : 0;
}

/* ---- life ---- */

int link_connect(struct machine *m, struct link **ret)
{
	struct link *l = calloc(1, sizeof(*l));
	int rc;

	if (!l)
		return -ENOMEM;
	l->machine = m;
	l->pidfd = l->fd = l->layer = l->spare = l->listener = -1;
	LIST_INIT(&l->asked);
	rc = link_dial(l);
	if (rc < 0) {
		link_free(l);
		return rc;
	}
	*ret = l;
	return 0;
}

void link_release(struct link *l)
{
	struct err e = { 0 };

	err_set(&e, -EIO, "ctl: the daemon ends");
	link_fail_asked(l, &e);
}

void link_free(struct link *l)
{
	struct err e = { 0 };

	if (!l)
		return;
	err_set(&e, -ESTALE, "ctl: the machine was removed");
	link_fail_asked(l, &e);
	link_hang_up(l);
	link_drop_layer(l);
	link_close(&l->spare);
	link_drop_listener(l);
	if (l->dead)
		event_free(l->dead);
	if (l->patience)
		event_free(l->patience);
	if (l->page)
		munmap((void *)l->page, sizeof(*l->page));
	if (l->pidfd >= 0)
		close(l->pidfd);
	free(l);
}

void links_free_retired(struct daemon *d)
{
	struct link *l;

	while ((l = LIST_FIRST(&d->retired))) {
		LIST_REMOVE(l, retired);
		link_free(l);
	}
}
