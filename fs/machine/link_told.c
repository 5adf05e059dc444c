/* What a monitor tells: see link_priv.h; wire.h. All of it may be a guest's. */
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "backends/monitor/spare.h"
#include "fs/daemon.h"
#include "fs/exec/exec.h"
#include "fs/machine/change.h"
#include "fs/machine/link_priv.h"
#include "fs/machine/vcpu.h"
#include "fs/store/kept.h"

#define TURN_MAX 32 /* messages taken before others have their turn */

/* RUN_ENDED: it rests when the connection closes. */
static const enum machine_state run_states[RUN_END] = {
	[RUN_NEW] = STATE_STARTING,    [RUN_RUNNING] = STATE_RUNNING,
	[RUN_PAUSED] = STATE_PAUSED,   [RUN_STOPPING] = STATE_STOPPING,
	[RUN_ENDED] = STATE_STOPPING,  [RUN_OUTSIDE] = STATE_PREPARING,
	[RUN_INSIDE] = STATE_PREPARED,
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
		link_drop_layer(l);
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

/* What was asked by this number, if anything was, has been done. */
static void link_done(struct link *l, uint32_t seq)
{
	struct asked *a = asked_find(l, seq);
	struct err none = { 0 };

	if (a)
		asked_answer(l, a, 0, &none);
}

static void handle_hello(struct link *l)
{
	struct wire_hello *h = (struct wire_hello *)link_message(l)->body;
	int n = link_message(l)->nfds;

	link_drop_listener(l);
	link_own(l, link_message(l)->pid);
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
	if (link_message(l)->header.seq == l->start_seq)
		link_done(l, l->start_seq);
}

static void handle_state(struct link *l)
{
	uint32_t seq = link_message(l)->header.seq;

	link_take_state(l, (struct wire_state *)link_message(l)->body);
	link_done(l, seq);
}

/* A VM's monitor, its guest's maybe, is for this one alone. */
static void handle_again(struct link *l)
{
	l->again = l->machine->kind == KIND_CONTAINER;
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
	link_done(l, link_message(l)->header.seq);
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
	spare_due(l->machine->object.daemon->spares[l->machine->kind]);
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
	link_refuse_foreign(l, &e);
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

void link_on_readable(int fd, short what, void *arg)
{
	static void (*const handlers[WIRE_TYPE_END])(struct link *) = {
		[WIRE_HELLO] = handle_hello,	       [WIRE_REPLY] = handle_reply,
		[WIRE_STATE] = handle_state,	       [WIRE_GREW] = handle_grew,
		[WIRE_EXEC_STATE] = handle_exec_state, [WIRE_EXEC_GREW] = handle_exec_grew,
		[WIRE_NOTICE] = handle_notice,	       [WIRE_AGAIN] = handle_again,
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
		link_own(l, message->pid);
		link_estrange(l, message->header.version);
	} else if (rc != -EAGAIN && (rc == -EPROTO || !link_reconnect(l)))
		link_closed(l);
}
