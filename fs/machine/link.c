/* struct link: see link.h. */
#include "fs/machine/link.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "backends/monitor/wire_exec.h"
#include "fs/attr/attr.h"
#include "fs/daemon.h"
#include "fs/exec/exec.h"
#include "fs/machine/change.h"
#include "fs/machine/fd_list.h"
#include "fs/machine/vcpu.h"
#include "fs/machine/verb.h"
#include "fs/machine/vsock_dir.h"
#include "fs/store/kept.h"
#include "fs/store/store.h"

#define ASKED_MAX 64 /* verbs that a monitor has not answered, their clients gone or not */
#define TURN_MAX  32 /* messages taken before others have their turn */
#define KILL_S	  10 /* seconds that a monitor has to answer `kill` */

/* A request that the monitor has not answered yet. */
struct asked {
	LIST_ENTRY(asked) link;
	uint32_t seq;
	struct request *request;      /* NULL: its client has gone */
	link_answered *then;	      /* what to do with it */
	struct config_change *change; /* CONFIGURE's, or NULL */
	uint64_t exec;		      /* the session that is to start, or 0 */
};

struct link {
	struct machine *machine; /* NULL: retired, only its process is still to be reaped */
	LIST_ENTRY(link) retired;
	int fd;
	struct event *readable, *dead;
	struct event *patience; /* until it is killed that was told to kill its machine; or NULL */
	pid_t pid;		/* the monitor, by the kernel's word */
	int pidfd;		/* of a monitor in a process of its own, else -1 */
	pid_t machine_pid;	/* the machine's own, as the monitor says */
	char tty[64];
	const struct engine_page *page;
	int layer; /* the machine's, or -1: open no longer than it runs, since it keeps a mount */
	uint32_t seq, start_seq;
	uint16_t foreign;   /* the version of the protocol that it speaks, if it is not ours */
	bool ended;	    /* it has said how the machine ended */
	time_t reconnected; /* when, on the monotonic clock; 0: never */
	bool refused;	    /* it has said why the machine could not be started ... */
	struct err refusal; /* ... namely this */
	LIST_HEAD(, asked) asked;
	unsigned nasked;
};

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

/* ---- answers ---- */

static struct asked *asked_find(struct link *l, uint32_t seq)
{
	struct asked *a;

	LIST_FOREACH(a, &l->asked, link)
	if (a->seq == seq)
		return a;
	return NULL;
}

static void asked_answer(struct link *l, struct asked *a, int rc, const struct err *e)
{
	struct request *r = a->request;
	link_answered *then = a->then;
	struct config_change *c = a->change;

	struct exec *x = a->exec && l->machine ? exec_find(l->machine, a->exec) : NULL;

	LIST_REMOVE(a, link);
	l->nasked--;
	free(a);
	if (x && rc < 0)
		exec_refused(x);
	if (r) {
		r->parked = NULL;
		r->cancel = NULL;
		then(r, rc, e);
	}
	if (c)
		change_answered(c, rc, e);
}

static void asked_cancel(struct request *r)
{
	((struct asked *)r->parked)->request = NULL;
}

static void link_fail_asked(struct link *l, const struct err *e)
{
	struct asked *a;

	while ((a = LIST_FIRST(&l->asked)))
		asked_answer(l, a, e->code, e);
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

/* The link leaves its machine; it stays until its process can be reaped. */
static void link_retire(struct link *l)
{
	struct machine *m = l->machine;

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

static void drop_layer(struct link *l)
{
	if (l->layer >= 0)
		close(l->layer);
	l->layer = -1;
}

static void link_over(struct link *l)
{
	struct machine *m = l->machine;
	struct err e = { 0 };
	struct ending ending = m->ending;

	drop_layer(l);
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
	link_retire(l);
}

static void on_dead(int fd, short what, void *arg)
{
	struct link *l = arg;
	siginfo_t info;

	event_del(l->dead);
	if (l->machine)
		link_over(l);
	/* link_over() has put it among the retired: its process is dead, so this is the end. */
	waitid(P_PIDFD, (id_t)l->pidfd, &info, WEXITED | WNOHANG);
	LIST_REMOVE(l, retired);
	link_free(l);
}

static void on_readable(int fd, short what, void *arg);

static void link_hang_up(struct link *l)
{
	if (l->readable)
		event_free(l->readable);
	l->readable = NULL;
	if (l->fd >= 0)
		close(l->fd);
	l->fd = -1;
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
				on_readable, l);
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
static bool link_reconnect(struct link *l)
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
static void link_closed(struct link *l)
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

static int foreign_refuse(const struct link *l, struct err *e)
{
	return err_set(e, -ENXIO,
		       "ctl: the monitor is of another version of machinefs (protocol %u, not %u): "
		       "start that version again, or `kill` the machine",
		       l->foreign, WIRE_VERSION);
}

/* ---- messages ---- */

static const enum machine_state run_states[RUN_END] = {
	[RUN_NEW] = STATE_STARTING,	 [RUN_RUNNING] = STATE_RUNNING, [RUN_PAUSED] = STATE_PAUSED,
	[RUN_STOPPING] = STATE_STOPPING, [RUN_ENDED] = STATE_STOPPING, /* it rests when the
									  connection closes */
	[RUN_OUTSIDE] = STATE_PREPARING, [RUN_INSIDE] = STATE_PREPARED,
};

/* One buffer serves all links: the daemon has one thread, and a handler never receives. */
static struct wire_message *link_message(struct link *l)
{
	return l->machine->object.daemon->message;
}

static void link_take_state(struct link *l, const struct wire_state *s)
{
	struct machine *m = l->machine;

	if (s->run >= RUN_END)
		return;
	l->machine_pid = s->pid > 0 ? s->pid : 0;
	if (s->run == RUN_ENDED) {
		/* link_closed() acts on it, when the monitor has let go of everything. */
		wire_ending_to(&s->ending, &m->ending);
		l->ended = true;
		drop_layer(l);
		return;
	}
	/* A link that has asked nothing yet is to a monitor that was there before this daemon. */
	if (s->run == RUN_NEW)
		return;
	/* One that was held was not to be restarted; nor one that was told to end, and was not. */
	if (s->run == RUN_RUNNING && m->restart.told && (machine_held(m) || !l->seq))
		restart_told(m, false);
	if (l->seq)
		machine_set_state(m, run_states[s->run], "");
	else
		machine_found(m, run_states[s->run]);
}

void link_take_page(struct link *l, int fd)
{
	size_t size = sizeof(struct engine_page);
	struct stat st;
	int seals = fcntl(fd, F_GET_SEALS);
	void *map;

	if (l->page || seals < 0 || !(seals & F_SEAL_SHRINK) || fstat(fd, &st) < 0 ||
	    st.st_size < (off_t)size)
		return;
	map = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
	if (map != MAP_FAILED)
		l->page = map;
}

/* Watches the monitor's process; a monitor on a thread of ours has none of its own. */
static void link_found(struct link *l, pid_t pid)
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

static bool link_settled(const struct wire_state *s)
{
	return s->run == RUN_RUNNING || s->run == RUN_PAUSED || s->run == RUN_STOPPING ||
	       s->run == RUN_INSIDE;
}

/* A VM's monitor is its owner's, and could hand over what makes the daemon wait. */
static void link_take_layer(struct link *l, int *fd)
{
	struct stat st;

	if (l->layer >= 0 || l->machine->kind != KIND_CONTAINER || fstat(*fd, &st) < 0 ||
	    !S_ISDIR(st.st_mode))
		return;
	l->layer = *fd;
	*fd = -1;
}

static void handle_hello(struct link *l)
{
	struct wire_hello *h = (struct wire_hello *)link_message(l)->body;
	int n = link_message(l)->nfds;

	link_found(l, link_message(l)->pid);
	h->tty[sizeof(h->tty) - 1] = '\0';
	/* It becomes a link's target: only a pty's name may. */
	if (!strncmp(h->tty, "/dev/pts/", 9) &&
	    strspn(h->tty + 9, "0123456789") == strlen(h->tty) - 9)
		memcpy(l->tty, h->tty, sizeof(l->tty));
	if (n > 0 && h->has_counters)
		link_take_page(l, link_message(l)->fds[0]);
	if (h->has_layer && n == 1 + (h->has_counters != 0))
		link_take_layer(l, &link_message(l)->fds[n - 1]);
	/* It lost the START with the first connection, and nothing will come of it. */
	if (l->reconnected && h->state.run == RUN_NEW && l->pidfd >= 0)
		syscall(SYS_pidfd_send_signal, l->pidfd, SIGKILL, NULL, 0);
	link_take_state(l, &h->state);
	object_changed(&l->machine->object, "console"); /* what came while nobody listened */
	/* A daemon before this one may have been killed between the engine and the disk. */
	if (link_settled(&h->state) && !l->machine->change &&
	    h->tag != config_tag(&l->machine->config))
		change_restore(l->machine);
	execs_settle(l->machine, false);
}

static void handle_state(struct link *l)
{
	uint32_t seq = link_message(l)->header.seq;
	struct err none = { 0 };
	struct asked *a;

	link_take_state(l, (struct wire_state *)link_message(l)->body);
	a = asked_find(l, seq);
	if (a)
		asked_answer(l, a, 0, &none);
}

static void handle_reply(struct link *l)
{
	struct wire_reply *reply = (struct wire_reply *)link_message(l)->body;
	struct asked *a = asked_find(l, link_message(l)->header.seq);
	struct err e = { 0 };

	if (!a)
		return;
	reply->text[sizeof(reply->text) - 1] = '\0';
	if (reply->code < 0)
		err_set(&e, -err_public(-reply->code), "%s", reply->text);
	if (a->seq == l->start_seq && e.code) {
		/* Answered when the monitor has gone and the machine is as it was before. */
		l->refused = true;
		l->refusal = e;
		return;
	}
	asked_answer(l, a, e.code, &e);
}

static void handle_notice(struct link *l)
{
	static const char *const words[NOTICE_END] = {
		[NOTICE_PANIC] = "panic",
		[NOTICE_WATCHDOG] = "watchdog",
		[NOTICE_DEVICE] = "device",
	};
	struct wire_notice *n = (struct wire_notice *)link_message(l)->body;
	struct err e = { 0 };

	if (n->notice == NOTICE_CPUS) {
		object_changed(&l->machine->object, "cpu.online");
		vcpus_settle(l->machine);
	}
	if (n->notice >= NOTICE_END || !words[n->notice])
		return;
	n->text[sizeof(n->text) - 1] = '\0';
	for (char *p = n->text; *p; p++)
		if ((unsigned char)*p < ' ' || *p == 0x7f)
			*p = '?';
	kept_event(&l->machine->object, words[n->notice], n->text);
	if (n->notice == NOTICE_DEVICE) {
		err_set(&e, -EIO, "%s", n->text);
		object_refuse(&l->machine->object, &e);
	}
}

static void handle_exec_state(struct link *l)
{
	const struct wire_exec_state *s = (struct wire_exec_state *)link_message(l)->body;
	struct exec *x = exec_find(l->machine, s->id);
	struct ending ending;

	wire_ending_to(&s->state.ending, &ending);
	if (x)
		exec_told(x, s->state.run == RUN_RUNNING, s->state.pid > 0 ? s->state.pid : 0,
			  &ending);
}

static void handle_exec_grew(struct link *l)
{
	const struct wire_exec_grew *g = (struct wire_exec_grew *)link_message(l)->body;
	struct exec *x = exec_find(l->machine, g->id);

	if (x)
		exec_grew(x, (unsigned)g->streams);
}

static void handle_grew(struct link *l)
{
	object_changed(&l->machine->object, "console");
}

/*
 * It was started by a daemon of another version. The machine runs, that is all we can know of it;
 * it is left alone, for a daemon that understands it.
 */
static void link_estrange(struct link *l, uint16_t version)
{
	struct err e = { 0 };

	event_del(l->readable);
	l->foreign = version;
	foreign_refuse(l, &e);
	object_refuse(&l->machine->object, &e);
	machine_set_state(l->machine, STATE_RUNNING, "");
}

/*
 * A container's monitor is what the daemon is. A VM's has to hand over no more than the page, to
 * a daemon that has not made it.
 */
static int link_recv(struct link *l, struct wire_message *message)
{
	if (l->machine->kind == KIND_CONTAINER)
		return wire_recv(l->fd, WIRE_MONITOR, message);
	return wire_recv_few(l->fd, WIRE_MONITOR, l->page ? 0 : 1, message);
}

static void on_readable(int fd, short what, void *arg)
{
	static void (*const handlers[WIRE_TYPE_END])(struct link *) = {
		[WIRE_HELLO] = handle_hello,	       [WIRE_REPLY] = handle_reply,
		[WIRE_STATE] = handle_state,	       [WIRE_GREW] = handle_grew,
		[WIRE_EXEC_STATE] = handle_exec_state, [WIRE_EXEC_GREW] = handle_exec_grew,
		[WIRE_NOTICE] = handle_notice,
	};
	struct link *l = arg;
	struct wire_message *message = link_message(l);
	bool stranger = l->machine->kind == KIND_VM;
	int rc = 1;

	/* One that never stops talking has no more than its turns. */
	for (int i = 0; i < TURN_MAX && (rc = link_recv(l, message)) == 1; i++) {
		handlers[message->header.type](l);
		if (stranger)
			wire_message_shun(message);
		else
			wire_message_close(message);
	}
	if (rc == 1)
		return;
	if (rc == -EPROTONOSUPPORT) {
		link_found(l, message->pid);
		link_estrange(l, message->header.version);
	} else if (rc != -EAGAIN && (rc == -EPROTO || !link_reconnect(l)))
		link_closed(l);
}

/* ---- asking ---- */

static int link_ask(struct link *l, struct request *r, link_answered *then, enum wire_type type,
		    const void *body, size_t len, const struct text *extra, const int *fds,
		    int nfds, struct err *e)
{
	struct asked *a;
	int rc;

	if (l->foreign)
		return foreign_refuse(l, e);
	if (r && l->nasked >= ASKED_MAX)
		return err_set(e, -EBUSY, "ctl: the monitor has not answered %u verbs", l->nasked);
	a = calloc(1, sizeof(*a));
	if (!a)
		return err_sys(e, ENOMEM, "ctl");
	a->seq = ++l->seq;
	if (type == WIRE_START)
		l->start_seq = a->seq;
	a->request = r;
	a->then = then;
	if (type == WIRE_EXEC_START)
		a->exec = ((const struct wire_exec *)body)->id;
	rc = wire_send(l->fd, type, a->seq, body, len, extra ? text_str(extra) : NULL,
		       extra ? extra->len : 0, fds, nfds);
	if (rc < 0) {
		free(a);
		return err_set(e, rc == -EAGAIN ? -EBUSY : -ENXIO, "ctl: the monitor %s",
			       rc == -EAGAIN ? "does not listen" : "is gone");
	}
	LIST_INSERT_HEAD(&l->asked, a, link);
	l->nasked++;
	if (r) {
		r->parked = a;
		r->brief = true;
		r->cancel = asked_cancel;
	}
	return NODE_PARKED;
}

int link_start(struct link *l, struct request *r, struct wire_start *start,
	       const struct text *config, const struct fd_list *fds, struct err *e)
{
	start->nfds = fds->n;
	memcpy(start->roles, fds->role, sizeof(start->roles));
	return link_ask(l, r, ctl_continue, WIRE_START, start, sizeof(*start), config, fds->fd,
			(int)fds->n, e);
}

int link_dump(struct link *l, struct request *r, int fd, struct err *e)
{
	struct wire_verb w = { .verb = VERB_DUMP };

	return link_ask(l, r, ctl_continue, WIRE_VERB, &w, sizeof(w), NULL, &fd, 1, e);
}

int link_configure(struct link *l, struct config_change *c, struct wire_configure *w,
		   const struct text *config, const struct fd_list *fds, struct err *e)
{
	int rc;

	w->nfds = fds->n;
	memcpy(w->roles, fds->role, sizeof(w->roles));
	rc = link_ask(l, NULL, NULL, WIRE_CONFIGURE, w, sizeof(*w), config, fds->fd, (int)fds->n,
		      e);
	if (rc == NODE_PARKED)
		LIST_FIRST(&l->asked)->change = c;
	return rc;
}

static void on_patience(int fd, short what, void *arg)
{
	struct link *l = arg;

	syscall(SYS_pidfd_send_signal, l->pidfd, SIGKILL, NULL, 0);
}

/* One that does not listen to `kill` any more understands a signal. */
static void link_lose_patience(struct link *l)
{
	const struct timeval soon = { .tv_sec = KILL_S };

	if (l->pidfd < 0 || l->patience)
		return;
	l->patience = evtimer_new(l->machine->object.daemon->loop, on_patience, l);
	if (l->patience)
		evtimer_add(l->patience, &soon);
}

int link_verb(struct link *l, struct request *r, enum wire_verb_code verb, int64_t arg,
	      struct err *e)
{
	struct wire_verb w = { .verb = verb, .flags = WIRE_VERB_ONE, .arg = arg };
	int rc;

	/* What it would be told it does not understand; signals it does. */
	if (l->foreign && verb == VERB_KILL && l->pidfd >= 0 &&
	    syscall(SYS_pidfd_send_signal, l->pidfd, SIGKILL, NULL, 0) == 0)
		return 0;
	rc = link_ask(l, r, ctl_continue, WIRE_VERB, &w, sizeof(w), NULL, NULL, 0, e);
	/* Also where it does not even take it. */
	if (verb == VERB_KILL && rc != -ENXIO)
		link_lose_patience(l);
	return rc;
}

int link_exec_start(struct link *l, struct request *r, link_answered *then,
		    const struct exec_spec *s, struct err *e)
{
	struct text texts = TEXT_INIT;
	int fds[EXEC_FD_COUNT + 3 + EXEC_GROUPS_MAX], n = EXEC_FD_COUNT;
	struct wire_exec w;
	int rc = wire_exec_pack(s, &w, &texts, e);

	memcpy(fds, s->fd, sizeof(s->fd));
	for (int i = 0; i < 3; i++)
		if (s->stdio[i] >= 0)
			fds[n++] = s->stdio[i];
	memcpy(fds + n, s->groups, s->ngroups * sizeof(int));
	if (rc == 0)
		rc = link_ask(l, r, then, WIRE_EXEC_START, &w, sizeof(w), &texts, fds,
			      n + (int)s->ngroups, e);
	text_free(&texts);
	return rc;
}

int link_exec_input(struct link *l, struct request *r, link_answered *then, uint64_t id,
		    const void *data, size_t len, struct err *e)
{
	struct wire_exec_id w = { .id = id };
	const struct text bytes = { .data = (char *)data, .len = len };

	return link_ask(l, r, then, WIRE_EXEC_INPUT, &w, sizeof(w), &bytes, NULL, 0, e);
}

int link_exec_signal(struct link *l, struct request *r, link_answered *then, uint64_t id, int signo,
		     struct err *e)
{
	struct wire_exec_signal w = { .id = id, .signo = signo };

	return link_ask(l, r, then, WIRE_EXEC_SIGNAL, &w, sizeof(w), NULL, NULL, 0, e);
}

int link_input(struct link *l, const void *data, size_t len, struct err *e)
{
	int rc;

	if (l->foreign)
		return foreign_refuse(l, e);
	rc = wire_send(l->fd, WIRE_INPUT, 0, data, len, NULL, 0, NULL, 0);
	if (rc < 0)
		return err_set(e, rc == -EAGAIN ? -EBUSY : -ENXIO, "console: the monitor %s",
			       rc == -EAGAIN ? "does not keep up" : "is gone");
	return 0;
}

/* ---- life ---- */

int link_connect(struct machine *m, struct link **ret)
{
	struct link *l = calloc(1, sizeof(*l));
	int rc;

	if (!l)
		return -ENOMEM;
	l->machine = m;
	l->pidfd = l->fd = l->layer = -1;
	LIST_INIT(&l->asked);
	rc = link_dial(l);
	if (rc < 0) {
		link_free(l);
		return rc;
	}
	*ret = l;
	return 0;
}

void link_own(struct link *l, pid_t pid)
{
	link_found(l, pid);
}

bool link_busy(const struct link *l)
{
	const struct asked *a;

	LIST_FOREACH(a, &l->asked, link)
	if (a->request || a->change)
		return true;
	return false;
}

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
	drop_layer(l);
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
